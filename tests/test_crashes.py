"""Whatever is killed, the same command completes the study: the same table, nothing lost."""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from hpo.cli import session
from hpo.errors import HPOError, InputError
from hpo.workers import ray_settings
from tests.deaths import die_at, die_making, wait_for_locks
from tests.fixtures import client_of, hpo, table, undisturbed
from tests.ports import free_ports, listens
from tests.processes import draw_nothing, fork, start, start_anew, wait_for

Make = Callable[..., Path]


def trainings(folder: Path) -> Counter[str]:
    """Return how often each seed was trained."""
    marks = folder / "trained"
    return Counter(marks.read_text().split()) if marks.exists() else Counter()


Tally = Callable[..., None]


@pytest.fixture
def tally(record_property: Callable[[str, object], None], folder: Path) -> Tally:
    """Return a function that checks a table against the undisturbed one, and notes the result.

    What it notes is the row of this fault in docs/reliability.md, see tests/reliability.py.
    """

    def tally(fault: str, times: int, expected: list[dict[str, str]],
              actual: list[dict[str, str]]) -> None:
        marks = trainings(folder)
        found = {
            "fault": fault,
            "times": times,
            "trials": len(expected),
            "lost": len(expected) - len(actual),
            "twice": sum(count - 1 for count in marks.values()),
            "differences": sum(a != b for a, b in zip(expected, actual, strict=False)),
        }
        for name, value in found.items():
            record_property(name, value)
        assert (found["lost"], found["differences"]) == (0, 0), found

    return tally


@pytest.mark.figures
def test_a_service_killed_again_and_again_ends_with_the_same_table(
    make_study: Make, folder: Path, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"rounds": 2, "round": {"trials": 13, "sampler": "tpe"}}
    with monkeypatch.context() as patch:
        patch.setattr(session, "illustrate", draw_nothing)
        expected = undisturbed(make_study, **settings)
    file = make_study(**settings, fixed={"sleep": 0.2, "folder": str(folder)})
    generator = random.Random(7)
    kills = 0
    for _ in range(40):
        before = sum(trainings(folder).values())
        process = start("run", file, "--inline")
        more = generator.randrange(2, 6)
        while process.poll() is None and sum(trainings(folder).values()) < before + more:
            time.sleep(0.005)
        time.sleep(generator.random() * 0.15)
        if process.poll() is None:
            kills += 1
            process.kill()
        output, _ = process.communicate()
        if process.returncode == 0:
            break
    assert process.returncode == 0, output
    assert kills >= 5
    tally("service killed (SIGKILL) at random moments", kills, expected, table())
    # Inline one trial runs at a time: only that one can be trained again.
    assert sum(trainings(folder).values()) <= 26 + kills
    assert len(trainings(folder)) == 26


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
    make_study: Make, folder: Path, tally: Tally, method: str, moment: str
) -> None:
    expected = undisturbed(make_study, round={"trials": 6})
    file = make_study(fixed={"folder": str(folder)}, round={"trials": 6})
    left = 1 if method == "create_experiment" else 4
    dying = partial(die_at, method, left, after=moment == "after")
    process = start("run", file, "--inline", first=dying)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, output
    hpo("run", file, "--inline")
    tally(f"service killed {moment} MLflow's `{method}`", 1, expected, table())
    # What was on disk was not trained again; the process may have died during one training.
    assert sum(trainings(folder).values()) <= 7


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
    assert "its worker died; it runs again" in output
    trained = len(trainings(folder))
    process = start("run", file, "--workers", 2)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    workers = len(list(folder.glob("killed-*")))
    tally(f"{workers} Ray workers killed, and the service", workers + 1, expected, table())
    assert trained < 14
    assert max(trainings(folder).values()) <= 2


def test_the_process_of_the_record_killed(
    make_study: Make, folder: Path, tally: Tally, ray_address: str
) -> None:
    expected = undisturbed(make_study)
    file = make_study(fixed={"sleep": 0.3, "folder": str(folder)}, resources={"cpus": 2})
    process = start("run", file, "--ray-address", ray_address)
    wait_for(lambda: sum(trainings(folder).values()) >= 5)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    lines = {child: Path(f"/proc/{child}/cmdline").read_bytes() for child in children}
    [record] = [child for child, line in lines.items() if b"hpo.record.process" in line]
    os.kill(int(record), signal.SIGKILL)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1, output
    assert "the same command goes on" in output
    hpo("run", file, "--inline")
    tally("process that writes the record killed", 1, expected, table())


def test_interrupted_it_stops_at_once_and_says_how_to_go_on(
    make_study: Make, folder: Path
) -> None:
    file = make_study(
        objective="toy:hanging", fixed={"folder": str(folder)},
        search_space={"learning_rate": {"low": 0.1, "high": 1.0}},
    )
    process = start_anew("run", file, "--workers", 2, start_new_session=True)
    wait_for(lambda: len(trainings(folder)) >= 2)
    began = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does: the whole group
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130, output
    assert time.monotonic() - began < 10
    assert f"Go on with: hpo run {file} --workers 2" in output
    assert "Traceback" not in output


def test_terminated_it_stops_cleanly_and_goes_on(
    make_study: Make, folder: Path, tally: Tally
) -> None:
    expected = undisturbed(make_study)
    file = make_study(fixed={"sleep": 0.4, "steady": True, "folder": str(folder)})
    process = start("run", file, "--inline")
    wait_for(lambda: len(trainings(folder)) >= 4)
    process.terminate()
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130, output
    hpo("run", file, "--inline")
    tally("service terminated (SIGTERM)", 1, expected, table())
    assert sum(trainings(folder).values()) == 13


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_the_ui_ends_with_its_command(folder: Path, ending: signal.Signals) -> None:
    (port,) = free_ports(1)
    process = start_anew("ui", "--port", port)
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(2)]
    assert lines[0] == "MLflow UI, Ctrl-C ends it:\n"
    assert f"http://127.0.0.1:{port}/#/experiments" in lines[1]
    process.send_signal(ending)
    rest, _ = process.communicate(timeout=30)
    assert rest == ""  # the address is the last that it said
    wait_for(lambda: not listens(port), seconds=20)


def test_the_ui_takes_the_first_free_port_and_serves_the_record_that_was_named(
    folder: Path,
) -> None:
    (folder / "mlflow.db").rename(folder / "other.db")
    client_of("sqlite:///other.db").create_experiment("seen")
    with contextlib.ExitStack() as stack:
        for port in range(5000, 5003):
            with contextlib.suppress(OSError):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
        asked = start("ui", "--port", 5001, "--tracking-uri", "sqlite:///other.db")
        output, _ = asked.communicate(timeout=60)
        assert (asked.returncode, output) == (
            2, "hpo: the port 5001 is taken; name another, or none for the first free one\n"
        )
        process = start("ui", "--tracking-uri", "sqlite:///other.db")
        process.stdout.readline()
        found = re.search(r"(http://127\.0\.0\.1:(\d+))/#/experiments", process.stdout.readline())
        assert found
        assert int(found[2]) > 5002
        asking = f"{found[1]}/api/2.0/mlflow/experiments/search?max_results=9"
        with urllib.request.urlopen(asking, timeout=30) as answer:
            names = {e["name"] for e in json.load(answer)["experiments"]}
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=30)
    assert names == {"Default", "seen"}
    assert rest == ""
    assert not (folder / "mlflow.db").exists()


def test_a_second_service_is_refused(make_study: Make, folder: Path, tmp_path: Path) -> None:
    file = make_study(fixed={"sleep": 4.0, "steady": True, "folder": str(folder)})
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


def test_a_locked_database_is_waited_for(
    make_study: Make, folder: Path, tally: Tally
) -> None:
    expected = undisturbed(make_study)
    file = make_study(fixed={"sleep": 0.5, "steady": True, "folder": str(folder)})
    process = start("run", file, "--inline", first=partial(wait_for_locks, 2.0))
    wait_for(lambda: len(trainings(folder)) >= 2)
    lock = sqlite3.connect(folder / "mlflow.db", isolation_level=None, timeout=20)
    lock.execute("BEGIN EXCLUSIVE")
    time.sleep(5)  # MLflow gives up after 2
    lock.execute("ROLLBACK")
    lock.close()
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert output.count("the record is away") == 1
    fault = "SQLite file locked by another process, for longer than MLflow waits"
    tally(fault, 1, expected, table())
    assert sum(trainings(folder).values()) == 12


def vanish(record: Path, backup: Path) -> None:
    record.unlink()


def swap(record: Path, backup: Path) -> None:
    backup.rename(record)


def overwrite(record: Path, backup: Path) -> None:
    with contextlib.closing(sqlite3.connect(record)) as database:
        # Now the file itself is complete, and copying the backup over it loses trials.
        assert database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    record.write_bytes(backup.read_bytes())  # the same inode, as `cp` leaves it


@pytest.mark.parametrize(
    ("fault", "damage"),
    [
        ("SQLite file deleted, the saved one put back", (vanish, 0, True)),
        ("SQLite file deleted, nothing put back", (vanish, 0, False)),
        ("SQLite file replaced by rename, the saved one put back", (swap, 4, True)),
        ("SQLite file replaced by rename, nothing put back", (swap, 4, False)),
        ("SQLite file overwritten by a backup of that round", (overwrite, 4, False)),
        ("SQLite file overwritten by a backup from before it", (overwrite, 0, False)),
    ],
)
def test_the_file_of_the_record_is_lost_while_the_study_runs(
    make_study: Make, folder: Path, empty_database: Path, tally: Tally, fault: str,
    damage: tuple[Callable[[Path, Path], None], int, bool],
) -> None:
    what, began, put_back = damage
    expected = undisturbed(make_study)
    record, backup = folder / "lost.db", folder / "backup.db"  # one that is not open here
    shutil.copy(empty_database, record)
    options = ("--inline", "--tracking-uri", f"sqlite:///{record}")
    file = make_study(fixed={"sleep": 0.35, "steady": True, "folder": str(folder)})
    shutil.copy(record, backup)
    process = start("run", file, *options)
    if began:  # what a careful person copies, with SQLite's own means
        wait_for(lambda: len(trainings(folder)) > began)
        with (
            contextlib.closing(sqlite3.connect(record)) as source,
            contextlib.closing(sqlite3.connect(backup)) as target,
        ):
            source.backup(target)
    wait_for(lambda: len(trainings(folder)) >= 7)
    what(record, backup)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1, output
    [saved] = folder.glob("lost.db.saved-*")
    message = " ".join(output.split())
    assert str(record) in message
    assert str(saved) in message
    assert "Traceback" not in output
    assert saved.stat().st_mode & 0o777 == 0o600
    if put_back:
        saved.rename(record)
    hpo("run", file, *options)
    tally(fault, 1, expected, table("toy", *options[1:]))
    assert sum(trainings(folder).values()) <= 13  # but for the one that ran then
    [outbox] = folder.glob(".hpo/toy-*.jsonl")
    assert outbox.stat().st_size == 0


def test_services_that_make_the_record_at_the_same_moment(
    make_study: Make, folder: Path, tally: Tally
) -> None:
    expected = undisturbed(make_study, round={"trials": 4})
    options = ("--inline", "--tracking-uri", f"sqlite:///{folder}/new.db")
    names = ["first", "second", "third"]
    files = [make_study(name, round={"trials": 4}) for name in names]
    for process in [start("run", file, *options) for file in files]:
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output
    actual = [row for name in names for row in table(name, *options[1:])]
    tally("3 services begun at the same moment, on a record that is not there yet", 1,
          3 * expected, actual)


def test_a_service_killed_while_it_makes_the_record(
    make_study: Make, folder: Path, tally: Tally
) -> None:
    expected = undisturbed(make_study, round={"trials": 4})
    options = ("--inline", "--tracking-uri", f"sqlite:///{folder}/new.db")
    file = make_study(round={"trials": 4})
    process = start("run", file, *options, first=die_making)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, output
    hpo("run", file, *options)
    tally("service killed while it makes the record", 1, expected, table("toy", *options[1:]))


@pytest.mark.parametrize("stopped", [False, True])
def test_the_file_of_the_record_alone_is_copied(
    make_study: Make, folder: Path, tally: Tally, stopped: bool
) -> None:
    expected = undisturbed(make_study)
    (port,) = free_ports(1)
    ui = start("ui", "--port", port)  # reads, and has the file open all the time
    wait_for(lambda: listens(port), seconds=150)
    file = make_study(fixed={"sleep": 0.3, "steady": True, "folder": str(folder)})
    process = start("run", file, "--inline")
    if stopped:
        wait_for(lambda: len(trainings(folder)) >= 6, seconds=150)
        process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == (130 if stopped else 0), output
    shutil.copy(folder / "mlflow.db", folder / "copy.db")
    ui.terminate()
    ui.communicate(timeout=60)
    copy = ("--tracking-uri", f"sqlite:///{folder}/copy.db")
    if stopped:
        hpo("run", file, "--inline", *copy)
    fault = "stopped by Ctrl-C, and goes on from a copy" if stopped else "ended, and a copy is read"
    tally(f"{fault} of the SQLite file alone, made while `hpo ui` reads", 1, expected,
          table("toy", *copy))
    assert sum(trainings(folder).values()) == 12 + stopped


def serve(folder: Path, port: int) -> None:
    """Be an MLflow server: what `mlflow server` starts, with the settings that it hands on."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    os.chdir(folder)
    os.environ.update({
        "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{folder}/mlflow.db",
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": "./mlartifacts",
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "_MLFLOW_SGI_NAME": "uvicorn",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    })
    import uvicorn

    uvicorn.run("mlflow.server.fastapi_app:app", host="127.0.0.1", port=port)


class Server:
    """An MLflow server on this machine, which can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        (self.port,) = free_ports(1)
        self.uri = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self._process: BaseProcess | None = None

    def start(self) -> None:
        self._process = fork(serve, self._folder, self.port)
        wait_for(self._answers)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
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
    try:
        server.start()
        yield server
    finally:
        server.kill()


def test_the_search_goes_on_while_the_server_is_away(
    make_study: Make, folder: Path, server: Server, tally: Tally
) -> None:
    expected = undisturbed(make_study, round={"trials": 16})
    file = make_study(
        fixed={"sleep": 0.3, "steady": True, "folder": str(folder)}, round={"trials": 16}
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
    actual = table("toy", "--tracking-uri", server.uri)
    tally("MLflow server killed, started again 10 trials later", 1, expected, actual)
    assert sum(trainings(folder).values()) == 16


def test_a_server_that_answers_errors_is_waited_for(
    make_study: Make, folder: Path, server: Server, tally: Tally
) -> None:
    expected = undisturbed(make_study)

    class Broken(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(500)

        def do_POST(self) -> None:
            self.send_error(500)

        def log_message(self, *_: object) -> None:
            pass

    file = make_study(fixed={"sleep": 0.5, "steady": True, "folder": str(folder)})
    process = start("run", file, "--inline", "--tracking-uri", server.uri)
    wait_for(lambda: len(trainings(folder)) >= 3)
    server.kill()
    wait_for(lambda: not listens(server.port))
    broken = HTTPServer(("127.0.0.1", server.port), Broken)
    threading.Thread(target=broken.serve_forever, daemon=True).start()
    wait_for(lambda: len(trainings(folder)) >= 10)
    broken.shutdown()
    broken.server_close()
    server.start()
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert output.count("the record is away") == 1
    actual = table("toy", "--tracking-uri", server.uri)
    tally("MLflow server answering 500 for 7 trials", 1, expected, actual)
    assert sum(trainings(folder).values()) == 12


def test_server_and_service_killed_the_outbox_is_delivered(
    make_study: Make, folder: Path, server: Server, tally: Tally
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
    actual = table("toy", "--tracking-uri", server.uri)
    tally("MLflow server killed, then the service", 1, expected, actual)
    assert sum(trainings(folder).values()) <= 13


# A Ray head of its own, in a process of its own: what it takes is told by its arguments.
HEAD = """
import json, os, sys, time
from ray.cluster_utils import Cluster
from hpo.workers.ray import _fewer_processes
with _fewer_processes():
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
    output, _ = process.communicate(timeout=60)
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
    with pytest.raises(HPOError, match=r"edits_itself.py changed while the study runs"):
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
