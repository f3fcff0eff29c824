"""Rounds of random trials that ranges are narrowed by."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from hpo.distributions import FloatDistribution, Value
from hpo.search.narrowing import Move, narrow
from hpo.search_space import SearchSpace, point
from hpo.trial import State, Trial, TrialResult

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
    history, first = [], search_space
    for number in range(1, rounds + 1):
        results += random_round(search_space, trials, objective, generator, number)
        history.append(narrow(search_space, results, "maximize", first=first))
        search_space = {move.name: move.new for move in history[-1]}
    return history


def by_name(moves: Sequence[Move]) -> dict[str, Move]:
    return {move.name: move for move in moves}
