"""The record in a process of its own, so that writing it does not hold up the search."""

import contextlib
import ctypes
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from hpo.distributions import Value
from hpo.errors import HPOError
from hpo.record import spawning
from hpo.record.connection import writers_of
from hpo.record.owner import Owner
from hpo.record.values import AcceptedCode, Added, Asked, Recorded, Round, RoundStart, Shown
from hpo.record.writing import Lanes, Outcomes
from hpo.search.best_so_far import Point

HELD = 8  # files at most
END_SECONDS = 5.0  # for a write that has begun
_PREPARE = "prepare"  # sent instead of a call
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)


class RecordProcess:
    """A `Tracking` held by another process, to which every call is forwarded.

    MLflow's work, and its import, then use a different core than the search. That process ends with
    this one, even if this one is killed. It keeps the files `held` open, so that a lock on one of
    them lasts as long as anything is written.
    """

    def __init__(self, uri: str, held: Sequence[int] = ()) -> None:
        """Take the process; the first call opens the record. Call it from the main thread only."""
        self._process, ours = spawning.take()
        with contextlib.suppress(OSError):  # if it has died already, the first call says so
            socket.send_fds(ours, [b"0"], held)
        self.uri, self.number = uri, self._process.pid
        self._connection = Connection(ours.detach())
        # One thread that talks: a caller that is interrupted leaves no half-read answer behind.
        self._talk = ThreadPoolExecutor(1, "record")
        self._talk.submit(self._connection.send, (uri, Owner.this_process()))

    def studies(self) -> list[tuple[str, Mapping[str, str]]]:
        """Return the names and tags of all studies, latest first."""
        studies: list[tuple[str, Mapping[str, str]]] = self.call("", "studies")
        return studies

    def study(self, name: str) -> "StudyElsewhere":
        """Return the record of a study, whether or not it exists yet."""
        return StudyElsewhere(self, name)

    def prepare(self) -> None:
        """Let the process import MLflow, which takes a second, because something will be written.

        This returns at once.
        """
        self._talk.submit(self._connection.send, _PREPARE)

    def close(self) -> None:
        """End the process once it has written everything."""
        self._talk.submit(self._connection.send, None)
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._talk.shutdown()
        self._connection.close()

    def call(self, study: str, method: str, *arguments: Any, **named: Any) -> Any:
        """Call a method in the other process, of a study or, if that is "", of the whole record.

        Functions among its arguments are called in this process.
        """
        return self._talk.submit(self._call, study, method, arguments, named).result()

    def _call(
        self, study: str, method: str, arguments: Sequence[Any], named: dict[str, Any]
    ) -> Any:
        sent = [_Function(i) if callable(a) else a for i, a in enumerate(arguments)]
        try:
            self._connection.send((study, method, sent, named))
            while True:
                kind, value = self._connection.recv()
                if kind == "returns":
                    return value
                if kind == "raises":
                    raise value
                index, values = value
                arguments[index](*values)
        except (EOFError, OSError) as error:
            raise HPOError(
                "the process that writes the record has died; run the same command to resume"
            ) from error


class StudyElsewhere:
    """The record of one study, a `Record`, in a process of its own."""

    def __init__(self, process: RecordProcess, name: str) -> None:
        self.name, self.writers = name, writers_of(process.uri)
        self._process = process

    def create(
        self,
        description: str,
        tags: Mapping[str, str],
        shown: Shown,
        *,
        again: bool = False,
    ) -> str:
        """Create the study, and return the id of its experiment."""
        answer: str = self._ask("create", description, tags, shown, again=again)
        return answer

    def read(self) -> Recorded | None:
        """Return everything recorded about the study; None if there is nothing."""
        answer: Recorded | None = self._ask("read")
        return answer

    def start_round(self, start: RoundStart, *, again: bool = False) -> Round:
        """Record that a round begins; with `again`, reuse what an earlier try left."""
        answer: Round = self._ask("start_round", start, again=again)
        return answer

    def end_round(
        self, run_id: str, metric: str, points: Sequence[Point], tags: Mapping[str, str]
    ) -> None:
        """Record that a round ended, with its best so far of the searched metric."""
        self._ask("end_round", run_id, metric, points, tags)

    def reopen_round(self, run_id: str) -> None:
        """Record that a round that had ended continues."""
        self._ask("reopen_round", run_id)

    def accept_code(self, run_id: str, accepted: AcceptedCode, remark: str) -> None:
        """Record that a round continues with different code, and say so in its description."""
        self._ask("accept_code", run_id, accepted, remark)

    def add(self, points: Sequence[Mapping[str, Value]]) -> None:
        """Ask for points to be tried next, in this order."""
        self._ask("add", points)

    def asked(self, round_run: str) -> Asked:
        """Return what people ask of the study now, while a round runs."""
        answer: Asked = self._ask("asked", round_run)
        return answer

    def place(self, round_run: str, number: int, added: Added) -> None:
        """Record that a trial of a round is a point that was added, before it is sent out."""
        self._ask("place", round_run, number, added)

    def claim(self, note: Callable[[str], None]) -> None:
        """Become the one process that runs the study; raise InputError if another one is alive."""
        self._ask("claim", note)

    def keep(self, waiting: int = 0, aside: int = 0) -> None:
        """Report that this process still runs the study; check that the record is still there."""
        self._ask("keep", waiting, aside)

    def release(self) -> None:
        """Give up the claim, so that the next process does not have to wait."""
        self._ask("release")

    def write(self, metric: str, lanes: Lanes) -> Outcomes:
        """Write results and the progress of running trials; return the outcome of each."""
        answer: Outcomes = self._ask("write", metric, lanes)
        return answer

    def discard(self, run_id: str) -> None:
        """Delete the run of an attempt without a result."""
        self._ask("discard", run_id)

    def verify(self) -> None:
        """Raise RecordReplaced if the record is not the one that was written to."""
        self._ask("verify")

    def confirm(self) -> None:
        """Read back what was delivered; raise like `verify`."""
        self._ask("confirm")

    def start_group(self, kind: str) -> None:
        """Record that trials are about to be repeated, or extended, unless some were already."""
        self._ask("start_group", kind)

    def end_group(self, kind: str, note: str, metrics: Mapping[str, float]) -> None:
        """Record the outcome of that, in Markdown and as numbers."""
        self._ask("end_group", kind, note, metrics)

    def history(self, run_id: str, metric: str) -> list[float]:
        """Return a metric of a run by epoch; for few runs, because each takes a request."""
        answer: list[float] = self._ask("history", run_id, metric)
        return answer

    def output(self, run_id: str) -> tuple[str, bool]:
        """Return the recorded output of a trial, and whether the trial has ended."""
        answer: tuple[str, bool] = self._ask("output", run_id)
        return answer

    def add_files(self, run_id: str, folder: Path) -> None:
        """Add the files of a folder to a run."""
        self._ask("add_files", run_id, folder)

    def _ask(self, method: str, *arguments: Any, **named: Any) -> Any:
        return self._process.call(self.name, method, *arguments, **named)


@dataclass(frozen=True)
class _Function:
    """Stands for a function among the arguments of a call."""

    index: int


def serve(descriptor: int, parent: int) -> None:
    """Hold a record and answer the calls of the process `parent` until that closes it.

    MLflow is imported without pandas and pyarrow, and with few collections: in half the time, and
    75 MB less.
    """
    _end_with(parent)
    gc.set_threshold(50_000)
    for unused in ("pandas", "pyarrow"):
        sys.modules[unused] = None  # type: ignore[assignment]
    from hpo.record.tracking import Tracking

    ours = socket.socket(fileno=descriptor)
    if not socket.recv_fds(ours, 1, HELD)[0]:  # the files stay open
        return  # the process has ended without a record
    connection = Connection(ours.detach())
    uri, owner = connection.recv()
    record: Tracking | None = None
    ahead: threading.Thread | None = None
    while (asked := _next(connection)) is not None:
        if asked == _PREPARE:
            ahead = threading.Thread(target=_import_ahead, daemon=True)
            ahead.start()
            continue
        study, method, arguments, named = asked
        if ahead is not None and method != "read":
            ahead.join()  # of two imports at once, one may see half of a module
        arguments = [_calling(connection, a) if isinstance(a, _Function) else a for a in arguments]
        try:
            if record is None:
                record = Tracking(uri, owner)
            part = record.study(study) if study else record
            value = getattr(part, method)(*arguments, **named)
        except HPOError as error:
            connection.send(("raises", error))
        else:
            connection.send(("returns", value))
    if record is not None:
        record.close()
    os._exit(0)  # nothing is left to write, and MLflow's threads take a while to end


def _import_ahead() -> None:
    """Import what MLflow needs to write to a database."""
    with contextlib.suppress(ImportError):  # which the first call that needs it raises again
        import mlflow.store.tracking.sqlalchemy_store  # noqa: F401


def _next(connection: Connection) -> Any:
    try:
        return connection.recv()
    except EOFError:
        return None


def _calling(connection: Connection, function: _Function) -> Callable[..., None]:
    return lambda *values: connection.send(("calls", (function.index, values)))


def _end_with(parent: int) -> None:
    """Make this process end with its parent; outside Linux, when it next listens."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
