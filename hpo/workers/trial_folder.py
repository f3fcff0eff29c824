"""The folder that a trial has for itself, kept now and then where it can go on from a copy."""

import math
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from hpo.checkpoints import Checkpoints, TrialCheckpoints, empty
from hpo.distributions import Value
from hpo.process_state import TrialProcess
from hpo.trial import EpochMetrics, Trial


class TrialFolder:
    """An empty folder, or one as the last copy of it is: a context, after which it is gone.

    `epochs` are the metrics that go with the copy.
    """

    def __init__(
        self, checkpoints: Checkpoints | None, trial: Trial, fixed: Mapping[str, Value]
    ) -> None:
        self.epochs: tuple[EpochMetrics, ...] = ()
        self._is_told = False
        self._copies: TrialCheckpoints | None = None
        self._seconds = math.inf
        self._is_kept_at_the_end = False
        self._last = 0  # epoch that there is a copy of
        if checkpoints is not None:
            self._copies, self._seconds = checkpoints.of(trial, fixed), checkpoints.seconds
            self._is_kept_at_the_end = checkpoints.keep > 0 and trial.id.can_go_on
        self._kept = time.monotonic()

    def __enter__(self) -> "TrialFolder":
        self._held = tempfile.TemporaryDirectory()
        self.path = Path(self._held.name)
        return self

    def __exit__(self, *_: object) -> None:
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
            self.epochs = snapshot.metrics

    def begin_anew(self) -> None:
        """Forget what was kept: the trial did not go on from there."""
        self.epochs = ()
        empty(self.path)
        if self._copies is not None:
            self._copies.forget()

    @property
    def is_due(self) -> bool:
        """Whether the folder is to be kept after this epoch."""
        return time.monotonic() - self._kept >= self._seconds

    def is_due_at_the_end(self, epochs: int) -> bool:
        """Say whether the folder is to be kept though its trial has ended after so many epochs."""
        return self._is_kept_at_the_end and epochs != self._last

    def keep(self, metrics: Sequence[EpochMetrics], process: TrialProcess) -> str:
        """Copy the folder after so many epochs.

        Where that fails the trial goes on, and what is returned says why, the first time.
        """
        assert self._copies is not None
        fault = ""
        try:
            self._copies.save(self.path, metrics, process.generators())
            self._last = len(metrics)
        except OSError as error:
            if not self._is_told:
                fault = f"no checkpoint was kept after epoch {len(metrics)}: {error}"
            self._is_told = True
        self._kept = time.monotonic()
        return fault
