"""The ranges of the next round: what narrowing proposes, and who has a say in it."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hpo import confirmation
from hpo import objective as objectives
from hpo.errors import InputError
from hpo.narrowing import Move, change, narrow
from hpo.recorded import Recorded, Round
from hpo.search_space import (
    CategoricalDistribution,
    Distribution,
    SearchSpace,
    Value,
    as_tuples,
    from_table,
    to_table,
    with_range,
)
from hpo.study import Study, refused
from hpo.threads import one_thread
from hpo.trial import TrialResult


def propose(
    round_: Round,
    results: Sequence[TrialResult],
    repeats: Sequence[TrialResult],
    accepts: Callable[[str, Value], bool],
) -> tuple[Move, ...]:
    """Return the moves of the ranges after `round_`, a pure function of results and repeats.

    An edge that was to move where the objective `accepts` no value stays.
    """
    confirmed = confirmation.means(results, repeats)
    with one_thread():
        moves = narrow(round_.search_space, results, round_.settings["direction"], confirmed)
    return tuple(_accepted(move, accepts) for move in moves)


def moves_after(recorded: Recorded) -> tuple[Move, ...]:
    """Return the moves after the last round on record."""
    last = recorded.rounds[-1]
    return propose(last, recorded.results, recorded.repeats, acceptance(last))


def next_ranges(
    study: Study,
    recorded: Recorded,
    moves: Sequence[Move] | None,
    overruled: Mapping[str, Distribution],
    keep: bool,
) -> tuple[SearchSpace, list[dict[str, Any]]]:
    """Return the ranges of the next round, and how each came about.

    `moves` are those proposed, None where they are not known yet; a range that is `overruled`, or
    changed in the study file, is taken as it is, and with `keep` none moves.
    """
    if not recorded.rounds:
        return {**study.search_space, **overruled}, []
    last = recorded.rounds[-1]
    in_file = {
        name: d for name, d in study.search_space.items()
        if d != from_table(last.settings["search_space"][name])
    }
    moves = moves_after(recorded) if moves is None else moves
    search_space, proposal = {}, []
    for move in moves:
        used, decision = move.new, "taken"
        if keep:
            used, decision = move.old, "kept by --keep-ranges"
        if move.name in in_file:
            used, decision = in_file[move.name], "changed in the study file"
        if move.name in overruled:
            used, decision = overruled[move.name], "overruled by --range"
        search_space[move.name] = used
        proposal.append(move_table(move) | {"used": to_table(used), "decision": decision})
    return search_space, proposal


def is_found(round_: Round) -> bool:
    """Say whether the objective of a round can be imported here."""
    try:
        objectives.find(round_.settings["objective"])
    except InputError:
        return False
    return True


def acceptance(round_: Round) -> Callable[[str, Value], bool]:
    """Return a function that says whether the objective of a round accepts a value.

    It accepts all where the objective cannot be found here.
    """
    if not is_found(round_):
        return lambda name, value: True
    objective = objectives.find(round_.settings["objective"])
    values = {name: d.from_unit(0.5) for name, d in round_.search_space.items()}
    fixed = {name: as_tuples(value) for name, value in round_.settings["fixed"].items()}
    return lambda name, value: refused(objective, {**fixed, **values, name: value}) is None


def _accepted(move: Move, accepts: Callable[[str, Value], bool]) -> Move:
    """Return the move with the edges the objective does not accept back where they were."""
    old, new = move.old, move.new
    if isinstance(old, CategoricalDistribution) or isinstance(new, CategoricalDistribution):
        return move
    low = new.low if accepts(move.name, new.low) else old.low
    high = new.high if accepts(move.name, new.high) else old.high
    bounded = with_range(new, low, high)
    if bounded == new:
        return move
    note = f"{move.reason}; the objective accepts no value beyond"
    kind, factor = change(old, bounded)
    return replace(move, new=bounded, direction=kind, factor=factor, reason=note)


def move_table(move: Move) -> dict[str, Any]:
    """Return a move as plain values, for the record and for JSON."""
    return {
        "name": move.name,
        "old": to_table(move.old),
        "new": to_table(move.new),
        "direction": move.direction,
        "factor": move.factor,
        "reason": move.reason,
        "evidence": None if math.isnan(move.evidence) else move.evidence,
    }
