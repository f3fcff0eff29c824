"""The ranges proposed for the next round, over the trials that speak for them."""

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hpo import wording
from hpo.distributions import describe
from hpo.moves import Move, by_evidence
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
from hpo.report.palette import BAND, GRAY, INK, RANGE
from hpo.report.ticks import shortened
from hpo.trial import TrialResult

if TYPE_CHECKING:  # Matplotlib takes half a second to import
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


LARGE = 4  # hyperparameters with a panel of their own: as many as fit a page
ROWS = 8  # of the table of the others
_COLUMNS = (0.12, 2.1, 4.55)  # inches from the left: name, range, reason
_LETTERS = (24, 34, 52)  # on a line of each


@style()
def proposal(recorded: Recorded, moves: Sequence[Move]) -> "Figure":
    """Draw for each move the trials over its hyperparameter, the range now, the next, and why.

    Of more than a page holds, those that move and matter most are drawn, and the others listed.
    """
    metric, _ = searched_metric(recorded)
    results = ordered_results(recorded)
    coloring = Coloring.of(recorded)
    large, listed = _divided(moves)
    table = [_row(move) for move in listed[:ROWS]]
    columns = min(len(large), 2)
    room = 0.35 if has_choices(recorded) else 0.0  # for their names
    layout = Layout(
        width=WIDTH if columns > 1 or table else 6.0, height=2.2, left=0.85, right=1.05,
        top=1.83 + HEAD, bottom=0.62 + room + _height(table) + 0.2 * (len(listed) > len(table)),
        across=0.55, down=2.0 + room,
    )
    figure, panels = panel_grid(len(large), columns, layout, sharey=True)
    wide = int((panel_inches(panels[0])[0] + 0.35) * 16)  # letters of the captions on a line
    for index, (axes, move) in enumerate(zip(panels, large, strict=True)):
        _draw_move(axes, move, coloring, results)
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
    _write_table(figure, table, f"and {len(listed) - len(table)} more" if listed[ROWS:] else "")
    return figure


def _divided(moves: Sequence[Move]) -> tuple[list[Move], list[Move]]:
    """Return the moves to draw, in their order, and those to list: ranges that move first."""
    if len(moves) <= LARGE:
        return list(moves), []
    ordered = sorted(by_evidence(moves), key=lambda move: move.kind == "kept")
    moving = sum(move.kind != "kept" for move in moves)
    large = ordered[: min(max(moving, 2), LARGE)]
    return [move for move in moves if move in large], ordered[len(large) :]


def _draw_move(
    axes: "Axes", move: Move, coloring: Coloring, results: Sequence[TrialResult]
) -> None:
    """Draw the trials over one hyperparameter, and above them its range now and next."""
    axis = Axis(move.name, [move.old, move.new], results)
    axis.prepare(axes, "x", size=panel_inches(axes))
    for distribution, height, color, text in (
        (move.old, 1.13, GRAY, "now"), (move.new, 1.05, RANGE, "next"),
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


def _row(move: Move) -> list[list[str]]:
    """Return the lines of a move's name, range and reason."""
    name = shortened(move.name, _LETTERS[0])
    return [[name], *(
        textwrap.wrap(text, letters, max_lines=3, placeholder=" …")
        for text, letters in zip((_ranges(move), _why(move)), _LETTERS[1:], strict=True)
    )]


def _height(table: Sequence[list[list[str]]]) -> float:
    """Return the inches that rows take."""
    return sum(0.13 * max(map(len, row)) + 0.08 for row in table) + 0.15 * bool(table)


def _write_table(figure: "Figure", table: Sequence[list[list[str]]], rest: str) -> None:
    """Write rows at the bottom of a figure, and a line below them."""
    width, height = figure.get_size_inches()
    y = _height(table) + (0.2 if rest else 0.0)
    for row in table:
        for text, left, color in zip(row, _COLUMNS, (INK, INK, GRAY), strict=True):
            figure.text(
                left / width, y / height, "\n".join(text), va="top", fontsize=8, color=color,
                linespacing=1.1, fontweight="bold" if left == _COLUMNS[0] else "normal",
            )
        y -= _height([row]) - 0.15
    if rest:
        figure.text(_COLUMNS[0] / width, 0.08 / height, rest, fontsize=8, color=GRAY)


def _caption(move: Move, wide: int) -> list[str]:
    """Return what moves and why, in at most five lines."""
    lines = textwrap.wrap(_ranges(move), wide, max_lines=2, placeholder=" …")
    return lines + textwrap.wrap(_why(move), wide, max_lines=5 - len(lines), placeholder=" …")


def _ranges(move: Move) -> str:
    """Return the range, and the next one where it moves."""
    now = describe(move.old)
    return now if move.new == move.old else f"{now} → {describe(move.new)}"


def _why(move: Move) -> str:
    """Return the reason for a move and its p-value."""
    if math.isnan(move.p_value):
        return move.reason
    p_value = wording.p_value(move.p_value)
    return move.reason + " (p\u00a0{}\u00a0{})".format(*p_value.split())  # not to be torn apart
