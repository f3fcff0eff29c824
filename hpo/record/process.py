"""The record in a process of its own, so that writing it does not hold up the search."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, cast

from hpo.errors import HPOError
from hpo.record.owner import Owner

if TYPE_CHECKING:
    from hpo.record.tracking import Tracking

END_SECONDS = 5.0  # for a write that has begun
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)


class RecordProcess:
    """A `Tracking` that another process holds: each of its methods is called over there.

    MLflow's work, and its import, then take another core than the search. That process ends with
    this one, even where this one is killed. It keeps the open files `held`, so that a lock on
    one of them lasts as long as anything is written.
    """

    def __init__(self, uri: str, held: Sequence[int] = ()) -> None:
        """Start the process; the first call opens the record. Only from the main thread."""
        ours, theirs = socket.socketpair()
        code = f"from {__name__} import serve; serve({theirs.fileno()}, {os.getpid()})"
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", code],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno(), *held],
                process_group=0,  # Ctrl-C is for this process, which then ends the other one
            )
        self.number = self._process.pid
        self._connection = Connection(ours.detach())
        # One thread that talks: a caller that is interrupted leaves no half-read answer behind.
        self._talk = ThreadPoolExecutor(1, "record")
        self._talk.submit(self._connection.send, (uri, Owner.this_process()))

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *args, **named: self._talk.submit(self._call, name, args, named).result()

    def as_tracking(self) -> "Tracking":
        """Return this by the type it stands for."""
        return cast("Tracking", self)

    def close(self) -> None:
        """End the process once what it writes is written."""
        self._talk.submit(self._connection.send, None)
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._talk.shutdown()
        self._connection.close()

    def _call(self, method: str, arguments: Sequence[Any], named: dict[str, Any]) -> Any:
        """Call a method over there; functions among its arguments are called here."""
        sent = [_Function(i) if callable(a) else a for i, a in enumerate(arguments)]
        try:
            self._connection.send((method, sent, named))
            while True:
                kind, value = self._connection.recv()
                if kind == "returns":
                    return value
                if kind == "raises":
                    raise value
                place, values = value
                arguments[place](*values)
        except (EOFError, OSError) as error:
            raise HPOError(
                "the process that writes the record is gone; the same command goes on"
            ) from error


@dataclass(frozen=True)
class _Function:
    """Stands for a function among the arguments of a call."""

    place: int


def serve(descriptor: int, parent: int) -> None:
    """Hold a record and answer the calls of the process `parent`, until it wants no more."""
    _end_with(parent)
    from hpo.record.tracking import Tracking

    connection = Connection(descriptor)
    uri, owner = connection.recv()
    record: Tracking | None = None
    while (asked := _next(connection)) is not None:
        method, arguments, named = asked
        arguments = [_calling(connection, a) if isinstance(a, _Function) else a for a in arguments]
        try:
            if record is None:
                record = Tracking(uri, owner)
            value = getattr(record, method)(*arguments, **named)
        except HPOError as error:
            connection.send(("raises", error))
        else:
            connection.send(("returns", value))
    if record is not None:
        record.close()
    os._exit(0)  # nothing is left to write, and MLflow's threads take a while to end


def _next(connection: Connection) -> Any:
    try:
        return connection.recv()
    except EOFError:
        return None


def _calling(connection: Connection, function: _Function) -> Callable[..., None]:
    return lambda *values: connection.send(("calls", (function.place, values)))


def _end_with(parent: int) -> None:
    """Let this process end with its parent; elsewhere than on Linux, when it next listens."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
