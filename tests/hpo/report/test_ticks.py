"""Numbers and rounds along an axis are few, round and short."""

import numpy as np
import pytest

from hpo.report.scales import Scale, curves_scale
from hpo.report.ticks import (
    round_numbers,
    rounds_text,
    shortened,
    thinned,
    tick_text,
    value_text,
    whole_ticks,
)
from hpo.trial import Direction


def test_numbers_of_rounds_and_trials() -> None:
    assert [rounds_text(n) for n in ([3], [3, 4], [3, 4, 5], [1, 4], [1, 2, 4])] == [
        "round 3", "rounds 3, 4", "rounds 3-5", "rounds 1, 4", "rounds 1, 2, 4"
    ]
    assert thinned([1, 2, 3], 3) == [1, 2, 3]
    assert thinned(list(range(1, 9)), 3) == [2, 5, 8]
    assert whole_ticks(1, 8) == [1]
    assert whole_ticks(40, 8) == [1, 5, 10, 15, 20, 25, 30, 35, 40]


def test_ticks_are_typed_as_a_person_does() -> None:
    values = (0.0, 0.001, 0.0009, 12345.0, 99999.0, 1e5, -2.5e-7, 0.1 + 0.2)
    assert [tick_text(v) for v in values] == [
        "0", "0.001", "9e-4", "12345", "99999", "1e5", "-2.5e-7", "0.3"
    ]


def test_values_are_short() -> None:
    assert [value_text(v) for v in (0.00137249, 100, True, "relu", None)] == [
        "0.001372", "100", "True", "relu", "None"
    ]
    assert value_text((100, 100, 50)) == "100, 100, 50"
    assert value_text((50,) * 6) == "50x6"
    assert value_text((1, 2.5, 2.5, 2.5)) == "1, 2.5x3"
    assert shortened("abcdef", 6) == "abcdef"
    assert shortened("abcdefgh", 6) == "ab…fgh"
    assert shortened("abcdefgh", 5) == "ab…gh"
    assert shortened("abcdefgh", 2) == "a…"
    assert shortened("100, 200", 3) == "100, 200"
    assert shortened("100, 2x3, -1e-5", 3) == "100, …, -1e-5"
    assert shortened("100, 200, relu, x", 8) == "100…u, x"


@pytest.mark.parametrize(
    ("low", "high", "log", "at_most", "expected"),
    [
        (0.0, 1.0, False, 6, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.0, 1.0, False, 3, [0.0, 0.5, 1.0]),
        (1e-6, 1e-2, True, 6, [1e-6, 1e-5, 1e-4, 1e-3, 1e-2]),
        (0.01, 0.35, True, 6, [0.01, 0.03, 0.1, 0.3]),
        (2.0, 3.0, True, 6, [2.0, 2.2, 2.4, 2.6, 2.8, 3.0]),
    ],
)
def test_round_numbers(
    low: float, high: float, log: bool, at_most: int, expected: list[float]
) -> None:
    assert round_numbers(low, high, log, at_most) == pytest.approx(expected)


def test_a_scale_is_not_stretched_by_the_worst() -> None:
    values = np.array([0.5, 0.51, 0.52, 0.53, 0.54, 100.0, np.nan, np.inf])
    scale = Scale.of(values, "minimize")
    assert (scale.best, scale.log) == (0.5, False)
    assert 0.54 < scale.worst < 1.0
    assert scale.beyond(np.array([0.5, 0.6, 100.0])).tolist() == [False, False, True]
    turned = Scale.of(-values, "maximize")
    assert (turned.best, turned.worst) == pytest.approx((-scale.best, -scale.worst))
    assert turned.beyond(np.array([-0.5, -0.6, -100.0])).tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("direction", "ends"), [("maximize", (0.0, 1.0)), ("minimize", (1.0, 0.0))]
)
def test_without_values_a_scale_is_that_of_shares(
    direction: Direction, ends: tuple[float, float]
) -> None:
    scale = Scale.of(np.array([np.nan]), direction)
    assert (scale.worst, scale.best, scale.log) == (*ends, False)


def test_a_scale_of_few_values_holds_them_all() -> None:
    assert Scale.of(np.array([0.1, 0.2, 0.3]), "minimize") == Scale(0.3, 0.1, False)
    same = Scale.of(np.array([2.0, 2.0]), "minimize")
    assert (same.best, same.worst) == (2.0, pytest.approx(2.1))
    assert Scale.of(np.array([0.0]), "maximize").worst == pytest.approx(-1e-6)
    decades = Scale.of(np.array([1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5]), "minimize")
    assert decades == Scale(1.0, 1e-5, True)
    assert decades.padded(0.1) == pytest.approx((10**-5.5, 10**0.5))
    assert Scale(1.0, 3.0, False).padded(0.25) == (0.5, 3.5)
    assert not Scale.of(np.array([0.0, 1.0, 100.0]), "minimize").log


def test_curves_lie_in_their_scale_unless_they_explode() -> None:
    curves = [[0.9, 0.5], [0.8, 0.4], []]
    assert curves_scale(curves, "minimize") == Scale(0.9, 0.4, False)
    assert curves_scale([[-v for v in c] for c in curves], "maximize") == Scale(-0.9, -0.4, False)
    for last, worst in ((1e9, 1.0), (2.1, 1.0), (1.9, 1.9)):  # three times as far as the others
        curves = [*([[1.0, 0.5]] * 19), [last]]
        assert curves_scale(curves, "minimize").worst == worst
    assert curves_scale([[5.0, 0.1]], "minimize") == Scale(5.0, 0.1, True)
    assert not curves_scale([[5.0, 0.1]], "maximize").log
