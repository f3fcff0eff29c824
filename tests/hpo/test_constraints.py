"""A constraint is arithmetic and a comparison, computed without running what it says."""

import math
import operator
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.constraints import parse

NUMBERS = st.integers(-1000, 1000) | st.floats(-1e6, 1e6)
COMPARE = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
           "==": operator.eq, "!=": operator.ne}


@given(NUMBERS, NUMBERS, NUMBERS, st.sampled_from(list(COMPARE)))
def test_it_is_computed_as_python_does(a: float, b: float, c: float, sign: str) -> None:
    constraint = parse(f"a * b - c / 4 {sign} (b + 3) * -c")
    assert constraint.names == {"a", "b", "c"}
    expected = COMPARE[sign](a * b - c / 4, (b + 3) * -c)
    assert constraint.holds({"a": a, "b": b, "c": c, "other": 1}) is expected


@pytest.mark.parametrize(("text", "values", "holds"), [
    ("low < high", {"low": 1, "high": 2}, True),
    ("low < high", {"low": 2, "high": 2}, False),
    ("1 < low < high <= 8", {"low": 2, "high": 8}, True),
    ("1 < low < high <= 8", {"low": 1, "high": 8}, False),
    ("kind != 'adam'", {"kind": "adam"}, False),
    ("kind == 'adam'", {"kind": "adam"}, True),
    ("2 ** layers <= 64", {"layers": 6}, True),
    ("width % 8 == 0", {"width": 24}, True),
    ("width // 8 == 3", {"width": 25}, True),
    ("1 / momentum > 2", {"momentum": 0}, False),  # which is nothing to train with either
    ("low < high", {"low": 2}, True),  # what is absent is not held against it
])
def test_whether_it_holds(text: str, values: dict[str, float | str], holds: bool) -> None:
    assert parse(text).holds(values) is holds


@pytest.mark.parametrize("text", [
    "", "a", "a +", "a = 3", "a < 3; b", "__import__('os').system('x') < 1", "a.b < 1", "a[0] < 1",
    "(lambda: 1)() < 2", "[a for a in b] < 1", "a if b else c < 1", "a and b < 1", "a is b",
    "a in b", "not a < b", "~a < 1", "a @ b < 1", "a << 3 < 1", "None < a", "b'x' < a", "(" * 200,
    "(a := 3) < 4", "f'{a}' < 'b'", "{1: 2} < a", "a\0 < 1",
])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a comparison of numbers and hyperparameters;"):
        parse(text)


def test_a_constraint_is_of_hyperparameters_and_short() -> None:
    with pytest.raises(ValueError, match="uses no hyperparameter"):
        parse("1 < 2")
    with pytest.raises(ValueError, match="at most 300"):
        parse("a < " + "1 + " * 100 + "1")


@pytest.mark.parametrize("text", [
    "2 ** (a * a) < 3", "a ** a ** a < 3", "a * 1e200 * 1e200 < 3", "kind * 2 == 'aa'", "kind < 3",
    "(0 - a) ** 0.5 < 3",
])
def test_what_cannot_be_computed_says_so(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        parse(text).holds({"a": 99.0, "kind": "b"})


def test_a_power_is_bounded() -> None:
    assert parse("a ** 64 > 1").holds({"a": 2})
    assert not math.isnan(2.0**64)
    with pytest.raises(ValueError, match="exponents must be at most 64"):
        parse("a ** 65 > 1").holds({"a": 2})
