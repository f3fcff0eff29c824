"""Copies of the folders of trials, from which interrupted trials and the best ones continue.

A copy belongs to an epoch. It exists once the file that describes it does, which is written last:
an interrupted copy does not count, nor does one whose files differ from their description.
"""

import contextlib
import hashlib
import json
import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from hpo.checkpoints.folders import empty
from hpo.checkpoints.store import Store
from hpo.distributions import Value
from hpo.trial import EpochMetrics, Trial, TrialId

_DESCRIBED = re.compile(r"(\d+)\.json")
_EXTENDED = re.compile(r"(.*)-extended-to-(\d+)")
UNUSABLE = (OSError, ValueError, LookupError, TypeError)  # gone, damaged, or of another trial


@dataclass(frozen=True)
class Snapshot:
    """What a trial continues from: the metrics of its epochs so far, and the generators' states.

    `has_ended` says that it was made when the trial had ended. For a trial that is extended,
    `begun` is the number of epochs it had before.
    """

    metrics: tuple[EpochMetrics, ...]
    generators: Mapping[str, Any]
    has_ended: bool = False
    begun: int = 0


def to_table(snapshot: Snapshot) -> dict[str, Any]:
    """Return plain values for JSON."""
    return {
        "metrics": [dict(epoch) for epoch in snapshot.metrics],
        "generators": snapshot.generators, "has_ended": snapshot.has_ended,
        "begun": snapshot.begun,
    }


def from_table(table: Mapping[str, Any]) -> Snapshot:
    """Return what `to_table` wrote; raise LookupError if something is missing."""
    return Snapshot(
        tuple(table["metrics"]), table["generators"], bool(table.get("has_ended", False)),
        int(table.get("begun", 0)),
    )


class Copies(Protocol):
    """The copies of the folder of one trial; the last one counts."""

    def save(self, folder: Path, snapshot: Snapshot) -> None:
        """Copy a folder as it is after an epoch; raise OSError if that fails."""
        ...

    def restore(self, folder: Path) -> Snapshot | None:
        """Fill an empty folder with the last copy; return its snapshot, None without a copy."""
        ...

    def forget(self) -> None:
        """Remove all copies, which turned out to be unusable."""
        ...


@dataclass(frozen=True)
class Checkpoints:
    """The copies of the trials of one study, in a place that its workers can reach.

    `context` separates the trials of this study from others with the same names. Two copies of a
    trial are at least `seconds` apart. The last copies of the `keep` best trials stay after these
    have ended. With `is_carried`, only this process can reach the place, and workers send their
    copies here. A place that `is_far` receives a copy of a copy, while the trial keeps running.
    """

    store: Store
    context: str
    seconds: float
    keep: int = 0
    is_carried: bool = False
    is_far: bool = False

    def of(self, trial: Trial, fixed: Mapping[str, Value]) -> "TrialCheckpoints":
        """Return the copies of one trial, given the `fixed` values it has besides its own.

        A trial that is extended can also use the copies of the original trial.
        """
        lengths = sorted({*self._lengths(trial), 0}, reverse=True)
        shorter = [replace(trial, extended_to=n) for n in lengths if n < trial.extended_to]
        return TrialCheckpoints(self.store, self._named(trial, fixed), [
            self._named(earlier, fixed) for earlier in shorter
        ])

    def epochs(self, trial: TrialId) -> int:
        """Return how many epochs of a trial do not need to be trained again."""
        with contextlib.suppress(OSError):
            return max(_epochs(self.store, _name(trial)), default=0)
        return 0

    def forget(self, trial: TrialId) -> None:
        """Remove the copies of a trial."""
        with contextlib.suppress(OSError):
            self.store.forget(_name(trial))

    def forget_others(
        self, kept: Collection[TrialId], among: Collection[TrialId] | None = None
    ) -> None:
        """Remove all copies except those of the trials to be `kept`.

        With `among`, remove only copies of those trials.
        """
        stay = set(map(_name, kept))
        go = None if among is None else set(map(_name, among))
        with contextlib.suppress(OSError):
            for name in self.store.trials():
                if name not in stay and (go is None or name in go):
                    self.store.forget(name)

    def _named(self, trial: Trial, fixed: Mapping[str, Value]) -> "_Named":
        values = sorted(trial.values(fixed).items())
        identity = json.dumps([self.context, trial.id, trial.seed, values])
        return _Named(_name(trial.id), hashlib.sha256(identity.encode()).hexdigest()[:32])

    def _lengths(self, trial: Trial) -> list[int]:
        """Return the lengths, in epochs, to which a trial was extended and has copies for."""
        if not trial.extended_to:
            return []
        name = _name(trial.id._replace(extended_to=0))
        with contextlib.suppress(OSError):
            found = map(_EXTENDED.fullmatch, self.store.trials())
            return [int(match[2]) for match in found if match and match[1] == name]
        return []


class _Named(NamedTuple):
    """The name of the copies of a trial, and the key that they must carry."""

    name: str
    key: str


class TrialCheckpoints:
    """The `Copies` of the folder of one trial; the last one counts.

    If it has none of its `own`, the trial continues from the first of those `before` that exists.
    """

    def __init__(self, store: Store, own: _Named, before: Sequence[_Named] = ()) -> None:
        self._store, self._own, self._before = store, own, before

    def save(self, folder: Path, snapshot: Snapshot) -> None:
        """Copy a folder as it is after an epoch; raise OSError if that fails.

        An empty folder is skipped: there would be nothing to continue from. Files, folders and
        links in it are copied.
        """
        if not any(folder.iterdir()):
            return
        epochs, (name, key) = len(snapshot.metrics), self._own
        described, copy = f"{epochs}.json", f"{epochs}.{secrets.token_hex(4)}"
        try:
            description = {
                "key": key, "copy": copy, "content": self._store.put(name, copy, folder),
                **to_table(snapshot),
            }
            self._store.write(name, described, json.dumps(description))
        except BaseException:
            with contextlib.suppress(OSError):
                self._store.remove(name, copy)
            raise
        with contextlib.suppress(OSError):  # of another attempt that does the same
            for entry in self._store.entries(name):
                if entry not in (described, copy):
                    self._store.remove(name, entry)

    def restore(self, folder: Path) -> Snapshot | None:
        """Fill an empty folder with the last copy; return its snapshot, None without a copy."""
        for known, epochs in self._known():
            try:
                description = self._described(known, epochs)
                content = self._store.get(known.name, str(description["copy"]), folder)
                if content == description["content"]:
                    found = from_table(description)
                    return found if known == self._own else replace(found, begun=epochs)
            except UNUSABLE:
                pass
            empty(folder)
        return None

    def epochs(self) -> int:
        """Return the epoch of the copy that the trial would continue from."""
        for known, epochs in self._known():
            with contextlib.suppress(*UNUSABLE):
                self._described(known, epochs)
                return epochs
        return 0

    def forget(self) -> None:
        """Remove all copies, which turned out to be unusable."""
        with contextlib.suppress(OSError):
            self._store.forget(self._own.name)

    def _known(self) -> list[tuple[_Named, int]]:
        """Return the existing copies, in the order in which to try them."""
        with contextlib.suppress(OSError):
            return [
                (known, epochs) for known in (self._own, *self._before)
                for epochs in sorted(_epochs(self._store, known.name), reverse=True)
            ]
        return []

    def _described(self, known: _Named, epochs: int) -> dict[str, Any]:
        """Return the description of a copy; raise one of several errors if it is unusable."""
        description: dict[str, Any] = json.loads(self._store.read(known.name, f"{epochs}.json"))
        if description["key"] != known.key or len(description["metrics"]) != epochs:
            raise ValueError("it belongs to another trial")
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


def _epochs(store: Store, name: str) -> list[int]:
    """Return the epochs that have copies."""
    return [int(found[1]) for found in map(_DESCRIBED.fullmatch, store.entries(name)) if found]
