"""What samplers of Optuna share: a study of the round, kept in memory, and values in both forms."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

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
from hpo.search_space import contains, is_met, parents_first
from hpo.trial import Direction, State, TrialResult, rank

if TYPE_CHECKING:  # Optuna takes half a second to import: only where it is used
    import optuna

BEST_SHOWN = 100  # results that are never left out


class OptunaSampler(ABC):
    """Proposes what a sampler of Optuna does, from results told in order of number.

    Each round has its own Optuna study in memory, because a range that changes inside a study makes
    Optuna sample each hyperparameter separately from then on.
    """

    learns = True
    proposals = 50  # that are refused, until a point is drawn at random
    most_shown = 1000  # results that it weighs: its time for a proposal grows with them

    def __init__(self, plan: RoundPlan) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
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
        self._build()

    def propose(self, number: int, seed: int) -> dict[str, Value]:
        """Return a proposal that depends on `seed`, the results told and the trials pending."""
        from optuna.trial import TrialState

        study = self._study_for(number)
        for draw in range(self.proposals):
            study.sampler = self._sampler(another_seed(seed, draw))
            trial = self._ask(study)
            proposal = {n: _ours(self._space[n], value) for n, value in trial.params.items()}
            proposal = {name: proposal[name] for name in self._space if name in proposal}
            feasible = self._plan.is_feasible(proposal)
            if feasible and not self._is_conditional and study is self._study:
                self._pending[number] = trial
                return proposal
            study.tell(trial, state=TrialState.FAIL)  # no sampler looks at it
            if feasible:
                # Optuna has put into it what it drew for conditions that are not met, and would
                # take it for tried: of a trial from the record it knows nothing of the kind.
                self.replay(number, proposal)
                return proposal
        proposal = RandomSampler(self._plan).propose(number, seed)
        self.replay(number, proposal)
        return proposal

    @abstractmethod
    def _sampler(self, seed: int) -> "optuna.samplers.BaseSampler":
        """Return Optuna's sampler for one proposal."""

    def _study_for(self, number: int) -> "optuna.Study":
        """Return the study that a proposal is made from."""
        return self._study

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

    def replay(self, number: int, hyperparameters: Mapping[str, Value]) -> None:
        """Add the trial as a running one, unless its point is outside the ranges."""
        if contains(self._space, hyperparameters):
            self._add_running(number, self._optuna_point(hyperparameters))

    def skip(self, number: int) -> None:  # noqa: B027  # not to be overridden
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
        if len(self._shown) > self.most_shown:
            self._build()

    def _build(self) -> None:
        """Rebuild the Optuna study, from no more results than it can handle quickly."""
        import optuna

        while len(self._shown) > self.most_shown:
            self._shown = _thinned(self._shown, self._direction)
        self._study = optuna.create_study(direction=self._direction)
        self._study.add_trials(self._told())
        for number, trial in sorted(self._pending.items()):
            self._add_running(number, trial.params)

    def _told(self) -> "list[optuna.trial.FrozenTrial]":
        """Return the results that are shown in Optuna's form."""
        return [self._finished(result) for result in self._shown]

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
def readable(kind: "type[optuna.samplers.BaseSampler]") -> Any:
    """Return a version of a sampler of Optuna that proposes values with few digits.

    It rounds while sampling, so that Optuna holds the values used in training. Its first argument
    is the plan of the round.
    """

    class Readable(kind):  # type: ignore[misc, valid-type]
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

    return Readable


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


def _thinned(results: Sequence[TrialResult], direction: Direction) -> list[TrialResult]:
    """Return the best results, and every second of the others."""
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
