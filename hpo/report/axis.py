"""A hyperparameter as one side of a panel: its scale, its ends and its ticks."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hpo.distributions import (
    Choices,
    Distribution,
    FloatDistribution,
    IntegerDistribution,
    OrderedDistribution,
    Value,
)
from hpo.report.scales import Array
from hpo.report.ticks import (
    distinct_texts,
    no_ticks,
    round_numbers,
    shortened,
    thinned,
    tick_texts,
)
from hpo.trial import TrialResult

if TYPE_CHECKING:  # Matplotlib takes half a second to import
    from matplotlib.axes import Axes

SMALLEST, LARGEST = 1e-150, 1e150  # that are drawn
FEW = 12  # values that stand in columns of their own


class Axis:
    """One hyperparameter as an axis: numbers on the scale of their ranges, choices one by one."""

    def __init__(
        self, name: str, distributions: Sequence[Distribution], results: Sequence[TrialResult]
    ) -> None:
        self.name = name
        last = distributions[-1]
        self.log = not isinstance(last, Choices) and last.log
        self.choices: dict[str, int] | None = None
        self.seen: list[Value] = []  # choices, in the order of their places
        self.labels: list[str] = []  # how they are written
        self.step = 0.0  # from a value to the next one, where there are few values
        self.whole = isinstance(last, IntegerDistribution)
        if isinstance(last, Choices):
            self.step = 1.0
            choices = [
                choice
                for d in distributions if isinstance(d, Choices)
                for choice in (d.every if isinstance(d, OrderedDistribution) else d.choices)
            ]
            choices += [r.trial.hyperparameters[name] for r in results
                        if name in r.trial.hyperparameters]
            self.seen = list({repr(value): value for value in choices}.values())
            self.choices = {repr(choice): i for i, choice in enumerate(self.seen)}
            self.labels = distinct_texts(self.seen)
            self.low, self.high = -0.6, len(self.choices) - 0.4
            return
        edges = [edge for d in distributions for span in self.spans(d) for edge in span]
        edges += [p for p in self.positions(results) if math.isfinite(p)]
        low, high = (f(self._scaled(edge) for edge in edges) for f in (min, max))
        if last.step and self._back(high) - self._back(low) < FEW * last.step:
            self.step = float(last.step)
            if isinstance(last, FloatDistribution):  # as spans of integers, with half a step more
                low, high = low - self.step / 2, high + self.step / 2
        margin = 0.04 * (high - low) or 0.5
        self.low, self.high = self._back(low - margin), self._back(high + margin)

    def positions(self, results: Sequence[TrialResult]) -> Array:
        """Return where each trial lies, NaN for nowhere."""
        found = np.full(len(results), np.nan)
        for i, result in enumerate(results):
            value = result.trial.hyperparameters.get(self.name)
            if self.choices is not None:
                found[i] = self.choices.get(repr(value), math.nan)
            elif isinstance(value, int | float) and (value > 0 or not self.log):
                found[i] = self._drawn(value)
        return found

    def spans(self, distribution: Distribution | None) -> list[tuple[float, float]]:
        """Return the stretches of the axis that a distribution takes."""
        if distribution is None:
            return []
        if isinstance(distribution, Choices):
            if self.choices is None:
                return []
            spans: list[tuple[float, float]] = []
            taken = [self.choices[repr(choice)] for choice in distribution.choices]
            for index in sorted(taken):
                if spans and spans[-1][1] == index - 0.5:
                    spans[-1] = spans[-1][0], index + 0.5
                else:
                    spans.append((index - 0.5, index + 0.5))
            return spans
        if self.choices is not None:
            return []
        half = distribution.step / 2 if isinstance(distribution, IntegerDistribution) else 0.0
        low, high = distribution.low - half, distribution.high + half
        return [(self._drawn(max(low, 0.5) if self.log and half else low), self._drawn(high))]

    def prepare(self, axes: "Axes", side: str, size: tuple[float, float]) -> None:
        """Give one side of the panel this axis: its scale, ends, ticks and name."""
        axis = axes.xaxis if side == "x" else axes.yaxis
        inches = size[0] if side == "x" else size[1]
        (axes.set_xscale if side == "x" else axes.set_yscale)("log" if self.log else "linear")
        (axes.set_xlim if side == "x" else axes.set_ylim)(self.low, self.high)
        axis.set_label_text(shortened(self.name, int(inches * 12)))
        if self.choices is not None:
            letters = int(inches * 13 / len(self.choices))
            tilted = side == "x" and max(map(len, self.labels)) > letters
            letters = 12 if tilted or side == "y" else letters
            few = thinned(range(1, len(self.choices) + 1), max(int(inches * 5), 1))
            names = [shortened(self.labels[number - 1], letters) for number in few]
            axis.set_ticks([number - 1 for number in few], names)
            if tilted:
                axis.set_tick_params(labelrotation=30, labelrotation_mode="xtick")
        else:
            ticks = round_numbers(self.low, self.high, self.log, max(int(inches * 2), 4))
            ticks = [tick for tick in ticks if not self.whole or tick == round(tick)]
            axis.set_ticks(ticks, tick_texts(ticks))
        axis.set_minor_locator(no_ticks())

    def _scaled(self, value: float) -> float:
        return math.log(value) if self.log else value

    def _back(self, value: float) -> float:
        """Return the value at a place of the scale, inside what numbers and drawing can hold."""
        if self.log:
            return math.exp(min(max(value, math.log(SMALLEST)), math.log(LARGEST)))
        return self._drawn(value)

    def _drawn(self, value: float) -> float:
        """Return a value, or what is nearest to it of those that can be drawn."""
        return min(max(value, SMALLEST if self.log else -LARGEST), LARGEST)
