"""What figures are drawn with: style, panels, axes of hyperparameters, marks of trials, ticks."""

import itertools
import logging
import math
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hpo import wording
from hpo.record.values import Recorded
from hpo.search_space import (
    CategoricalDistribution,
    Distribution,
    IntegerDistribution,
    Value,
)
from hpo.trial import Direction, State, TrialResult, rank

if TYPE_CHECKING:  # Matplotlib takes half a second to import
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

Array: TypeAlias = NDArray[np.float64]

DOTS_PER_INCH = 180
WIDTH = 8.2  # inches, for text that can be read where the MLflow UI shows it 600 pixels wide

# Colors of Okabe and Ito, which people with any color vision tell apart, and grays.
INK, GRAY, PALE, BAND = "#222222", "#767676", "#c4c4c4", "#e9eef5"
BLUE, VERMILION = "#0072b2", "#d55e00"
INKED = {  # settings of Matplotlib for text and axes in these colors
    "axes.edgecolor": GRAY,
    "axes.linewidth": 0.7,
    "axes.axisbelow": True,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": GRAY,
    "ytick.color": GRAY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
}
_STYLE = INKED | {
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9.0,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.fontsize": 8.5,
    "text.parse_math": False,  # a name with two dollar signs is a name
}
_STEPS = (1, 2, 5, 10)  # between ticks, times a power of ten
_NUMBER = re.compile(r"-?[\d.]+(e[-+]?\d+)?(x\d+)?")  # as `value_text` writes it
_MARKS: Mapping[State, Mapping[str, Any]] = {
    State.PRUNED: {"marker": "o", "facecolors": "none", "edgecolors": GRAY, "linewidths": 0.7},
    State.DIVERGED: {"marker": "x", "color": VERMILION, "linewidths": 1.0},
    State.FAILED: {"marker": "+", "color": INK, "linewidths": 0.9},
}


@contextmanager
def style() -> Iterator[None]:
    """Set Matplotlib's defaults and ours, whatever the user's own style is."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # else it tells of its font cache
    import matplotlib

    settings: Any = {k: v for k, v in matplotlib.rcParamsDefault.items() if k != "backend"}
    with matplotlib.rc_context(settings | _STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*missing from font")
        yield


# what is drawn


def searched_metric(recorded: Recorded) -> tuple[str, Direction]:
    """Return the name of the metric that the study searches by, and which way is better."""
    settings = recorded.rounds[0].settings
    return settings.metric, settings.direction


def ordered_results(recorded: Recorded) -> list[TrialResult]:
    """Return the trials of the rounds at hand, in order of round and number."""
    shown = {round_.number for round_ in recorded.rounds}
    return sorted(
        (r for r in recorded.results if r.trial.round in shown),
        key=lambda r: r.trial.id,
    )


def has_choices(recorded: Recorded) -> bool:
    """Say whether some round searches a categorical hyperparameter."""
    return any(
        isinstance(d, CategoricalDistribution) for r in recorded.rounds
        for d in r.search_space.values()
    )


def spaces_of(recorded: Recorded) -> dict[str, dict[int, Distribution]]:
    """Return the distributions of each hyperparameter by round."""
    spaces: dict[str, dict[int, Distribution]] = {}
    for round_ in recorded.rounds:
        for name, distribution in round_.search_space.items():
            spaces.setdefault(name, {})[round_.number] = distribution
    return spaces


def round_borders(recorded: Recorded) -> dict[int, tuple[float, float]]:
    """Return where each round begins and ends among the trials in order, which count from 1.

    A round without a trial yet takes the place of one.
    """
    borders, end = {}, 0.5
    for round_ in recorded.rounds:
        count = sum(r.trial.round == round_.number for r in recorded.results)
        borders[round_.number] = end, end + max(count, 1)
        end += max(count, 1)
    return borders


def values_of(results: Sequence[TrialResult]) -> Array:
    """Return the values of trials, NaN where there is none."""
    values = [math.nan if result.value is None else result.value for result in results]
    return np.where(np.isfinite(values), values, np.nan)


def in_state(results: Sequence[TrialResult], state: State) -> NDArray[np.bool_]:
    """Say which results are in this state."""
    return np.array([result.state is state for result in results], dtype=bool)


def running_best(values: Array, direction: Direction) -> Array:
    """Return the best of the first n values, for each n; NaN while there is none."""
    best = np.fmax if direction == "maximize" else np.fmin
    return np.asarray(best.accumulate(values), dtype=np.float64) if values.size else values


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
        values = np.sort(values[np.isfinite(values)])
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
        return cls(10**worst, 10**best, log) if log else cls(worst, best, log)

    def padded(self, share: float) -> tuple[float, float]:
        """Return the lower and the upper end, with a margin at each."""
        ends = sorted((self.worst, self.best))
        if self.log:
            ends = [math.log10(end) for end in ends]
        margin = share * (ends[1] - ends[0])
        low, high = ends[0] - margin, ends[1] + margin
        return (10**low, 10**high) if self.log else (low, high)

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


@dataclass(frozen=True)
class Coloring:
    """What a trial looks like: the better its value the darker, with the best in a ring.

    `scale` is that of the colors, `heights` that of an axis of values.
    """

    metric: str
    scale: Scale
    heights: Scale
    cut: bool  # whether some values lie beyond the colors
    best: Sequence[TrialResult]  # one, or none

    @classmethod
    def of(cls, recorded: Recorded) -> "Coloring":
        """Return the look of the trials of a study, the same in all its figures."""
        metric, direction = searched_metric(recorded)
        results = ordered_results(recorded)
        values = values_of(results)
        complete = values[in_state(results, State.COMPLETE)]
        scale = Scale.of(complete, direction, reach=2.5)
        cut = bool(scale.beyond(complete).any())
        heights = Scale.of(values, direction)
        return cls(metric, scale, heights, cut, rank(results, direction)[:1])

    def norm(self) -> "Normalize":
        """Return what maps values to colors."""
        from matplotlib.colors import LogNorm, Normalize

        low, high = sorted((self.scale.worst, self.scale.best))
        return (LogNorm if self.scale.log else Normalize)(low, high, clip=True)

    def mark(
        self, axes: "Axes", results: Sequence[TrialResult], x: Array, y: Array, gray: bool = False
    ) -> None:
        """Draw the trials, the best last; those without a place on the axes are left out."""
        values = values_of(results)
        size = self._size(results)
        placed = np.isfinite(x) & np.isfinite(y)
        for state, mark in _MARKS.items():
            chosen = in_state(results, state) & placed
            if chosen.any():
                axes.scatter(
                    x[chosen], y[chosen], s=size * 0.8, label=state.value, zorder=2,
                    clip_on=False, **mark,
                )
        order = np.flatnonzero(in_state(results, State.COMPLETE) & placed & np.isfinite(values))
        order = order[np.argsort(np.abs(values[order] - self.scale.best), kind="stable")[::-1]]
        look: dict[str, Any] = {"color": GRAY, "alpha": 0.6, "linewidths": 0, "label": "trial"}
        if not gray:
            look = {
                "c": values[order], "norm": self.norm(), "cmap": self._map(), "linewidths": 0.35,
                "edgecolors": "#555555", "label": "_trial",
            }
        if not order.size:
            return
        axes.scatter(x[order], y[order], s=size * (0.6 if gray else 1), zorder=2.5, **look)
        for result in () if gray else self.best:
            index = results.index(result)
            axes.scatter(
                x[index], y[index], s=size * 3 + 40, facecolors="none", edgecolors=INK,
                linewidths=1.3, label=f"best: {value_text(result.value)}", zorder=3.5,
                clip_on=False,
            )

    def mark_heights(
        self, axes: "Axes", results: Sequence[TrialResult], x: Array, gray: bool = False
    ) -> None:
        """Draw the trials over an axis of their values; those without one lie at its worse end."""
        worse_end = int(self.heights.best < self.heights.worst)  # 1: above, where less is better
        ends = list(self.heights.padded(0.05))
        values = values_of(results)
        complete = in_state(results, State.COMPLETE)
        floor = self.heights.padded(0.08)[worse_end]
        beyond = self.heights.beyond(values)
        y = np.where(np.isnan(values) | beyond & ~complete, floor, values)
        if (y == floor).any() or beyond.any():
            ends[worse_end] = self.heights.padded(0.12)[worse_end]
        beyond &= complete
        axes.set_yscale("log" if self.heights.log else "linear")
        axes.set_ylim(*ends)
        value_ticks(axes, self.heights)
        if np.isnan(values).all():
            axes.set_yticks([])
        self.mark(axes, results, x, np.where(beyond, np.nan, y), gray)
        if beyond.any():
            axes.scatter(
                x[beyond], np.full(int(beyond.sum()), floor), s=self._size(results),
                marker="^" if worse_end else "v", color=GRAY, alpha=0.6, linewidths=0,
                label="worse than shown", zorder=2, clip_on=False,
            )

    def _size(self, results: Sequence[TrialResult]) -> float:
        return min(max(5000 / max(len(results), 1), 6.0), 28.0)

    def _map(self) -> str:
        return "viridis" if self.scale.best < self.scale.worst else "viridis_r"

    def bar(self, figure: "Figure") -> None:
        """Draw the colors and their values at the right of a figure."""
        from matplotlib.cm import ScalarMappable

        if not self.best:
            return
        width, height = figure.get_size_inches()
        panel = figure.axes[0].get_position()
        tall = min(panel.height * height, 4.2)
        axes = figure.add_axes(
            ((width - 0.86) / width, panel.y1 - tall / height, 0.15 / width, tall / height),
            label="colors",
        )
        beyond = "max" if self.scale.best < self.scale.worst else "min"
        bar = figure.colorbar(
            ScalarMappable(self.norm(), self._map()), axes,
            extend=beyond if self.cut else "neither", extendfrac=0.04,
        )
        bar.set_label(shortened(self.metric, int(tall * 12)))
        bar.outline.set_visible(False)
        bar.minorticks_off()
        value_ticks(axes, self.scale)

    def legend(self, figure: "Figure", panels: "Sequence[Axes]") -> None:
        """Say what the marks mean, above all panels."""
        handles = legend_handles(panels)
        if handles:
            figure.legend(
                handles.values(), handles, loc="upper right", ncols=len(handles),
                borderaxespad=0.4, handletextpad=0.4, columnspacing=1.4,
            )


class Axis:
    """One hyperparameter as an axis: numbers on the scale of their ranges, choices one by one."""

    def __init__(
        self, name: str, distributions: Sequence[Distribution], results: Sequence[TrialResult]
    ) -> None:
        self.name = name
        last = distributions[-1]
        self.log = not isinstance(last, CategoricalDistribution) and last.log
        self.choices: dict[str, int] | None = None
        self.apart = 0.0  # how far from each other equal values may lie
        self.whole = isinstance(last, IntegerDistribution)
        self.turn = 0.754878  # with that of the other side, the points spread over the plane
        if isinstance(last, CategoricalDistribution):
            self.apart = 1.0
            seen = [
                value_text(choice)
                for d in distributions if isinstance(d, CategoricalDistribution)
                for choice in d.choices
            ]
            seen += [value_text(r.trial.hyperparameters[name]) for r in results
                     if name in r.trial.hyperparameters]
            self.choices = {choice: i for i, choice in enumerate(dict.fromkeys(seen))}
            self.low, self.high = -0.6, len(self.choices) - 0.4
            return
        edges = [edge for d in distributions for span in self.spans(d) for edge in span]
        edges += [p for p in self.positions(results) if math.isfinite(p)]
        low, high = (f(self._scaled(edge) for edge in edges) for f in (min, max))
        if isinstance(last, IntegerDistribution) and not self.log and high - low < 12 * last.step:
            self.apart = float(last.step)
            low, high = low - 0.3 * self.apart, high + 0.3 * self.apart
        margin = 0.04 * (high - low) or 0.5
        self.low, self.high = self._back(low - margin), self._back(high + margin)

    def positions(self, results: Sequence[TrialResult]) -> Array:
        """Return where each trial lies, NaN for nowhere; equal choices are set apart a little."""
        found = np.full(len(results), np.nan)
        for i, result in enumerate(results):
            value = result.trial.hyperparameters.get(self.name)
            aside = (result.trial.number * self.turn % 1 - 0.5) * 0.6 * self.apart
            if self.choices is not None:
                found[i] = self.choices.get(value_text(value), math.nan) + aside
            elif isinstance(value, int | float) and (value > 0 or not self.log):
                found[i] = value + aside
        return found

    def spans(self, distribution: Distribution | None) -> list[tuple[float, float]]:
        """Return the stretches of the axis that a distribution takes."""
        if distribution is None:
            return []
        if isinstance(distribution, CategoricalDistribution):
            if self.choices is None:
                return []
            spans: list[tuple[float, float]] = []
            taken = [self.choices[value_text(choice)] for choice in distribution.choices]
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
        return [(max(low, 0.5) if self.log and half else low, high)]

    def prepare(self, axes: "Axes", side: str, size: tuple[float, float]) -> None:
        """Give one side of the panel this axis: its scale, ends, ticks and name."""
        axis = axes.xaxis if side == "x" else axes.yaxis
        inches = size[0] if side == "x" else size[1]
        self.turn = 0.754878 if side == "x" else 0.569840
        (axes.set_xscale if side == "x" else axes.set_yscale)("log" if self.log else "linear")
        (axes.set_xlim if side == "x" else axes.set_ylim)(self.low, self.high)
        axis.set_label_text(shortened(self.name, int(inches * 12)))
        if self.choices is not None:
            letters = int(inches * 13 / len(self.choices))
            tilted = side == "x" and max(map(len, self.choices)) > letters
            letters = 12 if tilted or side == "y" else letters
            names = [shortened(choice, letters) for choice in self.choices]
            axis.set_ticks(list(self.choices.values()), names)
            if tilted:
                axis.set_tick_params(labelrotation=30, labelrotation_mode="xtick")
        else:
            ticks = _ticks(self.low, self.high, self.log, max(int(inches * 2), 4))
            ticks = [tick for tick in ticks if not self.whole or tick == round(tick)]
            axis.set_ticks(ticks, [_number(tick) for tick in ticks])
        axis.set_minor_locator(_no_ticks())

    def _scaled(self, value: float) -> float:
        return math.log(value) if self.log else value

    def _back(self, value: float) -> float:
        return math.exp(value) if self.log else value


# panels, ticks and text


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How large a figure of panels is, in inches; `height` is that of one panel.

    `left` to `bottom` are the margins around all panels, `across` and `down` the gaps between.
    """

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    across: float = 0.0
    down: float = 0.0


def panel_grid(
    count: int, columns: int, layout: Layout, *, sharex: bool = False, sharey: bool = False
) -> "tuple[Figure, list[Axes]]":
    """Return a figure with so many panels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = math.ceil(count / columns)
    tall = rows * layout.height + (rows - 1) * layout.down + layout.top + layout.bottom
    wide = (layout.width - layout.left - layout.right - (columns - 1) * layout.across) / columns
    figure = Figure((layout.width, tall))
    FigureCanvasAgg(figure)
    panels = figure.subplots(
        rows, columns, squeeze=False, sharex=sharex, sharey=sharey,
        gridspec_kw={
            "left": layout.left / layout.width, "right": 1 - layout.right / layout.width,
            "bottom": layout.bottom / tall, "top": 1 - layout.top / tall,
            "wspace": layout.across / wide, "hspace": layout.down / layout.height,
        },
    ).ravel().tolist()
    for axes in panels[count:]:
        axes.remove()
    for axes in panels[:count]:
        axes.spines[["top", "right"]].set_visible(False)
        axes.minorticks_off()
    return figure, panels[:count]


def empty_figure(text: str) -> "Figure":
    """Return a figure that says why there is nothing to see."""
    layout = Layout(width=5.0, height=1.0, left=0.2, right=0.2, top=0.2, bottom=0.2)
    figure, (axes,) = panel_grid(1, 1, layout)
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", color=GRAY)
    return figure


def panel_inches(axes: "Axes") -> tuple[float, float]:
    """Return the width and the height of a panel."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    box = axes.get_position()
    return box.width * figure.get_figwidth(), box.height * figure.get_figheight()


def legend_handles(panels: "Sequence[Axes]") -> dict[str, Any]:
    """Return what the panels show, by label, each once."""
    found: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    return found


def draw_line(axes: "Axes", curve: Sequence[float], **look: Any) -> None:
    """Draw a metric by epoch, one epoch as a dot."""
    if len(curve):
        axes.plot(
            range(1, len(curve) + 1), curve, linewidth=1.3, markersize=3.5,
            marker="o" if len(curve) == 1 else None, **look,
        )


def round_ticks(axes: "Axes", side: str, borders: Mapping[int, tuple[float, float]]) -> None:
    """Name the rounds along a side, in the middle of each; the trials where there is one round."""
    axis = axes.xaxis if side == "x" else axes.yaxis
    if len(borders) == 1:
        ((_, end),) = borders.values()
        axis.set_ticks(whole_ticks(int(end), 8))
        return
    labeled = thinned(list(borders), 12)
    axis.set_ticks(
        [sum(borders[number]) / 2 for number in labeled], [f"round {n}" for n in labeled]
    )
    axis.set_tick_params(length=0)


def rounds_text(numbers: Sequence[int]) -> str:
    """Return "round 3", "rounds 3-5" or "rounds 1, 4"."""
    if len(numbers) == 1:
        return f"round {numbers[0]}"
    whole = numbers[-1] - numbers[0] == len(numbers) - 1 and len(numbers) > 2
    return "rounds " + (f"{numbers[0]}-{numbers[-1]}" if whole else ", ".join(map(str, numbers)))


def thinned(numbers: Sequence[int], at_most: int) -> list[int]:
    """Return every number, or every second, … , so that few are left; always the last."""
    stride = math.ceil(len(numbers) / at_most)
    return list(numbers[::-1][::stride][::-1])


def whole_ticks(last: int, at_most: int) -> list[int]:
    """Return 1 and round numbers up to `last`."""
    from matplotlib.ticker import MaxNLocator

    ticks = MaxNLocator(at_most, steps=_STEPS, integer=True).tick_values(0, last)
    return sorted({1, *(int(tick) for tick in ticks if 1 <= tick <= last)})


def value_ticks(axes: "Axes", scale: Scale) -> None:
    """Put round numbers along an axis of values."""
    low, high = axes.get_ylim()
    ticks = _ticks(low, high, scale.log, 6)
    axes.set_yticks(ticks, [_number(tick) for tick in ticks])
    axes.yaxis.set_minor_locator(_no_ticks())


def _no_ticks() -> Any:
    from matplotlib.ticker import NullLocator

    return NullLocator()


def _ticks(low: float, high: float, log: bool, at_most: int) -> list[float]:
    """Return round numbers from `low` to `high`: powers of ten on a log scale, where they fit."""
    from matplotlib.ticker import LogLocator, MaxNLocator

    def inside(ticks: Any) -> list[float]:
        return [float(tick) for tick in ticks if low <= tick <= high]

    if log:
        choices = [LogLocator(numticks=at_most).tick_values(low, high)]
        # Beyond the ends as well: where it sees few ticks, this locator gives those of a linear
        # scale, which are crowded at the upper end.
        choices += [
            LogLocator(subs=digits, numticks=at_most).tick_values(low / 10, high * 10)
            for digits in ((1, 3), (1, 2, 5), (1, 2, 3, 5, 7))
        ]
        for ticks in map(inside, choices):
            if 3 <= len(ticks) <= at_most:
                return ticks
    for more in (1, 0, -1):  # a locator takes intervals, which may have a tick more or less
        ticks = inside(MaxNLocator(at_most + more, steps=_STEPS).tick_values(low, high))
        if len(ticks) <= at_most:
            break
    return ticks


def _number(value: float) -> str:
    """Return a tick as a person types it: 0.05, 1e-6.

    Matplotlib would write 10 to a power as a formula, and a common offset apart from the ticks.
    """
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.6g}"
    digits, exponent = f"{value:.6e}".split("e")
    return f"{digits.rstrip('0').rstrip('.')}e{int(exponent)}"


def value_text(value: Value | None) -> str:
    """Return a hyperparameter as a person reads it: 0.001372, 100, 100, 50x6."""
    if isinstance(value, tuple):
        groups = [(value_text(item), len(list(equal))) for item, equal in itertools.groupby(value)]
        return ", ".join(
            f"{text}x{count}" if count > 2 else ", ".join([text] * count)
            for text, count in groups
        )
    return wording.number(value) if isinstance(value, float) else str(value)


def shortened(text: str, letters: int) -> str:
    """Return a text of at most so many letters, its middle left out; no number in it is cut."""
    if len(text) <= letters:
        return text
    items = text.split(", ")
    if all(_NUMBER.fullmatch(item) for item in items):
        return text if len(items) < 3 else f"{items[0]}, …, {items[-1]}"
    head = max((letters - 1) // 2, 1)
    return f"{text[:head]}…{text[len(text) - (letters - 1 - head):]}"
