"""Run a program under a supervisor, read its output line by line, and leave nothing running."""

import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence

from hpo import program_supervisor

POLL_SECONDS = 0.1  # a blocking read would not notice a cancelled trial
LONGEST_LINE = 1 << 20  # bytes; longer lines are cut
_BLOCK = 1 << 16
_LINE = re.compile(rb"\r\n|\n|\r")  # progress bars end their lines with \r


class _Connection:
    """The connection to this process's supervisor, which is started when first needed."""

    _socket: socket.socket | None = None
    _owner = 0

    @classmethod
    def get(cls) -> socket.socket:
        """Return the socket of the supervisor."""
        if cls._socket is None or cls._owner != os.getpid():
            ours, theirs = socket.socketpair()
            with theirs:
                number = theirs.fileno()
                python = [sys.executable, "-I", "-S"]  # which starts soonest
                command = [*python, program_supervisor.__file__, str(number)]
                subprocess.run(command, pass_fds=[number], check=True)
            cls._socket, cls._owner = ours, os.getpid()
        return cls._socket

    @classmethod
    def drop(cls) -> None:
        """End the supervisor and everything it runs."""
        if cls._socket is not None and cls._owner == os.getpid():
            cls._socket.close()
        cls._socket = None


def run(arguments: Sequence[str], environment: Mapping[str, str], folder: str) -> Iterator[str]:
    """Start a program and yield the lines of its output and errors, without line endings.

    Closing the iterator early kills the program and everything it started. Raises RuntimeError if
    it cannot be started, or does not end with exit code 0.
    """
    request = json.dumps([list(arguments), dict(environment), folder]).encode()
    connection = _Connection.get()
    reading, writing = os.pipe()
    answer = None
    try:
        try:
            head = len(request).to_bytes(program_supervisor.LENGTH, "big")
            socket.send_fds(connection, [head], [writing])
            connection.sendall(request)
        finally:
            os.close(writing)
        for line in _lines(reading):
            yield line.decode("utf-8", "replace")
        answer = _answer(connection)
    finally:
        os.close(reading)
        if answer is None:
            _stop(connection)
    if not re.fullmatch(r"-?\d+", answer):
        raise RuntimeError(answer)
    if answer != "0":
        raise RuntimeError(_fate(int(answer)))


def _fate(code: int) -> str:
    if code > 0:
        return f"the program exited with code {code}"
    with contextlib.suppress(ValueError):
        return f"the program was killed by {signal.Signals(-code).name}"
    return f"the program was killed by signal {-code}"


def _lines(reading: int) -> Iterator[bytes]:
    """Yield whole lines until all writers are gone."""
    pending, cut = bytearray(), False
    while True:
        _wait_for(reading)
        block = os.read(reading, _BLOCK)
        if not block:
            break
        pending += block
        if not cut and len(pending) < LONGEST_LINE and not _LINE.search(block):
            continue
        *lines, rest = _LINE.split(bytes(pending))
        if cut and lines:
            lines[0] = b""  # the end of a line whose beginning was cut
            cut = False
        yield from filter(None, lines)
        pending = bytearray(rest)
        if len(pending) > LONGEST_LINE or cut:
            if not cut:
                yield rest[:LONGEST_LINE]
            pending, cut = bytearray(), True
    if pending and not cut:
        yield bytes(pending)


def _wait_for(number: int) -> None:
    """Wait until a file can be read or has ended; `select` would not work for every descriptor."""
    poll = select.poll()
    poll.register(number, select.POLLIN)
    while not poll.poll(1000 * POLL_SECONDS):
        pass


def _stop(connection: socket.socket) -> None:
    """Kill the program, and wait until it is gone."""
    try:
        connection.sendall(program_supervisor.STOP)
        _answer(connection)
    except BaseException:
        _Connection.drop()  # which kills it, too
        raise


def _answer(connection: socket.socket) -> str:
    _wait_for(connection.fileno())
    head = connection.recv(program_supervisor.LENGTH, socket.MSG_WAITALL)
    if len(head) < program_supervisor.LENGTH:
        raise RuntimeError("the supervisor of the program died")
    return connection.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL).decode()
