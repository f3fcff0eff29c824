"""Define distributions: the values of a hyperparameter, on which scale, and when."""

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from typing import Any, TypeAlias

from hpo import wording
from hpo.text import one_line

Value: TypeAlias = float | int | str | bool | tuple[Any, ...]
# Names of other hyperparameters, and for which of their values one is searched: all have to hold.
# Several that stand for the parts of one, such as the widths of layers, have a range in common.
# What `backfill` says is what trials had before the hyperparameter was searched.
Conditions: TypeAlias = tuple[tuple[str, tuple[Value, ...]], ...]
SIGNIFICANT_DIGITS = 3  # of an edge that was moved: enough for a range, short enough to read
VALUE_DIGITS = 4  # of a value that is proposed: what is shown of it is what is trained with
LARGEST, SMALLEST = 1e308, 1e-307  # how far an edge can move


@dataclass(frozen=True)
class FloatDistribution:
    """Real numbers from `low` to `high`, both included, uniform on the scale.

    With `log` the scale is logarithmic; with `step` only low, low + step, … are used. `limits`
    are edges that a moved range never passes.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    limits: tuple[float, float] | None = None
    when: Conditions = ()
    part_of: str = ""
    backfill: "Value | None" = field(default=None, compare=False)

    def to_unit(self, value: float) -> float:
        """Return the position of `value` on the scale: 0 at `low`, 1 at `high`."""
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

    def readable(self, value: float) -> float:
        """Return `value` with four significant digits, or more in a narrow range.

        It stays in the range, and moves by at most a thousandth of the width. The edges and the
        values of steps are returned unchanged.
        """
        if self.step is not None or value in (self.low, self.high):
            return value
        rounded = _rounded(value, self.high - self.low, ROUND_HALF_EVEN, VALUE_DIGITS)
        return min(max(rounded, self.low), self.high)

    def contains(self, value: Value) -> bool:
        """Return whether `value` is in the range."""
        return isinstance(value, int | float) and self.low <= value <= self.high

    def with_edges(self, low: float | None, high: float | None) -> "FloatDistribution":
        """Return the range with edges at these units (None: kept), rounded outward, in limits.

        Units below 0 and above 1 widen the range. If nothing would be left between the new edges,
        for example when both are beyond the same limit, the old edges stay.
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
    """Integers from `low` to `high` in steps, each with its own share of the unit interval.

    On a linear scale all shares are equal; with `log` the share of n is the interval from
    n - 1/2 to n + 1/2 on the logarithmic scale.
    """

    low: int
    high: int
    log: bool = False
    step: int = 1
    limits: tuple[int, int] | None = None
    when: Conditions = ()
    part_of: str = ""
    backfill: "Value | None" = field(default=None, compare=False)

    def to_unit(self, value: float) -> float:
        """Return the middle of the share of `value` on the unit interval."""
        low, high = self._ends()
        return (self._scaled(value) - low) / (high - low)

    def from_unit(self, unit: float) -> int:
        """Return the number whose share contains `unit`."""
        return min(max(self._nearest(self._at(unit)), self.low), self._last())

    def contains(self, value: Value) -> bool:
        """Return whether `value` is one of the numbers."""
        return (
            isinstance(value, int)
            and self.low <= value <= self.high
            and (value - self.low) % self.step == 0
        )

    def with_edges(self, low: float | None, high: float | None) -> "IntegerDistribution":
        """Return the range of the numbers whose shares touch these units (None: kept).

        If only one number would be left, the one next to it is kept, or added, too.
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
    """One of several unordered values, each with the same share."""

    choices: tuple[Value, ...]
    when: Conditions = ()
    part_of: str = ""
    backfill: "Value | None" = field(default=None, compare=False)

    def to_unit(self, value: Value) -> float:
        """Return the middle of the share of `value`; ValueError if it is not a choice."""
        return (self.choices.index(value) + 0.5) / len(self.choices)

    def from_unit(self, unit: float) -> Value:
        """Return the choice whose share contains `unit`."""
        index = math.floor(unit * len(self.choices))
        return self.choices[min(max(index, 0), len(self.choices) - 1)]

    def contains(self, value: Value) -> bool:
        """Return whether `value` is a choice."""
        return value in self.choices


@dataclass(frozen=True)
class OrderedDistribution:
    """Ordered values, of which those from one place to another are used, with equal shares.

    `every` has all values of the study file. `places` are the first and the last that are used,
    counted from 0, so that their range moves like a range of integers.
    """

    every: tuple[Value, ...]
    places: IntegerDistribution
    when: Conditions = ()
    part_of: str = ""
    backfill: "Value | None" = field(default=None, compare=False)

    @classmethod
    def of(cls, every: tuple[Value, ...], when: Conditions = ()) -> "OrderedDistribution":
        """Return the distribution that uses all of at least two values."""
        last = len(every) - 1
        return cls(every, IntegerDistribution(0, last, limits=(0, last)), when)

    @property
    def choices(self) -> tuple[Value, ...]:
        """The values that are used."""
        return self.every[self.places.low : self.places.high + 1]

    def to_unit(self, value: Value) -> float:
        """Return the middle of the share of `value`; ValueError if it is not one of them."""
        return self.places.to_unit(self.every.index(value))

    def from_unit(self, unit: float) -> Value:
        """Return the value whose share contains `unit`."""
        return self.every[self.places.from_unit(unit)]

    def contains(self, value: Value) -> bool:
        """Return whether `value` is in the range."""
        return value in self.choices


Numeric: TypeAlias = FloatDistribution | IntegerDistribution
Distribution: TypeAlias = Numeric | CategoricalDistribution | OrderedDistribution
Choices: TypeAlias = CategoricalDistribution | OrderedDistribution


def scale_of(distribution: Distribution) -> Numeric | None:
    """Return the range that it moves on: itself, its places if it is ordered, or None."""
    if isinstance(distribution, CategoricalDistribution):
        return None
    return distribution.places if isinstance(distribution, OrderedDistribution) else distribution


def on_scale(distribution: Distribution, value: Value) -> float:
    """Return the place of a value on `scale_of` its distribution."""
    if isinstance(distribution, OrderedDistribution):
        return distribution.every.index(value)
    return value  # type: ignore[return-value]


def off_scale(distribution: Distribution, place: float) -> Value:
    """Return the value at a place of `scale_of` its distribution."""
    if isinstance(distribution, OrderedDistribution):
        return distribution.every[int(place)]
    return place


def with_range(distribution: Distribution, low: float, high: float) -> Distribution:
    """Return the distribution with its scale from exactly `low` to `high`."""
    if isinstance(distribution, OrderedDistribution):
        places = replace(distribution.places, low=int(low), high=int(high))
        return replace(distribution, places=places)
    if isinstance(distribution, IntegerDistribution):
        return replace(distribution, low=int(low), high=int(high))
    assert isinstance(distribution, FloatDistribution)
    return replace(distribution, low=float(low), high=float(high))


def to_table(distribution: Distribution) -> dict[str, Any]:
    """Return the distribution as a study file writes it."""
    table = {name: value for name, value in vars(distribution).items() if value is not None}
    if table.pop("when"):
        table["when"] = dict(distribution.when)
    if not table["part_of"]:
        del table["part_of"]
    if isinstance(distribution, OrderedDistribution):
        places = table.pop("places")
        return {
            "choices": table.pop("every"), "ordered": True,
            "places": (places.low, places.high), **table,
        }
    return {**table, "integer": True} if isinstance(distribution, IntegerDistribution) else table


def from_table(table: Mapping[str, Any]) -> Distribution:
    """Return the distribution that `to_table` wrote, also after a round trip through JSON.

    Raises ValueError or TypeError if the table is not one of these.
    """
    values = {
        name: as_tuples(value) for name, value in table.items()
        if name not in ("integer", "ordered", "places", "when")
    }
    values["when"] = _conditions(table.get("when", {}))
    if not isinstance(values.get("part_of", ""), str):
        raise TypeError("part_of is not a string")
    if not is_value(values.get("backfill", 0)):
        raise TypeError("backfill is not a value")
    if "choices" in values:
        every = values["choices"]
        if not isinstance(every, tuple) or not all(map(is_value, every)):
            raise ValueError("choices are not a list of values")
        if table.get("ordered"):
            first, last = table["places"]
            ordered = replace(
                OrderedDistribution.of(every, values["when"]),
                part_of=values.get("part_of", ""), backfill=values.get("backfill"),
            )
            _check_range(replace(ordered.places, low=first, high=last))
            return with_range(ordered, first, last)
        return CategoricalDistribution(**values)
    made = (IntegerDistribution if table.get("integer") else FloatDistribution)(**values)
    _check_range(made)
    return made


def _conditions(table: Any) -> Conditions:
    """Return what JSON gave as conditions; ValueError or TypeError where that is another thing."""
    if not isinstance(table, Mapping):
        raise TypeError("its conditions are not a table")
    conditions = tuple((name, as_tuples(values)) for name, values in table.items())
    for name, values in conditions:
        if not isinstance(name, str) or not isinstance(values, tuple) or not values:
            raise ValueError("a condition has no values")
        if not all(map(is_value, values)):
            raise ValueError("a condition has something that is not a value")
    return conditions


def is_value(value: object) -> bool:
    """Return whether a record can keep and compare `value` (NaN does not equal itself)."""
    if isinstance(value, tuple):
        return all(map(is_value, value))
    return isinstance(value, str | int) or (isinstance(value, float) and not math.isnan(value))


def _check_range(made: Numeric) -> None:
    """Raise ValueError where what JSON gave makes no range."""
    number = int if isinstance(made, IntegerDistribution) else (int, float)
    limits = (made.low, made.high) if made.limits is None else made.limits
    if not isinstance(limits, tuple) or len(limits) != 2:
        raise ValueError("limits are not two numbers")
    step = 1 if made.step is None else made.step
    numbers = (made.low, made.high, step, *limits)
    if any(isinstance(n, bool) or not isinstance(n, number) for n in numbers):
        raise ValueError("an edge is not a number")
    if not (limits[0] <= made.low < made.high <= limits[1] and step > 0):
        raise ValueError("its edges are out of order")
    largest = 2**63 if isinstance(made, IntegerDistribution) else sys.float_info.max
    if any(abs(n) > largest for n in numbers):
        raise ValueError("its edges are too far apart")
    if not isinstance(made.log, bool) or (made.log and min(made.low, limits[0]) <= 0):
        raise ValueError("an edge of a log range is not above 0")


def as_tuples(value: Any) -> Any:
    """Return `value` with all lists in it as tuples."""
    return tuple(as_tuples(v) for v in value) if isinstance(value, list) else value


def as_lists(value: Any) -> Any:
    """Return `value` with all tuples in it as lists, as a study file writes them."""
    return [as_lists(v) for v in value] if isinstance(value, tuple) else value


def to_text(value: Value) -> str:
    """Return a value as it is recorded."""
    return json.dumps(value, ensure_ascii=False)


def describe(distribution: Distribution) -> str:
    """Return the range for a person, on one line with all digits: "1e-06 to 0.01"."""
    if isinstance(distribution, Choices):
        said = ", ".join(one_line(str(choice)) for choice in distribution.choices)
    else:
        said = f"{wording.whole(distribution.low)} to {wording.whole(distribution.high)}"
    return f"{said} {describe_conditions(distribution.when)}".rstrip()


def describe_conditions(when: Conditions) -> str:
    """Return the conditions for a person: "when optimizer is sgd or nesterov"."""
    parts = []
    for name, values in when:
        texts = [one_line(str(value)) for value in values]
        numbers = [value for value in values if type(value) is int]
        if len(numbers) > 3 and numbers == [*range(numbers[0], numbers[0] + len(values))]:
            texts = [f"{numbers[0]} to {numbers[-1]}"]
        last = f" or {texts[-1]}" if len(texts) > 1 else texts[-1]
        parts.append(f"{name} is {', '.join(texts[:-1])}{last}")
    return f"when {' and '.join(parts)}" if parts else ""


def _rounded(
    value: float, width: float, rounding: str, digits: int = SIGNIFICANT_DIGITS
) -> float:
    """Round to few significant digits, more where the range is narrow for its place.

    Decimal, so that a change of units by 1000 changes none.
    """
    if value == 0 or not width > 0:
        return value
    exact = Decimal(f"{value:.12g}")  # drops the noise of exp and log, which would round up
    place = min(exact.adjusted(), Decimal(f"{width:.6g}").adjusted()) - digits + 1
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
