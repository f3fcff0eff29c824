"""Where a label goes among marks: to a place that is free, or beside the panel."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from hpo.report.scales import Array

if TYPE_CHECKING:  # Matplotlib takes half a second to import
    from matplotlib.axes import Axes

Corners: TypeAlias = tuple[float, float, float, float]  # left, right, low, high, as data

SPACE = 1.0  # points between a label and what is next to it
PLACES = 24  # along one side of a box


class Labels:
    """Labels of boxes in a panel that hide no mark and no other label.

    A label stands inside its box at the upper side or the lower one, or else outside of them;
    where marks take all of that, above the panel. `marks` are the places of marks in points.
    """

    def __init__(self, axes: "Axes", marks: Array, radius: float) -> None:
        self._axes, self._radius = axes, radius
        self._taken = marks
        self._boxes: list[tuple[float, float, float, float]] = []  # of labels, in points

    def avoid(self, corners: Corners) -> None:
        """Keep labels off the sides of a box as well."""
        left, right, low, high = self._in_points(corners)
        across, down = np.arange(left, right + 4, 4.0), np.arange(low, high + 4, 4.0)
        sides = [np.column_stack([across, np.full(len(across), y)]) for y in (low, high)]
        sides += [np.column_stack([np.full(len(down), x), down]) for x in (left, right)]
        self._taken = np.concatenate([self._taken, *sides])

    def avoid_ring(self, center: Array, diameter: float) -> None:
        """Keep labels off the ring around a mark, whose place is one row in points."""
        turn = np.linspace(0, 2 * np.pi, 16, endpoint=False)
        ring = center + diameter / 2 * np.column_stack([np.cos(turn), np.sin(turn)])
        self._taken = np.concatenate([self._taken, ring])

    def put(self, text: str, corners: Corners, color: str) -> None:
        """Write a label where it is free."""
        size = 72 / self._axes.figure.dpi
        label = self._axes.annotate(
            text, (0, 0), xycoords="axes points", va="bottom", fontsize=8, color=color, zorder=4,
            annotation_clip=False,
        )
        label.set_in_layout(False)
        extent = label.get_window_extent()
        width, height = extent.width * size, extent.height * size
        panel = self._axes.bbox
        left, bottom, top = (edge * size for edge in (panel.x0, panel.y0, panel.y1))
        candidates = [
            place for place in self._candidates(self._in_points(corners), width, height)
            if place[0] >= left and place[0] + width <= panel.x1 * size
            and place[1] >= bottom and place[1] + height <= top
        ]
        start = max(self._in_points(corners)[0], left)
        beside = [(start + step * width / 4, top + 3 * SPACE) for step in range(80)]
        for x, y in (*candidates, *beside):
            if self._is_free(x, y, width, height):
                break
        self._boxes.append((x, y, width, height))
        label.xy = (x - left, y - bottom)
        label.set_position(label.xy)

    def _candidates(
        self, corners: Corners, width: float, height: float
    ) -> Sequence[tuple[float, float]]:
        left, right, low, high = corners
        space = self._radius + SPACE
        across = np.linspace(left + space, max(right - space - width, left + space), PLACES)
        ys = (high - space - height, low + space, high + space, low - space - height)
        return [(float(x), y) for y in ys for x in across]

    def _is_free(self, x: float, y: float, width: float, height: float) -> bool:
        near = self._radius
        hit = (
            (self._taken[:, 0] > x - near) & (self._taken[:, 0] < x + width + near)
            & (self._taken[:, 1] > y - near) & (self._taken[:, 1] < y + height + near)
        )
        return not hit.any() and not any(
            x < u + w + 3 * SPACE and u < x + width + 3 * SPACE and y < v + h and v < y + height
            for u, v, w, h in self._boxes
        )

    def _in_points(self, corners: Corners) -> Corners:
        left, right, low, high = corners
        ends = self._axes.transData.transform([(left, low), (right, high)])
        (x0, y0), (x1, y1) = ends * 72 / self._axes.figure.dpi
        return float(x0), float(x1), float(y0), float(y1)


def in_points(axes: "Axes", x: Array, y: Array) -> Array:
    """Return the places of marks on the page in points, rows of x and y; those with a place."""
    placed = np.isfinite(x) & np.isfinite(y)
    found = axes.transData.transform(np.column_stack([x[placed], y[placed]]))
    return np.asarray(found * 72 / axes.figure.dpi, dtype=np.float64)
