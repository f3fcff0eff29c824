"""Marks of equal value are set apart as far as they overlap, alike to both sides."""

from typing import TYPE_CHECKING

import numpy as np

from hpo.report.scales import Array

if TYPE_CHECKING:  # Matplotlib takes half a second to import
    from matplotlib.axes import Axes

FILLED = 0.42  # share of the way to the next value that marks may take, on either side


def set_apart(
    axes: "Axes", x: Array, y: Array, steps: tuple[float, float], diameter: float
) -> tuple[Array, Array]:
    """Return where marks of a diameter in points go, so that they hide each other little.

    `steps` are the distances from a value of x and of y to the next one; 0 says that values may
    lie anywhere, and stay where they are. The axes have their scales and ends already.
    """
    placed = np.isfinite(x) & np.isfinite(y)
    if not any(steps) or not placed.any():
        return x, y
    size = 72 / axes.figure.dpi
    data = np.column_stack([x[placed], y[placed]])
    points = axes.transData.transform(data) * size
    rooms = []
    for side, step in enumerate(steps):
        beside = data.copy()
        beside[:, side] += step
        rooms.append(FILLED * np.abs(axes.transData.transform(beside) * size - points)[:, side])
    aside = np.zeros_like(points)
    if all(steps):
        _, cells = np.unique(data, axis=0, return_inverse=True)
        for cell in range(int(cells.max()) + 1):
            here = cells.ravel() == cell
            room = np.array([room[here].min() for room in rooms])
            aside[here] = _packed(int(here.sum()), diameter, room)
    else:
        side = 0 if steps[0] else 1
        for value in np.unique(data[:, side]):
            here = data[:, side] == value
            least = float(rooms[side][here].min())
            aside[here, side] = _swarm(points[here, 1 - side], diameter, least)
    moved = axes.transData.inverted().transform((points + aside) / size)
    found = x.copy(), y.copy()
    for side, values in enumerate(found):
        values[placed] = np.where(aside[:, side] != 0, moved[:, side], data[:, side])
    return found


def _swarm(along: Array, diameter: float, room: float) -> Array:
    """Return how far aside of their line marks go, each as little as those before it allow.

    Where a crowd takes more than the room on either side, it is pressed together.
    """
    aside = np.zeros(len(along))
    order = np.argsort(along, kind="stable")
    crowd: list[int] = []
    turn = 1.0
    for place in order:
        if crowd and along[place] - along[crowd[-1]] >= diameter:
            aside[crowd] = _pressed(aside[crowd], room)
            crowd = []
        near = [i for i in crowd if along[place] - along[i] < diameter]
        if near:
            away = np.sqrt(diameter**2 - (along[place] - along[near]) ** 2)
            ends = np.concatenate([[0.0], aside[near] - away, aside[near] + away])
            ends = ends[np.lexsort((-turn * ends, np.abs(ends).round(6)))]
            gaps = np.abs(ends[:, None] - aside[near][None, :]) >= away - 1e-6
            aside[place] = ends[gaps.all(axis=1)][0]
        if aside[place]:
            turn = -np.sign(aside[place])  # of two places as near, the one on the other side
        crowd.append(int(place))
    aside[crowd] = _pressed(aside[crowd], room)
    return aside


def _pressed(aside: Array, room: float) -> Array:
    """Return the places with as much on one side as on the other, within the room."""
    aside = aside - (aside.max() + aside.min()) / 2
    return np.asarray(aside * min(1.0, room / max(float(np.abs(aside).max()), 1e-9)))


def _packed(count: int, diameter: float, room: Array) -> Array:
    """Return places around a middle for so many marks, near it first, as in a honeycomb."""
    reach = int(np.ceil(np.sqrt(count))) + 1
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    cells = np.column_stack([
        (columns + (rows % 2) / 2).ravel() * diameter, rows.ravel() * diameter * np.sqrt(0.75)
    ])
    wide = room / room.max() if room.max() > 0 else np.ones(2)  # a crowd has the cell's shape
    far = np.hypot(*(cells / np.maximum(wide, 0.2)).T).round(6)
    chosen = cells[np.lexsort((cells[:, 1], cells[:, 0], far))][:count]
    chosen = chosen - (chosen.max(axis=0) + chosen.min(axis=0)) / 2
    most = np.maximum(np.abs(chosen).max(axis=0), 1e-9)
    return np.asarray(chosen * np.minimum(1.0, room / most))
