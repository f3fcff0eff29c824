"""Every error that a user can get, found in the source, with its placeholders in capitals."""

import ast
import functools
import itertools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "hpo"
# Errors that are shown as one line, by what the message is among their arguments.
_SHOWN = {"HPOError": 0, "WrongKeyError": 1}
# Functions that make one of them of their arguments.
_MAKERS = {"hpo.data": {"fault": 1, "files.fault": 1}}
# Where a ValueError or TypeError becomes such an error; elsewhere one is a slip of a caller.
_VALUES_OF = (
    "hpo.constraints", "hpo.data.predictor", "hpo.data.settings", "hpo.own_models", "hpo.program",
    "hpo.resources", "hpo.search.pruning", "hpo.study", "hpo.frameworks", "hpo.framework_models",
    "hpo.objective", "hpo.workers.attempt",
)
# Functions that return what is wrong with something, or "".
_FAULTS = re.compile(r"(^|_)(fault|unmet|refusal)|^first_error$")
# What only changes how a value is shown.
_WRAPPERS = {
    "short_text", "clipped", "quoted", "clean", "key_text", "shortened", "one_line", "str", "repr",
    "len", "sorted", "list", "listed", "map", "count", "number", "whole", "without_password",
    "join", "quote", "absolute", "escaped", "tuple", "set", "named", "type",
}
_MOST_FORMS = 20  # of one message, by what is put into it
_ASKS = re.compile(  # a message that asks for something by itself
    r"(^|: )(write|name|give|say|leave|remove|restart|choose|use|tell|build|run|widen|expected)\b"
    r"|pip install|\bmust (not )?(be|lie|have) |can only|only works on| are allowed"
    r"| (has|have) to | needs | is not a share between | with FILE$"
)
_DULL = {"name", "text", "error", "path", "message", "value"}  # names that say little alone


@dataclass(frozen=True)
class Message:
    """What is said, in which module and line of it."""

    module: str
    line: int
    text: str

    @property
    def parts(self) -> tuple[str, str]:
        """The fault and the remedy, which is "" where there is none of its own."""
        fault, _, remedy = self.text.partition("; ")
        return fault.strip(), remedy.strip()

    @property
    def has_remedy(self) -> bool:
        """Whether it says what to do, in its second part or by asking for something."""
        return bool(self.parts[1]) or _ASKS.search(self.text) is not None


@functools.cache
def collected() -> tuple[Message, ...]:
    """Return all messages, in the order of the source; one that stands in two places once."""
    found: dict[str, Message] = {}
    for module, tree in _modules().items():
        for line, text in _Finder(module, tree).messages():
            if _says_something(text):
                found.setdefault(text, Message(module, line, text))
    return tuple(found.values())


@functools.cache
def said_in(module: str) -> tuple[Message, ...]:
    """Return every text of a module, whether it is an error or not."""
    tree = _modules()[module]
    finder = _Finder(module, tree)
    described = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return tuple(
        Message(module, node.lineno, text)
        for function in functions for node in ast.walk(function)
        if isinstance(node, ast.JoinedStr | ast.Constant | ast.BinOp) and id(node) not in described
        for text in finder.texts(node, function) if _says_something(text)
    )


@functools.cache
def _modules() -> dict[str, ast.Module]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


@functools.cache
def _named(module: str) -> dict[str, ast.expr]:
    """Return what a module names at its top level: its values, and those that it imports."""
    found: dict[str, ast.expr] = {}
    for node in _modules()[module].body:
        if isinstance(node, ast.ImportFrom) and node.module in _modules():
            there = _named(node.module)
            found |= {a.asname or a.name: there[a.name] for a in node.names if a.name in there}
        elif isinstance(node, ast.Assign):
            target, value = node.targets[0], node.value
            if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                pairs = zip(target.elts, value.elts, strict=True)
                found |= {t.id: v for t, v in pairs if isinstance(t, ast.Name)}
            elif isinstance(target, ast.Name):
                found[target.id] = value
    return found


def _literal(node: ast.expr) -> str:
    """Return a text or a number that stands in the source, or ""."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        base, power = _literal(node.left), _literal(node.right)
        return str(int(base) ** int(power)) if base.isdigit() and power.isdigit() else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(p.value) for p in node.values if isinstance(p, ast.Constant))
    if not isinstance(node, ast.Constant) or isinstance(node.value, bool):
        return ""
    return str(node.value) if isinstance(node.value, str | int | float) else ""


@functools.cache
def _shown_errors() -> dict[str, int]:
    """Return the names of errors that are shown, their children among them."""
    shown, known = dict(_SHOWN), -1
    while known != len(shown):
        known = len(shown)
        for tree in _modules().values():
            for node in ast.walk(tree):
                if isinstance(node, ast.ClassDef):
                    bases = [ast.unparse(base).rpartition(".")[2] for base in node.bases]
                    place = next((shown[base] for base in bases if base in shown), None)
                    if place is not None:
                        shown.setdefault(node.name, place)
    return shown


def _says_something(text: str) -> bool:
    """Say whether there is more to a text than what is put into it."""
    return len(re.findall(r"\b[a-z]{2,}", text)) >= 2


class _Finder:
    """Finds the messages of one module."""

    def __init__(self, module: str, tree: ast.Module) -> None:
        self._tree, self._module = tree, module
        self._functions = {
            node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)
        }
        self._places = dict(_shown_errors())
        for package, makers in _MAKERS.items():
            if module.startswith(package):
                self._places |= makers
        if any(module == one or module.startswith(f"{one}_") for one in _VALUES_OF):
            self._places |= {"ValueError": 0, "TypeError": 0}

    def messages(self) -> Iterator[tuple[int, str]]:
        """Yield what is said, with its line."""
        yield from self._inside(self._tree, None)

    def _inside(
        self, node: ast.AST, function: ast.FunctionDef | None
    ) -> Iterator[tuple[int, str]]:
        for child in ast.iter_child_nodes(node):
            inner = child if isinstance(child, ast.FunctionDef) else function
            if isinstance(child, ast.Call):
                place = self._places.get(ast.unparse(child.func))
                if place is not None and len(child.args) > place:
                    for text in self.texts(child.args[place], function):
                        yield child.lineno, text
            if isinstance(child, ast.Return) and child.value and function is not None and (
                _FAULTS.search(function.name)
            ):
                is_pair = isinstance(child.value, ast.Tuple)
                said = child.value.elts[-1] if is_pair else child.value  # type: ignore[attr-defined]
                for text in self.texts(said, function):
                    yield child.lineno, text
            yield from self._inside(child, inner)

    def texts(
        self, node: ast.expr | ast.AST, function: ast.FunctionDef | None, depth: int = 0
    ) -> list[str]:
        """Return what an expression may say; none where it is put together elsewhere."""
        if depth > 4:
            return []
        if isinstance(node, ast.Constant):
            return [node.value] if isinstance(node.value, str) else []
        if isinstance(node, ast.JoinedStr):
            forms = [self._forms(piece, function, depth) for piece in node.values]
            if math.prod(map(len, forms)) > _MOST_FORMS:
                forms = [each[:1] for each in forms]
            return ["".join(pieces) for pieces in itertools.product(*forms)]
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            left, right = (self.texts(n, function, depth + 1) for n in (node.left, node.right))
            left = [text for text in left if text] or [placeholder(node.left)]
            right = right or [
                "; did you mean NEAREST?" if self._is_nearest(node.right, function)
                else placeholder(node.right)
            ]
            return [a + b for a in left for b in right]
        if isinstance(node, ast.IfExp):
            both = [self.texts(n, function, depth + 1) for n in (node.body, node.orelse)]
            if not any(both):
                return []
            unknown = [[placeholder(n)] for n in (node.body, node.orelse)]
            return [text for pair in zip(both, unknown, strict=True) for text in pair[0] or pair[1]]
        if isinstance(node, ast.Name) and function is not None:
            return [
                text for assigned in ast.walk(function)
                if isinstance(assigned, ast.Assign) and not isinstance(assigned.value, ast.Name)
                and any(isinstance(t, ast.Name) and t.id == node.id for t in assigned.targets)
                for text in self.texts(assigned.value, function, depth + 1)
            ]
        if isinstance(node, ast.Call):
            return self._called(node, function, depth)
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            table = _named(self._module).get(node.value.id)
            values = [_literal(v) for v in table.values] if isinstance(table, ast.Dict) else []
            return [re.sub(r"\{(\w+)\}", lambda m: m[1].upper(), text) for text in values if text]
        return []

    def _called(
        self, node: ast.Call, function: ast.FunctionDef | None, depth: int
    ) -> list[str]:
        name = ast.unparse(node.func)
        if isinstance(node.func, ast.Attribute) and node.func.attr == "format_map":
            return self.texts(node.func.value, function, depth + 1)
        if name.rpartition(".")[2] in _WRAPPERS and node.args:
            return self.texts(node.args[0], function, depth + 1)
        called = self._functions.get(name)
        if called is None or _FAULTS.search(called.name):
            return []
        return [
            text for part in ast.walk(called) if isinstance(part, ast.Return) and part.value
            for text in self.texts(part.value, called, depth + 1)
        ]

    def _forms(
        self, piece: ast.expr, function: ast.FunctionDef | None, depth: int
    ) -> list[str]:
        """Return what a part of an f-string may be: its placeholder, or the texts there are."""
        if isinstance(piece, ast.Constant):
            return [str(piece.value)]
        assert isinstance(piece, ast.FormattedValue)
        value = piece.value
        if self._is_nearest(value, function):
            return ["; did you mean NEAREST?"]
        shown = placeholder(value)
        named = _named(self._module)
        known = named.get(value.id) if isinstance(value, ast.Name) else None
        if known is not None and (text := _literal(known)):
            return [text]
        if isinstance(value, ast.Subscript) and isinstance(value.value, ast.Name):
            table = named.get(value.value.id)
            values = table.values if isinstance(table, ast.Dict) else []
            return [text for v in values if (text := _literal(v))] or [shown]
        if isinstance(value, ast.BoolOp) and isinstance(value.op, ast.And):
            value = value.values[-1]
        if isinstance(value, ast.Name | ast.IfExp | ast.BinOp | ast.Constant):
            texts = [text for text in self.texts(value, function, depth + 1) if text.strip()]
            if len(texts) > _MOST_FORMS // 2:  # of a table of them, what is not in it says little
                texts = [text for text in texts if _says_something(text)]
            if texts and (not isinstance(value, ast.Name) or all(map(_says_something, texts))):
                return list(dict.fromkeys(texts))
        return [f"'{shown}'" if piece.conversion == ord("r") else shown]

    def _is_nearest(self, node: ast.expr, function: ast.FunctionDef | None) -> bool:
        """Say whether this is what names the nearest known name."""
        if isinstance(node, ast.Name) and function is not None:
            return any(
                self._is_nearest(part.value, None) for part in ast.walk(function)
                if isinstance(part, ast.Assign) and ast.unparse(part.targets[0]) == node.id
            )
        if isinstance(node, ast.IfExp):
            return self._is_nearest(node.body, function)
        if isinstance(node, ast.BoolOp):
            return self._is_nearest(node.values[0], function)
        return isinstance(node, ast.Call) and ast.unparse(node.func) == "nearest"


def placeholder(node: ast.AST) -> str:
    """Return a name in capitals for what is put into a message."""
    words = _words(node)
    return words.strip("_").upper().replace("_", " ").replace(" ", "_") or "…"


def _words(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        inside = _words(node.value)
        is_dull = node.attr in _DULL and inside not in ("self", "cls")
        return f"{inside.rpartition('.')[2]}_{node.attr}" if is_dull else node.attr
    if isinstance(node, ast.Subscript):
        return _words(node.value).removesuffix("s") if isinstance(node.slice, ast.Constant) else (
            _words(node.value)
        )
    if isinstance(node, ast.Call):
        name = ast.unparse(node.func).rpartition(".")[2]
        if name in _WRAPPERS and node.args:
            return _words(node.args[-1 if name == "map" else 0])
        return _words(node.func)
    if isinstance(node, ast.BoolOp):
        return _words(node.values[0])
    if isinstance(node, ast.BinOp | ast.Starred | ast.UnaryOp | ast.NamedExpr):
        inner: ast.AST | None = getattr(node, "left", getattr(node, "value", None))
        return _words(inner) if inner is not None else ""
    if isinstance(node, ast.GeneratorExp | ast.ListComp | ast.SetComp):
        return _words(node.generators[0].iter)
    if isinstance(node, ast.IfExp):
        return _words(node.body) or _words(node.orelse)
    return ""
