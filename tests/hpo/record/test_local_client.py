"""Reading a record without MLflow gives what MLflow's own client gives."""

import gzip
import math
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException

from hpo.errors import RecordRefused
from hpo.record import local_client
from hpo.record.connection import Connection, uncollected
from tests.processes import ROOT

pytestmark = pytest.mark.slow
QUERIES = (
    "", "tags.kind = 'round'", "tags.kind = 'trial'", "tags.kind = 'repeat'",
    "tags.kind = 'round' and tags.round = '2'", "tags.kind = 'nothing'",
    "metrics.validation_accuracy > 0.5", "tags.kind LIKE 'r%'",
)
VIEWS = (ViewType.ACTIVE_ONLY, ViewType.DELETED_ONLY, ViewType.ALL)
ORDERS = (None, ["attributes.start_time ASC"], ["attributes.end_time DESC"])


@pytest.fixture
def uri(folder: Path) -> str:
    rows = gzip.decompress((ROOT / "tests" / "records" / "version_1.sql.gz").read_bytes()).decode()
    with closing(sqlite3.connect("mlflow.db")) as database:
        database.executescript(rows.replace("{folder}", str(folder)))
    return f"sqlite:///{folder}/mlflow.db"


@pytest.fixture
def clients(uri: str) -> tuple[Any, MlflowClient]:
    """Give ours and MLflow's, on a record with deleted runs, studies, and odd numbers."""
    theirs = MlflowClient(uri)
    experiment_id = theirs.get_experiment_by_name("ended").experiment_id
    run = theirs.create_run(experiment_id, tags={"kind": "trial", "with space": "it's"})
    for step, value in enumerate((math.nan, math.inf, -math.inf, 0.1 + 0.2, 0.5)):
        theirs.log_metric(run.info.run_id, "odd", value, timestamp=5 - step, step=step)
        theirs.log_metric(run.info.run_id, f"odd {step}", value)
    theirs.log_param(run.info.run_id, "text", "दरी")
    theirs.delete_run(theirs.search_runs([experiment_id])[3].info.run_id)
    theirs.delete_experiment(theirs.get_experiment_by_name("open").experiment_id)
    return Connection(uri).client, theirs


def same(ours: Any, theirs: Any) -> None:
    for name in local_client.Info.__dataclass_fields__:
        assert getattr(ours.info, name) == getattr(theirs.info, name), name
    assert (ours.data.params, ours.data.tags) == (theirs.data.params, theirs.data.tags)
    assert repr(sorted(ours.data.metrics.items())) == repr(sorted(theirs.data.metrics.items()))


def test_the_views_are_those_of_mlflow() -> None:
    assert (local_client.ACTIVE, local_client.DELETED, local_client.ALL) == VIEWS


@pytest.mark.parametrize("query", QUERIES)
def test_runs_are_the_same_in_the_same_order(clients: tuple[Any, MlflowClient], query: str) -> None:
    ours, theirs = clients
    experiments = [e.experiment_id for e in theirs.search_experiments(ViewType.ALL)]
    found = 0
    for view in VIEWS:
        for order in ORDERS:
            arguments = (experiments, query, view, 1000, order)
            left, right = ours.search_runs(*arguments), theirs.search_runs(*arguments)
            assert left.token is None
            assert [run.info.run_id for run in left] == [run.info.run_id for run in right]
            for one, other in zip(left, right, strict=True):
                same(one, other)
                found += 1
    assert found or "nothing" in query


def test_runs_experiments_and_metrics_are_the_same(clients: tuple[Any, MlflowClient]) -> None:
    ours, theirs = clients
    for view in VIEWS:
        for query in (None, "tags.hpo = 'study'", "tags.hpo = 'copy'", "name = 'ended'"):
            left = ours.search_experiments(view, filter_string=query)
            right = theirs.search_experiments(view, filter_string=query)
            assert [e.experiment_id for e in left] == [e.experiment_id for e in right]
    for expected in theirs.search_experiments(ViewType.ALL):
        for found in (
            ours.get_experiment(expected.experiment_id),
            ours.get_experiment_by_name(expected.name),
        ):
            for name in local_client.Experiment.__dataclass_fields__:
                assert getattr(found, name) == getattr(expected, name), name
        for run in theirs.search_runs([expected.experiment_id], run_view_type=ViewType.ALL):
            same(ours.get_run(run.info.run_id), run)
            for metric in run.data.metrics:
                points = ours.get_metric_history(run.info.run_id, metric)
                wanted = theirs.get_metric_history(run.info.run_id, metric)
                told = [[(p.key, repr(p.value), p.timestamp, p.step) for p in each]
                        for each in (points, wanted)]
                assert told[0] == told[1]


def test_what_is_not_there_is_refused(clients: tuple[Any, MlflowClient]) -> None:
    ours, theirs = clients
    for client in clients:
        assert client.get_experiment_by_name("nothing") is None
    for look in ("get_run", "get_experiment"):
        with pytest.raises(RecordRefused):
            getattr(ours, look)("12345")
        with pytest.raises(MlflowException):
            getattr(theirs, look)("12345")


def test_what_is_not_read_here_is_asked_of_mlflow(clients: tuple[Any, MlflowClient]) -> None:
    ours, theirs = clients
    experiment_id = theirs.get_experiment_by_name("ended").experiment_id
    rounds = ours.search_runs([experiment_id], "tags.kind = 'round'")
    run_id = rounds[0].info.run_id
    assert rounds[0].inputs.to_dictionary() == theirs.get_run(run_id).inputs.to_dictionary()
    ours.set_tag(run_id, "new", "1")
    assert ours.get_run(run_id).data.tags["new"] == "1"


def test_files_are_those_of_mlflow(clients: tuple[Any, MlflowClient], tmp_path: Path) -> None:
    ours, theirs = clients
    experiment_id = theirs.get_experiment_by_name("ended").experiment_id
    run_id = ours.search_runs([experiment_id], "tags.kind = 'round'")[0].info.run_id
    (tmp_path / "new" / "inner").mkdir(parents=True)
    (tmp_path / "new" / "a b.txt").write_text("one")
    (tmp_path / "new" / "inner" / "two.txt").write_text("two")
    for content in ("one", "three"):  # a second time it replaces what is there
        (tmp_path / "new" / "a b.txt").write_text(content)
        ours.log_artifacts(run_id, str(tmp_path / "new"))
    left, right = ours.list_artifacts(run_id), theirs.list_artifacts(run_id)
    assert [(f.path, f.is_dir) for f in left] == [(f.path, f.is_dir) for f in right]
    for number, client in enumerate(clients):
        folder = tmp_path / f"copies {number}"
        folder.mkdir()
        for name, content in (("a b.txt", "three"), ("inner/two.txt", "two")):
            copy = Path(client.download_artifacts(run_id, name, str(folder)))
            assert copy == folder / Path(name).name
            assert copy.read_text() == content


def test_a_study_is_shown_without_mlflow(uri: str) -> None:
    for command in (
        "show ended", "show confirmed --json", "list", "best ended", "export ended x.csv",
        "narrow ended", "logs ended 1/1",
    ):
        code = (
            "import sys; from hpo.cli.commands import hpo\n"
            f"hpo.main({command.split()!r}, standalone_mode=False)\n"
            "sys.exit('mlflow' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, (command, done.stderr[-500:])


def test_a_record_is_read_while_it_is_written(uri: str) -> None:
    connection = Connection(uri)
    theirs = MlflowClient(uri)
    experiment_id = theirs.get_experiment_by_name("ended").experiment_id
    with uncollected():
        seen = 0
        for run in connection.runs(experiment_id, "tags.kind = 'trial'"):
            theirs.set_tag(run.info.run_id, "seen", "1")
            seen += 1
    runs = list(connection.runs(experiment_id, "tags.kind = 'trial'"))
    assert len(runs) == seen > 0
    assert all(run.data.tags["seen"] == "1" for run in runs)
