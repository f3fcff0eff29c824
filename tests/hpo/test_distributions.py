"""Every value has its place on the unit interval, and a moved range stays a range."""

import json
import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from hpo.distributions import (
    CategoricalDistribution,
    Distribution,
    FloatDistribution,
    IntegerDistribution,
    OrderedDistribution,
    as_lists,
    describe,
    from_table,
    scale_of,
    to_table,
    to_text,
    with_range,
)
from hpo.search_space import SearchSpace, contains, point

UNITS = st.floats(0, 1)
EDGES = st.none() | st.floats(-3, 4)


@st.composite
def float_distributions(draw: st.DrawFn) -> FloatDistribution:
    """Draw ranges of any magnitude, with limits about half of them."""
    log = draw(st.booleans())
    if log:
        low, width = draw(st.floats(-290, 280)), draw(st.floats(0.01, 10))
        edges = (10**low, 10 ** (low + width))
        ends = (10 ** (low - draw(st.floats(0, 5))), 10 ** (low + width + draw(st.floats(0, 5))))
    else:
        scale = 10 ** draw(st.floats(-50, 50))
        low, width = draw(st.floats(-100, 100)), draw(st.floats(0.01, 100))
        edges = (low * scale, (low + width) * scale)
        ends = ((low - draw(st.floats(0, 50))) * scale,
                (low + width + draw(st.floats(0, 50))) * scale)
    return FloatDistribution(*edges, log=log, limits=draw(st.none() | st.just(ends)))


@st.composite
def stepped_distributions(draw: st.DrawFn) -> FloatDistribution:
    step = draw(st.sampled_from([0.1, 0.05, 0.25, 1.0, 3.0]))
    first, count = draw(st.integers(-20, 20)), draw(st.integers(1, 30))
    low, high = first * step, (first + count) * step
    ends = (low - draw(st.floats(0, 5)), high + draw(st.floats(0, 5)))
    return FloatDistribution(low, high, step=step, limits=draw(st.none() | st.just(ends)))


@st.composite
def integer_distributions(draw: st.DrawFn) -> IntegerDistribution:
    log = draw(st.booleans())
    step = 1 if log else draw(st.integers(1, 7))
    low = draw(st.integers(1 if log else -1000, 1000))
    high = low + draw(st.integers(1, 10**6))
    ends = (low - draw(st.integers(0, low - 1 if log else 50)), high + draw(st.integers(0, 50)))
    assume(low + step <= high)
    return IntegerDistribution(low, high, log, step, draw(st.none() | st.just(ends)))


@given(float_distributions(), UNITS)
def test_a_value_returns_from_its_unit(d: FloatDistribution, unit: float) -> None:
    value = d.from_unit(unit)
    assert d.contains(value)
    assert d.to_unit(value) == pytest.approx(unit, abs=1e-8)
    assert d.to_unit(d.low) == 0
    assert d.to_unit(d.high) == 1


@given(integer_distributions(), UNITS)
@example(IntegerDistribution(1, 10, step=4), 1.0)
def test_an_integer_returns_from_its_unit(d: IntegerDistribution, unit: float) -> None:
    value = d.from_unit(unit)
    assert d.contains(value)
    assert 0 <= d.to_unit(value) <= 1
    assert d.from_unit(d.to_unit(value)) == value


@given(st.integers(-5, 5), st.integers(1, 9), st.integers(1, 4))
def test_every_integer_has_its_share(low: int, count: int, step: int) -> None:
    d = IntegerDistribution(low, low + count * step, step=step)
    drawn = Counter(d.from_unit((i + 0.5) / 1000) for i in range(1000))
    assert set(drawn) == set(range(low, low + count * step + 1, step))
    assert max(drawn.values()) - min(drawn.values()) <= 1


def test_on_a_log_scale_small_integers_have_larger_shares_and_none_is_missing() -> None:
    d = IntegerDistribution(1, 8, log=True)
    drawn = Counter(d.from_unit((i + 0.5) / 1000) for i in range(1000))
    shares = [drawn[n] for n in range(1, 9)]
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] == pytest.approx(1000 * math.log(8.5 / 7.5) / math.log(8.5 / 0.5), abs=2)


@given(st.integers(1, 12))
def test_every_step_has_its_share_and_returns(count: int) -> None:
    d = FloatDistribution(0.1, 0.1 + count * 0.1, step=0.1)
    drawn = Counter(d.from_unit((i + 0.5) / 1000) for i in range(1000))
    assert len(drawn) == count + 1
    assert max(drawn.values()) - min(drawn.values()) <= 1
    assert all(d.from_unit(d.to_unit(value)) == value for value in drawn)


@given(float_distributions(), EDGES, EDGES)
@example(FloatDistribution(1e-6, 1e-2, log=True, limits=(1e-8, 1e-2)), 1.2, 1.5)
@example(FloatDistribution(1e-6, 1e-2, log=True), 0.5, 0.5)
@example(FloatDistribution(1000.0, 1000.5), 0.2, 0.4)
@example(FloatDistribution(1e-300, 1e-200, log=True), -3.0, 4.0)
@example(FloatDistribution(1e200, 1e300, log=True), -3.0, 4.0)
@example(FloatDistribution(0.0, 1.0, limits=(0.0, 1.0)), -1.0, 0.0)
@example(FloatDistribution(10.0, 100.0, log=True), None, 0.0)  # exp(log(10)) is above 10
def test_moved_edges_make_a_range_rounded_outward_within_limits(
    d: FloatDistribution, low: float | None, high: float | None
) -> None:
    new = d.with_edges(low, high)
    assert math.isfinite(new.low)
    assert math.isfinite(new.high)
    assert new.low < new.high
    assert not d.log or new.low > 0
    if d.limits is not None:
        assert d.limits[0] <= new.low
        assert new.high <= d.limits[1]
    if low is None:
        assert new.low == d.low
    if high is None:
        assert new.high == d.high
    asked = (0.0 if low is None else low, 1.0 if high is None else high)
    ends = d.limits or (-math.inf, math.inf)
    if d.log:  # as far as a number goes
        ends = max(ends[0], 1e-307), min(ends[1], 1e308)
    first, last = (end if math.isinf(end) else d.to_unit(end) for end in ends)
    slack = 0.02 * (asked[1] - asked[0]) + 1e-6  # of the rounding
    if asked[0] >= asked[1] or asked[1] < first - slack or last + slack < asked[0]:
        assert new == d
    elif min(asked[1], last) - max(asked[0], first) > 1e-6:
        assert max(asked[0], first) == pytest.approx(d.to_unit(new.low), abs=slack)
        assert min(asked[1], last) == pytest.approx(d.to_unit(new.high), abs=slack)
        assert d.to_unit(new.low) <= max(asked[0], first) + 1e-6
        assert d.to_unit(new.high) >= min(asked[1], last) - 1e-6


@given(stepped_distributions(), EDGES, EDGES)
@example(FloatDistribution(0.1, 0.5, step=0.1, limits=(0.05, 0.5)), -1.0, 0.5)
@example(FloatDistribution(3 * -0.1, -0.2, step=0.1), None, 0.0)
def test_moved_steps_stay_on_their_grid_and_within_limits(
    d: FloatDistribution, low: float | None, high: float | None
) -> None:
    new = d.with_edges(low, high)
    assert d.step is not None
    assert new.low < new.high
    for edge in (new.low, new.high):
        steps = (edge - d.low) / d.step
        assert steps == pytest.approx(round(steps), abs=1e-9)
    count = round((d.high - d.low) / d.step)
    ends = (-math.inf, math.inf)
    if d.limits is not None:
        assert d.limits[0] - 1e-9 <= new.low
        assert new.high <= d.limits[1] + 1e-9
        ends = (d.limits[0] - d.low) / d.step, (d.limits[1] - d.low) / d.step
    first, last = (0.0 if low is None else low) * count, (1.0 if high is None else high) * count
    for place in (first, last, *ends):  # where noise does not say which step it is
        assume(math.isinf(place) or place == round(place) or abs(place - round(place)) > 1e-6)
    steps = [n for n in range(-4 * count - 1, 5 * count + 1) if ends[0] <= n <= ends[1]]
    touched = [n for n in steps if first - 1 < n < last + 1]
    expected = (touched[0], touched[-1]) if len(touched) > 1 else (0, count)
    assert [round((edge - d.low) / d.step) for edge in (new.low, new.high)] == [*expected]


@given(integer_distributions(), EDGES, EDGES)
@example(IntegerDistribution(1, 3), 0.4, 0.6)
@example(IntegerDistribution(2, 10, step=4, limits=(1, 12)), -1.0, 2.0)
@example(IntegerDistribution(1, 8, log=True), -3.0, 0.1)
@example(IntegerDistribution(1, 9, limits=(1, 9)), 1.2, 1.5)
def test_moved_integers_stay_at_least_two_on_their_grid_and_within_limits(
    d: IntegerDistribution, low: float | None, high: float | None
) -> None:
    new = d.with_edges(low, high)
    assert new.low < new.high
    assert (new.low - d.low) % d.step == 0
    assert not d.log or new.low >= 1
    assert low is not None or new.low <= d.low
    ends = d.limits or (1 if d.log else -(10**15), 10**15)
    assert ends[0] <= new.low
    assert new.high <= ends[1]
    if low is None and high is None:
        assert new == d
        return

    def touches(number: int, unit: float) -> bool:
        """Say whether the unit lies in the number's share, or beyond it where it is the last."""
        before, after = (d.to_unit(number + half) for half in (-d.step / 2, d.step / 2))
        return (number - d.step < ends[0] or before <= unit + 1e-6) and (
            number + d.step > ends[1] or unit - 1e-6 <= after
        )

    asked = (0.0 if low is None else low, 1.0 if high is None else high)
    if asked[0] <= asked[1]:
        pairs = [(new.low, new.high)]
        if new.high == new.low + d.step:  # where one number alone was asked for
            pairs += [(new.low, new.low), (new.high, new.high)]
        assert any(touches(a, asked[0]) and touches(b, asked[1]) for a, b in pairs)


@given(float_distributions(), EDGES, EDGES)
def test_moved_edges_do_not_depend_on_the_unit_of_measurement(
    d: FloatDistribution, low: float | None, high: float | None
) -> None:
    assume(d.limits is None and 1e-290 < abs(d.low) < 1e280 and abs(d.high) < 1e280)
    asked = (0.0 if low is None else low, 1.0 if high is None else high)
    assume(asked[0] + 0.01 < asked[1])
    moved = d.with_edges(low, high)
    further = 0.02 * (asked[1] - asked[0])  # than any rounding
    assert moved.low != d.low or abs(asked[0]) < further
    assert moved.high != d.high or abs(asked[1] - 1) < further
    times = FloatDistribution(d.low * 1000, d.high * 1000, d.log).with_edges(low, high)
    width = moved.high - moved.low
    close = 0.02 * width  # an edge on a rounding step may fall to either side
    assert times.low / 1000 == pytest.approx(moved.low, rel=1e-9, abs=close)
    assert times.high / 1000 == pytest.approx(moved.high, rel=1e-9, abs=close)


def test_edges_are_short_to_read() -> None:
    d = FloatDistribution(1e-6, 1e-2, log=True).with_edges(0.317, 0.911)
    assert (d.low, d.high) == (1.85e-05, 0.00441)


@given(float_distributions(), st.floats(0, 1))
def test_a_readable_value_is_near_in_the_range_and_short(d: FloatDistribution, unit: float) -> None:
    value = d.from_unit(unit)
    shown = d.readable(value)
    assert d.low <= shown <= d.high
    assert abs(shown - value) <= max(abs(value) * 5e-4, 1e-12 * abs(value))
    assert abs(shown - value) <= (d.high - d.low) / 1000 or shown in (d.low, d.high)
    assert d.readable(shown) == shown
    if shown not in (d.low, d.high) and abs(value) <= 10 * (d.high - d.low):
        assert float(f"{shown:.5g}") == shown


@pytest.mark.parametrize(("low", "high", "value", "shown"), [
    (1e-6, 1e-2, 0.00123456789, 0.001235), (0.0, 1.0, 0.000123456, 0.0001235),
    (0.999, 1.0, 0.99912345, 0.999123), (-5.0, 5.0, -1.23456, -1.235), (1.0, 2.0, 1.0, 1.0),
    (1.23456, 2.0, 1.234561, 1.2346), (1e5, 1e7, 123456.0, 123500.0),
])
def test_readable_values(low: float, high: float, value: float, shown: float) -> None:
    assert FloatDistribution(low, high).readable(value) == shown


def test_steps_are_readable_as_they_are() -> None:
    d = FloatDistribution(0.12345678, 1.12345678, step=0.1)
    assert d.readable(d.from_unit(0.5)) == d.from_unit(0.5)


def test_ordered_choices_move_like_whole_numbers() -> None:
    sizes = OrderedDistribution.of((16, 32, 64, 128, 256))
    some = with_range(sizes, 1, 3)
    assert isinstance(some, OrderedDistribution)
    assert some.choices == (32, 64, 128)
    assert [some.from_unit(unit) for unit in (0.0, 0.4, 1.0)] == [32, 64, 128]
    assert [some.contains(size) for size in (16, 32, 128, 256, 33)] == [
        False, True, True, False, False
    ]
    assert some.to_unit(16) == pytest.approx(-1 / 6)  # outside, where it can come back
    assert describe(some) == "32, 64, 128"
    assert scale_of(some) == IntegerDistribution(1, 3, limits=(0, 4))
    with pytest.raises(ValueError, match="not in tuple"):
        some.to_unit(33)


def test_what_it_is_searched_on_is_said() -> None:
    when = (("optimizer", ("sgd", "nesterov")), ("layers", (3,)))
    assert describe(FloatDistribution(0.0, 0.9, when=when)) == (
        "0 to 0.9 when optimizer is sgd or nesterov and layers is 3"
    )


def test_choices_return_and_a_search_space_contains_its_points() -> None:
    choices = CategoricalDistribution(("relu", (100, 100), True))
    assert [choices.from_unit(choices.to_unit(c)) for c in choices.choices] == list(choices.choices)
    space: SearchSpace = {
        "a": choices, "b": FloatDistribution(0.0, 1.0), "c": IntegerDistribution(1, 4),
    }
    for unit in (0.0, 0.5, 1.0):
        assert contains(space, point(space, dict.fromkeys(space, unit)))
    assert not contains(space, {"a": "relu", "b": 1.5, "c": 1})


@pytest.mark.parametrize(
    "distribution",
    [
        FloatDistribution(0.1, 1.0), FloatDistribution(0.1, 1.0, log=True, limits=(0.01, 10.0)),
        FloatDistribution(0.0, 1.0, step=0.25), IntegerDistribution(1, 9),
        IntegerDistribution(1, 64, log=True, limits=(1, 2**63)), IntegerDistribution(0, 8, step=2),
        CategoricalDistribution(("a", 1, 2.5, True, (1, (2, "x")))),
        OrderedDistribution.of(("a", 1, (2, "x"))),
        with_range(OrderedDistribution.of((16, 32, 64), when=(("kind", ("a", (1, 2))),)), 1, 2),
        FloatDistribution(0.1, 1.0, when=(("kind", ("a",)), ("layers", (2, 3)))),
    ],
)
def test_a_range_comes_back_from_its_table(distribution: Distribution) -> None:
    back = from_table(json.loads(json.dumps(to_table(distribution))))
    assert repr(back) == repr(distribution)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"choices": "ab"}, "choices are not a list of values"),
        ({"choices": [None]}, "choices are not a list of values"),
        ({"choices": [[1, None]]}, "choices are not a list of values"),
        ({"choices": [math.nan]}, "choices are not a list of values"),
        ({"low": 0, "high": 1, "limits": [0]}, "limits are not two numbers"),
        ({"low": 0, "high": 1, "limits": 5}, "limits are not two numbers"),
        ({"low": "0", "high": 1}, "an edge is not a number"),
        ({"low": True, "high": 2}, "an edge is not a number"),
        ({"low": 0, "high": 1, "step": "1"}, "an edge is not a number"),
        ({"low": 0, "high": 1, "limits": [0, None]}, "an edge is not a number"),
        ({"low": 0.5, "high": 1, "integer": True}, "an edge is not a number"),
        ({"low": 1, "high": 1}, "its edges are out of order"),
        ({"low": 0, "high": 1, "limits": [0.5, 2]}, "its edges are out of order"),
        ({"low": 0, "high": 1, "limits": [0, 0.5]}, "its edges are out of order"),
        ({"low": 0, "high": 1, "step": 0}, "its edges are out of order"),
        ({"low": 0, "high": 2**63 + 1, "integer": True}, "its edges are too far apart"),
        ({"low": 0, "high": math.inf}, "its edges are too far apart"),
        ({"low": 1, "high": 2, "log": 1}, "an edge of a log range is not above 0"),
        ({"low": 0, "high": 2, "log": True}, "an edge of a log range is not above 0"),
        ({"low": 1, "high": 2, "log": True, "limits": [0, 2]}, "a log range is not above 0"),
    ],
)
def test_a_table_of_another_range_is_refused(table: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        from_table(table)


def test_a_range_is_described_on_one_line() -> None:
    assert describe(FloatDistribution(1e-6, 0.01, log=True)) == "1e-06 to 0.01"
    assert describe(IntegerDistribution(1, 1_000_000)) == "1 to 1000000"
    assert describe(CategoricalDistribution(("a\nb", (1, 2), True))) == "a b, (1, 2), True"
    assert to_text((1, ("é", True))) == '[1, ["é", true]]'
    assert as_lists((1, (2, 3))) == [1, [2, 3]]
    assert contains({"a": FloatDistribution(0, 1)}, {"a": 1, "b": 9})
    assert not contains({"a": FloatDistribution(0, 1), "b": FloatDistribution(0, 1)},
                        {"a": 1, "b": 9})
    assert not FloatDistribution(0, 1).contains("0.5")
