"""Every sampler proposes values of the space, the same for the same seed."""

import itertools
import math
import random
import warnings

import numpy as np
import pytest
from scipy import stats
from scipy.stats import qmc

from hpo.distributions import (
    CategoricalDistribution,
    Distribution,
    FloatDistribution,
    IntegerDistribution,
    OrderedDistribution,
)
from hpo.search.samplers import SAMPLERS
from hpo.search_space import SearchSpace, contains
from hpo.trial import State, trial_seed
from tests.hpo.search.sampling import LOG_RANGES, MIXED, NAMES, judged, plan, result, search

DISTRIBUTIONS: dict[str, Distribution] = {
    "linear": FloatDistribution(-2.0, 3.0),
    "log": FloatDistribution(1e-6, 1e-2, log=True),
    "step": FloatDistribution(0.1, 0.7, step=0.1),
    "integer": IntegerDistribution(-3, 12),
    "log_integer": IntegerDistribution(1, 300, log=True),
    "step_integer": IntegerDistribution(2, 20, step=3),
    "choice": CategoricalDistribution(("a", "b", "c")),
    "sizes": CategoricalDistribution(((100,), (50, 50), ())),
    "ordered": OrderedDistribution.of((16, 32, 64, 128)),
    "truth": CategoricalDistribution((False, True)),
}
BY_NUMBER = [name for name, kind in SAMPLERS.items() if not kind.learns]


# Every sampler.


@pytest.mark.parametrize("name", NAMES)
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
            elif isinstance(d, FloatDistribution) and not d.step:
                assert value == d.readable(value)
            elif isinstance(d, FloatDistribution):
                assert d.step
                steps = (value - d.low) / d.step
                assert steps == pytest.approx(round(steps), abs=1e-9)
    if kind != "all":
        assert len({repr(p) for p in proposals}) > 1


@pytest.mark.parametrize("name", NAMES)
def test_same_plan_and_seeds_same_proposals_whatever_the_process_drew(name: str) -> None:
    found = []
    for seed in (0, 1):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        found.append(search(name, plan(MIXED, 25), judged))
    assert found[0] == found[1]


@pytest.mark.parametrize("name", NAMES)
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
    exact = plan(space, trials, rounded=False)
    proposals = search("grid", exact, lambda n, p: result(n, p))
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
    exact = plan(space, 64, study_seed=3, round=2, rounded=False)
    proposals = search("qmc", exact, lambda n, p: result(n, p))
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
