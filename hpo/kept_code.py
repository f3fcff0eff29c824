"""Compare a function, class or value in memory with the copy of its source."""

import dis
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

_OF_EACH_CLASS = {
    "__abstractmethods__", "__annotations__", "__annotations_cache__", "__dict__", "__doc__",
    "__firstlineno__", "__module__", "__static_attributes__", "__weakref__", "_abc_impl",
}
_SIGNATURE = (
    "co_argcount", "co_posonlyargcount", "co_kwonlyargcount", "co_flags", "co_varnames",
    "co_freevars", "co_cellvars",
)
_CALLING = {"CACHE", "EXTENDED_ARG", "NOP", "PRECALL", "PUSH_NULL"}
_SAME = {"LOAD_METHOD": "LOAD_ATTR"}
_PLAIN = (bool, bytes, complex, float, int, str, type(None))


def difference(live: Any, kept: Any, seen: frozenset[int] = frozenset()) -> str:
    """Return how a live value differs from its kept copy, or "".

    Functions are compared by their code, defaults, attributes and closures, classes by their
    contents, plain values directly; for everything else only the type counts.
    """
    if id(live) in seen:
        return ""
    seen |= {id(live)}
    if isinstance(live, FunctionType):
        return _of_functions(live, kept, seen)
    if isinstance(live, type) and live.__module__ == "__main__":
        return _of_classes(live, kept, seen)
    if isinstance(live, staticmethod | classmethod) and type(live) is type(kept):
        return difference(live.__func__, kept.__func__, seen)
    if isinstance(live, property) and isinstance(kept, property):
        pairs = ((live.fget, kept.fget), (live.fset, kept.fset))
        return next(filter(None, (difference(a, b, seen) for a, b in pairs)), "")
    if isinstance(live, tuple | list) and type(live) is type(kept):
        if len(live) != len(kept):
            return f"it has {len(live)} values in memory, {len(kept)} in the cell"
        pairs_of = zip(live, kept, strict=True)
        return next(filter(None, (difference(a, b, seen) for a, b in pairs_of)), "")
    if isinstance(live, dict) and isinstance(kept, dict):
        if live.keys() != kept.keys():
            return "its keys differ"
        return next(filter(None, (difference(live[k], kept[k], seen) for k in live)), "")
    if isinstance(live, _PLAIN) or isinstance(kept, _PLAIN):
        same = type(live) is type(kept) and repr(live) == repr(kept)
        return "" if same else f"{live!r} in memory, {kept!r} in the cell"[:200]
    if type(live).__name__ != type(kept).__name__:
        return f"a {type(live).__name__} in memory, a {type(kept).__name__} in the cell"
    return ""


def _of_functions(live: FunctionType, kept: Any, seen: frozenset[int]) -> str:
    if not isinstance(kept, FunctionType):
        return f"a function in memory, a {type(kept).__name__} in the cell"
    if not is_same_code(live.__code__, kept.__code__):
        return "the code differs"
    for what, now, then in (
        ("a default", live.__defaults__, kept.__defaults__),
        ("a default", live.__kwdefaults__, kept.__kwdefaults__),
        ("an attribute", vars(live), vars(kept)),
        ("a variable it closes over", _closed_over(live), _closed_over(kept)),
    ):
        found = difference(now, then, seen)
        if found:
            return f"{what} differs: {found}"
    return ""


def _closed_over(function: FunctionType) -> list[Any]:
    cells = []
    for cell in function.__closure__ or ():
        try:
            cells.append(cell.cell_contents)
        except ValueError:  # it is empty yet
            cells.append(None)
    return cells


def is_same_code(live: CodeType, kept: CodeType) -> bool:
    """Return whether two code objects do the same, regardless of where they are."""
    if any(getattr(live, name) != getattr(kept, name) for name in _SIGNATURE):
        return False
    mine, other = list(_steps(live)), list(_steps(kept))
    return len(mine) == len(other) and all(map(_is_same_step, mine, other))


def _is_same_step(mine: tuple[str, Any], other: tuple[str, Any]) -> bool:
    (name, value), (name_of_other, value_of_other) = mine, other
    if name != name_of_other:
        return False
    if isinstance(value, CodeType) and isinstance(value_of_other, CodeType):
        return is_same_code(value, value_of_other)
    return type(value) is type(value_of_other) and repr(value) == repr(value_of_other)


def _steps(code: CodeType) -> Iterator[tuple[str, Any]]:
    """Yield the instructions of a code object, each with its argument.

    How a method of a module is called depends on whether the same source imports the module; that
    difference is ignored.
    """
    steps = [step for step in dis.get_instructions(code) if step.opname not in _CALLING]
    places = {step.offset: place for place, step in enumerate(steps)}
    for step in steps:
        about = step.argval
        if step.opcode in dis.hasjrel or step.opcode in dis.hasjabs:
            about = min((p for o, p in places.items() if o >= step.argval), default=len(steps))
        yield _SAME.get(step.opname, step.opname), about


def _of_classes(live: type, kept: Any, seen: frozenset[int]) -> str:
    if not isinstance(kept, type):
        return f"a class in memory, a {type(kept).__name__} in the cell"
    mine = {n: v for n, v in vars(live).items() if n not in _OF_EACH_CLASS}
    other = {n: v for n, v in vars(kept).items() if n not in _OF_EACH_CLASS}
    for name in sorted(mine.keys() ^ other.keys()):
        return f"{name} is {'not ' if name in mine else 'only '}in the cell"
    for name, value in mine.items():
        found = difference(value, other[name], seen)
        if found:
            return f"{name}: {found}"
    if len(live.__bases__) != len(kept.__bases__):
        return "its base classes differ"
    for base, then in zip(live.__bases__, kept.__bases__, strict=True):
        found = difference(base, then, seen)
        if found or base.__name__ != then.__name__:
            return f"its base class {base.__name__}: {found or 'a different one'}"
    return ""
