"""A round of a sampler, and results that are a function of the trial."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from hpo.distributions import CategoricalDistribution, FloatDistribution, IntegerDistribution, Value
from hpo.search import gp
from hpo.search.round_plan import RoundPlan
from hpo.search.samplers import SAMPLERS
from hpo.search_space import SearchSpace
from hpo.trial import State, Trial, TrialResult, trial_seed

NAMES = [
    pytest.param(name, marks=pytest.mark.skipif(
        name == "gp" and not gp.is_installed(), reason="PyTorch is not installed"
    ))
    for name in SAMPLERS
]
LOG_RANGES = {
    "learning_rate": FloatDistribution(1e-6, 1e-2, log=True),
    "weight_decay": FloatDistribution(1e-8, 1e-4, log=True),
}
MIXED = {
    "learning_rate": FloatDistribution(1e-4, 1e1, log=True),
    "dropout_rate": FloatDistribution(0.0, 0.5, step=0.1),
    "units": IntegerDistribution(4, 256, log=True),
    "sizes": CategoricalDistribution(((100,), (50, 50), (20, 20, 20))),
}


def plan(space: SearchSpace, trials: int = 20, **changes: Any) -> RoundPlan:
    return replace(RoundPlan(space, "maximize", study_seed=0, round=1, trials=trials), **changes)


def result(
    number: int,
    hyperparameters: dict[str, Value],
    state: State = State.COMPLETE,
    value: float | None = None,
    round_: int = 1,
) -> TrialResult:
    epochs = () if state is State.FAILED else ({"accuracy": value or 0.0},) * 3
    kept = value if state in (State.COMPLETE, State.PRUNED, State.STOPPED) else None
    trial = Trial(round_, number, hyperparameters, seed=0)
    return TrialResult(trial, state, kept, 3 if kept is not None else None, epochs)


def search(
    name: str, round_plan: RoundPlan, judge: Callable[[int, dict[str, Value]], TrialResult]
) -> list[dict[str, Value]]:
    """Return the proposals of a round whose trials run one after another."""
    sampler = SAMPLERS[name](round_plan)
    proposals = []
    for number in range(1, round_plan.trials + 1):
        proposal = sampler.propose(number, trial_seed(round_plan.study_seed, 1, number))
        proposals.append(proposal)
        sampler.tell(judge(number, proposal))
    return proposals


def quality(hyperparameters: dict[str, Value]) -> float:
    """Best at a learning rate of 0.1, 32 units, (50, 50) and a dropout rate of 0.2."""
    distance = math.log10(hyperparameters["learning_rate"]) + 1
    units = math.log2(hyperparameters.get("units", 32)) - 5
    dropout = hyperparameters.get("dropout_rate", 0.2) - 0.2
    return -(distance**2) - units**2 / 4 - 5 * dropout**2 - (
        hyperparameters.get("sizes", (50, 50)) != (50, 50)
    )


def judged(number: int, hyperparameters: dict[str, Value]) -> TrialResult:
    """Return a result that is a function of the trial alone, of every state in turn."""
    value = quality(hyperparameters)
    if hyperparameters["learning_rate"] > 3:
        return result(number, hyperparameters, State.DIVERGED)
    if number % 13 == 0:
        return result(number, hyperparameters, State.INFEASIBLE)
    if number % 11 == 0:
        return result(number, hyperparameters, State.FAILED)
    if number % 9 == 0:  # half of them before their first epoch
        return result(number, hyperparameters, State.STOPPED, value - 1 if number % 2 else None)
    if number % 5 == 0:
        return result(number, hyperparameters, State.PRUNED, value - 1)
    return result(number, hyperparameters, State.COMPLETE, value)
