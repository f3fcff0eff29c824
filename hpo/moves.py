"""Define moves, the proposed changes of ranges after a round, and decisions on them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, get_args

from hpo.distributions import Distribution, from_table, to_table

Kind: TypeAlias = Literal["narrowed", "widened", "moved", "kept"]
TAKEN = "taken"


@dataclass(frozen=True)
class Move:
    """A proposed change of a hyperparameter's range after a round, and why.

    `factor` is the new width over the old one on the distribution's scale (for choices: the share
    kept). `p_value` is that of the test that the hyperparameter has no influence on the ranks of
    the trials: small means strong evidence; NaN where no test was possible.
    """

    name: str
    old: Distribution
    new: Distribution
    kind: Kind
    factor: float
    reason: str
    p_value: float

    def to_table(self) -> dict[str, Any]:
        """Return the move as plain values, for the record and for JSON."""
        return {
            "name": self.name,
            "old": to_table(self.old),
            "new": to_table(self.new),
            "kind": self.kind,
            "factor": self.factor,
            "reason": self.reason,
            "p_value": None if math.isnan(self.p_value) else self.p_value,
        }


@dataclass(frozen=True)
class Decision:
    """The range that a round uses, and why: the move was taken, or overruled by whom."""

    move: Move
    used: Distribution
    why: str = TAKEN

    @property
    def is_taken(self) -> bool:
        """Whether the range is the proposed one."""
        return self.why == TAKEN

    @property
    def reason(self) -> str:
        """The reason for the move, or for overruling it."""
        return self.move.reason if self.is_taken else self.why

    def to_table(self) -> dict[str, Any]:
        """Return the decision as plain values, for the record."""
        return self.move.to_table() | {"used": to_table(self.used), "decision": self.why}


def by_evidence(moves: Sequence[Move]) -> list[Move]:
    """Return the moves by the strength of the evidence that their hyperparameters matter.

    Moves without a test come last, and ties keep their order.
    """
    return sorted(moves, key=lambda move: (math.isnan(move.p_value), move.p_value))


def of_wholes(moves: Sequence[Move]) -> list[Move]:
    """Return the moves, with one for all parts of a hyperparameter, which move alike."""
    found: dict[str, Move] = {}
    for move in moves:
        name = move.old.part_of or move.name
        found.setdefault(name, replace(move, name=name))
    return list(found.values())


def decision_from(table: Mapping[str, Any]) -> Decision:
    """Return the decision that `to_table` wrote, also after a round trip through JSON.

    Raises ValueError, TypeError or LookupError if the table is not one of these.
    """
    kind, p_value, factor = table["kind"], table["p_value"], table["factor"]
    if kind not in get_args(Kind):
        raise ValueError(f"{kind!r} is not a kind of move")
    for number in (factor, 0.0 if p_value is None else p_value):
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise TypeError(f"{number!r} is not a number")
    for text in (table["name"], table["reason"], table["decision"]):
        if not isinstance(text, str):
            raise TypeError(f"{text!r} is not a string")
    move = Move(
        table["name"], from_table(table["old"]), from_table(table["new"]), kind, factor,
        table["reason"], math.nan if p_value is None else p_value,
    )
    return Decision(move, from_table(table["used"]), table["decision"])
