"""The best value of a round so far, as the points of a line over its trials in order."""

import math
from collections.abc import Iterable
from typing import NamedTuple

from hpo.trial import Direction, State, TrialResult, worse


class Point(NamedTuple):
    """The best value among the first `step` trials, and when the last of them ended (epoch s)."""

    step: int
    value: float
    when: float


class BestSoFar:
    """Turns results, in order, into the points where the line bends, as soon as they are known.

    The same results give the same points, no matter how often a study is stopped and resumed.
    """

    def __init__(self, direction: Direction) -> None:
        self._direction = direction
        self._now = Point(0, math.nan, 0.0)
        self._drawn = 0  # the step of the last point

    def add(self, result: TrialResult) -> list[Point]:
        """Return the points that the next result adds: none if it is not better."""
        before = self._now
        value = result.value if result.state is State.COMPLETE else None
        better = value is not None and (
            math.isnan(before.value) or worse(before.value, value, self._direction)
        )
        best = value if better and value is not None else before.value
        when = max(before.when, result.started + result.seconds)  # a failed one may have no time
        self._now = Point(before.step + 1, best, when)
        if not better:
            return []
        flat = [] if math.isnan(before.value) or self._drawn == before.step else [before]
        self._drawn = self._now.step
        return [*flat, self._now]

    def end(self) -> list[Point]:
        """Return the point that extends the line to the last trial, if it is missing."""
        return [] if math.isnan(self._now.value) or self._drawn == self._now.step else [self._now]


def points_of(results: Iterable[TrialResult], direction: Direction) -> list[Point]:
    """Return the whole line of a round that has ended."""
    line = BestSoFar(direction)
    return [point for result in results for point in line.add(result)] + line.end()
