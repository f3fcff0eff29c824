"""Figures of a study as the record has it: learning curves, ranges, a map, the best so far."""

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hpo import wording
from hpo.moves import Move
from hpo.record.values import Recorded
from hpo.report.drawing import (
    BAND,
    BLUE,
    GRAY,
    INK,
    PALE,
    VERMILION,
    WIDTH,
    Axis,
    Layout,
    draw_line,
    empty_figure,
    has_choices,
    in_state,
    legend_handles,
    ordered_results,
    panel_grid,
    panel_inches,
    round_borders,
    running_best,
    save,
    searched_metric,
    spaces_of,
    style,
    values_of,
)
from hpo.report.marks import Coloring
from hpo.report.scales import curves_scale
from hpo.report.ticks import (
    round_ticks,
    rounds_text,
    shortened,
    thinned,
    value_text,
    value_ticks,
    whole_ticks,
)
from hpo.search_space import (
    CategoricalDistribution,
    describe,
)
from hpo.trial import State, TrialId, rank

if TYPE_CHECKING:  # Matplotlib takes half a second to import
    from matplotlib.figure import Figure

Histories: TypeAlias = Mapping[TrialId, Sequence[float]]

CURVES = 20  # trials whose learning curves are drawn


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


def training_histories(
    recorded: Recorded, history: Callable[[str, str], Sequence[float]]
) -> dict[TrialId, Sequence[float]]:
    """Return what the trials that `learning_curves` shows reached on the training rows by epoch.

    That is `training_loss` where the study searches by `validation_loss`. In the record that is
    no part of a trial's result, and read trial by trial.
    """
    metric, direction = searched_metric(recorded)
    name = _training_name(metric)
    histories: dict[TrialId, Sequence[float]] = {}
    for result in rank(ordered_results(recorded), direction)[:CURVES]:
        identity = result.trial.id
        if name == metric or name not in result.metrics[-1]:
            continue
        known = result.curve(name)
        if len(known) < result.epochs and identity in recorded.runs:
            known = list(history(recorded.runs[identity], name))
        histories[identity] = known
    return histories


def _training_name(metric: str) -> str:
    """Return what a metric of validation rows is called on the training rows, or its own name."""
    return metric.replace("validation", "training", 1)


@style()
def learning_curves(recorded: Recorded, histories: Histories) -> "Figure":
    """Draw the best trials, each in a panel: the searched metric solid, on training rows dashed.

    `histories` are the training curves.
    """
    metric, direction = searched_metric(recorded)
    name = "validation" if metric.startswith("validation_") else shortened(metric, 32)
    best = rank(ordered_results(recorded), direction)[:CURVES]
    if not best:
        return empty_figure("no complete trial yet")
    names = list(best[0].trial.hyperparameters)
    lines = min(len(names), 6)
    columns = min(len(best), 5)
    rows = math.ceil(len(best) / 5)
    under = 0.13 * lines + 0.05  # inches between a title and its panel
    layout = Layout(
        width=max(1.48 * columns + 0.8, 3.6), height=1.0, left=0.65, right=0.2,
        top=under + 0.58, bottom=0.5, across=0.22, down=under + 0.42,
    )
    figure, panels = panel_grid(len(best), columns, layout, sharex=True, sharey=True)
    drawn = []
    for position, (result, axes) in enumerate(zip(best, panels, strict=True), start=1):
        curve = result.curve(metric)
        training = histories.get(result.trial.id, ())
        drawn.append([v for v in (*curve, *training) if math.isfinite(v)])
        draw_line(axes, training, color=VERMILION, linestyle=(0, (3, 1.5)), label="training")
        draw_line(axes, curve, color=BLUE, linestyle="-", label=name)
        if result.epoch is not None and result.value is not None and result.epoch < len(curve):
            axes.plot(result.epoch, result.value, "o", color=BLUE, markersize=3.5)
        axes.set_title(f"best-{position} ({value_text(result.value)})", pad=72 * under + 1)
        values = [
            shortened(value_text(result.trial.hyperparameters.get(name)), 14) for name in names
        ]
        shown = [
            f"{shortened(name, 25 - len(value))} {value}"
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
    scale = curves_scale(drawn, direction)
    panels[0].set_yscale("log" if scale.log else "linear")
    panels[0].set_ylim(*scale.padded(0.06))
    value_ticks(panels[0], scale)
    for index, axes in enumerate(panels):
        last = index + columns >= len(best)
        axes.tick_params(labelbottom=last, labelleft=index % columns == 0)
        if last:
            axes.set_xlabel("epoch", labelpad=2)
    figure.text(
        0.12 / figure.get_figwidth(), 0.5, shortened(metric, 20 * rows),
        rotation="vertical", va="center", ha="center",
    )
    handles = legend_handles(panels)
    figure.legend(
        handles.values(), handles, loc="upper right" if columns > 2 else "upper center",
        ncols=2, borderaxespad=0.3,
    )
    return figure


@style()
def ranges(recorded: Recorded) -> "Figure":
    """Draw every trial of all rounds over each hyperparameter, downward in the order of trials.

    Color is the value, and a band is the range of a round.
    """
    results = ordered_results(recorded)
    coloring = Coloring.of(recorded)
    spaces = spaces_of(recorded)
    borders = round_borders(recorded)
    columns = min(len(spaces), 2 if len(spaces) in (2, 4) else 3)
    room = 0.35 if has_choices(recorded) else 0.0  # for their names
    layout = Layout(
        width=WIDTH if columns > 1 else 6.0, height=3.8 if len(spaces) <= columns else 2.6,
        left=0.85, right=1.05, top=0.45, bottom=0.62 + room, across=0.3, down=0.72 + room,
    )
    figure, panels = panel_grid(len(spaces), columns, layout, sharey=True)
    positions = np.arange(1, len(results) + 1, dtype=np.float64)
    for index, (axes, (name, distributions)) in enumerate(
        zip(panels, spaces.items(), strict=True)
    ):
        axis = Axis(name, list(distributions.values()), results)
        axis.prepare(axes, "x", size=panel_inches(axes))
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
    round_ticks(panels[0], "y", borders)
    coloring.bar(figure)
    coloring.legend(figure, panels)
    return figure


@style()
def landscape(recorded: Recorded, moves: Sequence[Move] = ()) -> "Figure":
    """Draw all trials over two hyperparameters, colored by value, with a box for each round.

    The two are those whose influence has the strongest evidence in `moves`, or the first.
    """
    results = ordered_results(recorded)
    coloring = Coloring.of(recorded)
    spaces = spaces_of(recorded)
    p_values = {
        move.name: move.p_value for move in moves if not math.isnan(move.p_value)
    }
    strongest = sorted(
        spaces,
        key=lambda name: (
            isinstance(list(spaces[name].values())[-1], CategoricalDistribution),
            p_values.get(name, 2.0),
        ),
    )[:2]
    names = [name for name in spaces if name in strongest]
    if len(names) < 2:
        return empty_figure("a map takes two hyperparameters")
    layout = Layout(
        width=7.0, height=4.6, left=0.85, right=1.1, top=0.45, bottom=0.62,
    )
    figure, (axes,) = panel_grid(1, 1, layout)
    width, height = panel_inches(axes)
    x, y = (Axis(name, list(spaces[name].values()), results) for name in names)
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
    for turn, (corners, numbers) in enumerate(boxes.items(), start=1):
        age = turn / len(boxes)  # the later the bolder
        for left, right, low, high in corners:
            axes.plot(
                [left, right, right, left, left], [low, low, high, high, low],
                color=BLUE, linewidth=0.8 + 0.8 * age, alpha=0.4 + 0.6 * age,
                label=f"_{rounds_text(numbers)}", zorder=1, solid_joinstyle="miter",
            )
        if corners and turn in thinned(range(1, len(boxes) + 1), 10):
            left, _, _, high = max(corners, key=lambda corner: corner[3])
            at = axes.transData.transform((left, high)) * 72 / figure.dpi
            down = 3.0
            while any(abs(at[0] - u) < 60 and abs(at[1] - down - v) < 12 for u, v in labels):
                down += 12
            labels.append((at[0], at[1] - down))
            axes.annotate(
                rounds_text(numbers), (left, high), (3, -down), textcoords="offset points",
                va="top", fontsize=8, color=BLUE, zorder=4,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.8},
            )
    coloring.mark(axes, results, x.positions(results), y.positions(results))
    coloring.bar(figure)
    coloring.legend(figure, [axes])
    return figure


@style()
def best_so_far(recorded: Recorded) -> "Figure":
    """Draw the best value so far over the trials of all rounds, with every trial as a dot."""
    metric, direction = searched_metric(recorded)
    results = ordered_results(recorded)
    borders = round_borders(recorded)
    coloring = Coloring.of(recorded)
    layout = Layout(
        width=WIDTH, height=3.2, left=0.85, right=0.55, top=0.55, bottom=0.55,
    )
    figure, (axes,) = panel_grid(1, 1, layout)
    positions = np.arange(1, len(results) + 1, dtype=np.float64)
    axes.set_xlim(0.5, max(bottom for _, bottom in borders.values()))
    coloring.mark_heights(axes, results, positions, gray=True)
    complete = in_state(results, State.COMPLETE)
    best = running_best(np.where(complete, values_of(results), np.nan), direction)
    if np.isfinite(best).any():
        ends = [*positions, max(len(results), 1) + 0.5]
        axes.step(
            ends, [*best, best[-1]], where="post", color=BLUE, linewidth=1.8,
            label=f"best so far: {wording.number(float(best[-1]))}", zorder=2.2,
        )
    for top, _ in list(borders.values())[1:]:
        axes.axvline(
            top, color=GRAY if len(borders) < 10 else PALE, linewidth=0.7, linestyle=(0, (4, 3)),
            label="_border", zorder=1,
        )
    labeled = thinned(list(borders), 12)
    for number in labeled if len(borders) > 1 else ():
        axes.annotate(
            f"round {number}", (borders[number][0], 1), (3, 3),
            ("data", "axes fraction"), textcoords="offset points", fontsize=8, color=GRAY,
        )
    axes.set_xlabel("trials in order")
    axes.set_xticks(whole_ticks(len(results), 8))
    axes.set_ylabel(shortened(metric, 44))
    axes.grid(axis="y", color=PALE, linewidth=0.4)
    coloring.legend(figure, [axes])
    return figure


@style()
def proposal(recorded: Recorded, moves: Sequence[Move]) -> "Figure":
    """Draw for each move the trials over its hyperparameter, the range now, the next, and why."""
    metric, _ = searched_metric(recorded)
    results = ordered_results(recorded)
    coloring = Coloring.of(recorded)
    columns = min(len(moves), 2)
    room = 0.35 if has_choices(recorded) else 0.0  # for their names
    layout = Layout(
        width=WIDTH if columns > 1 else 6.0, height=2.2, left=0.85, right=1.05, top=1.83,
        bottom=0.62 + room, across=0.55, down=2.0 + room,
    )
    figure, panels = panel_grid(len(moves), columns, layout, sharey=True)
    wide = int((panel_inches(panels[0])[0] + 0.35) * 16)  # letters of the captions on a line
    for index, (axes, move) in enumerate(zip(panels, moves, strict=True)):
        axis = Axis(move.name, [move.old, move.new], results)
        axis.prepare(axes, "x", size=panel_inches(axes))
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
            f"{shortened(move.name, int(wide * 0.55))}: {move.kind}", loc="left", y=1.2,
            pad=61, fontweight="bold",
        )
        axes.annotate(
            "\n".join(_caption(move, wide)), (0, 1.2), (0, 58), "axes fraction",
            textcoords="offset points", va="top", fontsize=8, linespacing=1.3,
        )
        if index % columns == 0:
            axes.set_ylabel(shortened(metric, 34))
    coloring.bar(figure)
    coloring.legend(figure, panels)
    return figure


def _caption(move: Move, wide: int) -> list[str]:
    """Return what moves and why, in at most five lines."""
    numbers = describe(move.old)
    if move.new != move.old:
        numbers += f" → {describe(move.new)}"
    lines = textwrap.wrap(numbers, wide, max_lines=2, placeholder=" …")
    why = move.reason
    if not math.isnan(move.p_value):
        p_value = wording.p_value(move.p_value)
        why += " (p\u00a0{}\u00a0{})".format(*p_value.split())  # not to be torn apart
    return lines + textwrap.wrap(why, wide, max_lines=5 - len(lines), placeholder=" …")


@style()
def confusion_matrix(confusion: NDArray[np.int64], labels: Sequence[str]) -> "Figure":
    """Draw counts of rows by true class (downward) and predicted class (across).

    Color is the share of the rows of a true class, so that rare classes are seen as well. Above
    20 classes there are no numbers in the cells.
    """
    count = len(labels)
    size = min(max(0.42 * count, 2.0), 8.4)  # inches of the square
    names = [shortened(label, 16) for label in labels]
    room = 0.35 + 0.075 * max(map(len, names))
    tilted = max(map(len, names)) * 0.085 > 0.9 * size / count
    layout = Layout(
        width=size + room + 1.35, height=size, left=room + 0.3, right=1.05, top=0.35,
        bottom=(room if tilted else 0.3) + 0.35,
    )
    figure, (axes,) = panel_grid(1, 1, layout)
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
    ticks = [index - 1 for index in thinned(range(1, count + 1), 30)]
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
