"""One Ray and one prepared database for all tests, and studies of toy objectives."""

import contextlib
import csv
import json
import os
import secrets
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hpo.api import session, training
from hpo.cli import commands as cli
from hpo.distributions import FloatDistribution
from hpo.exported import CIRCUMSTANCES
from hpo.record.tracking import Tracking
from hpo.record.values import RoundStart, Shown
from hpo.settings import Settings
from hpo.trial import State, Trial, TrialResult
from hpo.workers import ray as ray_workers
from hpo.workers import ray_settings
from hpo.workers.ray_local import fewer_processes
from tests.processes import draw_nothing, fork, read_migrations_once
from tests.server import Server

if TYPE_CHECKING:
    from mlflow import MlflowClient

Make = Callable[..., Path]  # what `make_study` gives
TOY = Path(__file__).with_name("toy.py")


@pytest.fixture(scope="session", autouse=True)
def ray_environment(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Set what Ray reads when it is first imported, and not again."""
    os.environ.update(ray_settings.FOR_WORKERS)
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    os.environ["HPO_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["PYTHONHASHSEED"] = "0"  # else a command run in this process would start it anew


@pytest.fixture(autouse=True)
def without_figures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes longest in a round of toys, but for tests marked with `figures`."""
    if request.node.get_closest_marker("figures") is None:
        monkeypatch.setattr(session, "illustrate", draw_nothing)
        monkeypatch.setattr(training, "renew_page", draw_nothing)


@pytest.fixture(scope="session")
def ray_address(ray_environment: None) -> Iterator[str]:
    """Start a Ray with four CPUs, shared by all tests of a session."""
    from ray.cluster_utils import Cluster

    with fewer_processes():
        cluster = Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": 4,
                "include_dashboard": False,
                "object_store_memory": 100_000_000,
            },
        )
    yield cluster.address
    cluster.shutdown()


@pytest.fixture
def near_ray(ray_address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give that Ray to a test that joins it in this process, where it need not be tried first.

    To try it takes another process, which imports Ray.
    """
    leave_ray()
    monkeypatch.setattr(ray_workers, "_REACH", "print('ok')")
    return ray_address


def leave_ray() -> None:
    """Leave a Ray that earlier tests have joined and left others to use."""
    import ray

    if ray.is_initialized():
        ray.shutdown()


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a database with MLflow's tables, which take a while to make."""
    path = tmp_path_factory.mktemp("database") / "mlflow.db"
    # In a process that ends: what a database that is open holds is not all in its file.
    process = fork(_make_database, path)
    process.join()
    assert process.exitcode == 0
    read_migrations_once()
    return path


def _make_database(path: Path) -> None:
    with closing(Tracking(f"sqlite:///{path}")) as record:
        record.studies()


@pytest.fixture
def folder(
    tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """Go to a working directory with an empty record and the toy objectives."""
    _work_in(tmp_path, empty_database, monkeypatch)
    yield tmp_path
    sys.modules.pop("toy", None)


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    """Give an MLflow server on the record of the working directory."""
    server = Server(folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@contextlib.contextmanager
def preparing(folder: Path, empty_database: Path) -> Iterator[None]:
    """Be in such a directory while a module's fixture makes a record, which its tests copy."""
    with pytest.MonkeyPatch.context() as patch:
        _work_in(folder, empty_database, patch)
        patch.setattr(session, "illustrate", draw_nothing)
        patch.setattr(training, "renew_page", draw_nothing)
        yield
    sys.modules.pop("toy", None)


def _work_in(folder: Path, empty_database: Path, patch: pytest.MonkeyPatch) -> None:
    shutil.copy(empty_database, folder / "mlflow.db")
    shutil.copy(TOY, folder / "toy.py")
    patch.chdir(folder)
    patch.delenv("MLFLOW_TRACKING_URI", raising=False)
    patch.delenv("RAY_ADDRESS", raising=False)
    patch.setattr(sys, "path", [*sys.path])


def write_study(folder: Path, name: str = "toy", **changes: Any) -> Path:
    """Write a study file; `changes` replace its values, tables as a dict."""
    tables: dict[str, Any] = {
        "objective": "toy:quadratic",
        "metric": "accuracy",
        "direction": "maximize",
        "seed": 0,
        "rounds": 1,
        "fixed": {},
        "search_space": {
            "learning_rate": {"low": 1e-4, "high": 1e1, "log": True},
            "weight_decay": {"low": 1e-8, "high": 1e-4, "log": True},
        },
        "round": {"trials": 12, "sampler": "random", "parallel": 4},
    }
    for key, value in changes.items():
        merge = isinstance(value, dict) and key != "search_space"
        tables[key] = {**tables.get(key, {}), **value} if merge else value
    path = folder / f"{name}.toml"
    path.write_text("".join(_toml(tables)), encoding="utf-8")
    return path


def round_settings(**changes: Any) -> Settings:
    """Return the settings of a round that minimizes a loss; `changes` replace some."""
    settings: dict[str, Any] = {
        "objective": "toy:quadratic", "code": "", "data": "", "fixed": {}, "metric": "loss",
        "direction": "minimize", "value": "last", "seed": 0, "sampler": "random", "pruner": None,
        "parallel": 4, "trials": 12, "search_space": {}, "start": (), **changes,
    }  # fmt: skip
    return Settings(**settings)


def begin(record: Tracking, study: str = "toy") -> None:
    """Put a study with an open round on record."""
    space = {"learning_rate": FloatDistribution(1e-4, 1.0, log=True)}
    record.study(study).create("a study", {}, Shown((), "loss", "minimize"))
    record.study(study).start_round(
        RoundStart(1, space, round_settings(search_space=space), files={"note.txt": "text"})
    )


def result(number: int) -> TrialResult:
    """Return what a trial of that round came to; `number` is its seed too."""
    trial = Trial(1, number, {"learning_rate": 0.1 * number}, number)
    metrics = [{"loss": 1.0 / epoch, "error": 0.5} for epoch in range(1, 4)]
    return TrialResult(trial, State.COMPLETE, 1 / 3, 3, metrics, 1, 1000.0, 2.0, "here")


def _toml(tables: dict[str, Any]) -> Iterator[str]:
    for key, value in tables.items():
        if not isinstance(value, dict):
            yield f"{key} = {_value(value)}\n"
    for key, value in tables.items():
        if isinstance(value, dict):
            yield f"[{key}]\n" + "".join(f"{k} = {_value(v)}\n" for k, v in value.items())


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {_value(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return f"'{value}'" if isinstance(value, str) else repr(value)


def client_of(uri: str) -> "MlflowClient":
    """Return MLflow's own client of a record."""
    from mlflow import MlflowClient  # here, since modules without a record are collected, too

    return MlflowClient(uri)


def hpo(*arguments: object) -> None:
    """Run a command in this process."""
    cli.hpo.main([str(a) for a in arguments], prog_name="hpo", standalone_mode=False)


def show(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    """Return what `hpo show --json` says."""
    capsys.readouterr()
    hpo("show", *arguments, "--json")
    shown: dict[str, Any] = json.loads(capsys.readouterr().out)
    return shown


def evaluate(
    capsys: pytest.CaptureFixture[str], file: Path, *options: object
) -> dict[str, Any]:
    """Return what `hpo evaluate --json` says."""
    capsys.readouterr()
    hpo("evaluate", file, "--json", *options)
    shown: dict[str, Any] = json.loads(capsys.readouterr().out)
    return shown


def trainings(folder: Path) -> Counter[str]:
    """Return how often each seed was trained."""
    marks = folder / "trained"
    return Counter(marks.read_text().split()) if marks.exists() else Counter()


@dataclass
class Outcome:
    """What a command came to."""

    code: int
    out: str
    err: str


Command = Callable[..., Outcome]


@pytest.fixture
def command(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    """Return a function that runs a command as a terminal would, and says what it came to."""

    def run(*arguments: object) -> Outcome:
        capfd.readouterr()
        monkeypatch.setattr(sys, "argv", ["hpo", *map(str, arguments)])
        code: Any = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code
        return Outcome(code or 0, *capfd.readouterr())

    return run


def table(study: str = "toy", *options: str) -> list[dict[str, str]]:
    """Export a study and return its rows without what may differ from run to run."""
    hpo("export", study, "table.csv", *options)
    with open("table.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if k not in CIRCUMSTANCES} for row in rows]


_undisturbed: dict[str, list[dict[str, str]]] = {}


def undisturbed(make_study: Make, **changes: object) -> list[dict[str, str]]:
    """Return what a study comes to that nothing disturbs; the same one is run once."""
    settings = repr(sorted(changes.items()))
    if settings not in _undisturbed:
        hpo("run", make_study("undisturbed", **changes), "--inline")
        _undisturbed[settings] = table("undisturbed")
    return _undisturbed[settings]


@pytest.fixture
def make_study(folder: Path) -> Make:
    """Return `write_study` for the working directory of this test."""
    return lambda *args, **changes: write_study(folder, *args, **changes)
