"""Run programs for a worker, one at a time, and end everything they started.

This is a program of its own, which uses only the standard library and a socket to the worker. It
leaves the worker's session, so killing that session does not kill this process first, and adopts
orphaned descendants (Linux: PR_SET_CHILD_SUBREAPER), including daemons. A worker that dies closes
the socket; then everything is killed here. On systems other than Linux, daemons survive.
"""

import contextlib
import ctypes
import errno
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of <linux/prctl.h>
LENGTH = 8  # bytes that hold the length of a request
STOP = bytes(LENGTH)
LOOK_SECONDS = 0.02  # between looks at a program, if the system does not report its end
_PROCESSES = Path("/proc")  # on Linux; elsewhere `ps` lists them


def main(number: int) -> None:
    """Serve the worker at the other end of a socket until it is closed."""
    if os.fork():
        os._exit(0)
    os.setsid()
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)  # the worker decides when to end
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    worker = socket.socket(fileno=number)
    try:
        while serve(worker):
            pass
    finally:
        kill_descendants()


def serve(worker: socket.socket) -> bool:
    """Run one program; return False if the worker is gone.

    A request is its length, with the file for the output, then JSON: arguments, environment and
    folder. A request of length 0 ends the running program. The answer is the exit code, as
    `os.waitstatus_to_exitcode` returns it, or the reason why the program did not start.
    """
    head, outputs, _, _ = socket.recv_fds(worker, LENGTH, 1)
    if head == STOP:  # it had ended by itself
        return True
    if len(head) < LENGTH or not outputs:
        return False
    request = _receive(worker, int.from_bytes(head, "big"))
    if request is None:
        return False
    try:
        program = _start(outputs[0], *json.loads(request))
        answer = ""
    except OSError as error:
        program, answer = 0, error.strerror or str(error)
    finally:
        os.close(outputs[0])
    if program:
        status = _status(program, worker)
        gone = status is None and not worker.recv(LENGTH)
        if status is None:
            os.kill(program, signal.SIGKILL)
            _, status = os.waitpid(program, 0)
        answer = str(os.waitstatus_to_exitcode(status))
        kill_descendants()
        if gone:
            return False
    text = answer.encode()
    try:
        worker.sendall(len(text).to_bytes(LENGTH, "big") + text)
    except OSError:
        return False
    return True


def kill_descendants() -> None:
    """Kill all descendants of this process, until none is left."""
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:  # none left, adopted ones included
            return
        for process in descendants(os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.002)


def descendants(process: int) -> list[int]:
    """Return the ids of all descendants of a process, including adopted ones."""
    children: dict[int, list[int]] = {}
    for number, parent in _processes():
        children.setdefault(parent, []).append(number)
    found, unseen = [], [process]
    while unseen:
        below = children.get(unseen.pop(), [])
        found += below
        unseen += below
    return found


def _processes() -> Iterator[tuple[int, int]]:
    """Yield the ids of all processes, each with the id of its parent."""
    if not (_PROCESSES / "self" / "stat").exists():
        import subprocess  # which would double the time that this program takes to start

        listed = subprocess.run(
            ["ps", "-A", "-o", "pid=,ppid="], stdin=subprocess.DEVNULL, capture_output=True,
        ).stdout  # fmt: skip
        for line in listed.splitlines():
            number, parent = map(int, line.split())
            yield number, parent
        return
    for entry in _PROCESSES.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                stat = (entry / "stat").read_bytes()
                yield int(entry.name), int(stat.rpartition(b")")[2].split()[1])


def _status(program: int, worker: socket.socket) -> int | None:
    """Wait for a program to end and return its status; None if the worker sends something first."""
    poll = select.poll()
    poll.register(worker.fileno(), select.POLLIN)
    waiting = -1
    patience: float | None = 1000 * LOOK_SECONDS
    with contextlib.suppress(AttributeError, OSError):  # macOS, and Linux before 5.3
        waiting, patience = os.pidfd_open(program), None
        poll.register(waiting, select.POLLIN)
    try:
        while True:
            ready = [number for number, _ in poll.poll(patience)]
            ended, status = os.waitpid(program, os.WNOHANG)
            if ended:
                return status
            if worker.fileno() in ready:
                return None
    finally:
        if waiting >= 0:
            os.close(waiting)


def _receive(worker: socket.socket, size: int) -> bytes | None:
    content = bytearray()
    while len(content) < size:
        part = worker.recv(min(size - len(content), 1 << 16))
        if not part:
            return None
        content += part
    return bytes(content)


def _start(output: int, arguments: list[str], environment: dict[str, str], folder: str) -> int:
    """Start a program in its own session; raise OSError if it cannot be started."""
    os.chdir(folder)
    files = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, output, 1),
        (os.POSIX_SPAWN_DUP2, output, 2),
    ]
    heard = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    fault: OSError = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    for path in _candidates(arguments[0], environment.get("PATH", os.defpath)):
        try:
            return os.posix_spawn(
                path, arguments, environment, file_actions=files, setsid=True, setsigdef=heard
            )
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:  # it exists: no permission, or not a program
            fault = error
    raise OSError(fault.errno, f"{arguments[0]!r} cannot be started: {fault.strerror}")


def _candidates(name: str, path: str) -> list[str]:
    """Return the paths where a shell would look for a program."""
    return [name] if "/" in name else [os.path.join(f or ".", name) for f in path.split(os.pathsep)]


if __name__ == "__main__":
    main(int(sys.argv[1]))
