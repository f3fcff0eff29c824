"""Whatever is killed, the same command completes the study: the same table, nothing lost."""

import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.toys import hpo, table

Make = Callable[..., Path]
HPO = str(Path(sys.executable).with_name("hpo"))

# Runs a command, and kills its own process at the N-th call of a method of MLflow's client.
SUICIDE = """
import os, signal, sys
from mlflow import MlflowClient
method, left, after = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "after"
original = getattr(MlflowClient, method)
def call(self, *args, **kwargs):
    global left
    left -= 1
    result = original(self, *args, **kwargs) if after or left else None
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return result
setattr(MlflowClient, method, call)
from hpo import cli
cli.hpo.main(sys.argv[4:], prog_name="hpo", standalone_mode=False)
"""


def start(*arguments: object, **kwargs: object) -> subprocess.Popen[str]:
    """Start a command as a process of its own."""
    return subprocess.Popen(
        [HPO, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        **kwargs,  # type: ignore[call-overload]
    )


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def trainings(folder: Path) -> Counter[str]:
    """Return how often each seed was trained."""
    marks = folder / "trained"
    return Counter(marks.read_text().split()) if marks.exists() else Counter()


def undisturbed(make_study: Make, **changes: object) -> list[dict[str, str]]:
    hpo("run", make_study("undisturbed", **changes), "--inline")
    return table("undisturbed")


def test_a_service_killed_again_and_again_ends_with_the_same_table(
    make_study: Make, folder: Path
) -> None:
    settings = {"rounds": 2, "round": {"trials": 20, "sampler": "tpe"}}
    expected = undisturbed(make_study, **settings)
    file = make_study(**settings, fixed={"sleep": 0.5, "folder": str(folder)})
    generator = random.Random(7)
    kills = 0
    for _ in range(40):
        before = sum(trainings(folder).values())
        process = start("run", file, "--inline")
        more = generator.randrange(1, 7)
        while process.poll() is None and sum(trainings(folder).values()) < before + more:
            time.sleep(0.005)
        time.sleep(generator.random() * 0.2)
        if process.poll() is None:
            kills += 1
            process.kill()
        output, _ = process.communicate()
        if process.returncode == 0:
            break
    assert process.returncode == 0, output
    assert kills >= 5
    assert table() == expected
    # Inline one trial runs at a time: only that one can be trained again.
    assert sum(trainings(folder).values()) <= 40 + kills
    assert len(trainings(folder)) == 40


@pytest.mark.parametrize(
    ("method", "moment"),
    [
        ("create_experiment", "before"), ("create_experiment", "after"),
        ("create_run", "before"), ("create_run", "after"),
        ("log_batch", "before"), ("log_batch", "after"),
        ("set_terminated", "before"), ("set_terminated", "after"),
    ],
)
def test_a_service_killed_inside_a_write_loses_and_repeats_nothing(
    make_study: Make, folder: Path, method: str, moment: str
) -> None:
    expected = undisturbed(make_study, round={"trials": 6})
    file = make_study(fixed={"folder": str(folder)}, round={"trials": 6})
    left = 1 if method == "create_experiment" else 4
    died = subprocess.run(
        [sys.executable, "-c", SUICIDE, method, str(left), moment, "run", str(file), "--inline"],
        capture_output=True, text=True, check=False,
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    hpo("run", file, "--inline")
    assert table() == expected
    # What was on disk was not trained again; the process may have died during one training.
    assert sum(trainings(folder).values()) <= 7


def test_ray_workers_and_service_killed(make_study: Make, folder: Path) -> None:
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
    assert "its worker died; it runs again" in output
    trained = len(trainings(folder))
    process = start("run", file, "--workers", 2)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert table() == expected
    assert trained < 14
    assert max(trainings(folder).values()) <= 2


def test_interrupted_it_stops_at_once_and_says_how_to_go_on(
    make_study: Make, folder: Path
) -> None:
    file = make_study(
        objective="toy:hanging", fixed={"folder": str(folder)},
        search_space={"learning_rate": {"low": 0.1, "high": 1.0}},
    )
    process = start("run", file, "--workers", 2, start_new_session=True)
    wait_for(lambda: len(trainings(folder)) >= 2)
    began = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does: the whole group
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130, output
    assert time.monotonic() - began < 10
    assert f"Go on with: hpo run {file} --workers 2" in output
    assert "Traceback" not in output


def test_terminated_it_stops_cleanly_and_goes_on(make_study: Make, folder: Path) -> None:
    expected = undisturbed(make_study)
    file = make_study(fixed={"sleep": 0.4, "steady": True, "folder": str(folder)})
    process = start("run", file, "--inline")
    wait_for(lambda: len(trainings(folder)) >= 4)
    process.terminate()
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130, output
    hpo("run", file, "--inline")
    assert table() == expected
    assert sum(trainings(folder).values()) == 13


def test_a_second_service_is_refused(make_study: Make, folder: Path, tmp_path: Path) -> None:
    file = make_study(fixed={"sleep": 1.0, "steady": True, "folder": str(folder)})
    process = start("run", file, "--inline")
    try:
        wait_for(lambda: len(trainings(folder)) >= 2)
        same_folder = start("run", file, "--inline")
        output, _ = same_folder.communicate(timeout=60)
        assert (same_folder.returncode, "another process runs this study" in output) == (2, True)
        elsewhere = folder / "elsewhere"
        elsewhere.mkdir()
        other = start(
            "run", file, "--inline", "--tracking-uri", f"sqlite:///{folder}/mlflow.db",
            cwd=elsewhere,
        )
        output, _ = other.communicate(timeout=60)
        assert other.returncode == 2
        assert f"process {process.pid} on" in output
        assert "runs this study; wait for it, or stop it" in output
    finally:
        process.kill()
        process.communicate()


def test_a_locked_database_is_waited_for(make_study: Make, folder: Path) -> None:
    file = make_study(fixed={"sleep": 0.5, "steady": True, "folder": str(folder)})
    process = start("run", file, "--inline")
    wait_for(lambda: len(trainings(folder)) >= 2)
    lock = sqlite3.connect(folder / "mlflow.db", isolation_level=None, timeout=20)
    lock.execute("BEGIN EXCLUSIVE")
    time.sleep(25)  # MLflow gives up after 20
    lock.execute("ROLLBACK")
    lock.close()
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert output.count("the record is away") == 1
    assert len(table()) == 12
    assert sum(trainings(folder).values()) == 12


class Server:
    """An MLflow server on this machine, which can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", "--backend-store-uri",
             f"sqlite:///{self._folder}/mlflow.db", "--host", "127.0.0.1", "--port",
             str(self.port), "--workers", "1"],
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
                 "MLFLOW_DISABLE_TELEMETRY": "true"},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            cwd=self._folder,
        )
        wait_for(self._answers)

    def kill(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=1):
                return True
        except OSError:
            return False


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    server = Server(folder)
    server.start()
    yield server
    server.kill()


def test_the_search_goes_on_while_the_server_is_away(
    make_study: Make, folder: Path, server: Server
) -> None:
    expected = undisturbed(make_study, round={"trials": 16})
    file = make_study(
        fixed={"sleep": 0.5, "steady": True, "folder": str(folder)}, round={"trials": 16}
    )
    process = start("run", file, "--inline", "--tracking-uri", server.uri)
    wait_for(lambda: len(trainings(folder)) >= 3)
    server.kill()
    wait_for(lambda: len(trainings(folder)) >= 13)  # it did not wait
    server.start()
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert output.count("the record is away") == 1
    assert output.count("the record is back") == 1
    assert table("toy", "--tracking-uri", server.uri) == expected
    assert sum(trainings(folder).values()) == 16


def test_server_and_service_killed_the_outbox_is_delivered(
    make_study: Make, folder: Path, server: Server
) -> None:
    expected = undisturbed(make_study)
    file = make_study(fixed={"sleep": 0.4, "steady": True, "folder": str(folder)})
    options = ("--inline", "--tracking-uri", server.uri)
    process = start("run", file, *options)
    wait_for(lambda: len(trainings(folder)) >= 2)
    server.kill()
    wait_for(lambda: len(trainings(folder)) >= 9)
    process.kill()
    process.communicate()
    refused = start("run", file, *options)
    output, _ = refused.communicate(timeout=60)
    assert refused.returncode == 1
    assert "no MLflow server answers" in output
    server.start()
    process = start("run", file, *options)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert "delivering" in output
    assert table("toy", "--tracking-uri", server.uri) == expected
    assert sum(trainings(folder).values()) <= 13
