"""The outbox keeps what it was given, through crashes and while the record is away."""

import json
import resource
import threading
import time
from pathlib import Path

import pytest

from hpo.errors import HPOError, InputError, RecordRefused, RecordUnavailable
from hpo.outbox import Delivery, Outbox
from hpo.trial import State, Trial, TrialResult
from hpo.workers import Progress


def result(number: int = 1, attempt: int = 1) -> TrialResult:
    trial = Trial(1, number, {"hidden_sizes": (5, 3), "learning_rate": 0.1 + 0.2}, seed=7)
    metrics = ({"loss": 0.1 * number}, {"loss": float("nan")})
    return TrialResult(trial, State.DIVERGED, metrics=metrics, attempt=attempt, message="한\n'")


def same(left: list[TrialResult], right: list[TrialResult]) -> bool:
    return repr(left) == repr(right) and [str(r.metrics[1]) for r in left] == [
        str(r.metrics[1]) for r in right
    ]


class SomeRecord:
    """A record that is away, refuses, or takes what it is given."""

    def __init__(self) -> None:
        self.taken: list[tuple[int, bool]] = []
        self.away = False
        self.refuses: set[int] = set()
        self.shown = 0

    def deliver(self, study: str, metric: str, result: TrialResult, *, again: bool) -> None:
        if self.away:
            raise RecordUnavailable("nobody there")
        if result.trial.number in self.refuses:
            raise RecordRefused("deleted")
        self.taken.append((result.trial.number, again))

    def show(self, study: str, progress: Progress) -> None:
        self.shown += 1
        raise RecordUnavailable("nobody there")

    def abandon(self, study: str, trial: Trial, attempt: int) -> None:
        raise RecordRefused("deleted")

    def keep(self, study: str) -> None:
        pass


def test_what_is_added_is_there_after_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "outbox.jsonl"
    outbox = Outbox(path)
    outbox.add(result(1))
    outbox.add(result(2))
    outbox.drop(outbox.waiting()[0])
    outbox.close()  # nothing is written on closing: the file is what a crash leaves
    with path.open("a") as file:
        file.write('{"result": {"trial"')  # a line that was cut off
    again = Outbox(path)
    assert same(again.waiting(), [result(2)])
    again.add(result(3))
    again.close()
    assert same(Outbox(path).waiting(), [result(2), result(3)])


def test_it_is_private_and_empty_once_all_is_delivered(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.jsonl")
    outbox.add(result())
    assert outbox.path.stat().st_mode & 0o777 == 0o600
    assert outbox.path.stat().st_size > 0
    outbox.drop(result())
    assert outbox.path.stat().st_size == 0


def test_only_one_process_has_it(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.jsonl")
    with pytest.raises(InputError, match="another process runs this study"):
        Outbox(tmp_path / "outbox.jsonl")
    outbox.close()
    Outbox(tmp_path / "outbox.jsonl").close()


def test_a_full_disk_leaves_no_half_of_a_line(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.jsonl")
    outbox.add(result(1))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    room = outbox.path.stat().st_size + 50  # for a part of the next line
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        with pytest.raises(HPOError, match=r"outbox.jsonl: .*; make room"):
            outbox.add(result(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    outbox.add(result(3))
    outbox.close()
    assert same(Outbox(tmp_path / "outbox.jsonl").waiting(), [result(1), result(3)])


def test_results_wait_while_the_record_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpo.outbox.RETRY_SECONDS", (0.02,))
    outbox, record, notes = Outbox(tmp_path / "o.jsonl"), SomeRecord(), list[str]()
    record.away = True
    delivery = Delivery(outbox, record, "toy", "loss", notes.append)
    delivery.start()
    for number in range(1, 4):
        delivery.add(result(number))
    assert not delivery.finish(0.2)
    assert len(outbox.waiting()) == 3
    record.away = False
    assert delivery.finish(10)
    assert record.taken == [(1, True), (2, False), (3, False)]
    assert outbox.waiting() == []
    assert [("away" in notes[0]), notes[1]] == [True, "the record is back"]
    assert len(notes) == 2
    delivery.close()


def test_what_an_earlier_process_left_is_delivered_first_and_looked_for(tmp_path: Path) -> None:
    outbox, record = Outbox(tmp_path / "o.jsonl"), SomeRecord()
    outbox.add(result(5))
    delivery = Delivery(outbox, record, "toy", "loss", print)
    delivery.start()
    delivery.add(result(6))
    assert delivery.finish(10)
    assert record.taken == [(5, True), (6, False)]
    delivery.close()


def test_what_the_record_refuses_is_set_aside_and_said(tmp_path: Path) -> None:
    outbox, record, notes = Outbox(tmp_path / "o.jsonl"), SomeRecord(), list[str]()
    record.refuses = {1}
    delivery = Delivery(outbox, record, "toy", "loss", notes.append)
    delivery.start()
    delivery.add(result(1))
    delivery.add(result(2))
    assert delivery.finish(10)
    delivery.close()
    (line,) = (tmp_path / "o.refused.jsonl").read_text().splitlines()
    assert json.loads(line)["result"]["trial"]["number"] == 1
    assert record.taken == [(2, False)]
    assert len(notes) == 1
    assert str(tmp_path / "o.refused.jsonl") in notes[0]


def test_running_trials_are_shown_as_far_as_that_works(tmp_path: Path) -> None:
    record = SomeRecord()
    delivery = Delivery(Outbox(tmp_path / "o.jsonl"), record, "toy", "loss", print)
    delivery.start()
    delivery.show(Progress(result().trial, 1, time.time(), "here", ()))
    assert delivery.finish(10)
    delivery.close()
    assert record.shown == 1


def test_an_error_of_the_delivery_reaches_the_search(tmp_path: Path) -> None:
    class Takes(SomeRecord):
        def deliver(self, study: str, metric: str, result: TrialResult, *, again: bool) -> None:
            raise HPOError("somebody else has it")

    delivery = Delivery(Outbox(tmp_path / "o.jsonl"), Takes(), "toy", "loss", print)
    delivery.start()
    delivery.add(result())
    with pytest.raises(HPOError, match="somebody else"):
        delivery.finish(10)
    delivery.close()
    assert threading.active_count() < 20
