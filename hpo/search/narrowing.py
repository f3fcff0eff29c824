"""Narrowing proposes the ranges of the next round from the results so far, each with a reason.

For each range it asks where the optimum could be. A smooth random surface (a Gaussian process) is
fitted to the ranks of all trials, surfaces that agree with the trials are sampled from it, and the
spread of their maxima shows how well the optimum is known (the idea of Hennig and Schuler 2012,
"Entropy search", JMLR 13): the new range contains nearly all of them. More trials and less noise
make it narrower. The more maxima crowd at an edge, the further the surfaces are followed beyond
it. First of all, a hyperparameter has to show that it matters within its range.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hpo import wording
from hpo.distributions import (
    CategoricalDistribution,
    Distribution,
    FloatDistribution,
    IntegerDistribution,
    Numeric,
    OrderedDistribution,
    off_scale,
    on_scale,
    scale_of,
    with_range,
)
from hpo.moves import Kind, Move
from hpo.search.evidence import Evidence
from hpo.search.surface import (
    MINIMUM_TRIALS,
    ROUNDING,
    SURFACES,
    Array,
    Confirmed,
    Observations,
    Ranked,
    evenly,
    ranked_points,
)
from hpo.search_space import SearchSpace
from hpo.text import one_line
from hpo.trial import Direction, State, TrialResult

SIGNIFICANCE = 0.05  # how often a hyperparameter without influence is taken for one with
STRONG = 0.001  # the same, before a choice is left without alternative
TAIL = 0.05  # of the drawn maxima, left out on either side of a new range
CHANCE = 0.02  # of the drawn maxima; a choice with fewer is left out,
COMEBACK = 0.05  # and one that was left out comes back with so many
MARGIN = 0.05  # share of a width that stays inside on either side of the best trials
MINIMUM_FACTOR = 0.1  # one round leaves at least this share of a width
GROWTH = 2.0  # one round moves an edge out by at most so many widths,
LEAPS = (100.0, 10.0)  # and on a logarithmic scale by at most this factor: at first, and later
EDGE = 0.1  # share of a width that counts as at its edge
AGREEING = 3  # surfaces, drawn at random, that have to agree that the best lies there
NEAR = 0.25  # share of a width; of the best one has to be so near an edge that moves out
STILL = 0.05  # share of a width; an edge that would move by less stays
LARGEST_INTEGER = 10**15
SHOWN = 0.5  # of the spread of the scores: a surface that rises less says nothing of others
STEPS = 24  # points in one width along a line through the best trials


def narrow(
    search_space: SearchSpace,
    results: Sequence[TrialResult],
    direction: Direction,
    confirmed: Confirmed | None = None,
    first: SearchSpace | None = None,
    others: Sequence[Sequence[TrialResult]] = (),
) -> tuple[Move, ...]:
    """Return one move for each hyperparameter of `search_space`, the ranges of the last round.

    `results` are the trials of all rounds. A diverged trial counts as a bad one; a failed or
    infeasible one says nothing about quality. `confirmed` maps the ids of repeated trials to the
    mean of their values and the number of values; the mean replaces the value and counts for more.
    `first` are the ranges of the study file; choices that were dropped from them may come back.
    Each of `others` holds the trials of another study, on a scale of their own; one that this
    study's trials contradict is ignored.
    """
    own = ranked_points(search_space, results, direction, confirmed or {})
    agreeing = [other for other in others if _agrees(search_space, own, other, direction)]
    trials = own
    if agreeing:
        trials = ranked_points(search_space, results, direction, confirmed or {}, agreeing)
    moves = _moves(search_space, trials, first)
    aside = len(others) - len(agreeing)
    if not aside:
        return moves
    told = "another study contradicts these trials and is ignored"
    if aside > 1:
        told = f"{aside} other studies contradict these trials and are ignored"
    return tuple(replace(move, reason=f"{move.reason}; {told}") for move in moves)


def _agrees(
    search_space: SearchSpace,
    own: Sequence[Ranked],
    other: Sequence[TrialResult],
    direction: Direction,
) -> bool:
    """Return whether the surface of a study's own trials does not fall where another's trials rise.

    Only the order of those trials counts (Spearman 1904). Together, contradicting studies would
    suggest that nothing matters. With too few trials of its own to tell, the answer is True.
    """
    theirs = ranked_points(search_space, other, direction, {})
    if min(len(own), len(theirs)) < MINIMUM_TRIALS or own[0].rank == own[-1].rank:
        return True
    surface = Observations(search_space, own).surface
    heights, deviations = surface.expected(Observations(search_space, theirs).positions)
    # Only where it knows more than nothing: own trials may all lie close together, and say only
    # which of them is better, but not that they are better than all others.
    known = np.flatnonzero(deviations**2 < surface.height / 2)
    if len(known) < MINIMUM_TRIALS or heights[known].std() < SHOWN:
        return True
    order = np.argsort(np.argsort(heights[known])).astype(np.float64)
    return float(np.corrcoef(order, -known.astype(np.float64))[0, 1]) >= 0.0


def _moves(
    search_space: SearchSpace, trials: Sequence[Ranked], first: SearchSpace | None
) -> tuple[Move, ...]:
    if len(trials) < MINIMUM_TRIALS:
        few = f"only {len(trials)} trials have" if len(trials) > 1 else "only 1 trial has"
        said = f"{few if trials else 'no trial has'} a result; at least {MINIMUM_TRIALS} are needed"
        return tuple(_kept(name, d, said) for name, d in search_space.items())
    if trials[0].rank == trials[-1].rank:
        said = f"all {len(trials)} trials are equally good"
        return tuple(_kept(name, d, said) for name, d in search_space.items())
    evidence = Evidence(search_space, trials)
    ranges = {name: search_space[evidence.parts(name)[0]] for name in evidence.columns}
    moves = {
        name: _range_move(name, d, evidence)
        for name, d in ranges.items()
        if not isinstance(d, CategoricalDistribution)
    }
    lines = evidence.lines(tuple(moves.values()))
    for name, d in ranges.items():
        if isinstance(d, CategoricalDistribution):
            before = (first or search_space)[evidence.parts(name)[0]]
            moves[name] = _choices_move(name, d, before, evidence, lines)
    return tuple(
        _of_part(name, d, moves[d.part_of]) if d.part_of else moves[name]
        for name, d in search_space.items()
    )


def _of_part(name: str, old: Distribution, move: Move) -> Move:
    """Return the move of one part of a hyperparameter, whose parts all move alike."""
    new = replace(move.new, when=old.when)
    return replace(move, name=name, old=old, new=new)


def by_influence(
    search_space: SearchSpace, results: Sequence[TrialResult], direction: Direction
) -> list[str]:
    """Return the hyperparameters, ordered by how well their effect on the results is established.

    This is the order of their p-values, as in the moves of `narrow`, but from at most
    `MAXIMUM_TRIALS` trials and without a surface, because somebody is waiting for it.
    If too few trials have a result, it is the order of `search_space`.
    """
    trials = ranked_points(search_space, results, direction, {})
    if len(trials) < MINIMUM_TRIALS or trials[0].rank == trials[-1].rank:
        return list(search_space)
    some = [trials[i] for i in evenly(len(trials))]
    p_values = Evidence(search_space, some).p_values

    def influence(name: str) -> tuple[bool, float]:
        p_value = p_values[search_space[name].part_of or name]
        return math.isnan(p_value), p_value

    return sorted(search_space, key=influence)


def _range_move(name: str, old: Distribution, evidence: Evidence) -> Move:
    scale = scale_of(old)
    assert scale is not None
    p_value, trials = evidence.p_values[name], evidence.of(name)
    if evidence.trials_of(name) < MINIMUM_TRIALS:
        return _kept(name, old, _too_few(evidence.trials_of(name)), p_value)
    best = trials[evidence.best(name)]
    best_low, best_high = float(best.min()) - ROUNDING, float(best.max()) + ROUNDING
    end_low, end_high = -math.inf, math.inf
    limited = _limited(scale)
    if limited.limits is not None:
        end_low, end_high = (scale.to_unit(limit) for limit in limited.limits)
    growth = GROWTH
    if scale.log:
        # The first ranges are a guess. Later ones were looked at, and beyond them one round sees
        # about a decade.
        leap = LEAPS[bool(np.any((trials < -ROUNDING) | (trials > 1 + ROUNDING)))]
        growth = min(growth, math.log(leap) / (math.log(scale.high) - math.log(scale.low)))
    # An edge moves out only where one of the best is near it, or they would contradict the move.
    below = -growth if best_low < NEAR else 0.0
    above = 1 + growth if best_high > 1 - NEAR else 1.0
    low, high = 0.0, 1.0
    if p_value < SIGNIFICANCE:
        low, high = _maxima(name, evidence, max(below, end_low), min(above, end_high))
    # The best value may sit right at a cliff, which a smooth surface rounds off.
    low = min(low, max(best_low - MARGIN, min(best_low, 0.0)))
    high = max(high, min(best_high + MARGIN, max(best_high, 1.0)))
    low = 0.0 if abs(low) < STILL and best_low >= -2 * ROUNDING else low
    high = 1.0 if abs(high - 1) < STILL and best_high <= 1 + 2 * ROUNDING else high
    low, high = _at_least(MINIMUM_FACTOR, low, high, end_low, end_high)
    moved = limited.with_edges(None if low == 0 else low, None if high == 1 else high)
    new = with_range(old, moved.low, moved.high)
    if new == old:
        if p_value < SIGNIFICANCE:
            return _kept(name, old, "the optimum can be anywhere in this range", p_value)
        said = f"{_no_influence(evidence.trials_of(name), p_value)} in this range"
        return _kept(name, old, said, p_value)
    return Move(name, old, new, *change(old, new), _why(name, old, new, evidence), p_value)


def _limited(old: Numeric) -> Numeric:
    """Return a range with limits: its own, or else those of the quantity it seems to hold.

    A linear range that starts at 0 or above does not go below 0, and one counted from 1 not below
    1; a range within 0 to 1 is a share and stays one. The objective may refuse more, but not always
    before a round is spent on it.
    """
    if old.limits is not None or old.low < 0:
        return old
    if isinstance(old, IntegerDistribution):
        return replace(old, limits=(min(old.low, 1), LARGEST_INTEGER))
    if old.log:
        return old
    return replace(old, limits=(0.0, 1.0 if old.high <= 1 else math.inf))


def change(old: Distribution, new: Distribution) -> tuple[Kind, float]:
    """Return how a range changed, and its new width divided by the old one, on its scale."""
    if new == old:
        return "kept", 1.0
    before, after = scale_of(old), scale_of(new)
    assert before is not None
    assert after is not None
    kind: Kind = "moved"
    if after.low >= before.low and after.high <= before.high:
        kind = "narrowed"
    elif after.low <= before.low and after.high >= before.high:
        kind = "widened"
    half = 0.0 if isinstance(before, FloatDistribution) else before.step / 2
    return kind, before.to_unit(after.high + half) - before.to_unit(after.low - half)


def _maxima(name: str, evidence: Evidence, end_low: float, end_high: float) -> tuple[float, float]:
    """Return the range that holds the maxima of the sampled surfaces, except for the tails.

    Beyond an edge a surface is a guess, and ignorance alone would widen every range. How far it
    counts there is `GROWTH` times the chance that `AGREEING` surfaces all have their highest point
    within the range at that edge.
    """
    steps = np.arange(-GROWTH * STEPS, (1 + GROWTH) * STEPS + 1) / STEPS
    between = steps[(steps > end_low + 0.01) & (steps < end_high - 0.01)]
    points = np.round([end_low, *between, end_high], 7)
    draws = evidence.draws(name, points)
    inside = (points >= 0) & (points <= 1)
    within = points[inside][draws[:, inside].argmax(axis=1)]
    below = -GROWTH * np.mean(within <= EDGE) ** AGREEING
    above = 1 + GROWTH * np.mean(within >= 1 - EDGE) ** AGREEING
    allowed = inside | ((points >= below) & (points <= above))
    maxima = points[allowed][draws[:, allowed].argmax(axis=1)]
    low, high = np.quantile(maxima, [TAIL, 1 - TAIL])
    cell = 0.5 / STEPS  # a point stands for all that is nearer to it than to another
    return max(float(low) - cell, end_low), min(float(high) + cell, end_high)


def _at_least(
    width: float, low: float, high: float, end_low: float, end_high: float
) -> tuple[float, float]:
    """Return the range widened to `width` about its middle, pushed off the ends it would pass."""
    short = max(0.0, width - (high - low)) / 2
    low, high = low - short, high + short
    if low < end_low:
        low, high = end_low, max(high, min(end_low + width, end_high))
    if high > end_high:
        low, high = min(low, max(end_high - width, end_low)), end_high
    return low, high


def _why(name: str, old: Distribution, new: Distribution, evidence: Evidence) -> str:
    before, after = scale_of(old), scale_of(new)
    assert before is not None
    assert after is not None
    trials = [trial for trial, _ in evidence.values(name)]
    values = [on_scale(old, value) for _, value in evidence.values(name)]
    best = [values[i] for i in evidence.best(name)]
    best_trials = len({trials[i].id for i in evidence.best(name)})
    beyond = [f"below {_shown(old, before.low)}"] * (after.low < before.low)
    beyond += [f"above {_shown(old, before.high)}"] * (after.high > before.high)
    if beyond:
        said = f"the optimum may be {' or '.join(beyond)}"
    else:
        ends = f"{_shown(new, after.low)} and {_shown(new, after.high)}"
        said = f"the optimum is most likely between {ends}"
    width = min(before.high - before.low, after.high - after.low)
    low, high = (_shown(old, value, width) for value in (min(best), max(best)))
    used, count = low if low == high else f"{low} to {high}", evidence.trials_of(name)
    best_of = "best" if best_trials == 1 else f"best {best_trials}"
    said += f"; the {best_of} of {count} trials used {used}"
    left_out = [
        trial.state is State.DIVERGED
        for trial, value in zip(trials, values, strict=True)
        if before.low <= value <= before.high and not after.low <= value <= after.high
    ]
    if any(left_out):
        some = f"{sum(left_out)} of the {len(left_out)} trials"
        if all(left_out):
            some = "the trial" if len(left_out) == 1 else f"all {len(left_out)} trials"
        said += f"; {some} now outside the range diverged"
    return said


def _shown(distribution: Distribution, place: float, width: float | None = None) -> str:
    """Return a place on the scale of a range as shown in a reason, with enough digits."""
    value = off_scale(distribution, place)
    if isinstance(distribution, OrderedDistribution):
        return one_line(str(value))
    return wording.whole(place) if width is None else wording.within(place, width)


def _too_few(trials: int) -> str:
    have = "trials have" if trials != 1 else "trial has"
    return f"only {trials} {have} a value for it; at least {MINIMUM_TRIALS} are needed"


def _no_influence(trials: int, p_value: float) -> str:
    if math.isnan(p_value):
        return f"{trials} trials cannot show whether it affects the result"
    return f"{trials} trials show no effect on the result"


def _choices_move(
    name: str,
    old: CategoricalDistribution,
    first: Distribution,
    evidence: Evidence,
    lines: Array,
) -> Move:
    assert isinstance(first, CategoricalDistribution)
    p_value, trials = evidence.p_values[name], evidence.of(name)
    if evidence.trials_of(name) < MINIMUM_TRIALS:
        return _kept(name, old, _too_few(evidence.trials_of(name)), p_value)
    place = dict(zip(old.choices, np.arange(float(len(old.choices))), strict=True))
    for (_, value), position in zip(evidence.values(name), trials, strict=True):
        if value in first.choices:
            place.setdefault(value, position)
    if not p_value < SIGNIFICANCE:
        return _kept(name, old, _no_influence(evidence.trials_of(name), p_value), p_value)
    draws = evidence.draws(name, np.array([*place.values()]), lines)
    shares = np.bincount(draws.argmax(axis=1), minlength=len(place)) / SURFACES
    best = set(trials[evidence.best(name)])
    stay = {
        choice
        for (choice, position), share in zip(place.items(), shares, strict=True)
        if position in best
        or share >= (CHANCE if choice in old.choices else COMEBACK)
        or not np.any(trials == position)
    }
    if len(stay) < 2 and not p_value < STRONG:
        return _kept(name, old, "the evidence is too weak to leave only one choice", p_value)
    if not stay or stay == set(old.choices):
        return _kept(name, old, "any of the choices may be the best", p_value)
    order = [*first.choices, *(c for c in old.choices if c not in first.choices)]
    new = replace(old, choices=tuple(c for c in order if c in stay))
    dropped = [str(c) for c in old.choices if c not in stay]
    back = [str(c) for c in new.choices if c not in old.choices]
    count, said = evidence.trials_of(name), []
    if dropped:
        are = "is" if len(dropped) == 1 else "are"
        said.append(
            f"after {count} trials, {_listed(dropped)} {are} very unlikely to be the best"
        )
    if back:
        said.append(
            f"judging by all {count} trials, {_listed(back)} may be the best after all"
        )
    kind: Kind = "moved" if dropped and back else "widened" if back else "narrowed"
    factor = len(new.choices) / len(old.choices)
    return Move(name, old, new, kind, factor, "; ".join(said), p_value)


def _listed(choices: Sequence[str]) -> str:
    *first, last = choices
    return f"{', '.join(first)} and {last}" if first else last


def _kept(name: str, old: Distribution, reason: str, p_value: float = math.nan) -> Move:
    return Move(name, old, old, "kept", 1.0, reason, p_value)
