"""Copies of the folders of trials are kept where they are of use, and removed where they are not.

Those of use belong to trials that run, to the best that have ended, and to what was trained longer.
"""

from collections.abc import Collection, Iterable

from hpo.checkpoints.trials import Checkpoints
from hpo.trial import Direction, State, TrialId, TrialResult, rank


class Retention:
    """What becomes of the copies of trials when these end."""

    def __init__(self, checkpoints: Checkpoints, direction: Direction) -> None:
        self._checkpoints, self._direction = checkpoints, direction
        self._best: list[TrialResult] = []
        self._longest: dict[TrialId, TrialId] = {}

    def know(self, ended: Iterable[TrialResult]) -> None:
        """Take note of trials that have ended, in any order."""
        for result in ended:
            self._know(result)

    @property
    def kept(self) -> set[TrialId]:
        """The trials that have ended of which copies stay."""
        return {r.trial.id for r in self._best} | set(self._longest.values())

    def ended(self, result: TrialResult) -> None:
        """Remove the copies that are of no use any more since a trial has ended."""
        before = self.kept
        self._know(result)
        for trial in (before | {result.trial.id}) - self.kept:
            self._checkpoints.forget(trial)

    def forget_others(self, among: Collection[TrialId] | None = None) -> None:
        """Remove all copies that are of no use, or only such as are `among` those named."""
        self._checkpoints.forget_others(self.kept, among)

    def _know(self, result: TrialResult) -> None:
        trial = result.trial
        if not trial.id.can_go_on or result.state is not State.COMPLETE:
            return
        if not trial.extended_to:
            found = {r.trial.id: r for r in (*self._best, result)}
            self._best = rank(list(found.values()), self._direction)[: self._checkpoints.keep]
        elif self._checkpoints.keep:
            known = self._longest.get(trial.original)
            if known is None or known.extended_to < trial.extended_to:
                self._longest[trial.original] = trial.id
