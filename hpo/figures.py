"""Figures of a study as the record has it: learning curves, ranges, a map, the best so far."""

import itertools
import logging
import math
import textwrap
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hpo.errors import InputError
from hpo.narrowing import Move
from hpo.recorded import Recorded
from hpo.search_space import (
    CategoricalDistribution,
    Distribution,
    IntegerDistribution,
    Value,
    describe,
)
from hpo.trial import Direction, State, TrialResult, rank

if TYPE_CHECKING:  # Matplotlib takes half a second to import
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

Array: TypeAlias = NDArray[np.float64]
Histories: TypeAlias = Mapping[tuple[int, int], Sequence[float]]  # by (round, number)

CURVES = 20  # trials whose learning curves are drawn
DOTS_PER_INCH = 180
WIDTH = 8.2  # inches, for text that can be read where the MLflow UI shows it 600 pixels wide

# Colors of Okabe and Ito, which people with any color vision tell apart, and grays.
INK, GRAY, PALE, BAND = "#222222", "#767676", "#c4c4c4", "#e9eef5"
BLUE, VERMILION = "#0072b2", "#d55e00"
_STYLE = {
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9.0,
    "axes.edgecolor": GRAY,
    "axes.linewidth": 0.7,
    "axes.axisbelow": True,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": GRAY,
    "ytick.color": GRAY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "text.parse_math": False,  # a name with two dollar signs is a name
}
_MARKS: Mapping[State, Mapping[str, Any]] = {
    State.PRUNED: {"marker": "o", "facecolors": "none", "edgecolors": GRAY, "linewidths": 0.7},
    State.DIVERGED: {"marker": "x", "color": VERMILION, "linewidths": 1.0},
    State.FAILED: {"marker": "+", "color": INK, "linewidths": 0.9},
}


@contextmanager
def _style() -> Iterator[None]:
    """Set Matplotlib's defaults and ours, whatever the user's own style is."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # else it tells of its font cache
    import matplotlib

    style: Any = {k: v for k, v in matplotlib.rcParamsDefault.items() if k != "backend"}
    with matplotlib.rc_context(style | _STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*missing from font")
        yield


def write(
    recorded: Recorded,
    moves: Sequence[Move],
    history: Callable[[str, str], Sequence[float]],
    folder: Path,
) -> list[Path]:
    """Draw all figures of a study and write them to a folder, which is made; return the files.

    `history` reads a metric by epoch, given the id of a run and its name. `moves` are the ranges
    proposed after the last round. Raises InputError where the folder cannot be written.
    """
    figures = {
        "learning_curves": learning_curves(recorded, training_histories(recorded, history)),
        "ranges": ranges(recorded),
        "best_so_far": best_so_far(recorded),
        "proposal": proposal(recorded, moves),
    }
    if len(recorded.rounds[-1].search_space) > 1:
        figures["map"] = landscape(recorded, moves)
    return [save(figure, folder / f"{name}.png") for name, figure in figures.items()]


@_style()
def save(figure: "Figure", path: Path) -> Path:
    """Write a figure as a PNG file, the same bytes every time; return its path.

    Raises InputError where that is not possible.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}; name another folder") from error
    return path


def training_histories(
    recorded: Recorded, history: Callable[[str, str], Sequence[float]]
) -> dict[tuple[int, int], Sequence[float]]:
    """Return what the trials that `learning_curves` shows reached on the training rows by epoch.

    That is `training_loss` where the study searches by `validation_loss`. In the record that is
    no part of a trial's result, and read trial by trial.
    """
    metric, direction = _searched(recorded)
    name = metric.replace("validation", "training", 1)
    histories: dict[tuple[int, int], Sequence[float]] = {}
    for result in rank(_ordered(recorded), direction)[:CURVES]:
        identity = result.trial.round, result.trial.number
        if name == metric or name not in result.metrics[-1]:
            continue
        known = result.curve(name)
        if len(known) < result.epochs and identity in recorded.runs:
            known = list(history(recorded.runs[identity], name))
        histories[identity] = known
    return histories


@_style()
def learning_curves(recorded: Recorded, histories: Histories) -> "Figure":
    """Draw the best trials, each in a panel: validation solid, training dashed.

    `histories` are the training curves.
    """
    metric, direction = _searched(recorded)
    best = rank(_ordered(recorded), direction)[:CURVES]
    if not best:
        return _nothing("no complete trial yet")
    names = list(best[0].trial.hyperparameters)
    lines = min(len(names), 6)
    columns = min(len(best), 5)
    rows = math.ceil(len(best) / 5)
    under = 0.13 * lines + 0.05  # inches between a title and its panel
    figure, panels = _grid(
        len(best), columns, width=max(1.48 * columns + 0.8, 3.6), height=1.0,
        left=0.65, right=0.2, top=under + 0.58, bottom=0.5, across=0.22, down=under + 0.42,
        sharex=True, sharey=True,
    )
    drawn = []
    for place, (result, axes) in enumerate(zip(best, panels, strict=True), start=1):
        curve = result.curve(metric)
        training = histories.get((result.trial.round, result.trial.number), ())
        drawn.append([v for v in (*curve, *training) if math.isfinite(v)])
        _line(axes, training, color=VERMILION, linestyle=(0, (3, 1.5)), label="training")
        _line(axes, curve, color=BLUE, linestyle="-", label="validation")
        if result.epoch is not None and result.value is not None and result.epoch < len(curve):
            axes.plot(result.epoch, result.value, "o", color=BLUE, markersize=3.5)
        axes.set_title(f"best-{place} ({result.value:.4g})", pad=72 * under + 1)
        values = [_short(_text(result.trial.hyperparameters.get(name)), 14) for name in names]
        shown = [
            f"{_short(name, 25 - len(value))} {value}"
            for name, value in zip(names, values, strict=True)
        ]
        if len(shown) > lines:
            shown[lines - 1 :] = [f"and {len(shown) - lines + 1} more"]
        axes.annotate(
            "\n".join(shown), (0.5, 1), (0, 3), "axes fraction", textcoords="offset points",
            ha="center", va="bottom", fontsize=7.5, color=GRAY, linespacing=1.1,
        )
        axes.grid(color=PALE, linewidth=0.4)
    longest = max(len(result.metrics) for result in best)
    panels[0].set_xlim(1, max(longest, 2))
    panels[0].set_xticks(sorted({1, math.ceil(longest / 2), longest}))
    scale = _curves_scale(drawn, direction)
    panels[0].set_yscale("log" if scale.log else "linear")
    panels[0].set_ylim(*scale.padded(0.06))
    _value_ticks(panels[0], scale)
    for index, axes in enumerate(panels):
        last = index + columns >= len(best)
        axes.tick_params(labelbottom=last, labelleft=index % columns == 0)
        if last:
            axes.set_xlabel("epoch", labelpad=2)
    figure.text(
        0.12 / figure.get_figwidth(), 0.5, _short(metric, 20 * rows),
        rotation="vertical", va="center", ha="center",
    )
    handles = _handles(panels)
    figure.legend(
        handles.values(), handles, loc="upper right" if columns > 2 else "upper center",
        ncols=2, borderaxespad=0.3,
    )
    return figure


@_style()
def ranges(recorded: Recorded) -> "Figure":
    """Draw every trial of all rounds over each hyperparameter, downward in the order of trials.

    Color is the value, and a band is the range of a round.
    """
    results = _ordered(recorded)
    coloring = _Coloring.of(recorded)
    spaces = _spaces(recorded)
    borders = _borders(recorded)
    columns = min(len(spaces), 2 if len(spaces) in (2, 4) else 3)
    room = 0.35 if _has_choices(recorded) else 0.0  # for their names
    figure, panels = _grid(
        len(spaces), columns, width=WIDTH if columns > 1 else 6.0,
        height=3.8 if len(spaces) <= columns else 2.6,
        left=0.85, right=1.05, top=0.45, bottom=0.62 + room, across=0.3, down=0.72 + room,
        sharey=True,
    )
    positions = np.arange(1, len(results) + 1, dtype=np.float64)
    for index, (axes, (name, distributions)) in enumerate(
        zip(panels, spaces.items(), strict=True)
    ):
        axis = _Axis(name, list(distributions.values()), results)
        axis.prepare(axes, "x", size=_panel_inches(axes))
        for number, distribution in distributions.items():
            top, bottom = borders[number]
            for low, high in axis.spans(distribution):
                axes.fill_between(
                    [low, high], top, bottom, color=BAND, linewidth=0, label="_band", zorder=0
                )
                axes.plot(
                    [low, low, np.nan, high, high], [top, bottom, np.nan, top, bottom],
                    color=BLUE, linewidth=0.8, alpha=0.6, zorder=1,
                )
        coloring.mark(axes, results, axis.positions(results), positions)
        axes.hlines(
            [top for top, _ in borders.values()][1:], 0, 1, linewidth=0.5,
            color=GRAY if len(borders) < 10 else PALE,
            transform=axes.get_yaxis_transform(), zorder=1,
        )
        if index % columns == 0:
            axes.set_ylabel("trials in order" if len(borders) == 1 else "rounds of trials")
    bottom = max(bottom for _, bottom in borders.values())
    panels[0].set_ylim(bottom, 0.5)
    _round_ticks(panels[0], "y", borders)
    coloring.bar(figure)
    coloring.legend(figure, panels)
    return figure


@_style()
def landscape(recorded: Recorded, moves: Sequence[Move] = ()) -> "Figure":
    """Draw all trials over two hyperparameters, colored by value, with a box for each round.

    The two are those whose influence has the strongest evidence in `moves`, or the first.
    """
    results = _ordered(recorded)
    coloring = _Coloring.of(recorded)
    spaces = _spaces(recorded)
    evidence = {
        move.name: move.evidence for move in moves if not math.isnan(move.evidence)
    }
    strongest = sorted(
        spaces,
        key=lambda name: (
            isinstance(list(spaces[name].values())[-1], CategoricalDistribution),
            evidence.get(name, 2.0),
        ),
    )[:2]
    names = [name for name in spaces if name in strongest]
    if len(names) < 2:
        return _nothing("a map takes two hyperparameters")
    figure, (axes,) = _grid(
        1, 1, width=7.0, height=4.6, left=0.85, right=1.1, top=0.45, bottom=0.62,
    )
    width, height = _panel_inches(axes)
    x, y = (_Axis(name, list(spaces[name].values()), results) for name in names)
    x.prepare(axes, "x", size=(width, height))
    y.prepare(axes, "y", size=(width, height))
    boxes: dict[tuple[tuple[float, float, float, float], ...], list[int]] = {}
    for round_ in recorded.rounds:
        corners = tuple(
            (left, right, low, high)
            for left, right in x.spans(round_.search_space.get(names[0]))
            for low, high in y.spans(round_.search_space.get(names[1]))
        )
        boxes.setdefault(corners, []).append(round_.number)
    labels: list[tuple[float, float]] = []  # where there are some, in points
    for place, (corners, numbers) in enumerate(boxes.items(), start=1):
        age = place / len(boxes)  # the later the bolder
        for left, right, low, high in corners:
            axes.plot(
                [left, right, right, left, left], [low, low, high, high, low],
                color=BLUE, linewidth=0.8 + 0.8 * age, alpha=0.4 + 0.6 * age,
                label=f"_{_rounds(numbers)}", zorder=1, solid_joinstyle="miter",
            )
        if corners and place in _thinned(range(1, len(boxes) + 1), 10):
            left, _, _, high = max(corners, key=lambda corner: corner[3])
            at = axes.transData.transform((left, high)) * 72 / figure.dpi
            down = 3.0
            while any(abs(at[0] - u) < 60 and abs(at[1] - down - v) < 12 for u, v in labels):
                down += 12
            labels.append((at[0], at[1] - down))
            axes.annotate(
                _rounds(numbers), (left, high), (3, -down), textcoords="offset points",
                va="top", fontsize=8, color=BLUE, zorder=4,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.8},
            )
    coloring.mark(axes, results, x.positions(results), y.positions(results))
    coloring.bar(figure)
    coloring.legend(figure, [axes])
    return figure


@_style()
def best_so_far(recorded: Recorded) -> "Figure":
    """Draw the best value so far over the trials of all rounds, with every trial as a dot."""
    metric, direction = _searched(recorded)
    results = _ordered(recorded)
    borders = _borders(recorded)
    coloring = _Coloring.of(recorded)
    figure, (axes,) = _grid(
        1, 1, width=WIDTH, height=3.2, left=0.85, right=0.55, top=0.55, bottom=0.55,
    )
    positions = np.arange(1, len(results) + 1, dtype=np.float64)
    axes.set_xlim(0.5, max(bottom for _, bottom in borders.values()))
    coloring.mark_heights(axes, results, positions, gray=True)
    complete = _in_state(results, State.COMPLETE)
    best = _running_best(np.where(complete, _values(results), np.nan), direction)
    if np.isfinite(best).any():
        ends = [*positions, max(len(results), 1) + 0.5]
        axes.step(
            ends, [*best, best[-1]], where="post", color=BLUE, linewidth=1.8,
            label=f"best so far: {best[-1]:.4g}", zorder=2.2,
        )
    for top, _ in list(borders.values())[1:]:
        axes.axvline(
            top, color=GRAY if len(borders) < 10 else PALE, linewidth=0.7, linestyle=(0, (4, 3)),
            label="_border", zorder=1,
        )
    labeled = _thinned(list(borders), 12)
    for number in labeled if len(borders) > 1 else ():
        axes.annotate(
            f"round {number}", (borders[number][0], 1), (3, 3),
            ("data", "axes fraction"), textcoords="offset points", fontsize=8, color=GRAY,
        )
    axes.set_xlabel("trials in order")
    axes.set_xticks(_whole_ticks(len(results), 8))
    axes.set_ylabel(_short(metric, 44))
    axes.grid(axis="y", color=PALE, linewidth=0.4)
    coloring.legend(figure, [axes])
    return figure


@_style()
def proposal(recorded: Recorded, moves: Sequence[Move]) -> "Figure":
    """Draw for each move the trials over its hyperparameter, the range now, the next, and why."""
    metric, _ = _searched(recorded)
    results = _ordered(recorded)
    coloring = _Coloring.of(recorded)
    columns = min(len(moves), 2)
    room = 0.35 if _has_choices(recorded) else 0.0  # for their names
    figure, panels = _grid(
        len(moves), columns, width=WIDTH if columns > 1 else 6.0, height=2.2,
        left=0.85, right=1.05, top=1.83, bottom=0.62 + room, across=0.55, down=2.0 + room,
        sharey=True,
    )
    wide = int((_panel_inches(panels[0])[0] + 0.35) * 16)  # letters of the captions on a line
    for index, (axes, move) in enumerate(zip(panels, moves, strict=True)):
        axis = _Axis(move.name, [move.old, move.new], results)
        axis.prepare(axes, "x", size=_panel_inches(axes))
        for distribution, height, color, text in (
            (move.old, 1.13, GRAY, "now"), (move.new, 1.05, BLUE, "next"),
        ):
            for low, high in axis.spans(distribution):
                axes.plot(
                    [low, high], [height, height], color=color, linewidth=5.0, label=f"_{text}",
                    transform=axes.get_xaxis_transform(), clip_on=False, solid_capstyle="butt",
                )
            axes.annotate(
                text, (0, height), (-5, 0), "axes fraction", textcoords="offset points",
                ha="right", va="center", fontsize=8, color=color, annotation_clip=False,
            )
        for low, high in axis.spans(move.new):
            axes.axvspan(low, high, color=BAND, linewidth=0, label="_band", zorder=0)
        coloring.mark_heights(axes, results, axis.positions(results))
        axes.set_title(
            f"{_short(move.name, wide - 10)}: {move.direction}", loc="left", y=1.2, pad=61,
            fontweight="bold",
        )
        axes.annotate(
            "\n".join(_caption(move, wide)), (0, 1.2), (0, 58), "axes fraction",
            textcoords="offset points", va="top", fontsize=8, linespacing=1.3,
        )
        if index % columns == 0:
            axes.set_ylabel(_short(metric, 34))
    coloring.bar(figure)
    coloring.legend(figure, panels)
    return figure


def _caption(move: Move, wide: int) -> list[str]:
    """Return what moves and why, in at most five lines."""
    numbers = _short(describe(move.old), wide)
    if move.new != move.old:
        numbers = _short(f"{describe(move.old)} → {describe(move.new)}", wide)
    why = move.reason
    if not math.isnan(move.evidence):
        p_value = f"= {move.evidence:.1g}" if move.evidence > 1e-99 else "< 1e-99"
        why += " (p\u00a0{}\u00a0{})".format(*p_value.split())  # not to be torn apart
    return [numbers, *textwrap.wrap(why, wide, max_lines=4, placeholder=" …")]


# what is drawn


def _searched(recorded: Recorded) -> tuple[str, Direction]:
    settings = recorded.rounds[0].settings
    return settings["metric"], settings["direction"]


def _ordered(recorded: Recorded) -> list[TrialResult]:
    """Return the trials of the rounds at hand, in order of round and number."""
    shown = {round_.number for round_ in recorded.rounds}
    return sorted(
        (r for r in recorded.results if r.trial.round in shown),
        key=lambda r: (r.trial.round, r.trial.number),
    )


def _has_choices(recorded: Recorded) -> bool:
    return any(
        isinstance(d, CategoricalDistribution) for r in recorded.rounds
        for d in r.search_space.values()
    )


def _spaces(recorded: Recorded) -> dict[str, dict[int, Distribution]]:
    """Return the distributions of each hyperparameter by round."""
    spaces: dict[str, dict[int, Distribution]] = {}
    for round_ in recorded.rounds:
        for name, distribution in round_.search_space.items():
            spaces.setdefault(name, {})[round_.number] = distribution
    return spaces


def _borders(recorded: Recorded) -> dict[int, tuple[float, float]]:
    """Return where each round begins and ends among the trials in order, which count from 1.

    A round without a trial yet takes the place of one.
    """
    borders, end = {}, 0.5
    for round_ in recorded.rounds:
        count = sum(r.trial.round == round_.number for r in recorded.results)
        borders[round_.number] = end, end + max(count, 1)
        end += max(count, 1)
    return borders


def _values(results: Sequence[TrialResult]) -> Array:
    """Return the values of trials, NaN where there is none."""
    values = [math.nan if result.value is None else result.value for result in results]
    return np.where(np.isfinite(values), values, np.nan)


def _in_state(results: Sequence[TrialResult], state: State) -> NDArray[np.bool_]:
    return np.array([result.state is state for result in results], dtype=bool)


def _running_best(values: Array, direction: Direction) -> Array:
    best = np.fmax if direction == "maximize" else np.fmin
    return np.asarray(best.accumulate(values), dtype=np.float64) if values.size else values


@dataclass(frozen=True)
class _Scale:
    """The span of values that is drawn: from `worst`, beyond which values are cut, to `best`."""

    worst: float
    best: float
    log: bool

    @classmethod
    def of(
        cls, values: Array, direction: Direction, reach: float = 8.0
    ) -> "_Scale":
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
    def _from(cls, best: float, reach: float, direction: Direction, log: bool) -> "_Scale":
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


def _curves_scale(curves: Sequence[Sequence[float]], direction: Direction) -> _Scale:
    """Return the span in which all curves lie whole, or nine of ten where the others explode."""
    pick = min if direction == "maximize" else max
    worst_first = sorted((pick(curve) for curve in curves if curve), reverse=pick is max)
    best = (max if pick is min else min)(value for curve in curves for value in curve)
    worst = worst_first[0]
    if abs(worst - best) > 3 * abs(worst_first[len(worst_first) // 10] - best):
        worst = worst_first[len(worst_first) // 10]
    log = direction == "minimize" and best > 0 and worst > 20 * best
    if log:
        return _Scale(worst, best, log)
    return _Scale._from(best, abs(worst - best), direction, log)


@dataclass(frozen=True)
class _Coloring:
    """What a trial looks like: the better its value the darker, with the best in a ring.

    `scale` is that of the colors, `heights` that of an axis of values.
    """

    metric: str
    scale: _Scale
    heights: _Scale
    cut: bool  # whether some values lie beyond the colors
    best: Sequence[TrialResult]  # one, or none

    @classmethod
    def of(cls, recorded: Recorded) -> "_Coloring":
        metric, direction = _searched(recorded)
        results = _ordered(recorded)
        values = _values(results)
        complete = values[_in_state(results, State.COMPLETE)]
        scale = _Scale.of(complete, direction, reach=2.5)
        cut = bool(scale.beyond(complete).any())
        heights = _Scale.of(values, direction)
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
        values = _values(results)
        size = self._size(results)
        placed = np.isfinite(x) & np.isfinite(y)
        for state, mark in _MARKS.items():
            chosen = _in_state(results, state) & placed
            if chosen.any():
                axes.scatter(
                    x[chosen], y[chosen], s=size * 0.8, label=state.value, zorder=2,
                    clip_on=False, **mark,
                )
        order = np.flatnonzero(_in_state(results, State.COMPLETE) & placed & np.isfinite(values))
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
                linewidths=1.3, label=f"best: {result.value:.4g}", zorder=3.5, clip_on=False,
            )

    def mark_heights(
        self, axes: "Axes", results: Sequence[TrialResult], x: Array, gray: bool = False
    ) -> None:
        """Draw the trials over an axis of their values; those without one lie at its worse end."""
        worse_end = int(self.heights.best < self.heights.worst)  # 1: above, where less is better
        ends = list(self.heights.padded(0.05))
        values = _values(results)
        complete = _in_state(results, State.COMPLETE)
        floor = self.heights.padded(0.08)[worse_end]
        beyond = self.heights.beyond(values)
        y = np.where(np.isnan(values) | beyond & ~complete, floor, values)
        if (y == floor).any() or beyond.any():
            ends[worse_end] = self.heights.padded(0.12)[worse_end]
        beyond &= complete
        axes.set_yscale("log" if self.heights.log else "linear")
        axes.set_ylim(*ends)
        _value_ticks(axes, self.heights)
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
        bar.set_label(_short(self.metric, int(tall * 12)))
        bar.outline.set_visible(False)
        bar.minorticks_off()
        _value_ticks(axes, self.scale)

    def legend(self, figure: "Figure", panels: "Sequence[Axes]") -> None:
        """Say what the marks mean, above all panels."""
        handles = _handles(panels)
        if handles:
            figure.legend(
                handles.values(), handles, loc="upper right", ncols=len(handles),
                borderaxespad=0.4, handletextpad=0.4, columnspacing=1.4,
            )


class _Axis:
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
                _text(choice)
                for d in distributions if isinstance(d, CategoricalDistribution)
                for choice in d.choices
            ]
            seen += [_text(r.trial.hyperparameters[name]) for r in results
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
                found[i] = self.choices.get(_text(value), math.nan) + aside
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
            for index in sorted(self.choices[_text(choice)] for choice in distribution.choices):
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
        axis.set_label_text(_short(self.name, int(inches * 12)))
        if self.choices is not None:
            letters = int(inches * 13 / len(self.choices))
            tilted = side == "x" and max(map(len, self.choices)) > letters
            letters = 12 if tilted or side == "y" else letters
            names = [_short(choice, letters) for choice in self.choices]
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


def _grid(
    count: int,
    columns: int,
    *,
    width: float,
    height: float,
    left: float,
    right: float,
    top: float,
    bottom: float,
    across: float = 0.0,
    down: float = 0.0,
    sharex: bool = False,
    sharey: bool = False,
) -> "tuple[Figure, list[Axes]]":
    """Return a figure with so many panels; all in inches, `height` that of one panel."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = math.ceil(count / columns)
    tall = rows * height + (rows - 1) * down + top + bottom
    wide = (width - left - right - (columns - 1) * across) / columns
    figure = Figure((width, tall))
    FigureCanvasAgg(figure)
    panels = figure.subplots(
        rows, columns, squeeze=False, sharex=sharex, sharey=sharey,
        gridspec_kw={
            "left": left / width, "right": 1 - right / width,
            "bottom": bottom / tall, "top": 1 - top / tall,
            "wspace": across / wide, "hspace": down / height,
        },
    ).ravel().tolist()
    for axes in panels[count:]:
        axes.remove()
    for axes in panels[:count]:
        axes.spines[["top", "right"]].set_visible(False)
        axes.minorticks_off()
    return figure, panels[:count]


def _nothing(text: str) -> "Figure":
    """Return a figure that says why there is nothing to see."""
    figure, (axes,) = _grid(1, 1, width=5.0, height=1.0, left=0.2, right=0.2, top=0.2, bottom=0.2)
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", color=GRAY)
    return figure


def _panel_inches(axes: "Axes") -> tuple[float, float]:
    figure = axes.get_figure(root=True)
    assert figure is not None
    box = axes.get_position()
    return box.width * figure.get_figwidth(), box.height * figure.get_figheight()


def _handles(panels: "Sequence[Axes]") -> dict[str, Any]:
    """Return what the panels show, by label, each once."""
    found: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    return found


def _line(axes: "Axes", curve: Sequence[float], **look: Any) -> None:
    """Draw a metric by epoch, one epoch as a dot."""
    if len(curve):
        axes.plot(
            range(1, len(curve) + 1), curve, linewidth=1.3, markersize=3.5,
            marker="o" if len(curve) == 1 else None, **look,
        )


def _round_ticks(axes: "Axes", side: str, borders: Mapping[int, tuple[float, float]]) -> None:
    """Name the rounds along a side, in the middle of each; the trials where there is one round."""
    axis = axes.xaxis if side == "x" else axes.yaxis
    if len(borders) == 1:
        ((_, end),) = borders.values()
        axis.set_ticks(_whole_ticks(int(end), 8))
        return
    labeled = _thinned(list(borders), 12)
    axis.set_ticks(
        [sum(borders[number]) / 2 for number in labeled], [f"round {n}" for n in labeled]
    )
    axis.set_tick_params(length=0)


def _rounds(numbers: Sequence[int]) -> str:
    """Return "round 3", "rounds 3-5" or "rounds 1, 4"."""
    if len(numbers) == 1:
        return f"round {numbers[0]}"
    whole = numbers[-1] - numbers[0] == len(numbers) - 1 and len(numbers) > 2
    return "rounds " + (f"{numbers[0]}-{numbers[-1]}" if whole else ", ".join(map(str, numbers)))


def _thinned(numbers: Sequence[int], at_most: int) -> list[int]:
    """Return every number, or every second, … , so that few are left; always the last."""
    stride = math.ceil(len(numbers) / at_most)
    return list(numbers[::-1][::stride][::-1])


def _whole_ticks(last: int, at_most: int) -> list[int]:
    """Return 1 and round numbers up to `last`."""
    for step in (m * 10**e for e in range(9) for m in (1, 2, 5)):
        if last / step <= at_most:
            return sorted({1, *range(step, last + 1, step)} - ({2} if step > 2 else set()))
    return [1]


def _value_ticks(axes: "Axes", scale: _Scale) -> None:
    low, high = axes.get_ylim()
    ticks = _ticks(low, high, scale.log, 6)
    axes.set_yticks(ticks, [_number(tick) for tick in ticks])
    axes.yaxis.set_minor_locator(_no_ticks())


def _no_ticks() -> Any:
    from matplotlib.ticker import NullLocator

    return NullLocator()


def _ticks(low: float, high: float, log: bool, at_most: int) -> list[float]:
    """Return round numbers from `low` to `high`: powers of ten on a log scale, where they fit."""
    if log:
        exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        inside = [e for e in exponents if low <= 10.0**e <= high]
        if len(inside) > 2:
            return [10.0**e for e in _thinned(inside, at_most)]
        for digits in ((1, 3), (1, 2, 5), (1, 2, 3, 5, 7)):
            finer = [float(f"{d}e{e}") for e in exponents for d in digits]
            finer = [tick for tick in finer if low <= tick <= high]
            if 3 <= len(finer) <= at_most:
                return finer
    wanted = (high - low) / at_most
    for exponent in range(math.floor(math.log10(wanted)), 400):
        for digit in (1, 2, 5):
            first, last = (f(x / digit / 10.0**exponent) for f, x in
                           ((math.ceil, low), (math.floor, high)))
            if last - first < at_most:
                return [float(f"{n * digit}e{exponent}") for n in range(first, last + 1)]
    return [low, high]


def _number(value: float) -> str:
    """Return a tick as a person types it: 0.05, 1e-6."""
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.6g}"
    digits, exponent = f"{value:.6e}".split("e")
    return f"{digits.rstrip('0').rstrip('.')}e{int(exponent)}"


def _text(value: Value | None) -> str:
    """Return a hyperparameter as a person reads it: 0.00137, 100, 100, 50x6."""
    if isinstance(value, tuple):
        groups = [(_text(item), len(list(equal))) for item, equal in itertools.groupby(value)]
        return ", ".join(
            f"{text}x{count}" if count > 2 else ", ".join([text] * count)
            for text, count in groups
        )
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _short(text: str, letters: int) -> str:
    """Return a text of at most so many letters, its middle left out."""
    if len(text) <= letters:
        return text
    head = max((letters - 1) // 2, 1)
    return f"{text[:head]}…{text[len(text) - (letters - 1 - head):]}"


@_style()
def confusion_matrix(confusion: NDArray[np.int64], labels: Sequence[str]) -> "Figure":
    """Draw counts of rows by true class (downward) and predicted class (across).

    Color is the share of the rows of a true class, so that rare classes are seen as well. Above
    20 classes there are no numbers in the cells.
    """
    count = len(labels)
    size = min(max(0.42 * count, 2.0), 8.4)  # inches of the square
    names = [_short(label, 16) for label in labels]
    room = 0.35 + 0.075 * max(map(len, names))
    tilted = max(map(len, names)) * 0.085 > 0.9 * size / count
    figure, (axes,) = _grid(
        1, 1, width=size + room + 1.35, height=size, left=room + 0.3, right=1.05,
        top=0.35, bottom=(room if tilted else 0.3) + 0.35,
    )
    rows = confusion.sum(axis=1, keepdims=True)
    shares = confusion / np.maximum(rows, 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    if count <= 20:
        for (true, predicted), number in np.ndenumerate(confusion):
            if number:
                axes.text(
                    predicted, true, str(number), ha="center", va="center",
                    fontsize=8 if size / count / len(str(number)) > 0.1 else 6,
                    color="white" if shares[true, predicted] > 0.5 else INK,
                    fontweight="bold" if true == predicted else "normal",
                )
    ticks = [index - 1 for index in _thinned(range(1, count + 1), 30)]
    axes.set_xticks(ticks, [names[i] for i in ticks], rotation=90 if tilted else 0)
    axes.set_yticks(ticks, [names[i] for i in ticks])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    right, of = int(confusion.diagonal().sum()), int(confusion.sum())
    axes.set_title(f"{right} of {of} rows of the test set are right", loc="left")
    bar = figure.colorbar(image, ax=axes, cax=axes.inset_axes((1.04, 0, 0.05, 1)))
    bar.set_label("share of the true class")
    bar.outline.set_visible(False)
    return figure
