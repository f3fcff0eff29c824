"""Commands in processes of their own, which begin at once: forked where all is imported."""

import atexit
import contextlib
import functools
import importlib
import multiprocessing
import multiprocessing.forkserver
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from hpo.api import session
from hpo.cli import commands as cli

ROOT = Path(__file__).parents[1]
HPO = str(Path(sys.executable).with_name("hpo"))
_FORKS = multiprocessing.get_context("forkserver")


class Started:
    """A process that runs a command; to be used as one of `subprocess.Popen`."""

    def __init__(
        self,
        arguments: tuple[str, ...],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        start_new_session: bool = False,
        first: Callable[[], None] | None = None,
    ) -> None:
        """Start the command `hpo`; `first` is called in its process before."""
        reading, writing = _FORKS.Pipe(duplex=False)
        _be_ready()
        self._process = _FORKS.Process(
            target=_run, daemon=True,
            args=(arguments, dict(env or os.environ), str(cwd or Path.cwd()), writing,
                  start_new_session, session.illustrate, first),
        )
        self._process.start()
        writing.close()
        self.stdout = os.fdopen(os.dup(reading.fileno()), encoding="utf-8")
        reading.close()
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def communicate(self, timeout: float | None = None) -> tuple[str, None]:
        """Return what it prints until its end."""
        printed: list[str] = []
        reader = threading.Thread(target=lambda: printed.append(self.stdout.read()), daemon=True)
        reader.start()
        reader.join(timeout)
        if not printed:
            raise subprocess.TimeoutExpired("hpo", timeout or 0)
        self._process.join(timeout)
        self.stdout.close()
        return printed[0], None


def start(*arguments: object, **options: object) -> Started:
    """Start a command as a process of its own."""
    return Started(tuple(map(str, arguments)), **options)  # type: ignore[arg-type]


def start_anew(*arguments: object, **options: object) -> subprocess.Popen[str]:
    """Start a command as a shell does: where it is the start, or the end, that is tested."""
    return subprocess.Popen(
        [HPO, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        **options,  # type: ignore[call-overload]
    )


def fork(function: Callable[..., None], *arguments: object) -> BaseProcess:
    """Call a function in a process of its own, which is returned."""
    _be_ready()
    process = _FORKS.Process(target=function, args=arguments, daemon=True)
    process.start()
    return process


def set_seconds(name: str, **seconds: float) -> None:
    """Set how long a module waits; to be called first in the process of a command."""
    module = importlib.import_module(name)
    for constant, value in seconds.items():
        assert hasattr(module, constant)
        setattr(module, constant, value)


def draw_nothing(*_: object) -> None:
    """Stand in for what draws a study, which takes longer than a round of the toy."""


def read_migrations_once() -> None:
    """Let MLflow find its newest migration once in this process, not for each new record.

    It runs all of their files for that.
    """
    from mlflow.store.db import utils

    utils._get_latest_schema_revision = functools.cache(utils._get_latest_schema_revision)


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    """Return once the condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def is_gone(process: int) -> bool:
    """Say whether a process has ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def _be_ready() -> None:
    """Start the process that all others are forked from, unless it runs."""
    _FORKS.set_forkserver_preload(["tests.preloaded"])
    with contextlib.chdir(ROOT):  # where it finds what it imports
        multiprocessing.forkserver.ensure_running()


def _run(
    arguments: tuple[str, ...],
    environment: dict[str, str],
    folder: str,
    output: Connection,
    new_session: bool,
    illustrate: Callable[..., None],
    first: Callable[[], None] | None,
) -> None:
    """Run a command as the program `hpo` does, up to its end."""
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)
    output.close()
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", closefd=False, buffering=1, errors="backslashreplace")  # noqa: SIM115
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    if new_session:
        os.setsid()
    sys.argv = ["hpo", *arguments]
    session.illustrate = illustrate  # as in the tests that start it
    code: object = 0
    try:
        if first is not None:
            first()
        cli.main()
    except SystemExit as end:
        code = end.code
    # As Python does at the end of a program.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.exit(code)  # type: ignore[arg-type]


def descendants(process: int) -> list[int]:
    """Return the processes that a process has started, and those that they have."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    found, look_at = [], [process]
    while look_at:
        of_this = children.get(look_at.pop(), [])
        found += of_this
        look_at += of_this
    return found
