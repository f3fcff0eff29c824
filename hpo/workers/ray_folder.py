"""A private folder for the sockets and logs of a local Ray, removed when it ends."""

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hpo import locks
from hpo.errors import InputError

# The longest socket path that a system allows, and what Ray adds to the path of its folder.
_SOCKET_BYTES = 107 if sys.platform == "linux" else 103
_RAYS_OWN = len("/session_2026-01-31_23-59-59_999999_4194304/sockets/plasma_store")
_PREFIX, _LOCK, _INSIDE = "hpo-ray-", "lock", "r"


class RayFolder:
    """A folder that nobody else can read, at a path short enough for Ray's sockets.

    If TMPDIR is too long or not ASCII, it is elsewhere. A lock shows that it is in use; folders
    left behind by killed processes are removed by the next one.
    """

    def __init__(self) -> None:
        """Create the folder; raise InputError if there is no place for it."""
        self._folder = _make()
        self._lock = os.open(self._folder / ".lock", os.O_CREAT | os.O_RDWR, 0o600)
        locks.take(self._lock)  # nobody else knows it yet
        os.rename(self._folder / ".lock", self._folder / _LOCK)  # visible to others once held
        self.path = self._folder / _INSIDE  # Ray gives everyone access to the folder it uses
        self.path.mkdir()
        _sweep(self._folder.parent)

    def close(self) -> None:
        """Remove the folder and everything in it."""
        shutil.rmtree(self._folder, ignore_errors=True)
        os.close(self._lock)


def _make() -> Path:
    for place in _places():
        longest = len(os.fsencode(place)) + len(f"/{_PREFIX}12345678/{_INSIDE}") + _RAYS_OWN
        if place.isascii() and longest <= _SOCKET_BYTES:
            with contextlib.suppress(OSError):
                return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
    raise InputError(
        "no usable folder for Ray's sockets among "
        f"{', '.join(map(repr, dict.fromkeys(_places())))}; set TMPDIR to a writable folder with a "
        "short ASCII path, or use --inline"
    )


def _places() -> Iterator[str]:
    if chosen := os.environ.get("RAY_TMPDIR"):
        yield chosen
    with contextlib.suppress(OSError):  # if no folder for temporary files is writable
        yield tempfile.gettempdir()
    yield from ("/tmp", "/var/tmp", "/dev/shm")


def _sweep(place: Path) -> None:
    """Remove folders left behind by killed processes of this user."""
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
