"""Samplers and narrowing keep their promises where hyperparameters depend on each other."""

import random
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntegerDistribution,
    Value,
    describe,
)
from hpo.errors import InputError
from hpo.search.narrowing import narrow
from hpo.search.recommendation import recommend
from hpo.search.round_plan import RoundPlan
from hpo.search.samplers import SAMPLERS
from hpo.search.surface import MINIMUM_TRIALS
from hpo.search_space import SearchSpace, contains, parts_of, point
from hpo.trial import State, TrialResult, rank, trial_seed
from tests.fuzzing import examples
from tests.hpo.search.conditional_spaces import conditional_spaces, without_a_corner
from tests.hpo.search.sampling import MIXED, NAMES, plan, result, search
from tests.hpo.search.test_narrowing_properties import check_move

TRIALS, PARALLEL = 14, 3
OPTIMIZERS: SearchSpace = {
    "rate": FloatDistribution(1e-5, 1.0, log=True),
    "momentum": FloatDistribution(0.0, 0.99, when=(("optimizer", ("sgd", "nesterov")),)),
    "optimizer": CategoricalDistribution(("sgd", "nesterov", "adam")),
}


def judge(space: SearchSpace, number: int, values: dict[str, Value]) -> TrialResult:
    """Return a result that is a function of the trial alone, of every state in turn."""
    units = [space[name].to_unit(value) for name, value in values.items()]  # type: ignore[arg-type]
    value = sum((unit - 0.3) ** 2 for unit in units)
    state = {5: State.PRUNED, 7: State.DIVERGED, 11: State.FAILED}.get(number, State.COMPLETE)
    return result(number, values, state, value)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=examples(15, 500), deadline=None)
@given(space=conditional_spaces(), refuses=st.booleans())
def test_proposals_lie_in_the_space_and_can_be_trained_with(
    name: str, space: SearchSpace, refuses: bool
) -> None:
    accepts = without_a_corner(space) if refuses else None
    given_plan = plan(space, TRIALS, accepts=accepts)
    proposals = search(name, given_plan, lambda n, values: judge(space, n, values))
    for proposal in proposals:
        assert contains(space, proposal)
        assert list(proposal) == [n for n in space if n in proposal]
        assert accepts is None or accepts(proposal)
    assert search(name, given_plan, lambda n, values: judge(space, n, values)) == proposals
    if name == "grid":
        found = [repr(proposal) for proposal in proposals]
        different = len(set(found))
        assert found == [found[n % different] for n in range(TRIALS)]  # it begins again, once done


@settings(max_examples=examples(10, 500), deadline=None)
@given(space=conditional_spaces(), refuses=st.booleans())
def test_a_round_that_goes_on_from_the_record_is_proposed_as_one_that_never_stopped(
    space: SearchSpace, refuses: bool
) -> None:
    accepts = without_a_corner(space) if refuses else None
    given_plan = plan(space, TRIALS, accepts=accepts)
    live = SAMPLERS["tpe"](given_plan)
    results: list[TrialResult] = []
    for number in range(1, TRIALS + 1):
        if number > PARALLEL:
            live.tell(results[number - PARALLEL - 1])
        proposal = live.propose(number, trial_seed(0, 1, number))
        if number > TRIALS - 4:
            assert proposal_from_the_record(given_plan, results) == proposal
        results.append(judge(space, number, proposal))


def proposal_from_the_record(
    given_plan: RoundPlan, results: list[TrialResult]
) -> dict[str, Value]:
    """Return what is proposed after these trials by a sampler that was not there."""
    sampler = SAMPLERS["tpe"](given_plan)
    for r in results:
        if r.trial.number > PARALLEL:
            sampler.tell(results[r.trial.number - PARALLEL - 1])
        sampler.replay(r.trial.number, r.trial.hyperparameters)
    number = len(results) + 1
    sampler.tell(results[number - PARALLEL - 1])
    return sampler.propose(number, trial_seed(0, 1, number))


@settings(max_examples=examples(25, 2000), deadline=None)
@given(conditional_spaces(), st.integers(0, 10**6), st.randoms(use_true_random=False))
def test_a_proposal_of_ranges_is_sound(
    space: SearchSpace, seed: int, shuffler: random.Random
) -> None:
    generator = np.random.default_rng(seed)
    results = []
    for number in range(1, int(generator.integers(1, 40)) + 1):
        values = point(space, {name: generator.random() for name in space})
        results.append(judge(space, number % 12, values))
        trial = replace(results[-1].trial, number=number)
        results[-1] = replace(results[-1], trial=trial)
    moves = narrow(space, results, "minimize")
    assert [move.name for move in moves] == list(space)
    for move in moves:
        check_move(move)
        assert move.new.when == move.old.when
        parts = parts_of(move.old.part_of, space) or [move.name]
        if sum(any(p in r.trial.hyperparameters for p in parts) for r in results) < MINIMUM_TRIALS:
            assert move.kind == "kept"
    ranges = [describe(replace(m.new, when=())) for m in moves if m.old.part_of]
    assert len(set(ranges)) <= 1
    best = rank(results, "minimize")[:1]
    if best and len(results) >= MINIMUM_TRIALS + 3:
        assert contains({move.name: move.new for move in moves}, best[0].trial.hyperparameters)
    recommended = recommend(space, results, (), "minimize")
    assert (recommended is None) == (not best)
    shuffler.shuffle(results)
    assert repr(narrow(space, results, "minimize")) == repr(moves)


def trials_of_optimizers(count: int, seed: int) -> list[TrialResult]:
    """Return trials where Adam is best at small rates, and momentum .8 best where there is one."""
    generator = np.random.default_rng(seed)
    results = []
    for number in range(1, count + 1):
        values = point(OPTIMIZERS, {name: generator.random() for name in OPTIMIZERS})
        exponent = np.log10(values["rate"])  # type: ignore[arg-type]
        loss = (exponent + (3 if values["optimizer"] == "adam" else 1)) ** 2 / 4
        if "momentum" in values:
            loss += 20 * (values["momentum"] - 0.8) ** 2 + 0.5  # type: ignore[operator]
        results.append(result(number, values, value=float(loss)))
    return results


def test_a_conditional_range_is_judged_by_the_trials_that_have_it() -> None:
    results = trials_of_optimizers(80, seed=1)
    (momentum,) = (m for m in narrow(OPTIMIZERS, results, "minimize") if m.name == "momentum")
    have = [r for r in results if "momentum" in r.trial.hyperparameters]
    assert 40 < len(have) < 70
    assert momentum.kind == "narrowed"
    assert momentum.p_value < 1e-6
    assert f"the best 3 of {len(have)} trials used" in momentum.reason
    scale = momentum.new
    assert isinstance(scale, FloatDistribution)
    assert 0.4 < scale.low < 0.8 < scale.high


def test_the_parts_of_one_share_a_range_and_what_is_known_of_it() -> None:
    space: SearchSpace = {
        "layers": IntegerDistribution(1, 4, limits=(1, 4)),
        **{
            f"width.{n}": IntegerDistribution(
                8, 512, log=True, part_of="width", when=(("layers", tuple(range(n, 5))),) * (n > 1)
            )
            for n in range(1, 5)
        },
    }
    generator = np.random.default_rng(3)
    results = []
    for number in range(1, 61):
        values = point(space, {name: generator.random() for name in space})
        widths = [np.log2(v) - 6 for n, v in values.items() if n != "layers"]  # type: ignore[arg-type]
        value = float(np.mean(np.square(widths)))
        results.append(result(number, values, value=value))
    moves = {m.name: m for m in narrow(space, results, "minimize")}
    assert sum("width.4" in r.trial.hyperparameters for r in results) < 25
    for number in range(1, 5):
        move = moves[f"width.{number}"]
        assert move.kind == "narrowed"
        assert move.p_value == moves["width.1"].p_value < 1e-6
        assert isinstance(move.new, IntegerDistribution)
        assert 16 < move.new.low < 64 < move.new.high < 256
        assert move.new.when == move.old.when
        assert "the best 3 of 60 trials used" in move.reason


def test_what_others_depend_on_is_judged_together_with_them() -> None:
    moves = {m.name: m for m in narrow(OPTIMIZERS, trials_of_optimizers(80, seed=1), "minimize")}
    assert moves["optimizer"].p_value < 0.001


def test_infeasible_trials_say_nothing_of_where_the_best_lies() -> None:
    results = trials_of_optimizers(60, seed=4)
    moves = narrow(OPTIMIZERS, results, "minimize")
    generator = np.random.default_rng(0)
    infeasible = [
        result(n, point(OPTIMIZERS, {name: generator.random() for name in OPTIMIZERS}),
               State.INFEASIBLE)
        for n in range(61, 81)
    ]
    assert narrow(OPTIMIZERS, [*results, *infeasible], "minimize") == moves


def test_what_few_trials_have_keeps_its_range() -> None:
    rare: SearchSpace = {
        "kind": CategoricalDistribution(("a", "b", "c", "d")),
        "depth": IntegerDistribution(1, 20, when=(("kind", ("a",)),)),
    }
    generator = np.random.default_rng(0)
    results = [
        result(n, point(rare, {name: generator.random() for name in rare}), value=float(n))
        for n in range(1, 21)
    ]
    count = sum("depth" in r.trial.hyperparameters for r in results)
    (depth,) = (m for m in narrow(rare, results, "minimize") if m.name == "depth")
    assert 1 < count < MINIMUM_TRIALS
    assert depth.kind == "kept"
    assert depth.reason == f"only {count} trials have a value for it; at least 10 are needed"


def test_a_choice_is_judged_by_what_it_is_with_the_best_of_its_own() -> None:
    results = trials_of_optimizers(120, seed=2)
    moves = {m.name: m for m in narrow(OPTIMIZERS, results, "minimize")}
    optimizers = moves["optimizer"].new
    assert isinstance(optimizers, CategoricalDistribution)
    assert "adam" in optimizers.choices  # by .5 the best, where each has its own rate


@pytest.mark.parametrize("name", NAMES)
def test_where_nothing_can_be_trained_with_there_is_an_error(name: str) -> None:
    looked = 0

    def accepts(values: Mapping[str, Value]) -> bool:
        nonlocal looked
        looked += 1
        return False

    sampler = SAMPLERS[name](plan(OPTIMIZERS, accepts=accepts))
    with pytest.raises(InputError, match=r"none of (the )?\d+ points .*; widen the ranges"):
        sampler.propose(1, 0)
    assert looked < 500_000  # a few seconds


@pytest.mark.parametrize("name", ["random", "qmc", "tpe"])
def test_what_is_rare_is_found(name: str) -> None:
    def accepts(values: dict[str, Value]) -> bool:
        return values["optimizer"] == "adam" and values["rate"] > 0.3  # type: ignore[operator]

    judged_plan = plan(OPTIMIZERS, 30, accepts=accepts)
    proposals = search(name, judged_plan, lambda n, values: judge(OPTIMIZERS, n, values))
    assert all(map(accepts, proposals))
    assert len({repr(p) for p in proposals}) > 20


@pytest.mark.parametrize("name", NAMES)
def test_points_that_nothing_is_refused_of_are_those_of_a_plan_that_does_not_ask(
    name: str
) -> None:
    for space in (OPTIMIZERS, MIXED):
        trained = partial(judge, space)
        asked = search(name, plan(space, 20, accepts=lambda values: True), trained)
        assert asked == search(name, plan(space, 20), trained)


def test_of_a_large_grid_no_more_points_are_looked_at_than_are_taken() -> None:
    looked = 0

    def accepts(values: Mapping[str, Value]) -> bool:
        nonlocal looked
        looked += 1
        return True

    ten = CategoricalDistribution(tuple(range(10)))
    space = {f"choice_{index}": ten for index in range(15)}
    proposals = search("grid", plan(space, 30, accepts=accepts), partial(judge, space))
    assert len({repr(p) for p in proposals}) == 30
    assert looked < 100
