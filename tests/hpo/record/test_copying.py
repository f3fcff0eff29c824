"""A copy has all that counts of a study, and is none before it is whole."""

import json
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hpo.errors import InputError
from hpo.record.copying import Copying
from hpo.record.experiments import of_study
from hpo.record.owner import Owner
from hpo.record.tracking import Tracking
from hpo.record.values import Recorded
from hpo.search.best_so_far import Point
from hpo.trial import Progress, State, Trial, TrialId
from tests.fixtures import begin, client_of, result

if TYPE_CHECKING:
    from mlflow.entities import Run

# A process of this machine that has ended: no process began at its beginning.
GONE = replace(Owner.this_process(), began="1")
WRITES = (
    "create_experiment", "create_run", "log_batch", "set_terminated", "delete_run",
    "set_experiment_tag", "rename_experiment", "delete_experiment_tag",
)


@pytest.fixture
def record(folder: Path) -> Iterator[Tracking]:
    with closing(Tracking(f"sqlite:///{folder / 'mlflow.db'}")) as record:
        begin(record)
        yield record


def fill(record: Tracking) -> None:
    """Bring a study into every state that is read back."""
    study, client = record.study("toy"), client_of(record.uri)
    for number in range(1, 5):
        study.deliver("loss", result(number), again=False)
    study.deliver("loss", replace(
        result(5), state=State.FAILED, value=None, epoch=None, metrics=(), message="boom",
        output="so it said\n",
    ), again=False)
    recorded = read(record, "toy")
    client.delete_run(recorded.runs[TrialId(1, 2)])
    for number in (6, 7):
        trial = Trial(1, number, {"learning_rate": 0.5}, number)
        study.show(Progress(trial, 2, 0.0, "", ({"loss": 0.5},)))
    study.abandon(trial, 2)
    study.claim(print)
    study.start_group("confirmation")
    study.deliver("loss", replace(result(1), trial=replace(result(1).trial, repeat=1)), again=False)
    study.end_group("confirmation", "as it came out", {"mean": 0.25})
    study.start_group("extension")
    longer = replace(result(1).trial, extended_to=200)
    study.deliver("loss", replace(result(1), trial=longer), again=False)
    study.end_group("extension", "it went on", {})
    study.show_best(recorded.rounds[0].run_id, "loss", [Point(1, 0.5, 1.0), Point(2, 0.25, 2.0)])
    study.release()


def read(record: Tracking, name: str) -> Recorded:
    recorded = record.study(name).read()
    assert recorded is not None
    return recorded


def without_ids(recorded: Recorded) -> Recorded:
    return replace(
        recorded, experiment_id="", name="",
        rounds=tuple(replace(r, run_id="") for r in recorded.rounds),
        runs=dict.fromkeys(sorted(recorded.runs), ""),
        attempts={t: a._replace(run_id="") for t, a in recorded.attempts.items()},
        followed_attempts={
            t: a._replace(run_id="") for t, a in recorded.followed_attempts.items()
        },
    )


def show_nothing(done: int, total: int) -> None:
    pass


def runs_of(record: Tracking, name: str) -> "dict[str, Run]":
    """Return the runs of a study that count, by their names."""
    found = client_of(record.uri).search_runs([read(record, name).experiment_id])
    return {run.info.run_name or "": run for run in found}


def test_a_copy_is_read_as_the_study_is(record: Tracking) -> None:
    fill(record)
    shown: list[tuple[int, int]] = []
    record.copy("toy", "new", lambda *counts: shown.append(counts))
    assert shown[0] == (0, 11)
    assert shown[-1] == (11, 11)
    old, new = read(record, "toy"), read(record, "new")
    assert repr(without_ids(new)) == repr(without_ids(old))
    assert [r.trial.number for r in new.results] == [1, 3, 4, 5]
    assert [r.trial.number for r in new.deleted] == [2]
    assert list(new.attempts) == [TrialId(1, 6)]
    assert len(new.repeats) == 1
    assert [r.trial.extended_to for r in new.extensions] == [200]
    assert not {r.run_id for r in new.rounds} & {r.run_id for r in old.rounds}
    assert {name for name, _ in record.studies()} == {"toy", "new"}
    same_in_the_ui(record, runs_of(record, "toy"), runs_of(record, "new"))


def same_in_the_ui(record: Tracking, old: "dict[str, Run]", new: "dict[str, Run]") -> None:
    client = client_of(record.uri)
    assert old.keys() == new.keys()
    ids = {old[name].info.run_id: new[name].info.run_id for name in old}
    for name, before in old.items():
        after = new[name]
        same = ("status", "start_time", "end_time", "lifecycle_stage")
        assert [getattr(after.info, n) for n in same] == [getattr(before.info, n) for n in same]
        for metric in before.data.metrics:
            points = [
                [(m.step, m.value, m.timestamp) for m in client.get_metric_history(i, metric)]
                for i in (before.info.run_id, after.info.run_id)
            ]
            assert points[0] == points[1]
        tags = dict(before.data.tags)
        for tag in ("mlflow.parentRunId", "of"):  # they lead to other runs
            if tag in tags:
                tags[tag] = ids[tags[tag]]
        left = {"mlflow.note.content", "released"}
        assert {n: v for n, v in after.data.tags.items() if n not in left} == {
            n: v for n, v in tags.items() if n not in left
        }
        params = {n: v for n, v in before.data.params.items() if not n.startswith("owner")}
        assert after.data.params == params
        listed = [
            [file.path for file in client.list_artifacts(run.info.run_id)]
            for run in (before, after)
        ]
        assert listed[0] == listed[1]
    page = f"#/experiments/{read(record, 'new').experiment_id}/runs/{new['round 1'].info.run_id}"
    assert page in new["r1 t1"].data.tags["mlflow.note.content"]
    assert "owner 1" in old["round 1"].data.params
    note = client.download_artifacts(new["round 1"].info.run_id, "note.txt")
    assert Path(note).read_text() == "text"
    tags = dict(record.studies())["new"]
    assert tags["mlflow.note.content"] == "a study"
    assert "copied_by" not in tags


def test_study_and_copy_go_their_own_ways(record: Tracking) -> None:
    fill(record)
    record.copy("toy", "new", show_nothing)
    failed = read(record, "new").runs[TrialId(1, 5)]
    record.study("new").deliver("loss", result(8), again=False)
    assert len(read(record, "new").results) == 5
    assert len(read(record, "toy").results) == 4
    record.delete("toy")
    record.purge("toy", show_nothing)
    assert record.study("new").output(failed) == ("so it said\n", True)


def names(record: Tracking) -> list[str]:
    return [e.name for e in client_of(record.uri).search_experiments() if e.name != "Default"]


@pytest.mark.parametrize("nth", [2, 6, -3, -2])
def test_a_copy_that_is_killed_is_no_study_and_is_made_anew(record: Tracking, nth: int) -> None:
    record.study("toy").deliver("loss", result(1), again=False)
    read(record, "toy")
    counted = breaking(record, nth=0)
    if nth < 0:  # so many writes before the last
        with closing(Tracking(record.uri)) as other:
            counted = breaking(other, nth=0)
            other.copy("toy", "first", show_nothing)
        nth += counted[0]
    doomed = Tracking(record.uri, GONE)
    breaking(doomed, nth)
    with pytest.raises(KeyboardInterrupt):
        doomed.copy("toy", "new", show_nothing)
    assert "new" not in dict(Tracking(record.uri).studies())
    left = [name for name in names(record) if name.startswith("new")]
    for name in left:
        assert Tracking(record.uri).contents(name) is not None
        with pytest.raises(InputError, match="is an incomplete copy"):
            Tracking(record.uri).study(name).read()
    again = Tracking(record.uri)
    again.copy("toy", "new", show_nothing)
    assert [name for name in names(record) if name.startswith("new")] == ["new"]
    assert repr(without_ids(read(again, "new"))) == repr(without_ids(read(again, "toy")))


def breaking(record: Tracking, nth: int) -> list[int]:
    """Let the n-th write to MLflow end the process; return how many there were, as they come."""
    client: Any = record._connection.mlflow()
    count = [0]

    def counting(write: Any) -> Any:
        def counted(*arguments: Any, **named: Any) -> Any:
            count[0] += 1
            if count[0] == nth:
                raise KeyboardInterrupt
            return write(*arguments, **named)

        return counted

    for name in WRITES:
        setattr(client, name, counting(getattr(client, name)))
    return count


def test_a_copy_that_fails_leaves_nothing(record: Tracking) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        record.copy("toy", "new", fail)
    assert names(record) == ["toy"]


def test_of_two_that_make_the_same_copy_one_does(record: Tracking) -> None:
    source = of_study(record._connection, "toy")
    assert source is not None

    def begin_another(done: int, total: int) -> None:
        if done == 0:
            said = f"^process {os.getpid()} on .* is copying .*'new'"
            with pytest.raises(InputError, match=said):
                Tracking(record.uri).copy("toy", "new", show_nothing)
        if done == total:  # another machine, of which nobody knows whether it still copies
            elsewhere = replace(Owner.this_process(), host="elsewhere")
            Copying(record._connection, source, elsewhere, print).make("other", show_nothing)

    record.copy("toy", "new", begin_another)
    with pytest.raises(InputError, match="a study 'other' already exists"):
        record.copy("toy", "other", show_nothing)
    assert sorted(names(record)) == ["new", "other", "toy"]


def test_models_and_what_names_them_are_those_of_the_copy(record: Tracking, folder: Path) -> None:
    client, recorded = client_of(record.uri), read(record, "toy")
    run = client.create_run(recorded.experiment_id, tags={"kind": "evaluation", "look": "1"})
    model = client.create_logged_model(recorded.experiment_id, "shop", run.info.run_id)
    (folder / "model").mkdir()
    (folder / "model" / "MLmodel").write_text(f"model_id: {model.model_id}\n")
    (folder / "model" / "weights").write_bytes(b"\xff\x00")
    client.log_model_artifacts(model.model_id, str(folder / "model"))
    client.finalize_logged_model(model.model_id, "READY")
    client.set_tag(run.info.run_id, "model", f"models:/{model.model_id}")
    client.log_text(run.info.run_id, json.dumps({"model": model.model_id}), "evaluation.json")
    client.set_terminated(run.info.run_id)
    record.copy("toy", "new", show_nothing)
    address = record.study("new").evaluations.model()
    (copied,) = client.search_logged_models([read(record, "new").experiment_id])
    assert address == f"models:/{copied.model_id}" != f"models:/{model.model_id}"
    (judged,) = client.search_runs([copied.experiment_id], "tags.kind = 'evaluation'")
    assert copied.source_run_id == judged.info.run_id
    assert [output.model_id for output in judged.outputs.model_outputs] == [copied.model_id]
    table = Path(client.download_artifacts(judged.info.run_id, "evaluation.json")).read_text()
    assert json.loads(table) == {"model": copied.model_id}
    inside = Path(copied.artifact_location.removeprefix("file://"))
    assert (inside / "MLmodel").read_text() == f"model_id: {copied.model_id}\n"
    assert (inside / "weights").read_bytes() == b"\xff\x00"
