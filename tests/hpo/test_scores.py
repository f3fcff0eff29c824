"""Scores and their intervals are those of theory and of scikit-learn."""

import numpy as np
import pytest

from hpo import scores


@pytest.mark.parametrize(("hits", "rows", "low", "high"), [
    (0, 10, 0.0, 0.277533), (8, 10, 0.490162, 0.943318), (81, 263, 0.255294, 0.366206),
    (10, 10, 0.722467, 1.0),
])  # fmt: skip
def test_wilsons_interval(hits: int, rows: int, low: float, high: float) -> None:
    interval = scores.wilson(hits, rows)
    assert interval.value == hits / rows
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-5)


def test_wilsons_interval_ends_at_the_bounds_of_a_share() -> None:
    for rows in range(1, 100):
        assert scores.wilson(0, rows).low == 0
        assert scores.wilson(rows, rows).high == 1


def test_results_of_classes_are_counted_by_true_and_predicted_class() -> None:
    targets = np.array([0, 0, 0, 0, 1, 1, 2, 2, 2])
    predicted = np.array([0, 0, 0, 1, 1, 0, 1, 1, 3])
    score = scores.score_classes(predicted, targets, ("a", "b", "missed", "wrong", "absent"))
    assert score.confusion.tolist() == [
        [3, 1, 0, 0, 0], [1, 1, 0, 0, 0], [0, 2, 0, 1, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0],
    ]
    assert [c.label for c in score.classes] == ["a", "b", "missed", "wrong", "absent"]
    assert [c.precision for c in score.classes] == [3 / 4, 1 / 4, None, 0.0, None]
    assert [c.recall for c in score.classes] == [3 / 4, 1 / 2, 0.0, None, None]
    assert [c.rows for c in score.classes] == [4, 2, 3, 0, 0]
    assert score.metrics["accuracy"].value == 4 / 9


def test_the_bootstrap_of_a_mean_square_is_near_its_theory() -> None:
    errors = np.random.default_rng(0).normal(0, 1, 2000)
    targets = np.linspace(-3, 3, 2000)
    score = scores.score_values(targets + errors, targets, 5.0, seed=0)
    rmse = score.metrics["rmse"]
    width = 2 * 1.96 * rmse.value / np.sqrt(2 * 2000)  # of a normal's deviation
    assert rmse.value == pytest.approx(5 * np.sqrt(np.mean(errors**2)))
    assert rmse.high - rmse.low == pytest.approx(width, rel=0.15)
    again = scores.score_values(targets + errors, targets, 5.0, seed=0)
    assert again.metrics == score.metrics
