"""Inline and Ray workers keep the same contract."""

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from hpo.objective_code import digest
from hpo.process_state import HASH_SEED
from hpo.resources import Demand
from hpo.trial import CutOffs, Progress, State, TrialResult
from hpo.workers.attempt import (
    CodeChanged,
    Job,
)
from hpo.workers.inline import InlineWorkers
from hpo.workers.ray import RayWorkers
from tests.hpo.workers.jobs import DATA, Make, drain, results, trial

if TYPE_CHECKING:
    pass


def test_every_trial_has_one_result_with_every_epoch(make: Make) -> None:
    workers = make("quadratic", demand=Demand(2))
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


def test_the_best_epoch_is_the_value_where_the_job_says_so(again: Make) -> None:
    workers = again("quadratic", metric="loss", value="best")
    workers.submit(trial(learning_rate=1.0), 1)
    result = results(workers, 1)[1]
    curve = result.curve("loss")
    assert (result.value, result.epoch) == (max(curve), curve.index(max(curve)) + 1)
    assert result.epoch == 1


def test_a_loss_that_is_not_finite_is_a_diverged_trial(again: Make) -> None:
    workers = again("cliff")
    workers.submit(trial(learning_rate=1.0), 1)
    result = results(workers, 1)[1]
    assert (result.state, result.value, result.epochs) == (State.DIVERGED, None, 1)


def test_an_exception_is_a_failed_trial_with_its_last_lines(again: Make) -> None:
    workers = again("cliff")
    workers.submit(trial(learning_rate=1e-6), 1)
    result = results(workers, 1)[1]
    assert (result.state, result.value) == (State.FAILED, None)
    assert "about to fail" in result.message
    assert result.message.endswith("RuntimeError: too small a learning rate")
    assert "toy.py" in result.message
    assert "workers.py" not in result.message


def test_a_call_of_sys_exit_is_a_failed_trial(again: Make) -> None:
    workers = again("quitting")
    for number, learning_rate in enumerate((1.0, 0.05, 0.001), start=1):
        workers.submit(trial(number, learning_rate), 1)
    done = results(workers, 3)
    assert [done[n].state for n in (1, 2, 3)] == [State.FAILED, State.FAILED, State.COMPLETE]
    assert "usage: script" in done[1].message
    assert done[1].message.endswith("SystemExit: sys.exit(2) was called; return or raise instead")
    assert "sys.exit(0) was called" in done[2].message


def test_a_trial_finds_its_process_as_if_it_were_the_first(make: Make, folder: Path) -> None:
    workers = make("leaking")
    for number in (1, 2, 3):  # more than one of them in one process
        workers.submit(trial(number, seed=7), 1)
        workers.submit(trial(number + 3, seed=8), 1)
    done = results(workers, 6)
    for result in done.values():
        assert result.state is State.COMPLETE, result.message
        first, second = result.metrics
        assert (first["at_home"], first["leaks"]) == (1.0, 0.0)
        assert second["at_home"] == 0.0  # within a trial its changes stay
        assert result.metrics == done[1 if result.trial.seed == 7 else 4].metrics
    assert done[1].metrics != done[4].metrics


def process_state() -> tuple[object, ...]:
    numbers = np.random.get_state()  # noqa: NPY002
    return random.getstate(), numbers[1].tolist(), dict(os.environ), Path.cwd()


def test_trials_inline_give_back_what_the_service_had(folder: Path) -> None:
    before = process_state()
    job = Job("toy:leaking", "accuracy", "maximize", "last", {}, (str(folder),))
    workers = InlineWorkers(job, DATA)
    workers.submit(trial(), 1)
    (result,) = results(workers, 1).values()
    assert result.state is State.COMPLETE
    assert process_state() == before


def test_a_trial_may_have_a_process_of_its_own(folder: Path, near_ray: str) -> None:
    job = Job("toy:placed", "accuracy", "maximize", "last", {}, (str(folder),), demand=Demand(2))
    # The same hashes everywhere: the order of a set depends on them.
    hashed = subprocess.run(
        [sys.executable, "-c", "print(float(hash('text')))"], text=True, check=True,
        env={**os.environ, "PYTHONHASHSEED": HASH_SEED}, stdout=subprocess.PIPE,
    ).stdout
    for fresh, trials in ((False, 6), (True, 3)):
        workers = RayWorkers(replace(job, fresh_process=fresh), DATA, address=near_ray)
        for number in range(1, trials + 1):
            workers.submit(trial(number), 1)
        done = results(workers, trials, 90)
        workers.close()
        processes = {result.value for result in done.values()}
        assert (len(processes) == trials) == fresh
        assert {r.metrics[0]["loss"] for r in done.values()} == {float(hashed)}


def test_a_worker_with_other_code_trains_nothing_and_says_which_file(
    make: Make, folder: Path
) -> None:
    (folder / "toy.py").open("a").write("NOW = 1\n")
    code = digest({"toy.py": folder / "toy.py"})
    (folder / "toy.py").open("a").write("EDITED = 1\n")
    workers = make("quadratic", code=code)
    workers.submit(trial(), 1)
    (event,) = drain(workers, 1)
    assert isinstance(event, CodeChanged)
    assert event.files == ("toy.py",)
    assert workers.next_event(0.0) is None


def test_a_comment_is_no_other_code(make: Make, folder: Path) -> None:
    (folder / "toy.py").open("a").write("# as it is now\n")
    code = digest({"toy.py": folder / "toy.py"})
    (folder / "toy.py").open("a").write("# edited\n")
    workers = make("quadratic", code=code)
    workers.submit(trial(), 1)
    assert results(workers, 1)[1].state is State.COMPLETE


def test_pytorch_is_prepared_also_where_a_trial_is_the_first_to_import_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a stand-in that says what it was told: PyTorch itself is several gigabytes."""
    (folder / "torch.py").write_text(
        "seed = threads = 0\n"
        "def manual_seed(n):\n    global seed\n    seed = n\n"
        "def set_num_threads(n):\n    global threads\n    threads = n\n"
        "def get_rng_state():\n    return seed\n"
        "set_rng_state = manual_seed\n"
    )
    (folder / "lazy.py").write_text(
        "from toy import Toy\n"
        "def train(hyperparameters: Toy, *, seed):\n"
        "    import torch\n"
        "    yield {'accuracy': float(torch.seed), 'loss': float(torch.threads)}\n"
        "    torch.manual_seed(1000)\n"
        "train.metrics = ('accuracy', 'loss')\n"
    )
    monkeypatch.syspath_prepend(folder)
    job = Job("lazy:train", "accuracy", "maximize", "last", {}, (str(folder),), demand=Demand(3))
    workers = InlineWorkers(job, None)
    for number in (1, 2, 3):
        workers.submit(trial(number), 1)
    try:
        done = results(workers, 3)
        assert [done[n].metrics[0]["accuracy"] for n in (1, 2, 3)] == [1, 2, 3]
        assert {result.metrics[0]["loss"] for result in done.values()} == {3}
    finally:
        for name in ("torch", "lazy"):
            sys.modules.pop(name, None)


def test_hyperparameters_that_the_objective_refuses_fail_the_trial(again: Make) -> None:
    workers = again("quadratic")
    workers.submit(trial(learning_rate=-1.0), 1)
    assert "learning_rate must lie in" in results(workers, 1)[1].message


def test_a_metric_that_is_not_yielded_fails_the_trial(again: Make) -> None:
    workers = again("quadratic", metric="recall")
    workers.submit(trial(), 1)
    result = results(workers, 1)[1]
    assert result.state is State.FAILED
    assert "does not report 'recall'; it reports accuracy, loss" in result.message


@pytest.mark.parametrize("compare", ["best", "current"])
def test_a_trial_below_its_cut_offs_is_pruned_at_that_epoch(again: Make, compare: Any) -> None:
    workers = again("quadratic")
    nan = float("nan")
    workers.submit(trial(1, cut_offs=CutOffs(compare, (nan, nan, 0.99, 0.0))), 1)
    workers.submit(trial(2, cut_offs=CutOffs(compare, (nan, 0.01))), 1)
    done = results(workers, 2)
    assert (done[1].state, done[1].epochs) == (State.PRUNED, 3)
    assert done[1].value == done[1].metrics[2]["accuracy"]
    assert (done[2].state, done[2].epochs) == (State.COMPLETE, 5)


def test_a_long_trial_tells_its_epochs_as_it_runs(
    again: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = again("quadratic", fixed={"sleep": 3.5, "steady": True})
    workers.submit(trial(), 1)
    *told, result = drain(workers, 1)
    assert told
    assert isinstance(result, TrialResult)
    for event in told:
        assert isinstance(event, Progress)
        assert list(event.metrics) == list(result.metrics[: len(event.metrics)])


def test_a_trial_that_takes_too_long_fails_at_once(again: Make, folder: Path) -> None:
    workers = again("quadratic", fixed={"sleep": 60.0, "steady": True}, trial_timeout=0.7)
    workers.submit(trial(), 1)
    began = time.monotonic()
    result = results(workers, 1)[1]
    assert time.monotonic() - began < 20
    assert result.state is State.FAILED
    assert "longer than trial_timeout = 0.7 s" in result.message


def test_closed_workers_inline_end_what_runs_and_forget_what_waits(folder: Path) -> None:
    before = signal.getsignal(signal.SIGALRM)
    fixed = {"folder": str(folder), "sleep": 5.0, "steady": True}
    job = Job("toy:quadratic", "accuracy", "maximize", "last", fixed, (str(folder),),
              trial_timeout=600)  # of which it tells as soon as it begins
    workers = InlineWorkers(job, DATA)
    for number in (1, 2):
        workers.submit(trial(number), 1)
    assert isinstance(workers.next_event(30), Progress)
    workers.close()
    assert workers.next_event(0.0) is None
    assert not (folder / "trained").exists()
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) is before
