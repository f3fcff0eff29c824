"""Of a program nothing is left, whoever is killed, and its output is read in bounded lines."""

import os
import resource
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpo import program_process
from hpo.program import Program
from hpo.program_process import run
from hpo.trial import Lost, Progress, Trial
from hpo.workers.attempt import Job
from hpo.workers.ray import RayWorkers
from tests.hpo.programs import PYTHON, STUDY, write
from tests.processes import ROOT, start


def test_a_process_with_many_open_files_can_run_it(folder: Path) -> None:
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= most < 2_000:
        pytest.skip(f"a process may open {most} files here, and 2,000 are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (2_000 if before < 2_000 else before, most))
    many = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        program_process._Connection.drop()  # the next one has a higher number, too
        assert list(run(["echo", "here"], dict(os.environ), str(folder))) == ["here"]
    finally:
        for number in many:
            os.close(number)
        program_process._Connection.drop()
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, most))


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("sys.stdout.buffer.write(bytes(range(256)) * 10)", None),
        ("sys.stdout.write('x' * 100_000_000)", 1),
        ("sys.stdout.write('x' * 3_000_000 + '\\n' + 'y\\n')", 2),
        ("sys.stdout.write('\\n' * 1000)", 0),
    ],
)
def test_any_output_is_lines_of_bounded_length(folder: Path, code: str, lines: int | None) -> None:
    found = list(run([PYTHON, "-c", f"import sys; {code}"], dict(os.environ), str(folder)))
    assert lines is None or len(found) == lines
    assert max(map(len, found), default=0) <= program_process.LONGEST_LINE + (1 << 16)


FAMILY = """
import os, subprocess, sys, time
mark = sys.argv[1]
sleep = ["sleep", "300." + mark]
subprocess.Popen(sleep)  # a child
subprocess.Popen(sleep, start_new_session=True)  # one in a session of its own
if os.fork() == 0:  # a daemon
    os.setsid()
    if os.fork() == 0:
        os.execvp("sleep", sleep)
    os._exit(0)
os.wait()
print("ready", flush=True)
time.sleep(300)
"""


def family(mark: str) -> list[int]:
    """Return the processes whose arguments have a mark, but for this one's."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if mark.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def wait_until_gone(mark: str, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while family(mark):
        assert time.monotonic() < end, family(mark)
        time.sleep(0.02)


@pytest.fixture
def mark() -> str:
    return str(uuid.uuid4().int)[:20]


@pytest.fixture
def program(folder: Path) -> list[str]:
    (folder / "family.py").write_text(FAMILY)
    return [PYTHON, str(folder / "family.py")]


ELSEWHERE = f"""
import os, sys
from pathlib import Path
sys.path.insert(0, {str(ROOT)!r})
from hpo import program_supervisor
del os.pidfd_open
program_supervisor._PROCESSES = Path("/nowhere")
program_supervisor.main(int(sys.argv[1]))
"""


@pytest.fixture(params=["here", "without what only Linux has"])
def system(
    request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Let the supervisor of this process be a new one, on a system like this or one with less."""
    program_process._Connection.drop()
    if request.param != "here":
        (folder / "supervisor.py").write_text(ELSEWHERE)
        monkeypatch.setattr(program_process.program_supervisor, "__file__",
                            str(folder / "supervisor.py"))
    yield
    program_process._Connection.drop()


@pytest.mark.usefixtures("system")
def test_closed_early_nothing_is_left(program: list[str], folder: Path, mark: str) -> None:
    lines = run([*program, mark], dict(os.environ), str(folder))
    assert next(lines) == "ready"
    wait_for_family(mark)
    lines.close()  # type: ignore[attr-defined]
    assert not family(mark)
    assert list(run(["echo", "next"], dict(os.environ), str(folder))) == ["next"]


@pytest.mark.usefixtures("system")
def test_what_a_program_leaves_ends_with_it(program: list[str], folder: Path, mark: str) -> None:
    text = FAMILY.replace("time.sleep(300)\n", "")
    (folder / "family.py").write_text(text)
    assert list(run([*program, mark], dict(os.environ), str(folder))) == ["ready"]
    assert not family(mark)


def test_a_worker_that_is_killed_leaves_nothing(
    program: list[str], folder: Path, mark: str
) -> None:
    code = f"""
import os
from hpo.program_process import run
lines = run([*{program!r}, open("mark").read()], dict(os.environ), {str(folder)!r})
print(next(lines), flush=True)
next(lines)
"""
    (folder / "mark").write_text(mark)
    worker = subprocess.Popen(
        [PYTHON, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert worker.stdout is not None
    with worker:
        try:
            assert worker.stdout.readline() == "ready\n"
            wait_for_family(mark)
        finally:
            worker.kill()
    wait_until_gone(mark)


def test_ctrl_c_leaves_no_program(folder: Path, mark: str) -> None:
    study = STUDY.replace('"--rate", "{rate}"', f'"{mark}"').replace("program.py", "family.py")
    (folder / "family.py").write_text(FAMILY)
    file = write(folder, study=study)
    process = start("run", file, "--inline", cwd=folder)
    wait_for_family(mark)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    wait_until_gone(mark)


def wait_for_family(mark: str) -> None:
    end = time.monotonic() + 60
    while len(family(mark)) < 4:
        assert time.monotonic() < end, "the program did not start"
        time.sleep(0.05)


def test_a_worker_of_ray_that_is_killed_leaves_no_program(
    folder: Path, mark: str, ray_address: str
) -> None:
    (folder / "family.py").write_text(FAMILY)
    job = Job(
        "python family.py", "loss", "minimize", "last", {}, (str(folder),), trial_timeout=300,
        program=Program(("python", "family.py", mark)),
    )
    workers = RayWorkers(job, None, address=ray_address)
    try:
        workers.submit(Trial(1, 1, {}, 1), 1)
        began = workers.next_event(60)
        assert isinstance(began, Progress)
        wait_for_family(mark)
        os.kill(int(began.place.rpartition(":")[2]), signal.SIGKILL)
        assert isinstance(workers.next_event(30), Lost)
        wait_until_gone(mark)
        workers.submit(Trial(1, 2, {}, 1), 1)
        assert isinstance(workers.next_event(60), Progress)
        wait_for_family(mark)
    finally:
        workers.close()
    wait_until_gone(mark)


def test_a_service_that_is_killed_leaves_no_program(folder: Path, mark: str) -> None:
    study = STUDY.replace('"--rate", "{rate}"', f'"{mark}"').replace("program.py", "family.py")
    (folder / "family.py").write_text(FAMILY)
    process = start("run", write(folder, study=study), "--workers", "1", cwd=folder)
    wait_for_family(mark)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    wait_until_gone(mark, seconds=60)
