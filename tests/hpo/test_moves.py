"""Moves and decisions come back from the record as they were, or are refused."""

import json
import math
from typing import Any

import pytest

from hpo.distributions import CategoricalDistribution, FloatDistribution, IntegerDistribution
from hpo.moves import Decision, Move, decision_from

OLD, NEW = FloatDistribution(1e-4, 1.0, log=True), FloatDistribution(1e-3, 0.1, log=True)
MOVE = Move("rate", OLD, NEW, "narrowed", 0.5, "fit", 0.01)


TAKEN = Decision(MOVE, NEW)


def written(decision: Decision = TAKEN, /, **changes: Any) -> dict[str, Any]:
    table: dict[str, Any] = json.loads(json.dumps(decision.to_table()))
    return table | changes


@pytest.mark.parametrize(
    "decision",
    [
        Decision(MOVE, NEW), Decision(MOVE, OLD, "kept by --keep-ranges"),
        Decision(Move("n", IntegerDistribution(1, 9), IntegerDistribution(2, 5, limits=(1, 20)),
                      "moved", 2, "edge", 1), IntegerDistribution(2, 5)),
        Decision(Move("c", CategoricalDistribution(("a", (1, 2))), CategoricalDistribution(("a",)),
                      "narrowed", 0.5, "better", 0.0), CategoricalDistribution(("a",))),
    ],
)
def test_a_decision_comes_back(decision: Decision) -> None:
    assert decision_from(written(decision)) == decision
    assert decision.is_taken == (decision.why == "taken")
    assert decision.reason == (decision.move.reason if decision.is_taken else decision.why)


def test_a_move_without_a_test_has_no_p_value() -> None:
    move = Move("rate", OLD, OLD, "kept", 1.0, "few trials", math.nan)
    assert move.to_table() == {
        "name": "rate", "old": {"low": 1e-4, "high": 1.0, "log": True},
        "new": {"low": 1e-4, "high": 1.0, "log": True}, "kind": "kept", "factor": 1.0,
        "reason": "few trials", "p_value": None,
    }
    back = decision_from(written(Decision(move, OLD)))
    assert math.isnan(back.move.p_value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": "grown"}, "'grown' is not a kind of move"),
        ({"factor": "1"}, "'1' is not a number"), ({"factor": True}, "True is not a number"),
        ({"factor": None}, "None is not a number"), ({"p_value": "0.5"}, "'0.5' is not a number"),
        ({"p_value": False}, "False is not a number"), ({"name": 1}, "1 is not a string"),
        ({"reason": None}, "None is not a string"), ({"decision": 2}, "2 is not a string"),
        ({"old": {"low": 2, "high": 1}}, "its edges are out of order"),
        ({"used": {"low": 1, "high": "2"}}, "an edge is not a number"),
    ],
)
def test_what_is_no_decision_is_said(changes: dict[str, Any], said: str) -> None:
    with pytest.raises((ValueError, TypeError), match=said):
        decision_from(written(**changes))
