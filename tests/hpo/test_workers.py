"""Inline and Ray workers keep the same contract."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpo import ray_workers
from hpo.objective import Data, Part
from hpo.ray_workers import RayWorkers
from hpo.trial import CutOffs, State, Trial, TrialResult
from hpo.workers import Event, InlineWorkers, Job, Lost, Progress, Stalled, Workers

Make = Callable[..., Workers]
EMPTY = Part(np.zeros((1, 1), np.float32), np.zeros(1, np.int64))
DATA = Data(EMPTY, EMPTY, "classification", ("0", "1"))


@pytest.fixture(params=["inline", "ray"])
def make(request: pytest.FixtureRequest, folder: Path) -> Iterator[Make]:
    """Return a function that makes workers of each kind, closed at the end."""
    made: list[Workers] = []

    def make(objective: str, **changes: Any) -> Workers:
        job = Job(f"toy:{objective}", "accuracy", "maximize", "last", {}, (str(folder),))
        job = replace(job, **changes)
        if request.param == "inline":
            made.append(InlineWorkers(job, DATA))
        else:
            address = request.getfixturevalue("ray_address")
            made.append(RayWorkers(job, DATA, address=address))
        return made[-1]

    yield make
    for workers in made:
        workers.close()


def trial(number: int = 1, learning_rate: float = 0.1, **changes: Any) -> Trial:
    hyperparameters = {"learning_rate": learning_rate, "weight_decay": 1e-6}
    return replace(Trial(1, number, hyperparameters, seed=number), **changes)


def drain(workers: Workers, count: int, seconds: float = 30) -> list[Event]:
    """Return all events until `count` trials have ended."""
    events: list[Event] = []
    end = time.monotonic() + seconds
    while sum(not isinstance(e, Progress) for e in events) < count:
        assert time.monotonic() < end, events
        event = workers.next_event(0.2)
        if event is not None:
            events.append(event)
    return events


def results(workers: Workers, count: int) -> dict[int, TrialResult]:
    ended = [e for e in drain(workers, count) if isinstance(e, TrialResult)]
    return {r.trial.number: r for r in ended}


def test_every_trial_has_one_result_with_every_epoch(make: Make) -> None:
    workers = make("quadratic")
    for number in range(1, 6):
        workers.submit(trial(number), attempt=number)
    done = results(workers, 5)
    assert sorted(done) == [1, 2, 3, 4, 5]
    assert workers.next_event(0.0) is None
    for number, result in done.items():
        assert result.state is State.COMPLETE
        assert result.attempt == number
        assert result.epochs == 5
        assert (result.value, result.epoch) == (result.metrics[4]["accuracy"], 5)
        assert result.seconds >= 0
        assert result.started == pytest.approx(time.time(), abs=60)
        assert ":" in result.place


def test_the_best_epoch_is_the_value_where_the_job_says_so(make: Make) -> None:
    workers = make("quadratic", metric="loss", value="best")
    workers.submit(trial(learning_rate=1.0), 1)
    result = results(workers, 1)[1]
    curve = result.curve("loss")
    assert (result.value, result.epoch) == (max(curve), curve.index(max(curve)) + 1)
    assert result.epoch == 1


def test_a_loss_that_is_not_finite_is_a_diverged_trial(make: Make) -> None:
    workers = make("cliff")
    workers.submit(trial(learning_rate=1.0), 1)
    result = results(workers, 1)[1]
    assert (result.state, result.value, result.epochs) == (State.DIVERGED, None, 1)


def test_an_exception_is_a_failed_trial_with_its_last_lines(make: Make) -> None:
    workers = make("cliff")
    workers.submit(trial(learning_rate=1e-6), 1)
    result = results(workers, 1)[1]
    assert (result.state, result.value) == (State.FAILED, None)
    assert "about to fail" in result.message
    assert result.message.endswith("RuntimeError: too small a learning rate")
    assert "toy.py" in result.message
    assert "workers.py" not in result.message


def test_hyperparameters_that_the_objective_refuses_fail_the_trial(make: Make) -> None:
    workers = make("quadratic")
    workers.submit(trial(learning_rate=-1.0), 1)
    assert "learning_rate must lie in" in results(workers, 1)[1].message


def test_a_metric_that_is_not_yielded_fails_the_trial(make: Make) -> None:
    workers = make("quadratic", metric="recall")
    workers.submit(trial(), 1)
    result = results(workers, 1)[1]
    assert result.state is State.FAILED
    assert "yields no 'recall', but accuracy, loss" in result.message


@pytest.mark.parametrize("compare", ["best", "current"])
def test_a_trial_below_its_cut_offs_is_pruned_at_that_epoch(make: Make, compare: Any) -> None:
    workers = make("quadratic")
    nan = float("nan")
    workers.submit(trial(1, cut_offs=CutOffs(compare, (nan, nan, 0.99, 0.0))), 1)
    workers.submit(trial(2, cut_offs=CutOffs(compare, (nan, 0.01))), 1)
    done = results(workers, 2)
    assert (done[1].state, done[1].epochs) == (State.PRUNED, 3)
    assert done[1].value == done[1].metrics[2]["accuracy"]
    assert (done[2].state, done[2].epochs) == (State.COMPLETE, 5)


def test_a_long_trial_tells_its_epochs_as_it_runs(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = make("quadratic", fixed={"sleep": 6.0, "steady": True})
    workers.submit(trial(), 1)
    *told, result = drain(workers, 1)
    assert told
    assert isinstance(result, TrialResult)
    for event in told:
        assert isinstance(event, Progress)
        assert list(event.metrics) == list(result.metrics[: len(event.metrics)])


def test_a_trial_that_takes_too_long_fails_at_once(make: Make, folder: Path) -> None:
    workers = make("quadratic", fixed={"sleep": 60.0, "steady": True}, trial_timeout=0.7)
    workers.submit(trial(), 1)
    began = time.monotonic()
    result = results(workers, 1)[1]
    assert time.monotonic() - began < 20
    assert result.state is State.FAILED
    assert "longer than trial_timeout = 0.7 s" in result.message


def test_ray_stops_a_trial_that_hangs_in_c_code(ray_address: str, folder: Path) -> None:
    job = Job("toy:hanging", "accuracy", "maximize", "last", {}, (str(folder),), trial_timeout=1)
    workers = RayWorkers(job, DATA, address=ray_address)
    try:
        workers.submit(trial(1, learning_rate=1.0), 1)
        workers.submit(trial(2, learning_rate=1e-3), 1)
        done = results(workers, 2)
        assert done[1].state is State.FAILED
        assert done[2].state is State.COMPLETE
    finally:
        workers.close()


def test_ray_tells_of_a_worker_that_died(ray_address: str, folder: Path) -> None:
    job = Job("toy:killed", "accuracy", "maximize", "last", {"folder": str(folder)},
              (str(folder),))
    workers = RayWorkers(job, DATA, address=ray_address)
    try:
        workers.submit(trial(3), 1)
        (lost,) = drain(workers, 1)
        assert lost == Lost(trial(3), 1, "its worker died")
        workers.submit(trial(3), 2)
        assert results(workers, 1)[3].attempt == 2
    finally:
        workers.close()


def test_closing_stops_c_code_within_two_seconds(ray_address: str, folder: Path) -> None:
    job = Job("toy:hanging", "accuracy", "maximize", "last", {"folder": str(folder)},
              (str(folder),))
    workers = RayWorkers(job, DATA, address=ray_address)
    workers.submit(trial(1, learning_rate=1.0), 1)
    while not (folder / "trained").exists():
        workers.next_event(0.1)
    began = time.monotonic()
    workers.close()
    assert time.monotonic() - began < 4  # two for the trial, the rest for leaving Ray


def test_a_cluster_without_workers_is_said_once_and_waited_for(
    ray_environment: None, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray.cluster_utils import Cluster

    monkeypatch.setattr(ray_workers, "CHECK_SECONDS", 0.5)
    store = {"object_store_memory": 100_000_000}
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **store}
    )
    job = Job("toy:quadratic", "accuracy", "maximize", "last", {}, (str(folder),))
    try:
        workers = RayWorkers(job, DATA, address=cluster.address)
        workers.submit(trial(1), 1)
        said = [event for _ in range(20) if (event := workers.next_event(0.2)) is not None]
        assert [type(event) for event in said] == [Stalled]
        cluster.add_node(num_cpus=1, **store)
        assert results(workers, 1)[1].state is State.COMPLETE
        workers.close()
    finally:
        cluster.shutdown()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_ray_of_its_own_has_no_process_that_it_has_no_use_for(folder: Path) -> None:
    script = """
import os, pathlib, ray
from ray._private.node import Node
from hpo import ray_workers
before = Node.start_monitor, Node.start_api_server, Node.start_log_monitor
ray_workers._start_local(1, 0)
assert before == (Node.start_monitor, Node.start_api_server, Node.start_log_monitor)
print(ray.get(ray.remote(lambda: 6 * 7).remote()))
for process in pathlib.Path("/proc").glob("[0-9]*"):
    if f"PPid:\\t{os.getpid()}\\n" in (process / "status").read_text():
        print((process / "cmdline").read_text().replace(chr(0), " "))
ray.shutdown()
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("42\n"), done.stderr
    assert "raylet" in done.stdout
    assert "gcs_server" in done.stdout
    assert "monitor.py" not in done.stdout
    assert "dashboard/dashboard.py" not in done.stdout
