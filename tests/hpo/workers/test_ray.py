"""What Ray alone does: it stops C code, tells of deaths, and shares out GPUs."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hpo.errors import InputError
from hpo.resources import Demand
from hpo.trial import Lost, Progress, State, TrialResult
from hpo.workers import ray as ray_workers
from hpo.workers.attempt import (
    Job,
    Stalled,
)
from hpo.workers.live import TELL_SECONDS
from hpo.workers.ray import RayWorkers
from hpo.workers.ray_live import Boxes, Sender
from hpo.workers.ray_local import fewer_processes
from tests.fixtures import leave_ray
from tests.hpo.workers.jobs import DATA, Make, drain, results, trial
from tests.processes import is_gone, wait_for

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster


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


@fewer_processes()
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
    assert stalled.reason.startswith(
        "resources.gpus: no node of the Ray cluster has the 1 CPU and 0.5 GPU"
    )
    assert workers.slots == 1
    cluster.add_node(num_cpus=8, num_gpus=2, resources={"tpu": 1}, **store)
    assert results(workers, 1, 60)[1].state is State.COMPLETE
    end = time.monotonic() + 30
    while workers.slots < 4 and time.monotonic() < end:  # it looks every few seconds
        workers._check_cluster()
        time.sleep(0.1)
    assert workers.slots == 4
    workers.close()
    with pytest.raises(InputError, match=r"^resources: Ray does not accept 1 CPU and 3 TPU \(.*"):
        RayWorkers(replace(job, demand=Demand(custom=(("TPU", 3.0),))), None,
                   address=cluster.address)
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
import os, psutil, ray
from ray._private import services, utils
from ray._private.node import Node
from hpo.workers import ray_folder, ray_local
def private():
    return (Node.start_monitor, Node.start_api_server, Node.start_log_monitor,
            utils.get_dashboard_dependency_error, services.start_ray_process)
before = private()
folder = ray_folder.RayFolder()
ray_local.start(1, 0, folder)
assert before == private()
print(ray.get(ray.remote(lambda: 6 * 7).remote()))
for process in psutil.Process().children(recursive=True):
    print(process.pid, *process.cmdline())
ray.shutdown()
folder.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    answer, *processes = done.stdout.splitlines()
    assert answer == "42", done.stderr
    begun = [line.split()[1:] for line in processes]
    # Two of them, and besides them nothing but these.
    assert sum(bool({"-I", "-S"} <= {*command[1:3]}) for command in begun) == 2
    others = {Path(command[0]).name for command in begun if command[1:3] != ["-I", "-S"]}
    assert others == {"gcs_server", "raylet", "ray::IDLE"}
    pids = [int(line.split()[0]) for line in processes]
    wait_for(lambda: all(map(is_gone, pids)), 10)


PRINTER = """
import pathlib, time
def loud(rate: float, *, seed):
    for epoch in range(2):
        for number in range(40):
            print(epoch, number)
            time.sleep(0.1)
        yield {"loss": rate}
def quick(rate: float, *, seed):
    print("short")
    return rate
"""


def test_what_is_printed_inside_an_epoch_is_told_in_order_and_nothing_stays(
    near_ray: str, folder: Path
) -> None:
    from ray.experimental import internal_kv

    (folder / "printer.py").write_text(PRINTER)
    job = Job("printer:loud", "loss", "minimize", "last", {}, (str(folder),))
    workers = RayWorkers(job, None, address=near_ray)
    try:
        workers.submit(replace(trial(1), hyperparameters={"rate": 1.0}), 1)
        told = drain(workers, 1, 60)
        result = told.pop()
        assert isinstance(result, TrialResult)
        inside = [e for e in told if isinstance(e, Progress) and not e.metrics]
        assert inside
        for event in told:
            assert isinstance(event, Progress)
            assert result.output.startswith(event.output)
            assert event.output
        sizes = [(len(e.metrics), len(e.output)) for e in told if isinstance(e, Progress)]
        assert sizes == sorted(set(sizes))
        assert not internal_kv._internal_kv_list(b"output/", namespace=b"hpo")
    finally:
        workers.close()


def test_nobody_asks_for_the_output_of_short_trials(
    near_ray: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "printer.py").write_text(PRINTER)
    job = Job("printer:quick", "loss", "minimize", "last", {}, (str(folder),), demand=Demand(4))
    workers = RayWorkers(job, None, address=near_ray)
    asked: list[None] = []
    try:
        workers.submit(replace(trial(0), hyperparameters={"rate": 1.0}), 1)
        results(workers, 1)  # the processes have started
        taken = workers._boxes.taken
        monkeypatch.setattr(workers._boxes, "taken", lambda: asked.append(None) or taken())
        for number in range(1, 6):
            workers.submit(replace(trial(number), hyperparameters={"rate": 1.0}), 1)
            began = time.monotonic()
            results(workers, 1)
            if time.monotonic() - began > TELL_SECONDS:
                pytest.skip("the machine is too slow for a short trial")
        assert not asked
    finally:
        workers.close()


def test_the_next_is_sent_when_the_one_before_was_taken(near_ray: str, folder: Path) -> None:
    job = Job("toy:quadratic", "accuracy", "maximize", "last", {}, (str(folder),))
    workers = RayWorkers(job, DATA, address=near_ray)  # this process joins the cluster
    try:
        boxes = Boxes()
        first, other = boxes.new(), boxes.new()
        sender, progress = Sender(first), Progress(trial(1), 1, 1.5, "here", ({"loss": 0.5},), "a")
        assert sender(progress)
        assert not sender(replace(progress, output="ab"))
        assert not list(Boxes().taken())
        ((box, letter),) = boxes.taken()
        assert (box, letter.progress(trial(1), 1)) == (first, progress)
        assert sender(replace(progress, output="abc"))
        assert Sender(other)(progress)
        boxes.empty(other)
        assert [(box, letter.output) for box, letter in boxes.taken()] == [(first, "abc")]
        assert sender(progress)
        sender.forget()
        assert not list(boxes.taken())
    finally:
        workers.close()
