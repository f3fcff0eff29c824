"""The house of the design, held by the syntax trees: what may import what, and what says why."""

import ast
import functools
import importlib
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import ROOT

# A module imports none that stands after it, and its package none that stands after its package.
# The leaves of the trainer import only the first.
ORDER = {
    "hpo": """
        errors locks cache text toml_text wording passwords exported distributions search_space
        trial parts moves checkpoints.store checkpoints.folders checkpoints.trials
        checkpoints.packing checkpoints.behind checkpoints.carried checkpoints.remote
        resources threads process_state objective_code objective output failures
        framework_models frameworks kept_code stale notebook_code forms
        told
        program_supervisor program_process program
        data.predictor data.files data.own_files data.columns data.tables data.rows data.settings
        data.cells data.encoding data.arrays data.downloads data.sources
        data.split data.scaling data.folds data.loading
        search.order search.best_so_far search.surface search.round_plan search.by_number
        search.optuna_sampler search.tpe search.gp search.samplers search.pruning
        search.evidence search.narrowing search.confirmation search.recommendation search.extension
        search.landscape
        search.ped_anova
        study_errors constraints settings study_parts study_values study_objective
        study_overrides study_tables study_fields feasibility study
        workers.live workers.lengths workers.trial_folder workers.attempt workers.inline
        workers.asked workers.ray_settings workers.ray_folder workers.ray_draining workers.ray_live
        workers.ray_agents workers.ray_local workers.ray
        record.mounts record.template record.file record.local_client record.owner record.sources
        record.values record.writing record.interface record.format record.saved_view
        record.connection record.claim record.experiments record.purging record.copying
        record.trials record.reading record.requests record.evaluations record.study
        record.tracking record.models record.spawning record.process record.outbox record.delivery
        service.comparability service.remarks service.warm_start service.proposals service.job
        service.retention service.listening service.attempts service.in_parts service.round_loop
        service.illustrating service.notifying service.running service.rounds service.following
        report.results report.palette report.scales report.ticks report.drawing report.axis
        report.swarm report.labels report.marks report.curves report.maps report.importance
        report.proposing report.figures
        report.timeline report.page_data report.page
        scores own_models retraining evaluation own_evaluation rehearsal cluster
        display.watching display.console display.progress display.notebook display.quiet
        api.asked_for api.values api.ranges api.points api.places api.lookup api.pictures api.site
        api.session api.training api.checking api.housekeeping api.sending api.steering api.findings
        api.results api.overview api.study api.asking
        cli.grid cli.tables
        cli.options cli.starting cli.training cli.checking cli.looking cli.housekeeping cli.best
        cli.serving cli.sending cli.steering cli.commands
        __main__
        """,
    "trainer": """
        arrays initializers losses metrics schedules transformations
        regularizers optimizers
        layers.layer layers.windows layers.winograd layers.dense layers.activations
        layers.convolution layers.pooling layers.flatten layers.batch_normalization layers.dropout
        layers.noise layers
        networks training checkpoint model objectives
        """,
}
FIRST, *LEAVES = ORDER["trainer"].split()[:6]
THIRD_PARTY = {
    "threads": {"threadpoolctl"},
    "framework_models": {"keras", "lightgbm", "skops", "torch", "xgboost"},
    "frameworks": {"keras", "sklearn"},
    "checkpoints.remote": {"pyarrow"},
    "data.tables": {"charset_normalizer", "pandas", "pyarrow"},
    "data.cells": {"pandas"},
    "data.encoding": {"pandas"},
    "data.sources": {"sklearn"},
    "search.surface": {"scipy"},
    "search.by_number": {"scipy"},
    "search.optuna_sampler": {"optuna"},
    "search.tpe": {"optuna"},
    "search.gp": {"optuna"},
    "search.evidence": {"scipy"},
    "search.ped_anova": {"optuna"},
    "study_errors": {"pydantic"},
    "study_values": {"pydantic"},
    "study_tables": {"packaging", "pydantic"},
    "study_fields": {"pydantic"},
    "study": {"pydantic"},
    "workers.ray": {"ray"},
    "workers.ray_local": {"ray"},
    "workers.ray_live": {"ray"},
    "workers.ray_draining": {"ray"},
    "record.format": {"mlflow"},
    "record.local_client": {"mlflow"},
    "record.connection": {"mlflow"},
    "record.claim": {"mlflow"},
    "record.experiments": {"mlflow"},
    "record.purging": {"mlflow"},
    "record.copying": {"mlflow"},
    "record.trials": {"mlflow"},
    "record.reading": {"mlflow"},
    "record.evaluations": {"mlflow"},
    "record.study": {"mlflow"},
    "record.process": {"mlflow"},
    "report.results": {"pandas"},
    "report.ticks": {"matplotlib"},
    "report.drawing": {"matplotlib"},
    "report.axis": {"matplotlib"},
    "report.swarm": {"matplotlib"},
    "report.labels": {"matplotlib"},
    "report.importance": {"matplotlib"},
    "report.marks": {"matplotlib"},
    "report.curves": {"matplotlib"},
    "report.maps": {"matplotlib"},
    "report.proposing": {"matplotlib"},
    "report.figures": {"matplotlib"},
    "scores": {"scipy", "sklearn"},
    "record.models": {"mlflow"},
    "cluster": {"dotenv", "ray"},
    "api.ranges": {"pydantic"},
    "display.console": {"rich"},
    "display.notebook": {"IPython"},
    "api.findings": {"matplotlib"},
    "api.results": {"matplotlib", "pandas"},
    "cli.grid": {"rich"},
    "cli.tables": {"rich"},
    "display.progress": {"rich"},
    "cli.options": {"click", "rich"},
    "cli.starting": {"click"},
    "cli.training": {"click"},
    "cli.checking": {"click"},
    "cli.looking": {"click"},
    "cli.housekeeping": {"click"},
    "cli.best": {"click"},
    "cli.serving": {"click"},
    "cli.sending": {"click"},
    "cli.steering": {"click"},
    "cli.commands": {"click"},
}
PUBLIC = {
    "hpo.api.asking.open_study", "hpo.api.results.load", "hpo.api.overview.studies",
    "hpo.api.site.Placement", "hpo.api.study.Study", "hpo.api.values.Choices",
    "hpo.api.values.Range", "hpo.errors.HPOError", "hpo.errors.Infeasible",
    "hpo.errors.InputError", "importlib", "typing.TYPE_CHECKING", "typing.Any",
}
SCRIPTS = sorted([*(ROOT / "benchmarks").rglob("*.py"), *(ROOT / "studies").rglob("*.py")])
FILES = [path for package in ORDER for path in sorted((ROOT / package).rglob("*.py"))]


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path: Path) -> Iterator[str]:
    """Yield every module a file imports, anywhere in it, with what it takes from it."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: an import relative to the file"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def name_of(path: Path) -> str:
    """Return the name of a module inside its top package: "search.order"; "" for that itself."""
    _, *inside = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in inside if part != "__init__")


def module_of(name: str, order: list[str]) -> str:
    """Return which module a name, such as "search.order.ResultsInOrder", is taken from."""
    parts = name.split(".")
    return next(
        (known for i in range(len(parts), 0, -1) if (known := ".".join(parts[:i])) in order), ""
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_what_stands_before_it(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    order, name = ORDER[package].split(), name_of(path)
    if path.name == "__init__.py" and name not in order:
        given = {} if name else {"hpo": PUBLIC}
        others = set(imported(path)) - given.get(package, set())
        assert not others, "what a package holds is imported from its modules"
        return
    assert name in order, f"{name} has no place in the order yet"
    for module in imported(path):
        top, _, rest = module.partition(".")
        if top == package:
            other = module_of(rest, order)
            assert other, f"{name} imports {module}, which is no module"
            assert order.index(other) < order.index(name), f"{name} imports {other}"
            assert name not in LEAVES or other == FIRST, f"{name} is a leaf, and imports {module}"
        elif top not in sys.stdlib_module_names:
            allowed = {"numpy"} | (THIRD_PARTY.get(name, set()) if package == "hpo" else set())
            assert top in allowed, f"{name} imports {top}"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_script_imports_what_there_is(path: Path) -> None:
    for module in imported(path):
        top, _, rest = module.partition(".")
        if top in ORDER and module != top:
            found = module_of(rest, ORDER[top].split())
            name = rest.removeprefix(found).lstrip(".")
            assert found, f"{module} is no module"
            assert not name or hasattr(importlib.import_module(f"{top}.{found}"), name), module


def test_a_package_stands_in_one_place_of_the_order() -> None:
    for order in ORDER.values():
        packages = [name.split(".")[0] for name in order.split() if "." in name]
        runs = [package for package, _ in itertools.groupby(packages)]
        assert len(runs) == len(set(runs))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_opens_with_one_sentence(path: Path) -> None:
    docstring = ast.get_docstring(parsed(path)) or ""
    first, _, rest = docstring.partition("\n")
    assert first[:1].isupper()
    assert first.endswith(".")
    assert not rest or rest.startswith("\n")
