"""A search space says which values each hyperparameter may take, and on which scale."""

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, TypeAlias

from hpo import wording
from hpo.text import one_line

Value: TypeAlias = float | int | str | bool | tuple[Any, ...]
SIGNIFICANT_DIGITS = 3  # of an edge that was moved: enough for a range, short enough to read
LARGEST, SMALLEST = 1e308, 1e-307  # how far an edge can move


@dataclass(frozen=True)
class FloatDistribution:
    """Real numbers from `low` to `high`, both included, uniform on the scale.

    With `log` the scale is logarithmic; with `step` only low, low + step, … are taken. `limits`
    are edges that a moved range never passes.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    limits: tuple[float, float] | None = None

    def to_unit(self, value: float) -> float:
        """Return where `value` lies on the scale: 0 at `low`, 1 at `high`, beyond them outside."""
        low, high = self._scaled(self.low), self._scaled(self.high)
        return (self._scaled(value) - low) / (high - low)

    def from_unit(self, unit: float) -> float:
        """Return the value at `unit` of the scale, inside the range.

        With `step` each value has the same share of the unit interval.
        """
        if self.step is None:
            return min(max(self._at(unit), self.low), self.high)
        last = round((self.high - self.low) / self.step)
        steps = min(max(math.floor(unit * (last + 1) + 1e-9), 0), last)
        return min(_exact(self.low + steps * self.step), self.high)

    def contains(self, value: Value) -> bool:
        """Say whether `value` lies in the range."""
        return isinstance(value, int | float) and self.low <= value <= self.high

    def with_edges(self, low: float | None, high: float | None) -> "FloatDistribution":
        """Return the range with edges at these units (None: kept), rounded outward, in limits.

        Units below 0 and above 1 widen the range. Where nothing would be left between the new
        edges, as when both lie beyond the same limit, the old edges stay.
        """
        new_low = self.low if low is None else self._at(low)
        new_high = self.high if high is None else self._at(high)
        width = new_high - new_low
        if low is not None:
            new_low = self._edge(new_low, width, ROUND_FLOOR)
        if high is not None:
            new_high = self._edge(new_high, width, ROUND_CEILING)
        noise = 1e-12 * max(abs(new_low), abs(new_high))  # of exp and log, or of steps
        least = noise if self.step is None else self.step / 2
        return replace(self, low=new_low, high=new_high) if new_low + least < new_high else self

    def _edge(self, value: float, width: float, rounding: str) -> float:
        """Return an edge rounded, to a step where there are steps, and inside the limits."""
        end_low, end_high = self.limits or (-math.inf, math.inf)
        if self.step is None:
            return min(max(_rounded(value, width, rounding), end_low), end_high)
        steps = _whole((value - self.low) / self.step, rounding)
        steps = max(steps, _whole((end_low - self.low) / self.step, ROUND_CEILING))
        steps = min(steps, _whole((end_high - self.low) / self.step, ROUND_FLOOR))
        return _exact(self.low + steps * self.step)

    def _scaled(self, value: float) -> float:
        return math.log(value) if self.log else float(value)

    def _at(self, unit: float) -> float:
        low, high = self._scaled(self.low), self._scaled(self.high)
        scaled = low + unit * (high - low)
        return _exp(scaled) if self.log else min(max(scaled, -LARGEST), LARGEST)


@dataclass(frozen=True)
class IntegerDistribution:
    """Whole numbers from `low` to `high` in steps, each with its own share of the unit interval.

    Every number gets the same share on a linear scale; with `log` the share of n is that of the
    interval from n - 1/2 to n + 1/2 on the logarithmic scale.
    """

    low: int
    high: int
    log: bool = False
    step: int = 1
    limits: tuple[int, int] | None = None

    def to_unit(self, value: float) -> float:
        """Return the middle of the share of `value` on the unit interval."""
        low, high = self._ends()
        return (self._scaled(value) - low) / (high - low)

    def from_unit(self, unit: float) -> int:
        """Return the number in whose share `unit` lies."""
        return min(max(self._nearest(self._at(unit)), self.low), self._last())

    def contains(self, value: Value) -> bool:
        """Say whether `value` is one of the numbers."""
        return (
            isinstance(value, int)
            and self.low <= value <= self.high
            and (value - self.low) % self.step == 0
        )

    def with_edges(self, low: float | None, high: float | None) -> "IntegerDistribution":
        """Return the range of the numbers whose shares touch these units (None: kept).

        Where only one number would be left, the one next to it stays as well, or comes in.
        """
        first, last = self._grid()
        new_low, new_high = self.low, self._last()
        if low is not None:
            new_low = min(max(self._nearest(self._at(low + 1e-9)), first), last)
        if high is not None:
            new_high = min(max(self._nearest(self._at(high - 1e-9)), first), last)
        if new_low >= new_high:
            new_high = min(new_low + self.step, last)
            new_low = max(new_high - self.step, first)
        if new_low >= new_high or (low is None and high is None):
            return self
        return replace(self, low=new_low, high=new_high)

    def _grid(self) -> tuple[int, int]:
        """Return the first and the last number that limits and scale allow."""
        end_low, end_high = self.limits or (-(10**15), 10**15)
        if self.log:
            end_low = max(end_low, 1)
        return (
            self.low - (self.low - end_low) // self.step * self.step,
            self.low + (end_high - self.low) // self.step * self.step,
        )

    def _last(self) -> int:
        return self.low + (self.high - self.low) // self.step * self.step

    def _nearest(self, value: float) -> int:
        steps = math.floor((value - self.low) / self.step + 0.5)
        return self.low + steps * self.step

    def _ends(self) -> tuple[float, float]:
        half = self.step / 2
        return self._scaled(self.low - half), self._scaled(self._last() + half)

    def _scaled(self, value: float) -> float:
        return math.log(max(value, 0.5)) if self.log else float(value)

    def _at(self, unit: float) -> float:
        low, high = self._ends()
        scaled = low + unit * (high - low)
        return _exp(scaled) if self.log else scaled


@dataclass(frozen=True)
class CategoricalDistribution:
    """One of several values without an order, each with the same share."""

    choices: tuple[Value, ...]

    def to_unit(self, value: Value) -> float:
        """Return the middle of the share of `value`; ValueError where it is not a choice."""
        return (self.choices.index(value) + 0.5) / len(self.choices)

    def from_unit(self, unit: float) -> Value:
        """Return the choice in whose share `unit` lies."""
        index = math.floor(unit * len(self.choices))
        return self.choices[min(max(index, 0), len(self.choices) - 1)]

    def contains(self, value: Value) -> bool:
        """Say whether `value` is a choice."""
        return value in self.choices


Distribution: TypeAlias = FloatDistribution | IntegerDistribution | CategoricalDistribution
SearchSpace: TypeAlias = Mapping[str, Distribution]


def with_range(
    distribution: FloatDistribution | IntegerDistribution, low: float, high: float
) -> FloatDistribution | IntegerDistribution:
    """Return the distribution from `low` to `high`, as they are."""
    if isinstance(distribution, IntegerDistribution):
        return replace(distribution, low=int(low), high=int(high))
    return replace(distribution, low=float(low), high=float(high))


def to_table(distribution: Distribution) -> dict[str, Any]:
    """Return the distribution as a study file writes it."""
    table = {name: value for name, value in vars(distribution).items() if value is not None}
    return {**table, "integer": True} if isinstance(distribution, IntegerDistribution) else table


def from_table(table: Mapping[str, Any]) -> Distribution:
    """Return the distribution that `to_table` wrote, also after a passage through JSON.

    Raises ValueError or TypeError where the table is another one.
    """
    values = {name: as_tuples(value) for name, value in table.items() if name != "integer"}
    if "choices" in values:
        choices = CategoricalDistribution(**values)
        if not isinstance(choices.choices, tuple) or not all(map(is_value, choices.choices)):
            raise ValueError("choices are no list of values")
        return choices
    made = (IntegerDistribution if table.get("integer") else FloatDistribution)(**values)
    _check_range(made)
    return made


def is_value(value: object) -> bool:
    """Say whether `value` is one that a record can keep and compare: NaN is not itself."""
    if isinstance(value, tuple):
        return all(map(is_value, value))
    return isinstance(value, str | int) or (isinstance(value, float) and not math.isnan(value))


def _check_range(made: FloatDistribution | IntegerDistribution) -> None:
    """Raise ValueError where what JSON gave makes no range."""
    number = int if isinstance(made, IntegerDistribution) else (int, float)
    limits = (made.low, made.high) if made.limits is None else made.limits
    if not isinstance(limits, tuple) or len(limits) != 2:
        raise ValueError("limits are no two numbers")
    step = 1 if made.step is None else made.step
    numbers = (made.low, made.high, step, *limits)
    if any(isinstance(n, bool) or not isinstance(n, number) for n in numbers):
        raise ValueError("an edge is no number")
    if not (limits[0] <= made.low < made.high <= limits[1] and step > 0):
        raise ValueError("its edges are in no order")
    largest = 2**63 if isinstance(made, IntegerDistribution) else sys.float_info.max
    if any(abs(n) > largest for n in numbers):
        raise ValueError("its edges are too far apart")
    if not isinstance(made.log, bool) or (made.log and min(made.low, limits[0]) <= 0):
        raise ValueError("it has no logarithm")


def as_tuples(value: Any) -> Any:
    """Return `value` with all lists in it as tuples, which no one can change."""
    return tuple(as_tuples(v) for v in value) if isinstance(value, list) else value


def as_lists(value: Any) -> Any:
    """Return `value` with all tuples in it as lists, as a study file writes them."""
    return [as_lists(v) for v in value] if isinstance(value, tuple) else value


def to_text(value: Value) -> str:
    """Return a value as the record keeps it."""
    return json.dumps(value, ensure_ascii=False)


def describe(distribution: Distribution) -> str:
    """Return the range as a person writes it, on one line, with all its digits: "1e-06 to 0.01"."""
    if isinstance(distribution, CategoricalDistribution):
        return ", ".join(one_line(str(choice)) for choice in distribution.choices)
    return f"{wording.whole(distribution.low)} to {wording.whole(distribution.high)}"


def contains(search_space: SearchSpace, hyperparameters: Mapping[str, Value]) -> bool:
    """Say whether every searched hyperparameter lies inside its range."""
    return all(
        distribution.contains(hyperparameters[name]) for name, distribution in search_space.items()
    )


def point(search_space: SearchSpace, units: "Mapping[str, float]") -> dict[str, Value]:
    """Return the hyperparameters at `units`, one number in [0, 1] for each name."""
    return {name: d.from_unit(units[name]) for name, d in search_space.items()}


def _rounded(value: float, width: float, rounding: str) -> float:
    """Round to few significant digits, more where the range is narrow for its place.

    Decimal, so that a change of units by 1000 changes none.
    """
    if value == 0 or not width > 0:
        return value
    exact = Decimal(f"{value:.12g}")  # drops the noise of exp and log, which would round up
    place = min(exact.adjusted(), Decimal(f"{width:.6g}").adjusted()) - SIGNIFICANT_DIGITS + 1
    if place <= exact.adjusted() - 12:
        return value
    return float(exact.quantize(Decimal((0, (1,), place)), rounding=rounding))


def _whole(steps: float, rounding: str) -> float:
    """Round a number of steps, forgiving noise in the last digits; infinity stays."""
    if math.isinf(steps):
        return steps
    return math.floor(steps + 1e-9) if rounding == ROUND_FLOOR else math.ceil(steps - 1e-9)


def _exact(value: float) -> float:
    """Return `value` without the noise of adding steps: 0.3 rather than 0.30000000000000004."""
    return float(f"{value:.12g}")


def _exp(scaled: float) -> float:
    """Return e to the power of `scaled`, kept among the normal positive numbers."""
    return math.exp(min(max(scaled, math.log(SMALLEST)), math.log(LARGEST)))
