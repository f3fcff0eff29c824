"""Studies are renamed, deleted, restored, and deleted for good, and nothing else is."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hpo.errors import HPOError, InputError
from hpo.record.tracking import Tracking
from hpo.record.values import Recorded
from hpo.trial import TrialId
from tests.fixtures import begin, client_of, result


@pytest.fixture
def record(folder: Path) -> Iterator[Tracking]:
    """Give a record with a study of an open round and three trials."""
    with closing(Tracking(f"sqlite:///{folder / 'mlflow.db'}")) as record:
        begin(record)
        for number in (1, 2, 3):
            record.study("toy").deliver("loss", result(number), again=False)
        yield record


def read(record: Tracking, name: str = "toy") -> Recorded:
    recorded = Tracking(record.uri).study(name).read()
    assert recorded is not None
    return recorded


def deleted(record: Tracking, name: str = "toy") -> str:
    """Delete a study; return the id of its experiment."""
    experiment_id = record.study(name).experiment() or ""
    record.delete(name)
    return experiment_id


def show_nothing(done: int, total: int) -> None:
    pass


def rows(folder: Path) -> dict[str, int]:
    """Return how many rows each table has that holds studies."""
    tables = ("experiments", "runs", "metrics", "latest_metrics", "params", "tags",
              "logged_models", "experiment_tags")
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        return {
            table: database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in tables
        }


def files(folder: Path) -> list[Path]:
    return [path for path in (folder / "mlartifacts").rglob("*") if path.is_file()]


def test_a_study_has_all_it_had_under_another_name(record: Tracking) -> None:
    before = read(record)
    record.rename("toy", "new one")
    assert [name for name, _ in record.studies()] == ["new one"]
    after = read(record, "new one")
    assert after.name == "new one"
    assert (after.rounds, after.runs) == (before.rounds, before.runs)
    assert list(map(repr, after.results)) == list(map(repr, before.results))
    assert record.study("toy").experiment() is None


def test_a_name_that_is_taken_is_refused_whatever_has_it(record: Tracking) -> None:
    begin(record, "other")
    begin(record, "gone")
    deleted(record, "gone")
    client_of(record.uri).create_experiment("theirs")
    for name, said in (
        ("other", r"^a study 'other' already exists; choose another name$"),
        ("theirs", r"^an experiment 'theirs' already exists; choose another name$"),
        ("gone", r"deleted experiment; choose another, or .*`hpo delete --purge gone`$"),
    ):
        for change in (record.rename, lambda *names: record.copy(*names, show_nothing)):
            with pytest.raises(InputError, match=said):
                change("toy", name)
    assert {name for name, _ in record.studies()} == {"toy", "other"}


def test_what_is_no_study_is_left_alone(record: Tracking) -> None:
    client_of(record.uri).create_experiment("theirs")
    with pytest.raises(InputError, match=r"^the experiment 'theirs' is not an hpo study; change"):
        record.contents("theirs")
    assert record.contents("nobody") is None


def test_a_deleted_study_comes_back_as_it_was(record: Tracking) -> None:
    client = client_of(record.uri)
    client.delete_run(read(record).runs[TrialId(1, 2)])
    before = read(record)
    experiment_id = deleted(record)
    contents = record.contents("toy")
    assert contents is not None
    assert (contents.is_deleted, contents.runs["round"], contents.runs["trial"]) == (True, 1, 2)
    with pytest.raises(InputError, match=(
        f"restore it with `mlflow experiments restore --experiment-id {experiment_id}`, "
        "delete it permanently with `hpo delete --purge toy`, or give the study another name$"
    )):
        read(record)
    client.restore_experiment(experiment_id)  # and with it the trial that was deleted before
    for _ in range(2):
        after = read(record)
        assert list(map(repr, after.results)) == list(map(repr, before.results))
        assert list(map(repr, after.deleted)) == list(map(repr, before.deleted))
        assert [r.trial.number for r in after.deleted] == [2]
    tags = client.get_experiment(experiment_id).tags
    assert not [name for name in tags if name.startswith("deleted")]


def test_of_what_is_deleted_for_good_nothing_is_left(record: Tracking, folder: Path) -> None:
    before = rows(folder), files(folder)
    begin(record, "other")
    record.study("other").deliver("loss", result(1), again=False)
    client = client_of(record.uri)
    other = read(record, "other")
    model = client.create_logged_model(other.experiment_id, "m", other.rounds[0].run_id)
    (folder / "weights").mkdir()
    (folder / "weights" / "w.txt").write_text("w")
    client.log_model_artifacts(model.model_id, str(folder / "weights"))
    client.finalize_logged_model(model.model_id, "READY")
    client.delete_run(read(record).runs[TrialId(1, 3)])  # of a study that stays
    shown: list[tuple[int, int]] = []
    deleted(record, "other")
    record.refuse_purge("other")
    record.purge("other", lambda *counts: shown.append(counts))
    assert shown == [(0, 2), (1, 2), (2, 2)]
    assert (rows(folder), files(folder)) == before
    assert list((folder / "mlartifacts" / "models").iterdir()) == []
    assert len(read(record).deleted) == 1
    begin(record, "other")  # the name is free


def test_what_broke_off_as_it_was_deleted_for_good_goes_on(
    record: Tracking, folder: Path
) -> None:
    experiment_id = deleted(record)

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record.purge("toy", stop)
    client_of(record.uri).restore_experiment(experiment_id)
    assert (read(record).rounds, read(record).results) == ((), ())  # no number without its round
    deleted(Tracking(record.uri))
    record.purge("toy", show_nothing)
    assert rows(folder)["runs"] == 0
    assert files(folder) == []
    assert record.contents("toy") is None


def test_a_model_that_is_registered_keeps_its_study_from_being_deleted_for_good(
    record: Tracking,
) -> None:
    client, recorded = client_of(record.uri), read(record)
    model = client.create_logged_model(recorded.experiment_id, "m", recorded.rounds[0].run_id)
    client.create_registered_model("shop")
    client.create_model_version("shop", f"models:/{model.model_id}", model_id=model.model_id)
    with pytest.raises(InputError, match=(
        r"^the model of 'toy' is registered as version 1 of 'shop', .*delete that version in"
    )):
        record.refuse_purge("toy")
    client.delete_model_version("shop", "1")
    record.refuse_purge("toy")


def test_a_study_that_is_gone_meanwhile_is_said(record: Tracking) -> None:
    record.delete("toy")
    record.purge("toy", show_nothing)
    for change in (
        lambda: record.rename("toy", "new"), lambda: record.delete("toy"),
        lambda: record.copy("toy", "new", show_nothing),
    ):
        with pytest.raises(HPOError, match=r"^the experiment 'toy' no longer exists$"):
            change()
