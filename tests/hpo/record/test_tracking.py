"""What is written to MLflow is read back, once, whatever went wrong between."""

import json
import math
import time
from pathlib import Path
from typing import Any

import pytest

from hpo.data.loading import Description
from hpo.distributions import CategoricalDistribution, FloatDistribution, IntegerDistribution
from hpo.errors import InputError, RecordRefused, RecordUnavailable
from hpo.record.owner import Owner
from hpo.record.tracking import Tracking
from hpo.record.values import RoundStart, Shown
from hpo.search.best_so_far import Point
from hpo.trial import Progress, State, Trial, TrialId, TrialResult
from tests.fixtures import client_of, round_settings

SPACE = {
    "learning_rate": FloatDistribution(1e-6, 1e-2, log=True, limits=(1e-8, 10.0)),
    "batch_size": IntegerDistribution(16, 256, log=True),
    "hidden_sizes": CategoricalDistribution(((50,), (100, 100))),
}
SETTINGS = round_settings(
    metric="accuracy", direction="maximize", environment={"python": "3.11"}, search_space=SPACE
)
DATA = Description(
    source="digits", task="classification", target=None, scale="range", rows={"training": 5},
    shape=(64,), features=(), classes={}, digest="0123456789abcdef",
)
VALUES = {"learning_rate": 0.1 + 0.2, "batch_size": 32, "hidden_sizes": (100, 100)}


@pytest.fixture
def record(folder: Path) -> Tracking:
    return Tracking(f"sqlite:///{folder / 'mlflow.db'}")


def begin(record: Tracking, study: str = "toy", number: int = 1, **changes: Any) -> str:
    """Begin a study and a round; return the id of the round's run."""
    record.study(study).create(
        "a study", {"objective": "toy:quadratic"},
        Shown(("learning_rate",), "accuracy", "maximize"), again=True,
    )
    arguments: dict[str, Any] = {
        "decisions": [], "params": {"epochs": "5"}, "data": DATA, "files": {"a.toml": "x"},
    }
    arguments |= changes
    start = RoundStart(number, SPACE, SETTINGS, **arguments)
    return record.study(study).start_round(start).run_id


def result(number: int, state: State = State.COMPLETE, epochs: int = 3) -> TrialResult:
    trial = Trial(1, number, VALUES, seed=4_000_000_000)
    metrics = [{"accuracy": 0.1 * e + number / 3, "loss": 1 / e} for e in range(1, epochs + 1)]
    if state is State.DIVERGED:
        metrics[-1] = {"accuracy": 0.25, "loss": math.inf}
    has_value = state in (State.COMPLETE, State.PRUNED, State.STOPPED)
    return TrialResult(
        trial, state, metrics[-1]["accuracy"] if has_value else None,
        epochs if has_value else None, metrics, 2, 1_700_000_000.25, 1.5, "somewhere:1",
        "Traceback\nboom" if state is State.FAILED else "",
    )


def test_results_come_back_to_the_last_digit(record: Tracking) -> None:
    begin(record)
    written = [result(n, state) for n, state in enumerate(State, start=1)]
    for r in written:
        record.study("toy").deliver("accuracy", r, again=False)
    recorded = record.study("toy").read()
    assert recorded is not None
    assert recorded.rounds[0].search_space == SPACE
    assert len(recorded.results) == len(State)
    for before, after in zip(written, recorded.results, strict=True):
        assert after.trial == before.trial
        assert after.curve("accuracy") == before.curve("accuracy")
        same = ("state", "value", "epoch", "attempt", "started", "seconds", "place", "message")
        assert [getattr(after, n) for n in same] == [getattr(before, n) for n in same]
        if before.state is not State.DIVERGED:
            assert after.metrics[-1] == before.metrics[-1]
    (diverged,) = (r for r in recorded.results if r.state is State.DIVERGED)
    assert math.isnan(diverged.metrics[-1]["loss"])  # not 1.8e308


def test_the_ui_finds_what_a_person_looks_for(record: Tracking, folder: Path) -> None:
    round_run = begin(record)
    record.study("toy").deliver("accuracy", result(17), again=False)
    client = client_of(record.uri)
    experiment = client.get_experiment_by_name("toy")
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    assert "params.`learning_rate`" in experiment.tags["mlflow.sharedViewState.trials"]
    assert experiment.artifact_location == (folder / "mlartifacts").as_uri()
    above, trial = client.search_runs([experiment.experiment_id], order_by=["tags.kind"])
    assert (above.info.run_name, trial.info.run_name) == ("round 1", "r1 t17")
    assert trial.data.tags["mlflow.parentRunId"] == round_run
    assert trial.info.status == "FINISHED"
    assert (trial.info.start_time, trial.info.end_time) == (1_700_000_000_250, 1_700_000_001_750)
    assert float(trial.data.params["learning_rate"]) == 0.1 + 0.2
    history = client.get_metric_history(trial.info.run_id, "loss")
    assert [(m.step, m.value) for m in history] == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    assert above.data.params["learning_rate.low"] == "1e-06"
    assert above.inputs.dataset_inputs[0].dataset.digest == DATA.digest
    assert [f.path for f in client.list_artifacts(round_run)] == ["a.toml"]


def test_a_long_curve_fills_several_tags(record: Tracking) -> None:
    begin(record)
    long = result(1, epochs=1500)
    record.study("toy").deliver("accuracy", long, again=False)
    recorded = record.study("toy").read()
    assert recorded is not None
    assert recorded.results[0].curve("accuracy") == long.curve("accuracy")


def test_delivered_again_is_recorded_once(record: Tracking) -> None:
    begin(record)
    for _ in range(3):
        record.study("toy").deliver("accuracy", result(1), again=True)
    client = client_of(record.uri)
    runs = client.search_runs([record.study("toy").experiment() or ""], "tags.kind = 'trial'")
    assert len(runs) == 1
    assert len(client.get_metric_history(runs[0].info.run_id, "loss")) == 3


@pytest.mark.parametrize("broken", ["log_batch", "set_terminated"])
def test_what_broke_off_inside_a_delivery_is_completed(record: Tracking, broken: str) -> None:
    begin(record)

    def fail(*_: object, **__: object) -> None:
        raise ConnectionError("gone")

    setattr(record._connection.client, broken, fail)
    with pytest.raises(RecordUnavailable, match="gone"):
        record.study("toy").deliver("accuracy", result(1), again=False)
    later = Tracking(record.uri)
    before = later.study("toy").read()
    assert before is not None
    assert before.results == ()  # a half-written trial does not count
    later.study("toy").deliver("accuracy", result(1), again=True)
    after = later.study("toy").read()
    assert after is not None
    assert [(r.trial.number, r.metrics[-1]) for r in after.results] == [(1, result(1).metrics[-1])]
    assert after.attempts == {}


def test_running_trials_can_be_watched_and_are_not_logged_twice(record: Tracking) -> None:
    begin(record)
    whole = result(1, epochs=4)
    for epochs in (1, 3):
        shown = whole.metrics[:epochs]
        record.study("toy").show(Progress(whole.trial, 2, whole.started, "somewhere:1", shown))
    client = client_of(record.uri)
    (run,) = client.search_runs([record.study("toy").experiment() or ""], "tags.kind = 'trial'")
    assert run.info.status == "RUNNING"
    assert len(client.get_metric_history(run.info.run_id, "loss")) == 3
    recorded = record.study("toy").read()
    assert recorded is not None
    assert recorded.results == ()
    assert recorded.attempts == {TrialId(1, 1): (2, run.info.run_id)}
    record.study("toy").deliver("accuracy", whole, again=False)
    (run,) = client.search_runs([record.study("toy").experiment() or ""], "tags.kind = 'trial'")
    assert run.info.status == "FINISHED"
    steps = sorted(m.step for m in client.get_metric_history(run.info.run_id, "loss"))
    assert steps == [1, 2, 3, 4]


def test_deleted_runs_no_longer_count_and_are_refused(record: Tracking) -> None:
    round_run = begin(record)
    for number in (1, 2, 3):
        record.study("toy").deliver("accuracy", result(number), again=False)
    recorded = record.study("toy").read()
    assert recorded is not None
    client = client_of(record.uri)
    client.delete_run(recorded.runs[TrialId(1, 2)])
    recorded = record.study("toy").read()
    assert recorded is not None
    assert [r.trial.number for r in recorded.results] == [1, 3]
    (deleted,) = recorded.deleted
    assert (deleted.trial.number, deleted.state) == (2, State.FAILED)
    assert deleted.trial.hyperparameters == VALUES
    with pytest.raises(RecordRefused):
        record.study("toy").deliver("accuracy", result(2), again=True)
    client.delete_run(round_run)
    recorded = record.study("toy").read()
    assert recorded is not None
    assert (recorded.rounds, recorded.results) == ((), ())
    with pytest.raises(RecordRefused):
        Tracking(record.uri).study("toy").deliver("accuracy", result(4), again=False)


def test_without_a_round_there_is_nothing_to_claim_yet(record: Tracking) -> None:
    client_of(record.uri).delete_run(begin(record))
    study = Tracking(record.uri).study("toy")
    assert study.read() is not None
    study.claim(print)
    study.keep()
    study.release()


def test_attempts_that_were_discarded_leave_no_spent_number(record: Tracking) -> None:
    begin(record)
    trial = result(1).trial
    record.study("toy").show(Progress(trial, 1, 0.0, "", ({"accuracy": 0.5},)))
    record.study("toy").abandon(trial, 1)
    recorded = record.study("toy").read()
    assert recorded is not None
    assert (recorded.results, recorded.deleted, recorded.attempts) == ((), (), {})


def test_deleted_and_foreign_experiments_are_errors_with_a_remedy(record: Tracking) -> None:
    begin(record)
    client = client_of(record.uri)
    client.create_experiment("theirs")
    with pytest.raises(InputError, match="not an hpo study; give the study another name"):
        record.study("theirs").experiment()
    client.delete_experiment(record.study("toy").experiment() or "")
    with pytest.raises(InputError, match="mlflow experiments restore --experiment-id"):
        Tracking(record.uri).study("toy").experiment()


def test_many_runs_are_read_page_by_page(
    record: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpo.record.connection.PAGE", 4)
    begin(record)
    for number in range(1, 12):
        record.study("toy").deliver("accuracy", result(number), again=False)
    recorded = record.study("toy").read()
    assert recorded is not None
    assert [r.trial.number for r in recorded.results] == list(range(1, 12))


def test_of_two_that_begin_a_study_at_the_same_moment_one_goes_on(record: Tracking) -> None:
    other = Tracking(record.uri)
    assert record.study("toy").read() is None
    assert other.study("toy").read() is None  # so both will create it
    begin(record)
    with pytest.raises(InputError, match="same moment"):
        other.study("toy").create("a study", {}, Shown((), "loss", "minimize"))
    record.study("toy").claim(print)
    assert len(other.study("toy").read().rounds) == 1  # type: ignore[union-attr]


def test_one_process_claims_a_study(record: Tracking) -> None:
    begin(record)
    record.study("toy").claim(print)
    other = Tracking(record.uri)
    other.study("toy").read()
    with pytest.raises(InputError, match=r"process \d+ on .* is running this study"):
        other.study("toy").claim(print)
    record.study("toy").keep()
    record.study("toy").release()
    other.study("toy").claim(print)


def test_a_claim_of_a_dead_process_is_taken_at_once(record: Tracking) -> None:
    run = begin(record)
    record.study("toy").claim(print)
    client = client_of(record.uri)
    owner = json.loads(client.get_run(run).data.params["owner 1"])
    client.log_param(run, "owner 2", json.dumps(owner | {"began": "1"}))  # an earlier process
    other = Tracking(record.uri)
    other.study("toy").read()
    other.study("toy").claim(print)
    with pytest.raises(Exception, match="took over this study"):
        record.study("toy").keep()


def test_the_record_says_who_runs_a_study_and_how_its_results_fare(record: Tracking) -> None:
    begin(record)
    study = record.study("toy")
    before = study.read()
    assert before is not None
    assert before.service is None
    study.claim(print)
    study.keep(3, 1)
    running = study.read()
    assert running is not None
    assert running.service is not None
    assert running.service.owner.by == Owner.this_process().by
    assert (running.service.waiting, running.service.aside) == (3, 1)
    assert 0 <= time.time() - (running.service.beat or 0) < 60
    study.keep(0, 1)
    later = study.read()
    assert later is not None
    assert later.service is not None
    assert later.service.waiting == 0
    study.release()
    after = study.read()
    assert after is not None
    assert after.service is None



def test_a_claim_from_elsewhere_is_taken_when_its_heart_stands_still(
    record: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpo.record.claim.HEARTBEAT_STANDS", 1.0)
    run = begin(record)
    client = client_of(record.uri)
    owner = {"host": "elsewhere", "process": 1, "began": "1", "since": 0.0}
    client.log_param(run, "owner 1", json.dumps(owner))
    notes: list[str] = []
    original = record._connection.client.get_run

    def get_run(run_id: str) -> Any:
        found = original(run_id)
        client.set_tag(run_id, "heartbeat", found.data.tags.get("heartbeat", "") + "x")
        return found

    record._connection.client.get_run = get_run  # type: ignore[method-assign]
    with pytest.raises(InputError, match="elsewhere"):
        record.study("toy").claim(notes.append)
    record._connection.client.get_run = original  # type: ignore[method-assign]
    record.study("toy").claim(notes.append)
    assert "waiting 1 s for a heartbeat" in notes[0]


def test_a_server_that_is_not_there_is_said_at_once() -> None:
    with pytest.raises(RecordUnavailable, match=r"no MLflow server .*127.0.0.1:9") as raised:
        Tracking("http://user:secret@127.0.0.1:9")
    assert "secret" not in str(raised.value)


def test_the_best_so_far_is_seen_while_a_round_runs_and_kept_once(record: Tracking) -> None:
    run_id = begin(record)
    points = [Point(1, 0.5, 1000.25), Point(3, 0.5, 1003.0), Point(4, 0.75, 1004.0)]
    client = client_of(record.uri)

    def kept() -> list[tuple[int, float, int]]:
        history = client.get_metric_history(run_id, "best_accuracy")
        return sorted((m.step, m.value, m.timestamp) for m in history)

    record.study("toy").show_best(run_id, "accuracy", points[:1])
    assert kept() == [(1, 0.5, 1_000_250)]
    assert client.get_run(run_id).info.status == "RUNNING"
    record.study("toy").show_best(run_id, "accuracy", points)  # by a process that goes on
    record.study("toy").end_round(run_id, "accuracy", points, {"complete": "4"})
    assert kept() == [(p.step, p.value, int(p.when * 1000)) for p in points]
    assert client.get_run(run_id).info.status == "FINISHED"
