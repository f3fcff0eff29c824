"""Which points can be trained with, and what is said where none can."""

from collections.abc import Mapping

import pytest

from hpo.constraints import parse
from hpo.distributions import CategoricalDistribution, FloatDistribution, Value
from hpo.feasibility import DRAWS, Feasibility
from hpo.search_space import SearchSpace, contains

SPACE: SearchSpace = {
    "low": FloatDistribution(0.0, 1.0),
    "high": FloatDistribution(0.0, 1.0),
    "kind": CategoricalDistribution(("flat", "steep")),
    "slope": FloatDistribution(1.0, 9.0, when=(("kind", ("steep",)),)),
}


def refused(values: Mapping[str, Value]) -> str | None:
    if values["low"] >= values["high"]:  # type: ignore[operator]
        return f"low must be below high, not {values['low']}"
    return None


def of(
    constraints: tuple[str, ...] = (), space: SearchSpace = SPACE, **fixed: Value
) -> Feasibility:
    return Feasibility(space, fixed, tuple(map(parse, constraints)), refused)


def test_the_objective_and_the_constraints_have_to_accept_a_point() -> None:
    both = of(("slope * scale <= 8",), scale=2)
    point: dict[str, Value] = {"low": 0.1, "high": 0.9, "kind": "steep", "slope": 3.0}
    assert both.accepts(point)
    said = "the constraint 'slope * scale <= 8' does not hold"
    assert both.reason({**point, "slope": 5.0}) == said
    assert both.reason({**point, "low": 0.95}) == "low must be below high, not 0.95"
    assert both.accepts({"low": 0.1, "high": 0.9, "kind": "flat"})  # without a slope


def test_half_a_square_is_a_space_to_search() -> None:
    feasibility = of()
    share, reasons = feasibility.share()
    assert share == pytest.approx(0.5, abs=0.05)
    assert sum(reasons.values()) == round((1 - share) * DRAWS)
    assert feasibility.fault() is None
    assert not feasibility.is_empty()
    assert all(contains(SPACE, point) for point in feasibility.drawn(50))


def test_a_value_that_nothing_goes_with_is_a_fault_of_its_range() -> None:
    high = of(space={**SPACE, "low": FloatDistribution(0.9, 3.0)})
    assert high.fault() is not None
    assert (high.fault() or ("",))[0] == "search_space.low"
    assert high.allows("low", 0.92)
    assert not high.allows("low", 2.0)


def test_where_nothing_can_be_trained_with_the_commonest_reason_is_said() -> None:
    key, reason, remedy = of(("low > high",)).fault() or ("", "", "")
    assert key == "constraints"
    assert reason.startswith("none of 1000 points sampled from the ranges can be trained, mostly ")
    assert remedy == "widen the ranges, or relax that rule"
    assert of(("low > high",)).is_empty()


def test_a_point_to_start_with_is_tried_with_others_beside_it() -> None:
    assert of().reason_against_start({"low": 0.2}) is None
    assert of().reason_against_start({"low": 1.0}) == "low must be below high, not 1.0"
    assert of().reason_against_start({"low": 0.5, "high": 0.4}) is not None


def test_what_cannot_be_computed_is_a_reason() -> None:
    assert "arithmetic only works on numbers" in (of(("kind * 2 == 'a'",)).reason(
        {"low": 0.1, "high": 0.9, "kind": "flat"}
    ) or "")
