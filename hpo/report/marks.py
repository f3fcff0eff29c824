"""How a trial is marked: by its state, its metric and its rank."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hpo.record.values import Recorded
from hpo.report.drawing import (
    best_first,
    best_label,
    best_text,
    draw_legend,
    head,
    in_state,
    ordered_results,
    searched_metric,
    values_of,
)
from hpo.report.palette import DIVERGED, GRAY, INK
from hpo.report.scales import Array, Scale
from hpo.report.swarm import set_apart
from hpo.report.ticks import shortened, value_ticks
from hpo.trial import State, TrialResult

if TYPE_CHECKING:  # Matplotlib takes half a second to import
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

_MARKS: Mapping[State, Mapping[str, Any]] = {
    State.PRUNED: {"marker": "o", "facecolors": "none", "edgecolors": GRAY, "linewidths": 0.7},
    State.STOPPED: {"marker": "s", "facecolors": "none", "edgecolors": GRAY, "linewidths": 0.7},
    State.DIVERGED: {"marker": "x", "color": DIVERGED, "linewidths": 1.0},
    State.INFEASIBLE: {"marker": "x", "color": GRAY, "linewidths": 1.0},
    State.FAILED: {"marker": "+", "color": INK, "linewidths": 0.9},
}


@dataclass(frozen=True)
class Coloring:
    """What a trial looks like: the better its value the darker, with the best in a ring.

    `scale` is that of the colors, `heights` that of an axis of values.
    """

    recorded: Recorded
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
        return cls(recorded, metric, scale, heights, cut, best_first(recorded)[:1])

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
                x[index], y[index], s=self.ring(results) ** 2, facecolors="none", edgecolors=INK,
                linewidths=1.3, label=best_label(self.recorded), zorder=3.5,
                clip_on=False,
            )

    def mark_heights(
        self, axes: "Axes", results: Sequence[TrialResult], x: Array, *, step: float = 0.0,
        gray: bool = False,
    ) -> None:
        """Draw the trials over an axis of their values; those without one lie at its worse end.

        `step` is that of x, where equal values are set apart.
        """
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
        x, y = set_apart(
            axes, x, np.where(beyond, floor, y), (step, 0.0), self.diameter(results)
        )
        self.mark(axes, results, x, np.where(beyond, np.nan, y), gray)
        if beyond.any():
            axes.scatter(
                x[beyond], np.full(int(beyond.sum()), floor), s=self._size(results),
                marker="^" if worse_end else "v", color=GRAY, alpha=0.6, linewidths=0,
                label="worse than the scale", zorder=2, clip_on=False,
            )

    def diameter(self, results: Sequence[TrialResult]) -> float:
        """Return how wide the mark of a trial is, in points."""
        return math.sqrt(self._size(results))

    def ring(self, results: Sequence[TrialResult]) -> float:
        """Return how wide the ring around the best trial is, in points."""
        return math.sqrt(self._size(results) * 3 + 40)

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

    def heading(self, figure: "Figure", panels: "Sequence[Axes]") -> None:
        """Name the study and its best trial, and say what the marks mean, above all panels."""
        head(figure, self.recorded, best_text(self.recorded))
        draw_legend(figure, panels)
