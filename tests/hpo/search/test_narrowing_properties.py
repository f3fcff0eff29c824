"""Whatever the results, a proposal is sound and follows from their order alone."""

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntegerDistribution,
    OrderedDistribution,
    scale_of,
    with_range,
)
from hpo.search.narrowing import MINIMUM_FACTOR, Move, narrow
from hpo.search.surface import MINIMUM_TRIALS
from hpo.search_space import SearchSpace, contains, point
from hpo.trial import State, TrialResult, rank
from tests.fuzzing import examples
from tests.hpo.search.narrowing_rounds import DECAY, RATE, by_name, random_round, result, search

DISTRIBUTIONS: SearchSpace = {
    "rate": FloatDistribution(1e-5, 1e-1, log=True, limits=(1e-6, 1.0)),
    "momentum": FloatDistribution(0.0, 0.9),
    "units": IntegerDistribution(8, 256, log=True),
    "layers": IntegerDistribution(1, 4, limits=(1, 5)),
    "batch_size": with_range(OrderedDistribution.of((8, 16, 32, 64, 128, 256)), 1, 4),
    "activation": CategoricalDistribution(("relu", "tanh", "sigmoid")),
}


@st.composite
def cases(draw: st.DrawFn) -> tuple[SearchSpace, list[TrialResult]]:
    """Draw a search space and trials of two rounds, whose values follow one hyperparameter."""
    names = draw(st.lists(st.sampled_from(list(DISTRIBUTIONS)), min_size=1, unique=True))
    space = {name: DISTRIBUTIONS[name] for name in names}
    generator = np.random.default_rng(draw(st.integers(0, 10**6)))
    slope, peak = draw(st.sampled_from([0.0, 3.0, -3.0])), draw(st.floats(-0.5, 1.5))
    noise = draw(st.sampled_from([0.0, 0.3, 1.0]))
    results = []
    for number in range(1, draw(st.integers(1, 40)) + 1):
        units = {name: generator.random() for name in names}
        value = slope * (units[names[0]] - peak) ** 2 + noise * generator.normal()
        state = draw(st.sampled_from([*[State.COMPLETE] * 6, *list(State)]))
        known = state in (State.COMPLETE, State.PRUNED)
        results.append(result(number, point(space, units), round(value, 2) if known else None,
                              state, round_number=1 + number % 2))
    if draw(st.booleans()) and "rate" in space:  # the last round had a narrower range
        space["rate"] = FloatDistribution(1e-3, 2e-2, log=True, limits=(1e-6, 1.0))
    return space, results


@given(cases(), st.randoms(use_true_random=False), st.sampled_from(["minimize", "maximize"]))
@settings(max_examples=examples(30, 80), deadline=None)
def test_a_proposal_is_sound(
    case: tuple[SearchSpace, list[TrialResult]], shuffler: random.Random, direction: str
) -> None:
    space, results = case
    assert direction in ("minimize", "maximize")
    way = "minimize" if direction == "minimize" else "maximize"
    moves = narrow(space, results, way)  # type: ignore[arg-type]
    assert [move.name for move in moves] == list(space)
    for move in moves:
        check_move(move)
    best = rank(results, way)[:1]  # type: ignore[arg-type]
    informative = [
        r for r in results if not r.says_nothing and r.state is not State.INFEASIBLE
    ]
    if best and len({(r.state, r.value) for r in informative}) > 1:
        new = {move.name: move.new for move in moves}
        if len(informative) >= MINIMUM_TRIALS:
            assert contains(new, best[0].trial.hyperparameters)
    shuffler.shuffle(results)
    assert repr(narrow(space, results, way)) == repr(moves)  # type: ignore[arg-type]


def check_move(move: Move) -> None:
    assert (move.kind == "kept") == (move.new == move.old)
    assert move.factor > 0
    assert move.reason
    assert math.isnan(move.p_value) or 0 <= move.p_value <= 1
    old, new = move.old, move.new
    if isinstance(new, CategoricalDistribution):
        assert isinstance(old, CategoricalDistribution)
        assert set(new.choices) <= set(old.choices)  # none was left out by an earlier round
        assert new.choices
        return
    before, after = scale_of(old), scale_of(new)
    assert before is not None
    assert after is not None
    old, new = before, after
    assert new.low < new.high
    assert move.factor >= MINIMUM_FACTOR - 1e-6
    if new.limits is not None:
        assert new.limits[0] <= new.low
        assert new.high <= new.limits[1]
    if move.kind in ("narrowed", "kept"):
        assert old.low <= new.low
        assert new.high <= old.high
    elif move.kind == "widened":
        assert new.low <= old.low
        assert old.high <= new.high
    else:
        assert new.low > old.low or new.high < old.high


@pytest.mark.slow
@given(st.integers(0, 10**6), st.sampled_from([1e-3, 1e3, 1e6]), st.floats(-6, -1))
@settings(max_examples=examples(15, 30), deadline=None)
def test_other_units_of_measurement_give_the_same_ranges(
    seed: int, factor: float, peak: float
) -> None:
    generator = np.random.default_rng(seed)
    space = {"rate": RATE, "decay": DECAY}
    results = random_round(
        space, 30, lambda h: -((math.log10(h["rate"]) - peak) ** 2) + generator.normal(), generator
    )
    times = [
        replace(r, trial=replace(r.trial, hyperparameters={
            **r.trial.hyperparameters, "rate": r.trial.hyperparameters["rate"] * factor,  # type: ignore[operator]
        }))
        for r in results
    ]
    times_space = {**space, "rate": FloatDistribution(1e-6 * factor, 1e-2 * factor, log=True)}
    ours = by_name(narrow(space, results, "maximize"))
    theirs = by_name(narrow(times_space, times, "maximize"))
    assert theirs["decay"].new == ours["decay"].new
    assert theirs["rate"].kind == ours["rate"].kind
    assert theirs["rate"].p_value == pytest.approx(ours["rate"].p_value, rel=1e-5)
    new, times_new = ours["rate"].new, theirs["rate"].new
    assert isinstance(new, FloatDistribution)
    assert isinstance(times_new, FloatDistribution)
    assert times_new.low / factor == pytest.approx(new.low, rel=0.01)  # one in the last digit
    assert times_new.high / factor == pytest.approx(new.high, rel=0.01)


@pytest.mark.slow
@given(st.integers(0, 10**6), st.sampled_from([math.exp, math.atan, lambda x: x**3 + x]))
@settings(max_examples=examples(15, 30), deadline=None)
def test_only_the_order_of_values_counts(seed: int, change: Callable[[float], float]) -> None:
    generator = np.random.default_rng(seed)
    space = {"rate": RATE, "decay": DECAY}
    results = random_round(
        space, 30, lambda h: round(math.log10(h["rate"]) + generator.normal(), 3), generator
    )
    changed = [replace(r, value=change(r.value or 0.0)) for r in results]
    assert narrow(space, changed, "maximize") == narrow(space, results, "maximize")
    negative = [replace(r, value=-(r.value or 0.0)) for r in results]
    assert narrow(space, negative, "minimize") == narrow(space, results, "maximize")


def test_equal_values_move_nothing() -> None:
    results = random_round(DISTRIBUTIONS, 40, lambda h: 0.5, np.random.default_rng(0))
    moves = narrow(DISTRIBUTIONS, results, "maximize")
    assert {move.kind for move in moves} == {"kept"}
    assert "equally good" in moves[0].reason


@pytest.mark.slow
@pytest.mark.parametrize("trials", [20, 60])
def test_a_hyperparameter_without_influence_keeps_its_range(trials: int) -> None:
    kept, seeds = 0, examples(80, 200)
    for seed in range(seeds):
        generator = np.random.default_rng((1, seed))
        history = search(
            {"rate": FloatDistribution(1e-4, 1.0, log=True), "decay": DECAY}, 1, trials,
            lambda h, g=generator: -(math.log10(h["rate"]) + 1.5) ** 2 + g.normal(),  # type: ignore[misc]
            generator,
        )
        kept += by_name(history[0])["decay"].kind == "kept"
    assert kept >= 0.9 * seeds


@pytest.mark.slow
def test_trials_that_crowd_as_a_sampler_improves_do_not_make_an_idle_one_matter() -> None:
    """Both hyperparameters crowd over time, but only one makes the later trials better."""
    kept, seeds = 0, examples(50, 100)
    for seed in range(seeds):
        generator = np.random.default_rng((2, seed))
        results = []
        spot = generator.random()
        for number in range(1, 61):
            spread = 1 - number / 70
            units = {
                "rate": 0.5 + spread * (generator.random() - 0.5),
                "decay": spot + spread * (generator.random() - spot),
            }
            hyperparameters = point({"rate": RATE, "decay": DECAY}, units)
            value = -((units["rate"] - 0.5) ** 2) + 0.02 * generator.normal()
            results.append(result(number, hyperparameters, value))
        moves = by_name(narrow({"rate": RATE, "decay": DECAY}, results, "maximize"))
        kept += moves["decay"].kind == "kept"
    assert kept >= 0.9 * seeds


@pytest.mark.slow
def test_an_optimum_a_decade_outside_is_inside_after_three_rounds() -> None:
    """A quadratic in the logarithm; noise is a tenth of its spread over the first range."""
    inside, seeds = 0, examples(40, 400)
    for seed in range(seeds):
        generator = np.random.default_rng((3, seed))
        peak = 1.0 if seed % 2 else -5.0
        noise = 0.1 * (5.0**2 - 1.0**2)

        def objective(
            h: Mapping[str, float], p: float = peak, n: float = noise,
            g: np.random.Generator = generator,
        ) -> float:
            return -(math.log10(h["rate"]) - p) ** 2 + n * g.normal()

        first = {"rate": FloatDistribution(1e-4, 1.0, log=True), "decay": DECAY}
        last = by_name(search(first, 3, 20, objective, generator)[-1])["rate"].new
        inside += last.contains(10**peak)
    assert inside >= 0.95 * seeds


@pytest.mark.slow
def test_an_optimum_inside_stays_inside_and_the_range_narrows() -> None:
    inside, factors, seeds = 0, [], examples(20, 40)
    for seed in range(seeds):
        generator = np.random.default_rng((4, seed))
        peak = -3.0 + 2.0 * generator.random()

        def objective(
            h: Mapping[str, float], p: float = peak, g: np.random.Generator = generator
        ) -> float:
            return -(math.log10(h["rate"]) - p) ** 2 + 0.3 * g.normal()

        first = {"rate": FloatDistribution(1e-4, 1.0, log=True)}
        last = search(first, 3, 20, objective, generator)[-1][0].new
        assert isinstance(last, FloatDistribution)
        inside += last.contains(10**peak)
        factors.append(math.log10(last.high / last.low) / 4)
    assert inside >= 0.9 * seeds
    assert np.mean(factors) < 0.4
