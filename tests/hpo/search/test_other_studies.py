"""Trials of other studies, on scales of their own, inform proposals and ranges by their order."""

from dataclasses import replace
from typing import Any

import numpy as np

from hpo.distributions import FloatDistribution, IntegerDistribution
from hpo.search.narrowing import narrow
from hpo.search.round_plan import RoundPlan
from hpo.search.surface import Observations, ranked_points
from hpo.search.tpe import TPESampler, by_share
from hpo.search_space import SearchSpace
from hpo.trial import State, Trial, TrialResult, trial_seed

SPACE: SearchSpace = {
    "rate": FloatDistribution(1e-4, 1.0, log=True),
    "layers": IntegerDistribution(1, 4),
    "width": IntegerDistribution(8, 64, log=True, when=(("layers", (2, 3, 4)),)),
}


def result(trial: Trial, value: float, state: State = State.COMPLETE) -> TrialResult:
    return TrialResult(trial, state, value if state is State.COMPLETE else None)


def hill(rate: float, top: float = 0.3) -> float:
    """Return a value to be minimized, best where the unit of the rate is `top`."""
    return (SPACE["rate"].to_unit(rate) - top) ** 2  # type: ignore[arg-type]


def source(number: int, scale: float, top: float = 0.3, seed: int = 0) -> list[TrialResult]:
    generator = np.random.default_rng(seed)
    trials = []
    for n in range(1, number + 1):
        rate = SPACE["rate"].from_unit(float(generator.random()))
        values = {"rate": rate, "layers": 1 if n % 2 else 3}
        if n % 2 == 0:
            values["width"] = 16
        trials.append(result(Trial(0, n, values, 0), scale * hill(rate, top) + scale))  # type: ignore[arg-type]
    return trials


def plan(**changes: Any) -> RoundPlan:
    return replace(RoundPlan(SPACE, "minimize", 0, 1, 30, others=[source(30, 100.0)]), **changes)


def test_a_proposal_is_the_same_live_and_from_the_record() -> None:
    live, told = TPESampler(plan()), 0
    results: list[TrialResult] = []
    for number in range(1, 25):
        while told < number - 3:  # three at once
            live.tell(results[told])
            told += 1
        seed = trial_seed(0, 1, number)
        hyperparameters = live.propose(number, seed)
        again = TPESampler(plan())
        count = 0
        for known in results:
            while count < known.trial.number - 3:
                again.tell(results[count])
                count += 1
            again.replay(known.trial.number, known.trial.hyperparameters)
        while count < number - 3:
            again.tell(results[count])
            count += 1
        assert again.propose(number, seed) == hyperparameters
        state = State.DIVERGED if number % 7 == 0 else State.COMPLETE
        rate = hyperparameters["rate"]
        assert isinstance(rate, float)
        results.append(result(Trial(1, number, hyperparameters, seed), hill(rate), state))


def test_of_values_on_another_scale_only_the_order_counts() -> None:
    seeds = [trial_seed(0, 1, number) for number in range(1, 6)]
    proposals = []
    for scale in (1.0, 1e6):
        sampler = TPESampler(plan(others=[source(30, scale)]))
        proposals.append([sampler.propose(n, seed) for n, seed in enumerate(seeds, start=1)])
    assert proposals[0] == proposals[1]
    assert proposals[0] != [
        TPESampler(plan(others=[])).propose(n, seed) for n, seed in enumerate(seeds, start=1)
    ]


def test_shares_keep_the_order() -> None:
    trials = source(9, 3.0)
    equal = [*trials, replace(trials[0], trial=replace(trials[0].trial, number=10))]
    shared = by_share([*equal, result(Trial(0, 11, {}, 0), 0, State.DIVERGED)])
    values = [r.value for r in equal]
    shares = [r.value for r in shared[:-1]]
    assert np.argsort(values, kind="stable").tolist() == np.argsort(shares, kind="stable").tolist()
    assert all(share is not None and 0 < share < 1 for share in shares)
    assert shares[0] == shares[-1]
    assert shared[-1].value is None


def test_other_trials_fade_with_every_own_one() -> None:
    sampler = TPESampler(plan(others=[source(8, 100.0)]))
    for number in range(1, 5):
        seed = trial_seed(0, 1, number)
        hyperparameters = sampler.propose(number, seed)
        sampler.tell(result(Trial(1, number, hyperparameters, seed), 1.0))
    assert sampler._merged() is sampler._study


def test_ranges_follow_the_order_of_others_and_the_own_best() -> None:
    """Own trials all lie near the top: by their own order alone half of them are bad."""
    others = [source(40, 50.0)]
    generator = np.random.default_rng(1)
    own = []
    for n in range(1, 16):
        unit = float(np.clip(generator.normal(0.3, 0.03), 0, 1))
        rate = SPACE["rate"].from_unit(unit)
        own.append(result(Trial(1, n, {"rate": rate, "layers": 1}, n), hill(rate)))
    (move, *_) = narrow(SPACE, own, "minimize", others=others)
    assert isinstance(move.new, FloatDistribution)
    low, high = (SPACE["rate"].to_unit(edge) for edge in (move.new.low, move.new.high))  # type: ignore[arg-type]
    assert 0.0 <= low < 0.3 < high < 0.6
    alone = narrow(SPACE, own, "minimize")
    assert alone[0].new != move.new
    ranked = ranked_points(SPACE, own, "minimize", {}, others)
    assert {trial.group for trial in ranked} == {0, 1}
    assert [t.rank for t in ranked] == sorted(t.rank for t in ranked)
    surface = Observations(SPACE, ranked).surface
    heights, _ = surface.expected(np.array([[0.3, 0.0, 0.5], [0.9, 0.0, 0.5]]))
    assert heights[0] > heights[1] + 0.5


def test_the_best_of_other_data_holds_no_edge() -> None:
    others = [source(40, 50.0, top=0.9)]
    generator = np.random.default_rng(2)
    own = []
    for n in range(1, 31):
        rate = SPACE["rate"].from_unit(float(generator.random()))
        own.append(result(Trial(1, n, {"rate": rate, "layers": 1}, n), hill(rate, 0.1)))
    (move, *_) = narrow(SPACE, own, "minimize", others=others)
    assert isinstance(move.new, FloatDistribution)
    best = min(own, key=lambda r: r.value or 0.0).trial.hyperparameters["rate"]
    assert isinstance(best, float)
    assert move.new.low <= best <= move.new.high
    # They contradict each other, so that together they would say that nothing matters.
    (alone, *_) = narrow(SPACE, own, "minimize")
    assert move == replace(
        alone, reason=f"{alone.reason}; another study contradicts these trials and is ignored"
    )
    (two, *_) = narrow(SPACE, own, "minimize", others=[*others, *others, source(40, 2.0, top=0.1)])
    assert two.reason.endswith("; 2 other studies contradict these trials and are ignored")
    assert two.kind != "kept"
