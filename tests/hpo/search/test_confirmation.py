"""Confirmation ranks by the means of repeats, which are below the best of many values."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from hpo.objective import Data, Part
from hpo.search import confirmation
from hpo.trial import State, Trial, TrialId, TrialResult, rank, trial_seed
from hpo.workers.attempt import Job, attempt_trial

if TYPE_CHECKING:
    pass


def repeat(
    number: int, value: float | None, repeat: int = 0, state: State = State.COMPLETE,
    resplit: bool = False,
) -> TrialResult:
    trial = Trial(1, number, {"x": 0.1 * number}, 7, repeat=repeat, resplit=resplit)
    return TrialResult(trial, state, value, 1 if value is not None else None)


def test_the_order_is_that_of_the_means_and_changes_are_said() -> None:
    found = [repeat(1, 0.9), repeat(2, 0.8), repeat(3, 0.7), repeat(4, 0.1)]
    repeats = [
        repeat(n, value, i)
        for n, values in {1: (0.5, 0.7), 2: (0.7, 0.9), 3: (0.65, 0.75)}.items()
        for i, value in enumerate(values, start=1)
    ]
    known = confirmation.confirmed(found, repeats)
    order = confirmation.in_order(list(known.values()), "maximize")
    assert [t.found.trial.number for t in order] == [2, 3, 1]
    assert [t.mean for t in order] == pytest.approx([0.8, 0.7, 0.6])
    assert [t.standard_error for t in order] == pytest.approx([0.1, 0.05, 0.1])
    assert confirmation.changes(order, "maximize") == [
        "trial 2 of round 1 moves up from place 2 to 1",
        "trial 3 of round 1 moves up from place 3 to 2",
        "trial 1 of round 1 drops from place 1 to 3",
    ]
    minimized = confirmation.ranked(found, repeats, "minimize")
    assert [r.trial.number for r in minimized] == [1, 3, 2, 4]
    assert confirmation.changes(confirmation.in_order(order, "minimize"), "minimize") == [
        "trial 1 of round 1 moves up from place 3 to 1",
        "trial 3 of round 1 drops from place 1 to 2",
        "trial 2 of round 1 drops from place 2 to 3",
    ]
    broken = [*repeats, repeat(2, None, 3, State.DIVERGED), repeat(3, None, 3, State.FAILED)]
    means = confirmation.means(found, broken)
    assert math.isnan(means[TrialId(1, 2)][0])  # narrowing takes it for diverged
    assert means[TrialId(1, 3)] == (pytest.approx(0.7), 2)
    assert [r.trial.number for r in confirmation.ranked(found, broken, "maximize")] == [1, 4, 2, 3]
    order = confirmation.in_order(
        list(confirmation.confirmed(found, broken[:-1]).values()), "maximize"
    )
    assert confirmation.changes(order, "maximize")[-1] == (
        "trial 2 of round 1 ranks last: 1 of its 3 repeats diverged"
    )


def test_the_best_of_many_is_too_good_to_be_true(folder: Path) -> None:
    some = np.zeros((2, 1), np.float32)
    given = Data(Part(some, some), Part(some, some), "regression")
    job = Job("toy:quadratic", "accuracy", "maximize", "last", {}, (str(folder),))

    def trained(trials: list[Trial]) -> list[TrialResult]:
        return [r for t in trials for r in attempt_trial(job, given, t, 1)
                if isinstance(r, TrialResult)]

    lost, lower, picked, better = 0.0, 0, 0, 0
    for seed in range(30):
        units = np.random.default_rng(seed).uniform(-3, 1, 15)
        found = trained([
            Trial(1, n, {"learning_rate": float(10**unit)}, trial_seed(seed, 1, n))
            for n, unit in enumerate(units, start=1)
        ])
        best = rank(found, "maximize")[:5]
        repeats = trained(confirmation.repeats_of(best, seed, 3, resplit=False))
        known = confirmation.confirmed(found, repeats)
        top = known[best[0].trial.id]
        assert best[0].value is not None
        lost += (best[0].value - top.mean) / 30
        lower += top.mean < best[0].value
        confirmed = confirmation.ranked(found, repeats, "maximize")[0]
        before, after = (abs(units[r.trial.number - 1] + 1) for r in (best[0], confirmed))
        picked += before != after
        better += after < before
    assert lower >= 25
    assert 0.005 < lost < 0.03  # the noise has a standard deviation of 0.02
    assert better > picked / 2  # where it changes the choice, the new one is mostly closer


def test_what_is_recorded_and_written_of_a_confirmation() -> None:
    found = [repeat(1, 0.9), repeat(2, 0.8)]
    repeats = [repeat(1, 0.5, 1), repeat(1, 0.75, 2), repeat(2, 0.75, 1),
               repeat(2, None, 2, State.FAILED)]
    order = confirmation.in_order(
        list(confirmation.confirmed(found, repeats).values()), "maximize"
    )
    assert confirmation.note(order, "score", "maximize") == (
        "The best trials, trained again: score as found in the search, and mean and standard error "
        "of the repeats.\n\n"
        "| place | round | trial | found | mean | standard error | repeats |\n"
        "|---|---|---|---|---|---|---|\n"
        "| 1 | 1 | 1 | 0.9000 | 0.6250 | 0.1250 | 2 |\n"
        "| 2 | 1 | 2 | 0.8000 | 0.7500 |  | 1 |\n\n"
        "- trial 2 of round 1 ranks last: 1 of its 2 repeats failed"
    )
    assert confirmation.to_table(order, "maximize") == [
        {"round": 1, "number": 1, "value": 0.9, "mean": 0.625, "standard_error": 0.125,
         "values": [0.5, 0.75], "diverged": 0, "infeasible": 0, "failed": 0, "place": 1,
         "found_place": 1,
         "hyperparameters": {"x": 0.1}},
        {"round": 1, "number": 2, "value": 0.8, "mean": 0.75, "standard_error": None,
         "values": [0.75], "diverged": 0, "infeasible": 0, "failed": 1, "place": 2,
         "found_place": 2,
         "hyperparameters": {"x": 0.2}},
    ]
    broken = [repeat(1, None, 1, State.DIVERGED), repeat(2, None, 1, State.FAILED)]
    known = confirmation.confirmed(found, broken)
    order = confirmation.in_order(list(known.values()), "minimize")
    assert [t.found.trial.number for t in order] == [1, 2]
    assert confirmation.changes(order, "minimize") == [
        "trial 1 of round 1 moves up from place 2 to 1",
        "trial 1 of round 1 ranks among the last 2: its repeat diverged",
        "trial 2 of round 1 drops from place 1 to 2",
        "trial 2 of round 1 ranks among the last 2: its repeat failed",
    ]
    assert confirmation.to_table(order, "minimize")[0]["mean"] is None
    assert list(confirmation.means(found, broken)) == [TrialId(1, 1)]


def test_repeats_on_fresh_splits_count_where_there_are_any() -> None:
    found = [repeat(1, 0.9), repeat(2, None, state=State.FAILED)]
    repeats = [repeat(1, 0.5, 1), repeat(1, 0.7, 1, resplit=True), repeat(2, 0.5, 1, resplit=True)]
    (only,) = confirmation.confirmed(found, repeats).values()
    assert only.values == [0.7]
    assert confirmation.confirmed(found, repeats, False)[TrialId(1, 1)].values == [0.5]
    assert "trained again on fresh splits: loss as found in the search" in confirmation.note(
        [only], "loss", "minimize"
    )


def test_a_best_value_that_is_not_confirmed_is_said() -> None:
    found = [repeat(1, 0.9), repeat(2, 0.8)]
    assert confirmation.unconfirmed_best(found, [], "maximize") == ""
    assert confirmation.unconfirmed_best(found, [repeat(1, 0.5, 1)], "maximize") == ""
    assert confirmation.unconfirmed_best(found, [repeat(1, 0.5, 1)], "minimize") == (
        "the best value, 0.8, is from trial 2 of round 1, which is not confirmed yet; run "
        "`hpo confirm`"
    )


def test_repeats_have_seeds_of_their_own_and_no_cut_offs() -> None:
    best = [repeat(1, 0.9), repeat(2, 0.8)]
    again = confirmation.repeats_of(best, 7, 2, True)
    assert [(t.number, t.repeat, t.seed, t.resplit, t.cut_offs) for t in again] == [
        (n, r, trial_seed(7, 1, n, r), True, None) for r in (1, 2) for n in (1, 2)
    ]
