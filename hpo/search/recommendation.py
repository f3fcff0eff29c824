"""Recommendation picks the trial to use: the best value may be luck, and its neighbors show that.

The best of many noisy values is usually a lucky one. The surface that narrowing fits takes all
trials around it into account, and its height is a better estimate than any single value. But not
everything a smooth surface misses is noise: a step or a rough spot is real, and the trial that
found it has earned its value. Pairs of trials close to each other tell which it is. If they agree,
a short rough component explains them better than noise does, and the best value stands. If they
contradict each other, the estimate counts, and any remaining doubt is shared between the two.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hpo import wording
from hpo.search import confirmation
from hpo.search.surface import (
    JITTER,
    MAXIMUM_TRIALS,
    Array,
    Observations,
    Ranked,
    Surface,
    on_the_metric,
    ranked_points,
)
from hpo.search_space import SearchSpace
from hpo.trial import Direction, TrialId, TrialResult, rank

ROUGH = (0.05, 0.1, 0.2)  # lengths of rough spots, in widths of the last ranges
ROUGH_SHARE = 0.2  # and one that is this share of the smooth surface's lengths
SHARES = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)  # of what the smooth surface misses that is rough
PRIOR = tuple(2.0**-i for i in range(len(SHARES)))  # the less of it, the likelier
ENOUGH = 20  # trials; of fewer, the surface is mostly a guess
LEAST_NOISE = 0.1  # a variance, of scores that have about 1: less than this can be a misfit
DOUBT = 1.0  # noise is shown where it makes the order at least e times as likely as none does
TIED = 9  # decimals of a height: the digits beyond are rounding
SAME = 0.02  # heights no further apart are the same, and the best value among them counts


@dataclass(frozen=True)
class Recommendation:
    """The recommended trial, and beside it the one with the best observed value.

    The estimates are on the scale of the metric. `reason` starts with the recommended trial, and
    says why the two differ, or why they do not. `longer` is the result of the trial after more
    epochs, if that is better.
    """

    trial: TrialResult
    estimate: float
    observed: TrialResult
    observed_estimate: float
    reason: str
    longer: TrialResult | None = None

    @property
    def differs(self) -> bool:
        """Whether the recommended trial is not the one with the best observed value."""
        return self.trial.trial.id != self.observed.trial.id

    def __str__(self) -> str:
        """Return the recommended trial and the reason for it."""
        return self.reason

    def to_table(self) -> dict[str, object]:
        """Return plain values for JSON."""
        return {
            **_to_table(self.trial, self.estimate),
            "hyperparameters": dict(self.trial.trial.hyperparameters),
            "reason": self.reason,
            **({
                "extended_to": self.longer.trial.extended_to, "extended_value": self.longer.value,
            } if self.longer is not None else {}),
            "observed": _to_table(self.observed, self.observed_estimate),
        }


def _to_table(result: TrialResult, estimate: float) -> dict[str, object]:
    trial = result.trial
    return {
        "round": trial.round, "number": trial.number, "value": result.value, "estimate": estimate,
    }


def recommend(
    search_space: SearchSpace,
    results: Sequence[TrialResult],
    repeats: Sequence[TrialResult],
    direction: Direction,
) -> Recommendation | None:
    """Return the recommended trial; None if no trial is complete.

    `search_space` are the ranges of the last round, `results` the trials of all rounds, and
    `repeats` those of confirmed trials: their means replace the values and count for more. A trial
    with a diverged or failed repeat is recommended only if there is no other. The order of
    `results` and `repeats` does not matter.
    """
    complete = [r for r in rank(results, direction) if math.isfinite(r.value or 0.0)]
    if not complete:
        return None
    study = _Study(complete, sorted(repeats, key=lambda r: r.trial.id), direction)
    trials = ranked_points(search_space, results, direction, study.means)
    if len(trials) < ENOUGH:
        trials_are = "1 trial is" if len(trials) == 1 else f"{len(trials)} trials are"
        return study.without_surface(f"{trials_are} too few to tell whether that was luck")
    if trials[0].rank == trials[-1].rank:
        return study.without_surface(f"all {len(trials)} trials are equally good")
    observations = Observations(search_space, trials)
    luck = _Luck(observations.surface)
    if not luck.is_shown and not study.repeats_moved:
        return study.without_surface("its neighbors do not contradict it")
    return study.with_heights(trials, observations.scores, luck.heights(observations.positions))


class _Study:
    """The complete trials, best first, and what their repeats tell about them."""

    def __init__(
        self,
        complete: Sequence[TrialResult],
        repeats: Sequence[TrialResult],
        direction: Direction,
    ) -> None:
        self._complete, self._repeats, self._direction = complete, repeats, direction
        self._confirmed = confirmation.confirmed(complete, repeats)
        self.means = confirmation.means(complete, repeats)
        sound = [r for r in complete if self._is_sound(r)]
        self._candidates = sound or list(complete)

    def _is_sound(self, result: TrialResult) -> bool:
        confirmed = self._confirmed.get(result.trial.id)
        return confirmed is None or confirmed.is_sound

    def _value(self, result: TrialResult) -> float:
        """Return the mean of the repeats if there are any, or else the value."""
        mean = self.means.get(result.trial.id, (math.nan, 0))[0]
        return result.value or 0.0 if math.isnan(mean) else mean

    @cached_property
    def repeats_moved(self) -> bool:
        """Whether repeats moved a trial past more than one other on average."""
        values = np.array([r.value for r in self._complete])
        passed = 0
        for trial in self._confirmed.values():
            low, high = sorted([self._value(trial.found), trial.found.value or 0.0])
            if low < high:
                passed += int(np.sum((low <= values) & (values <= high))) - 1
        return passed > len(self._confirmed)

    def without_surface(self, why: str) -> Recommendation:
        """Return the best by repeats if those show luck, else the one with the best value."""
        if self.repeats_moved:
            identity = confirmation.ranked(self._complete, self._repeats, self._direction)[0].trial
            pick = next(r for r in self._candidates if r.trial.id == identity.id)
        else:
            sign = -1.0 if self._direction == "maximize" else 1.0
            pick = min(self._candidates, key=lambda r: (sign * self._value(r), r.trial.id))
        return self._recommendation(pick, {}, why)

    def with_heights(
        self, trials: Sequence[Ranked], scores: Array, heights: Array
    ) -> Recommendation:
        """Return the best trial where the surface is highest, estimates on the metric's scale."""
        of = dict(zip((trial.id for trial in trials), heights.round(TIED).tolist(), strict=True))
        best_first = [r for r in self._candidates if r.trial.id in of]
        highest = max((of[r.trial.id] for r in best_first), default=0.0)
        high = (r for r in best_first if of[r.trial.id] >= highest - SAME)
        pick = next(high, self._complete[0])
        score = dict(zip((trial.id for trial in trials), scores.tolist(), strict=True))
        known = {score[r.trial.id]: self._value(r) for r in self._complete if r.trial.id in score}
        values = on_the_metric(np.array(list(of.values())), known)
        estimates = {i: float(f"{v:.6g}") for i, v in zip(of, values.tolist(), strict=True)}
        return self._recommendation(pick, estimates, "its neighbors support it")

    def _recommendation(
        self, pick: TrialResult, estimates: Mapping[TrialId, float], why: str
    ) -> Recommendation:
        best = self._complete[0]
        mine, theirs = (estimates.get(r.trial.id, self._value(r)) for r in (pick, best))
        reason = self._reason(pick, mine, theirs, why, bool(estimates))
        return Recommendation(pick, mine, best, theirs, reason)

    def _reason(
        self, pick: TrialResult, mine: float, theirs: float, why: str, neighbors: bool
    ) -> str:
        best = self._complete[0]
        value, repeated = best.value or 0.0, self._confirmed.get(best.trial.id)
        number, who = wording.number(value), pick.trial.id
        if who == best.trial.id:
            if repeated is not None and repeated.values:
                why = f"the mean of its repeats is {wording.number(repeated.mean)}"
            return f"{who} has the best value, {number}, and {why}"
        other = f"{str(best.trial.id).capitalize()} has the best single value, {number}"
        if repeated is not None and not repeated.is_sound:
            return f"{who}, the next best. {other}, but not all of its repeats have a value."
        is_mean = who in self._confirmed and not neighbors
        if repeated is None and is_mean:
            said = f"{who}, with the best mean of its repeats, {wording.number(mine)}"
            return f"{said}. {other}, but is not confirmed."
        if pick.value == value:
            same_round = best.trial.round == pick.trial.round
            beside = f"trial {best.trial.number}" if same_round else str(best.trial.id)
            better = "its neighbors are better" if repeated is None else "its estimate is better"
            return f"{who} shares the best value, {number}, with {beside}, and {better}"
        low, high = wording.apart(theirs, mine)
        what, its = ("mean of its repeats", "mean") if is_mean else ("estimate", "estimate")
        witnesses = "neighbors" if repeated is None else "repeats"
        return (
            f"{who}, with the best {what}, {high}. {other}, but its {witnesses} suggest that was "
            f"luck ({its} {low})."
        )


class _Luck:
    """What the smooth surface misses, split between rough spots, which are real, and noise.

    To the smooth surface comes an exponential covariance over short lengths, for a share of what
    it takes for noise. Each length and share is as likely as it makes the scores, by its prior.
    """

    def __init__(self, surface: Surface) -> None:
        self._surface = surface
        smooth = surface.covariance(surface.positions, surface.positions)
        ones = np.ones_like(surface.lengths)
        self._lengths = [*(ones * length for length in ROUGH), ROUGH_SHARE * surface.lengths]
        evidence = np.empty((len(self._lengths), len(SHARES)))
        self._weights = np.empty((*evidence.shape, len(surface.scores)))
        for i, lengths in enumerate(self._lengths):
            rough = self._rough(surface.positions, lengths)
            for j, share in enumerate(SHARES):
                noise = (1 - share) * surface.noise / surface.counts + JITTER
                covariance = smooth + share * rough + np.diag(noise)
                self._weights[i, j] = np.linalg.solve(covariance, surface.scores)
                fit = surface.scores @ self._weights[i, j]
                evidence[i, j] = -(fit + np.linalg.slogdet(covariance)[1]) / 2
        self._evidence = evidence

    def _rough(self, points: Array, lengths: Array) -> Array:
        distances = self._surface.distances(points, self._surface.positions)
        away = np.sqrt(np.tensordot(lengths**-2, distances, axes=1))
        return np.asarray(self._surface.noise * np.exp(-away))

    @property
    def is_shown(self) -> bool:
        """Whether there is noise, and not just rough spots of some length."""
        over_rough = float(self._evidence[0, 0] - self._evidence[:, -1].max())
        return self._surface.noise >= LEAST_NOISE and over_rough >= DOUBT

    def heights(self, points: Array) -> Array:
        """Return the expected heights at points, rough spots included."""
        belief = np.exp(self._evidence - self._evidence.max()) * PRIOR
        belief /= belief.sum()
        heights = []
        for some in np.split(points, range(MAXIMUM_TRIALS, len(points), MAXIMUM_TRIALS)):
            smooth = self._surface.covariance(some, self._surface.positions)
            height = smooth @ np.tensordot(belief, self._weights, axes=2)
            for i, lengths in enumerate(self._lengths):
                by_share = (belief[i] * SHARES) @ self._weights[i]
                height += self._rough(some, lengths) @ by_share
            heights.append(height)
        return np.concatenate(heights)
