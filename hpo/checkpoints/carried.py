"""Copies sent as bytes between a worker and the service, when they share no place."""

import contextlib
import io
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

from hpo import wording
from hpo.checkpoints.folders import empty, walked
from hpo.checkpoints.packing import pack, unpack
from hpo.checkpoints.trials import UNUSABLE, Checkpoints, Snapshot, from_table, to_table
from hpo.distributions import Value
from hpo.trial import Trial

MOST_BYTES = 100_000_000  # of a folder that travels
_LENGTH = 8  # bytes that say how long the description is


def packed(folder: Path, snapshot: Snapshot) -> bytes:
    """Return a copy of a folder and its snapshot as bytes."""
    described = json.dumps(to_table(snapshot)).encode()
    file = io.BytesIO()
    file.write(len(described).to_bytes(_LENGTH, "big") + described)
    pack(folder, file)
    return file.getvalue()


def unpacked(content: bytes, folder: Path) -> Snapshot:
    """Fill an empty folder with a copy; return its snapshot.

    Raises one of UNUSABLE if that is not possible.
    """
    file = io.BytesIO(content)
    length = int.from_bytes(file.read(_LENGTH), "big")
    snapshot = from_table(json.loads(file.read(length)))
    unpack(file, folder)
    return snapshot


class CarriedCopies:
    """The copies of a trial at its worker, which holds the last one until it is taken."""

    def __init__(self, last: bytes | None = None) -> None:
        self._last, self._made = last, b""

    def save(self, folder: Path, snapshot: Snapshot) -> None:
        """Copy a folder as it is after an epoch; raise OSError if it is too large."""
        files = [path for path in walked(folder) if path.is_file() and not path.is_symlink()]
        size = sum(path.stat().st_size for path in files)
        if size > MOST_BYTES:
            raise OSError(
                f"[checkpoints] storage: the folder holds {wording.number(size / 1e6)} MB, but at "
                f"most {wording.whole(MOST_BYTES / 1e6)} MB can be sent to the service; set it to "
                "a place that all workers can reach"
            )
        if any(folder.iterdir()):
            self._made = packed(folder, snapshot)

    def restore(self, folder: Path) -> Snapshot | None:
        """Fill an empty folder with the last copy; return its snapshot, None without a copy."""
        try:
            return unpacked(self._last, folder) if self._last is not None else None
        except UNUSABLE:
            empty(folder)
            return None

    def forget(self) -> None:
        """Forget the copy, which turned out to be unusable."""
        self._last = None

    def taken(self) -> bytes:
        """Return the copy made since the last call; empty if there is none."""
        made, self._made = self._made, b""
        return made


class Carrier:
    """The copies of trials at the service: sent along with a trial and taken from its worker."""

    def __init__(self, checkpoints: Checkpoints, fixed: Mapping[str, Value]) -> None:
        self._checkpoints, self._fixed = checkpoints, fixed

    def last(self, trial: Trial) -> bytes | None:
        """Return the copy that a trial continues from; None if there is none."""
        copies = self._checkpoints.of(trial, self._fixed)
        if not copies.epochs():
            return None
        with contextlib.suppress(OSError), tempfile.TemporaryDirectory() as name:
            snapshot = copies.restore(Path(name))
            return packed(Path(name), snapshot) if snapshot is not None else None
        return None

    def keep(self, trial: Trial, content: bytes) -> str:
        """Keep a copy that came from a worker; return why that failed, or ""."""
        with tempfile.TemporaryDirectory() as name:
            try:
                snapshot = unpacked(content, Path(name))
                copies = self._checkpoints.of(trial, self._fixed)
                copies.save(Path(name), snapshot)
            except UNUSABLE as error:
                return str(error)
        return ""
