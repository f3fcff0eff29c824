"""Workers or all of Ray are killed, and the same command completes the study."""

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hpo.errors import HPOError, InputError
from hpo.workers import ray_settings
from tests.crashes.conftest import Tally
from tests.fixtures import Make, hpo, table, trainings, undisturbed
from tests.processes import descendants, start, wait_for


def test_ray_workers_and_service_killed(
    make_study: Make, folder: Path, tally: Tally
) -> None:
    settings = {"round": {"trials": 14, "sampler": "tpe"}, "objective": "toy:quadratic"}
    expected = undisturbed(make_study, **settings)
    file = make_study(
        **{**settings, "objective": "toy:killed"},
        fixed={"sleep": 0.4, "steady": True, "folder": str(folder)},
    )
    process = start("run", file, "--workers", 2)
    wait_for(lambda: len(trainings(folder)) >= 6)
    process.kill()
    output, _ = process.communicate()
    assert "its worker died; running it again" in output
    trained = len(trainings(folder))
    process = start("run", file, "--workers", 2)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    workers = len(list(folder.glob("killed-*")))
    tally(f"{workers} Ray workers killed, and the service", workers + 1, expected, table())
    assert trained < 14
    assert max(trainings(folder).values()) <= 2


# It marks each epoch that it trains, and takes its time for it.
KEPT = """
import time
from trainer.objectives import PerceptronHyperparameters, perceptron

def train(learning_rate: float, *, data, seed, folder, sleep: float = 0.0):
    chosen = PerceptronHyperparameters(learning_rate=learning_rate, epochs=40, optimizer="adam")
    epochs = folder / "epochs"
    for metrics in perceptron(chosen, data, seed=seed, folder=folder):
        time.sleep(sleep)
        epoch = int(epochs.read_text()) + 1 if epochs.exists() else 1
        epochs.write_text(str(epoch))
        if sleep:
            with open("trained", "a") as marks:
                marks.write(f"{seed}-{epoch}\\n")
        yield metrics
"""


def test_workers_and_service_killed_again_and_again_while_folders_are_kept(
    make_study: Make, folder: Path, tally: Tally
) -> None:
    (folder / "often_killed.py").write_text(KEPT)
    settings = {
        "objective": "often_killed:train", "metric": "validation_loss", "direction": "minimize",
        "data": {"source": "digits", "rows": 200},
        "search_space": {"learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}},
        "round": {"trials": 8, "sampler": "tpe", "parallel": 2},
    }
    expected = undisturbed(make_study, **settings)
    file = make_study(**settings, fixed={"sleep": 0.1}, checkpoints={"every": 0.3, "keep": 0})
    kills, kept = 0, dict[str, int]()
    for killed_after in (7.0, None):  # the service, and then to the end
        process, begun = start("run", file, "--workers", 2), time.monotonic()
        while process.poll() is None:
            time.sleep(1.5)
            training = [p for p in descendants(process.pid) if _is_training(p, folder)]
            now = _kept_epochs()
            # Each trial got on since the last time: three attempts that do not are its end.
            if training and all(now[trial] > kept.get(trial, 0) for trial in now):
                os.kill(random.choice(training), signal.SIGKILL)
                kills, kept = kills + 1, now
            if killed_after is not None and time.monotonic() - begun > killed_after:
                process.kill()
        output, _ = process.communicate()
    assert process.returncode == 0, output
    assert kills > 3
    rows = [{name: cell for name, cell in row.items() if name != "sleep"} for row in table()]
    tally(f"a Ray worker killed every few seconds, {kills} in all, and the service, with "
          "`[checkpoints]` (*trained twice*: epochs, of 320)", kills + 1, expected, rows)
    trained = trainings(folder)
    assert len(trained) == 8 * 40
    assert sum(trained.values()) <= 8 * 40 + (kills + 2) * 15  # 0.3 s between copies, and some
    assert not any(path.is_file() for path in Path(".hpo/checkpoints").rglob("*"))


def _kept_epochs() -> dict[str, int]:
    """Return after how many epochs the trials that run are kept, by their folders.

    They come and go meanwhile, which `os.walk` does not mind.
    """
    return {
        folder: int(Path(name).stem)
        for folder, _, names in os.walk(".hpo/checkpoints")
        for name in names if name.endswith(".json")
    }


def _is_training(process: int, folder: Path) -> bool:
    """Say whether a process is a worker that has a trial: then it is in the study's folder."""
    try:
        line = Path(f"/proc/{process}/cmdline").read_bytes()
        place = os.readlink(f"/proc/{process}/cwd")
        return line.startswith(b"ray::_attempt") and place == str(folder)
    except OSError:
        return False


# A Ray head of its own, in a process of its own: what it takes is told by its arguments.
HEAD = """
import json, os, sys, time
from ray.cluster_utils import Cluster
from hpo.workers.ray_local import fewer_processes
with fewer_processes():
    cluster = Cluster(initialize_head=True, head_node_args=json.loads(sys.argv[1]))
print(cluster.address, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def start_ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[str, int]]]:
    """Return a function that starts a Ray cluster and returns its address and process group."""
    monkeypatch.setenv("RAY_AUTH_TOKEN", "f" * 64)
    heads: list[subprocess.Popen[str]] = []

    def start_ray(**environment: str) -> tuple[str, int]:
        arguments = {"num_cpus": 2, "include_dashboard": False,
                     "object_store_memory": 100_000_000}
        head = subprocess.Popen(
            [sys.executable, "-c", HEAD, json.dumps(arguments)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
            env={**os.environ, **ray_settings.FOR_WORKERS, **environment},
        )
        heads.append(head)
        assert head.stdout is not None
        lines = (line.strip() for line in head.stdout)
        return next(line for line in lines if re.fullmatch(r"[\d.]+:\d+", line)), head.pid

    yield start_ray
    for head in heads:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(head.pid, signal.SIGKILL)
        head.communicate()


def test_a_cluster_that_goes_away_ends_the_command_and_it_goes_on(
    make_study: Make, folder: Path, start_ray: Callable[..., tuple[str, int]], tally: Tally
) -> None:
    expected = undisturbed(make_study)
    file = make_study(fixed={"sleep": 0.5, "steady": True, "folder": str(folder)})
    address, group = start_ray()
    process = start("run", file, "--ray-address", address)
    wait_for(lambda: len(trainings(folder)) >= 6)
    os.killpg(group, signal.SIGKILL)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1, output
    assert "the Ray cluster is gone" in output
    assert "Traceback" not in output
    hpo("run", file, "--inline")
    tally("all processes of the Ray cluster killed", 1, expected, table())
    assert max(trainings(folder).values()) <= 2


def test_a_trial_that_eats_memory_fails_at_once(
    make_study: Make, folder: Path, start_ray: Callable[..., tuple[str, int]]
) -> None:
    memory = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    total, free = (int(memory[k].split()[0]) for k in ("MemTotal", "MemAvailable"))
    threshold = (total - free) / total + 0.12
    address, _ = start_ray(
        RAY_memory_usage_threshold=f"{threshold:.3f}", RAY_memory_monitor_refresh_ms="100"
    )
    file = make_study(
        objective="toy:hungry", round={"trials": 4, "parallel": 1, "max_failures": 4},
        search_space={"learning_rate": {"low": 1e-4, "high": 1.0, "log": True}},
    )
    # A process of its own: Ray keeps the token of the first cluster that a process has seen.
    output, _ = start("run", file, "--ray-address", address).communicate(timeout=120)
    rows = table()
    fate = {float(row["learning_rate"]) > 0.01: row["state"] for row in rows}
    assert fate == {True: "failed", False: "complete"}, output
    assert all("memory" in row["message"] for row in rows if row["state"] == "failed")


EDITS_ITSELF = """
import os
import signal
from pathlib import Path

from toy import Toy, quadratic


def train(hyperparameters: Toy, *, seed):
    with open(Path(hyperparameters.folder) / "begun", "a") as begun:
        begun.write("x")
        third = begun.tell() == 3
    if third:  # before any trial has ended the study would begin anew
        with open(__file__, "a") as file:
            file.write("ANOTHER = 1\\n")
        os.kill(os.getpid(), signal.SIGKILL)
    yield from quadratic(hyperparameters, seed=seed)


train.metrics = ("accuracy", "loss")
"""


def test_a_worker_that_comes_after_an_edit_trains_nothing(
    make_study: Make, folder: Path, near_ray: str, tally: Tally,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One round holds one version of the objective's code."""
    expected = undisturbed(make_study)
    (folder / "edits_itself.py").write_text(EDITS_ITSELF)
    file = make_study(
        objective="edits_itself:train", fixed={"folder": str(folder)}, resources={"cpus": 4},
    )
    with pytest.raises(HPOError, match=r"edits_itself.py changed while the study was running"):
        hpo("run", file, "--ray-address", near_ray)
    assert len(table()) < 12
    monkeypatch.delitem(sys.modules, "edits_itself")  # as in a new process
    with pytest.raises(InputError, match="the code of the objective changed since round 1"):
        hpo("run", file, "--inline")
    (folder / "edits_itself.py").write_text(EDITS_ITSELF)
    monkeypatch.delitem(sys.modules, "edits_itself")
    hpo("run", file, "--inline")
    tally("objective's file edited, then the worker killed; later changed back", 1, expected,
          table())
