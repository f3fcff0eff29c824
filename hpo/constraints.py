"""Parse constraints: comparisons that the hyperparameters of every trial must meet."""

import ast
import itertools
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hpo.distributions import Value
from hpo.study_errors import clipped

LONGEST = 300  # characters
LARGEST_POWER = 64
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_TRUTHS = {"true": True, "false": False}  # as a study file writes them
_SIGNS: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg, ast.UAdd: operator.pos,
}


@dataclass(frozen=True)
class Constraint:
    """A comparison such as "batch_size * accumulate <= 512".

    It may use arithmetic, numbers, strings, and names of hyperparameters; comparisons may be
    chained, as in "1 < low < high". `names` are those it uses.
    """

    text: str
    names: frozenset[str]
    _tree: ast.Compare = field(repr=False, compare=False)

    @property
    def texts(self) -> list[tuple[str, str]]:
        """The names that are compared with a string, with that string."""
        terms = [self._tree.left, *self._tree.comparators]
        pairs = [*itertools.pairwise(terms), *itertools.pairwise(reversed(terms))]
        return [
            (name.id, text.value) for name, text in pairs
            if isinstance(name, ast.Name) and isinstance(text, ast.Constant)
            and isinstance(text.value, str)
        ]

    def holds(self, hyperparameters: Mapping[str, Value]) -> bool:
        """Return whether it is met, also if one of its hyperparameters is absent.

        Raises ValueError if it cannot be computed, for example a string times a string.
        """
        if not self.names <= hyperparameters.keys():
            return True
        try:
            terms = [self._tree.left, *self._tree.comparators]
            values = [_value(term, hyperparameters) for term in terms]
            return all(
                _compared(compare, left, right)
                for compare, left, right in zip(
                    self._tree.ops, values[:-1], values[1:], strict=True
                )
            )
        except ZeroDivisionError:
            return False
        except (TypeError, ArithmeticError) as error:
            raise ValueError(f"{self.text!r} cannot be computed: {error}") from error


def _compared(compare: ast.cmpop, left: Any, right: Any) -> bool:
    if isinstance(compare, ast.Eq | ast.NotEq):
        return _COMPARISONS[type(compare)](left, right)
    if isinstance(left, str | tuple) or isinstance(right, str | tuple):
        raise TypeError("strings and lists can only be compared with == and !=")
    return _COMPARISONS[type(compare)](left, right)


def parse(text: str) -> Constraint:
    """Parse a constraint; raise ValueError, with the remedy, if it is not one."""
    if len(text) > LONGEST:
        raise ValueError(f"has {len(text)} characters; use at most {LONGEST}")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError(_no(text)) from None
    if not isinstance(tree, ast.Compare):
        raise ValueError(_no(text))
    for compare in tree.ops:
        if type(compare) not in _COMPARISONS:
            raise ValueError(_no(text))
    names = frozenset().union(*(_names(term, text) for term in (tree.left, *tree.comparators)))
    if not names:
        raise ValueError(f"{clipped(text, 60)!r} uses no hyperparameter; use at least one")
    return Constraint(text, names, tree)


def _no(text: str) -> str:
    return (
        f"{clipped(text, 60)!r} is not a comparison of numbers and hyperparameters; write one "
        'like "batch_size * accumulate <= 512"'
    )


def _names(node: ast.expr, text: str) -> frozenset[str]:
    """Return the names in a term; ValueError where it holds anything but arithmetic."""
    if isinstance(node, ast.Name):
        return frozenset() if node.id in _TRUTHS else frozenset({node.id})
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float | str):
        return frozenset()
    if isinstance(node, ast.UnaryOp) and type(node.op) in _SIGNS:
        return _names(node.operand, text)
    if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        return _names(node.left, text) | _names(node.right, text)
    raise ValueError(_no(text))


def _value(node: ast.expr, hyperparameters: Mapping[str, Value]) -> Any:
    """Return the value of a term; ArithmeticError where it is too large to be computed."""
    if isinstance(node, ast.Name):
        return _TRUTHS[node.id] if node.id in _TRUTHS else hyperparameters[node.id]
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.UnaryOp):
        return _SIGNS[type(node.op)](_value(node.operand, hyperparameters))
    assert isinstance(node, ast.BinOp)
    left, right = (_value(side, hyperparameters) for side in (node.left, node.right))
    if isinstance(left, str | tuple) or isinstance(right, str | tuple):
        raise TypeError("arithmetic only works on numbers")
    if isinstance(node.op, ast.Pow) and abs(right) > LARGEST_POWER:
        raise ArithmeticError(f"exponents must be at most {LARGEST_POWER}")
    result = _ARITHMETIC[type(node.op)](left, right)
    if isinstance(result, complex) or abs(result) > 1e300 or math.isnan(result):
        raise ArithmeticError("the result is not a number, or is too large")
    return result
