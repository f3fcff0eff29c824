"""TPE counts what it should, goes where trials are good, and knows their noise."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import optuna
import pytest

from hpo.distributions import (
    CategoricalDistribution,
    Distribution,
    FloatDistribution,
    IntegerDistribution,
    Value,
)
from hpo.search.optuna_sampler import _ours, optuna_distribution, optuna_value
from hpo.search.samplers import SAMPLERS
from hpo.search_space import SearchSpace, contains
from hpo.trial import State, TrialResult, trial_seed
from tests.hpo.search.sampling import MIXED, plan, quality, result, search


def far_from(name: str, value: float, proposals: Sequence[dict[str, Value]]) -> float:
    """Return the median distance of the proposals from a value, in tens."""
    return float(np.median([abs(math.log10(p[name] / value)) for p in proposals]))


def proposals_after(
    earlier: Sequence[TrialResult], space: SearchSpace, count: int = 40
) -> list[dict[str, Value]]:
    """Return first proposals of rounds that know these results, for many seeds."""
    exact = plan(space, earlier=earlier, rounded=False)
    return [
        SAMPLERS["tpe"](exact).propose(1, trial_seed(seed, 1, 1))
        for seed in range(count)
    ]


def crowd(value: float, state: State = State.COMPLETE) -> list[TrialResult]:
    """Return an earlier round: good trials about `value`, of this state, and bad ones elsewhere.

    The best of the bad ones are the lowest.
    """
    spread = np.random.default_rng(0).uniform(-0.1, 0.1, 12)
    good = [
        result(n, {"learning_rate": value * 10**e}, state, 1.0 - abs(e))
        for n, e in enumerate(spread, start=1)
    ]
    bad = [
        result(n, {"learning_rate": value * 10**e}, State.COMPLETE, -float(n % 8))
        for n, e in zip(range(13, 37), itertools.cycle([-3, -2.5, -2, -1.5, -1, -0.5, 0.5, 1]))
    ]
    return good + bad


SPACE = {"learning_rate": FloatDistribution(1e-6, 1e-2, log=True)}


def test_earlier_trials_inside_the_ranges_count() -> None:
    without = proposals_after([], SPACE)
    after = proposals_after(crowd(1e-3), SPACE)
    assert far_from("learning_rate", 1e-3, after) < far_from("learning_rate", 1e-3, without) / 3


def test_earlier_trials_outside_the_ranges_do_not_count() -> None:
    outside = [replace(r, trial=replace(r.trial, hyperparameters={"learning_rate": 0.1}))
               for r in crowd(1e-3)]
    assert proposals_after(outside, SPACE) == proposals_after([], SPACE)


def test_earlier_failed_trials_do_not_count() -> None:
    failed = [replace(r, state=State.FAILED, value=None) for r in crowd(1e-3)]
    assert proposals_after(failed, SPACE) == proposals_after([], SPACE)


@pytest.mark.slow
def test_earlier_trials_that_were_pruned_count_for_less() -> None:
    pruned = proposals_after(crowd(1e-3, State.PRUNED), SPACE)
    assert far_from("learning_rate", 1e-3, pruned) > 3 * far_from(
        "learning_rate", 1e-3, proposals_after(crowd(1e-3), SPACE)
    )


def test_among_pruned_trials_the_value_they_reached_counts() -> None:
    def judge(number: int, hyperparameters: dict[str, Value]) -> TrialResult:
        rate: Any = hyperparameters["learning_rate"]
        return result(number, hyperparameters, State.PRUNED, -abs(math.log10(rate) + 3))

    late = search("tpe", plan(SPACE, 60), judge)[40:]
    assert far_from("learning_rate", 1e-3, late) < 0.5


def test_a_value_beside_the_steps_counts_and_is_not_refused() -> None:
    moved = {"dropout_rate": FloatDistribution(0.05, 0.45, step=0.1)}  # by --range
    earlier = [result(n, {"dropout_rate": 0.1 * (n % 5)}, value=float(n)) for n in range(1, 20)]
    sampler = SAMPLERS["tpe"](plan(moved, earlier=earlier))
    sampler.replay(1, {"dropout_rate": 0.2})
    sampler.tell(result(1, {"dropout_rate": 0.2}, value=1.0))
    assert contains(moved, sampler.propose(2, 0))


@pytest.mark.parametrize("high", [0.1 + 2 * 0.1, 0.7, 0.1 + 0.6, 0.1 + 7 * 0.1])
def test_a_range_in_steps_keeps_its_last_one(high: float) -> None:
    space = {"x": FloatDistribution(0.1, high, step=0.1)}
    steps = round((high - 0.1) / 0.1) + 1
    proposals = search("tpe", plan(space, 60), lambda n, p: result(n, p, State.FAILED))
    assert len({p["x"] for p in proposals}) == steps
    assert max(p["x"] for p in proposals) == high


@pytest.mark.slow
def test_diverged_trials_repel() -> None:
    """The best values lie beside a cliff: told as failed, as Optuna would, it is invisible."""

    def divergent(state: State, seed: int) -> int:
        def judge(number: int, hyperparameters: dict[str, Value]) -> TrialResult:
            rate = math.log10(hyperparameters["learning_rate"])
            if rate > -3:
                return result(number, hyperparameters, state)
            return result(number, hyperparameters, value=rate)

        proposals = search("tpe", plan(SPACE, 40, study_seed=seed), judge)
        return sum(p["learning_rate"] > 1e-3 for p in proposals)

    seeds = range(5)
    diverged = sum(divergent(State.DIVERGED, seed) for seed in seeds)
    failed = sum(divergent(State.FAILED, seed) for seed in seeds)
    assert diverged < 0.6 * failed


@pytest.mark.slow
@pytest.mark.parametrize(("best", "share"), [((0.3, 0.3), 0.2), ((0.5, 0.5), 0.8)])
def test_tpe_learns_where_trials_are_infeasible(best: tuple[float, float], share: float) -> None:
    """Where x + y > 1 a trial cannot be trained; the best lies inside, or on that edge."""
    space = {"x": FloatDistribution(0.0, 1.0), "y": FloatDistribution(0.0, 1.0)}

    def judge(number: int, point: dict[str, Value]) -> TrialResult:
        x, y = float(point["x"]), float(point["y"])  # type: ignore[arg-type]
        if x + y > 1:
            return result(number, point, State.INFEASIBLE)
        return result(number, point, value=-((x - best[0]) ** 2) - (y - best[1]) ** 2)

    def infeasible(name: str) -> int:
        late = [search(name, plan(space, 80, study_seed=s), judge)[40:] for s in range(20)]
        return sum(p["x"] + p["y"] > 1 for proposals in late for p in proposals)  # type: ignore[operator]

    assert infeasible("tpe") < share * infeasible("random")


@pytest.mark.slow
def test_tpe_finds_more_than_random() -> None:
    def best(name: str, seed: int) -> float:
        proposals = search(name, plan(MIXED, 40, study_seed=seed), lambda n, p: result(
            n, p, value=quality(p)))
        return max(map(quality, proposals))

    assert np.mean([best("tpe", s) for s in range(5)]) > np.mean(
        [best("random", s) for s in range(5)]
    )


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_tpe_goes_where_the_direction_says(direction: Any) -> None:
    sampler = SAMPLERS["tpe"](plan(SPACE, 60, direction=direction))
    late = []
    for number in range(1, 61):
        proposal = sampler.propose(number, trial_seed(0, 1, number))
        rate: Any = proposal["learning_rate"]
        sampler.tell(result(number, proposal, value=math.log10(rate)))
        late += [math.log10(rate)] if number > 40 else []
    middle = np.median(late)
    assert middle > -2.5 if direction == "maximize" else middle < -5.5


# TPE: after the first round it knows the noise.


def hill(noise: float, seed: int, trials: int = 30) -> list[TrialResult]:
    """Return an earlier round about a hill at 1e-4, whose values are noisy or exact."""
    generator = np.random.default_rng(seed)
    rates = 10 ** generator.uniform(-6, -2, trials)
    values = -((np.log10(rates) + 4) ** 2) + noise * generator.normal(size=trials)
    return [
        result(n, {"learning_rate": float(rate)}, value=float(value))
        for n, (rate, value) in enumerate(zip(rates, values, strict=True), start=1)
    ]


def proposals_of_optuna(
    earlier: Sequence[TrialResult], count: int, low: float = 1e-6, high: float = 1e-2
) -> list[dict[str, Value]]:
    """Return Optuna's own proposals for the seeds of `proposals_after`."""
    log_range = optuna.distributions.FloatDistribution(low, high, log=True)
    proposals = []
    for seed in range(count):
        study = optuna.create_study(
            direction="maximize", sampler=optuna.samplers.TPESampler(seed=trial_seed(seed, 1, 1))
        )
        for r in earlier:
            study.add_trial(
                optuna.trial.create_trial(
                    params=dict(r.trial.hyperparameters),
                    value=r.value,
                    distributions={"learning_rate": log_range},
                )
            )
        proposals.append(dict(study.ask({"learning_rate": log_range}).params))
    return proposals


def test_where_values_are_exact_tpe_is_optunas_own() -> None:
    earlier = hill(0.0, seed=0, trials=60)
    assert proposals_after(earlier, SPACE, 5) == proposals_of_optuna(earlier, 5)


def test_trials_outside_the_ranges_tell_how_noisy_those_inside_are() -> None:
    earlier = hill(0.1, seed=0, trials=60)
    near: SearchSpace = {"learning_rate": FloatDistribution(3e-5, 3e-4, log=True)}
    inside = [r for r in earlier if contains(near, r.trial.hyperparameters)]
    optunas = proposals_of_optuna(inside, 5, 3e-5, 3e-4)
    assert proposals_after(inside, near, 5) != optunas  # at the top of the hill noise is all
    assert proposals_after(earlier, near, 5) == optunas


@pytest.mark.slow
def test_where_values_are_noisy_tpe_comes_nearer_to_the_best_than_optunas_own() -> None:
    def depth(proposals: Sequence[dict[str, Value]]) -> float:
        return float(np.mean([(math.log10(p["learning_rate"]) + 4) ** 2 for p in proposals]))

    earlier = [hill(0.6, seed) for seed in range(30)]
    ours = np.mean([depth(proposals_after(results, SPACE, 5)) for results in earlier])
    optunas = np.mean([depth(proposals_of_optuna(results, 5)) for results in earlier])
    assert ours < 0.6 * optunas


def test_the_share_of_good_trials_is_chosen_without_a_warning(
    recwarn: pytest.WarningsRecorder,
) -> None:
    proposals_after(hill(1.2, 0), SPACE, 1)
    assert not recwarn.list


@pytest.mark.parametrize(
    ("ours", "optunas"),
    [
        (FloatDistribution(0.0, 1.0, step=0.25), optuna.distributions.IntDistribution(0, 4)),
        (FloatDistribution(1e-3, 1.0, log=True),
         optuna.distributions.FloatDistribution(1e-3, 1.0, log=True)),
        (IntegerDistribution(1, 8, step=3), optuna.distributions.IntDistribution(1, 7, step=3)),
        (IntegerDistribution(1, 8, log=True), optuna.distributions.IntDistribution(1, 8, log=True)),
        (CategoricalDistribution(("a", "b")), optuna.distributions.CategoricalDistribution((0, 1))),
    ],
)
def test_optuna_has_as_many_values_as_the_range(ours: Distribution, optunas: object) -> None:
    assert optuna_distribution(ours) == optunas
    for unit in np.linspace(0, 1, 9):
        value = ours.from_unit(float(unit))
        assert _ours(ours, optuna_value(ours, value)) == value
