"""The private folder of a trial, copied regularly if the trial can resume from a copy."""

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

LOOK_SECONDS = 2.0  # between checks whether the machine is about to go away


class TrialFolder:
    """The folder of a trial, empty or restored from its last copy: a context that removes it.

    `last` is the copy that was sent along, if copies are carried by events. `epochs` are the
    metrics that belong to the copy.
    """

    def __init__(
        self,
        checkpoints: Checkpoints | None,
        trial: Trial,
        fixed: Mapping[str, Value],
        last: bytes | None = None,
    ) -> None:
        self.epochs: tuple[EpochMetrics, ...] = ()
        self.has_ended = False  # whether the trial had ended when the copy was made
        self.begun = 0  # the epochs after which an extension resumed
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
        """Restore the last copy of the folder, and the states of the random generators."""
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
        """Record that the trial, a program, does not wait while its folder is copied.

        Only the copy made at its end is then known to be of its last epoch.
        """
        self._is_ahead = True

    def begin_anew(self) -> None:
        """Forget the copy: the trial did not resume from it."""
        self.epochs, self._last_epoch, self.begun = (), 0, 0
        empty(self.path)
        if self._copies is not None:
            self._copies.forget()

    def is_due(self, is_leaving: Callable[[], bool]) -> bool:
        """Return whether to copy the folder after this epoch.

        If the machine is about to go away, it is copied sooner than scheduled.
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
        """Return whether to copy the folder now that its trial has ended."""
        return self._is_kept_at_the_end and (self._is_ahead or epochs != self._last_epoch)

    def keep(
        self, metrics: Sequence[EpochMetrics], process: TrialProcess, has_ended: bool = False
    ) -> str:
        """Copy the folder, together with the metrics of all epochs so far.

        If that fails, the trial continues; the reason is returned the first time, else "".
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
        """Wait until all copies are stored; return the reason as `keep` does if one is not."""
        copies = self._copies
        return self._tried(copies.wait, epochs) if isinstance(copies, CopiesBehind) else ""

    def taken(self) -> bytes:
        """Return the copy made since the last call, to be carried away, or b""."""
        return self._copies.taken() if isinstance(self._copies, CarriedCopies) else b""

    def _tried(self, keep: Callable[[], None], epochs: int) -> str:
        try:
            keep()
        except OSError as error:
            if not self._is_told:
                self._is_told = True
                return f"saving the checkpoint of epoch {epochs} failed: {error}"
        return ""


def _copies(
    checkpoints: Checkpoints | None,
    trial: Trial,
    fixed: Mapping[str, Value],
    last: bytes | None,
) -> Copies | None:
    """Return the copies of a trial, wherever they are stored."""
    if checkpoints is None:
        return None
    if checkpoints.is_carried:
        return CarriedCopies(last)
    copies = checkpoints.of(trial, fixed)
    return CopiesBehind(copies) if checkpoints.is_far else copies
