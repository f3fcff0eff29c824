"""What the surface expects along each hyperparameter, on the scale of the metric."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hpo.distributions import CategoricalDistribution, Value
from hpo.search import confirmation
from hpo.search.surface import (
    MINIMUM_TRIALS,
    Array,
    Observations,
    Surface,
    on_the_metric,
    ranked_points,
)
from hpo.search_space import SearchSpace
from hpo.trial import Direction, State, TrialId, TrialResult

DEVIATIONS = 1.645  # on either side: nine of ten surfaces lie within the band


@dataclass(frozen=True)
class Slice:
    """The expected metric at some values of a hyperparameter, and the edges of its band."""

    mean: Array
    low: Array
    high: Array


class Landscape:
    """The surface over the trials of a study, as narrowing sees it.

    Pruned trials are where they ranked among the others, diverged ones at the lowest point, and
    confirmed ones at the mean of their repeats. The metric is that of the complete trials: whatever
    the surface expects beyond the best or the worst of them is drawn like that one.
    """

    def __init__(
        self, search_space: SearchSpace, observations: Observations, known: Mapping[float, float]
    ) -> None:
        self.search_space = search_space
        self._observations, self._known = observations, known
        self._places = {trial.id: i for i, trial in enumerate(observations.trials)}

    @classmethod
    def of(
        cls,
        search_space: SearchSpace,
        results: Sequence[TrialResult],
        repeats: Sequence[TrialResult],
        direction: Direction,
    ) -> "Landscape | None":
        """Return the landscape of a study's last ranges; None if its trials say too little."""
        means = confirmation.means(results, repeats)
        trials = ranked_points(search_space, results, direction, means)
        if len(trials) < MINIMUM_TRIALS or trials[0].rank == trials[-1].rank:
            return None
        observations = Observations(search_space, trials)
        values = {r.trial.id: r.value or 0.0 for r in results}
        values |= {identity: mean for identity, (mean, _) in means.items()}
        known = {
            float(score): values[trial.id]
            for trial, score in zip(trials, observations.scores, strict=True)
            if trial.state is State.COMPLETE and math.isfinite(values[trial.id])
        }
        return cls(search_space, observations, known) if known else None

    @property
    def surface(self) -> Surface:
        """The fitted surface, over positions on the unit intervals of the ranges."""
        return self._observations.surface

    @property
    def levels(self) -> list[tuple[float, float]]:
        """Heights of the surface and their values of the metric, from the lowest up."""
        return sorted(self._known.items())

    def has(self, trial: TrialId) -> bool:
        """Return whether the surface is fitted to a trial."""
        return trial in self._places

    @property
    def best(self) -> TrialId:
        """The best trial that the surface is fitted to."""
        return self._observations.trials[0].id

    def position(self, trial: TrialId) -> Array:
        """Return the position of a trial on the unit intervals; a choice by its index."""
        return np.asarray(self._observations.positions[self._places[trial]])

    def along(self, name: str, values: Sequence[Value], through: TrialId) -> Slice:
        """Return the expected metric at `values` of one hyperparameter, the others as in a trial.

        If that trial does not have it, the others are as in the best trial that does.
        """
        column = self._observations.names.index(name)
        there = self._observations.is_there[:, column]
        if there.any() and not there[self._places[through]]:
            through = self._observations.trials[int(there.argmax())].id
        points = np.tile(self.position(through), (len(values), 1))
        points[:, column] = self._units(name, values)
        mean, deviation = self.surface.expected(self._observations.settled(points))
        expected, *edges = (
            on_the_metric(mean + times * deviation, self._known)
            for times in (0.0, -DEVIATIONS, DEVIATIONS)
        )
        low, high = np.minimum(*edges), np.maximum(*edges)
        return Slice(expected, low, high)

    def _units(self, name: str, values: Sequence[Value]) -> list[float]:
        distribution = self.search_space[name]
        if isinstance(distribution, CategoricalDistribution):
            return [float(distribution.choices.index(value)) for value in values]
        return [distribution.to_unit(value) for value in values]  # type: ignore[arg-type]
