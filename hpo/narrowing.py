"""Narrowing proposes the ranges of the next round from the results so far, each with its reason."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from hpo.search_space import CategoricalDistribution, Distribution, SearchSpace, Value
from hpo.trial import Direction, State, TrialResult

Array: TypeAlias = NDArray[np.float64]

MINIMUM_TRIALS = 10  # fewer results say too little
TOP_SHARE = 0.2  # the best fifth of the trials carries the box
SIGNIFICANCE = 0.05  # chance that an idle hyperparameter seems to matter
MARGIN = 0.1  # of the old width, on both sides of the box
MINIMUM_FACTOR = 0.2  # of the old width: one round never narrows further
GROWTH = 0.5  # of the old width: how far an edge moves out


@dataclass(frozen=True)
class Move:
    """What one hyperparameter's range does after a round, and why.

    `factor` is the new width over the old one on the distribution's scale (for choices: the share
    kept). `evidence` is the p-value of the test that the hyperparameter has no influence on the
    ranks of the trials: small means strong evidence; NaN where no test was possible.
    """

    name: str
    old: Distribution
    new: Distribution
    direction: Literal["narrowed", "widened", "moved", "kept"]
    factor: float
    reason: str
    evidence: float


def narrow(
    search_space: SearchSpace,
    results: Sequence[TrialResult],
    direction: Direction,
    confirmed: Mapping[tuple[int, int], tuple[float, int]] | None = None,
) -> tuple[Move, ...]:
    """Return one move for each hyperparameter of `search_space`, the ranges of the last round.

    `results` are the trials of all rounds. `confirmed` maps (round, number) of trials that were
    repeated to the mean of their values and how many there are; the mean replaces the value.
    """
    ranked = _ranked(search_space, results, direction, confirmed or {})
    if len(ranked) < MINIMUM_TRIALS:
        reason = f"only {len(ranked)} trials with a result; {MINIMUM_TRIALS} are needed"
        return tuple(_kept(name, d, reason) for name, d in search_space.items())
    scores = _scores([key for key, _ in ranked])
    if np.ptp(scores) == 0:
        reason = f"all {len(ranked)} trials are equally good"
        return tuple(_kept(name, d, reason) for name, d in search_space.items())
    trials = [hyperparameters for _, hyperparameters in ranked]
    p_values = _influence(search_space, trials, scores)
    return tuple(
        _choices_move(name, d, trials, scores, p_values[name])
        if isinstance(d, CategoricalDistribution)
        else _range_move(name, d, trials, scores, p_values[name])
        for name, d in search_space.items()
    )


_Ranked: TypeAlias = list[tuple[tuple[float, ...], Mapping[str, Value]]]


def _ranked(
    search_space: SearchSpace,
    results: Sequence[TrialResult],
    direction: Direction,
    confirmed: Mapping[tuple[int, int], tuple[float, int]],
) -> _Ranked:
    """Return what ranks each trial (smaller is better) and its hyperparameters, best first.

    Complete trials come first; pruned ones follow, those that went on longer before the others;
    diverged ones are last. Failed trials say nothing.
    """
    sign = -1.0 if direction == "maximize" else 1.0
    ranked: _Ranked = []
    for result in results:
        trial = result.trial
        if result.state is State.FAILED or not _covers(search_space, trial.hyperparameters):
            continue
        value, _ = confirmed.get((trial.round, trial.number), (result.value, 1))
        key: tuple[float, ...] = (2.0,)
        if value is not None and math.isfinite(value):
            if result.state is State.COMPLETE:
                key = (0.0, sign * value)
            elif result.state is State.PRUNED:
                key = (1.0, -float(len(result.metrics) or result.epoch or 0), sign * value)
        ranked.append((key, trial.hyperparameters))
    return sorted(
        ranked,
        key=lambda pair: (pair[0], tuple(str(pair[1][name]) for name in search_space)),
    )


def _covers(search_space: SearchSpace, hyperparameters: Mapping[str, Value]) -> bool:
    for name, distribution in search_space.items():
        value = hyperparameters.get(name)
        if isinstance(distribution, CategoricalDistribution):
            if value is None:
                return False
        elif not isinstance(value, int | float) or (distribution.log and value <= 0):
            return False
    return True


def _scores(keys: list[tuple[float, ...]]) -> Array:
    """Return normal scores of the ranks, high for good trials, equal for equal ones."""
    order = {key: float(i) for i, key in enumerate(sorted(set(keys)))}
    ranks = stats.rankdata([-order[key] for key in keys])
    return np.asarray(stats.norm.ppf((ranks - 0.5) / len(keys)), dtype=np.float64)


def _units(name: str, distribution: Distribution, trials: list[Mapping[str, Value]]) -> Array:
    return np.array([distribution.to_unit(t[name]) for t in trials])  # type: ignore[arg-type]


def _columns(name: str, distribution: Distribution, trials: list[Mapping[str, Value]]) -> Array:
    """Return the columns by which a hyperparameter enters the regression."""
    if isinstance(distribution, CategoricalDistribution):
        seen = sorted({str(t[name]) for t in trials})
        return np.array([[float(str(t[name]) == choice) for choice in seen[1:]] for t in trials])
    units = _units(name, distribution, trials)
    return np.column_stack([units, units**2])


def _influence(
    search_space: SearchSpace, trials: list[Mapping[str, Value]], scores: Array
) -> dict[str, float]:
    """Return the p-value of each hyperparameter's partial F-test in a quadratic regression.

    All hyperparameters are in the regression at once, so that one is not credited with what
    another one did while a sampler moved both.
    """
    columns = {name: _columns(name, d, trials) for name, d in search_space.items()}
    full, rank = _residual(list(columns.values()), scores)
    p_values = {}
    for name in columns:
        rest, rest_rank = _residual([c for other, c in columns.items() if other != name], scores)
        more, left = rank - rest_rank, len(scores) - rank
        if more <= 0 or left <= 0:
            p_values[name] = math.nan
        else:
            ratio = ((rest - full) / more) / max(full / left, 1e-300)
            p_values[name] = float(stats.f.sf(ratio, more, left))
    return p_values


def _residual(columns: list[Array], scores: Array) -> tuple[float, int]:
    matrix = np.column_stack([np.ones(len(scores)), *columns])
    solution, _, rank, _ = np.linalg.lstsq(matrix, scores, rcond=1e-9)
    return float(np.sum((scores - matrix @ solution) ** 2)), int(rank)


def _range_move(
    name: str,
    old: Distribution,
    trials: list[Mapping[str, Value]],
    scores: Array,
    p_value: float,
) -> Move:
    assert not isinstance(old, CategoricalDistribution)
    units = _units(name, old, trials)
    best = float(units[0])
    if not p_value < SIGNIFICANCE and 0 <= best <= 1:
        return _kept(name, old, "no clear influence on the result in this range", p_value)
    top = units[: _top_count(scores)]
    if not p_value < SIGNIFICANCE:
        low, high = min(0.0, best), max(1.0, best)
    else:
        low, high = float(top.min()) - MARGIN, float(top.max()) + MARGIN
        middle = float(np.median(top))
        low = low if low > 0 else (-GROWTH if middle < 0.25 else min(0.0, float(top.min())))
        high = high if high < 1 else (1 + GROWTH if middle > 0.75 else max(1.0, float(top.max())))
        short = max(0.0, MINIMUM_FACTOR - (high - low)) / 2
        low, high = low - short, high + short
    new = old.with_edges(None if low == 0 else low, None if high == 1 else high)
    if new == old:
        return _kept(name, old, "the best trials are spread over the whole range", p_value)
    new_low, new_high = old.to_unit(new.low), old.to_unit(new.high)
    kind: Literal["narrowed", "widened", "moved"] = "moved"
    if new_low >= 0 and new_high <= 1:
        kind = "narrowed"
    elif new_low <= 0 and new_high >= 1:
        kind = "widened"
    values = [float(t[name]) for t in trials[: len(top)]]  # type: ignore[arg-type]
    edges = [
        edge for moved, edge in ((new_low < 0, "lower"), (new_high > 1, "upper")) if moved
    ]
    reason = f"the best {len(top)} trials lie between {min(values):.3g} and {max(values):.3g}"
    if edges:
        reason += f", at the {' and '.join(edges)} edge"
    return Move(name, old, new, kind, (new_high - new_low), reason, p_value)


def _choices_move(
    name: str,
    old: CategoricalDistribution,
    trials: list[Mapping[str, Value]],
    scores: Array,
    p_value: float,
) -> Move:
    if not p_value < (SIGNIFICANCE if len(old.choices) > 2 else SIGNIFICANCE / 50):
        return _kept(name, old, "no clear influence on the result", p_value)
    top = {str(t[name]) for t in trials[: _top_count(scores)]}
    tried = {str(t[name]) for t in trials}
    choices = tuple(c for c in old.choices if str(c) in top or str(c) not in tried)
    if not choices or len(choices) == len(old.choices):
        return _kept(name, old, "every choice is among the best trials", p_value)
    new = CategoricalDistribution(choices)
    dropped = ", ".join(str(c) for c in old.choices if c not in choices)
    reason = f"none of the best {_top_count(scores)} trials has {dropped}"
    return Move(name, old, new, "narrowed", len(choices) / len(old.choices), reason, p_value)


def _top_count(scores: Array) -> int:
    """Return how many trials are at the top, the ones as good as the last of them included."""
    count = math.ceil(TOP_SHARE * len(scores))
    return int(np.sum(scores >= scores[count - 1]))


def _kept(name: str, old: Distribution, reason: str, evidence: float = math.nan) -> Move:
    return Move(name, old, old, "kept", 1.0, reason, evidence)
