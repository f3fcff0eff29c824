"""What makes trials of a study comparable: settings that must stay as they were."""

import json
import platform
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import threadpoolctl

from hpo import objective as objectives
from hpo.errors import InputError
from hpo.recorded import Round
from hpo.search_space import Value, to_table
from hpo.study import Study


def round_settings(study: Study, dataset: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a round is started with; the part before "sampler" makes trials comparable."""
    return {
        "objective": study.objective.name,
        "code": objectives.digest(study.objective),
        "data": dataset["digest"],
        "fixed": {name: plain(value) for name, value in sorted(study.fixed.items())},
        "metric": study.metric,
        "direction": study.direction,
        "value": study.value,
        "seed": study.seed,
        "sampler": study.round.sampler,
        "pruner": repr(study.round.pruner),
        "parallel": study.round.parallel,
        "trials": study.round.trials,
        "search_space": {name: to_table(d) for name, d in study.search_space.items()},
        "environment": _environment(),
    }


_COMPARABLE = {
    "objective": "the objective",
    "code": "the code of the objective",
    "data": "the data or its split",
    "fixed": "[fixed]",
    "metric": "metric",
    "direction": "direction",
    "value": "value",
    "seed": "seed",
}


def refuse_changes(
    study: Study, round_: Round, dataset: Mapping[str, Any], note: Callable[[str], None]
) -> None:
    """Raise InputError where what is trained now could not be compared with what is recorded.

    What may change the last digits is only noted.
    """
    now = json.loads(json.dumps(round_settings(study, dataset)))  # as the record gives it back
    changed = [text for key, text in _COMPARABLE.items() if now[key] != round_.settings.get(key)]
    if now["search_space"].keys() != round_.settings["search_space"].keys():
        changed.append("what is searched")
    if changed:
        raise InputError(
            f"{study.path}: {' and '.join(changed)} changed since round {round_.number}, "
            "so its trials cannot be compared; change it back, or give the study another name"
        )
    for name, before in round_.settings["environment"].items():
        if now["environment"][name] != before:
            note(
                f"{name} is {now['environment'][name]}, and was {before} in round "
                f"{round_.number}: results may differ in the last digits"
            )


def _environment() -> dict[str, str]:
    """Return what the last bits of a result depend on."""
    return {
        "python": ".".join(platform.python_version_tuple()[:2]),
        "numpy": np.__version__,
        "machine": platform.machine(),
        "blas": _blas(),
    }


def _blas() -> str:
    """Return NumPy's BLAS and the kind of CPU that it picked its code for, or "unknown"."""
    for library in threadpoolctl.threadpool_info():
        if library["internal_api"] == "openblas" and "numpy" in library["filepath"]:
            return f"OpenBLAS {library['version']} for {library['architecture']}"
    return "unknown"


def plain(value: Value) -> Any:
    """Return tuples as lists, as JSON reads them back."""
    return [plain(v) for v in value] if isinstance(value, tuple) else value
