"""Trials, each one set of hyperparameters to train with, and their results.

A study may hold tens of thousands of each, so they are classes with slots.
"""

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import UnionType
from typing import Literal, NamedTuple, TypeAlias, overload

import numpy as np

from hpo import wording
from hpo.distributions import Value, is_value
from hpo.text import clean

Direction: TypeAlias = Literal["minimize", "maximize"]
EpochMetrics: TypeAlias = Mapping[str, float]

EPOCHS = "epochs"  # the hyperparameter that says how long a trial is trained
MESSAGE_CHARACTERS = 3000  # of a message, the end of which is kept
VALUE = "value"  # the name of what trials are ranked by, beside the metrics of their epochs
STANDARD_ERROR = "standard_error"  # and that of a value which is the mean of parts
MOST_TRIALS = 10**9  # and rounds, and attempts: far more than a record holds
MOST_SEEDS = 2**64


class State(StrEnum):
    """How a trial ended."""

    COMPLETE = "complete"
    PRUNED = "pruned"  # stopped early by its cut-offs
    STOPPED = "stopped"  # the same, by a person
    DIVERGED = "diverged"  # a metric became non-finite: a result, which ranks last
    INFEASIBLE = "infeasible"  # it cannot be trained with: a result, which ranks last, too
    FAILED = "failed"  # no result: an exception, a lost worker


class TrialId(NamedTuple):
    """The identity of a trial, or of a repeat or part of one, within its study.

    `round` and `number` count from 1, and so do `repeat` and `part` (0: not one); `resplit`: on a
    fresh split. `extended_to` is the last epoch if it was trained longer than in the search.
    """

    round: int
    number: int
    repeat: int = 0
    resplit: bool = False
    part: int = 0
    extended_to: int = 0

    @property
    def is_searched(self) -> bool:
        """Whether it is a trial of the search, or a part of one."""
        return not self.repeat and not self.extended_to

    @property
    def can_go_on(self) -> bool:
        """Whether it can be extended once it has ended: a trial of one part, or an extension."""
        return not self.repeat and not self.part

    def __str__(self) -> str:
        trial = f"trial {self.number} of round {self.round}"
        if self.extended_to:
            return f"{trial}, extended to epoch {self.extended_to}"
        if self.part:
            return f"part {self.part} of {trial}"
        return f"repeat {self.repeat} of {trial}" if self.repeat else trial


@dataclass(frozen=True, slots=True)
class Limit:
    """Bounds on a metric other than the study's own; a trial outside them is infeasible."""

    at_least: float | None = None
    """The smallest value that is allowed."""
    at_most: float | None = None
    """The largest value that is allowed."""

    def allows(self, value: float) -> bool:
        """Return whether a value is within the bounds; NaN is not."""
        low, high = self.at_least, self.at_most
        return (low is None or value >= low) and (high is None or value <= high)

    def __str__(self) -> str:
        ends = (("at least", self.at_least), ("at most", self.at_most))
        return " and ".join(f"{end} {wording.whole(n)}" for end, n in ends if n is not None)


@dataclass(frozen=True, slots=True)
class CutOffs:
    """The values below which a trial stops, fixed before it starts.

    A trial stops if its best value so far (`compare="best"`) or its value at the epoch
    (`"current"`) is strictly worse than `by_epoch[epoch - 1]`; NaN means no cut-off at that epoch.
    """

    compare: Literal["best", "current"]
    by_epoch: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Trial:
    """One set of hyperparameters, with everything needed to run it again.

    `repeat` counts from 1 if the trial is trained again to confirm it, with its own seed; with
    `resplit`, also on new training and validation rows. `part` counts from 1 if it is one of
    several trainings that make up the trial. If it is `added`, a person chose the hyperparameters
    while the study was running. `extended_to` is the number of epochs if the trial continues after
    the search; it then replaces `epochs`.
    """

    round: int
    number: int
    hyperparameters: Mapping[str, Value]
    seed: int
    cut_offs: CutOffs | None = None
    repeat: int = 0
    resplit: bool = False
    added: bool = False
    part: int = 0
    extended_to: int = 0

    @property
    def id(self) -> TrialId:
        """The identity of this trial, or repeat or part of one, within its study."""
        return TrialId(
            self.round, self.number, self.repeat, self.resplit, self.part, self.extended_to
        )

    @property
    def original(self) -> TrialId:
        """The trial that this is a repeat, part or extension of; otherwise its own id."""
        return TrialId(self.round, self.number)

    def values(self, fixed: Mapping[str, Value]) -> dict[str, Value]:
        """Return all hyperparameters that its objective is called with, including `fixed`."""
        longer = {EPOCHS: self.extended_to} if self.extended_to else {}
        return {**fixed, **self.hyperparameters, **longer}


@dataclass(frozen=True, slots=True)
class Curve(Sequence[EpochMetrics]):
    """The epochs of a trial, compactly: only `metric` is kept for all but the last one.

    `values` are doubles, one for each epoch.
    """

    metric: str
    values: "array[float]"
    last: EpochMetrics

    def __len__(self) -> int:
        return len(self.values)

    @overload
    def __getitem__(self, index: int) -> EpochMetrics: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[EpochMetrics]: ...
    def __getitem__(self, index: int | slice) -> EpochMetrics | Sequence[EpochMetrics]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if range(len(self))[index] == len(self) - 1:
            return self.last
        return {self.metric: self.values[index]}


@dataclass(frozen=True, slots=True)
class Parts:
    """The results of the trainings that a trial consists of.

    `values` are those of its parts, at the epoch of the trial's own value; there are none if that
    is not their mean. `first` is the curve of the study's metric in the first part, which cut-offs
    apply to. Parts `in_folds` each validate on different rows.
    """

    values: tuple[float, ...]
    first: Sequence[float] = field(repr=False)
    in_folds: bool = False

    @property
    def standard_error(self) -> float | None:
        """The standard error of the mean of the values; None for fewer than two."""
        count = len(self.values)
        if count < 2:
            return None
        mean = math.fsum(self.values) / count
        variance = math.fsum((value - mean) ** 2 for value in self.values) / (count - 1)
        return math.sqrt(variance / count)


@dataclass(frozen=True, slots=True)
class TrialResult:
    """The result of one attempt at a trial, or of all its parts.

    `value` is the study's metric (None for diverged and failed trials), and `epoch`, from 1, is the
    epoch it was read at; `metrics` has one dict for each epoch. Texts are cleaned here, because a
    record refuses some characters, and a terminal obeys others.
    """

    trial: Trial
    state: State
    value: float | None = None
    epoch: int | None = None
    metrics: Sequence[EpochMetrics] = field(default=(), repr=False)
    attempt: int = 1
    started: float = 0.0  # seconds since 1970
    seconds: float = 0.0
    place: str = ""
    message: str = ""  # why it failed: the last lines of output and traceback
    output: str = field(default="", repr=False)  # all that it printed, as far as it is kept
    parts: Parts | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "place", clean(self.place))
        object.__setattr__(self, "message", clean(self.message)[-MESSAGE_CHARACTERS:])

    @property
    def epochs(self) -> int:
        """The number of epochs that were trained."""
        return len(self.metrics)

    @property
    def reason(self) -> str:
        """The last line of its message, or ""."""
        return self.message.splitlines()[-1] if self.message else ""

    @property
    def standard_error(self) -> float | None:
        """The standard error of the value if it is the mean of parts, or None."""
        return None if self.parts is None else self.parts.standard_error

    @property
    def is_cut_short(self) -> bool:
        """Whether it ended early after some epochs: by its cut-offs, or stopped by a person."""
        return self.state in (State.PRUNED, State.STOPPED) and self.value is not None

    @property
    def says_nothing(self) -> bool:
        """Whether it says nothing about its hyperparameters: it failed, or did not run."""
        unseen = self.state is State.STOPPED and self.value is None
        return self.state is State.FAILED or unseen

    def curve(self, metric: str) -> list[float]:
        """Return `metric` by epoch."""
        if isinstance(self.metrics, Curve) and self.metrics.metric == metric:
            return self.metrics.values.tolist()
        return [epoch[metric] for epoch in self.metrics if metric in epoch]

    def cut_off_curve(self, metric: str) -> Sequence[float]:
        """Return the `metric` by epoch that cut-offs apply to: that of the first part, if any."""
        return self.curve(metric) if self.parts is None else self.parts.first


@dataclass(frozen=True)
class Progress:
    """The progress of a running trial: `metrics` are all its epochs so far.

    `output` is its output so far, if it has grown since the last report.
    """

    trial: Trial
    attempt: int
    started: float
    place: str
    metrics: Sequence[EpochMetrics]
    output: str = field(default="", repr=False)


@dataclass(frozen=True)
class Lost:
    """An attempt whose worker died, with no result."""

    trial: Trial
    attempt: int
    reason: str


def check(result: TrialResult) -> None:
    """Raise ValueError or TypeError if a result that was read from JSON is not valid."""
    trial = result.trial
    for number, low, high in (
        (trial.round, 1, MOST_TRIALS), (trial.number, 1, MOST_TRIALS),
        (trial.repeat, 0, MOST_TRIALS), (trial.part, 0, MOST_TRIALS), (trial.seed, 0, MOST_SEEDS),
        (trial.extended_to, 0, MOST_TRIALS), (result.attempt, 1, MOST_TRIALS),
    ):
        if not _is_a(number, int) or not low <= number < high:
            raise ValueError(f"{number!r} is not an integer from {low} to {high - 1}")
    for moment in (result.started, result.seconds):
        if not _is_a(moment, int | float) or not 0 <= moment < 1e11:
            raise ValueError(f"{moment!r} is not a time")
    values = trial.hyperparameters.values()
    flags = (trial.resplit, trial.added)
    if not all(isinstance(flag, bool) for flag in flags) or not all(map(is_value, values)):
        raise TypeError("its trial is not valid")
    for epoch in result.metrics:
        if not all(_is_a(value, int | float) for value in epoch.values()):
            raise TypeError("a metric is not a number")
    if result.value is None and result.state not in (State.COMPLETE, State.PRUNED):
        return
    if not _is_a(result.value, int | float) or not math.isfinite(result.value or 0):
        raise ValueError("it has no finite value")
    if not _is_a(result.epoch, int) or not 1 <= (result.epoch or 0) <= len(result.metrics):
        raise ValueError("its value does not belong to one of its epochs")


def _is_a(value: object, kind: "type | UnionType") -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def compact(result: TrialResult, metric: str) -> TrialResult:
    """Return the result with only the parts of its epochs that a running study needs."""
    result = replace(result, output="")
    values = result.curve(metric)
    if not values or len(values) < len(result.metrics):
        return result
    return replace(result, metrics=Curve(metric, array("d", values), result.metrics[-1]))


def trial_seed(
    study_seed: int, round_number: int, number: int, repeat: int = 0, part: int = 0
) -> int:
    """Return the 32-bit seed of a trial, a repeat, or a part, a function of its identity alone.

    The first part of a trial has the seed of the trial.
    """
    identity = [study_seed, round_number, number]
    if part > 1:
        identity += [repeat, part]
    elif repeat:
        identity.append(repeat)
    return int(np.random.SeedSequence(identity).generate_state(1)[0])


def read_value(
    curve: Sequence[float], value: Literal["last", "best"], direction: Direction
) -> tuple[float, int]:
    """Return the value of a trial and its epoch, from 1: the last, or the best (first of equals).

    `curve` holds at least one finite number for each epoch.
    """
    if value == "last":
        return curve[-1], len(curve)
    best = (max if direction == "maximize" else min)(curve)
    return best, curve.index(best) + 1


def worse(value: float, than: float, direction: Direction) -> bool:
    """Return whether `value` is strictly worse; comparisons with NaN are False."""
    return value < than if direction == "maximize" else value > than


def rank(results: Sequence[TrialResult], direction: Direction) -> list[TrialResult]:
    """Return the complete trials with a value, best first, ties in order of round and number."""
    sign = -1.0 if direction == "maximize" else 1.0
    complete = [r for r in results if r.state is State.COMPLETE and r.value is not None]
    return sorted(
        complete, key=lambda r: (sign * (r.value or 0.0), r.trial.id)
    )


def is_finite(metrics: EpochMetrics) -> bool:
    """Return whether every metric of an epoch is a finite number."""
    return all(math.isfinite(value) for value in metrics.values())
