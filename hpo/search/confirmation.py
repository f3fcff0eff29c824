"""Confirmation ranks the best trials by their repeats: the best of many values is mostly luck.

A value that was selected for being high is not part of the mean of the repeats. If a study was
confirmed both on its own validation rows and on fresh ones, the fresh ones count: they include the
luck of the split as well.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from hpo import wording
from hpo.search.surface import Confirmed
from hpo.trial import Curve, Direction, State, Trial, TrialId, TrialResult, rank, trial_seed

BROKEN = (State.DIVERGED, State.INFEASIBLE, State.FAILED)  # ends of a repeat without a value


@dataclass(frozen=True)
class Confirmation:
    """A trial as it was found, and its repeats."""

    found: TrialResult
    repeats: tuple[TrialResult, ...]

    @cached_property
    def values(self) -> list[float]:
        """The values of the complete repeats, on the same scale as that of the trial.

        If the trial is the mean of parts, a repeat counts at the epoch of that mean, because its
        own best epoch would be better. With folds, a repeat is trained on one fold, which may be
        easy or hard for all trials: what counts is the difference to the trial's value there.
        """
        return [
            self._value(r) for r in self.repeats
            if r.state is State.COMPLETE and r.value is not None
        ]

    def _value(self, repeat: TrialResult) -> float:
        value, parts = repeat.value or 0.0, self.found.parts
        if parts is None or not parts.values:
            return value
        if isinstance(repeat.metrics, Curve) and self.found.epoch is not None:
            curve = repeat.metrics.values
            value = curve[min(self.found.epoch, len(curve)) - 1]
        if not parts.in_folds:
            return value
        fold = (repeat.trial.repeat - 1) % len(parts.values)
        return value - parts.values[fold] + (self.found.value or 0.0)

    @property
    def mean(self) -> float:
        """The mean of the values; NaN if there are none."""
        return statistics.fmean(self.values) if self.values else math.nan

    @property
    def standard_error(self) -> float:
        """The standard error of the mean; NaN with fewer than two values."""
        count = len(self.values)
        # Exact, so that equal values have an error of 0 and not of 1e-17.
        return statistics.stdev(self.values) / math.sqrt(count) if count > 1 else math.nan

    def count(self, state: State) -> int:
        """Return how many repeats ended in a state."""
        return sum(r.state is state for r in self.repeats)

    @property
    def is_sound(self) -> bool:
        """Whether every repeat has a value."""
        return len(self.values) == len(self.repeats)


def repeats_of(
    best: Sequence[TrialResult], study_seed: int, repeats: int, resplit: bool
) -> list[Trial]:
    """Return the repeats of trials, all first repeats before the second ones."""
    return [
        replace(
            r.trial, seed=trial_seed(study_seed, r.trial.round, r.trial.number, repeat),
            cut_offs=None, repeat=repeat, resplit=resplit,
        )
        for repeat in range(1, repeats + 1)
        for r in best
    ]


def confirmed(
    results: Sequence[TrialResult], repeats: Sequence[TrialResult], resplit: bool | None = None
) -> dict[TrialId, Confirmation]:
    """Return the trials that were repeated, by round and number.

    `resplit` says which repeats count; None means those on fresh splits if there are any.
    """
    if resplit is None:
        resplit = any(r.trial.resplit for r in repeats)
    groups: dict[TrialId, list[TrialResult]] = {}
    for repeat in repeats:
        if repeat.trial.resplit == resplit:
            groups.setdefault(repeat.trial.original, []).append(repeat)
    found = {r.trial.id: r for r in results if r.state is State.COMPLETE}
    return {
        identity: Confirmation(found[identity], tuple(group))
        for identity, group in groups.items()
        if identity in found
    }


def in_order(trials: Sequence[Confirmation], direction: Direction) -> list[Confirmation]:
    """Return trials by their mean, best first, those with a diverged or failed repeat last."""
    sign = -1.0 if direction == "maximize" else 1.0

    def key(trial: Confirmation) -> tuple[bool, float, TrialId]:
        mean = sign * trial.mean if trial.values else math.inf
        return not trial.is_sound, mean, trial.found.trial.id

    return sorted(trials, key=key)


def ranked(
    results: Sequence[TrialResult], repeats: Sequence[TrialResult], direction: Direction
) -> list[TrialResult]:
    """Return the complete trials in the order of `rank`, after the confirmed ones by their mean.

    A confirmed trial has the mean as its value. Trials with a diverged or failed repeat come last.
    """
    known = confirmed(results, repeats)
    order = in_order(list(known.values()), direction)
    sound = [replace(trial.found, value=trial.mean) for trial in order if trial.is_sound]
    others = [r for r in rank(results, direction) if r.trial.id not in known]
    return sound + others + [trial.found for trial in order if not trial.is_sound]


def unconfirmed_best(
    results: Sequence[TrialResult], repeats: Sequence[TrialResult], direction: Direction
) -> str:
    """Return a line if some trials are confirmed but not the one with the best value, or ""."""
    known = confirmed(results, repeats)
    best = next(iter(rank(results, direction)), None)
    if not known or best is None or best.trial.id in known:
        return ""
    return (
        f"the best value, {wording.number(best.value or 0.0)}, is from {best.trial.id}, "
        "which is not confirmed yet; run `hpo confirm`"
    )


def means(results: Sequence[TrialResult], repeats: Sequence[TrialResult]) -> Confirmed:
    """Return means and counts for narrowing; a trial with a diverged repeat has NaN.

    A trial whose value is the mean of parts counts as one, and each repeat as one of its parts.
    """
    known: dict[TrialId, tuple[float, float]] = {}
    for identity, trial in confirmed(results, repeats).items():
        parts = len(trial.found.parts.values) if trial.found.parts is not None else 1
        if trial.count(State.DIVERGED) or trial.count(State.INFEASIBLE):
            known[identity] = (math.nan, len(trial.repeats) / parts)
        elif trial.values:
            known[identity] = (trial.mean, len(trial.values) / parts)
    return known


def changes(trials: Sequence[Confirmation], direction: Direction) -> list[str]:
    """Return a line for each trial whose place changed, and for each with a broken repeat.

    `trials` are in the order of their means; the places are among them.
    """
    before = [r.trial for r in rank([trial.found for trial in trials], direction)]
    lines = []
    broken = sum(not trial.is_sound for trial in trials)
    last = "last" if broken == 1 else f"among the last {broken}"
    for place, trial in enumerate(trials, start=1):
        name, old = trial.found.trial.id, before.index(trial.found.trial) + 1
        if old != place:
            moves = "drops" if place > old else "moves up"
            lines.append(f"{name} {moves} from place {old} to {place}")
        for state in BROKEN:
            if trial.count(state):
                some = f"{trial.count(state)} of its {len(trial.repeats)} repeats"
                if len(trial.repeats) == 1:
                    some = "its repeat"
                were = "were " if state is State.INFEASIBLE else ""
                lines.append(f"{name} ranks {last}: {some} {were}{state.value}")
    return lines


def note(trials: Sequence[Confirmation], metric: str, direction: Direction) -> str:
    """Return the ranking in Markdown, for the record."""
    fresh = " on fresh splits" if any(r.trial.resplit for r in trials[0].repeats) else ""
    lines = [
        f"The best trials, trained again{fresh}: {metric} as found in the search, and mean and "
        "standard error of the repeats.\n",
        "| place | round | trial | found | mean | standard error | repeats |",
        "|---|---|---|---|---|---|---|",
    ]
    found_values = wording.column([trial.found.value for trial in trials])
    pairs = wording.column([n for trial in trials for n in (trial.mean, trial.standard_error)])
    rows = zip(trials, found_values, pairs[::2], pairs[1::2], strict=True)
    for place, (trial, found, mean, error) in enumerate(rows, start=1):
        lines.append(
            f"| {place} | {trial.found.trial.round} | {trial.found.trial.number} | {found} | "
            f"{mean} | {error} | {len(trial.values)} |"
        )
    return "\n".join([*lines, "", *(f"- {line}" for line in changes(trials, direction))])


def to_table(trials: Sequence[Confirmation], direction: Direction) -> list[dict[str, object]]:
    """Return plain values for JSON, in the order of the means."""
    before = [r.trial for r in rank([trial.found for trial in trials], direction)]
    return [
        {
            "round": trial.found.trial.round,
            "number": trial.found.trial.number,
            "value": trial.found.value,
            "mean": None if math.isnan(trial.mean) else trial.mean,
            "standard_error": None if math.isnan(trial.standard_error) else trial.standard_error,
            "values": trial.values,
            **{state.value: trial.count(state) for state in BROKEN},
            "place": place,
            "found_place": before.index(trial.found.trial) + 1,
            "hyperparameters": dict(trial.found.trial.hyperparameters),
        }
        for place, trial in enumerate(trials, start=1)
    ]
