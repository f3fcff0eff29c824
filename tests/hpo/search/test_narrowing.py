"""Ranges move on evidence: where the best value can lie, and nowhere else."""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo.search.narrowing import KEPT_BEST, MINIMUM_FACTOR, Move, narrow
from hpo.search.surface import MINIMUM_TRIALS
from hpo.search_space import (
    CategoricalDistribution,
    FloatDistribution,
    IntegerDistribution,
    SearchSpace,
    Value,
    contains,
    point,
)
from hpo.trial import State, Trial, TrialId, TrialResult, rank
from tests.fuzzing import examples

RATE = FloatDistribution(1e-6, 1e-2, log=True)
DECAY = FloatDistribution(1e-8, 1e-4, log=True)


def result(
    number: int,
    hyperparameters: Mapping[str, Value],
    value: float | None,
    state: State = State.COMPLETE,
    round_number: int = 1,
) -> TrialResult:
    return TrialResult(Trial(round_number, number, hyperparameters, seed=0), state, value)


def random_round(
    search_space: SearchSpace,
    trials: int,
    objective: Callable[[Mapping[str, float]], float | None],
    generator: np.random.Generator,
    round_number: int = 1,
) -> list[TrialResult]:
    """Return random trials; an objective that returns None has diverged."""
    results = []
    for number in range(1, trials + 1):
        hyperparameters = point(search_space, {n: generator.random() for n in search_space})
        value = objective(hyperparameters)  # type: ignore[arg-type]
        state = State.DIVERGED if value is None else State.COMPLETE
        results.append(result(number, hyperparameters, value, state, round_number))
    return results


def search(
    search_space: SearchSpace,
    rounds: int,
    trials: int,
    objective: Callable[[Mapping[str, float]], float | None],
    generator: np.random.Generator,
) -> list[tuple[Move, ...]]:
    """Return the moves after each round of a random search to be maximized."""
    results: list[TrialResult] = []
    history = []
    for number in range(1, rounds + 1):
        results += random_round(search_space, trials, objective, generator, number)
        history.append(narrow(search_space, results, "maximize"))
        search_space = {move.name: move.new for move in history[-1]}
    return history


def by_name(moves: Sequence[Move]) -> dict[str, Move]:
    return {move.name: move for move in moves}


# --- properties ---

DISTRIBUTIONS: SearchSpace = {
    "rate": FloatDistribution(1e-5, 1e-1, log=True, limits=(1e-6, 1.0)),
    "momentum": FloatDistribution(0.0, 0.9),
    "units": IntegerDistribution(8, 256, log=True),
    "layers": IntegerDistribution(1, 4, limits=(1, 5)),
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
    informative = [r for r in results if r.state is not State.FAILED]
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
        assert set(new.choices) <= set(old.choices)
        assert new.choices
        return
    assert not isinstance(old, CategoricalDistribution)
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


# --- the textbook's search, and its kin ---


def mnist_accuracy(rate: float, generator: np.random.Generator) -> float | None:
    """Return about what a perceptron learns of few images, by its learning rate."""
    if rate > 0.5:
        return None
    mean = np.interp(
        math.log10(rate), [-6, -4, -3, -2.5, -2, -1.5, -0.8, -0.3],
        [0.1, 0.12, 0.2, 0.45, 0.78, 0.9, 0.95, 0.92],
    )
    return round(float(np.clip(mean + 0.04 * generator.normal(), 0, 1)), 2)


@pytest.mark.parametrize("seed", range(5))
def test_the_learning_rate_of_the_textbook_moves_up_and_weight_decay_stays(seed: int) -> None:
    generator = np.random.default_rng((5, seed))
    first, second = search(
        {"learning_rate": RATE, "weight_decay": DECAY}, 2, 100,
        lambda h: mnist_accuracy(h["learning_rate"], generator), generator,
    )
    after_first, after_second = by_name(first)["learning_rate"], by_name(second)["learning_rate"]
    assert after_first.kind in ("moved", "widened")
    assert after_first.new.high > 0.05  # type: ignore[union-attr]
    assert "above 0.01" in after_first.reason
    assert after_first.p_value < 1e-6
    assert 0.01 < after_second.new.low < 0.3  # type: ignore[union-attr]
    assert 0.1 < after_second.new.high < 1  # type: ignore[union-attr]
    kept = [by_name(moves)["weight_decay"].kind == "kept" for moves in (first, second)]
    assert sum(kept) >= 1
    assert "no influence" in by_name(first)["weight_decay"].reason or not kept[0]


def test_diverged_trials_bring_the_upper_edge_down() -> None:
    generator = np.random.default_rng(6)
    space = {"rate": FloatDistribution(1e-3, 10.0, log=True, limits=(1e-3, 1e3))}
    results = random_round(
        space, 40, lambda h: None if h["rate"] > 0.5 else generator.normal(), generator
    )
    move = narrow(space, results, "maximize")[0]
    assert isinstance(move.new, FloatDistribution)
    assert move.kind == "narrowed"
    assert 0.1 < move.new.high < 2
    assert "diverged" in move.reason
    missing = [r for r in results if r.state is State.COMPLETE]
    assert narrow(space, missing, "maximize")[0].kind == "kept"


@pytest.mark.slow
def test_an_edge_moves_out_further_on_a_slope_than_on_a_plateau() -> None:
    """The best trials of a plateau that ends at the edge lie there by chance, too."""

    def decades_beyond(height: Callable[[float], float]) -> float:
        beyond = []
        for seed in range(30):
            generator = np.random.default_rng((8, seed))
            space = {"rate": FloatDistribution(1e-4, 1.0, log=True)}
            results = random_round(
                space, 20,
                lambda h, g=generator: height(math.log10(h["rate"])) + 0.3 * g.normal(),  # type: ignore[misc]
                generator,
            )
            new = narrow(space, results, "maximize")[0].new
            assert isinstance(new, FloatDistribution)
            beyond.append(max(math.log10(new.high), 0.0))
        return float(np.mean(beyond))

    slope, plateau = decades_beyond(lambda x: x), decades_beyond(lambda x: min(x, -2.0))
    assert slope > 1.8
    assert plateau < slope / 2


def test_an_edge_that_was_wrong_is_taken_back() -> None:
    """The first round misled: its good trials at the upper end do not repeat."""
    generator = np.random.default_rng(7)
    narrower = {"rate": FloatDistribution(3e-2, 1.0, log=True)}
    results = random_round(
        narrower, 40, lambda h: -abs(math.log10(h["rate"]) + 3) + 0.2 * generator.normal(),
        generator, round_number=2,
    )
    move = narrow(narrower, results, "maximize")[0]
    assert isinstance(move.new, FloatDistribution)
    assert move.new.low < 1e-2
    assert move.new.high < 1.0
    assert "below 0.03" in move.reason


def test_a_range_never_leaves_its_limits() -> None:
    generator = np.random.default_rng(8)
    space = {"rate": replace(RATE, limits=(1e-6, 2e-2))}
    results = random_round(space, 60, lambda h: math.log(h["rate"]), generator)
    move = narrow(space, results, "maximize")[0]
    assert isinstance(move.new, FloatDistribution)
    assert move.new.high == 2e-2


# --- states, repeats, kinds of hyperparameters ---


def rising(trials: int, seed: int = 9) -> list[TrialResult]:
    generator = np.random.default_rng(seed)
    return random_round({"rate": RATE}, trials, lambda h: math.log(h["rate"]), generator)


def test_too_few_trials_propose_nothing_and_say_so() -> None:
    assert narrow({"rate": RATE}, rising(MINIMUM_TRIALS), "maximize")[0].kind != "kept"
    move = narrow({"rate": RATE}, rising(MINIMUM_TRIALS - 1), "maximize")[0]
    assert move.kind == "kept"
    assert f"only {MINIMUM_TRIALS - 1} trials" in move.reason
    assert math.isnan(move.p_value)
    reasons = [narrow({"rate": RATE}, rising(few), "maximize")[0].reason for few in (0, 1)]
    assert reasons == [
        "no trial has a result; at least 10 are needed",
        "only 1 trial has a result; at least 10 are needed",
    ]


def test_the_reason_of_a_narrow_range_has_numbers_that_lie_in_it() -> None:
    space = {"rate": FloatDistribution(1000.1, 1000.4)}
    results = [
        result(i, {"rate": 1000.1 + i * 0.0075}, 1 - abs(i - 12) / 40) for i in range(40)
    ]
    (move,) = narrow(space, results, "maximize")
    assert isinstance(move.new, FloatDistribution)
    assert move.kind == "narrowed"
    ends = f"between {move.new.low!r} and {move.new.high!r}"
    assert move.reason == (
        f"the best value most likely lies {ends}; the best 3 of 40 trials have "
        "1000.183 to 1000.197"
    )


def test_what_no_test_could_tell_is_not_called_without_influence() -> None:
    results = [result(i, {"rate": 1e-3 * 2**i, "decay": 1e-6}, 1.0 * i) for i in range(12)]
    moves = by_name(narrow({"rate": RATE, "decay": DECAY}, results, "maximize"))
    assert math.isnan(moves["decay"].p_value)
    assert moves["decay"].reason == (
        "12 trials cannot tell its influence on the result in this range"
    )


def test_failed_trials_are_no_evidence() -> None:
    results = rising(30)
    failed = [result(100 + i, {"rate": 9e-3}, None, State.FAILED) for i in range(30)]
    assert narrow({"rate": RATE}, results + failed, "maximize") == narrow(
        {"rate": RATE}, results, "maximize"
    )


def test_a_pruned_trial_is_worse_than_any_complete_one_whatever_its_value() -> None:
    results = rising(30)
    pruned = [
        result(100 + i, {"rate": 10 ** (-6 + i / 30)}, 1e6, State.PRUNED) for i in range(30)
    ]
    move = narrow({"rate": RATE}, results + pruned, "maximize")[0]
    assert isinstance(move.new, FloatDistribution)
    assert move.new.low > 1e-3


def test_the_mean_of_repeats_replaces_a_lucky_value() -> None:
    results = rising(30)
    lucky = result(99, {"rate": 2e-6}, 1e6)
    once = narrow({"rate": RATE}, [*results, lucky], "maximize")[0].new
    mean = {TrialId(1, 99): (-13.0, 4)}
    again = narrow({"rate": RATE}, [*results, lucky], "maximize", mean)[0].new
    assert once.contains(2e-6)
    assert not again.contains(2e-6)
    assert again.contains(max(float(r.trial.hyperparameters["rate"]) for r in results))  # type: ignore[arg-type]


def test_trials_of_another_search_space_are_left_out() -> None:
    other = [result(100 + i, {"momentum": 0.9}, 1e6) for i in range(30)]
    odd = [result(200 + i, {"rate": "fast"}, 1e6) for i in range(30)]
    odd += [result(300 + i, {"rate": -1.0}, 1e6) for i in range(30)]
    results = rising(30)
    assert narrow({"rate": RATE}, results + other + odd, "maximize") == narrow(
        {"rate": RATE}, results, "maximize"
    )


def test_the_best_trials_stay_inside_though_the_rest_speak_against_them() -> None:
    results = rising(60)
    lone = [result(100 + i, {"rate": 10.0 ** (-6 + i / 4)}, 1e6 - i) for i in range(KEPT_BEST)]
    new = narrow({"rate": RATE}, results + lone, "maximize")[0].new
    assert all(new.contains(r.trial.hyperparameters["rate"]) for r in lone)


def test_integers_narrow_to_at_least_two() -> None:
    generator = np.random.default_rng(10)
    space = {"layers": IntegerDistribution(1, 10), "units": IntegerDistribution(1, 2)}
    results = random_round(
        space, 80, lambda h: -abs(h["layers"] - 7) - h["units"] + 0.1 * generator.normal(),
        generator,
    )
    moves = by_name(narrow(space, results, "maximize"))
    layers = moves["layers"].new
    assert isinstance(layers, IntegerDistribution)
    assert layers.contains(7)
    assert 5 <= layers.low < layers.high <= 9
    assert moves["layers"].factor == pytest.approx((layers.high - layers.low + 1) / 10)


def choices_after(
    gaps: Mapping[str, float], trials: int, seed: int = 11
) -> CategoricalDistribution:
    generator = np.random.default_rng(seed)
    space: SearchSpace = {"activation": CategoricalDistribution(tuple(gaps)), "decay": DECAY}
    results = [
        result(i, point(space, {n: generator.random() for n in space}), 0.0) for i in range(trials)
    ]
    results = [
        replace(r, value=-gaps[str(r.trial.hyperparameters["activation"])] + generator.normal())
        for r in results
    ]
    new = by_name(narrow(space, results, "maximize"))["activation"].new
    assert isinstance(new, CategoricalDistribution)
    return new


def test_a_hopeless_choice_is_dropped_and_a_good_one_is_not() -> None:
    for seed in range(10):
        left = choices_after({"relu": 0.0, "tanh": 0.2, "sigmoid": 6.0}, 60, seed).choices
        assert left == ("relu", "tanh")


def test_the_last_two_choices_part_on_strong_evidence_only() -> None:
    assert choices_after({"relu": 0.0, "sigmoid": 1.2}, 20).choices == ("relu", "sigmoid")
    assert choices_after({"relu": 0.0, "sigmoid": 8.0}, 60).choices == ("relu",)


def test_equal_choices_are_kept() -> None:
    kept = [len(choices_after(dict.fromkeys("abcd", 0.0), 40, s).choices) for s in range(60)]
    assert sum(n == 4 for n in kept) >= 54


def test_many_hyperparameters_and_few_trials() -> None:
    space = {f"h{i}": FloatDistribution(0.0, 1.0, limits=(0.0, 1.0)) for i in range(8)}
    generator = np.random.default_rng(12)
    results = random_round(space, 12, lambda h: h["h0"], generator)
    moves = narrow(space, results, "maximize")
    assert moves[0].kind == "narrowed"
    assert moves[0].new.high == 1.0  # type: ignore[union-attr]


def test_many_trials_take_seconds_at_most() -> None:
    space = {"rate": RATE, "decay": DECAY}
    results = random_round(
        space, 3000, lambda h: -abs(math.log10(h["rate"]) + 3), np.random.default_rng(13)
    )
    move = narrow(space, results, "maximize")[0]
    assert move.new.contains(1e-3)
    assert move.factor == pytest.approx(MINIMUM_FACTOR, abs=0.15)
