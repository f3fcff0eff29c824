"""How strong the evidence is that each hyperparameter matters."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hpo import wording
from hpo.moves import Move, by_evidence
from hpo.record.values import Recorded
from hpo.report.drawing import (
    HEAD,
    WIDTH,
    Layout,
    empty_figure,
    head,
    panel_grid,
    searched_metric,
    style,
)
from hpo.report.palette import GRAY, INK, PALE
from hpo.report.ticks import no_ticks, shortened, tick_text
from hpo.search.narrowing import SIGNIFICANCE

if TYPE_CHECKING:  # Matplotlib takes half a second to import
    from matplotlib.figure import Figure

BARS = 30
SMALLEST = 1e-16  # p-values below say the same, and would flatten the bars above


@style()
def importance(recorded: Recorded, moves: Sequence[Move]) -> "Figure":
    """Draw a bar for each hyperparameter: the longer, the less its influence can be chance.

    A bar ends at the p-value of the test that the hyperparameter has no influence on the ranks
    of the trials, on a log scale. Significant is what would be among as many tests as there are.
    """
    metric, _ = searched_metric(recorded)
    tested = [move for move in by_evidence(moves) if not math.isnan(move.p_value)]
    if not tested:
        return empty_figure(recorded, "too few trials to tell which hyperparameters matter")
    shown = tested[:BARS]
    names = [shortened(move.name, 34) for move in shown]
    layout = Layout(
        width=WIDTH, height=0.24 * len(shown) + 0.1, left=0.3 + 0.078 * max(map(len, names)),
        right=1.2, top=0.3 + HEAD, bottom=0.55 + 0.2 * (len(tested) > len(shown)),
    )
    figure, (axes,) = panel_grid(1, 1, layout)
    ends = [max(move.p_value, SMALLEST) for move in shown]
    lengths = -np.log10(ends)
    border = SIGNIFICANCE / len(tested)  # Bonferroni 1936: of many, some seem to matter by chance
    weak = [not move.p_value < border for move in shown]
    longest = max(float(lengths.max()), -math.log10(border) * 1.2)
    places = np.arange(len(shown))
    axes.barh(
        places, lengths, height=0.62, color=[PALE if w else INK for w in weak], zorder=2,
    )
    for place, move in zip(places, shown, strict=True):
        axes.annotate(
            f"p {wording.p_value(move.p_value)}",
            (1, place), (6, 0), ("axes fraction", "data"), textcoords="offset points",
            va="center", fontsize=8, color=INK,
        )
    axes.axvline(-math.log10(border), color=GRAY, linewidth=0.8, linestyle=(0, (4, 3)), zorder=2.5)
    axes.annotate(
        f"p = {wording.number(border)}", (-math.log10(border), 1), (0, 3),
        ("data", "axes fraction"), textcoords="offset points", ha="center", fontsize=8, color=GRAY,
    )
    axes.set_xlim(0, longest * 1.02)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_yticks(places, names)
    axes.tick_params(axis="y", length=0)
    step = max(math.ceil(longest / 6), 1)
    powers = range(0, math.floor(longest) + 1, step)
    axes.set_xticks(list(powers), [tick_text(10.0**-power) for power in powers])
    axes.xaxis.set_minor_locator(no_ticks())
    axes.set_xlabel(
        f"p-value of the effect on {shortened(metric, 40)}: longer is stronger evidence"
    )
    if len(tested) > len(shown):
        figure.text(
            0.12 / figure.get_figwidth(), 0.08 / figure.get_figheight(),
            f"and {len(tested) - len(shown)} more, with weaker evidence", fontsize=8, color=GRAY,
        )
    head(
        figure, recorded,
        f"evidence of an effect: {len(weak) - sum(weak)} of "
        f"{wording.count(len(tested), 'hyperparameter')}"
        + (f", the strongest {len(shown)} drawn" if len(shown) < len(tested) else ""),
    )
    return figure
