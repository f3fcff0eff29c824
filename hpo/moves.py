"""A move is what a range would do after a round, and a decision is what it does."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, get_args

from hpo.distributions import Distribution, from_table, to_table

Kind: TypeAlias = Literal["narrowed", "widened", "moved", "kept"]
TAKEN = "taken"


@dataclass(frozen=True)
class Move:
    """What one hyperparameter's range would do after a round, and why.

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
    """The range that a round uses, and why: the move was taken, or who overruled it."""

    move: Move
    used: Distribution
    why: str = TAKEN

    @property
    def is_taken(self) -> bool:
        """Say whether the range is the one that was proposed."""
        return self.why == TAKEN

    @property
    def reason(self) -> str:
        """Why the range is what it is: the reason for the move, or what overruled it."""
        return self.move.reason if self.is_taken else self.why

    def to_table(self) -> dict[str, Any]:
        """Return the decision as plain values, for the record."""
        return self.move.to_table() | {"used": to_table(self.used), "decision": self.why}


def by_evidence(moves: Sequence[Move]) -> list[Move]:
    """Return the moves by the strength of the evidence that their hyperparameters matter.

    Those where no test was possible come last, and equals keep their order.
    """
    return sorted(moves, key=lambda move: (math.isnan(move.p_value), move.p_value))


def of_wholes(moves: Sequence[Move]) -> list[Move]:
    """Return the moves, of the parts of a hyperparameter, which all move alike, one by its name."""
    found: dict[str, Move] = {}
    for move in moves:
        name = move.old.part_of or move.name
        found.setdefault(name, replace(move, name=name))
    return list(found.values())


def decision_from(table: Mapping[str, Any]) -> Decision:
    """Return the decision that `to_table` wrote, also after a passage through JSON.

    Raises ValueError, TypeError or LookupError where the table is another one.
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
