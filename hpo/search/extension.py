"""Trials that were trained longer than the search trained them, and what that came to.

Of a trial and its extension, which is the same training, the later epochs count where they are
better. Of several trials they say how much each gained: that is added to what is known of it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hpo import wording
from hpo.search.recommendation import Recommendation
from hpo.trial import Direction, State, Trial, TrialId, TrialResult, worse


@dataclass(frozen=True)
class Extension:
    """A trial as it was found, and as it was after more epochs."""

    found: TrialResult
    longer: TrialResult

    @property
    def gain(self) -> float:
        """How much its value changed; NaN where there is none."""
        if self.found.value is None or self.longer.value is None:
            return math.nan
        return self.longer.value - self.found.value

    def is_better(self, direction: Direction) -> bool:
        """Say whether the value after more epochs is better than the one that was found."""
        sound = self.longer.state is State.COMPLETE and self.longer.value is not None
        return sound and worse(self.found.value or 0.0, self.longer.value or 0.0, direction)


def extended(trial: Trial, epochs: int) -> Trial:
    """Return the trial that goes on to an epoch; nothing stops it early."""
    return replace(trial, extended_to=epochs, cut_offs=None)


def extensions_of(
    results: Sequence[TrialResult], extensions: Sequence[TrialResult]
) -> list[Extension]:
    """Return all that was trained longer, in order of round, number and epoch."""
    found = {r.trial.id: r for r in results}
    known = [
        Extension(found[r.trial.original], r) for r in extensions if r.trial.original in found
    ]
    return sorted(known, key=lambda e: e.longer.trial.id)


def better(
    results: Sequence[TrialResult], extensions: Sequence[TrialResult], direction: Direction
) -> dict[TrialId, Extension]:
    """Return the extensions that count, by their trials: the best of each, where it is better."""
    best: dict[TrialId, Extension] = {}
    for extension in extensions_of(results, extensions):
        identity = extension.found.trial.id
        known = best.get(identity)
        if extension.is_better(direction) and (
            known is None
            or worse(known.longer.value or 0.0, extension.longer.value or 0.0, direction)
        ):
            best[identity] = extension
    return best


def recommend(
    recommended: Recommendation,
    ranked: Sequence[TrialResult],
    counted: Mapping[TrialId, Extension],
    direction: Direction,
) -> Recommendation:
    """Return which trial to go on with where some were extended.

    `ranked` are the complete trials, with the means of their repeats where they were confirmed.
    To each comes what it gained, up to the value that it then had: a gain may be that of an unlucky
    start. The recommended trial stays unless an extended one is better then.
    """
    if not counted:
        return recommended
    values = {r.trial.id: r.value or 0.0 for r in ranked}
    for identity, extension in counted.items():
        gained, measured = values[identity] + extension.gain, extension.longer.value or 0.0
        values[identity] = gained if worse(gained, measured, direction) else measured
    pick = recommended.trial.trial.id
    for result in ranked:
        identity = result.trial.id
        if identity in counted and worse(values[pick], values[identity], direction):
            pick = identity
    if pick not in counted:
        return recommended
    chosen = counted[pick]
    before, after = wording.apart(chosen.found.value or 0.0, chosen.longer.value or 0.0)
    reason = (
        f"{chosen.longer.trial.id}, has {after} ({before} after epoch {chosen.found.epochs})"
    )
    if pick != recommended.trial.trial.id:
        reason += f"; without that it would be {recommended.trial.trial.id}"
    return replace(
        recommended, trial=chosen.found, estimate=values[pick], longer=chosen.longer, reason=reason
    )


def longest(extensions: Sequence[Extension], direction: Direction) -> list[Extension]:
    """Return the longest training of each trial, the best first, those without a value last."""
    of_trial = {e.found.trial.id: e for e in extensions}  # in order of their epochs
    sign = -1.0 if direction == "maximize" else 1.0

    def key(extension: Extension) -> tuple[bool, float, TrialId]:
        value, trial = extension.longer.value, extension.longer.trial.id
        sound = extension.longer.state is State.COMPLETE and value is not None
        return not sound, sign * (value or 0.0), trial

    return sorted(of_trial.values(), key=key)


def note(extensions: Sequence[Extension], metric: str) -> str:
    """Return what came of longer training in Markdown, for the record."""
    lines = [
        f"Trials that were trained longer than the search trained them: {metric} as found, and "
        "after more epochs.\n",
        "| round | trial | found | after epoch | extended | after epoch |",
        "|---|---|---|---|---|---|",
    ]
    values = wording.column([v for e in extensions for v in (e.found.value, e.longer.value)])
    for extension, found, longer in zip(extensions, values[::2], values[1::2], strict=True):
        trial = extension.found.trial
        cell = longer or extension.longer.state.value
        lines.append(
            f"| {trial.round} | {trial.number} | {found} | {extension.found.epochs} | {cell} | "
            f"{extension.longer.epochs} |"
        )
    return "\n".join(lines)


def to_table(extensions: Sequence[Extension], direction: Direction) -> list[dict[str, object]]:
    """Return plain values for JSON."""
    return [
        {
            "round": e.found.trial.round, "number": e.found.trial.number,
            "value": e.found.value, "epochs": e.found.epochs,
            "extended_to": e.longer.trial.extended_to, "extended_state": e.longer.state.value,
            "extended_value": e.longer.value, "extended_epochs": e.longer.epochs,
            "is_better": e.is_better(direction),
        }
        for e in extensions
    ]
