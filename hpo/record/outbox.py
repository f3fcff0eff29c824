"""The outbox keeps results on disk until the record has them."""

import contextlib
import json
import os
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hpo import locks
from hpo.distributions import as_tuples
from hpo.errors import (
    HPOError,
    InputError,
)
from hpo.trial import State, Trial, TrialId, TrialResult, check

# What is raised where a line is none of an outbox.
_UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
_ASIDE = _REFUSED, _DAMAGED = ".refused.jsonl", ".damaged.jsonl"  # the ends of files beside it
Key = tuple[TrialId, int]  # of a result: its trial and the attempt at it


class Outbox:
    """A file of results, one JSON line each, that only this process writes.

    A line is on disk when `add` returns. Another line notes that a result was delivered, and
    another that it was read back from the record: only then is it forgotten. The file is emptied
    once nothing is left. Unreadable lines are moved to another file when it is opened; `damage`
    then says so.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, and lock it for this process.

        Raises InputError if another process holds it.
        """
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except (OSError, ValueError) as error:
            raise InputError(
                f"{path.parent}: {getattr(error, 'strerror', error)}; results are kept in this "
                "folder until they are recorded; set HPO_OUTBOX to a writable folder"
            ) from error
        self._file = os.fdopen(descriptor, "r+b", buffering=0)
        try:
            is_ours = locks.take(descriptor)
        except OSError as error:  # a file system without locks
            raise InputError(
                f"{path} cannot be locked ({error.strerror}), so two processes could write to "
                "it; set HPO_OUTBOX to a folder on another file system"
            ) from error
        if not is_ours:
            raise InputError(
                f"another process is running this study ({path} is locked); wait for it to end, or "
                "stop it"
            )
        self._waiting: dict[Key, TrialResult] = {}
        self._delivered: dict[Key, None] = {}  # and not yet read back
        self._unsure: dict[Key, TrialResult] = {}  # such of an earlier process
        self._again: set[Key] = set()  # those of them that wait once more
        self._settings: dict[Key, str] = {}  # those of the round of a result that was read
        self._lock = threading.Lock()
        self.damage = ""  # one line for the user
        self._load()

    def fileno(self) -> int:
        """Return the descriptor of the open file; every process that has it holds the lock."""
        return self._file.fileno()

    def __len__(self) -> int:
        """Return how many results are kept."""
        with self._lock:
            return len(self._waiting) + len(self._delivered) + len(self._unsure)

    def waiting(self) -> list[TrialResult]:
        """Return the results that were not delivered, in order."""
        with self._lock:
            return list(self._waiting.values())

    def aside(self) -> int:
        """Return how many results were set aside, by this process and by earlier ones."""
        return _lines(self.path.with_suffix(_REFUSED))

    def add(self, result: TrialResult, settings: str = "") -> None:
        """Write a result to disk, and return once it is there.

        `settings` is the fingerprint of the settings of its round.
        """
        with self._lock:
            self._write({"result": asdict(result), "settings": settings})
            os.fsync(self._file.fileno())
            self._waiting[_key(result)] = result

    def take_up(self, on_record: Collection[Key], rounds: Mapping[int, str]) -> int:
        """Compare what an earlier process left with the record.

        Delivered results that are not in `on_record` wait again. `rounds` maps recorded rounds to
        the fingerprints of their settings. Results of a round with the same number but different
        settings are set aside; the return value is how many.
        """
        with self._lock:
            lost = {key: r for key, r in self._unsure.items() if key not in on_record}
            self._delivered |= dict.fromkeys(self._unsure.keys() - lost.keys())
            self._waiting = lost | self._waiting
            self._again |= lost.keys()
            self._unsure = {}
        self.forget(self.delivered())
        others = [
            result for result in self.waiting()
            if result.trial.id.is_searched
            and not self.belongs(result, rounds.get(result.trial.round, ""))
        ]
        for result in others:
            self.set_aside(result, "it belongs to a round with different settings")
        return len(others)

    def belongs(self, result: TrialResult, settings: str) -> bool:
        """Return whether a result may belong to the round whose settings have this fingerprint."""
        return self._settings.get(_key(result), "") in ("", settings) or not settings

    def delivered(self) -> list[Key]:
        """Return which results were delivered but not yet read back."""
        with self._lock:
            return list(self._delivered)

    def was_delivered(self, result: TrialResult) -> bool:
        """Return whether an earlier process delivered a result that is waiting."""
        return _key(result) in self._again

    def drop(self, result: TrialResult) -> None:
        """Note that a result was delivered; at worst it is delivered again."""
        with self._lock:
            del self._waiting[_key(result)]
            self._delivered[_key(result)] = None
            self._write({"delivered": _entry(_key(result))})

    def forget(self, keys: Collection[Key]) -> None:
        """Forget delivered results that were read back from the record."""
        with self._lock:
            for key in keys:
                self._delivered.pop(key, None)
            if self._waiting or self._delivered or self._unsure:
                if keys:
                    self._write({"confirmed": [_entry(key) for key in keys]})
            else:
                self._file.truncate(0)
                self._file.seek(0)

    def set_aside(self, result: TrialResult, reason: str) -> Path:
        """Move a result that the record will never accept to a separate file."""
        aside = self.path.with_suffix(_REFUSED)
        line = json.dumps({"reason": reason, "result": asdict(result)})
        _append(aside, line.encode() + b"\n")
        self.drop(result)
        self.forget([_key(result)])
        return aside

    def set_all_aside(self, reason: str) -> int:
        """Move all kept results to a separate file; return how many there are."""
        self.take_up((), {})
        waiting = self.waiting()
        for result in waiting:
            self.set_aside(result, reason)
        return len(waiting)

    def move(self, path: Path) -> None:
        """Keep results at another path from now on, along with those set aside.

        The file there belongs to this process and is empty.
        """
        os.replace(self.path, path)
        for suffix in _ASIDE:
            aside = self.path.with_suffix(suffix)
            if aside.exists():
                _append(path.with_suffix(suffix), aside.read_bytes())
                aside.unlink()
        self.path = path

    def close(self) -> None:
        """Release the file for other processes."""
        self._file.close()

    def _load(self) -> None:
        end, damaged = 0, []
        written = self._file.read()
        for line in written.split(b"\n"):
            start, end = end, end + len(line) + 1
            try:
                self._take(line)
            except _UNREADABLE:
                damaged.append((start, line))
        try:
            if damaged:
                self._set_lines_aside(damaged)
            self._file.seek(0, os.SEEK_END)
            if written and not written.endswith(b"\n"):
                self._file.write(b"\n")  # a process died, or an editor took it away
        except OSError as error:
            raise HPOError(
                f"{self.path}: {error.strerror}; free up space, then try again"
            ) from error

    def _set_lines_aside(self, damaged: Sequence[tuple[int, bytes]]) -> None:
        """Move lines, given with their start positions, to a separate file."""
        aside = self.path.with_suffix(_DAMAGED)
        _append(aside, b"".join(line + b"\n" for _, line in damaged))
        for start, line in damaged:  # blanks in their place, since the lock is on this very file
            self._file.seek(start)
            self._file.write(b" " * len(line))
        os.fsync(self._file.fileno())
        lines = "1 line" if len(damaged) == 1 else f"{len(damaged)} lines"
        self.damage = (
            f"{lines} of {self.path} could not be read; moved to {aside}; "
            "if that loses the result of a trial, the trial runs again"
        )

    def _take(self, line: bytes) -> None:
        """Process a line; raise one of _UNREADABLE if it is not an outbox line."""
        if not line.strip():
            return
        entry = json.loads(line)
        if "result" in entry:
            result = _result(entry["result"])
            known = self._waiting.setdefault(_key(result), result)
            if repr(known) != repr(result) or repr(known.metrics) != repr(result.metrics):
                raise ValueError("another result of the same attempt")
            self._settings[_key(result)] = str(entry.get("settings", ""))
        elif "delivered" in entry:
            key = _key_of(entry["delivered"])
            if key in self._waiting:
                self._unsure[key] = self._waiting.pop(key)
        else:
            for key in list(map(_key_of, entry["confirmed"])):
                self._unsure.pop(key, None)

    def _write(self, entry: Mapping[str, Any]) -> None:
        """Write a whole line or nothing."""
        line, start = json.dumps(entry).encode() + b"\n", self._file.tell()
        try:
            written = self._file.write(line)
            if written != len(line):
                self._file.write(line[written:])  # says what was in the way
        except OSError as error:
            self._file.truncate(start)
            self._file.seek(start)
            raise HPOError(
                f"{self.path}: {error.strerror}; free up space, then run the same command to "
                "resume"
            ) from error


def kept_on_disk(path: Path) -> tuple[int, int]:
    """Return how many results of any outbox are waiting, and how many were set aside."""
    waiting: set[str] = set()
    with contextlib.suppress(OSError):
        for line in path.read_bytes().split(b"\n"):
            with contextlib.suppress(*_UNREADABLE):
                entry = json.loads(line)
                if "result" in entry:
                    waiting.add(repr(_key(_result(entry["result"]))))
                elif "delivered" in entry:
                    waiting.discard(repr(_key_of(entry["delivered"])))
    return len(waiting), _lines(path.with_suffix(_REFUSED))


def _lines(path: Path) -> int:
    try:
        return path.read_bytes().count(b"\n")
    except OSError:
        return 0


def _key(result: TrialResult) -> Key:
    return result.trial.id, result.attempt


def _entry(key: Key) -> list[Any]:
    return [*key[0], key[1]]


def _key_of(entry: Sequence[Any]) -> Key:
    *identity, attempt = entry
    if len(identity) not in (4, 5, 6):  # they have parts since, and are extended
        raise ValueError(entry)
    return TrialId(*identity), attempt


def _result(table: Mapping[str, Any]) -> TrialResult:
    trial = dict(table["trial"], cut_offs=None)
    trial["hyperparameters"] = {n: as_tuples(v) for n, v in trial["hyperparameters"].items()}
    result = TrialResult(
        **{**table, "trial": Trial(**trial), "state": State(table["state"]), "parts": None}
    )
    check(result)
    return result


def _append(path: Path, lines: bytes) -> None:
    """Append lines to a file that only its owner reads, and return when they are on disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(lines)
        file.flush()
        os.fsync(descriptor)
