"""Trials that were trained longer than in the search, and what they gained.

A trial and its extension are the same training: the later epochs count if they are better. To
compare several trials, what each gained is added to what is known about it.
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
        """How much the value changed; NaN if there is none."""
        if self.found.value is None or self.longer.value is None:
            return math.nan
        return self.longer.value - self.found.value

    def is_better(self, direction: Direction) -> bool:
        """Return whether the value after more epochs is better than the one found in the search."""
        sound = self.longer.state is State.COMPLETE and self.longer.value is not None
        return sound and worse(self.found.value or 0.0, self.longer.value or 0.0, direction)


def extended(trial: Trial, epochs: int) -> Trial:
    """Return the trial, to be continued to an epoch; nothing stops it early."""
    return replace(trial, extended_to=epochs, cut_offs=None)


def extensions_of(
    results: Sequence[TrialResult], extensions: Sequence[TrialResult]
) -> list[Extension]:
    """Return all trials that were trained longer, in order of round, number and epoch."""
    found = {r.trial.id: r for r in results}
    known = [
        Extension(found[r.trial.original], r) for r in extensions if r.trial.original in found
    ]
    return sorted(known, key=lambda e: e.longer.trial.id)


def better(
    results: Sequence[TrialResult], extensions: Sequence[TrialResult], direction: Direction
) -> dict[TrialId, Extension]:
    """Return the best extension of each trial, for those that are better than the trial was."""
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
    """Return the recommended trial when some were extended.

    `ranked` are the complete trials, with the means of their repeats where they were confirmed.
    What each gained is added to its value, up to the value it had in the end: a gain may come from
    an unlucky start. The recommendation stays unless an extended trial is then better.
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
        reason += f"; without the extra epochs it would be {recommended.trial.trial.id}"
    return replace(
        recommended, trial=chosen.found, estimate=values[pick], longer=chosen.longer, reason=reason
    )


def longest(extensions: Sequence[Extension], direction: Direction) -> list[Extension]:
    """Return the longest training of each trial, best first; those without a value are last."""
    of_trial = {e.found.trial.id: e for e in extensions}  # in order of their epochs
    sign = -1.0 if direction == "maximize" else 1.0

    def key(extension: Extension) -> tuple[bool, float, TrialId]:
        value, trial = extension.longer.value, extension.longer.trial.id
        sound = extension.longer.state is State.COMPLETE and value is not None
        return not sound, sign * (value or 0.0), trial

    return sorted(of_trial.values(), key=key)


def note(extensions: Sequence[Extension], metric: str) -> str:
    """Return a table of the extended trials in Markdown, for the record."""
    lines = [
        f"Trials trained longer than in the search: {metric} as found in the search, and after "
        "more epochs.\n",
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
