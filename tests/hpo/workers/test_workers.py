"""Inline and Ray workers keep the same contract."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from hpo.objective import Data, Part
from hpo.objective_code import digest
from hpo.process_state import HASH_SEED
from hpo.resources import Demand
from hpo.trial import CutOffs, Lost, Progress, State, Trial, TrialResult
from hpo.workers import ray as ray_workers
from hpo.workers.attempt import (
    CodeChanged,
    Event,
    InlineWorkers,
    Job,
    Stalled,
    Workers,
    attempt_trial,
)
from hpo.workers.ray import RayWorkers
from tests.fixtures import TOY, leave_ray
from tests.processes import is_gone, wait_for

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

Make = Callable[..., Workers]
EMPTY = Part(np.zeros((1, 1), np.float32), np.zeros(1, np.int64))
DATA = Data(EMPTY, EMPTY, "classification", ("0", "1"))


def job_of(name: str, folder: Path, **changes: Any) -> Job:
    # All four CPUs for a trial: each process of Ray that trains takes a second to start.
    job = Job(f"toy:{name}", "accuracy", "maximize", "last", {}, (str(folder),),
              demand=Demand(4))
    return replace(job, **changes)


@pytest.fixture(params=["inline", "ray"])
def make(request: pytest.FixtureRequest, folder: Path) -> Iterator[Make]:
    """Return a function that makes workers of each kind, closed at the end."""
    made: list[Workers] = []

    def make(name: str, **changes: Any) -> Workers:
        job = job_of(name, folder, **changes)
        if request.param == "inline":
            made.append(InlineWorkers(job, DATA))
        else:
            address = request.getfixturevalue("near_ray")
            made.append(RayWorkers(job, DATA, address=address))
        return made[-1]

    yield make
    for workers in made:
        workers.close()


@pytest.fixture(scope="module")
def same_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Make a folder with the toys that processes of Ray import but once for many tests."""
    folder = tmp_path_factory.mktemp("same")
    shutil.copy(TOY, folder)
    yield folder
    leave_ray()


@pytest.fixture(params=["inline", "ray"])
def again(
    request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Make]:
    """Return such a function for tests that leave the processes of Ray fit for the next one."""
    made: list[Workers] = []

    def again(objective: str, **changes: Any) -> Workers:
        if request.param == "inline":
            made.append(InlineWorkers(job_of(objective, folder, **changes), DATA))
            return made[-1]
        import ray

        address = request.getfixturevalue("ray_address")
        monkeypatch.setattr(ray_workers, "_REACH", "print('ok')")
        monkeypatch.setattr(ray, "shutdown", lambda: None)  # the next test need not join it anew
        if ray.is_initialized():
            monkeypatch.setattr(ray_workers, "_connect", lambda address: None)
        job = job_of(objective, request.getfixturevalue("same_folder"), **changes)
        made.append(RayWorkers(job, DATA, address=address))
        return made[-1]

    yield again
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


def results(workers: Workers, count: int, seconds: float = 30) -> dict[int, TrialResult]:
    ended = [e for e in drain(workers, count, seconds) if isinstance(e, TrialResult)]
    return {r.trial.number: r for r in ended}


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
    assert "yields no 'recall', but accuracy, loss" in result.message


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


def test_ray_stops_a_trial_that_hangs_in_c_code(near_ray: str, folder: Path) -> None:
    job = Job("toy:hanging", "accuracy", "maximize", "last", {}, (str(folder),), demand=Demand(2),
              trial_timeout=1)
    workers = RayWorkers(job, DATA, address=near_ray)
    try:
        workers.submit(trial(1, learning_rate=1.0), 1)
        workers.submit(trial(2, learning_rate=1e-3), 1)
        done = results(workers, 2)
        assert done[1].state is State.FAILED
        assert done[2].state is State.COMPLETE
    finally:
        workers.close()


def test_ray_tells_of_a_worker_that_died(near_ray: str, folder: Path) -> None:
    job = Job("toy:killed", "accuracy", "maximize", "last", {"folder": str(folder)},
              (str(folder),))
    workers = RayWorkers(job, DATA, address=near_ray)
    try:
        workers.submit(trial(3), 1)
        (lost,) = drain(workers, 1)
        assert lost == Lost(trial(3), 1, "its worker died")
        workers.submit(trial(3), 2)
        assert results(workers, 1)[3].attempt == 2
    finally:
        workers.close()


def test_closing_stops_c_code_within_two_seconds(near_ray: str, folder: Path) -> None:
    import ray

    job = Job("toy:hanging", "accuracy", "maximize", "last", {"folder": str(folder)},
              (str(folder),), trial_timeout=600)
    workers = RayWorkers(job, DATA, address=near_ray)
    workers.submit(trial(1, learning_rate=1.0), 1)
    began = workers.next_event(30)
    assert isinstance(began, Progress)
    process = int(began.place.rpartition(":")[2])
    wait_for((folder / "trained").exists)
    assert not is_gone(process)
    closing = time.monotonic()
    workers.close()
    wait_for(lambda: is_gone(process), 4)
    assert time.monotonic() - closing < 4  # two for the trial, the rest for leaving Ray
    assert workers.next_event(0.0) is None
    assert not ray.is_initialized()


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


def test_a_cluster_without_workers_is_said_once_and_waited_for(
    ray_environment: None, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray.cluster_utils import Cluster

    leave_ray()
    monkeypatch.setattr(ray_workers, "CHECK_SECONDS", 0.5)
    store = {"object_store_memory": 100_000_000}
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **store}
    )
    job = Job("toy:quadratic", "accuracy", "maximize", "last", {}, (str(folder),))
    try:
        workers = RayWorkers(job, DATA, address=cluster.address)
        workers.submit(trial(1), 1)
        said = [event for _ in range(12) if (event := workers.next_event(0.2)) is not None]
        assert [type(event) for event in said] == [Stalled]
        cluster.add_node(num_cpus=1, **store)
        assert results(workers, 1)[1].state is State.COMPLETE
        workers.close()
        _share_two_gpus(cluster, folder, store)
    finally:
        cluster.shutdown()


GPU_USER = """
import os, time
def use(rate: float, *, seed):
    start = time.time()
    time.sleep(1.5)
    with open(f"gpu-{seed}", "w") as file:
        print(os.environ["CUDA_VISIBLE_DEVICES"], start, time.time(), file=file)
    return rate
"""


def _share_two_gpus(cluster: "Cluster", folder: Path, store: dict[str, int]) -> None:
    """See that half a GPU each lets four of eight trials run at once, two on each GPU."""
    (folder / "gpu_user.py").write_text(GPU_USER)
    job = Job("gpu_user:use", "loss", "minimize", "last", {}, (str(folder),))
    half = replace(job, demand=Demand(gpus=0.5))
    workers = RayWorkers(half, None, address=cluster.address)
    workers.submit(replace(trial(1), hyperparameters={"rate": 1.0}), 1)
    stalled = workers.next_event(5)
    assert isinstance(stalled, Stalled)
    assert "no node of the Ray cluster has 1 CPU and 0.5 GPU" in stalled.reason
    workers.close()
    cluster.add_node(num_cpus=8, num_gpus=2, resources={"tpu": 1}, **store)
    workers = RayWorkers(half, None, address=cluster.address)
    assert workers.slots == 4
    for number in range(8):
        workers.submit(replace(trial(number), hyperparameters={"rate": 1.0}), 1)
    assert {r.state for r in results(workers, 8, 60).values()} == {State.COMPLETE}
    workers.close()
    used = [path.read_text().split() for path in sorted(folder.glob("gpu-*"))]
    spans = [(device, float(start), float(end)) for device, start, end in used]
    assert {device for device, _, _ in spans} == {"0", "1"}
    at_once = [
        [device for device, start, end in spans if start <= moment < end]
        for _, moment, _ in spans
    ]
    assert max(map(len, at_once)) <= 4
    assert all(devices.count(device) <= 2 for devices in at_once for device in "01")
    assert max(map(len, at_once)) >= 3  # they do share them
    for demand, slots in ((Demand(custom=(("tpu", 1.0),)), 1), (Demand(cpus=3), 2)):
        workers = RayWorkers(replace(job, demand=demand), None, address=cluster.address)
        assert workers.slots == slots
        workers.close()


def test_a_trial_that_demands_no_gpu_sees_none(
    make: Make, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    (folder / "gpu_user.py").write_text(GPU_USER.replace("1.5", "0"))
    workers = make("", objective="gpu_user:use", metric="loss", direction="minimize")
    workers.submit(replace(trial(1), hyperparameters={"rate": 1.0}), 1)
    assert results(workers, 1)[1].state is State.COMPLETE
    assert (folder / "gpu-1").read_text().startswith(" ")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_ray_of_its_own_has_no_process_that_it_has_no_use_for(folder: Path) -> None:
    script = """
import os, pathlib, ray
from ray._private.node import Node
from hpo.workers import ray as ray_workers
before = Node.start_monitor, Node.start_api_server, Node.start_log_monitor
folder = ray_workers.RayFolder()
ray_workers._start_local(1, 0, folder)
assert before == (Node.start_monitor, Node.start_api_server, Node.start_log_monitor)
print(ray.get(ray.remote(lambda: 6 * 7).remote()))
for process in pathlib.Path("/proc").glob("[0-9]*"):
    if f"PPid:\\t{os.getpid()}\\n" in (process / "status").read_text():
        print((process / "cmdline").read_text().replace(chr(0), " "))
ray.shutdown()
folder.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("42\n"), done.stderr
    assert "raylet" in done.stdout
    assert "gcs_server" in done.stdout
    assert "monitor.py" not in done.stdout
    assert "dashboard/dashboard.py" not in done.stdout


YIELDS = '''
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np


@dataclass(frozen=True)
class Hyperparameters:
    yielded: str = ""
    raised: str = ""


class Scalar:
    """Such as a tensor of one number."""

    def __float__(self):
        return 0.25


def yields(hyperparameters, data, *, seed):
    if hyperparameters.raised:
        print("\\x1b[32mgreen\\x1b[0m \\x1b[2J")
        raise ValueError(eval(hyperparameters.raised))
    yield eval(hyperparameters.yielded)


yields.__annotations__["hyperparameters"] = Hyperparameters
yields.metrics = ("accuracy",)
'''


def yielded(folder: Path, **hyperparameters: str) -> TrialResult:
    """Return the result of a trial that yields, or raises, what an expression gives."""
    (folder / "yields.py").write_text(YIELDS)
    job = Job("yields:yields", "accuracy", "maximize", "last", {}, (str(folder),))
    try:
        *_, last = attempt_trial(job, DATA, Trial(1, 1, hyperparameters, 0), 1)
    finally:
        sys.modules.pop("yields", None)
    assert isinstance(last, TrialResult)
    return last


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("True", 1.0), ("Scalar()", 0.25), ("np.float32(0.5)", 0.5), ("np.int64(3)", 3.0),
        ("np.array(0.5)", 0.5), ("Decimal('0.1')", 0.1), ("Fraction(1, 4)", 0.25), ("-0.0", -0.0),
        ("2**80", 2.0**80), ("5e-324", 5e-324), ("1.7976931348623157e308", sys.float_info.max),
    ],
)  # fmt: skip
def test_whatever_is_a_number_is_a_metric(folder: Path, expression: str, value: float) -> None:
    result = yielded(folder, yielded=f"{{'accuracy': {expression}}}")
    assert (result.state, repr(result.value)) == (State.COMPLETE, repr(value)), result.message
    assert type(result.metrics[0]["accuracy"]) is float


@pytest.mark.parametrize(
    ("expression", "sign"),
    [("1e400", 1), ("-10**400", -1), ("Fraction(10**400)", 1), ("Decimal('1e400')", 1)],
)  # fmt: skip
def test_a_number_too_large_for_a_float_diverges(folder: Path, expression: str, sign: int) -> None:
    result = yielded(folder, yielded=f"{{'accuracy': {expression}}}")
    assert (result.state, result.value) == (State.DIVERGED, None)
    assert result.metrics[0]["accuracy"] == sign * float("inf")


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("{'accuracy': 0.5, 'MAP@5': 0.5}", "the metric 'MAP@5' has a name"),
        ("{'accuracy': 0.5, '../../x': 0.5}", "it reads as the path of another file"),
        ("{'accuracy': 0.5, 'x' * 300: 0.5}", "it has 300 characters; use at most 240"),
        ("{'accuracy': 0.5, chr(0xd800): 0.5}", "a name that cannot be recorded"),
        ("{'accuracy': 0.5, 5: 0.5}", "the objective names a metric 5; name it by a text"),
        ("{'accuracy': None}", "the metric 'accuracy' is None, which is no number"),
        ("{'accuracy': 1j}", "the metric 'accuracy' is 1j, which is no number"),
        ("{'accuracy': np.zeros(3)}", "which is no number"),
        ("'0.5'", "gives '0.5'; let it give a number, or a mapping such as {'accuracy': 0.5}"),
        ("{}", "the objective yields no 'accuracy', but nothing"),
    ],
)
def test_what_is_no_metric_fails_the_trial_with_the_reason(
    folder: Path, expression: str, reason: str
) -> None:
    result = yielded(folder, yielded=expression)
    assert result.state is State.FAILED
    assert reason in result.message.splitlines()[-1]


def test_a_message_holds_only_what_can_be_recorded_and_shown(folder: Path) -> None:
    result = yielded(folder, raised="'caf' + chr(0xdce9) + chr(0) + chr(0x202e) + chr(7) * 9000")
    assert result.message.isascii()
    assert len(result.message) == 3000
    assert r"\x07" in result.message
    result = yielded(folder, raised="'caf' + chr(0xdce9) + chr(0) + chr(0x202e) + '한'")
    assert result.message.splitlines()[0] == r"green \x1b[2J"
    assert result.message.endswith(r"ValueError: caf\udce9\x00\u202e한")
    lost = TrialResult(result.trial, State.FAILED, place="\x1b[2J", message="\x00" * 5000)
    assert (lost.place, len(lost.message)) == (r"\x1b[2J", 3000)
