"""A map of all trials over two hyperparameters, with the ranges of each round as a box."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hpo.distributions import Choices
from hpo.moves import Move
from hpo.record.values import Recorded
from hpo.report.axis import Axis
from hpo.report.drawing import (
    HEAD,
    Layout,
    empty_figure,
    ordered_results,
    panel_grid,
    panel_inches,
    spaces_of,
    style,
)
from hpo.report.labels import Corners, Labels, in_points
from hpo.report.marks import Coloring
from hpo.report.palette import RANGE
from hpo.report.swarm import set_apart
from hpo.report.ticks import rounds_text, thinned
from hpo.search.narrowing import SIGNIFICANCE

if TYPE_CHECKING:  # Matplotlib takes half a second to import
    from matplotlib.figure import Figure


@style()
def landscape(recorded: Recorded, moves: Sequence[Move] = ()) -> "Figure":
    """Draw all trials over two hyperparameters, colored by value, with a box for each round.

    The two are those whose influence has the strongest evidence in `moves`. Where that is not
    significant, numbers go before choices, and else the first. One that not every trial has a
    value of is taken where there is no other.
    """
    results = ordered_results(recorded)
    coloring = Coloring.of(recorded)
    spaces = spaces_of(recorded)
    p_values = {
        move.name: move.p_value for move in moves if not math.isnan(move.p_value)
    }

    def strength(name: str) -> tuple[bool, bool, float, float]:
        conditional = any(d.when for d in spaces[name].values())
        p_value = p_values.get(name, 2.0)
        chosen = isinstance(list(spaces[name].values())[-1], Choices)
        weak = not p_value < SIGNIFICANCE
        strengths = (float(chosen), p_value) if weak else (p_value, 0.0)
        return conditional, weak, *strengths

    strongest = sorted(spaces, key=strength)[:2]
    names = [name for name in spaces if name in strongest]
    if len(names) < 2:
        return empty_figure(recorded, "a map needs at least two hyperparameters")
    layout = Layout(
        width=7.0, height=4.6, left=0.85, right=1.1, top=0.6 + HEAD, bottom=0.62,
    )
    figure, (axes,) = panel_grid(1, 1, layout)
    width, height = panel_inches(axes)
    x, y = (Axis(name, list(spaces[name].values()), results) for name in names)
    x.prepare(axes, "x", size=(width, height))
    y.prepare(axes, "y", size=(width, height))
    across, up = set_apart(
        axes, x.positions(results), y.positions(results), (x.step, y.step),
        coloring.diameter(results),
    )
    boxes: dict[tuple[Corners, ...], list[int]] = {}
    for round_ in recorded.rounds:
        corners = tuple(
            (left, right, low, high)
            for left, right in x.spans(round_.search_space.get(names[0]))
            for low, high in y.spans(round_.search_space.get(names[1]))
        )
        boxes.setdefault(corners, []).append(round_.number)
    labels = Labels(axes, in_points(axes, across, up), radius=coloring.diameter(results) / 2 + 1)
    for turn, (corners, numbers) in enumerate(boxes.items(), start=1):
        age = turn / len(boxes)  # the later the bolder
        for left, right, low, high in corners:
            axes.plot(
                [left, right, right, left, left], [low, low, high, high, low],
                color=RANGE, linewidth=0.8 + 0.8 * age, alpha=0.4 + 0.6 * age,
                label=f"_{rounds_text(numbers)}", zorder=1, solid_joinstyle="miter",
            )
            labels.avoid((left, right, low, high))
    for ring in coloring.best:
        place = results.index(ring)
        for center in in_points(axes, across[[place]], up[[place]]):  # one, or none
            labels.avoid_ring(center, coloring.ring(results))
    for turn in thinned(range(1, len(boxes) + 1), 10):
        corners, numbers = list(boxes.items())[turn - 1]
        if corners:
            labels.put(rounds_text(numbers), max(corners, key=lambda corner: corner[3]), RANGE)
    coloring.mark(axes, results, across, up)
    coloring.bar(figure)
    coloring.heading(figure, [axes])
    return figure
