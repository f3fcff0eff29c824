"""TPE: a sampler that proposes points where good results are likely, based on Optuna."""

import math
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hpo.distributions import (
    CategoricalDistribution,
    Distribution,
    FloatDistribution,
    IntegerDistribution,
    OrderedDistribution,
    Value,
)
from hpo.search.by_number import RandomSampler
from hpo.search.round_plan import RoundPlan, another_seed
from hpo.search.surface import noise_share
from hpo.search_space import contains, is_met, parents_first
from hpo.trial import Direction, State, TrialResult, rank

if TYPE_CHECKING:  # Optuna takes half a second to import: only where it is used
    import optuna

PROPOSALS = 50  # that are refused, until a point is drawn at random
MOST_SHOWN = 1000  # results that TPE weighs: its time for a proposal grows with them
MOST_GOOD = 25  # of them, modeled as good ones: Optuna's own most
BEST_SHOWN = 100  # are never left out
FADE = 2  # trials of other studies, on other scales, that each trial of its own takes away
HEDGE = 2  # every so many trials one is proposed without those
GOOD = (0.1, 0.5)  # least (Optuna's own) and largest share of the trials modeled as good ones


class TPESampler:
    """Proposes where good results are likely (Bergstra et al. 2011; Optuna's multivariate TPE).

    Each round has its own Optuna study in memory, because a range that changes inside a study makes
    Optuna's TPE sample each hyperparameter separately from then on.

    TPE models the good trials separately from the others. Optuna takes the best tenth as good, of
    20 trials the best two: if values are noisy, those are the lucky ones. After the first round the
    share follows the noise.
    """

    learns = True

    def __init__(self, plan: RoundPlan) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        # Optuna 6 will have no `gamma`; until then it tells so. For good, not in a `with`: what
        # draws meanwhile, in another thread, would bring the warnings back.
        warnings.filterwarnings("ignore", "`gamma` has been deprecated", FutureWarning)
        warnings.filterwarnings("ignore", "Argument ``group`` is an experimental feature")
        self._plan = plan
        self._space, self._direction = plan.search_space, plan.direction
        self._distributions = {n: optuna_distribution(d) for n, d in plan.search_space.items()}
        self._order = parents_first(self._space)
        self._is_conditional = any(d.when for d in self._space.values())
        self._study: optuna.Study
        self._pending: dict[int, optuna.Trial] = {}
        self._shown = [
            r for r in plan.earlier
            if not r.says_nothing and contains(self._space, r.trial.hyperparameters)
        ]
        self._others = [
            [
                r for r in other
                if r.state in (State.COMPLETE, State.DIVERGED)
                and contains(self._space, r.trial.hyperparameters)
            ] for other in plan.others
        ]
        noise = noise_share(self._space, plan.earlier, self._direction)
        self._good = GOOD[0] if math.isnan(noise) else min(max(noise, GOOD[0]), GOOD[1])
        self._build()

    def propose(self, number: int, seed: int) -> dict[str, Value]:
        """Return a proposal that depends on `seed`, the results told and the trials pending."""
        from optuna.trial import TrialState

        study = self._merged() if number % HEDGE else self._study
        for draw in range(PROPOSALS):
            study.sampler = self._sampler(another_seed(seed, draw))
            trial = self._ask(study)
            proposal = {n: _ours(self._space[n], value) for n, value in trial.params.items()}
            proposal = {name: proposal[name] for name in self._space if name in proposal}
            feasible = self._plan.is_feasible(proposal)
            if feasible and not self._is_conditional and study is self._study:
                self._pending[number] = trial
                return proposal
            study.tell(trial, state=TrialState.FAIL)  # which TPE does not look at
            if feasible:
                # Optuna has put into it what it drew for conditions that are not met, and would
                # take it for tried: of a trial from the record it knows nothing of the kind.
                self.replay(number, proposal)
                return proposal
        proposal = RandomSampler(self._plan).propose(number, seed)
        self.replay(number, proposal)
        return proposal

    def _sampler(self, seed: int) -> "optuna.samplers.TPESampler":
        return _readable_tpe()(
            self._plan, seed=seed, gamma=self._good_trials, group=self._is_conditional,
            multivariate=True,
        )

    def _merged(self) -> "optuna.Study":
        """Return a study with trials of other studies, on other scales, or the original one.

        The best of each study count as good, whatever their values. The more trials the study has
        itself, the fewer of others count: what was best there may not be best here.
        """
        own = sum(result.trial.round > 0 for result in self._shown)
        others = [_evenly(other, len(other) - FADE * own) for other in self._others]
        if not any(others):
            return self._study
        import optuna

        study = optuna.create_study(direction=self._direction)
        for some in (self._shown, *others):
            shares = by_share(some)
            study.add_trials([self._finished(result) for result in shares])
        for _, trial in sorted(self._pending.items()):
            self._run(study, trial.params)
        return study

    def _ask(self, study: "optuna.Study") -> "optuna.Trial":
        """Return a new trial, with a value of each hyperparameter whose conditions are met."""
        if not self._is_conditional:
            return study.ask(self._distributions)
        trial = study.ask()
        values: dict[str, Value] = {}
        for name in self._order:
            if is_met(self._space[name].when, values):
                value = _suggested(trial, name, self._distributions[name])
                values[name] = _ours(self._space[name], value)
        return trial

    def _good_trials(self, trials: int) -> int:
        return min(math.ceil(self._good * trials), MOST_GOOD)

    def replay(self, number: int, hyperparameters: Mapping[str, Value]) -> None:
        """Add the trial as a running one, unless its point is outside the ranges."""
        if contains(self._space, hyperparameters):
            self._add_running(number, self._optuna_point(hyperparameters))

    def skip(self, number: int) -> None:
        """Do nothing: proposals do not follow from numbers."""

    def tell(self, result: TrialResult) -> None:
        """Tell Optuna; a diverged trial as pruned without values, which ranks last and repels."""
        from optuna.trial import TrialState

        trial = self._pending.pop(result.trial.number, None)
        if trial is None:  # a point outside the ranges, of which it knows nothing
            return
        if not result.says_nothing:
            self._shown.append(result)
        if result.state is State.COMPLETE:
            self._study.tell(trial, result.value)
        elif result.says_nothing:
            self._study.tell(trial, state=TrialState.FAIL)
        else:
            for epoch, value in _reached(result).items():
                trial.report(value, epoch)
            self._study.tell(trial, state=TrialState.PRUNED)
        if len(self._shown) > MOST_SHOWN:
            self._build()

    def _build(self) -> None:
        """Rebuild the Optuna study, from no more results than it can handle quickly."""
        import optuna

        while len(self._shown) > MOST_SHOWN:
            self._shown = _thinned(self._shown, self._direction)
        self._study = optuna.create_study(direction=self._direction)
        self._study.add_trials([self._finished(result) for result in self._shown])
        for number, trial in sorted(self._pending.items()):
            self._add_running(number, trial.params)

    def _add_running(self, number: int, params: dict[str, Any]) -> None:
        self._pending[number] = self._run(self._study, params)

    def _run(self, study: "optuna.Study", params: dict[str, Any]) -> "optuna.Trial":
        """Return a trial of a study that runs with these values."""
        from optuna.samplers import RandomSampler as OptunaRandom

        study.sampler = OptunaRandom(seed=0)  # draws nothing: every value is given
        study.enqueue_trial(params)
        return self._ask(study)

    def _finished(self, result: TrialResult) -> "optuna.trial.FrozenTrial":
        from optuna.trial import TrialState, create_trial

        complete = result.state is State.COMPLETE
        return create_trial(
            state=TrialState.COMPLETE if complete else TrialState.PRUNED,
            value=result.value if complete else None,
            params=self._optuna_point(result.trial.hyperparameters),
            distributions={
                n: d for n, d in self._distributions.items() if n in result.trial.hyperparameters
            },
            intermediate_values={} if complete else _reached(result),
        )

    def _optuna_point(self, hyperparameters: Mapping[str, Value]) -> dict[str, Any]:
        """Return the searched values in Optuna's form."""
        return {
            name: optuna_value(d, hyperparameters[name])
            for name, d in self._space.items() if name in hyperparameters
        }


@cache
def _readable_tpe() -> "Callable[..., optuna.samplers.TPESampler]":
    """Return a version of Optuna's TPE that proposes values with few digits.

    It rounds while sampling, so that Optuna holds the values used in training.
    """
    from optuna.samplers import TPESampler as OptunaTPE

    class ReadableTPE(OptunaTPE):
        def __init__(self, plan: RoundPlan, **settings: Any) -> None:
            super().__init__(**settings)
            self._plan = plan

        def sample_relative(self, *given: Any) -> dict[str, Any]:
            return self._plan.shown(super().sample_relative(*given))

        def sample_independent(
            self, study: "optuna.Study", trial: "optuna.trial.FrozenTrial", name: str, *given: Any
        ) -> Any:
            value = super().sample_independent(study, trial, name, *given)
            return self._plan.shown({name: value})[name]

    return ReadableTPE


def _suggested(
    trial: "optuna.Trial", name: str, distribution: "optuna.distributions.BaseDistribution"
) -> Any:
    """Return what Optuna suggests for one hyperparameter of a trial."""
    from optuna import distributions as d

    if isinstance(distribution, d.CategoricalDistribution):
        return trial.suggest_categorical(name, distribution.choices)
    if isinstance(distribution, d.IntDistribution):
        low, high = distribution.low, distribution.high
        return trial.suggest_int(name, low, high, step=distribution.step, log=distribution.log)
    assert isinstance(distribution, d.FloatDistribution)
    return trial.suggest_float(
        name, distribution.low, distribution.high, log=distribution.log
    )


def _evenly(results: Sequence[TrialResult], count: int) -> list[TrialResult]:
    """Return `count` of the results, as evenly as possible by the order of their values."""
    if count <= 0 or not results:
        return []
    order = sorted(results, key=lambda r: (r.value is None, r.value or 0.0, r.trial.id))
    places = {round(place) for place in np.linspace(0, len(order) - 1, min(count, len(order)))}
    return [order[place] for place in sorted(places)]


def by_share(results: Sequence[TrialResult]) -> list[TrialResult]:
    """Return results with their values replaced by their share of the order.

    This merges studies whose values are on different scales: the best of each count as good.
    The smallest value is near 0, the largest near 1; equal values have equal shares.
    """
    values = sorted({r.value for r in results if r.state is State.COMPLETE and r.value is not None})
    counts = Counter(r.value for r in results if r.state is State.COMPLETE)
    shares: dict[float, float] = {}
    below, total = 0, max(counts.total(), 1)
    for value in values:
        shares[value] = (below + counts[value] / 2) / total
        below += counts[value]
    return [
        replace(r, value=shares[r.value])
        if r.state is State.COMPLETE and r.value is not None else r
        for r in results
    ]


def _thinned(results: Sequence[TrialResult], direction: Direction) -> list[TrialResult]:
    """Return the best results, which TPE models separately, and every second of the others."""
    best = {r.trial.id for r in rank(results, direction)[:BEST_SHOWN]}
    is_best = [r.trial.id in best for r in results]
    others = [r for r, among_best in zip(results, is_best, strict=True) if not among_best]
    kept = {id(r) for r in others[::2]}
    return [r for r, among_best in zip(results, is_best, strict=True)
            if among_best or id(r) in kept]


def _reached(result: TrialResult) -> dict[int, float]:
    """Return the last value of a trial that was cut short, by epoch; empty if it diverged."""
    if not result.is_cut_short or result.value is None:
        return {}
    return {result.epochs: result.value}


def optuna_distribution(d: Distribution) -> "optuna.distributions.BaseDistribution":
    """Return the distribution in Optuna's form.

    Choices go by index, because Optuna accepts no lists; so do steps of real numbers, because
    Optuna lowers an edge, and refuses a value, that is off its steps by the last bit.
    """
    from optuna import distributions

    if isinstance(d, CategoricalDistribution):
        return distributions.CategoricalDistribution(tuple(range(len(d.choices))))
    if isinstance(d, OrderedDistribution):
        return distributions.IntDistribution(d.places.low, d.places.high)
    if isinstance(d, IntegerDistribution):
        last = d.high - (d.high - d.low) % d.step
        return distributions.IntDistribution(d.low, last, log=d.log, step=d.step)
    if d.step is not None:
        return distributions.IntDistribution(0, round((d.high - d.low) / d.step))
    return distributions.FloatDistribution(d.low, d.high, log=d.log)


def optuna_value(d: Distribution, value: Any) -> Any:
    """Return a value in Optuna's form."""
    if isinstance(d, CategoricalDistribution):
        return d.choices.index(value)
    if isinstance(d, OrderedDistribution):
        return d.every.index(value)
    if isinstance(d, FloatDistribution) and d.step is not None:
        return round((value - d.low) / d.step)
    return value


def _ours(d: Distribution, value: Any) -> Value:
    """Return the value that Optuna means."""
    ours: Value = value
    if isinstance(d, CategoricalDistribution):
        ours = d.choices[value]
    elif isinstance(d, OrderedDistribution):
        ours = d.every[value]
    elif isinstance(d, FloatDistribution) and d.step is not None:
        ours = min(d.low + value * d.step, d.high)
    return ours
