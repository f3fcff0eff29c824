"""Handle trials that consist of several parts, whose mean is their value."""

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from hpo.trial import (
    Curve,
    Direction,
    EpochMetrics,
    Parts,
    State,
    Trial,
    TrialResult,
    read_value,
    trial_seed,
)

# Of parts that ended in different ways, the trial ended in that which comes first here.
_WORST_FIRST = (
    State.FAILED, State.STOPPED, State.PRUNED, State.DIVERGED, State.INFEASIBLE, State.COMPLETE,
)


@dataclass(frozen=True)
class Partition:
    """How trials are divided into parts: the same training with other seeds, or on other folds.

    Each part is trained by itself. The first one has the seed of the trial and its cut-offs; the
    others begin once it is complete, so that a trial that stops early costs no more than one part.
    """

    count: int
    study_seed: int
    metric: str
    direction: Direction
    value: Literal["last", "best"]
    in_folds: bool = False

    def first(self, trial: Trial) -> Trial:
        """Return the first part of a trial."""
        return replace(trial, part=1)

    def others(self, trial: Trial) -> list[Trial]:
        """Return the parts of a trial after the first."""
        return [
            replace(
                trial, part=part, cut_offs=None,
                seed=trial_seed(self.study_seed, trial.round, trial.number, part=part),
            )
            for part in range(2, self.count + 1)
        ]

    def result(self, parts: Mapping[int, TrialResult]) -> TrialResult | None:
        """Return the result of a trial from its parts by number; None if one is missing.

        Each epoch of a metric is the mean of the parts; one that ended earlier than others stays
        at its last epoch. The value of the trial is read from that curve. Where any part did not
        complete, the trial ended as the worst of them did, with the epochs of its first part. Its
        seconds are those of all parts together.
        """
        first = parts.get(1)
        if first is None or (first.state is State.COMPLETE and len(parts) < self.count):
            return None
        ended = [parts[number] for number in sorted(parts)]
        worst = min(ended, key=lambda part: _WORST_FIRST.index(part.state))
        whole = replace(
            first,
            trial=replace(first.trial, part=0),
            state=worst.state,
            attempt=max(part.attempt for part in ended),
            started=min(part.started for part in ended),
            seconds=math.fsum(part.seconds for part in ended),
            message=_message(worst),
            output="",
            parts=Parts((), first.curve(self.metric), self.in_folds),
        )
        if worst.state is State.COMPLETE:
            return self._mean(whole, ended)
        if worst.state not in (State.PRUNED, State.STOPPED):
            whole = replace(whole, value=None, epoch=None)
        return whole

    def _mean(self, whole: TrialResult, parts: Sequence[TrialResult]) -> TrialResult:
        """Return the result with the means of complete parts."""
        curves = [part.curve(self.metric) for part in parts]
        epochs = max(map(len, curves))
        values = [
            math.fsum(curve[min(epoch, len(curve) - 1)] for curve in curves) / len(curves)
            for epoch in range(epochs)
        ]
        value, epoch = read_value(values, self.value, self.direction)
        at = tuple(curve[min(epoch, len(curve)) - 1] for curve in curves)
        assert whole.parts is not None
        return replace(
            whole, value=value, epoch=epoch, metrics=self._metrics(parts, epochs, values),
            parts=replace(whole.parts, values=at),
        )

    def _metrics(
        self, parts: Sequence[TrialResult], epochs: int, values: Sequence[float]
    ) -> Sequence[EpochMetrics]:
        """Return the means of all metrics, of every epoch that the parts still have."""
        def at(epoch: int) -> EpochMetrics:
            each = [part.metrics[min(epoch, len(part.metrics) - 1)] for part in parts]
            names = [name for name in each[0] if all(name in metrics for metrics in each)]
            return {
                name: math.fsum(metrics[name] for metrics in each) / len(each) for name in names
            }

        if any(isinstance(part.metrics, Curve) for part in parts):
            return Curve(self.metric, array("d", values), at(epochs - 1))
        return [at(epoch) for epoch in range(epochs)]


def _message(worst: TrialResult) -> str:
    """Return why a trial ended as it did, and in which of its parts."""
    message, part = worst.message, worst.trial.part
    return f"part {part}: {message}" if message and part > 1 else message
