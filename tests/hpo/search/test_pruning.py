import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
import pytest

from hpo.search.pruning import (
    PRUNERS,
    MedianPruner,
    PercentilePruner,
    Pruner,
    SuccessiveHalvingPruner,
)
from hpo.trial import CutOffs, Direction, State, Trial, TrialResult
from hpo.workers.attempt import Job, falls_behind
from tests.fuzzing import examples

HISTORIES = examples(250, 1000)  # of each pruner; of a thousand, a hundred thousand decisions
Curve = list[float]


@dataclass(frozen=True)
class Case:
    """A round that is decided about twice: here, and by Optuna with the same settings."""

    ours: Pruner
    optunas: optuna.pruners.BasePruner
    step: int  # of Optuna for our epoch 1
    direction: Direction
    curves: list[Curve]


def schedule(generator: random.Random) -> tuple[int, int, int]:
    """Return random start-up trials, warm-up and interval."""
    return generator.choice([0, 1, 2, 5]), generator.choice([0, 0, 1, 4]), generator.choice(
        [1, 1, 2, 3]
    )


def median(generator: random.Random) -> tuple[Pruner, optuna.pruners.BasePruner, int]:
    chosen = schedule(generator)
    return MedianPruner(*chosen), optuna.pruners.MedianPruner(
        n_startup_trials=chosen[0], n_warmup_steps=chosen[1], interval_steps=chosen[2]
    ), 0


def percentile(generator: random.Random) -> tuple[Pruner, optuna.pruners.BasePruner, int]:
    chosen = schedule(generator)
    share = generator.choice([0.0, 10.0, 25.0, 33.3, 50.0, 80.0, 100.0])
    return PercentilePruner(share, *chosen), optuna.pruners.PercentilePruner(
        share, n_startup_trials=chosen[0], n_warmup_steps=chosen[1], interval_steps=chosen[2]
    ), 0


def successive_halving(generator: random.Random) -> tuple[Pruner, optuna.pruners.BasePruner, int]:
    least, factor = generator.choice([1, 1, 2, 3]), generator.choice([2, 3, 4])
    return SuccessiveHalvingPruner(least, factor), optuna.pruners.SuccessiveHalvingPruner(
        min_resource=least, reduction_factor=factor
    ), 1


CHOICES: dict[str, Callable[[random.Random], tuple[Pruner, optuna.pruners.BasePruner, int]]] = {
    "median": median,
    "percentile": percentile,
    "successive_halving": successive_halving,
}


def curve(generator: random.Random) -> Curve:
    """Return a curve that rises, falls, crosses others, stays or jumps; some end in NaN."""
    epochs = generator.choice([10, 10, 10, generator.randint(1, 12)])
    start, end = generator.random(), generator.random()
    shape = generator.choice(["straight", "saturating", "flat", "noise", "steps"])
    noise = generator.choice([0.0, 0.0, 0.1])
    values = []
    for epoch in range(1, epochs + 1):
        share = epoch / epochs
        value = {
            "straight": start + (end - start) * share,
            "saturating": start + (end - start) * (1 - math.exp(-5 * share)),
            "flat": start,
            "noise": generator.random(),
            "steps": round(start + (end - start) * share, 1),
        }[shape] + noise * generator.gauss(0, 1)
        values.append(round(value, 1) if generator.random() < 0.3 else value)  # so there are ties
    if generator.random() < 0.15:
        end_at = generator.randrange(epochs)
        values = [*values[:end_at], math.nan]
    return values


def case(name: str, number: int) -> Case:
    generator = random.Random(f"{name} {number}")
    ours, optunas, step = CHOICES[name](generator)
    direction: Direction = "maximize" if number % 2 else "minimize"
    curves = [curve(generator) for _ in range(generator.randint(4, 14))]
    for index in range(1, len(curves)):
        if generator.random() < 0.15:
            curves[index] = curves[generator.randrange(index)]  # ties along the whole curve
    return Case(ours, optunas, step, direction, curves)


def decide_here(case: Case) -> list[tuple[State, int]]:
    """Return how each trial of the round ends, and at which epoch, one after another."""
    job = Job("", "loss", case.direction, "last", {})
    results: list[TrialResult] = []
    for number, values in enumerate(case.curves, start=1):
        cut_offs = case.ours.cut_offs(results, "loss", case.direction)
        state, metrics = State.COMPLETE, []
        for value in values:
            metrics.append({"loss": value})
            if math.isnan(value):
                state = State.DIVERGED
                break
            if cut_offs is not None and falls_behind(metrics, job, cut_offs):
                state = State.PRUNED
                break
        value = metrics[-1]["loss"] if state is not State.DIVERGED else None
        trial = Trial(1, number, {}, seed=0, cut_offs=cut_offs)
        results.append(TrialResult(trial, state, value, len(metrics), metrics))
    return [(r.state, r.epochs) for r in results]


def decide_in_optuna(case: Case) -> list[tuple[State, int]]:
    """Return the same of Optuna: its trials report each epoch and ask whether to go on.

    Here a trial with NaN ends as diverged before a pruner is asked. In Optuna it reports the NaN
    and asks as well, since a pruner may take note of that, and ends as a pruned one, whatever
    the answer: both pruners of Optuna leave NaN out where they compare others with it.
    """
    study = optuna.create_study(direction=case.direction, pruner=case.optunas)
    ends = []
    for values in case.curves:
        trial = study.ask()
        state, epoch = State.COMPLETE, 0
        for epoch, value in enumerate(values, start=1):
            trial.report(value, epoch - 1 + case.step)
            stops = trial.should_prune()
            if math.isnan(value):
                state = State.DIVERGED
                break
            if stops:
                state = State.PRUNED
                break
        if state is State.COMPLETE:
            study.tell(trial, values[-1])
        else:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        ends.append((state, epoch))
    return ends


@pytest.mark.slow
@pytest.mark.parametrize("name", PRUNERS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, for a percentile of nothing
def test_trials_end_where_they_end_under_optuna(name: str) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    ends: dict[State, int] = dict.fromkeys(State, 0)
    for number in range(HISTORIES):
        one = case(name, number)
        here = decide_here(one)
        assert here == decide_in_optuna(one), (number, one)
        for state, _ in here:
            ends[state] += 1
    assert min(ends[s] for s in (State.COMPLETE, State.PRUNED, State.DIVERGED)) > HISTORIES / 2


def results_of(curves: Sequence[Curve], state: State = State.COMPLETE) -> list[TrialResult]:
    return [
        TrialResult(Trial(1, number, {}, 0), state, values[-1] if values else None, len(values),
                    [{"loss": value} for value in values])
        for number, values in enumerate(curves, start=1)
    ]


def test_median_of_three_by_hand() -> None:
    results = results_of([[3.0, 1.0], [2.0, 2.0], [1.0, 3.0, 0.5]])
    pruner = MedianPruner(startup_trials=3, warmup_epochs=0)
    cut_offs = pruner.cut_offs(results, "loss", "minimize")
    assert cut_offs == CutOffs("best", (2.0, 2.0, 0.5))


def test_halving_of_five_by_hand() -> None:
    """With the sixth trial, the best three of six stay at each rung of two."""
    results = results_of([[5.0, 1.0], [4.0, 2.0], [3.0], [2.0, 4.0], [1.0, 5.0]])
    pruner = SuccessiveHalvingPruner(min_resource=1, reduction_factor=2)
    cut_offs = pruner.cut_offs(results, "loss", "minimize")
    assert cut_offs == CutOffs("current", (3.0, 2.0))


@pytest.mark.parametrize("pruner", [MedianPruner(3), PercentilePruner(25.0, 3)])
def test_too_few_complete_trials_set_no_cut_off(pruner: Pruner) -> None:
    two = results_of([[1.0], [2.0]])
    others = [*results_of([[3.0]], State.PRUNED), *results_of([[4.0]], State.FAILED),
              *results_of([[math.nan]], State.DIVERGED)]
    assert pruner.cut_offs([*two, *others], "loss", "minimize") is None
    assert pruner.cut_offs([*two, *two], "loss", "minimize") is not None


@pytest.mark.parametrize("kind", PRUNERS.values())
@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_the_first_trial_always_runs(kind: Callable[[], Pruner], direction: Any) -> None:
    cut_offs = kind().cut_offs([], "loss", direction)
    job = Job("", "loss", direction, "last", {})
    assert cut_offs is None or not falls_behind([{"loss": 1.0}], job, cut_offs)


@pytest.mark.parametrize("kind", PRUNERS.values())
def test_failed_trials_set_no_cut_off(kind: Callable[[], Pruner]) -> None:
    good = results_of([[float(n), float(n)] for n in range(8)])
    failed = results_of([[-9.0, -9.0]] * 20, State.FAILED)
    pruner = kind()
    assert repr(pruner.cut_offs([*good, *failed], "loss", "minimize")) == repr(
        pruner.cut_offs(good, "loss", "minimize")
    )


@pytest.mark.parametrize("infinite", [math.inf, -math.inf])
@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_infinity_is_no_value_to_reach(infinite: float, direction: Any) -> None:
    """A loss of minus infinity diverged; it must not stop all others."""
    results = [*results_of([[1.0, 1.0], [2.0, 2.0]]),
               *results_of([[infinite]] * 9, State.DIVERGED)]
    for kind in PRUNERS.values():
        cut_offs = kind().cut_offs(results, "loss", direction)
        assert cut_offs is None or not any(map(math.isinf, cut_offs.by_epoch))


def test_an_epoch_beyond_the_cut_offs_has_none() -> None:
    job = Job("", "loss", "minimize", "last", {})
    cut_offs = CutOffs("current", (1.0, math.nan))
    assert falls_behind([{"loss": 1.5}], job, cut_offs)
    assert not falls_behind([{"loss": 1.0}], job, cut_offs)  # as good is good enough
    assert not falls_behind([{"loss": 0.5}, {"loss": 9.0}], job, cut_offs)
    assert not falls_behind([{"loss": 0.5}] * 2 + [{"loss": 9.0}], job, cut_offs)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (MedianPruner, {"startup_trials": -1}),
        (MedianPruner, {"warmup_epochs": -1}),
        (MedianPruner, {"interval": 0}),
        (PercentilePruner, {"percentile": -0.1}),
        (PercentilePruner, {"percentile": 100.1}),
        (PercentilePruner, {"percentile": math.nan}),
        (PercentilePruner, {"interval": 0}),
        (SuccessiveHalvingPruner, {"min_resource": 0}),
        (SuccessiveHalvingPruner, {"reduction_factor": 1}),
    ],
)
def test_settings_that_mean_nothing_are_refused(
    kind: Callable[..., Pruner], settings: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=f"^{next(iter(settings))} must "):
        kind(**settings)
