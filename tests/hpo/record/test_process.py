"""The record in another process: the same answers, and nothing left behind."""

import ast
import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpo.errors import HPOError, InputError, RecordUnavailable, RoundAbsent
from hpo.record import spawning
from hpo.record.owner import Owner
from hpo.record.process import RecordProcess
from hpo.record.tracking import Tracking
from hpo.record.values import Shown
from hpo.record.writing import Finished
from hpo.trial import State, Trial, TrialResult
from tests.fixtures import begin, hpo, result
from tests.processes import ROOT, is_gone, wait_for


@pytest.fixture
def process(folder: Path) -> Iterator[RecordProcess]:
    process = RecordProcess(f"sqlite:///{folder}/mlflow.db")
    yield process
    process.close()


@pytest.fixture(scope="module")
def uri(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Make a record in which each test has a study of its own."""
    return f"sqlite:///{shutil.copy(empty_database, tmp_path_factory.mktemp('shared'))}"


@pytest.fixture(scope="module")
def shared(uri: str) -> Iterator[RecordProcess]:
    """Start one process for the tests that leave it as it was: its start takes seconds."""
    process = RecordProcess(uri)
    yield process
    process.close()
    assert is_gone(process.number)


def test_what_is_written_over_there_is_read_here_and_the_other_way_round(
    shared: RecordProcess, uri: str
) -> None:
    there, here = shared, Tracking(uri)
    assert there.study("both").read() is None
    begin(there, "both")
    for number in (1, 2):
        there.study("both").write("loss", [[Finished(result(number))]])
    assert there.study("both").read() == here.study("both").read()
    recorded = there.study("both").read()
    assert recorded is not None
    assert [r.trial.number for r in recorded.results] == [1, 2]
    assert recorded.results[0].curve("loss") == result(1).curve("loss")


def test_errors_come_back_as_they_are(shared: RecordProcess) -> None:
    record = shared.study("errors")
    begin(shared, "errors")
    absent = TrialResult(Trial(7, 1, {}, 0), State.FAILED)
    [[error]] = record.write("loss", [[Finished(absent)]])
    assert isinstance(error, RoundAbsent)
    assert "round 7" in str(error)
    with pytest.raises(InputError, match="at the same moment"):
        record.create("a study", {}, Shown((), "loss", "minimize"))
    assert record.write("loss", [[Finished(result(1))]]) == [[None]]


def test_an_address_without_a_server_is_said_at_the_first_call(folder: Path) -> None:
    process = RecordProcess("http://127.0.0.1:9")
    try:
        with pytest.raises(RecordUnavailable, match=r"127\.0\.0\.1:9"):
            process.study("toy").read()
    finally:
        process.close()


def test_functions_are_called_here(process: RecordProcess, folder: Path) -> None:
    elsewhere = Owner("another host", 1, "0", time.time())
    before = Tracking(f"sqlite:///{folder}/mlflow.db", elsewhere)
    begin(before)
    before.study("toy").claim(print)
    notes: list[str] = []
    record = process
    record.study("toy").read()

    def claim() -> None:
        with contextlib.suppress(HPOError):  # closed while it waits
            record.study("toy").claim(notes.append)

    threading.Thread(target=claim, daemon=True).start()
    end = time.monotonic() + 20
    while not notes:
        assert time.monotonic() < end
        time.sleep(0.02)
    assert "another host" in notes[0]


def test_the_claim_is_that_of_the_service(shared: RecordProcess, uri: str) -> None:
    begin(shared, "claimed")
    shared.study("claimed").claim(print)
    other = Tracking(uri).study("claimed")
    other.read()
    with pytest.raises(InputError, match=f"process {os.getpid()} "):
        other.claim(print)


def test_a_call_that_is_interrupted_leaves_the_next_one_in_order(folder: Path) -> None:
    code = f"""
import _thread, threading, time
from hpo.record.process import RecordProcess
from hpo.record.writing import Finished
from tests.fixtures import begin, hpo, result
process = RecordProcess("sqlite:///{folder}/mlflow.db")
record = process
begin(record)
delivered = []
for number in range(1, 30):
    timer = threading.Timer(0.001 * number, _thread.interrupt_main)
    try:
        timer.start()
        record.study("toy").write("loss", [[Finished(result(number))]])
        delivered.append(number)
        timer.join()
        time.sleep(0.2)  # the interrupt, if it is still to come
    except KeyboardInterrupt:
        pass
    assert [name for name, _ in record.studies()] == ["toy"]
print(delivered, [found.trial.number for found in record.study("toy").read().results])
process.close()
"""
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    delivered, kept = ast.literal_eval(ran.stdout.replace("] [", "], ["))
    assert kept == sorted(set(kept))
    assert set(delivered) <= set(kept)  # one that was interrupted may have been sent, or not
    assert len(kept) > 1


def test_what_is_printed_over_there_is_not_among_what_the_command_prints(folder: Path) -> None:
    (folder / "sitecustomize.py").write_text("print('a plugin says hello')")
    code = f"""
from hpo.record.process import RecordProcess
process = RecordProcess("sqlite:///{folder}/mlflow.db")
print(process.studies())
process.close()
"""
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": f"{folder}:{ROOT}"},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "a plugin says hello\n[]\n"  # the first line is of the command itself


def test_killed_it_is_said_to_be_gone(process: RecordProcess, folder: Path) -> None:
    record = process
    begin(record)
    os.kill(process.number, signal.SIGKILL)
    for _ in range(2):
        with pytest.raises(HPOError, match="run the same command to resume"):
            record.study("toy").read()


def test_it_ends_with_its_service_and_holds_the_lock_until_then(folder: Path) -> None:
    code = f"""
import fcntl, sys, time
from hpo.record.process import RecordProcess
file = open("lock", "w")
fcntl.flock(file, fcntl.LOCK_EX)
process = RecordProcess("sqlite:///{folder}/mlflow.db", [file.fileno()])
process.study("toy").read()
print(process.number, flush=True)
time.sleep(60)
"""
    service = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert service.stdout is not None
    number = int(service.stdout.readline())
    service.kill()
    service.wait()
    with open("lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # waits for both
    wait_for(lambda: is_gone(number), 10)


def test_a_process_that_was_started_ahead_is_taken_and_else_ended(folder: Path) -> None:
    with spawning.ahead():
        [(started, _)] = spawning._ahead
        with open("lock", "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            process = RecordProcess(f"sqlite:///{folder}/mlflow.db", [file.fileno()])
        assert process.number == started.pid
        begin(process)
    with open("lock", "w") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # it holds what it was given later
    assert [name for name, _ in process.studies()] == ["toy"]
    process.close()
    assert is_gone(process.number)
    with spawning.ahead():
        [(started, _)] = spawning._ahead
    assert is_gone(started.pid)


def test_a_command_with_a_bad_study_leaves_no_process(folder: Path) -> None:
    (folder / "bad.toml").write_text("name = 1")
    with pytest.raises(InputError):
        hpo("run", "bad.toml")
    assert spawning._ahead == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_writes_a_record_has_no_pandas(process: RecordProcess) -> None:
    begin(process)
    process.study("toy").write("loss", [[Finished(result(1))]])
    libraries = Path(f"/proc/{process.number}/maps").read_text()
    assert "numpy" in libraries
    assert "pandas" not in libraries
    assert "pyarrow" not in libraries


def test_closed_it_is_gone(folder: Path) -> None:
    process = RecordProcess(f"sqlite:///{folder}/mlflow.db")
    begin(process)
    process.close()
    assert is_gone(process.number)
