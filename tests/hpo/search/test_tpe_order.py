"""A trial of TPE is a pure function of its identity, whenever others end."""

import functools
import heapq
import math
import random
from collections.abc import Callable, Sequence

import pytest

from hpo.distributions import Value
from hpo.search.order import ResultsInOrder
from hpo.search.round_plan import RoundPlan, Sampler
from hpo.search.samplers import SAMPLERS
from hpo.trial import State, TrialResult, trial_seed
from tests.hpo.search.sampling import MIXED, judged, plan, result


def window(
    round_plan: RoundPlan,
    parallel: int,
    lengths: Callable[[int], float],
    known: Sequence[TrialResult] = (),
    stop_at: float = math.inf,
    name: str = "tpe",
) -> tuple[dict[int, dict[str, Value]], list[TrialResult]]:
    """Run a round in simulated time, as the service does; return its proposals and results.

    At most `parallel` trials run at once; the next one is proposed when the results it may know
    are there, whatever else is. What is `known` does not run again; at `stop_at` everything
    running is lost.
    """
    sampler: Sampler = SAMPLERS[name](round_plan)
    ended = [*known]
    results = ResultsInOrder(parallel, ended)
    proposals: dict[int, dict[str, Value]] = {}
    running: list[tuple[float, int]] = []
    proposed = told = 0
    now = 0.0
    while True:
        while proposed < round_plan.trials and len(running) < parallel:
            number = proposed + 1
            if not results.are_ready_for(number):
                break
            proposed = number
            for known_result in results.known_to(number, after=told):
                told += 1
                sampler.tell(known_result)
            earlier = results.get(number)
            if earlier is not None:
                proposals[number] = dict(earlier.trial.hyperparameters)
                sampler.replay(number, proposals[number])
                continue
            proposals[number] = sampler.propose(number, trial_seed(0, 1, number))
            heapq.heappush(running, (now + lengths(number), number))
        if not running:
            break
        now, number = heapq.heappop(running)
        if now > stop_at:
            break
        ended.append(judged(number, proposals[number]))
        results.add(ended[-1])
    return proposals, ended


def lengths(seed: int) -> Callable[[int], float]:
    """Return lengths of trials that differ by a factor of a hundred, in another way each seed."""
    return lambda number: random.Random(f"{seed} {number}").uniform(0.01, 1.0)


STOPS = (0.5, 1.7, 3.1, 4.9)
EARLIER = [
    result(n, {"learning_rate": 10 ** (n / 4 - 3), "dropout_rate": 0.1 * (n % 6), "units": 4 + n,
               "sizes": MIXED["sizes"].choices[n % 3]},
           (State.COMPLETE, State.PRUNED, State.DIVERGED)[n % 3], -n / 10)
    for n in range(1, 9)
]


@functools.cache
def undisturbed(parallel: int, earlier: bool) -> dict[int, dict[str, Value]]:
    return window(tpe_plan(earlier), parallel, lambda number: 1.0)[0]


def tpe_plan(earlier: bool) -> RoundPlan:
    return plan(MIXED, 40, earlier=EARLIER if earlier else [])


@pytest.mark.slow
@pytest.mark.parametrize("earlier", [False, True])
@pytest.mark.parametrize("parallel", [1, 2, 4, 9])
def test_tpe_does_not_depend_on_when_trials_end(parallel: int, earlier: bool) -> None:
    expected = undisturbed(parallel, earlier)
    assert len({repr(p) for p in expected.values()}) > 30
    orders = set()
    for seed in range(3):
        proposals, results = window(tpe_plan(earlier), parallel, lengths(seed))
        assert proposals == expected
        orders.add(tuple(r.trial.number for r in results))
    assert len(orders) == (1 if parallel == 1 else 3)


def test_tpe_depends_on_how_many_run_at_once_and_on_what_came_before() -> None:
    assert undisturbed(1, False) != undisturbed(4, False)
    assert undisturbed(4, True) != undisturbed(4, False)


@pytest.mark.slow
@pytest.mark.parametrize("earlier", [False, True])
@pytest.mark.parametrize("stop_at", STOPS)
def test_tpe_rebuilt_half_way_goes_on_as_if_undisturbed(stop_at: float, earlier: bool) -> None:
    parallel = 4
    _, kept = window(tpe_plan(earlier), parallel, lengths(1), stop_at=stop_at)
    numbers = {r.trial.number for r in kept}
    assert 0 < len(numbers) < 40
    proposals, results = window(tpe_plan(earlier), parallel, lengths(2), known=kept)
    assert proposals == undisturbed(parallel, earlier)
    assert len(results) == 40


@pytest.mark.slow
def test_the_trials_of_these_simulations_end_in_every_way() -> None:
    _, results = window(tpe_plan(False), 4, lengths(1))
    assert {r.state for r in results} == set(State)
    gaps = []
    for stop_at in STOPS:
        _, kept = window(tpe_plan(False), 4, lengths(1), stop_at=stop_at)
        numbers = {r.trial.number for r in kept}
        gaps += set(range(1, max(numbers))) - numbers
    assert gaps  # some were still running when later ones had ended
