"""The process that will hold a record, which can start before anything slow is imported."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

_SERVE = "from hpo.record.process import serve; serve({}, {})"


class Spawned(NamedTuple):
    """A process, and our end of the socket to it."""

    process: "subprocess.Popen[bytes]"
    socket: socket.socket


_ahead: list[Spawned] = []


@contextlib.contextmanager
def ahead() -> Iterator[None]:
    """Start the process that the next record takes; end it if none has taken it by then.

    Call it from the main thread only, once the environment is as the process needs it.
    """
    _ahead.append(_spawn())
    try:
        yield
    finally:
        for spawned in _ahead:
            spawned.process.kill()
            spawned.process.wait()
            spawned.socket.close()
        _ahead.clear()


def take() -> Spawned:
    """Return the process that was started ahead, or else a new one."""
    return _ahead.pop() if _ahead else _spawn()


def _spawn() -> Spawned:
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _SERVE.format(theirs.fileno(), os.getpid())],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            process_group=0,  # Ctrl-C is for this process, which then ends the other one
        )
    return Spawned(process, ours)
