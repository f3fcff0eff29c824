"""The folder that a trial has for itself, kept now and then where it can go on from a copy."""

import contextlib
import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hpo.checkpoints.behind import CopiesBehind
from hpo.checkpoints.carried import CarriedCopies
from hpo.checkpoints.folders import empty
from hpo.checkpoints.trials import Checkpoints, Copies, Snapshot
from hpo.distributions import Value
from hpo.process_state import TrialProcess
from hpo.trial import EpochMetrics, Trial

LOOK_SECONDS = 2.0  # between looks whether the machine is about to go


class TrialFolder:
    """An empty folder, or one as the last copy of it is: a context, after which it is gone.

    `last` is the copy that was sent along, where copies are carried. `epochs` are the metrics that
    go with the copy.
    """

    def __init__(
        self,
        checkpoints: Checkpoints | None,
        trial: Trial,
        fixed: Mapping[str, Value],
        last: bytes | None = None,
    ) -> None:
        self.epochs: tuple[EpochMetrics, ...] = ()
        self.has_ended = False  # the trial, when the copy was made
        self.begun = 0  # after how many epochs an extension went on
        self._is_told = False
        self._copies = _copies(checkpoints, trial, fixed, last)
        self._seconds, self._is_kept_at_the_end = math.inf, False
        if checkpoints is not None:
            self._seconds = checkpoints.seconds
            self._is_kept_at_the_end = checkpoints.keep > 0 and trial.id.can_go_on
        self._is_ahead = False
        self._last_epoch = 0  # that there is a copy of
        self._kept = self._next_look = time.monotonic()

    def __enter__(self) -> "TrialFolder":
        self._held = tempfile.TemporaryDirectory()
        self.path = Path(self._held.name)
        return self

    def __exit__(self, *_: object) -> None:
        if isinstance(self._copies, CopiesBehind):
            with contextlib.suppress(OSError):
                self._copies.wait()
        self._held.cleanup()

    def resume(self, process: TrialProcess) -> None:
        """Fill the folder with its last copy, and give the generators the states they had then."""
        snapshot = self._copies.restore(self.path) if self._copies is not None else None
        if snapshot is None:
            return
        try:
            process.resume(snapshot.generators)
        except (ValueError, TypeError, LookupError):
            empty(self.path)
        else:
            self.epochs, self.has_ended = snapshot.metrics, snapshot.has_ended
            self.begun = snapshot.begun
            self._last_epoch = len(snapshot.metrics)

    def goes_ahead(self) -> None:
        """Take note that the trial does not wait while its folder is copied, as a program does not.

        Only the copy that is made at its end is then known to be of its last epoch.
        """
        self._is_ahead = True

    def begin_anew(self) -> None:
        """Forget what was kept: the trial did not go on from there."""
        self.epochs, self._last_epoch, self.begun = (), 0, 0
        empty(self.path)
        if self._copies is not None:
            self._copies.forget()

    def is_due(self, is_leaving: Callable[[], bool]) -> bool:
        """Say whether the folder is to be kept after this epoch.

        Where the machine is about to go, it is kept sooner than it was to be.
        """
        if isinstance(self._copies, CopiesBehind) and self._copies.is_busy:
            return False
        now = time.monotonic()
        if now - self._kept >= self._seconds:
            return True
        if self._copies is None or now < self._next_look:
            return False
        self._next_look = now + LOOK_SECONDS
        return is_leaving()

    def is_due_at_the_end(self, epochs: int) -> bool:
        """Say whether the folder is to be kept though its trial has ended after so many epochs."""
        return self._is_kept_at_the_end and (self._is_ahead or epochs != self._last_epoch)

    def keep(
        self, metrics: Sequence[EpochMetrics], process: TrialProcess, has_ended: bool = False
    ) -> str:
        """Copy the folder after so many epochs.

        Where that fails the trial goes on, and what is returned says why, the first time.
        """
        assert self._copies is not None
        copies = self._copies
        snapshot = Snapshot(tuple(metrics), process.generators(), has_ended, self.begun)
        fault = self._tried(lambda: copies.save(self.path, snapshot), len(metrics))
        if not fault:
            self._last_epoch = len(metrics)
        self._kept = time.monotonic()
        return fault

    def finish(self, epochs: int) -> str:
        """Return once all copies are where they go; say as `keep` does where one is not."""
        copies = self._copies
        return self._tried(copies.wait, epochs) if isinstance(copies, CopiesBehind) else ""

    def taken(self) -> bytes:
        """Return the copy that is to be carried away since this was asked last, or nothing."""
        return self._copies.taken() if isinstance(self._copies, CarriedCopies) else b""

    def _tried(self, keep: Callable[[], None], epochs: int) -> str:
        try:
            keep()
        except OSError as error:
            if not self._is_told:
                self._is_told = True
                return f"no checkpoint was kept after epoch {epochs}: {error}"
        return ""


def _copies(
    checkpoints: Checkpoints | None,
    trial: Trial,
    fixed: Mapping[str, Value],
    last: bytes | None,
) -> Copies | None:
    """Return the copies of a trial, wherever they are."""
    if checkpoints is None:
        return None
    if checkpoints.is_carried:
        return CarriedCopies(last)
    copies = checkpoints.of(trial, fixed)
    return CopiesBehind(copies) if checkpoints.is_far else copies
