"""TPE: a sampler that proposes points where good results are likely, based on Optuna."""

import math
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hpo.search.optuna_sampler import OptunaSampler, readable
from hpo.search.round_plan import RoundPlan
from hpo.search.surface import noise_share
from hpo.search_space import contains
from hpo.trial import State, TrialResult

if TYPE_CHECKING:  # Optuna takes half a second to import: only where it is used
    import optuna

MOST_GOOD = 25  # results modeled as good ones: Optuna's own most
FADE = 2  # trials of other studies, on other scales, that each trial of its own takes away
HEDGE = 2  # every so many trials one is proposed without those
GOOD = (0.1, 0.5)  # least (Optuna's own) and largest share of the trials modeled as good ones


class TPESampler(OptunaSampler):
    """Proposes where good results are likely (Bergstra et al. 2011; Optuna's multivariate TPE).

    TPE models the good trials separately from the others. Optuna takes the best tenth as good, of
    20 trials the best two: if values are noisy, those are the lucky ones. After the first round the
    share follows the noise.
    """

    def __init__(self, plan: RoundPlan) -> None:
        # Optuna 6 will have no `gamma`; until then it tells so. For good, not in a `with`: what
        # draws meanwhile, in another thread, would bring the warnings back.
        warnings.filterwarnings("ignore", "`gamma` has been deprecated", FutureWarning)
        warnings.filterwarnings("ignore", "Argument ``group`` is an experimental feature")
        super().__init__(plan)
        self._others = [
            [
                r for r in other
                if r.state in (State.COMPLETE, State.DIVERGED)
                and contains(self._space, r.trial.hyperparameters)
            ] for other in plan.others
        ]
        noise = noise_share(self._space, plan.earlier, self._direction)
        self._good = GOOD[0] if math.isnan(noise) else min(max(noise, GOOD[0]), GOOD[1])

    def _sampler(self, seed: int) -> "optuna.samplers.BaseSampler":
        from optuna.samplers import TPESampler as OptunaTPE

        sampler: optuna.samplers.BaseSampler = readable(OptunaTPE)(
            self._plan, seed=seed, gamma=self._good_trials, group=self._is_conditional,
            multivariate=True,
        )
        return sampler

    def _good_trials(self, trials: int) -> int:
        return min(math.ceil(self._good * trials), MOST_GOOD)

    def _study_for(self, number: int) -> "optuna.Study":
        return self._merged() if number % HEDGE else self._study

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
