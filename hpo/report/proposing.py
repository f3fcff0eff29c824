"""The ranges proposed for the next round, over the trials that speak for them."""

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hpo import wording
from hpo.moves import Move
from hpo.record.values import Recorded
from hpo.report.axis import Axis
from hpo.report.drawing import (
    HEAD,
    WIDTH,
    Layout,
    has_choices,
    ordered_results,
    panel_grid,
    panel_inches,
    searched_metric,
    style,
)
from hpo.report.marks import Coloring
from hpo.report.palette import BAND, BLUE, GRAY
from hpo.report.ticks import shortened
from hpo.search_space import describe

if TYPE_CHECKING:  # Matplotlib takes half a second to import
    from matplotlib.figure import Figure


@style()
def proposal(recorded: Recorded, moves: Sequence[Move]) -> "Figure":
    """Draw for each move the trials over its hyperparameter, the range now, the next, and why."""
    metric, _ = searched_metric(recorded)
    results = ordered_results(recorded)
    coloring = Coloring.of(recorded)
    columns = min(len(moves), 2)
    room = 0.35 if has_choices(recorded) else 0.0  # for their names
    layout = Layout(
        width=WIDTH if columns > 1 else 6.0, height=2.2, left=0.85, right=1.05, top=1.83 + HEAD,
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
        coloring.mark_heights(axes, results, axis.positions(results), step=axis.step)
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
    coloring.heading(figure, panels)
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


