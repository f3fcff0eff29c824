"""A hyperparameter has a value where its conditions are met, and nowhere else."""

import pytest

from hpo.distributions import CategoricalDistribution, FloatDistribution, IntegerDistribution
from hpo.search_space import SearchSpace, active, contains, is_absent, parents_first, point

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


def test_parents_come_first() -> None:
    assert parents_first(SPACE) == ["optimizer", "nesterov", "warmup", "layers", "momentum"]
    assert contains(SPACE, point(SPACE, dict.fromkeys(SPACE, 0.1)))
