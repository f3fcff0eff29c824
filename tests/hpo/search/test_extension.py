"""Longer training counts by what it gained, and only where it gained something."""

import math

import numpy as np
import pytest

from hpo.search import extension
from hpo.search.recommendation import Recommendation
from hpo.trial import Direction, State, Trial, TrialResult, rank


def found(number: int, value: float | None, state: State = State.COMPLETE) -> TrialResult:
    trial = Trial(1, number, {"x": 0.1 * number}, number)
    return TrialResult(trial, state, value, 2, ({"m": 0.0},) * 2)


def longer(number: int, value: float | None, epochs: int = 4) -> TrialResult:
    trial = extension.extended(Trial(1, number, {"x": 0.1 * number}, number), epochs)
    state = State.DIVERGED if value is None else State.COMPLETE
    return TrialResult(trial, state, value, epochs, ({"m": 0.0},) * epochs)


def recommended(result: TrialResult) -> Recommendation:
    return Recommendation(result, result.value or 0.0, result, result.value or 0.0, "as it was")


def test_the_best_extension_of_a_trial_counts_where_it_is_better() -> None:
    trials = [found(1, 0.5), found(2, 0.6), found(3, 0.7)]
    extensions = [longer(1, 0.9), longer(1, 0.8, 9), longer(2, 0.6), longer(3, None), longer(7, 1)]
    known = extension.extensions_of(trials, extensions)
    assert [(e.found.trial.number, e.longer.trial.extended_to) for e in known] == [
        (1, 4), (1, 9), (2, 4), (3, 4)
    ]
    assert [e.gain for e in known[:3]] == pytest.approx([0.4, 0.3, 0.0])
    assert math.isnan(known[3].gain)
    counted = extension.better(trials, extensions, "maximize")
    assert {i.number: e.longer.trial.extended_to for i, e in counted.items()} == {1: 4}
    assert extension.better(trials, extensions, "minimize") == {}
    table = extension.to_table(known, "maximize")
    assert [row["is_better"] for row in table] == [True, True, False, False]
    assert table[3]["extended_state"] == "diverged"
    note = extension.note(known, "accuracy")
    assert "| 1 | 1 | 0.5000 | 2 | 0.9000 | 4 |" in note
    assert "| 1 | 3 | 0.7000 | 2 | diverged | 4 |" in note


def test_a_recommendation_follows_what_was_gained_and_says_so() -> None:
    trials = [found(1, 0.7), found(2, 0.6), found(3, 0.5)]
    first = recommended(trials[0])
    assert extension.recommend(first, trials, {}, "maximize") is first
    small = extension.better(trials, [longer(2, 0.65)], "maximize")
    assert extension.recommend(first, trials, small, "maximize") is first
    large = extension.better(trials, [longer(2, 0.75)], "maximize")
    pick = extension.recommend(first, trials, large, "maximize")
    assert (pick.trial.trial.number, pick.longer) == (2, longer(2, 0.75))
    assert str(pick) == (
        "trial 2 of round 1, extended to epoch 4, has 0.7500 (0.6000 after epoch 2); without "
        "the extra epochs it would be trial 1 of round 1"
    )
    assert pick.to_table()["extended_value"] == 0.75
    # A confirmed trial is ranked by its mean: what it gained comes on top of that.
    means = [found(2, 0.6), found(1, 0.4)]
    both = extension.better(trials, [longer(1, 0.75)], "maximize")
    assert extension.recommend(recommended(means[0]), means, both, "maximize").longer is None


def test_a_gain_over_an_unlucky_start_is_not_added_to_a_mean_that_had_better_luck() -> None:
    trials = [found(2, 0.85), found(3, 0.0037)]
    means = [found(3, 0.0127), found(2, 0.49)]  # losses, confirmed
    counted = extension.better(trials, [longer(2, 0.3275), longer(3, 0.0371)], "minimize")
    first = recommended(means[0])
    assert extension.recommend(first, means, counted, "minimize") is first
    counted = extension.better(trials, [longer(2, 0.001)], "minimize")
    pick = extension.recommend(first, means, counted, "minimize")
    assert (pick.trial.trial.number, pick.estimate) == (2, 0.001)


def test_of_each_trial_the_longest_training_is_shown_the_best_first() -> None:
    trials = [found(1, 0.5), found(2, 0.6), found(3, 0.7)]
    known = extension.extensions_of(
        trials, [longer(1, 0.9), longer(1, 0.8, 9), longer(2, 0.85), longer(3, None)]
    )
    shown = extension.longest(known, "maximize")
    assert [(e.found.trial.number, e.longer.epochs) for e in shown] == [(2, 4), (1, 9), (3, 4)]


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_no_trial_with_a_better_value_is_passed_over(direction: Direction) -> None:
    random = np.random.default_rng(0)
    for _ in range(300):
        count = int(random.integers(1, 7))
        trials = [found(number, random.normal()) for number in range(1, count + 1)]
        numbers = random.permutation(count)[: random.integers(0, count + 1)] + 1
        extensions = [longer(int(number), random.normal()) for number in numbers]
        ranked = rank(trials, direction)
        counted = extension.better(trials, extensions, direction)
        pick = extension.recommend(recommended(ranked[0]), ranked, counted, direction)
        best = max if direction == "maximize" else min
        known = best(r.value or 0.0 for r in (*trials, *extensions))
        assert (pick.longer or pick.trial).value == pytest.approx(known, abs=1e-12)
