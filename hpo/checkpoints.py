"""Copies of the folders of trials: one that was cut off goes on from there, and so do the best.

A copy belongs to an epoch. It is there as soon as the file that describes it is, which is written
last: a copy that broke off is no copy. A copy whose files are not as that file says is none either.
"""

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from hpo.distributions import Value
from hpo.trial import EpochMetrics, Trial, TrialId

_BLOCK = 1 << 20  # bytes that are copied at a time
_DESCRIBED = re.compile(r"(\d+)\.json")
_EXTENDED = re.compile(r"(.*)-extended-to-(\d+)")


@dataclass(frozen=True)
class Snapshot:
    """What a trial goes on with: the metrics of its epochs so far, and the generators' states."""

    metrics: tuple[EpochMetrics, ...]
    generators: Mapping[str, Any]


@dataclass(frozen=True)
class Checkpoints:
    """The copies of the trials of one study, in a directory that all its workers reach.

    `context` tells the trials of this study from others that only have the same names. `seconds`
    at least lie between two copies of a trial. Of the `keep` best trials the last copy stays when
    they have ended.
    """

    directory: str
    context: str
    seconds: float
    keep: int = 0

    def of(self, trial: Trial, fixed: Mapping[str, Value]) -> "TrialCheckpoints":
        """Return the copies of one trial, which has these values besides its own.

        One that is extended has besides its own those of the trial before.
        """
        lengths = sorted({*self._lengths(trial.id), 0}, reverse=True)
        shorter = [replace(trial, extended_to=n) for n in lengths if n < trial.extended_to]
        return TrialCheckpoints(self._source(trial, fixed), [
            self._source(earlier, fixed) for earlier in shorter
        ])

    def epochs(self, trial: TrialId) -> int:
        """Return how many epochs of a trial need not be trained again."""
        return max(_epochs(self._of(trial)), default=0)

    def forget(self, trial: TrialId) -> None:
        """Remove the copies of a trial."""
        shutil.rmtree(self._of(trial), ignore_errors=True)

    def forget_others(
        self, kept: Collection[TrialId], among: Collection[TrialId] | None = None
    ) -> None:
        """Remove all copies but for those of the trials that are `kept`.

        Where some are named, only such as are `among` them go.
        """
        stay = set(map(_name, kept))
        go = None if among is None else set(map(_name, among))
        with contextlib.suppress(OSError):
            for path in Path(self.directory).iterdir():
                if path.name not in stay and (go is None or path.name in go):
                    shutil.rmtree(path, ignore_errors=True)
            Path(self.directory).rmdir()  # where nothing is left

    def _source(self, trial: Trial, fixed: Mapping[str, Value]) -> "_Source":
        values = sorted(trial.values(fixed).items())
        identity = json.dumps([self.context, trial.id, trial.seed, values])
        key = hashlib.sha256(identity.encode()).hexdigest()[:32]
        return _Source(self._of(trial.id), key)

    def _lengths(self, trial: TrialId) -> list[int]:
        """Return to how many epochs a trial was extended, of which there are copies."""
        name = _name(trial._replace(extended_to=0))
        with contextlib.suppress(OSError):
            found = (_EXTENDED.fullmatch(path.name) for path in Path(self.directory).iterdir())
            return [int(match[2]) for match in found if match and match[1] == name]
        return []

    def _of(self, trial: TrialId) -> Path:
        return Path(self.directory) / _name(trial)


class _Source(NamedTuple):
    """Where copies of a trial lie, and what they have to say that they are of."""

    directory: Path
    key: str


class TrialCheckpoints:
    """The copies of the folder of one trial, of which the last one counts.

    Where there are none of its `own`, it goes on from the first of those `before` that there are.
    """

    def __init__(self, own: _Source, before: Sequence[_Source] = ()) -> None:
        self._directory, self._key = own
        self._before = before

    def save(
        self, folder: Path, metrics: Sequence[EpochMetrics], generators: Mapping[str, Any]
    ) -> None:
        """Copy a folder as it is after so many epochs; raise OSError where that fails.

        An empty one is left out: there would be nothing to go on from. Of what lies in it, files,
        folders and links are copied.
        """
        if not any(folder.iterdir()):
            return
        epochs = len(metrics)
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        copied = self._directory / f"{epochs}.{secrets.token_hex(4)}"
        try:
            content = _copy(folder, copied)
            description = {
                "key": self._key, "copy": copied.name, "content": content,
                "metrics": [dict(epoch) for epoch in metrics], "generators": generators,
            }
            written = copied.with_suffix(".part")
            written.write_text(json.dumps(description), encoding="utf-8")
            os.replace(written, self._directory / f"{epochs}.json")
        except BaseException:
            shutil.rmtree(copied, ignore_errors=True)
            copied.with_suffix(".part").unlink(missing_ok=True)
            raise
        self._remove_all_but(f"{epochs}.json", copied.name)

    def restore(self, folder: Path) -> Snapshot | None:
        """Fill an empty folder with the last copy; return what goes with it, None without one."""
        for directory, key in (_Source(self._directory, self._key), *self._before):
            for epochs in sorted(_epochs(directory), reverse=True):
                try:
                    description = _described(directory, epochs, key)
                    copied = directory / str(description["copy"])
                    if _copy(copied, folder) == description["content"]:
                        return Snapshot(tuple(description["metrics"]), description["generators"])
                except (OSError, ValueError, LookupError, TypeError):
                    pass  # it is gone, damaged, or of another trial
                empty(folder)
        return None

    def epochs(self) -> int:
        """Return after how many epochs the copy was made that the trial would go on from."""
        for directory, key in (_Source(self._directory, self._key), *self._before):
            for epochs in sorted(_epochs(directory), reverse=True):
                with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
                    _described(directory, epochs, key)
                    return epochs
        return 0

    def forget(self) -> None:
        """Remove all copies, since they turned out to be of no use."""
        shutil.rmtree(self._directory, ignore_errors=True)

    def _remove_all_but(self, *names: str) -> None:
        with contextlib.suppress(OSError):  # of another attempt that does the same
            for path in self._directory.iterdir():
                if path.name in names:
                    continue
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)


def empty(folder: Path) -> None:
    """Remove all that lies in a folder."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _described(directory: Path, epochs: int, key: str) -> dict[str, Any]:
    """Return what is said of a copy; raise one of several errors where it is of another trial."""
    text = (directory / f"{epochs}.json").read_text(encoding="utf-8")
    description: dict[str, Any] = json.loads(text)
    if description["key"] != key or len(description["metrics"]) != epochs:
        raise ValueError("it is of another trial")
    return description


def _name(trial: TrialId) -> str:
    name = f"{trial.round}-{trial.number}"
    if trial.part:
        name += f"-part-{trial.part}"
    if trial.repeat:
        name += f"-repeat-{trial.repeat}" + ("-resplit" if trial.resplit else "")
    if trial.extended_to:
        name += f"-extended-to-{trial.extended_to}"
    return name


def _epochs(directory: Path) -> list[int]:
    """Return after how many epochs there are copies."""
    try:
        names = os.listdir(directory)
    except OSError:
        return []
    return [int(found[1]) for found in map(_DESCRIBED.fullmatch, names) if found]


def _copy(source: Path, target: Path) -> dict[str, Any]:
    """Copy what lies in a folder; return each path in it with what it holds.

    That is a file's size and checksum, the target of a link, or null for a folder. Sockets, pipes
    and devices are left out. A file that goes away meanwhile is, too.
    """
    target.mkdir(mode=0o700, exist_ok=True)
    content: dict[str, Any] = {}
    for path in sorted(_walked(source)):
        name, copied = str(path.relative_to(source)), target / path.relative_to(source)
        try:
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                content[name] = str(path.readlink())
                copied.symlink_to(content[name])
            elif stat.S_ISDIR(mode):
                content[name] = None
                copied.mkdir(mode=0o700)
            elif stat.S_ISREG(mode):
                content[name] = _copy_file(path, copied)
                copied.chmod(stat.S_IMODE(mode) | stat.S_IRUSR | stat.S_IWUSR)
        except FileNotFoundError:
            content.pop(name, None)
    return content


def _walked(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        yield from (Path(root) / name for name in (*folders, *files))


def _copy_file(source: Path, target: Path) -> list[int]:
    """Copy a file block by block; return its size and its checksum (CRC-32)."""
    size = checksum = 0
    with source.open("rb") as read, target.open("wb") as written:
        while block := read.read(_BLOCK):
            written.write(block)
            size, checksum = size + len(block), zlib.crc32(block, checksum)
    return [size, checksum]
