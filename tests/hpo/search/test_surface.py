"""The order of the trials, and how much of it is noise: told from the trials alone."""

import math
import random
from array import array
from dataclasses import replace

import numpy as np
import pytest

from hpo.distributions import FloatDistribution
from hpo.search.surface import (
    MINIMUM_TRIALS,
    Observations,
    Ranked,
    noise_share,
    ranked_points,
)
from hpo.search_space import SearchSpace, point
from hpo.trial import Curve, Direction, Parts, State, Trial, TrialId, TrialResult

SPACE: SearchSpace = {
    "rate": FloatDistribution(1e-6, 1e-2, log=True),
    "momentum": FloatDistribution(0.0, 0.9),
}


def trials(share: float, seed: int, count: int = 60) -> list[TrialResult]:
    """Return random trials of a hill; `share` of the variance of their values is noise."""
    generator = np.random.default_rng(seed)
    units = generator.random((count, 2))
    heights = -((units[:, 0] - 0.4) ** 2) - 0.5 * (units[:, 1] - 0.7) ** 2
    noise = generator.normal(size=count)
    values = math.sqrt(1 - share) * heights / heights.std() + math.sqrt(share) * noise
    return [
        TrialResult(
            Trial(1, i, point(SPACE, dict(zip(SPACE, unit, strict=True))), seed=0),
            State.COMPLETE,
            float(value),
        )
        for i, (unit, value) in enumerate(zip(units.tolist(), values, strict=True), start=1)
    ]


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_the_share_of_noise_is_found(share: float) -> None:
    found = [noise_share(SPACE, trials(share, seed), "maximize") for seed in range(10)]
    assert np.median(found) == pytest.approx(share, abs=0.12)


def test_only_the_order_of_the_values_counts() -> None:
    some = trials(0.25, 0)
    share = noise_share(SPACE, some, "maximize")
    stretched = [replace(r, value=-math.exp(3 * (r.value or 0.0))) for r in some]
    random.Random(0).shuffle(stretched)
    assert noise_share(SPACE, stretched, "minimize") == pytest.approx(share, rel=1e-6)


def test_trials_outside_the_ranges_count() -> None:
    elsewhere = {**SPACE, "rate": FloatDistribution(0.1, 1.0, log=True)}
    assert noise_share(elsewhere, trials(0.0, 0), "maximize") < 0.1


def test_too_few_trials_tell_nothing() -> None:
    few = trials(0.25, 0, MINIMUM_TRIALS - 1)
    failed = replace(few[0], state=State.FAILED, value=None)
    assert math.isnan(noise_share(SPACE, [*few, failed], "maximize"))
    equal = [replace(r, value=1.0) for r in trials(0.25, 0)]
    assert math.isnan(noise_share(SPACE, equal, "maximize"))


def curved(number: int, curve: list[float], state: State = State.COMPLETE) -> TrialResult:
    metrics = Curve("accuracy", array("d", curve), {"accuracy": curve[-1]})
    hyperparameters = {"x": number / 100}
    return TrialResult(
        Trial(1, number, hyperparameters, 0), state, curve[-1], len(curve), metrics
    )


@pytest.mark.parametrize(("direction", "sign"), [("maximize", 1.0), ("minimize", -1.0)])
def test_a_pruned_trial_stands_where_it_stood_at_its_last_epoch(
    direction: Direction, sign: float
) -> None:
    def scaled(*curve: float) -> list[float]:
        return [sign * value for value in curve]

    complete = [curved(n, scaled(n / 10, n / 5, float(n))) for n in range(1, 11)]
    early = curved(21, scaled(0.55), State.PRUNED)  # behind five of ten at epoch 1
    late = curved(22, scaled(0.1, 0.5), State.PRUNED)  # behind eight at epoch 2
    worst = curved(23, scaled(0.01, 0.02), State.PRUNED)
    ahead = curved(24, scaled(5.0), State.PRUNED)
    trials = [*complete, early, late, worst, ahead]
    space: SearchSpace = {"x": FloatDistribution(0.0, 1.0)}
    for results in (trials, trials[::-1]):
        ranked = ranked_points(space, results, direction, {})
        order = [round(100 * float(t.hyperparameters["x"])) for t in ranked]  # type: ignore[arg-type]
        assert order == [24, 10, 9, 8, 7, 6, 21, 5, 4, 3, 22, 2, 1, 23]
        assert len({t.rank for t in ranked}) == len(ranked)


def test_pruned_trials_without_curves_to_compare_come_last() -> None:
    complete = [curved(n, [n / 10, float(n)]) for n in range(1, 4)]
    bare = [replace(r, metrics=[{"accuracy": 0.0}] * 2) for r in complete]
    pruned = [curved(7, [0.9], State.PRUNED), curved(8, [0.3, 0.4], State.PRUNED)]
    space: SearchSpace = {"x": FloatDistribution(0.0, 1.0)}
    ranked = ranked_points(space, [*bare, *pruned], "maximize", {})
    order = [round(100 * float(t.hyperparameters["x"])) for t in ranked]  # type: ignore[arg-type]
    assert order == [3, 2, 1, 8, 7]  # the longer a trial went on, the better


def test_the_same_trials_are_fitted_once() -> None:
    space: SearchSpace = {"x": FloatDistribution(0.0, 1.0)}
    trials = [
        Ranked(TrialId(1, n), (0.0, float(n % 7)), {"x": n / 20}, 1, State.COMPLETE)
        for n in range(1, 21)
    ]
    first, again = Observations(space, trials).surface, Observations(space, trials).surface
    assert again is first
    assert Observations(space, trials[1:]).surface is not first


def test_means_of_parts_count_by_their_standard_errors() -> None:
    space = {"x": FloatDistribution(0.0, 1.0)}

    def results(spreads: list[float]) -> list[TrialResult]:
        return [
            TrialResult(
                Trial(1, n, {"x": n / 20}, n), State.COMPLETE, float(n), 1, [{"loss": float(n)}],
                parts=Parts((n - spread, float(n), n + spread), (float(n),)),
            )
            for n, spread in enumerate(spreads, start=1)
        ]

    even = ranked_points(space, results([0.5] * 12), "minimize", {})
    assert [trial.count for trial in even] == pytest.approx([1.0] * 12)
    uneven = ranked_points(space, results([*[0.5] * 11, 5.0]), "minimize", {})
    assert uneven[-1].count < 0.4 < 1 < uneven[0].count < 3  # three parts say little of their own
    none = ranked_points(space, results([0.0] * 12), "minimize", {})
    assert [trial.count for trial in none] == [1.0] * 12
