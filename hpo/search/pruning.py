"""Pruners turn the curves seen so far into cut-offs, which then travel with a trial."""

import ast
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hpo.trial import CutOffs, Direction, State, TrialResult


class Pruner(Protocol):
    """Chooses the cut-offs of the next trial; its fields are its settings in a study file."""

    def cut_offs(
        self, results: Sequence[TrialResult], metric: str, direction: Direction
    ) -> CutOffs | None:
        """Return cut-offs from the results of this round, or None if there are too few."""
        ...


@dataclass(frozen=True)
class PercentilePruner:
    """Stops a trial whose best value so far is below a percentile of the complete trials.

    Stops no trial before `startup_trials` are complete, nor in the first `warmup_epochs`; after
    them it compares every `interval` epochs. Decides like Optuna's PercentilePruner.
    """

    percentile: float = 25.0
    """Percentage of trials that continue."""
    startup_trials: int = 5
    """Number of complete trials before any trial is stopped."""
    warmup_epochs: int = 5
    """Number of first epochs in which no trial is stopped."""
    interval: int = 1
    """Number of epochs between two comparisons."""

    def __post_init__(self) -> None:
        _check_between("percentile", self.percentile, 0, 100)
        _check_schedule(self.startup_trials, self.warmup_epochs, self.interval)

    def cut_offs(
        self, results: Sequence[TrialResult], metric: str, direction: Direction
    ) -> CutOffs | None:
        """Return the percentile of the complete trials at each epoch that is compared."""
        complete = [r for r in results if r.state is State.COMPLETE]
        if len(complete) < max(self.startup_trials, 1):
            return None
        curves = _aligned([r.cut_off_curve(metric) for r in complete])
        compared = curves[:, self.warmup_epochs :: self.interval]
        by_epoch = np.full(curves.shape[1], np.nan)
        if compared.size:
            percentile = 100 - self.percentile if direction == "maximize" else self.percentile
            some_missing = np.isnan(compared).any()
            quantile = np.nanpercentile if some_missing else np.percentile  # the latter is faster
            by_epoch[self.warmup_epochs :: self.interval] = quantile(compared, percentile, axis=0)
        return CutOffs("best", tuple(by_epoch.tolist()))


@dataclass(frozen=True)
class MedianPruner:
    """Stops a trial whose best value so far is below the median of the complete trials.

    The rule of Google Vizier (Golovin et al. 2017). Decides like Optuna's MedianPruner.
    """

    startup_trials: int = 5
    """Number of complete trials before any trial is stopped."""
    warmup_epochs: int = 5
    """Number of first epochs in which no trial is stopped."""
    interval: int = 1
    """Number of epochs between two comparisons."""

    def __post_init__(self) -> None:
        _check_schedule(self.startup_trials, self.warmup_epochs, self.interval)

    def cut_offs(
        self, results: Sequence[TrialResult], metric: str, direction: Direction
    ) -> CutOffs | None:
        """Return the median of the complete trials at each epoch that is compared."""
        half = PercentilePruner(50.0, self.startup_trials, self.warmup_epochs, self.interval)
        return half.cut_offs(results, metric, direction)


@dataclass(frozen=True)
class SuccessiveHalvingPruner:
    """Keeps the best 1 in `reduction_factor` of the trials that reached a rung running.

    Rungs are at min_resource * reduction_factor ** i epochs. The asynchronous rule of Li et al.
    2020 (ASHA). Decides like Optuna's SuccessiveHalvingPruner.
    """

    min_resource: int = 7
    """Epoch of the first comparison; earlier epochs say too little about a learning curve."""
    reduction_factor: int = 4
    """One in this many trials continues past each comparison."""

    def __post_init__(self) -> None:
        if self.min_resource < 1:
            raise ValueError(f"min_resource must be at least 1, got {self.min_resource}")
        if self.reduction_factor < 2:
            raise ValueError(f"reduction_factor must be at least 2, got {self.reduction_factor}")

    def cut_offs(
        self, results: Sequence[TrialResult], metric: str, direction: Direction
    ) -> CutOffs | None:
        """Return the value to reach at each rung."""
        curves = [r.cut_off_curve(metric) for r in results if r.state is not State.FAILED]
        by_epoch = [math.nan] * max(map(len, curves), default=0)
        rung = self.min_resource
        while rung <= len(by_epoch):
            reached = [curve[rung - 1] for curve in curves if len(curve) >= rung]
            finite = [value for value in reached if math.isfinite(value)]  # else it diverged
            by_epoch[rung - 1] = self._to_reach(finite, direction)
            rung *= self.reduction_factor
        return CutOffs("current", tuple(by_epoch))

    def _to_reach(self, reached: Sequence[float], direction: Direction) -> float:
        """Return the worst value that is promoted when one more trial comes to the rung.

        With that trial n + 1 values compete for (n + 1) // reduction_factor places, at least one.
        """
        places = max((len(reached) + 1) // self.reduction_factor, 1)
        if len(reached) < places:
            return math.nan
        return sorted(reached, reverse=direction == "maximize")[places - 1]


def _aligned(curves: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Return the curves as rows of one array (curves, epochs), short ones filled with NaN."""
    aligned = np.full((len(curves), max(map(len, curves))), np.nan)
    for row, curve in zip(aligned, curves, strict=True):
        row[: len(curve)] = curve
    return aligned


PRUNERS: dict[str, type[Pruner]] = {
    "median": MedianPruner,
    "percentile": PercentilePruner,
    "successive_halving": SuccessiveHalvingPruner,
}


def to_table(pruner: Pruner | None) -> dict[str, Any] | None:
    """Return a pruner as a study file writes it; None for none."""
    if pruner is None:
        return None
    name = next(name for name, kind in PRUNERS.items() if type(pruner) is kind)
    return {"name": name, **vars(pruner)}


def from_table(table: Mapping[str, Any] | None) -> Pruner | None:
    """Return the pruner that `to_table` wrote."""
    if table is None:
        return None
    return PRUNERS[table["name"]](**{key: v for key, v in table.items() if key != "name"})


def from_representation(text: str) -> Pruner | None:
    """Return the pruner of a text such as "MedianPruner(startup_trials=5)" or "None".

    Raises ValueError or LookupError for any other text.
    """
    try:
        call = ast.parse(text, mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"{text!r} is not a pruner") from error
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        return None
    kinds = {kind.__name__: kind for kind in PRUNERS.values()}
    settings = {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
    return kinds[call.func.id](**settings)


def describe(pruner: Pruner | None) -> str:
    """Return a pruner as a person writes it: "median(startup_trials=5, …)"."""
    if pruner is None:
        return "none"
    table = to_table(pruner) or {}
    settings = ", ".join(f"{key}={value}" for key, value in table.items() if key != "name")
    return f"{table['name']}({settings})"


def _check_schedule(startup_trials: int, warmup_epochs: int, interval: int) -> None:
    _check_between("startup_trials", startup_trials, 0, math.inf)
    _check_between("warmup_epochs", warmup_epochs, 0, math.inf)
    _check_between("interval", interval, 1, math.inf)


def _check_between(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        must = f"at least {low}" if math.isinf(high) else f"between {low} and {high}"
        raise ValueError(f"{name} must be {must}, got {value}")
