"""Keeps copies of the folders of trials while they are useful, and removes them afterwards.

Useful copies belong to running trials, to the best ended ones, and to those trained longer.
"""

from collections.abc import Collection, Iterable

from hpo.checkpoints.trials import Checkpoints
from hpo.trial import Direction, State, TrialId, TrialResult, rank


class Retention:
    """Decides which copies of trials stay when the trials end."""

    def __init__(self, checkpoints: Checkpoints, direction: Direction) -> None:
        self._checkpoints, self._direction = checkpoints, direction
        self._best: list[TrialResult] = []
        self._longest: dict[TrialId, TrialId] = {}

    def know(self, ended: Iterable[TrialResult]) -> None:
        """Note trials that have ended, in any order."""
        for result in ended:
            self._know(result)

    @property
    def kept(self) -> set[TrialId]:
        """The ended trials whose copies stay."""
        return {r.trial.id for r in self._best} | set(self._longest.values())

    def ended(self, result: TrialResult) -> None:
        """Remove the copies that are no longer useful now that a trial has ended."""
        before = self.kept
        self._know(result)
        for trial in (before | {result.trial.id}) - self.kept:
            self._checkpoints.forget(trial)

    def forget_others(self, among: Collection[TrialId] | None = None) -> None:
        """Remove all copies that are not useful; with `among`, only copies of those trials."""
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
