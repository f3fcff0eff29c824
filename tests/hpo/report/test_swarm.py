"""Marks of equal value stand side by side, no further apart than they have to."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hpo.report.swarm import FILLED, set_apart

DIAMETER = 5.0


def placed(
    x: list[float], y: list[float], steps: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return x and y of marks, and both in points, in a panel of 288 by 216 points."""
    figure = Figure((4, 3), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, 4)
    axes.set_ylim(0, 1)
    u, v = set_apart(axes, np.array(x, float), np.array(y, float), steps, DIAMETER)
    return u, v, axes.transData.transform(np.column_stack([u, v])) * 0.72


def test_marks_that_do_not_overlap_stay_where_they_are() -> None:
    x, y, _ = placed([1, 1, 2, 3], [0.1, 0.2, 0.1, 0.1], (1.0, 0.0))
    assert list(x) == [1, 1, 2, 3]
    assert list(y) == [0.1, 0.2, 0.1, 0.1]
    x, _, _ = placed([1.5, 1.5], [0.1, 0.1], (0.0, 0.0))  # values that may lie anywhere
    assert list(x) == [1.5, 1.5]


@pytest.mark.parametrize("count", [2, 3, 4, 7])
def test_marks_that_overlap_touch_and_lie_on_both_sides_alike(count: int) -> None:
    x, y, points = placed([2] * count, [0.5] * count, (1.0, 0.0))
    assert list(y) == [0.5] * count
    across = np.sort(points[:, 0])
    np.testing.assert_allclose(np.diff(across), DIAMETER, rtol=1e-6)
    assert across.mean() == pytest.approx(144.0)
    again, _, _ = placed([2] * count, [0.5] * count, (1.0, 0.0))
    assert list(again) == list(x)


def test_no_mark_hides_another_where_there_is_room_and_a_crowd_stays_in_its_column() -> None:
    heights = list(np.random.default_rng(0).random(60))
    _, _, points = placed([2] * 60, heights, (1.0, 0.0))
    apart = np.hypot(*(points[:, None] - points[None, :]).T)
    assert apart[np.triu_indices(60, 1)].min() > DIAMETER * 0.99
    x, _, _ = placed([2] * 500, [0.5] * 500, (1.0, 0.0))
    assert np.abs(x - 2).max() == pytest.approx(FILLED)


def test_marks_of_a_cell_are_a_round_heap_around_its_middle() -> None:
    x, y, points = placed([1] * 19 + [3], [0.5] * 20, (1.0, 0.5))
    assert (x[-1], y[-1]) == (3, 0.5)
    heap = points[:-1]
    apart = np.hypot(*(heap[:, None] - heap[None, :]).T)
    assert apart[np.triu_indices(19, 1)].min() > DIAMETER * 0.99
    np.testing.assert_allclose(heap.max(axis=0) + heap.min(axis=0), [144, 216], atol=1e-6)
    assert np.ptp(heap, axis=0).max() < 8 * DIAMETER
    x, y, _ = placed([1] * 5000, [0.5] * 5000, (1.0, 0.5))
    assert np.abs(x - 1).max() <= FILLED + 1e-9
    assert np.abs(y - 0.5).max() <= FILLED / 2 + 1e-9
