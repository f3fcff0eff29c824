"""A smooth random surface over the search space: what the ranks of the trials say about each point.

A Gaussian process is fitted to the normal scores of the ranks, so that only the order of the
trials counts; its noise is the part of that order that neighbors contradict. Narrowing samples
surfaces from it; TPE asks it how much of the order is noise.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from hpo.distributions import (
    CategoricalDistribution,
    Distribution,
    OrderedDistribution,
    Value,
)
from hpo.search_space import SearchSpace, is_absent
from hpo.trial import Curve, Direction, State, TrialId, TrialResult

Array: TypeAlias = NDArray[np.float64]
Confirmed: TypeAlias = Mapping[TrialId, tuple[float, float]]

MINIMUM_TRIALS = 10  # fewer say too little
OF_ALL = 4  # degrees of freedom that the noise of all trials has in that of each
FARTHEST = 1e4  # widths of a range from it; trials further away say nothing of it
MAXIMUM_TRIALS = 300  # fitting takes the cube of the trials: of more, evenly many of each rank
SURFACES = 500  # that are drawn
JITTER = 1e-4  # a variance, against rounding in nearly singular matrices
MEAN_VARIANCE = 1.0  # of the surface's mean, which is not known
MIDDLE = 0.5  # of a range: where trials stand that have no value for it
ROUNDING = 1e-9  # of positions: the digits beyond depend on the unit of measurement


@dataclass(frozen=True)
class Ranked:
    """A trial with a result; of two trials the one with the smaller `rank` is better."""

    id: TrialId
    rank: tuple[float, ...]
    hyperparameters: Mapping[str, Value]  # a conditional one that was not searched is absent
    count: float  # how many trials of average noise its value is worth
    state: State
    group: int = 0  # 0: the study itself; trials of different groups are on different scales


def ranked_points(
    search_space: SearchSpace,
    results: Sequence[TrialResult],
    direction: Direction,
    confirmed: Confirmed,
    others: Sequence[Sequence[TrialResult]] = (),
) -> list[Ranked]:
    """Return the trials that carry information, best first, whatever their order was.

    A pruned trial ranks among the others where it was at its last epoch: how long it ran says more
    about the pruner than about the trial. Without the curves of complete trials, pruned ones come
    after them, those that ran longer first. Diverged ones are last; failed and infeasible ones are
    ignored. `confirmed` maps the ids of repeated trials to the mean of their values and the number
    of values; the mean replaces the value. If values are means, those with small standard errors
    count for more. Each of `others` holds trials on a scale of their own: they, and then the
    study's own trials too, are ranked by their share of the order among themselves.
    """
    if others:
        groups = [
            ranked_points(search_space, some, direction, confirmed if not group else {})
            for group, some in enumerate((results, *others))
        ]
        return sorted(
            (
                replace(trial, rank=(share,), group=group)
                for group, some in enumerate(groups)
                for trial, share in zip(some, _shares(some), strict=True)
            ),
            key=lambda trial: (trial.rank, trial.group),
        )
    sign = -1.0 if direction == "maximize" else 1.0
    trials: list[Ranked] = []
    standing, worth = _standing_of_pruned(results, sign), _worth(results)
    for result in results:
        hyperparameters = result.trial.hyperparameters
        if result.says_nothing or result.state is State.INFEASIBLE or not all(
            _usable(d, hyperparameters.get(name)) or is_absent(name, d, hyperparameters)
            for name, d in search_space.items()
        ):
            continue
        value, count = result.value, worth.get(result.trial.id, 1.0)
        if result.trial.id in confirmed:
            value, count = confirmed[result.trial.id]
        rank: tuple[float, ...] = (2.0,)
        if value is not None and math.isfinite(value):
            if result.state is State.COMPLETE:
                rank = (0.0, sign * value)
            elif result.is_cut_short and result.trial.id in standing:
                rank = standing[result.trial.id]
            elif result.is_cut_short:
                rank = (1.0, -float(result.epochs), sign * value)
        state = State.DIVERGED if rank == (2.0,) else result.state
        trials.append(Ranked(result.trial.id, rank, hyperparameters, count, state))
    trials.sort(
        key=lambda t: (
            t.rank,
            [
                (n in t.hyperparameters, _position(d, t.hyperparameters.get(n)))
                for n, d in search_space.items()
            ],
        )
    )
    return trials


def _worth(results: Sequence[TrialResult]) -> dict[TrialId, float]:
    """Return how many trials of average noise the means of parts are worth.

    Few parts say little about how noisy their trial is: its variance is pulled toward that of all
    (Smyth 2004, "Linear models and empirical Bayes methods", in Stat. Appl. Genet. Mol. Biol. 3).
    """
    squares = {
        r.trial.id: (error**2, len(r.parts.values) - 1) for r in results
        if r.parts is not None and (error := r.standard_error) is not None
    }
    freedom = sum(degrees for _, degrees in squares.values())
    average = sum(square * degrees for square, degrees in squares.values()) / max(freedom, 1)
    if not average:
        return {}
    return {
        identity: average * (OF_ALL + degrees) / (OF_ALL * average + degrees * square)
        for identity, (square, degrees) in squares.items()
    }


def _shares(trials: Sequence[Ranked]) -> list[float]:
    """Return the share of trials that are better than each, half of its equals among them."""
    counts = Counter(trial.rank for trial in trials)
    better: dict[tuple[float, ...], float] = {}
    passed = 0
    for rank in sorted(counts):
        better[rank] = (passed + counts[rank] / 2) / len(trials)
        passed += counts[rank]
    return [better[trial.rank] for trial in trials]


def _standing_of_pruned(
    results: Sequence[TrialResult], sign: float
) -> dict[TrialId, tuple[float, ...]]:
    """Return ranks of pruned trials among complete ones, from the curves of both.

    Those that went on longest are placed first; then they count as well for those that did not
    get as far. A trial that a share of the others was ahead of at its last epoch is placed behind
    that share of them.
    """
    order: list[tuple[tuple[float, ...], Array]] = []  # ranks and curves, best first
    for r in results:
        if r.state is State.COMPLETE and r.value is not None and math.isfinite(r.value):
            order += [((0.0, sign * r.value), sign * curve) for curve in _curves(r)]
    if not order:
        return {}
    order.sort(key=lambda placed: placed[0])
    by_epochs: dict[int, list[TrialResult]] = {}
    for r in results:
        if r.is_cut_short and any(map(len, _curves(r))):
            by_epochs.setdefault(len(r.metrics), []).append(r)
    standing: dict[TrialId, tuple[float, ...]] = {}
    for epochs in sorted(by_epochs, reverse=True):
        others = [place for place, (_, curve) in enumerate(order) if len(curve) >= epochs]
        values = np.sort([order[place][1][epochs - 1] for place in others])
        arrived = []
        for r in by_epochs[epochs]:
            (curve,) = (sign * curve for curve in _curves(r))
            ahead = int(np.searchsorted(values, curve[-1]))
            behind = order[others[ahead - 1]][0] if ahead else (-1.0,)
            arrived.append(((*behind, float(epochs), float(curve[-1])), curve))
            standing[r.trial.id] = arrived[-1][0]
        order = sorted([*order, *arrived], key=lambda placed: placed[0])
    return standing


def _curves(result: TrialResult) -> list[Array]:
    """Return the one curve that cut-offs are about, or none where not every epoch has a value."""
    if result.parts is not None:
        return [np.asarray(result.parts.first, np.float64)]
    metrics = result.metrics
    return [np.asarray(metrics.values, np.float64)] if isinstance(metrics, Curve) else []


def _position(distribution: Distribution, value: Value | None) -> float | str:
    """Return what stands for a value when trials are compared: the same in any unit."""
    if isinstance(distribution, CategoricalDistribution):
        return repr(value)
    if value is None:
        return MIDDLE
    return round(distribution.to_unit(value) / ROUNDING) * ROUNDING  # type: ignore[arg-type]


def _usable(distribution: Distribution, value: Value | None) -> bool:
    if isinstance(distribution, CategoricalDistribution):
        return value is not None
    if isinstance(distribution, OrderedDistribution):
        return value in distribution.every
    if not isinstance(value, int | float) or (distribution.log and value <= 0):
        return False
    return abs(distribution.to_unit(value)) <= FARTHEST


def noise_share(
    search_space: SearchSpace, results: Sequence[TrialResult], direction: Direction
) -> float:
    """Return the share of the variance of the scores that is noise, 0 to 1; NaN for too few trials.

    `results` may be outside the ranges of `search_space`.
    """
    trials = ranked_points(search_space, results, direction, {})
    if len(trials) < MINIMUM_TRIALS or trials[0].rank == trials[-1].rank:
        return math.nan
    observations = Observations(search_space, trials)
    return min(observations.surface.noise / float(np.var(observations.scores)), 1.0)


class Observations:
    """The trials as numbers: positions on the unit intervals, and scores that follow the ranks.

    If a conditional hyperparameter was not searched, `is_there` is False and the position is the
    middle of its range. The hyperparameter it depends on already separates such trials.
    """

    def __init__(self, search_space: SearchSpace, trials: Sequence[Ranked]) -> None:
        self.search_space, self.trials = search_space, trials
        self.names = list(search_space)
        self.is_choice = np.array(
            [isinstance(d, CategoricalDistribution) for d in search_space.values()]
        )
        self.positions = np.column_stack(
            [self._positions(name) for name in search_space]
        )
        self.is_there = np.array(
            [[name in trial.hyperparameters for name in self.names] for trial in trials]
        )
        self.groups = np.array([trial.group for trial in trials], dtype=np.float64)
        self.scores = _scores(trials)

    def _positions(self, name: str) -> Array:
        """Return units, or for choices their index; those of earlier rounds after today's."""
        distribution = self.search_space[name]
        values = [trial.hyperparameters.get(name) for trial in self.trials]
        points = [_position(distribution, value) for value in values]
        if isinstance(distribution, CategoricalDistribution):
            indices = {choice: i for i, choice in enumerate(self.choices(name))}
            points = [indices[str(point)] for point in points]
        return np.array(points, dtype=np.float64)

    def choices(self, name: str) -> list[str]:
        """Return all choices of a hyperparameter that trials had, as text, by their positions."""
        distribution = self.search_space[name]
        assert isinstance(distribution, CategoricalDistribution)
        known = [repr(choice) for choice in distribution.choices]
        seen = {repr(trial.hyperparameters.get(name)) for trial in self.trials}
        return known + sorted(seen - set(known))

    def settled(self, points: Array) -> Array:
        """Return points with every hyperparameter absent whose conditions are not met there."""
        conditional = [name for name, d in self.search_space.items() if d.when]
        if not conditional:
            return points
        points, there = points.copy(), np.ones(points.shape, dtype=bool)
        for _ in conditional:  # a chain of conditions is no longer than there are of them
            for name in conditional:
                met = np.ones(len(points), dtype=bool)
                for other, values in self.search_space[name].when:
                    column = self.names.index(other)
                    met &= there[:, column] & self._is_one_of(other, points[:, column], values)
                there[:, self.names.index(name)] = met
        for name in conditional:
            column = self.names.index(name)
            absent: float = MIDDLE
            if isinstance(self.search_space[name], CategoricalDistribution):
                texts = self.choices(name)
                absent = texts.index(repr(None)) if repr(None) in texts else -1.0
            points[~there[:, column], column] = absent
        return points

    def _is_one_of(self, name: str, positions: Array, values: Sequence[Value]) -> Array:
        """Say for each position of a hyperparameter whether it stands for one of the values."""
        distribution = self.search_space[name]
        at, back = np.unique(positions, return_inverse=True)
        if isinstance(distribution, CategoricalDistribution):
            texts, wanted = self.choices(name), {repr(value) for value in values}
            found = [0 <= i < len(texts) and texts[int(i)] in wanted for i in at.tolist()]
        else:
            found = [distribution.from_unit(unit) in values for unit in at.tolist()]
        return np.array(found, dtype=bool)[back]

    @cached_property
    def surface(self) -> "Surface":
        """The fitted surface; of very many trials, an even selection by rank is used."""
        counts = np.array([trial.count for trial in self.trials], dtype=np.float64)
        columns = np.column_stack([self.positions, self.scores, counts, self.groups])
        return _surface(columns[evenly(len(self.trials))].tobytes(), tuple(self.is_choice.tolist()))


@lru_cache(maxsize=1)
def _surface(columns: bytes, is_choice: tuple[bool, ...]) -> "Surface":
    """Return the surface of these trials, fitted once for all who ask for it.

    The next ranges, the recommended trial and a report ask one after the other.
    """
    table = np.frombuffer(columns).reshape(-1, len(is_choice) + 3)
    return Surface(table[:, :-3], table[:, -3], table[:, -2], np.array(is_choice), table[:, -1])


def on_the_metric(heights: Array, known: Mapping[float, float]) -> Array:
    """Return heights on the scale of the metric, given `known` scores and their values."""
    scores = sorted(known)
    return np.interp(heights, scores, [known[score] for score in scores])


def evenly(count: int) -> NDArray[np.int_]:
    """Return indices of at most `MAXIMUM_TRIALS` among so many trials, evenly spaced."""
    even = np.linspace(0, count - 1, min(count, MAXIMUM_TRIALS))
    return np.unique(even.round().astype(int))


def _scores(trials: Sequence[Ranked]) -> Array:
    """Return normal scores of the ranks, high for good trials, equal for equal ones."""
    from scipy.special import ndtri

    level = {rank: i for i, rank in enumerate(sorted({t.rank for t in trials}, reverse=True))}
    _, inverse, counts = np.unique(
        [level[trial.rank] for trial in trials], return_inverse=True, return_counts=True
    )
    shares = (np.cumsum(counts) - counts / 2) / len(trials)
    return np.asarray(ndtri(shares)[inverse], dtype=np.float64)


class Surface:
    """A Gaussian process over the trials (Rasmussen and Williams 2006, chapters 2 and 5).

    Squared exponential, one length for each hyperparameter. Lengths, height and noise maximize
    the posterior under log-normal priors: lengths about 0.7 of a range, height about the spread
    of the scores, noise about a fifth of its square, each within a factor of e or so.
    """

    def __init__(
        self, positions: Array, scores: Array, counts: Array, is_choice: Array, groups: Array
    ) -> None:
        self.positions, self.scores, self.counts = positions, scores, counts
        self._is_choice = is_choice
        # How far the trials of another group are from those of this study, by and large, is known
        # as little as the mean: theirs may be drawn anywhere, and ours where the best ones are.
        same = (groups[:, None] == groups) & (groups > 0)
        self._offsets = np.where(same, MEAN_VARIANCE, 0.0) if same.any() else 0.0
        self._centers = np.log([*[0.7] * positions.shape[1], 1.0, 0.2])
        self._settings = self._fitted()
        covariance = self.covariance(positions, positions) + self._noise()
        self._inverse = np.linalg.inv(covariance)

    def draws(self, points: Array) -> Array:
        """Return the heights at `points` of surfaces sampled from the posterior (draw, point)."""
        across = self.covariance(points, self.positions)
        mean = across @ self._inverse @ self.scores
        covariance = self.covariance(points, points) - across @ self._inverse @ across.T
        root = np.linalg.cholesky(covariance + JITTER * np.eye(len(points)))
        normal = np.random.default_rng(0).standard_normal((SURFACES, len(points)))
        return np.asarray(mean + normal @ root.T)

    def expected(self, points: Array) -> tuple[Array, Array]:
        """Return the expected heights at `points`, and their standard deviations."""
        across = self.covariance(points, self.positions)
        explained = np.sum((across @ self._inverse) * across, axis=1)
        variance = self.height + MEAN_VARIANCE - explained
        return across @ self.weights, np.sqrt(np.maximum(variance, 0.0))

    @cached_property
    def weights(self) -> Array:
        """How much each trial's covariance with a point adds to the expected height there."""
        return np.asarray(self._inverse @ self.scores)

    @property
    def height(self) -> float:
        """The variance of the surface itself."""
        return float(np.exp(self._settings[-2]))

    @property
    def noise(self) -> float:
        """The variance of the noise of one trial's score."""
        return float(np.exp(self._settings[-1]))

    def distances(self, a: Array, b: Array) -> Array:
        """Return squared distances (hyperparameter, a, b); two choices are one apart."""
        difference = a.T[:, :, None] - b.T[:, None, :]
        return np.where(self._is_choice[:, None, None], difference != 0, difference**2)

    @property
    def lengths(self) -> Array:
        """The distance along each hyperparameter over which the surface changes."""
        return np.asarray(np.exp(self._settings[:-2]))

    def covariance(self, a: Array, b: Array) -> Array:
        """Return how the heights at `a` and `b` vary together, noise left out (a, b)."""
        inverse_lengths = np.exp(-2 * self._settings[:-2])
        exponent = np.tensordot(inverse_lengths, self.distances(a, b), axes=1)
        return np.asarray(np.exp(self._settings[-2] - exponent / 2) + MEAN_VARIANCE)

    def _noise(self) -> Array:
        return np.asarray(np.diag(self.noise / self.counts + JITTER) + self._offsets)

    def _fitted(self) -> Array:
        """Return the logarithms of the lengths, the height and the noise (variances)."""
        from scipy.optimize import minimize

        bounds = [(-3.0, 3.0)] * (len(self._centers) - 2) + [(-4.0, 4.0), (-6.0, 2.0)]
        distances = self.distances(self.positions, self.positions)
        fits = []
        for length in (0.3, 1.5):  # wiggly and smooth: the better of two local optima
            start = self._centers.copy()
            start[:-2] = math.log(length)
            fits.append(
                minimize(
                    self._loss, start, (distances,), jac=True, method="L-BFGS-B", bounds=bounds
                )
            )
        return np.asarray(min(fits, key=lambda fit: float(fit.fun)).x)

    def _loss(self, settings: Array, distances: Array) -> tuple[float, Array]:
        """Return the negative log posterior of the settings and its gradient (R&W 5.8, 5.9)."""
        inverse_lengths = np.exp(-2 * settings[:-2])
        smooth = np.exp(settings[-2] - np.tensordot(inverse_lengths, distances, axes=1) / 2)
        noise = np.exp(settings[-1]) / self.counts
        covariance = smooth + np.diag(noise + JITTER) + MEAN_VARIANCE + self._offsets
        inverse = np.linalg.inv(covariance)
        weights = inverse @ self.scores
        away = settings - self._centers
        loss = (self.scores @ weights + np.linalg.slogdet(covariance)[1] + away @ away) / 2
        slope = (inverse - np.outer(weights, weights)) * smooth
        by_length = np.tensordot(distances, slope, axes=2) * inverse_lengths / 2
        by_noise = np.sum((np.diag(inverse) - weights**2) * noise) / 2
        return float(loss), np.array([*by_length, slope.sum() / 2, by_noise]) + away
