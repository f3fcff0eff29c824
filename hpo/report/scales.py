"""The part of an axis that holds the metric of all trials but those far off."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from hpo.trial import Direction

SPAN = 150.0  # powers of ten that are drawn, on either side of 1
Array: TypeAlias = NDArray[np.float64]


def drawable(values: Sequence[float] | Array) -> Array:
    """Return values whose squares and differences are numbers, too: at most `SPAN` powers of ten.

    What lies beyond is drawn at the end of that, and what is smaller as 0.
    """
    found = np.clip(np.asarray(values, np.float64), -(10.0**SPAN), 10.0**SPAN)
    return np.where(abs(found) < 10.0**-SPAN, 0.0, found)


@dataclass(frozen=True)
class Scale:
    """The span of values that is drawn: from `worst`, beyond which values are cut, to `best`."""

    worst: float
    best: float
    log: bool

    @classmethod
    def of(
        cls, values: Array, direction: Direction, reach: float = 8.0
    ) -> "Scale":
        """Return a span that the worst values do not stretch: they say least.

        It goes about `reach` times as far from the best value as the middle value lies.
        """
        values = np.sort(drawable(values[np.isfinite(values)]))
        if direction == "maximize":
            values = values[::-1]
        log = _spans_decades(values)
        scaled = np.log10(values) if log else values
        if not len(scaled):
            return cls(0.0, 1.0, False) if direction == "maximize" else cls(1.0, 0.0, False)
        distances = np.abs(scaled - scaled[0])
        near, middle, far = (float(np.quantile(distances, share)) for share in (0.25, 0.5, 1))
        cut = min((end for end in (reach * middle, 8 * reach * near) if end > 0), default=far)
        if 0 < far < 1.5 * cut:
            return cls(float(values[-1]), float(values[0]), log)
        return cls._from(float(scaled[0]), cut, direction, log)

    @classmethod
    def _from(cls, best: float, reach: float, direction: Direction, log: bool) -> "Scale":
        reach = reach or max(abs(best) * 0.05, 1e-6)
        worst = best - reach if direction == "maximize" else best + reach
        if log:
            worst, best = (10.0 ** min(max(end, -SPAN), SPAN) for end in (worst, best))
        return cls(worst, best, log)

    def padded(self, share: float) -> tuple[float, float]:
        """Return the lower and the upper end, with a margin at each."""
        ends = sorted((self.worst, self.best))
        if self.log:
            ends = [math.log10(end) for end in ends]
        margin = share * (ends[1] - ends[0])
        low, high = ends[0] - margin, ends[1] + margin
        if self.log:
            return 10.0 ** max(low, -SPAN), 10.0 ** min(high, SPAN)
        return max(low, -(10.0**SPAN)), min(high, 10.0**SPAN)

    def beyond(self, values: Array) -> NDArray[np.bool_]:
        """Say which values lie beyond the worst one drawn."""
        return values > self.worst if self.best < self.worst else values < self.worst


def _spans_decades(best_first: Array) -> bool:
    """Say whether values, such as losses, are better told apart by their logarithms."""
    if not best_first.size or best_first.min() <= 0:
        return False
    return bool(best_first[len(best_first) // 2] > 20 * best_first[0])


def curves_scale(curves: Sequence[Sequence[float]], direction: Direction) -> Scale:
    """Return the span in which all curves lie whole, or nine of ten where the others explode."""
    pick = min if direction == "maximize" else max
    worst_first = sorted((pick(curve) for curve in curves if curve), reverse=pick is max)
    best = (max if pick is min else min)(value for curve in curves for value in curve)
    worst = worst_first[0]
    if abs(worst - best) > 3 * abs(worst_first[len(worst_first) // 10] - best):
        worst = worst_first[len(worst_first) // 10]
    log = direction == "minimize" and best > 0 and worst > 20 * best
    if log:
        return Scale(worst, best, log)
    return Scale._from(best, abs(worst - best), direction, log)
