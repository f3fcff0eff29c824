"""Results are delivered once the record can take them, and nothing is forgotten."""

import contextlib
import json
import random
import shutil
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from hpo.distributions import FloatDistribution
from hpo.errors import (
    HPOError,
    RecordRefused,
    RecordReplaced,
    RecordUnavailable,
)
from hpo.record.delivery import Delivery
from hpo.record.outbox import Outbox
from hpo.record.tracking import Tracking
from hpo.record.values import RoundStart, Shown
from hpo.settings import fingerprint
from hpo.trial import Lost, Progress, State, Trial, TrialResult
from tests.fixtures import round_settings
from tests.fuzzing import examples
from tests.hpo.record.some_record import SomeRecord, result, same
from tests.processes import wait_for


@pytest.mark.parametrize("writers", [1, 4])
def test_results_of_a_round_that_is_not_on_record_count_for_the_same_trial_only(
    tmp_path: Path, writers: int
) -> None:
    path = tmp_path / "o.jsonl"
    before, (ours, others) = Outbox(path), (fingerprint({"seed": seed}) for seed in (1, 2))
    for number, settings in ((1, ours), (2, ours), (3, others), (4, ours)):
        before.add(result(number), settings)
    before.close()
    outbox, record, notes = Outbox(path), SomeRecord(writers), list[str]()
    assert outbox.take_up((), {}) == 0
    record.is_new = True
    delivery = Delivery(outbox, record, "loss", notes.append)
    delivery.start()
    assert delivery.finish(10)
    assert len(delivery.held) == 4
    record.is_new = False  # its round begins
    delivery.settings = ours
    assert same([delivery.reclaim(result(1).trial)], [result(1)])  # type: ignore[list-item]
    assert delivery.reclaim(replace(result(2).trial, seed=8)) is None
    assert delivery.reclaim(result(3).trial) is None
    assert delivery.reclaim(result(5).trial) is None
    assert delivery.finish(10)
    delivery.close()
    outbox.close()
    assert record.taken == [(1, True)]
    assert len((tmp_path / "o.refused.jsonl").read_text().splitlines()) == 2
    assert len(notes) == 2
    outbox = Outbox(path)
    assert same(outbox.waiting(), [result(4)])  # it did not come up
    assert outbox.take_up((), {1: others}) == 1  # a round of the same number with other settings
    assert len(outbox) == 0


def deliver(delivery: Delivery, number: int) -> None:
    """Hand in a result and wait for it: either may raise what ended the delivery."""
    delivery.add(result(number))
    delivery.finish(10)


@pytest.mark.parametrize("writers", [1, 4])
def test_nothing_is_forgotten_when_the_record_was_replaced(tmp_path: Path, writers: int) -> None:
    outbox, record, notes = Outbox(tmp_path / "o.jsonl"), SomeRecord(writers), list[str]()
    delivery = Delivery(outbox, record, "loss", notes.append)
    delivery.start()
    delivery.add(result(1))
    assert delivery.finish(10)
    record.replaced = True
    record.refuses = {2}  # it does not know the study
    with pytest.raises(RecordReplaced, match=r"the record was replaced; results stay in .*o.jsonl"):
        deliver(delivery, 2)
    delivery.close()
    outbox.close()
    assert len(Outbox(tmp_path / "o.jsonl")) == 2
    assert notes == []


@pytest.mark.parametrize("writers", [1, 4])
def test_results_wait_while_the_record_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writers: int
) -> None:
    monkeypatch.setattr("hpo.record.delivery.RETRY_SECONDS", (0.02,))
    outbox, record, notes = Outbox(tmp_path / "o.jsonl"), SomeRecord(writers), list[str]()
    record.away = True
    delivery = Delivery(outbox, record, "loss", notes.append)
    delivery.start()
    for number in range(1, 4):
        delivery.add(result(number))
    assert not delivery.finish(0.2)
    assert len(outbox.waiting()) == 3
    record.away = False
    assert delivery.finish(10)
    again = dict(record.taken)
    assert (len(record.taken), set(again), again[1]) == (3, {1, 2, 3}, True)
    assert writers > 1 or record.taken == [(1, True), (2, False), (3, False)]
    assert outbox.waiting() == []
    assert [("unavailable" in notes[0]), notes[1]] == [True, "the record is back"]
    assert len(notes) == 2
    delivery.close()


def test_what_an_earlier_process_left_is_delivered_first_and_looked_for(tmp_path: Path) -> None:
    outbox, record = Outbox(tmp_path / "o.jsonl"), SomeRecord()
    outbox.add(result(5))
    delivery = Delivery(outbox, record, "loss", print)
    delivery.start()
    delivery.add(result(6))
    assert delivery.finish(10)
    assert record.taken == [(5, True), (6, False)]
    delivery.close()


@pytest.mark.parametrize("writers", [1, 4])
def test_what_the_record_refuses_is_set_aside_and_said(tmp_path: Path, writers: int) -> None:
    outbox, record, notes = Outbox(tmp_path / "o.jsonl"), SomeRecord(writers), list[str]()
    record.refuses = {1}
    delivery = Delivery(outbox, record, "loss", notes.append)
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


@pytest.mark.parametrize("writers", [1, 4])
def test_one_that_fails_again_and_again_does_not_keep_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writers: int
) -> None:
    class Fails(SomeRecord):
        tries = 0

        def deliver(self, metric: str, result: TrialResult, *, again: bool) -> None:
            if result.trial.number == 3:
                self.tries += 1
                raise RecordUnavailable("what?") if self.tries < 5 else RecordRefused("what?")
            super().deliver(metric, result, again=again)

    monkeypatch.setattr("hpo.record.delivery.RETRY_SECONDS", (0.01,))
    outbox, record, notes = Outbox(tmp_path / "o.jsonl"), Fails(writers), list[str]()
    delivery = Delivery(outbox, record, "loss", notes.append)
    for number in range(1, 30):
        delivery.add(result(number))
    delivery.start()
    assert delivery.finish(10)
    delivery.close()
    assert sorted(number for number, _ in record.taken) == [n for n in range(1, 30) if n != 3]
    assert len((tmp_path / "o.refused.jsonl").read_text().splitlines()) == 1
    assert [note.split(" (")[0] for note in notes] == [
        "the record is unavailable", "the record rejected a result", "the record is back",
    ]  # fmt: skip


def mutated(file: bytes, chance: random.Random) -> bytes:
    """Return an outbox with some of its bytes, lines or values changed."""
    for _ in range(chance.randint(1, 4)):
        lines = file.split(b"\n")
        at, kind = chance.randrange(len(file) + 1), chance.randrange(6)
        if kind == 0:
            file = file[:at] + bytes(chance.choices(range(256), k=chance.randint(1, 9))) + file[at:]
        elif kind == 1:
            file = file[:at] + file[at + chance.randint(1, 300) :]
        elif kind == 2:
            chance.shuffle(lines)
            file = b"\n".join(lines)
        elif kind == 3:
            file = b"\n".join([*lines, chance.choice(lines)])
        elif kind == 4:
            file = file[:at]
        else:
            place = chance.randrange(len(lines))
            with contextlib.suppress(ValueError):
                entry = json.loads(lines[place])
                table = entry.get("result", entry)
                table = chance.choice([table, table.get("trial", table)])
                table[chance.choice(list(table))] = chance.choice(
                    [None, True, -1, 0, 1e999, 2**80, "", "\x00", [], [1], {}, {"a": 1}, "\ud800"]
                )
                lines[place] = json.dumps(entry).encode()
            file = b"\n".join(lines)
    return file


@pytest.fixture(scope="module")
def real_record(
    tmp_path_factory: pytest.TempPathFactory, empty_database: Path
) -> Tracking:
    path = tmp_path_factory.mktemp("record") / "mlflow.db"
    shutil.copy(empty_database, path)
    return Tracking(f"sqlite:///{path}")


@pytest.mark.parametrize("seed", range(examples(10, 200)))
def test_of_any_file_the_good_lines_are_delivered(
    seed: int, tmp_path: Path, real_record: Tracking
) -> None:
    chance, record, study = random.Random(seed), real_record, f"toy {seed}"
    path = tmp_path / "o.jsonl"
    lines = [json.dumps({"result": asdict(complete(n))}) for n in range(1, 6)]
    lines.insert(3, '{"delivered": [1, 2, 0, false, 1]}')
    path.write_bytes(mutated("".join(f"{line}\n" for line in lines).encode(), chance))
    before = path.read_bytes().split(b"\n")
    record.study(study).create("a study", {}, Shown((), "loss", "minimize"))
    space = {"rate": FloatDistribution(0.0, 1.0)}
    record.study(study).start_round(RoundStart(1, space, round_settings(search_space=space)))
    outbox, notes = Outbox(path), list[str]()
    waiting = outbox.waiting()
    delivery = Delivery(outbox, record.study(study), "loss", notes.append)
    delivery.start()
    assert delivery.finish(60)
    delivery.close()
    assert outbox.waiting() == []
    recorded = record.study(study).read()
    assert recorded is not None
    aside = [tmp_path / f"o.{kind}.jsonl" for kind in ("damaged", "refused")]
    damaged, refused = ([*p.read_bytes().split(b"\n")] if p.exists() else [b""] for p in aside)
    assert bool(outbox.damage) == (damaged != [b""])
    assert len(notes) == len(refused) - 1
    assert len(recorded.results) + len(notes) == len(waiting)
    assert set(damaged) <= {*before, b""}
    untouched = {line.encode() for line in lines if '"result"' in line} & set(before)
    numbers = {json.loads(line)["result"]["trial"]["number"] for line in untouched}
    if lines[3].encode() in before:
        numbers -= {2}
    known = {r.trial.number for r in recorded.results}
    assert numbers <= known | {r.trial.number for r in waiting}


def complete(number: int) -> TrialResult:
    trial = Trial(1, number, {"rate": 0.5}, seed=7)
    return TrialResult(trial, State.COMPLETE, 0.5, 1, ({"loss": 0.5},), started=1.7e9)


def test_running_trials_are_shown_as_far_as_that_works(tmp_path: Path) -> None:
    record = SomeRecord()
    delivery = Delivery(Outbox(tmp_path / "o.jsonl"), record, "loss", print)
    delivery.start()
    delivery.show(Progress(result().trial, 1, time.time(), "here", ()))
    assert delivery.finish(10)
    assert delivery.is_alive()
    delivery.close()
    assert not delivery.is_alive()
    assert record.shown == 1


def test_the_record_gets_a_sign_of_life_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox, record = Outbox(tmp_path / "o.jsonl"), SomeRecord()
    delivery = Delivery(outbox, record, "loss", print)
    delivery.start()
    for number in range(1, 9):
        delivery.add(result(number))
    assert delivery.finish(10)
    delivery.close()
    assert record.kept <= 1  # not with each result
    monkeypatch.setattr("hpo.record.delivery.HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr("hpo.record.delivery.ASK_SECONDS", 0.05)
    delivery = Delivery(outbox, record, "loss", print)
    delivery.start()
    wait_for(lambda: record.kept > 3, seconds=10)
    delivery.close()


def test_an_error_of_the_delivery_reaches_the_search(tmp_path: Path) -> None:
    class Takes(SomeRecord):
        def deliver(self, metric: str, result: TrialResult, *, again: bool) -> None:
            raise HPOError("somebody else has it")

    outbox = Outbox(tmp_path / "o.jsonl")
    delivery = Delivery(outbox, Takes(), "loss", print)
    delivery.start()
    with pytest.raises(HPOError, match="somebody else"):
        deliver(delivery, 1)
    with pytest.raises(HPOError, match="somebody else"):
        delivery.add(result(2))
    delivery.close()
    assert not delivery.is_alive()
    assert [r.trial.number for r in outbox.waiting()] == [1, 2]


def delivering(
    folder: Path, record: SomeRecord, monkeypatch: pytest.MonkeyPatch
) -> tuple[Outbox, Delivery, list[str]]:
    """Return a delivery to a record that begins, and its outbox and notes."""
    monkeypatch.setattr("hpo.record.delivery.RETRY_SECONDS", (0.02, 0.03))
    outbox, notes = Outbox(folder / "o.jsonl"), list[str]()
    delivery = Delivery(outbox, record, "loss", notes.append)
    delivery.start()
    return outbox, delivery, notes


@pytest.mark.parametrize("writers", [1, 4])
def test_what_is_said_names_the_reason_and_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writers: int
) -> None:
    record = SomeRecord(writers)
    record.away, record.refuses = True, {2}
    outbox, delivery, notes = delivering(tmp_path, record, monkeypatch)
    delivery.add(result(1))
    delivery.add(result(2))
    wait_for(lambda: notes, seconds=10)
    time.sleep(0.1)  # for more tries
    delivery.show(Progress(result().trial, 1, time.time(), "here", ()))  # left out meanwhile
    record.away = False
    assert delivery.finish(10)
    delivery.close()
    assert notes == [
        f"the record is unavailable (nobody there); results wait in {outbox.path}",
        "the record is back",
        f"the record rejected a result (deleted); it was set aside in {tmp_path}/o.refused.jsonl",
    ]
    assert (record.taken, record.shown) == ([(1, True)], 0)


def test_a_record_that_is_away_since_it_was_replaced_stops_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = SomeRecord()
    record.away = record.replaced = True
    outbox, delivery, notes = delivering(tmp_path, record, monkeypatch)
    with pytest.raises(RecordReplaced, match=r"^the record was replaced; results stay in .*jsonl$"):
        deliver(delivery, 1)
    delivery.close()
    assert (notes, len(outbox.waiting())) == ([], 1)


def test_that_a_record_was_replaced_is_seen_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = SomeRecord()
    outbox, delivery, _ = delivering(tmp_path, record, monkeypatch)
    delivery.add(result(1))
    assert delivery.finish(10)
    record.replaced = True
    with pytest.raises(RecordReplaced, match=r"the record was replaced; results stay in .*jsonl"):
        delivery.close()
    assert len(outbox) == 1


def test_what_is_deleted_on_record_is_dropped_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Outbox(tmp_path / "o.jsonl")
    before.add(result(1))
    before.drop(result(1))
    before.close()
    record, notes = SomeRecord(), list[str]()
    record.refuses = {1}
    outbox = Outbox(tmp_path / "o.jsonl")
    outbox.take_up((), {})
    delivery = Delivery(outbox, record, "loss", notes.append)
    delivery.start()
    assert delivery.finish(10)
    delivery.close()
    assert (notes, len(outbox)) == ([], 0)
    assert not (tmp_path / "o.refused.jsonl").exists()


def test_attempts_are_abandoned_and_trials_not_shown_where_much_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpo.record.delivery.SHOWN", 2)
    record = SomeRecord()
    delivery = Delivery(Outbox(tmp_path / "o.jsonl"), record, "loss", print)
    for _ in range(5):  # before it begins, so that they wait
        delivery.show(Progress(result().trial, 1, time.time(), "here", ()))
    delivery.abandon(Lost(result(7).trial, 2, "killed"))
    delivery.start()
    assert delivery.finish(10)
    delivery.close()
    assert (record.shown, record.abandoned) == (2, [(7, 2)])


@pytest.mark.parametrize("writers", [1, 4])
def test_the_search_waits_where_a_record_that_answers_is_far_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writers: int
) -> None:
    monkeypatch.setattr("hpo.record.delivery.BACKLOG", 1)

    class Slow(SomeRecord):
        def deliver(self, metric: str, result: TrialResult, *, again: bool) -> None:
            time.sleep(0.02)
            super().deliver(metric, result, again=again)

    monkeypatch.setattr("hpo.record.delivery.LANE", 1)
    _, delivery, _ = delivering(tmp_path, record := Slow(writers), monkeypatch)
    for number in range(1, 12):
        delivery.add(result(number))
    assert len(record.taken) >= 4
    assert delivery.finish(10)
    delivery.close()
