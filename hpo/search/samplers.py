"""Samplers propose the next hyperparameters, from the results so far and a seed."""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from hpo.search.surface import noise_share
from hpo.search_space import (
    CategoricalDistribution,
    Distribution,
    FloatDistribution,
    IntegerDistribution,
    SearchSpace,
    Value,
    contains,
    point,
)
from hpo.trial import Direction, State, TrialResult, rank

if TYPE_CHECKING:  # Optuna and SciPy take half a second to import: only where they are used
    import optuna


MOST_SHOWN = 1000  # results that TPE weighs: its time for a proposal grows with them
MOST_GOOD = 25  # of them, modeled as good ones: Optuna's own most
BEST_SHOWN = 100  # are never left out
GOOD = (0.1, 0.5)  # least (Optuna's own) and largest share of the trials modeled as good ones


@dataclass(frozen=True)
class RoundPlan:
    """What a sampler knows of its round before the first trial.

    `earlier` are the results of earlier rounds, in order of round and number.
    """

    search_space: SearchSpace
    direction: Direction
    study_seed: int
    round: int
    trials: int
    earlier: Sequence[TrialResult] = ()


class Sampler(Protocol):
    """Proposes the trials of one round, in order of number.

    For a number it is either asked (`propose`) or shown what the number was given (`replay`).
    Where it `learns`, results are told in order of number, and a proposal depends on nothing but
    the plan, its seed, and the calls before it.
    """

    learns: bool

    def propose(self, number: int, seed: int) -> dict[str, Value]:
        """Return the hyperparameters of trial `number`, from a seed below 2**32."""
        ...

    def replay(self, number: int, hyperparameters: Mapping[str, Value]) -> None:
        """Take note that trial `number` was given these hyperparameters."""
        ...

    def tell(self, result: TrialResult) -> None:
        """Take note of a result."""
        ...


class _ByNumber:
    """A sampler whose points follow from their numbers, whatever came of the others."""

    learns = False

    def __init__(self, plan: RoundPlan) -> None:
        self.plan = plan

    def replay(self, number: int, hyperparameters: Mapping[str, Value]) -> None:
        pass

    def tell(self, result: TrialResult) -> None:
        pass


class RandomSampler(_ByNumber):
    """Draws each hyperparameter uniformly on its scale (Bergstra and Bengio 2012)."""

    def propose(self, number: int, seed: int) -> dict[str, Value]:
        """Return a point drawn with `seed`."""
        units = np.random.default_rng(seed).random(len(self.plan.search_space))
        names = self.plan.search_space
        return point(names, dict(zip(names, units.tolist(), strict=True)))


class QMCSampler(_ByNumber):
    """Takes the points of a scrambled Sobol sequence, which cover the space evenly.

    Sobol 1967, scrambled as in Owen 1998; trial n is the n-th point.
    """

    def propose(self, number: int, seed: int) -> dict[str, Value]:
        """Return point `number` of the sequence of this study's seed and round."""
        from scipy.stats import qmc

        scrambling = np.random.default_rng((self.plan.study_seed, self.plan.round))
        sequence = qmc.Sobol(len(self.plan.search_space), scramble=True, rng=scrambling)
        if number > 1:  # SciPy cannot go forward by none
            sequence.fast_forward(number - 1)
        units = sequence.random(1)[0]
        names = self.plan.search_space
        return point(names, dict(zip(names, units.tolist(), strict=True)))


class GridSampler(_ByNumber):
    """Takes the points of an evenly spaced grid, permuted by the study's seed and the round.

    The grid is the smallest that holds the trials of the round, with about as many points along
    each range, the edges included; choices and short ranges of whole numbers are taken whole.
    """

    def propose(self, number: int, seed: int) -> dict[str, Value]:
        """Return point `number` of the permuted grid; beyond the last it begins again."""
        index = self._order[(number - 1) % len(self._order)]
        steps = np.unravel_index(index, [len(points) for points in self._points])
        return {
            name: points[step]
            for name, points, step in zip(
                self.plan.search_space, self._points, steps, strict=True
            )
        }

    @cached_property
    def _points(self) -> list[list[Value]]:
        """Return the points along each hyperparameter: at least `trials` in all, if it can be."""
        distributions = list(self.plan.search_space.values())
        sizes = [
            len(d.choices) if isinstance(d, CategoricalDistribution) else 1 for d in distributions
        ]
        while math.prod(sizes) < self.plan.trials:
            growing = [i for i, d in enumerate(distributions) if sizes[i] < _count(d)]
            if not growing:
                break
            sizes[min(growing, key=lambda i: sizes[i])] += 1
        return [_spread(d, size) for d, size in zip(distributions, sizes, strict=True)]

    @cached_property
    def _order(self) -> list[int]:
        generator = np.random.default_rng((self.plan.study_seed, self.plan.round))
        cells = math.prod(len(points) for points in self._points)
        # A grid of many choices may have far more points than there is memory for.
        drawn = min(cells, self.plan.trials)
        order: list[int] = generator.choice(cells, size=drawn, replace=False).tolist()
        return order


def _count(d: Distribution) -> float:
    """Return how many values there are."""
    if isinstance(d, CategoricalDistribution):
        return len(d.choices)
    if isinstance(d, IntegerDistribution):
        return (d.high - d.low) // d.step + 1
    return math.inf if d.step is None else round((d.high - d.low) / d.step) + 1


def _spread(d: Distribution, size: int) -> list[Value]:
    """Return `size` evenly spaced values: all there are, or with both edges among them."""
    if isinstance(d, CategoricalDistribution):
        return list(d.choices)
    if size == 1:
        return [d.from_unit(0.5)]
    if isinstance(d, FloatDistribution):
        inner = [d.from_unit(step / (size - 1)) for step in range(1, size - 1)]
        return [d.low, *inner, d.high]  # as they are, without the noise of log and exp
    # On a log scale small whole numbers are further apart than the points: take the next ones.
    last = d.high - (d.high - d.low) % d.step
    values = [d.low]
    for step in range(1, size):
        lowest, highest = values[-1] + d.step, last - (size - 1 - step) * d.step
        values.append(min(max(d.from_unit(step / (size - 1)), lowest), highest))
    return list(values)


class TPESampler:
    """Proposes where good results are likely (Bergstra et al. 2011; Optuna's multivariate TPE).

    One Optuna study in memory for each round, since a range that changes inside a study makes
    Optuna's TPE sample each hyperparameter by itself from then on.

    TPE models the good trials apart from the others. Optuna's good ones are the best tenth, of 20
    trials the best two: where values are noisy, those are the lucky ones. After the first round
    the share follows the noise.
    """

    learns = True

    def __init__(self, plan: RoundPlan) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space, self._direction = plan.search_space, plan.direction
        self._distributions = {n: optuna_distribution(d) for n, d in plan.search_space.items()}
        self._study: optuna.Study
        self._pending: dict[int, optuna.Trial] = {}
        self._shown = [
            r for r in plan.earlier
            if r.state is not State.FAILED and contains(self._space, r.trial.hyperparameters)
        ]
        noise = noise_share(self._space, plan.earlier, self._direction)
        self._good = GOOD[0] if math.isnan(noise) else min(max(noise, GOOD[0]), GOOD[1])
        self._build()

    def propose(self, number: int, seed: int) -> dict[str, Value]:
        """Return a proposal that depends on `seed`, the results told and the trials pending."""
        from optuna.samplers import TPESampler as OptunaTPE

        with warnings.catch_warnings():  # Optuna 6 will have no `gamma`; until then it tells so
            warnings.filterwarnings("ignore", "`gamma` has been deprecated", FutureWarning)
            self._study.sampler = OptunaTPE(seed=seed, gamma=self._good_trials)
        trial = self._study.ask(self._distributions)
        self._pending[number] = trial
        return {name: _ours(d, trial.params[name]) for name, d in self._space.items()}

    def _good_trials(self, trials: int) -> int:
        return min(math.ceil(self._good * trials), MOST_GOOD)

    def replay(self, number: int, hyperparameters: Mapping[str, Value]) -> None:
        """Add the trial as one that runs."""
        self._add_running(number, self._optuna_point(hyperparameters))

    def tell(self, result: TrialResult) -> None:
        """Tell Optuna; a diverged trial as pruned without values, which ranks last and repels."""
        from optuna.trial import TrialState

        trial = self._pending.pop(result.trial.number)
        if result.state is not State.FAILED:
            self._shown.append(result)
        if result.state is State.COMPLETE:
            self._study.tell(trial, result.value)
        elif result.state is State.FAILED:
            self._study.tell(trial, state=TrialState.FAIL)
        else:
            for epoch, value in _reached(result).items():
                trial.report(value, epoch)
            self._study.tell(trial, state=TrialState.PRUNED)
        if len(self._shown) > MOST_SHOWN:
            self._build()

    def _build(self) -> None:
        """Make the Optuna study anew, from no more results than it can weigh in little time."""
        import optuna

        while len(self._shown) > MOST_SHOWN:
            self._shown = _thinned(self._shown, self._direction)
        self._study = optuna.create_study(direction=self._direction)
        self._study.add_trials([self._finished(result) for result in self._shown])
        for number, trial in sorted(self._pending.items()):
            self._add_running(number, trial.params)

    def _add_running(self, number: int, params: dict[str, Any]) -> None:
        from optuna.samplers import RandomSampler as OptunaRandom

        self._study.sampler = OptunaRandom(seed=0)  # draws nothing: every value is given
        self._study.enqueue_trial(params)
        self._pending[number] = self._study.ask(self._distributions)

    def _finished(self, result: TrialResult) -> "optuna.trial.FrozenTrial":
        from optuna.trial import TrialState, create_trial

        complete = result.state is State.COMPLETE
        return create_trial(
            state=TrialState.COMPLETE if complete else TrialState.PRUNED,
            value=result.value if complete else None,
            params=self._optuna_point(result.trial.hyperparameters),
            distributions=self._distributions,
            intermediate_values={} if complete else _reached(result),
        )

    def _optuna_point(self, hyperparameters: Mapping[str, Value]) -> dict[str, Any]:
        """Return the searched values as Optuna takes them."""
        return {name: optuna_value(d, hyperparameters[name]) for name, d in self._space.items()}


def _thinned(results: Sequence[TrialResult], direction: Direction) -> list[TrialResult]:
    """Return the best, which TPE models for themselves, and every second of the others."""
    best = {r.trial.id for r in rank(results, direction)[:BEST_SHOWN]}
    is_best = [r.trial.id in best for r in results]
    others = [r for r, among_best in zip(results, is_best, strict=True) if not among_best]
    kept = {id(r) for r in others[::2]}
    return [r for r, among_best in zip(results, is_best, strict=True)
            if among_best or id(r) in kept]


def _reached(result: TrialResult) -> dict[int, float]:
    """Return the value a pruned trial stopped at, by epoch; nothing for a diverged one."""
    if result.state is not State.PRUNED or result.value is None:
        return {}
    return {result.epochs: result.value}


def optuna_distribution(d: Distribution) -> "optuna.distributions.BaseDistribution":
    """Return the distribution as Optuna takes it.

    Choices go by index, since Optuna takes no lists; and so do steps of real numbers, since
    Optuna lowers an edge, and refuses a value, that the last bit puts beside its steps.
    """
    from optuna import distributions

    if isinstance(d, CategoricalDistribution):
        return distributions.CategoricalDistribution(tuple(range(len(d.choices))))
    if isinstance(d, IntegerDistribution):
        last = d.high - (d.high - d.low) % d.step
        return distributions.IntDistribution(d.low, last, log=d.log, step=d.step)
    if d.step is not None:
        return distributions.IntDistribution(0, int(_count(d)) - 1)
    return distributions.FloatDistribution(d.low, d.high, log=d.log)


def optuna_value(d: Distribution, value: Any) -> Any:
    """Return a value as Optuna takes it."""
    if isinstance(d, CategoricalDistribution):
        return d.choices.index(value)
    if isinstance(d, FloatDistribution) and d.step is not None:
        return round((value - d.low) / d.step)
    return value


def _ours(d: Distribution, value: Any) -> Value:
    """Return the value that Optuna means."""
    ours: Value = value
    if isinstance(d, CategoricalDistribution):
        ours = d.choices[value]
    elif isinstance(d, FloatDistribution) and d.step is not None:
        ours = min(d.low + value * d.step, d.high)
    return ours


SAMPLERS: dict[str, Callable[[RoundPlan], Sampler]] = {
    "random": RandomSampler,
    "tpe": TPESampler,
    "grid": GridSampler,
    "qmc": QMCSampler,
}
