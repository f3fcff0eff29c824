"""What follows from a study so far: the ranges of the next round, and the recommended trial."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from hpo import forms, wording
from hpo.constraints import parse
from hpo.distributions import Distribution, Value, off_scale, scale_of, with_range
from hpo.errors import InputError
from hpo.feasibility import Feasibility
from hpo.moves import Decision, Move
from hpo.record.values import Recorded, Round
from hpo.search import confirmation, extension
from hpo.search.narrowing import by_influence, change, narrow
from hpo.search.recommendation import Recommendation, recommend
from hpo.search_space import SearchSpace
from hpo.study import StudyFile, refused
from hpo.threads import one_thread
from hpo.trial import Direction, TrialResult


def propose(
    round_: Round,
    results: Sequence[TrialResult],
    repeats: Sequence[TrialResult],
    feasibility: Feasibility,
    others: Sequence[Sequence[TrialResult]] = (),
) -> tuple[Move, ...]:
    """Return the moves of the ranges after `round_`, a pure function of results and repeats.

    Each of `others` holds trials of another study, on a scale of their own.

    An edge that would move where no point is feasible stays, and no range moves if that would leave
    no feasible point.
    """
    confirmed = confirmation.means(results, repeats)
    with one_thread():
        settings = round_.settings
        moves = narrow(
            round_.search_space, results, settings.direction, confirmed, settings.search_space,
            others,
        )
    moves = tuple(_accepted(move, feasibility.allows) for move in moves)
    if all(move.new == move.old for move in moves):
        return moves
    if feasibility.with_space({move.name: move.new for move in moves}).is_empty():
        said = "together the new ranges would leave no feasible point, so all are kept"
        return tuple(
            replace(move, new=move.old, kind="kept", factor=1.0, reason=f"{move.reason}; {said}")
            for move in moves
        )
    return moves


def moves_after(recorded: Recorded) -> tuple[Move, ...]:
    """Return the moves after the last recorded round."""
    last = recorded.rounds[-1]
    return propose(
        last, recorded.on_one_scale, recorded.repeats, feasibility_of(last),
        recorded.on_other_scales,
    )


def influential(recorded: Recorded) -> list[str]:
    """Return the hyperparameters of the last round, those that matter most first."""
    last = recorded.rounds[-1]
    with one_thread():
        return by_influence(last.search_space, recorded.results, last.settings.direction)


def recommendation(recorded: Recorded, extended: bool = True) -> Recommendation | None:
    """Return the recommended trial of a study; None if no trial is complete.

    Gains from longer training count, unless `extended` is False.
    """
    if not recorded.rounds:
        return None
    last = recorded.rounds[-1]
    results, repeats, direction = recorded.results, recorded.repeats, last.settings.direction
    with one_thread():
        found = recommend(last.search_space, results, repeats, direction)
    broken = {
        identity for identity, trial in confirmation.confirmed(results, repeats).items()
        if not trial.is_sound
    }
    counted = extension.better(
        [r for r in results if r.trial.id not in broken], recorded.extensions, direction
    )
    if found is None or not extended or not counted:
        return found
    return extension.recommend(
        found, confirmation.ranked(results, repeats, direction), counted, direction
    )


def best_trials(
    recorded: Recorded, direction: Direction, top: int, *, extended: bool = False
) -> list[TrialResult]:
    """Return the recommended trial, and after it the best others, `top` in total.

    The others are ranked by value, or by the mean of their repeats if they were confirmed. With
    `extended`, longer training counts for the recommended trial.

    Raises InputError if there are not enough.
    """
    ranked = confirmation.ranked(recorded.results, recorded.repeats, direction)
    if len(ranked) < top:
        raise InputError(
            f"{recorded.name} has {wording.count(len(ranked), 'complete trial')}, fewer than "
            f"{top}; run more, or lower --top"
        )
    recommended = recommendation(recorded, extended)
    if recommended is not None:
        ranked.sort(key=lambda r: r.trial.id != recommended.trial.trial.id)
    return ranked[:top]


def next_ranges(
    study: StudyFile,
    recorded: Recorded,
    moves: Sequence[Move] | None,
    overruled: Mapping[str, Distribution],
    keep: bool,
) -> tuple[SearchSpace, tuple[Decision, ...]]:
    """Return the ranges of the next round, and how each came about.

    `moves` are the proposed ones, None if they are not known yet. A range that is `overruled`, or
    changed in the study file, is used as it is; with `keep`, none moves.
    """
    if not recorded.rounds:
        return {**study.search_space, **overruled}, ()
    last = recorded.rounds[-1]
    in_file = {
        name: d for name, d in study.search_space.items()
        if d != last.settings.search_space.get(name, d)
    }
    moves = moves_after(recorded) if moves is None else moves
    decisions = []
    for move in moves:
        decision = Decision(move, move.new)
        if keep:
            decision = Decision(move, move.old, "kept by --keep-ranges")
        if move.name in in_file:
            decision = Decision(move, in_file[move.name], "changed in the study file")
        if move.name in overruled:
            decision = Decision(move, overruled[move.name], "overridden by --range")
        decisions.append(decision)
    known = {decision.move.name: decision.used for decision in decisions}
    new = {n: overruled.get(n, d) for n, d in study.search_space.items() if n not in known}
    return known | new, tuple(decisions)


def is_found(round_: Round) -> bool:
    """Return whether the objective of a round can be asked here; a program refuses no value."""
    if not forms.is_name(round_.settings.objective):
        return True
    try:
        forms.find(round_.settings.objective)
    except InputError:
        return False
    return True


def feasibility_of(round_: Round) -> Feasibility:
    """Return the feasibility of points of a round.

    If the objective cannot be found here, only the constraints decide.
    """
    settings = round_.settings
    refuses: Callable[[Mapping[str, Value]], str | None] = _nothing
    if forms.is_name(settings.objective) and is_found(round_):
        refuses = partial(refused, forms.find(settings.objective))
    constraints = tuple(map(parse, settings.constraints))
    return Feasibility(round_.search_space, settings.fixed, constraints, refuses)


def _nothing(values: Mapping[str, Value]) -> None:
    """Refuse no hyperparameters."""


def _accepted(move: Move, accepts: Callable[[str, Value], bool]) -> Move:
    """Return the move with edges that the objective does not accept moved back."""
    old, new = move.old, move.new
    before, after = scale_of(old), scale_of(new)
    if before is None or after is None:
        return move
    low, high = (
        moved if moved == kept or accepts(move.name, off_scale(new, moved)) else kept
        for moved, kept in ((after.low, before.low), (after.high, before.high))
    )
    bounded = with_range(new, low, high)
    if bounded == new:
        return move
    note = f"{move.reason}; the objective does not accept values outside this range"
    kind, factor = change(old, bounded)
    return replace(move, new=bounded, kind=kind, factor=factor, reason=note)
