import itertools
import math
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from hpo.trial import (
    Curve,
    CutOffs,
    State,
    Trial,
    TrialResult,
    check,
    compact,
    is_finite,
    rank,
    read_value,
    trial_seed,
    worse,
)


def test_a_seed_follows_from_the_identity_alone() -> None:
    # Written down, since a record made today must go on in the same way.
    assert trial_seed(0, 1, 1) == 901243215
    assert trial_seed(0, 1, 2) == 3884055042
    assert trial_seed(0, 2, 1) == 1961547765
    assert trial_seed(7, 3, 40) == 1020944621


def test_seeds_differ_wherever_identities_do() -> None:
    identities = list(itertools.product(range(8), range(1, 9), range(1, 65)))
    seeds = [trial_seed(*identity) for identity in identities]
    assert len(set(seeds)) == len(identities)  # 4096 of 2**32: a collision by chance is unlikely
    assert trial_seed(1, 2, 3) != trial_seed(3, 2, 1)
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert stats.kstest(np.array(seeds) / 2**32, "uniform").pvalue > 0.01


@pytest.mark.parametrize("study_seed", [0, 2**31, 2**32, 2**64, 10**100])
def test_any_seed_of_a_study_will_do(study_seed: int) -> None:
    seed = trial_seed(study_seed, 1, 1)
    assert seed == trial_seed(study_seed, 1, 1)
    assert type(seed) is int
    np.random.default_rng(seed)


@pytest.mark.parametrize(
    ("value", "direction", "expected"),
    [
        ("last", "maximize", (0.3, 5)),
        ("last", "minimize", (0.3, 5)),
        ("best", "maximize", (0.9, 2)),  # the first of equals
        ("best", "minimize", (0.1, 3)),
    ],
)
def test_the_value_of_a_curve_and_its_epoch(
    value: Any, direction: Any, expected: tuple[float, int]
) -> None:
    assert read_value([0.2, 0.9, 0.1, 0.9, 0.3], value, direction) == expected


@pytest.mark.parametrize("value", ["last", "best"])
def test_the_value_of_one_epoch(value: Any) -> None:
    assert read_value([0.5], value, "minimize") == (0.5, 1)


def test_worse_is_strict_and_knows_the_direction() -> None:
    assert worse(1.0, 2.0, "maximize")
    assert not worse(2.0, 1.0, "maximize")
    assert worse(2.0, 1.0, "minimize")
    assert not worse(1.0, 2.0, "minimize")
    for direction in ("minimize", "maximize"):
        assert not worse(1.0, 1.0, direction)
        assert not worse(1.0, math.nan, direction)
        assert not worse(math.nan, 1.0, direction)


def result(round_: int, number: int, value: float | None, state: State) -> TrialResult:
    return TrialResult(Trial(round_, number, {}, 0), state, value)


def test_rank_orders_complete_trials_whatever_order_they_came_in() -> None:
    results = [
        result(1, 1, 0.5, State.COMPLETE),
        result(1, 2, 0.9, State.PRUNED),  # better, but not to the end
        result(1, 3, None, State.DIVERGED),
        result(1, 4, None, State.FAILED),
        result(1, 5, -0.5, State.COMPLETE),
        result(2, 1, 0.5, State.COMPLETE),
        result(2, 2, 0.0, State.COMPLETE),
        result(1, 10, 0.5, State.COMPLETE),
    ]
    for seed in range(20):
        shuffled = random.Random(seed).sample(results, len(results))
        best, lowest = rank(shuffled, "maximize"), rank(shuffled, "minimize")
        assert [(r.trial.round, r.trial.number) for r in best] == [
            (1, 1), (1, 10), (2, 1), (2, 2), (1, 5)
        ]
        assert [(r.trial.round, r.trial.number) for r in lowest] == [
            (1, 5), (2, 2), (1, 1), (1, 10), (2, 1)
        ]


def test_rank_of_nothing() -> None:
    assert rank([], "maximize") == []
    assert rank([result(1, 1, None, State.FAILED)], "minimize") == []


def test_a_curve_is_one_metric_by_epoch() -> None:
    metrics = ({"loss": 2.0, "accuracy": 0.1}, {"loss": 1.0, "accuracy": 0.2})
    one = TrialResult(Trial(1, 1, {}, 0), State.COMPLETE, 1.0, 2, metrics)
    assert one.curve("loss") == [2.0, 1.0]
    assert one.epochs == 2
    assert "accuracy" not in repr(one)


def test_any_metric_can_make_an_epoch_diverge() -> None:
    assert is_finite({"loss": 1.0, "accuracy": 0.0})
    for bad in (math.nan, math.inf, -math.inf):
        assert not is_finite({"loss": bad, "accuracy": 0.0})
        assert not is_finite({"loss": 1.0, "accuracy": bad})


def test_values_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Trial(1, 1, {}, 0).seed = 1


def test_a_trial_is_named_by_its_place() -> None:
    repeat = Trial(2, 7, {}, 0, CutOffs("best", ()), repeat=3, resplit=True)
    assert repeat.id == (2, 7, 3, True, 0, 0)
    assert repeat.original == (2, 7, 0, False, 0, 0)
    assert str(repeat.id) == "repeat 3 of trial 7 of round 2"
    assert str(repeat.original) == "trial 7 of round 2"
    longer = Trial(2, 7, {"rate": 0.5, "epochs": 20}, 0, extended_to=60)
    assert longer.id == (2, 7, 0, False, 0, 60)
    assert longer.original == (2, 7, 0, False, 0, 0)
    assert str(longer.id) == "trial 7 of round 2, extended to epoch 60"
    assert longer.values({"epochs": 10, "width": 3}) == {"rate": 0.5, "epochs": 60, "width": 3}
    assert [t.id.is_searched for t in (repeat, longer, Trial(2, 7, {}, 0, part=2))] == [
        False, False, True
    ]
    assert trial_seed(0, 1, 1, 1) == trial_seed(0, 1, 1, repeat=1) != trial_seed(0, 1, 1)


METRICS = ({"loss": 2.0, "more": 0.1}, {"loss": 1.0, "more": 0.2}, {"loss": 0.5, "more": 0.3})


def test_a_compact_result_has_the_whole_curve_of_one_metric_and_the_last_of_all() -> None:
    whole = TrialResult(Trial(1, 1, {}, 0), State.COMPLETE, 0.5, 3, METRICS, output="long")
    small = compact(whole, "loss")
    assert (small.output, small.epochs, small.curve("loss")) == ("", 3, [2.0, 1.0, 0.5])
    assert isinstance(small.metrics, Curve)
    assert list(small.metrics) == [{"loss": 2.0}, {"loss": 1.0}, METRICS[2]]
    assert small.metrics[-1] == small.metrics[2] == METRICS[2]
    assert small.metrics[1:] == [{"loss": 1.0}, METRICS[2]]
    assert small.metrics[-2] == {"loss": 1.0}
    assert small.curve("more") == [0.3]
    with pytest.raises(IndexError):
        small.metrics[3]
    gap = replace(whole, metrics=({"more": 1.0}, *METRICS))
    for result in (gap, replace(whole, metrics=())):
        assert compact(result, "loss") == replace(result, output="")


SOUND = TrialResult(Trial(1, 1, {"rate": 0.5, "name": "x"}, 2**64 - 1), State.COMPLETE, 0.5, 3,
                    METRICS, 1, 1e9, 2.5)


@pytest.mark.parametrize(
    ("trial", "changes", "said"),
    [
        ({"round": 0}, {}, "0 is not an integer from 1 to"),
        ({"round": 1.0}, {}, "1.0 is not an integer"),
        ({"round": True}, {}, "True is not an integer"),
        ({"number": 10**9}, {}, "1000000000 is not an integer from 1 to 999999999"),
        ({"number": 0}, {}, "0 is not an integer from 1 to"),
        ({"repeat": -1}, {}, "-1 is not an integer from 0 to"),
        ({"seed": -1}, {}, "-1 is not an integer from 0 to"),
        ({"seed": 2**64}, {}, "is not an integer from 0 to"),
        ({}, {"attempt": 0}, "0 is not an integer from 1 to"),
        ({}, {"started": -1.0}, "-1.0 is not a time"),
        ({}, {"started": "now"}, "'now' is not a time"),
        ({}, {"seconds": 1e11}, "is not a time"),
        ({}, {"seconds": math.nan}, "nan is not a time"),
        ({}, {"seconds": True}, "True is not a time"),
        ({"resplit": 1}, {}, "its trial is not valid"),
        ({"hyperparameters": {"rate": None}}, {}, "its trial is not valid"),
        ({"hyperparameters": {"rate": 1, "more": math.nan}}, {}, "its trial is not valid"),
        ({}, {"metrics": ({"loss": 1.0, "more": None}, *METRICS)}, "a metric is not a number"),
        ({}, {"metrics": ({"loss": True}, *METRICS)}, "a metric is not a number"),
        ({}, {"value": None}, "it has no finite value"),
        ({}, {"value": None, "state": State.PRUNED}, "it has no finite value"),
        ({}, {"value": math.inf}, "it has no finite value"),
        ({}, {"value": "0.5"}, "it has no finite value"),
        ({}, {"value": True}, "it has no finite value"),
        ({}, {"epoch": 0}, "its value does not belong to one of its epochs"),
        ({}, {"epoch": 4}, "its value does not belong to one of its epochs"),
        ({}, {"epoch": None}, "its value does not belong to one of its epochs"),
        ({}, {"epoch": 1.0}, "its value does not belong to one of its epochs"),
    ],
)
def test_what_is_no_result_of_a_trial_is_said(
    trial: dict[str, Any], changes: dict[str, Any], said: str
) -> None:
    with pytest.raises((ValueError, TypeError), match=said):
        check(replace(SOUND, trial=replace(SOUND.trial, **trial), **changes))


def test_results_of_all_states_are_results() -> None:
    check(SOUND)
    check(replace(SOUND, value=0, epoch=1, started=0, seconds=0))
    check(replace(SOUND, state=State.PRUNED))
    for state in (State.DIVERGED, State.FAILED):
        check(replace(SOUND, state=state, value=None, epoch=None, metrics=()))
