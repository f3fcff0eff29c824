"""A private folder for the sockets and logs of a Ray of one's own, gone when that has ended."""

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hpo import locks
from hpo.errors import InputError

# The longest path of a socket that a system takes, and what Ray adds to its folder's.
_SOCKET_BYTES = 107 if sys.platform == "linux" else 103
_RAYS_OWN = len("/session_2026-01-31_23-59-59_999999_4194304/sockets/plasma_store")
_PREFIX, _LOCK, _INSIDE = "hpo-ray-", "lock", "r"


class RayFolder:
    """A folder that nobody else can read, at a path that is short enough for Ray's sockets.

    Where TMPDIR is too long or not ASCII it lies elsewhere. A lock tells others that it is in use;
    what a process that was killed left behind is removed by the next one.
    """

    def __init__(self) -> None:
        """Make the folder; raise InputError where there is no place for it."""
        self._folder = _make()
        self._lock = os.open(self._folder / ".lock", os.O_CREAT | os.O_RDWR, 0o600)
        locks.take(self._lock)  # which nobody else knows yet
        os.rename(self._folder / ".lock", self._folder / _LOCK)  # seen by others once it is held
        self.path = self._folder / _INSIDE  # Ray lets everybody into the folder that it is given
        self.path.mkdir()
        _sweep(self._folder.parent)

    def close(self) -> None:
        """Remove the folder with all that is in it."""
        shutil.rmtree(self._folder, ignore_errors=True)
        os.close(self._lock)


def _make() -> Path:
    for place in _places():
        longest = len(os.fsencode(place)) + len(f"/{_PREFIX}12345678/{_INSIDE}") + _RAYS_OWN
        if place.isascii() and longest <= _SOCKET_BYTES:
            with contextlib.suppress(OSError):
                return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
    raise InputError(
        f"no place for the sockets of Ray in {', '.join(map(repr, dict.fromkeys(_places())))}: it "
        "must be writable, ASCII and short; set TMPDIR to such a folder, or use --inline"
    )


def _places() -> Iterator[str]:
    if chosen := os.environ.get("RAY_TMPDIR"):
        yield chosen
    with contextlib.suppress(OSError):  # where no folder for temporary files can be written
        yield tempfile.gettempdir()
    yield from ("/tmp", "/var/tmp", "/dev/shm")


def _sweep(place: Path) -> None:
    """Remove what processes of this user left that were killed."""
    for folder in place.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            lock = os.open(folder / _LOCK, os.O_RDWR)
            try:
                if locks.take(lock):
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)
