"""What a trial came to follows from its parts, whatever order they end in."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.parts import Partition
from hpo.trial import CutOffs, State, Trial, TrialResult, compact, read_value, trial_seed

TRIAL = Trial(2, 7, {"rate": 0.1}, trial_seed(3, 2, 7), CutOffs("best", (0.1,)))


def partition(count: int = 3, value: Any = "last", direction: Any = "maximize") -> Partition:
    return Partition(count, 3, "score", direction, value)


def ended(part: int, curve: list[float], state: State = State.COMPLETE, **more: Any) -> TrialResult:
    """Return the result of a part whose epochs have these scores."""
    trial = [partition(9).first(TRIAL), *partition(9).others(TRIAL)][part - 1]
    value, epoch = read_value(curve, "last", "maximize") if curve else (None, None)
    metrics = tuple({"score": score, "other": -score} for score in curve)
    return TrialResult(trial, state, value, epoch, metrics, **more)


def test_the_first_part_is_the_trial_itself_and_the_others_have_other_seeds() -> None:
    first, others = partition().first(TRIAL), partition().others(TRIAL)
    assert (first.seed, first.cut_offs) == (TRIAL.seed, TRIAL.cut_offs)
    assert [part.part for part in (first, *others)] == [1, 2, 3]
    assert all(part.cut_offs is None for part in others)
    repeats = [trial_seed(3, 2, 7, repeat) for repeat in range(1, 10)]
    seeds = [part.seed for part in (first, *partition(9).others(TRIAL))]
    assert len({*seeds, *repeats}) == 18
    assert all(part.hyperparameters == TRIAL.hyperparameters for part in others)
    assert str(others[0].id) == "part 2 of trial 7 of round 2"


CURVES = st.lists(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=6), min_size=2, max_size=5
)


@given(CURVES, st.sampled_from(["last", "best"]), st.sampled_from(["minimize", "maximize"]))
def test_the_value_is_read_from_the_mean_of_the_curves(
    curves: list[list[float]], value: Any, direction: Any
) -> None:
    parts = {i: ended(i, curve) for i, curve in enumerate(curves, start=1)}
    into = partition(len(curves), value, direction)
    whole = into.result(parts)
    assert whole is not None
    epochs = max(map(len, curves))
    # One that ended earlier stays where it was.
    longest = np.array([[*curve, *[curve[-1]] * (epochs - len(curve))] for curve in curves])
    mean = longest.mean(axis=0)
    np.testing.assert_allclose(whole.curve("score"), mean, rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(whole.curve("other"), -mean, rtol=1e-12, atol=1e-9)
    assert (whole.value, whole.epoch) == read_value(whole.curve("score"), value, direction)
    spread = longest[:, (whole.epoch or 0) - 1].std(ddof=1) / math.sqrt(len(curves))
    assert whole.standard_error == pytest.approx(spread, rel=1e-9, abs=1e-9)
    assert whole.cut_off_curve("score") == pytest.approx(curves[0])
    # As it is kept in memory, and as it is read back from parts that are on record.
    kept = compact(whole, "score")
    assert kept == into.result({i: compact(part, "score") for i, part in parts.items()})
    # Whatever order they ended in.
    assert whole == into.result(dict(reversed(parts.items())))


def test_a_trial_is_complete_with_its_last_part_and_ends_with_a_first_that_is_not() -> None:
    into, complete = partition(), ended(1, [0.5, 0.6])
    assert into.result({}) is None
    assert into.result({1: complete, 2: ended(2, [0.1])}) is None
    assert into.result({2: ended(2, [0.1]), 3: ended(3, [0.1])}) is None
    pruned = into.result({1: ended(1, [0.2], State.PRUNED)})
    assert pruned is not None
    assert (pruned.trial.part, pruned.state, pruned.value) == (0, State.PRUNED, 0.2)
    assert pruned.standard_error is None


@pytest.mark.parametrize(
    ("states", "state", "value"),
    [
        ((State.COMPLETE, State.DIVERGED, State.COMPLETE), State.DIVERGED, None),
        ((State.COMPLETE, State.DIVERGED, State.FAILED), State.FAILED, None),
        ((State.COMPLETE, State.INFEASIBLE, State.DIVERGED), State.DIVERGED, None),
        ((State.COMPLETE, State.COMPLETE, State.INFEASIBLE), State.INFEASIBLE, None),
        ((State.COMPLETE, State.STOPPED, State.DIVERGED), State.STOPPED, 0.6),
        ((State.COMPLETE, State.STOPPED, State.FAILED), State.FAILED, None),
    ],
)
def test_a_trial_ends_as_the_worst_of_its_parts(
    states: tuple[State, ...], state: State, value: float | None
) -> None:
    parts = {
        i: ended(i, [0.5, 0.6], each, message=f"{each.value} it is", seconds=2.0, attempt=i)
        for i, each in enumerate(states, start=1)
    }
    whole = partition().result(parts)
    assert whole is not None
    assert (whole.state, whole.value, whole.standard_error) == (state, value, None)
    assert whole.message == f"part {states.index(state) + 1}: {state.value} it is"
    assert (whole.seconds, whole.attempt, whole.epochs) == (6.0, 3, 2)
