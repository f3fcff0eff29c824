"""The recommended trial: the best value where values are exact, the best estimate where not."""

import math
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from hpo.distributions import CategoricalDistribution, FloatDistribution, IntegerDistribution
from hpo.search.narrowing import narrow
from hpo.search.recommendation import ENOUGH, Recommendation, _Study, recommend
from hpo.search.surface import Observations, ranked_points
from hpo.search_space import SearchSpace
from hpo.trial import State, TrialResult
from tests.hpo.search.narrowing_rounds import random_round, result

UNIT: SearchSpace = {"x": FloatDistribution(0.0, 1.0), "y": FloatDistribution(0.0, 1.0)}
MIXED: SearchSpace = {
    "rate": FloatDistribution(1e-5, 1.0, log=True),
    "layers": IntegerDistribution(1, 8),
    "activation": CategoricalDistribution(("relu", "tanh", "sigmoid")),
}
Objective = Callable[[Mapping[str, float]], float]


def branin(h: Mapping[str, float]) -> float:
    x, y = 15 * h["x"] - 5, 15 * h["y"]
    bowl = (y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6) ** 2
    return -bowl - 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) - 10


def stairs(h: Mapping[str, float]) -> float:
    return float(math.floor(4 * h["x"]) + math.floor(4 * h["y"]))


def box(h: Mapping[str, float]) -> float:
    return float(abs(h["x"] - 0.5) < 0.2 and abs(h["y"] - 0.5) < 0.2)


def mixed(h: Mapping[str, float]) -> float:
    choice = {"relu": 1.0, "tanh": 0.7, "sigmoid": 0.0}[str(h["activation"])]
    return choice - 0.1 * abs(h["layers"] - 5) - (math.log10(h["rate"]) + 3) ** 2 / 10


def hill(h: Mapping[str, float]) -> float:
    return -((h["x"] - 0.4) ** 2) - 0.5 * (h["y"] - 0.7) ** 2


def rounds(
    space: SearchSpace, objective: Objective, seed: int, sizes: Sequence[int], noise: float = 0.0
) -> tuple[SearchSpace, list[TrialResult]]:
    """Return the last ranges and all trials of random rounds with ranges that move."""
    generator = np.random.default_rng(seed)
    results: list[TrialResult] = []
    for number, trials in enumerate(sizes, start=1):
        if results:
            space = {move.name: move.new for move in narrow(space, results, "maximize")}
        results += random_round(
            space, trials, lambda h: objective(h) + noise * generator.normal(), generator, number
        )
    return space, results


def recommended(
    space: SearchSpace, results: Sequence[TrialResult], repeats: Sequence[TrialResult] = ()
) -> Recommendation:
    found = recommend(space, results, repeats, "maximize")
    assert found is not None
    return found


def repeated(trial: TrialResult, values: Sequence[float | None]) -> list[TrialResult]:
    """Return repeats of a trial; None is one that diverged."""
    return [
        TrialResult(
            replace(trial.trial, repeat=i), State.DIVERGED if v is None else State.COMPLETE, v
        )
        for i, v in enumerate(values, start=1)
    ]


@pytest.mark.parametrize("sizes", [(8,), (60,), (20, 20, 20)])
@pytest.mark.parametrize(
    ("space", "objective"), [(UNIT, branin), (UNIT, stairs), (UNIT, box), (MIXED, mixed)]
)
def test_exact_values_are_left_alone(
    space: SearchSpace, objective: Objective, sizes: Sequence[int]
) -> None:
    for seed in range(3):
        last, results = rounds(space, objective, seed, sizes)
        found = recommended(last, results)
        best = max(r.value or 0.0 for r in results)
        assert found.trial.value == found.observed.value == best
        said = "shares" if found.differs else "has"
        assert found.reason.startswith(f"{found.trial.trial.id} {said} the best value, ")


@pytest.mark.parametrize("objective", [branin, stairs])
def test_exact_values_of_more_trials_than_the_surface_sees_are_left_alone(
    objective: Objective,
) -> None:
    for seed in range(2):
        _, results = rounds(UNIT, objective, seed, (700,))
        found = recommended(UNIT, results)
        assert found.trial.value == max(r.value or 0.0 for r in results)


@pytest.mark.parametrize("count", [150, 700])
def test_noisy_values_give_way_to_better_estimates(count: int) -> None:
    observed, better, off, lucky = 0.0, 0.0, 0.0, 0.0
    for seed in range(4):
        _, results = rounds(UNIT, hill, seed, (count,), noise=0.1)
        found = recommended(UNIT, results)
        theirs, mine = (
            hill(r.trial.hyperparameters)  # type: ignore[arg-type]
            for r in (found.observed, found.trial)
        )
        observed, better = observed - theirs, better - mine
        off += abs(found.estimate - mine)
        lucky += abs((found.observed.value or 0.0) - theirs)
        assert found.estimate >= found.observed_estimate
    assert better < 0.6 * observed
    assert off < 0.6 * lucky  # the estimate is no lucky value


@pytest.mark.parametrize(("ahead", "picked"), [(0.019, 1), (0.021, 2), (-0.5, 1)])
def test_of_trials_that_the_surface_hardly_tells_apart_the_best_value_counts(
    ahead: float, picked: int
) -> None:
    space: SearchSpace = {"x": FloatDistribution(0.0, 1.0)}
    results = [result(i, {"x": i / 10}, 1.0 / i) for i in range(1, 6)]
    trials = ranked_points(space, results, "maximize", {})
    heights = np.array([0.7, 0.7 + ahead, 0.1, 0.0, -0.1])
    study = _Study(results, (), "maximize")
    scores = Observations(space, trials).scores
    assert study.with_heights(trials, scores, heights).trial.trial.number == picked


def test_the_reason_starts_with_the_recommended_trial() -> None:
    space: SearchSpace = {"x": FloatDistribution(0.0, 1.0)}

    def reason(*values: float) -> str:
        results = [result(i, {"x": i / 10}, value) for i, value in enumerate(values, start=1)]
        trials = ranked_points(space, results, "maximize", {})
        heights = np.array([0.1, 0.7, 0.0, -0.1, -0.2])
        study = _Study(results, (), "maximize")
        found = study.with_heights(trials, Observations(space, trials).scores, heights)
        assert (found.trial.trial.number, found.observed.trial.number) == (2, 1)
        assert str(found) == found.reason
        return found.reason

    assert reason(0.9, 0.9, 0.8, 0.7, 0.6) == (
        "trial 2 of round 1 shares the best value, 0.9, with trial 1, and its neighbors are better"
    )
    told = reason(0.9, 0.85, 0.8, 0.7, 0.6)
    assert re.fullmatch(
        r"trial 2 of round 1, with the best estimate, 0\.\d+\. Trial 1 of round 1 has the best "
        r"single value, 0\.9, but its neighbors suggest that was luck \(estimate 0\.\d+\)\.", told
    )


def test_few_trials_and_equal_ones_tell_nothing() -> None:
    assert recommend(UNIT, [], [], "maximize") is None
    _, results = rounds(UNIT, hill, 0, (ENOUGH - 1,), noise=0.1)
    few = recommended(UNIT, results)
    assert not few.differs
    assert few.reason.endswith(f"{ENOUGH - 1} trials are too few to tell whether that was luck")
    equal = [replace(r, value=1.0) for r in results] + [result(99, {"x": 0.5, "y": 0.5}, 1.0)]
    same = recommended(UNIT, equal)
    assert same.trial.trial.number == 1
    assert same.reason.endswith("all 20 trials are equally good")


def test_only_complete_trials_are_recommended() -> None:
    _, results = rounds(UNIT, hill, 0, (60,), noise=0.1)
    complete = recommended(UNIT, results)
    states = {State.PRUNED: 9.0, State.DIVERGED: None, State.FAILED: None}
    others = [
        result(100 + i, {"x": 0.4, "y": 0.7}, value, state)
        for i, (state, value) in enumerate(states.items())
    ]
    assert recommend(UNIT, others, [], "maximize") is None
    found = recommended(UNIT, results + others)
    assert found.trial.state is State.COMPLETE
    assert found.observed == complete.observed


def test_direction_order_and_monotone_transformations_change_nothing() -> None:
    differ = 0
    for seed in range(4):
        _, results = rounds(UNIT, hill, seed, (60,), noise=0.1)
        found = recommended(UNIT, results)
        differ += found.differs
        shuffled = results.copy()
        random.Random(seed).shuffle(shuffled)
        assert recommended(UNIT, shuffled) == found
        turned = [replace(r, value=-(r.value or 0.0)) for r in results]
        minimized = recommend(UNIT, turned, [], "minimize")
        assert minimized is not None
        assert minimized.trial.trial.id == found.trial.trial.id
        assert minimized.estimate == -found.estimate
        bent = [replace(r, value=math.exp(5 * (r.value or 0.0))) for r in results]
        assert recommended(UNIT, bent).trial.trial.id == found.trial.trial.id
        assert recommended(UNIT, bent).observed.trial.id == found.observed.trial.id
    assert differ  # else the picks say little


def test_repeats_override_luck() -> None:
    _, results = rounds(UNIT, hill, 1, (60,), noise=0.02)
    lucky = replace(results[0], value=1.0)  # a single value far above all others
    given = [lucky, *results[1:]]
    real = recommended(UNIT, given, repeated(lucky, [1.0, 1.0, 1.0]))
    assert real.trial.trial.id == lucky.trial.id
    luck = recommended(UNIT, given, repeated(lucky, [-0.4, -0.5, -0.45]))
    assert luck.trial.trial.id != lucky.trial.id
    assert "but its repeats suggest that was luck" in luck.reason
    broken = recommended(UNIT, given, repeated(lucky, [1.0, 1.0, None]))
    assert broken.trial.trial.id != lucky.trial.id
    other = broken.observed.trial.id
    assert broken.reason == (
        f"{broken.trial.trial.id}, the next best. Trial {other.number} of round {other.round} has "
        "the best single value, 1, but not all of its repeats have a value."
    )


def test_repeats_override_luck_where_trials_are_few() -> None:
    few = [result(i, {"x": i / 9, "y": 0.5}, v) for i, v in enumerate((0.9, 0.8, 0.75), start=1)]
    repeats = repeated(few[0], [0.5, 0.6]) + repeated(few[1], [0.65, 0.75])
    found = recommended(UNIT, few, repeats)
    assert (found.trial.trial.number, found.estimate) == (2, pytest.approx(0.7))
    assert found.reason == (
        "trial 2 of round 1, with the best mean of its repeats, 0.7000. Trial 1 of round 1 has the "
        "best single value, 0.9, but its repeats suggest that was luck (mean 0.5500)."
    )
