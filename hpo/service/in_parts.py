"""Trials that consist of parts: the first runs, then, if it is complete, the others."""

from collections import deque
from collections.abc import Mapping, Sequence

from hpo.distributions import Value
from hpo.parts import Partition
from hpo.record.values import Asked
from hpo.search.best_so_far import Point
from hpo.service.attempts import Attempts
from hpo.trial import Trial, TrialId, TrialResult


class TrialsInParts:
    """Runs trials like `Attempts`, and returns the result of each once all its parts have ended.

    `known` are the recorded parts.
    """

    def __init__(
        self, attempts: Attempts, partition: Partition, known: Sequence[TrialResult]
    ) -> None:
        self._attempts, self._partition = attempts, partition
        self.listener = attempts.listener
        self._known: dict[TrialId, dict[int, TrialResult]] = {}
        for result in known:
            self._known.setdefault(result.trial.original, {})[result.trial.part] = result
        self._parts: dict[TrialId, dict[int, TrialResult]] = {}  # of the trials that run
        self._waiting: dict[TrialId, list[Trial]] = {}  # for the first part
        self._ended: deque[TrialResult] = deque()

    @property
    def running(self) -> int:
        """How many trials run."""
        return len(self._parts) + len(self._ended)

    @property
    def begun(self) -> Sequence[TrialId]:
        """The recorded trials of which some parts have ended, and others have not."""
        return list(self._known)

    def begun_with(self, trial: TrialId) -> Mapping[str, Value] | None:
        """Return the hyperparameters of a trial of which some parts have ended, or None."""
        parts = self._known.get(trial)
        return next(iter(parts.values())).trial.hyperparameters if parts else None

    def submit(self, trial: Trial) -> None:
        """Hand the first part of a trial to the workers, or its missing parts."""
        self._attempts.begin(trial)
        parts = self._parts[trial.id] = dict(self._known.pop(trial.id, {}))
        self._waiting[trial.id] = [
            part for part in self._partition.others(trial) if part.part not in parts
        ]
        if 1 not in parts:
            self._attempts.submit(self._partition.first(trial))
        else:
            self._go_on(trial.id)

    def next_result(self) -> TrialResult | None:
        """Wait for the next event; return a trial's result if that was its last part."""
        if not self._ended:
            part = self._attempts.next_result()
            if part is not None:
                identity = part.trial.original
                self._parts[identity][part.trial.part] = part
                self._go_on(identity)
        return self._ended.popleft() if self._ended else None

    def _go_on(self, identity: TrialId) -> None:
        """Send out the other parts of a trial after its first, or conclude it after the last."""
        whole = self._partition.result(self._parts[identity])
        if whole is not None:
            del self._parts[identity], self._waiting[identity]
            self._attempts.conclude(whole)
            self._ended.append(whole)
            return
        for part in self._waiting[identity] if 1 in self._parts[identity] else ():
            self._attempts.submit(part)
        self._waiting[identity] = []

    @property
    def asked(self) -> Asked:
        """What people ask of the study, as far as known."""
        return self._attempts.asked

    def look(self) -> Asked:
        """Return what people ask of the study now."""
        return self._attempts.look()

    def show_best(self, run_id: str, points: Sequence[Point]) -> None:
        """Show the best values of a round to people who watch the record."""
        self._attempts.show_best(run_id, points)
