"""The job of docs/slurm.sbatch runs out of time again and again, and completes the study."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crashes.conftest import Tally
from tests.fixtures import Make, table, trainings, undisturbed
from tests.ports import listens
from tests.processes import ROOT, wait_for

SCRIPT = ROOT / "docs" / "slurm.sbatch"
KILL_WAIT = 10.0  # seconds from SIGTERM to SIGKILL; Slurm's own default is 30
# Instead of Slurm's: steps are processes of this machine.
COMMANDS = {
    "srun": """
        nodes=1
        while [[ $1 == --* ]]; do
          case $1 in --nodes=*) nodes=${1#*=} ;; esac
          shift
        done
        export STEP_OF=$SLURM_JOB_ID
        for _ in $(seq "$nodes"); do "$@" & done
        wait
        """,
    "scancel": """
        [[ $1 == --signal=TERM ]] || exit 1
        for file in $(grep -lzxs "STEP_OF=$2" /proc/[0-9]*/environ); do
          kill -TERM "$(cut -d / -f 3 <<< "$file")" 2>/dev/null
        done
        true
        """,
    "scontrol": 'echo "$@" >> "$REQUEUED"',
}


class Job:
    """A job of two nodes, both of them this machine."""

    def __init__(self, folder: Path, temporary: Path) -> None:
        numbers = random.SystemRandom().sample(range(6_000), 100)
        number = next(n for n in numbers if not any(map(listens, _ports(n))))
        self.mark = f"SLURM_JOB_ID={number}"
        self.requeued = temporary / "requeued"
        self.token = folder / ".hpo" / f"ray-token-{number}"
        self.temporary = temporary / f"hpo-{number}"
        commands = temporary / "bin"
        commands.mkdir()
        for name, lines in COMMANDS.items():
            (commands / name).write_text(f"#!/bin/bash\n{lines}\n")
            (commands / name).chmod(0o700)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
            "PATH": f"{commands}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "SLURM_JOB_ID": str(number),
            "SLURM_JOB_NUM_NODES": "2",
            "SLURM_CPUS_PER_TASK": "1",
            "HEAD_ADDRESS": "127.0.0.1",
            "OBJECT_STORE_BYTES": "100000000",
            "RAY_TMPDIR": str(temporary),
            "REQUEUED": str(self.requeued),
        }
        self._process: subprocess.Popen[str] | None = None

    def start(self, file: Path) -> subprocess.Popen[str]:
        self.requeued.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            ["bash", SCRIPT, file], env=self.environment, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        return self._process

    def processes(self) -> list[int]:
        """Return all processes of the job, as Slurm knows them, whoever their parent is."""
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if self.mark.encode() in path.read_bytes().split(b"\0"):
                    found.append(int(path.parent.name))
        return found

    def signal(self, number: signal.Signals) -> None:
        for process in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)

    def end(self) -> None:
        while self.processes():
            self.signal(signal.SIGKILL)
            time.sleep(0.05)
        if self._process is not None:
            self._process.wait()


def _ports(number: int) -> tuple[int, int]:
    """Return the ports that the script takes for a job."""
    return 20_000 + 2 * number, 20_001 + 2 * number


@pytest.fixture
def job(folder: Path) -> Iterator[Job]:
    with tempfile.TemporaryDirectory(prefix="hpo", dir="/tmp") as short:  # for Ray's sockets
        job = Job(folder, Path(short))
        yield job
        job.end()


@pytest.mark.slow
def test_a_job_out_of_time_again_and_again_completes_the_study(
    make_study: Make, folder: Path, tally: Tally, job: Job
) -> None:
    settings = {"round": {"trials": 14, "sampler": "tpe", "parallel": 2}}
    expected = undisturbed(make_study, **settings)
    file = make_study(**settings, fixed={"sleep": 0.8, "steady": True, "folder": str(folder)})

    for wanted, ending in enumerate((warn, run_out, cancel), start=1):
        process = job.start(file)
        wait_until_trained(folder, 3 * wanted, process)
        assert job.token.stat().st_mode & 0o077 == 0
        token = job.token.read_bytes()
        assert not any(token in _command(number) for number in job.processes())
        ending(job, process)
        assert not job.processes()
    process = job.start(file)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert not job.requeued.exists()
    tally("job of docs/slurm.sbatch out of time: warned, not warned (SIGTERM to all of it, then "
          "SIGKILL to what is left), canceled", 3, expected, table())
    assert len(trainings(folder)) == 14
    assert sum(trainings(folder).values()) <= 14 + 3 * 2  # two run at a time


def wait_until_trained(folder: Path, trials: int, process: subprocess.Popen[str]) -> None:
    wait_for(lambda: len(trainings(folder)) >= trials or process.poll() is not None, 120)
    assert process.poll() is None, process.communicate()[0]


def warn(job: Job, process: subprocess.Popen[str]) -> None:
    """Signal the script as Slurm does some time before the end: it goes back into the queue."""
    began = time.monotonic()
    os.kill(process.pid, signal.SIGUSR1)
    output, _ = process.communicate(timeout=60)
    assert time.monotonic() - began < 30
    assert process.returncode == 130, output
    assert "Resume with: hpo run" in output
    assert job.requeued.read_text() == f"requeue {job.environment['SLURM_JOB_ID']}\n"
    assert not job.token.exists()
    assert not job.temporary.exists()
    wait_for(lambda: not job.processes(), 30)  # Slurm would kill what is left of Ray


def cancel(job: Job, process: subprocess.Popen[str]) -> None:
    """End the job for good: it stops as cleanly, and does not come back."""
    os.kill(process.pid, signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert not job.requeued.exists()
    wait_for(lambda: not job.processes(), 30)


def run_out(job: Job, process: subprocess.Popen[str]) -> None:
    """End the job as Slurm does at the end of its time, warned or not."""
    job.signal(signal.SIGTERM)
    end = time.monotonic() + KILL_WAIT
    while job.processes() and time.monotonic() < end:
        time.sleep(0.1)
    job.signal(signal.SIGKILL)
    output, _ = process.communicate()
    # Ray, told to end at the same moment, may end the process of the study before it says a word.
    assert "Traceback" not in output, output
    wait_for(lambda: not job.processes(), 30)
    assert not job.requeued.exists()


def _command(process: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_bytes()
    return b""
