"""A label stands where it hides nothing, in its box if there is room."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hpo.report.labels import Labels, in_points

BOX = (0.25, 0.75, 0.25, 0.75)


def placed(marks: list[tuple[float, float]], times: int = 1) -> list[tuple[float, float]]:
    """Return where labels of a box stand in a panel with these marks, as data."""
    figure = Figure(figsize=(4, 4), dpi=72)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    across, up = (np.array([mark[i] for mark in marks]) for i in (0, 1))
    labels = Labels(axes, in_points(axes, across, up), radius=3)
    labels.avoid(BOX)
    for _ in range(times):
        labels.put("round 1", BOX, "black")
    return [(text.xy[0] / 288, text.xy[1] / 288) for text in axes.texts]  # type: ignore[attr-defined]


def row(y: float) -> list[tuple[float, float]]:
    return [(x, y) for x in np.linspace(0, 1, 60)]


def test_it_stands_at_the_upper_side_of_its_box() -> None:
    ((x, y),) = placed([(0.9, 0.9)])
    assert x == pytest.approx(0.25, abs=0.05)
    assert 0.65 < y < 0.75


def test_where_marks_are_it_stands_lower_or_outside() -> None:
    ((x, y),) = placed(row(0.7))
    assert 0.25 < y < 0.35
    assert 0.25 <= x < 0.3
    ((_, y),) = placed([*row(0.7), *row(0.3)])
    assert 0.75 < y < 0.8
    ((_, y),) = placed([*row(0.7), *row(0.3), *row(0.8)])
    assert 0.15 < y < 0.25
    ((x, y),) = placed([mark for height in np.linspace(0, 1, 60) for mark in row(height)])
    assert y > 1.0  # above the panel
    assert x == pytest.approx(0.25)


def test_no_label_hides_another() -> None:
    places = placed([(0.9, 0.9)], times=3)
    assert len(set(places)) == 3
    (x, y), (other, second) = places[:2]
    assert abs(x - other) > 0.1 or abs(y - second) > 0.02


def test_only_marks_with_a_place_are_in_the_way() -> None:
    axes = Figure(figsize=(4, 4), dpi=144).add_axes((0, 0, 1, 1))
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    x, y = np.array([0.5, np.nan, 0.25]), np.array([0.25, 0.5, np.inf])
    assert in_points(axes, x, y).tolist() == [[144.0, 72.0]]
