"""Several writers at a time, through a real server: everything once, and each trial in order."""

import contextlib
import json
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hpo.distributions import FloatDistribution
from hpo.parts import Partition
from hpo.record.delivery import Delivery
from hpo.record.outbox import Outbox
from hpo.record.process import RecordProcess
from hpo.record.tracking import Tracking
from hpo.record.values import Recorded, RoundStart, Shown
from hpo.record.writing import Best, Entry, Finished, in_lanes
from hpo.trial import Lost, Progress, TrialResult
from tests.deaths import die_at
from tests.fixtures import begin, client_of, result, round_settings
from tests.processes import fork
from tests.server import Server


def test_what_is_about_one_trial_stays_in_its_order() -> None:
    chance = random.Random(0)
    trials = [result(number).trial for number in range(1, 9)]
    entries: list[Entry] = []
    for attempt in range(1, 200):
        trial = replace(chance.choice(trials), part=chance.randrange(3))
        entries.append(chance.choice([
            Finished(replace(result(1), trial=trial)), Progress(trial, attempt, 0.0, "here", ()),
            Lost(trial, attempt, "killed"), Best("a run", ()),
        ]))
    for count in (1, 4, 99):
        lanes = in_lanes(entries, count)
        assert len(lanes) <= count
        places = {id(entry): place for place, entry in enumerate(entries)}
        found = [[places[id(entry)] for entry in lane] for lane in lanes]
        assert sorted(place for lane in found for place in lane) == list(range(len(entries)))
        assert all(lane == sorted(lane) for lane in found)
        assert all(Counter(map(_about, lane)).keys().isdisjoint(map(_about, other))
                   for lane in lanes for other in lanes if other is not lane)
    assert min(len(lane) for lane in in_lanes(entries, 4)) > 20  # each has its share


def _about(entry: Entry) -> object:
    if isinstance(entry, Best):
        return "best"
    return (entry.result if isinstance(entry, Finished) else entry).trial.number


@pytest.fixture
def process(server: Server) -> Iterator[RecordProcess]:
    process = RecordProcess(server.uri)
    yield process
    process.close()


def read(server: Server) -> Recorded:
    """Read the study as another process would."""
    recorded = Tracking(server.uri).study("toy").read()
    assert recorded is not None
    return recorded


def attempts(server: Server) -> Counter[tuple[str, ...]]:
    """Return how many runs each attempt has, and whether they are deleted."""
    from mlflow.entities import ViewType

    experiment = read(server).experiment_id
    runs = client_of(server.uri).search_runs([experiment], "", ViewType.ALL)
    return Counter(
        (run.data.tags["number"], run.data.tags.get("part", "0"), run.data.tags["attempt"],
         run.info.status, run.info.lifecycle_stage)
        for run in runs if run.data.tags["kind"] in ("trial", "part")
    )  # fmt: skip


def test_all_is_written_once_and_what_was_shown_before_its_result(
    process: RecordProcess, server: Server, tmp_path: Path
) -> None:
    begin(process)
    record, notes = process.study("toy"), list[str]()
    assert record.writers > 1
    outbox = Outbox(tmp_path / "o.jsonl")
    delivery = Delivery(outbox, record, "loss", notes.append)
    expected = []
    for number in range(1, 25):
        told = result(number)
        delivery.show(Progress(told.trial, 1, 1000.0, "here", told.metrics[:1]))
        if number % 3 == 0:
            delivery.abandon(Lost(told.trial, 1, "killed"))
            told = replace(told, attempt=2)
            delivery.show(Progress(told.trial, 2, 1000.0, "here", told.metrics[:2]))
        delivery.add(told)
        expected.append(told)
    delivery.start()
    assert delivery.finish(120)
    delivery.close()
    assert (notes, len(outbox)) == ([], 0)
    outbox.close()
    recorded = read(server)
    assert [(r.trial.id, r.attempt, r.value) for r in recorded.results] == [
        (r.trial.id, r.attempt, r.value) for r in expected
    ]
    assert recorded.attempts == {}
    assert attempts(server) == {
        **{(str(r.trial.number), "0", str(r.attempt), "FINISHED", "active"): 1 for r in expected},
        **{(str(n), "0", "1", "KILLED", "deleted"): 1 for n in range(3, 25, 3)},
    }
    client = client_of(server.uri)
    for r in expected:
        points = client.get_metric_history(recorded.runs[r.trial.id], "loss")
        assert sorted(point.step for point in points) == [1, 2, 3]


def test_parts_are_written_before_their_trial_and_under_one_run(
    process: RecordProcess, server: Server, tmp_path: Path
) -> None:
    space = {"learning_rate": FloatDistribution(1e-4, 1e9)}
    process.study("toy").create("a study", {}, Shown((), "loss", "minimize"))
    process.study("toy").start_round(
        RoundStart(1, space, round_settings(search_space=space, seeds=3))
    )
    partition = Partition(3, 0, "loss", "minimize", "last")
    outbox = Outbox(tmp_path / "o.jsonl")
    delivery = Delivery(outbox, process.study("toy"), "loss", print)
    for number in range(1, 9):
        trial = result(number).trial
        parts = {
            part.part: replace(result(number), trial=part)
            for part in (partition.first(trial), *partition.others(trial))
        }
        whole = partition.result(parts)
        assert whole is not None
        for told in (*parts.values(), whole):
            delivery.add(told)
    delivery.start()
    assert delivery.finish(120)
    delivery.close()
    outbox.close()
    recorded = read(server)
    assert [r.trial.number for r in recorded.results] == list(range(1, 9))
    assert recorded.unwritten == ()
    assert attempts(server) == {
        (str(number), str(part), "1", "FINISHED", "active"): 1
        for number in range(1, 9) for part in range(4)
    }


def test_what_is_refused_is_set_aside_alone(
    process: RecordProcess, server: Server, tmp_path: Path
) -> None:
    begin(process)
    bad = {
        3: replace(result(3), metrics=({"loss": 0.25, "MAP@5": 0.5},)),
        4: replace(result(4), trial=replace(result(4).trial, hyperparameters={})),
        11: replace(result(11), metrics=({"loss": 0.25, "\ud800": 0.5},)),
    }
    outbox, notes = Outbox(tmp_path / "o.jsonl"), list[str]()
    delivery = Delivery(outbox, process.study("toy"), "loss", notes.append)
    for number in range(1, 17):
        told = bad.get(number, result(number))
        delivery.add(replace(told, epoch=len(told.metrics)))
    delivery.start()
    assert delivery.finish(120)
    delivery.close()
    assert len(outbox) == 0
    outbox.close()
    refused = (tmp_path / "o.refused.jsonl").read_text().splitlines()
    numbers = {json.loads(line)["result"]["trial"]["number"] for line in refused}
    assert (len(refused), numbers) == (3, set(bad))
    assert len(notes) == 3
    assert all("rejected a result" in note for note in notes)
    recorded = read(server)
    assert {r.trial.number for r in recorded.results} == set(range(1, 17)) - set(bad)
    assert recorded.attempts == {}


def die_delivering(path: Path, uri: str, method: str, moment: str) -> None:
    """Deliver what waits at this path, and die in the middle."""
    record = Tracking(uri).study("toy")
    record.read()
    die_at(method, 10, moment == "after")
    delivery = Delivery(Outbox(path), record, "loss", print)
    delivery.start()
    delivery.finish(120)


@pytest.mark.parametrize(
    ("method", "moment"),
    [("create_run", "after"), ("log_batch", "before"), ("log_batch", "after"),
     ("set_terminated", "before"), ("set_terminated", "after")],
)
def test_killed_in_the_middle_it_ends_with_the_same_table(
    server: Server, tmp_path: Path, method: str, moment: str
) -> None:
    begin(Tracking(server.uri))
    expected: list[TrialResult] = [result(number) for number in range(1, 31)]
    with contextlib.closing(Outbox(tmp_path / "o.jsonl")) as outbox:
        for told in expected:
            outbox.add(told)
    dying = fork(die_delivering, outbox.path, server.uri, method, moment)
    dying.join()
    assert dying.exitcode == -signal.SIGKILL
    time.sleep(1.0)  # for the requests that the server has of it: no next start is faster
    outbox, recorded = Outbox(tmp_path / "o.jsonl"), read(server)
    assert len(recorded.results) < len(expected)
    outbox.take_up(
        [(r.trial.id, r.attempt) for r in recorded.results],
        {r.number: r.fingerprint for r in recorded.rounds},
    )
    record = Tracking(server.uri).study("toy")
    record.read()
    delivery = Delivery(outbox, record, "loss", print)
    delivery.start()
    assert delivery.finish(120)
    delivery.close()
    assert len(outbox) == 0
    outbox.close()
    found = read(server)
    assert [(r.trial.id, r.value, r.curve("loss")) for r in found.results] == [
        (r.trial.id, r.value, r.curve("loss")) for r in expected
    ]
    assert attempts(server) == {
        (str(r.trial.number), "0", "1", "FINISHED", "active"): 1 for r in expected
    }
