"""GP: a sampler that proposes what a Gaussian process expects most of, based on Optuna."""

import importlib.util
import statistics
from dataclasses import replace
from typing import TYPE_CHECKING

from hpo.search.optuna_sampler import OptunaSampler, readable
from hpo.trial import State, TrialResult

if TYPE_CHECKING:  # Optuna takes half a second to import: only where it is used
    import optuna


class GPSampler(OptunaSampler):
    """Proposes the largest expected improvement (Jones et al. 1998), as Optuna's GPSampler does.

    Optuna's fits a Gaussian process (Matérn 5/2, a length for each hyperparameter) to the complete
    trials alone. Here a diverged trial counts like the worst complete one, so that it repels, and
    one that was cut short like its last value, but no better than the median of the complete ones.

    Of conditional hyperparameters it models those that all trials have; others are drawn at random.
    Trials of other studies on other scales are not used.
    """

    proposals = 5  # each takes a fit
    most_shown = 200  # the time of a fit grows faster than they do

    def _sampler(self, seed: int) -> "optuna.samplers.BaseSampler":
        from optuna.samplers import GPSampler as OptunaGP

        sampler: optuna.samplers.BaseSampler = readable(OptunaGP)(
            self._plan, seed=seed, warn_independent_sampling=False
        )
        return sampler

    def _study_for(self, number: int) -> "optuna.Study":
        self._build()  # what a diverged trial counts like changes with the others
        return self._study

    def _told(self) -> "list[optuna.trial.FrozenTrial]":
        values = [r.value for r in self._shown if r.state is State.COMPLETE and r.value is not None]
        if not values:
            return []
        worse = max if self._direction == "minimize" else min
        worst, median = worse(values), statistics.median(values)

        def counted(result: TrialResult) -> TrialResult:
            if result.state is State.COMPLETE:
                return result
            known = result.is_cut_short and result.value is not None
            value = worse(result.value, median) if known else worst  # type: ignore[type-var]
            return replace(result, state=State.COMPLETE, value=value)

        return [self._finished(counted(result)) for result in self._shown]


def is_installed() -> bool:
    """Return whether PyTorch is there, which Optuna's Gaussian process needs."""
    return importlib.util.find_spec("torch") is not None
