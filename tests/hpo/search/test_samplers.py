import functools
import heapq
import itertools
import math
import random
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import optuna
import pytest
from scipy import stats
from scipy.stats import qmc

from hpo.search.order import ResultsInOrder
from hpo.search.samplers import SAMPLERS, RoundPlan, Sampler
from hpo.search_space import (
    CategoricalDistribution,
    Distribution,
    FloatDistribution,
    IntegerDistribution,
    SearchSpace,
    Value,
    contains,
)
from hpo.trial import State, Trial, TrialResult, trial_seed

DISTRIBUTIONS: dict[str, Distribution] = {
    "linear": FloatDistribution(-2.0, 3.0),
    "log": FloatDistribution(1e-6, 1e-2, log=True),
    "step": FloatDistribution(0.1, 0.7, step=0.1),
    "integer": IntegerDistribution(-3, 12),
    "log_integer": IntegerDistribution(1, 300, log=True),
    "step_integer": IntegerDistribution(2, 20, step=3),
    "choice": CategoricalDistribution(("a", "b", "c")),
    "sizes": CategoricalDistribution(((100,), (50, 50), ())),
    "truth": CategoricalDistribution((False, True)),
}
LOG_RANGES = {
    "learning_rate": FloatDistribution(1e-6, 1e-2, log=True),
    "weight_decay": FloatDistribution(1e-8, 1e-4, log=True),
}
MIXED = {
    "learning_rate": FloatDistribution(1e-4, 1e1, log=True),
    "dropout_rate": FloatDistribution(0.0, 0.5, step=0.1),
    "units": IntegerDistribution(4, 256, log=True),
    "sizes": CategoricalDistribution(((100,), (50, 50), (20, 20, 20))),
}
BY_NUMBER = [name for name, kind in SAMPLERS.items() if not kind.learns]


def plan(space: SearchSpace, trials: int = 20, **changes: Any) -> RoundPlan:
    return replace(RoundPlan(space, "maximize", study_seed=0, round=1, trials=trials), **changes)


def result(
    number: int,
    hyperparameters: dict[str, Value],
    state: State = State.COMPLETE,
    value: float | None = None,
    round_: int = 1,
) -> TrialResult:
    epochs = () if state is State.FAILED else ({"accuracy": value or 0.0},) * 3
    kept = value if state in (State.COMPLETE, State.PRUNED) else None
    trial = Trial(round_, number, hyperparameters, seed=0)
    return TrialResult(trial, state, kept, 3 if kept is not None else None, epochs)


def search(
    name: str, round_plan: RoundPlan, judge: Callable[[int, dict[str, Value]], TrialResult]
) -> list[dict[str, Value]]:
    """Return the proposals of a round whose trials run one after another."""
    sampler = SAMPLERS[name](round_plan)
    proposals = []
    for number in range(1, round_plan.trials + 1):
        proposal = sampler.propose(number, trial_seed(round_plan.study_seed, 1, number))
        proposals.append(proposal)
        sampler.tell(judge(number, proposal))
    return proposals


def quality(hyperparameters: dict[str, Value]) -> float:
    """Best at a learning rate of 0.1, 32 units, (50, 50) and a dropout rate of 0.2."""
    distance = math.log10(hyperparameters["learning_rate"]) + 1
    units = math.log2(hyperparameters.get("units", 32)) - 5
    dropout = hyperparameters.get("dropout_rate", 0.2) - 0.2
    return -(distance**2) - units**2 / 4 - 5 * dropout**2 - (
        hyperparameters.get("sizes", (50, 50)) != (50, 50)
    )


def judged(number: int, hyperparameters: dict[str, Value]) -> TrialResult:
    """Return a result that is a function of the trial alone, of every state in turn."""
    value = quality(hyperparameters)
    if hyperparameters["learning_rate"] > 3:
        return result(number, hyperparameters, State.DIVERGED)
    if number % 11 == 0:
        return result(number, hyperparameters, State.FAILED)
    if number % 5 == 0:
        return result(number, hyperparameters, State.PRUNED, value - 1)
    return result(number, hyperparameters, State.COMPLETE, value)


# Every sampler.


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("kind", [*DISTRIBUTIONS, "all"])
def test_proposals_are_values_of_the_space(name: str, kind: str) -> None:
    space = DISTRIBUTIONS if kind == "all" else {kind: DISTRIBUTIONS[kind]}
    trials = 30
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what Optuna or SciPy adjusts, they do not say in vain
        proposals = search(
            name, plan(space, trials), lambda n, p: result(n, p, value=math.sin(n))
        )
    for proposal in proposals:
        assert list(proposal) == list(space)
        assert contains(space, proposal)
        for name_, value in proposal.items():
            d = space[name_]
            expected = {FloatDistribution: float, IntegerDistribution: int}.get(type(d))
            assert expected is None or type(value) is expected
            if isinstance(d, CategoricalDistribution):
                assert any(value is choice for choice in d.choices)
            elif isinstance(d, FloatDistribution) and d.step:
                steps = (value - d.low) / d.step
                assert steps == pytest.approx(round(steps), abs=1e-9)
    if kind != "all":
        assert len({repr(p) for p in proposals}) > 1


@pytest.mark.parametrize("name", SAMPLERS)
def test_same_plan_and_seeds_same_proposals_whatever_the_process_drew(name: str) -> None:
    found = []
    for seed in (0, 1):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        found.append(search(name, plan(MIXED, 25), judged))
    assert found[0] == found[1]


@pytest.mark.parametrize("name", SAMPLERS)
def test_another_seed_or_round_other_proposals(name: str) -> None:
    here = search(name, plan(MIXED), judged)
    assert search(name, plan(MIXED, study_seed=1), judged) != here
    if name in ("grid", "qmc"):  # the others take it from the seed of the trial
        assert search(name, plan(MIXED, round=2), judged) != here


@pytest.mark.parametrize("name", BY_NUMBER)
def test_without_history_a_proposal_follows_from_its_number(name: str) -> None:
    proposals = search(name, plan(MIXED, 25), judged)
    order = random.Random(0).sample(range(1, 26), 25)
    one = SAMPLERS[name](plan(MIXED, 25))
    for number in order:
        one.replay(number % 25 + 1, proposals[0])
        one.tell(result(number, proposals[0], State.FAILED))
        assert one.propose(number, trial_seed(0, 1, number)) == proposals[number - 1]
        fresh = SAMPLERS[name](plan(MIXED, 25, earlier=[result(1, proposals[3], value=1.0)]))
        assert fresh.propose(number, trial_seed(0, 1, number)) == proposals[number - 1]


# Random.


def test_random_is_uniform_on_the_scale() -> None:
    space = {"log": LOG_RANGES["learning_rate"], "linear": DISTRIBUTIONS["linear"]}
    proposals = search("random", plan(space, 2000), lambda n, p: result(n, p))
    logs = np.log10([p["log"] for p in proposals])
    assert stats.kstest(logs, stats.uniform(-6, 4).cdf).pvalue > 0.01
    assert stats.kstest([p["linear"] for p in proposals], stats.uniform(-2, 5).cdf).pvalue > 0.01


def test_random_takes_every_choice_and_number_equally_often() -> None:
    space = {"choice": DISTRIBUTIONS["choice"], "integer": DISTRIBUTIONS["integer"]}
    proposals = search("random", plan(space, 3200), lambda n, p: result(n, p))
    for name, count in (("choice", 3), ("integer", 16)):
        _, counts = np.unique([p[name] for p in proposals], return_counts=True)
        assert len(counts) == count
        assert stats.chisquare(counts).pvalue > 0.01


def test_seeds_of_neighboring_trials_and_studies_are_unrelated() -> None:
    sampler = SAMPLERS["random"](plan({"x": FloatDistribution(0.0, 1.0)}))
    draws = np.array([
        [sampler.propose(number, trial_seed(seed, 1, number))["x"] for number in range(1, 401)]
        for seed in range(5)
    ])
    for seed, other in itertools.combinations(range(5), 2):
        assert abs(np.corrcoef(draws[seed], draws[other])[0, 1]) < 0.2
    for row in draws:
        assert abs(np.corrcoef(row[:-1], row[1:])[0, 1]) < 0.2


# Grid.

GRIDS: dict[str, tuple[SearchSpace, list[int]]] = {
    "one range": ({"a": FloatDistribution(0.0, 1.0)}, [7]),
    "two ranges": (LOG_RANGES, [5, 5]),
    "uneven": (LOG_RANGES, [5, 4]),
    "choices first": ({"c": DISTRIBUTIONS["choice"], "a": FloatDistribution(1.0, 2.0)}, [3, 4]),
    "short integers": (
        {"i": IntegerDistribution(1, 3), "a": FloatDistribution(1e-3, 1.0, log=True)}, [3, 6],
    ),
    "log integers, all": ({"i": IntegerDistribution(1, 9, log=True)}, [9]),
    "log integers, some": ({"i": IntegerDistribution(1, 300, log=True)}, [20]),
    "steps": ({"s": FloatDistribution(0.1, 0.7, step=0.1)}, [7]),
    "some steps": ({"s": FloatDistribution(0.0, 1.0, step=0.1)}, [4]),
    "steps of integers": ({"s": IntegerDistribution(2, 20, step=3)}, [7]),
    "some steps of integers": ({"s": IntegerDistribution(2, 20, step=3)}, [4]),
    "lists": ({"sizes": DISTRIBUTIONS["sizes"], "truth": DISTRIBUTIONS["truth"]}, [3, 2]),
}


@pytest.mark.parametrize("case", GRIDS)
def test_a_full_grid_is_covered_exactly_once(case: str) -> None:
    space, sizes = GRIDS[case]
    trials = math.prod(sizes)
    proposals = search("grid", plan(space, trials), lambda n, p: result(n, p))
    assert len({repr(p) for p in proposals}) == trials
    for (name, d), size in zip(space.items(), sizes, strict=True):
        values = {p[name] for p in proposals}
        assert len(values) == size
        if isinstance(d, CategoricalDistribution):
            assert values == set(d.choices)
            continue
        assert (min(values), max(values)) == (d.low, d.high)
        if isinstance(d, FloatDistribution) and d.step is None:
            units = sorted(map(d.to_unit, values))
            assert units == pytest.approx(np.linspace(0, 1, size))


def test_grid_takes_each_trial_from_another_place() -> None:
    orders = {
        tuple(repr(p) for p in search("grid", changed, lambda n, p: result(n, p)))
        for changed in (plan(LOG_RANGES, 25), plan(LOG_RANGES, 25, study_seed=1),
                        plan(LOG_RANGES, 25, round=2))
    }
    assert len(orders) == 3
    assert len({frozenset(order) for order in orders}) == 1


def test_grid_where_trials_do_not_fill_it_takes_no_point_twice() -> None:
    proposals = search("grid", plan(LOG_RANGES, 40), lambda n, p: result(n, p))
    assert len({repr(p) for p in proposals}) == 40
    assert {len({p[name] for p in proposals}) for name in LOG_RANGES} == {6, 7}


def test_grid_begins_again_where_there_is_no_more() -> None:
    space = {"truth": DISTRIBUTIONS["truth"]}
    proposals = search("grid", plan(space, 6), lambda n, p: result(n, p))
    assert proposals[:2] * 3 == proposals


def test_grid_of_more_points_than_memory_holds() -> None:
    ten = CategoricalDistribution(tuple(range(10)))
    space = {f"choice_{index}": ten for index in range(15)}
    proposals = search("grid", plan(space, 30), lambda n, p: result(n, p))
    assert len({repr(p) for p in proposals}) == 30


# Quasi-Monte Carlo.


@pytest.mark.parametrize("dimensions", [1, 2, 5])
def test_qmc_is_scipys_sobol_sequence(dimensions: int) -> None:
    space = {f"x{index}": FloatDistribution(0.0, 1.0) for index in range(dimensions)}
    proposals = search("qmc", plan(space, 64, study_seed=3, round=2), lambda n, p: result(n, p))
    sequence = qmc.Sobol(dimensions, scramble=True, rng=np.random.default_rng((3, 2)))
    assert np.array([list(p.values()) for p in proposals]).tolist() == sequence.random(64).tolist()


def test_qmc_far_out() -> None:
    sampler = SAMPLERS["qmc"](plan(LOG_RANGES))
    assert contains(LOG_RANGES, sampler.propose(100_000, 0))


def test_qmc_covers_a_log_space_better_than_random() -> None:
    def discrepancy(name: str, seed: int) -> float:
        proposals = search(name, plan(LOG_RANGES, 64, study_seed=seed), lambda n, p: result(n, p))
        units = [[d.to_unit(p[n]) for n, d in LOG_RANGES.items()] for p in proposals]
        return float(qmc.discrepancy(units))

    worst = max(discrepancy("qmc", seed) for seed in range(5))
    assert worst < min(discrepancy("random", seed) for seed in range(5)) / 2


# TPE: a trial is a pure function of its identity.


def window(
    round_plan: RoundPlan,
    parallel: int,
    lengths: Callable[[int], float],
    known: Sequence[TrialResult] = (),
    stop_at: float = math.inf,
) -> tuple[dict[int, dict[str, Value]], list[TrialResult]]:
    """Run a round in simulated time, as the service does; return its proposals and results.

    At most `parallel` trials run at once; the next one is proposed when the results it may know
    are there, whatever else is. What is `known` does not run again; at `stop_at` everything
    running is lost.
    """
    sampler: Sampler = SAMPLERS["tpe"](round_plan)
    ended = [*known]
    results = ResultsInOrder(parallel, ended)
    proposals: dict[int, dict[str, Value]] = {}
    running: list[tuple[float, int]] = []
    proposed = told = 0
    now = 0.0
    while True:
        while proposed < round_plan.trials and len(running) < parallel:
            number = proposed + 1
            if not results.are_ready_for(number):
                break
            proposed = number
            for known_result in results.known_to(number, after=told):
                told += 1
                sampler.tell(known_result)
            earlier = results.get(number)
            if earlier is not None:
                proposals[number] = dict(earlier.trial.hyperparameters)
                sampler.replay(number, proposals[number])
                continue
            proposals[number] = sampler.propose(number, trial_seed(0, 1, number))
            heapq.heappush(running, (now + lengths(number), number))
        if not running:
            break
        now, number = heapq.heappop(running)
        if now > stop_at:
            break
        ended.append(judged(number, proposals[number]))
        results.add(ended[-1])
    return proposals, ended


def lengths(seed: int) -> Callable[[int], float]:
    """Return lengths of trials that differ by a factor of a hundred, in another way each seed."""
    return lambda number: random.Random(f"{seed} {number}").uniform(0.01, 1.0)


STOPS = (0.5, 1.7, 3.1, 4.9)
EARLIER = [
    result(n, {"learning_rate": 10 ** (n / 4 - 3), "dropout_rate": 0.1 * (n % 6), "units": 4 + n,
               "sizes": MIXED["sizes"].choices[n % 3]},
           (State.COMPLETE, State.PRUNED, State.DIVERGED)[n % 3], -n / 10)
    for n in range(1, 9)
]


@functools.cache
def undisturbed(parallel: int, earlier: bool) -> dict[int, dict[str, Value]]:
    return window(tpe_plan(earlier), parallel, lambda number: 1.0)[0]


def tpe_plan(earlier: bool) -> RoundPlan:
    return plan(MIXED, 40, earlier=EARLIER if earlier else [])


@pytest.mark.slow
@pytest.mark.parametrize("earlier", [False, True])
@pytest.mark.parametrize("parallel", [1, 2, 4, 9])
def test_tpe_does_not_depend_on_when_trials_end(parallel: int, earlier: bool) -> None:
    expected = undisturbed(parallel, earlier)
    assert len({repr(p) for p in expected.values()}) > 30
    orders = set()
    for seed in range(3):
        proposals, results = window(tpe_plan(earlier), parallel, lengths(seed))
        assert proposals == expected
        orders.add(tuple(r.trial.number for r in results))
    assert len(orders) == (1 if parallel == 1 else 3)


def test_tpe_depends_on_how_many_run_at_once_and_on_what_came_before() -> None:
    assert undisturbed(1, False) != undisturbed(4, False)
    assert undisturbed(4, True) != undisturbed(4, False)


@pytest.mark.slow
@pytest.mark.parametrize("earlier", [False, True])
@pytest.mark.parametrize("stop_at", STOPS)
def test_tpe_rebuilt_half_way_goes_on_as_if_undisturbed(stop_at: float, earlier: bool) -> None:
    parallel = 4
    _, kept = window(tpe_plan(earlier), parallel, lengths(1), stop_at=stop_at)
    numbers = {r.trial.number for r in kept}
    assert 0 < len(numbers) < 40
    proposals, results = window(tpe_plan(earlier), parallel, lengths(2), known=kept)
    assert proposals == undisturbed(parallel, earlier)
    assert len(results) == 40


@pytest.mark.slow
def test_the_trials_of_these_simulations_end_in_every_way() -> None:
    _, results = window(tpe_plan(False), 4, lengths(1))
    assert {r.state for r in results} == set(State)
    gaps = []
    for stop_at in STOPS:
        _, kept = window(tpe_plan(False), 4, lengths(1), stop_at=stop_at)
        numbers = {r.trial.number for r in kept}
        gaps += set(range(1, max(numbers))) - numbers
    assert gaps  # some were still running when later ones had ended


# TPE: what counts.


def far_from(name: str, value: float, proposals: Sequence[dict[str, Value]]) -> float:
    """Return the median distance of the proposals from a value, in tens."""
    return float(np.median([abs(math.log10(p[name] / value)) for p in proposals]))


def proposals_after(
    earlier: Sequence[TrialResult], space: SearchSpace, count: int = 40
) -> list[dict[str, Value]]:
    """Return first proposals of rounds that know these results, for many seeds."""
    return [
        SAMPLERS["tpe"](plan(space, earlier=earlier)).propose(1, trial_seed(seed, 1, 1))
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


def proposals_of_optuna(earlier: Sequence[TrialResult], count: int) -> list[dict[str, Value]]:
    """Return Optuna's own proposals for the seeds of `proposals_after`."""
    log_range = optuna.distributions.FloatDistribution(1e-6, 1e-2, log=True)
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
