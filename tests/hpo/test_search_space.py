"""A hyperparameter has a value where its conditions are met, and nowhere else."""

from dataclasses import replace

import pytest

from hpo.distributions import CategoricalDistribution, FloatDistribution, IntegerDistribution
from hpo.search_space import (
    SearchSpace,
    active,
    contains,
    is_absent,
    packed,
    parents_first,
    parts_of,
    point,
    wholes,
)

# A chain: warmup depends on momentum's being there, which depends on the optimizer.
SPACE: SearchSpace = {
    "warmup": IntegerDistribution(0, 9, when=(("nesterov", (True,)),)),
    "nesterov": CategoricalDistribution((True, False), when=(("optimizer", ("sgd",)),)),
    "momentum": FloatDistribution(
        0.0, 0.9, when=(("optimizer", ("sgd", "rmsprop")), ("layers", (2, 3)))
    ),
    "optimizer": CategoricalDistribution(("sgd", "rmsprop", "adam")),
    "layers": IntegerDistribution(1, 3),
}
ALL = {"warmup": 3, "nesterov": True, "momentum": 0.5, "optimizer": "sgd", "layers": 2}


@pytest.mark.parametrize(("changes", "there"), [
    ({}, {"warmup", "nesterov", "momentum"}),
    ({"optimizer": "adam"}, set()),
    ({"optimizer": "rmsprop"}, {"momentum"}),
    ({"nesterov": False}, {"nesterov", "momentum"}),
    ({"layers": 1}, {"warmup", "nesterov"}),
])
def test_what_has_no_meaning_is_absent(changes: dict[str, object], there: set[str]) -> None:
    kept = active(SPACE, {**ALL, **changes})  # type: ignore[dict-item]
    assert kept.keys() == {"optimizer", "layers"} | there
    assert contains(SPACE, kept)
    assert list(kept) == [name for name in SPACE if name in kept]
    for name in SPACE:
        assert is_absent(name, SPACE[name], kept) == (name not in kept)


def test_a_point_with_too_much_or_too_little_lies_outside() -> None:
    sgd = active(SPACE, ALL)  # type: ignore[arg-type]
    assert not contains(SPACE, {**sgd, "optimizer": "adam"})
    assert not contains(SPACE, {n: v for n, v in sgd.items() if n != "momentum"})
    assert not contains(SPACE, {n: v for n, v in sgd.items() if n != "optimizer"})
    assert not contains(SPACE, {**sgd, "momentum": 1.0})
    assert not is_absent("momentum", SPACE["momentum"], {"optimizer": "sgd", "layers": 2})


def test_parts_reach_the_objective_as_one_tuple() -> None:
    width = IntegerDistribution(8, 64, part_of="width")
    space: SearchSpace = {
        "rate": FloatDistribution(0.0, 1.0),
        "width.1": width,
        "width.2": replace(width, when=(("layers", (2,)),)),
        "layers": IntegerDistribution(1, 2),
    }
    assert list(wholes(space)) == ["rate", "width", "layers"]
    assert wholes(space)["width"] == width
    assert parts_of("width", space) == ["width.1", "width.2"]
    assert parts_of("rate", space) == []
    for layers, taken in ((1, (8,)), (2, (8, 9))):
        values = {"rate": 0.5, "width.1": 8, "width.2": 9, "layers": layers}
        assert packed(active(space, values)) == {"rate": 0.5, "width": taken, "layers": layers}


def test_parts_are_in_order_however_the_record_sorts_them() -> None:
    parts = {f"width.{n}": n for n in range(1, 13)}
    assert packed(dict(sorted(parts.items()))) == {"width": tuple(range(1, 13))}


def test_parents_come_first() -> None:
    assert parents_first(SPACE) == ["optimizer", "nesterov", "warmup", "layers", "momentum"]
    assert contains(SPACE, point(SPACE, dict.fromkeys(SPACE, 0.1)))
