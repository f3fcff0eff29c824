"""Figures of a study as the record has it: learning curves, ranges, a map, the best so far."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hpo import wording
from hpo.moves import Move
from hpo.record.values import Recorded
from hpo.report.axis import Axis
from hpo.report.curves import all_curves, learning_curves, training_histories
from hpo.report.drawing import (
    HEAD,
    WIDTH,
    Layout,
    has_choices,
    in_state,
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
from hpo.report.importance import importance
from hpo.report.maps import landscape
from hpo.report.marks import Coloring
from hpo.report.palette import BAND, GRAY, INK, PALE, RANGE, VALIDATION
from hpo.report.proposing import proposal
from hpo.report.swarm import set_apart
from hpo.report.ticks import (
    round_ticks,
    shortened,
    thinned,
    whole_ticks,
)
from hpo.trial import State

if TYPE_CHECKING:  # Matplotlib takes half a second to import
    from matplotlib.figure import Figure


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
    drawings = by_name(recorded, moves, history)
    return [save(draw(), folder / f"{name}.png") for name, draw in drawings.items()]


def by_name(
    recorded: Recorded,
    moves: Sequence[Move],
    history: Callable[[str, str], Sequence[float]],
) -> dict[str, "Callable[[], Figure]"]:
    """Return what draws each figure that a study can have; the arguments are those of `write`."""
    drawings: dict[str, Callable[[], Figure]] = {
        "ranges": lambda: ranges(recorded),
        "best_so_far": lambda: best_so_far(recorded),
        "proposal": lambda: proposal(recorded, moves),
    }
    if any(result.epochs > 1 for result in recorded.results):
        drawings["learning_curves"] = lambda: learning_curves(
            recorded, training_histories(recorded, history), moves
        )
        drawings["all_curves"] = lambda: all_curves(recorded)
    if len(recorded.rounds[-1].search_space) > 1:
        drawings["map"] = lambda: landscape(recorded, moves)
        drawings["importance"] = lambda: importance(recorded, moves)
    return drawings


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
        left=0.85, right=1.05, top=0.45 + HEAD, bottom=0.62 + room, across=0.3, down=0.72 + room,
    )
    figure, panels = panel_grid(len(spaces), columns, layout, sharey=True)
    positions = np.arange(1, len(results) + 1, dtype=np.float64)
    panels[0].set_ylim(max(bottom for _, bottom in borders.values()), 0.5)
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
                    color=RANGE, linewidth=0.8, alpha=0.6, zorder=1,
                )
        x, y = set_apart(
            axes, axis.positions(results), positions, (axis.step, 0.0), coloring.diameter(results)
        )
        coloring.mark(axes, results, x, y)
        axes.hlines(
            [top for top, _ in borders.values()][1:], 0, 1, linewidth=0.5,
            color=GRAY if len(borders) < 10 else PALE,
            transform=axes.get_yaxis_transform(), zorder=1,
        )
        if index % columns == 0:
            axes.set_ylabel("trial" if len(borders) == 1 else "trials by round")
    round_ticks(panels[0], "y", borders)
    coloring.bar(figure)
    coloring.heading(figure, panels)
    return figure


@style()
def best_so_far(recorded: Recorded) -> "Figure":
    """Draw the best value so far over the trials of all rounds, with every trial as a dot."""
    metric, direction = searched_metric(recorded)
    results = ordered_results(recorded)
    borders = round_borders(recorded)
    coloring = Coloring.of(recorded)
    layout = Layout(
        width=WIDTH, height=3.2, left=0.85, right=0.55, top=0.55 + HEAD, bottom=0.55,
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
            ends, [*best, best[-1]], where="post", color=VALIDATION, linewidth=1.8,
            label=f"best so far: {wording.four_digits(float(best[-1]))}", zorder=2.2,
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
    axes.set_xlabel("trial (in order)")
    axes.set_xticks(whole_ticks(len(results), 8))
    axes.set_ylabel(shortened(metric, 44))
    axes.grid(axis="y", color=PALE, linewidth=0.4)
    coloring.heading(figure, [axes])
    return figure


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
    axes.set_title(f"{right} of {wording.count(of, 'test row')} correct", loc="left")
    bar = figure.colorbar(image, ax=axes, cax=axes.inset_axes((1.04, 0, 0.05, 1)))
    bar.set_label("share of the true class")
    bar.outline.set_visible(False)
    return figure
