"""Figures of numbers far out or close together, and of choices that look alike, can be read."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from hpo.distributions import CategoricalDistribution, Distribution, FloatDistribution
from hpo.report import figures
from hpo.report.drawing import DOTS_PER_INCH, save
from hpo.trial import Direction
from tests.hpo.report.drawn import RATES, moves, panels, points, study, unread


def test_ticks_of_a_narrow_range_are_told_apart() -> None:
    for low, high in ((0.99999998, 0.99999999), (1e8, 1e8 + 1), (-1000020.0, -1000000.0)):
        recorded = study([{"a": FloatDistribution(low, high)}], 5)
        (axes,) = panels(figures.ranges(recorded))
        labels = [label.get_text() for label in axes.get_xticklabels()]
        assert len(set(labels)) == len(labels) > 2


def test_choices_that_read_the_same_stand_apart() -> None:
    space: Mapping[str, Distribution] = {
        "c": CategoricalDistribution((0.1234567, 0.1234568, (), "1", 1)),
    }
    (axes,) = panels(figures.ranges(study([space], 30)))
    assert [label.get_text() for label in axes.get_xticklabels()] == [
        "0.1234567", "0.1234568", "()", "'1'", "1"
    ]
    drawn = points(axes, "_trial")
    assert len({round(x) for x in drawn[:, 0]}) == 5


def test_many_choices_have_few_ticks() -> None:
    many = CategoricalDistribution(tuple(f"a choice with a long name {i}" for i in range(40)))
    (axes,) = panels(figures.ranges(study([{"c": many}], 60)))
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert 10 < len(labels) < 30
    assert labels[-1].endswith("39")


@pytest.mark.parametrize("values", [
    (1e300, -1.7e308, 1.7e308, 0.0), (1e-300, 1e300, 1e-5, 1.0), (5e-324, 1e-323, 0.0, 1e-310),
])  # fmt: skip
@pytest.mark.filterwarnings("error")
def test_values_and_ranges_at_the_ends_of_the_numbers_can_be_drawn(
    values: Sequence[float], tmp_path: Path
) -> None:
    space = {"a": FloatDistribution(1e-300, 1e300, log=True), "b": FloatDistribution(-1e307, 1e307)}
    recorded = study([space], 12, epochs=2)
    results = [
        replace(r, value=values[i % 4], metrics=[{"validation_accuracy": values[i % 4]}] * 2)
        for i, r in enumerate(recorded.results)
    ]
    recorded = replace(recorded, results=results)
    both: tuple[Direction, ...] = ("minimize", "maximize")
    for direction in both:
        settings = replace(recorded.rounds[0].settings, direction=direction)
        rounds = [replace(recorded.rounds[0], settings=settings)]
        one = replace(recorded, rounds=rounds)
        assert len(figures.write(one, moves(one), unread, tmp_path)) == 7


def test_a_page_is_as_large_as_a_long_number_needs(tmp_path: Path) -> None:
    recorded = study([RATES], 12)
    results = [replace(r, value=-1000000.0 - i) for i, r in enumerate(recorded.results)]
    for recorded_ in (recorded, replace(recorded, results=results)):
        figure = figures.best_so_far(recorded_)
        with Image.open(save(figure, tmp_path / "a.png")) as image:
            box = figure.get_tightbbox()
            assert image.width >= box.width * DOTS_PER_INCH
            assert image.width >= figure.get_figwidth() * DOTS_PER_INCH - 1
