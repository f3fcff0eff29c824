"""Samplers whose points depend only on their numbers: random search, Sobol sequences, grids."""

import math
from collections.abc import Mapping
from functools import cached_property, partial

import numpy as np

from hpo.distributions import (
    CategoricalDistribution,
    Distribution,
    FloatDistribution,
    IntegerDistribution,
    OrderedDistribution,
    Value,
)
from hpo.errors import InputError
from hpo.search.round_plan import RoundPlan, another_seed
from hpo.search_space import active
from hpo.trial import TrialResult

MOST_CELLS = 100_000  # of a grid with conditions or refused points, which are looked at one by one


class _ByNumber:
    """A sampler whose points depend only on their numbers, not on results."""

    learns = False

    def __init__(self, plan: RoundPlan) -> None:
        self.plan = plan
        self._skipped: list[int] = []

    def skip(self, number: int) -> None:
        """Note that a person chose the point of trial `number`: later points move back by one."""
        self._skipped.append(number)

    def own_number(self, number: int) -> int:
        """Return which of the sampler's own points trial `number` has, counted from 1."""
        return number - sum(skipped < number for skipped in self._skipped)

    def replay(self, number: int, hyperparameters: Mapping[str, Value]) -> None:
        pass

    def tell(self, result: TrialResult) -> None:
        pass


class RandomSampler(_ByNumber):
    """Samples each hyperparameter uniformly on its scale (Bergstra and Bengio 2012)."""

    def propose(self, number: int, seed: int) -> dict[str, Value]:
        """Return a random point sampled with `seed`: the first feasible one."""
        return self.plan.feasible(lambda draw: self._drawn(another_seed(seed, draw)))[1]

    def complete(self, given: Mapping[str, Value], seed: int) -> dict[str, Value]:
        """Return a feasible point with the values `given` and the others sampled with `seed`."""
        return self.plan.feasible(lambda draw: self._drawn(another_seed(seed, draw), given))[1]

    def _drawn(self, seed: int, given: Mapping[str, Value] | None = None) -> dict[str, Value]:
        names = self.plan.search_space
        units = np.random.default_rng(seed).random(len(names)).tolist()
        return self.plan.point(dict(zip(names, units, strict=True)), given)


class QMCSampler(_ByNumber):
    """Proposes the points of a scrambled Sobol sequence, which cover the space evenly.

    Sobol 1967, scrambled as in Owen 1998. Trial n gets the n-th feasible point.
    """

    def __init__(self, plan: RoundPlan) -> None:
        super().__init__(plan)
        self._taken: list[int] = []  # indices of the points of the first trials

    def propose(self, number: int, seed: int) -> dict[str, Value]:
        """Return the next point of the sequence of this study's seed and round."""
        number = self.own_number(number)
        if self.plan.accepts is None:
            return self._at(number - 1)
        while len(self._taken) < number:
            after = self._taken[-1] + 1 if self._taken else 0
            draw, _ = self.plan.feasible(partial(self._at, after))
            self._taken.append(after + draw)
        return self._at(self._taken[number - 1])

    def _at(self, after: int, draw: int = 0) -> dict[str, Value]:
        """Return a point of the sequence: the one with index `after`, from 0, or a later one."""
        from scipy.stats import qmc

        names = self.plan.search_space
        scrambling = np.random.default_rng((self.plan.study_seed, self.plan.round))
        sequence = qmc.Sobol(len(names), scramble=True, rng=scrambling)
        index = after + draw
        if index > 0:  # SciPy cannot go forward by none
            sequence.fast_forward(index)
        units = sequence.random(1)[0]
        return self.plan.point(dict(zip(names, units.tolist(), strict=True)))


class GridSampler(_ByNumber):
    """Proposes the points of an evenly spaced grid, permuted by the study's seed and the round.

    The grid is the smallest one with enough points for the round, with about the same number along
    each range, edges included; choices and short ranges of whole numbers are used completely.
    Points that differ only in hyperparameters whose conditions are not met count as one.
    """

    def propose(self, number: int, seed: int) -> dict[str, Value]:
        """Return the next point of the permuted grid; after the last one it starts over."""
        return dict(self._order[(self.own_number(number) - 1) % len(self._order)])

    @cached_property
    def _order(self) -> list[dict[str, Value]]:
        space, trials = self.plan.search_space, self.plan.trials
        distributions = list(space.values())
        sizes = [
            len(d.choices) if isinstance(d, CategoricalDistribution) else 1 for d in distributions
        ]
        looked = 0  # points, of this grid and of smaller ones
        while True:
            growing = [i for i, d in enumerate(distributions) if sizes[i] < _count(d)]
            cells = math.prod(sizes)
            if cells >= trials or not growing:
                found = self._first(sizes)
                looked += min(cells, MOST_CELLS)
                if len(found) >= trials or not growing or cells >= MOST_CELLS:
                    break
                if not found and looked >= MOST_CELLS:
                    break
            sizes[min(growing, key=lambda i: sizes[i])] += 1
        if not found:
            raise InputError(
                f"none of the {min(cells, MOST_CELLS)} points of the grid is feasible; widen the "
                "ranges, or relax the constraints"
            )
        return found[:trials]

    def _first(self, sizes: list[int]) -> list[dict[str, Value]]:
        """Return the first points of a grid, as many as there are trials if it has that many.

        Usually no point is refused, so no more have to be checked.
        """
        most = self.plan.trials
        while True:
            found = self._cells(sizes, most)
            if len(found) >= self.plan.trials or most >= min(math.prod(sizes), MOST_CELLS):
                return found
            most = min(most * 8, MOST_CELLS)

    def _cells(self, sizes: list[int], most: int) -> list[dict[str, Value]]:
        """Return up to `most` points of a grid, in the order they are taken."""
        space = self.plan.search_space
        points = [self._spread(d, size) for d, size in zip(space.values(), sizes, strict=True)]
        lengths = [len(values) for values in points]
        cells = math.prod(lengths)
        generator = np.random.default_rng((self.plan.study_seed, self.plan.round))
        # A grid of many choices may have far more points than there is memory for.
        drawn = generator.choice(cells, size=min(cells, most), replace=False)
        found: dict[str, dict[str, Value]] = {}
        for steps in zip(*(axis.tolist() for axis in np.unravel_index(drawn, lengths)),
                         strict=True):
            at = zip(space, points, steps, strict=True)
            values = active(space, {name: values[step] for name, values, step in at})
            if self.plan.is_feasible(values):
                found.setdefault(repr(values), values)
        return list(found.values())

    def _spread(self, d: Distribution, size: int) -> list[Value]:
        """Return `size` evenly spaced values: all there are, or with both edges among them."""
        if isinstance(d, CategoricalDistribution):
            return list(d.choices)
        if isinstance(d, OrderedDistribution):
            return [d.every[int(place)] for place in self._spread(d.places, size)]  # type: ignore[arg-type]
        values = _spaced(d, size)
        if self.plan.rounded and isinstance(d, FloatDistribution):
            return [d.readable(value) for value in values]
        return list(values)


def _count(d: Distribution) -> float:
    """Return how many values there are."""
    if isinstance(d, CategoricalDistribution | OrderedDistribution):
        return len(d.choices)
    if isinstance(d, IntegerDistribution):
        return (d.high - d.low) // d.step + 1
    return math.inf if d.step is None else round((d.high - d.low) / d.step) + 1


def _spaced(d: FloatDistribution | IntegerDistribution, size: int) -> list[float]:
    """Return `size` evenly spaced numbers with both edges among them, or the one in the middle."""
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
