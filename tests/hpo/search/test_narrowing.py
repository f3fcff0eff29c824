"""Ranges move on evidence: where the best value can lie, and nowhere else."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest

from hpo.distributions import CategoricalDistribution, FloatDistribution, IntegerDistribution, Value
from hpo.search.evidence import KEPT_BEST
from hpo.search.narrowing import MINIMUM_FACTOR, by_influence, narrow
from hpo.search.surface import MINIMUM_TRIALS
from hpo.search_space import SearchSpace, point
from hpo.trial import State, TrialId, TrialResult
from tests.hpo.search.narrowing_rounds import DECAY, RATE, by_name, random_round, result, search


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
    assert "no effect" in by_name(first)["weight_decay"].reason or not kept[0]


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


@pytest.mark.parametrize("direction", [1, -1])
def test_the_best_value_at_a_cliff_stays_inside(direction: int) -> None:
    """Up to the cliff values rise, beyond it all are bad: a smooth surface is highest before it."""
    kept, seeds, unit = 0, 20, FloatDistribution(0.0, 1.0, limits=(0.0, 1.0))
    for seed in range(seeds):
        generator = np.random.default_rng((13, seed))

        def cliff(h: Mapping[str, float], g: np.random.Generator = generator) -> float:
            x = h["x"] if direction > 0 else 1 - h["x"]
            return (x if x <= 0.7 else -1.0) + 0.03 * g.normal()

        results = random_round({"x": unit}, 60, cliff, generator)
        new = narrow({"x": unit}, results, "maximize")[0].new
        assert isinstance(new, FloatDistribution)
        kept += new.contains(0.7 if direction > 0 else 0.3)
        assert new.high - new.low < 0.6
    assert kept >= 0.9 * seeds


def test_two_optima_at_either_end_are_an_influence() -> None:
    seen = 0
    for seed in range(10):
        generator = np.random.default_rng((14, seed))
        space = {"x": FloatDistribution(0.0, 1.0), "idle": FloatDistribution(0.0, 1.0)}
        results = random_round(
            space, 80,
            lambda h, g=generator: math.cos(4 * math.pi * h["x"]) + 0.5 * g.normal(), generator,
        )
        moves = by_name(narrow(space, results, "maximize"))
        seen += moves["x"].p_value < 0.05
        assert moves["idle"].p_value > 0.001
    assert seen >= 8


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


def test_only_the_first_ranges_move_out_by_more_than_a_decade() -> None:
    """Where trials lie outside of a range it has moved before, and what is next is unknown."""
    space = {"rate": FloatDistribution(1e-4, 1e-1, log=True)}
    for low, highest in ((1e-4, 10.0), (1e-6, 1.0)):
        seen, farthest = {"rate": FloatDistribution(low, 1e-1, log=True)}, 0.0
        for seed in range(6):
            generator = np.random.default_rng(seed)
            results = random_round(
                seen, 60, lambda h, g=generator: math.log10(h["rate"]) + 0.1 * g.normal(),
                generator,
            )
            new = narrow(space, results, "maximize")[0].new
            assert isinstance(new, FloatDistribution)
            farthest = max(farthest, new.high)
        assert farthest == highest


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
        f"the optimum is most likely {ends}; the best 3 of 40 trials used "
        "1000.183 to 1000.197"
    )


def test_what_no_test_could_tell_is_not_called_without_influence() -> None:
    results = [result(i, {"rate": 1e-3 * 2**i, "decay": 1e-6}, 1.0 * i) for i in range(12)]
    moves = by_name(narrow({"rate": RATE, "decay": DECAY}, results, "maximize"))
    assert math.isnan(moves["decay"].p_value)
    assert moves["decay"].reason == (
        "12 trials cannot show whether it affects the result in this range"
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


KINDS: SearchSpace = {
    "rate": FloatDistribution(1e-6, 1e-3, log=True),
    "kind": CategoricalDistribution(("slow", "fast", "bad")),
}


def test_a_choice_that_is_better_further_out_is_found() -> None:
    """In the first ranges `slow` is far ahead; `fast` is the best one at a rate of 0.1."""

    def two_kinds(h: Mapping[str, Value], g: np.random.Generator) -> float:
        rate = math.log10(h["rate"])  # type: ignore[arg-type]
        values = {"slow": 0.8 - 0.06 * (rate + 2.5) ** 2, "fast": 1.0 - 0.12 * (rate + 1) ** 2}
        return values.get(str(h["kind"]), 0.0) + 0.03 * g.normal()

    found = 0
    for seed in range(8):
        g = np.random.default_rng(seed)
        history = search(KINDS, 4, 30, lambda h, g=g: two_kinds(h, g), g)
        found += by_name(history[-1])["kind"].new.contains("fast")
    assert found >= 6


def test_a_choice_that_was_left_out_comes_back_where_the_study_file_has_it() -> None:
    generator = np.random.default_rng(3)
    now: SearchSpace = {
        "rate": FloatDistribution(1e-3, 1.0, log=True),
        "kind": CategoricalDistribution(("slow",)),
    }

    def falling(h: Mapping[str, Value]) -> float:
        rate = math.log10(h["rate"])  # type: ignore[arg-type]
        return {"slow": -0.1 * abs(rate + 3), "fast": 0.1 * (rate + 3)}.get(str(h["kind"]), -9.0)

    results = random_round(KINDS, 40, falling, generator)  # type: ignore[arg-type]
    results += random_round(now, 20, falling, generator, 2)  # type: ignore[arg-type]
    move = by_name(narrow(now, results, "maximize", first=KINDS))["kind"]
    assert move.new == CategoricalDistribution(("slow", "fast"))
    assert (move.kind, move.factor) == ("widened", 2.0)
    assert move.reason == "judging by all 60 trials, fast may be the best after all"
    assert by_name(narrow(now, results, "maximize"))["kind"].kind == "kept"
    only = {**KINDS, "kind": CategoricalDistribution(("slow", "bad"))}
    assert by_name(narrow(now, results, "maximize", first=only))["kind"].kind == "kept"


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


def test_what_matters_most_comes_first() -> None:
    generator = np.random.default_rng(21)
    rate, unit = FloatDistribution(1e-6, 1.0, log=True), FloatDistribution(0.0, 1.0)
    space: SearchSpace = {"idle": unit, "some": unit, "still": unit, "much": rate}
    results = random_round(
        space, 400,
        lambda h: -abs(math.log10(h["much"]) + 3) - h["some"] + 0.1 * generator.normal(),
        generator,
    )
    for known in (results[:40], results):
        assert by_influence(space, known, "maximize")[:2] == ["much", "some"]
        moves = narrow(space, known, "maximize")
        assert min(moves, key=lambda move: move.p_value).name == "much"
    assert by_influence(space, results[: MINIMUM_TRIALS - 1], "maximize") == list(space)
    assert by_influence(space, [], "minimize") == list(space)


@pytest.mark.parametrize(("distribution", "least", "most"), [
    (IntegerDistribution(1, 6), 1, math.inf), (IntegerDistribution(0, 6), 0, math.inf),
    (IntegerDistribution(3, 9), 1, math.inf), (IntegerDistribution(-5, 5), -math.inf, math.inf),
    (FloatDistribution(0.0, 0.7), 0.0, 1.0), (FloatDistribution(0.3, 0.9), 0.0, 1.0),
    (FloatDistribution(2.0, 20.0), 0.0, math.inf),
    (FloatDistribution(-1.0, 1.0), -math.inf, math.inf),
    (FloatDistribution(0.0, 0.7, limits=(-5.0, 5.0)), -5.0, 5.0),
    (IntegerDistribution(1, 6, limits=(-3, 9)), -3, 9),
])  # fmt: skip
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_what_is_counted_or_a_share_stays_one(
    distribution: FloatDistribution | IntegerDistribution, least: float, most: float, sign: float
) -> None:
    results = []
    for i in range(40):
        value = distribution.from_unit((i + 0.5) / 40)
        results.append(result(i + 1, {"x": value}, sign * value))
    (move,) = narrow({"x": distribution}, results, "maximize")
    assert not isinstance(move.new, CategoricalDistribution)
    assert move.new.limits == distribution.limits
    assert least <= move.new.low < move.new.high <= most
    if sign > 0:
        assert move.new.high > distribution.high
    else:
        assert move.new.low < distribution.low or distribution.low == least


def test_a_range_does_not_move_away_from_all_of_the_best() -> None:
    generator = np.random.default_rng(5)
    moved = 0
    for seed in range(30):
        results = []
        for i in range(60):
            unit = float(generator.random())
            value = -abs(unit - (seed % 10) / 9) + float(generator.normal(0, 0.3))
            results.append(result(i + 1, {"rate": RATE.from_unit(unit)}, value))
        (move,) = narrow({"rate": RATE}, results, "maximize")
        assert not isinstance(move.new, CategoricalDistribution)
        ranked = sorted(results, key=lambda r: -(r.value or 0.0))
        best = [RATE.to_unit(r.trial.hyperparameters["rate"]) for r in ranked[:3]]  # type: ignore[arg-type]
        if move.new.high > RATE.high:
            assert max(best) > 0.75
        if move.new.low < RATE.low:
            assert min(best) < 0.25
        moved += move.new.high > RATE.high or move.new.low < RATE.low
    assert moved > 3
