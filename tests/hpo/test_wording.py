"""Numbers as a person reads them: never cut to nothing, never without the digits that count."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.wording import apart, column, count, number, p_value, whole, within

FINITE = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.98611, "0.9861"), (1.2344e-6, "1.234e-06"), (1e-6, "1e-06"), (0.5, "0.5"), (0.0, "0"),
        (12345, "12345"), (12345.0, "12345"), (12345.6, "12346"), (999_999.9, "1e+06"),
        (1_234_567, "1234567"), (1_234_567.0, "1.235e+06"), (9.99996e-5, "0.0001"),
        (-0.00345678, "-0.003457"), (17.8601, "17.86"), (100.0, "100"), (math.inf, "inf"),
        (0.0001, "0.0001"), (99_999.5, "100000"),
    ],
)
def test_a_number_has_four_significant_digits(value: float, text: str) -> None:
    assert number(value) == text


@given(FINITE)
def test_no_number_loses_its_four_digits(value: float) -> None:
    assert abs(Fraction(number(value)) - Fraction(value)) <= abs(Fraction(value)) / 1999


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ((0.98611, 0.98, 1.0), ("0.9861", "0.9800", "1.000")),
        ((0.971234, 0.012345), ("0.9712", "0.01235")),  # a value and its error
        ((1.2344e-6, 2.1e-8), ("1.234e-06", "2.100e-08")),
        ((2.3, 1.2e-6, 0.0), ("2.300", "1.200e-06", "0")),
        ((12345.6, 3000.1), ("12346", "3000")),
        ((0.5, None, math.nan), ("0.5000", "", "")),
        ((), ()),
    ],
)
def test_a_column_is_read_together(
    values: tuple[float | None, ...], texts: tuple[str, ...]
) -> None:
    assert tuple(column(values)) == texts


@given(st.lists(FINITE, max_size=5))
def test_no_column_loses_four_digits_of_any_number(values: list[float]) -> None:
    for value, text in zip(values, column(values), strict=True):
        assert abs(Fraction(text) - Fraction(value)) <= abs(Fraction(value)) / 1999


@given(FINITE, FINITE)
def test_what_is_compared_is_told_apart(first: float, second: float) -> None:
    assert (len(set(apart(first, second))) == 2) == (first != second)


def test_values_of_a_narrow_range_differ() -> None:
    assert within(1000.1234, 0.22) == "1000.12"
    assert within(12_345_678.9, 0.22) == "12345678.9"
    assert within(3.21e-6, 1e-2) == "3.21e-06"
    assert within(64, 128) == "64"
    assert within(0.0, 1.0) == "0"


@given(FINITE)
def test_what_someone_wrote_is_not_cut(value: float) -> None:
    assert float(whole(value)) == value


def test_what_someone_wrote_is_as_short_as_they_wrote_it() -> None:
    assert [whole(v) for v in (1.0, 1e-6, 0.1234567, 10, 0.30000000000000004)] == [
        "1", "1e-06", "0.1234567", "10", "0.30000000000000004"
    ]


def test_counts_have_their_plural() -> None:
    assert count(1, "trial") == "1 trial"
    assert count(0, "trial") == "0 trials"
    assert count(1.0, "hour") == "1 hour"
    assert count(0.5, "hour") == "0.5 hours"
    assert count(2, "class", "classes") == "2 classes"


def test_a_p_value_is_never_zero() -> None:
    assert p_value(0.012344) == "= 0.01234"
    assert p_value(0.0) == "< 1e-99"


def test_numbers_that_are_equal_stay_short() -> None:
    assert apart(0.5, 0.5) == ("0.5000", "0.5000")
    assert apart(0.12344, 0.12341) == ("0.12344", "0.12341")
    assert apart(0.5, 0.25) == ("0.5000", "0.2500")
    assert within(1000.5, math.inf) == "1000"
    assert within(1000.5, 0.0) == "1000"
    assert [whole(v) for v in (math.nan, math.inf, -2.5)] == ["nan", "inf", "-2.5"]
    assert [p_value(p) for p in (1e-99, 2e-99, 1.0)] == ["< 1e-99", "= 2e-99", "= 1"]
