"""Detect whether a file has changed since its module was imported, or its bytecode was written."""

import ast
import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib.util import cache_from_source
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

from hpo.kept_code import is_same_code


def remove_stale_bytecode(files: Iterable[Path]) -> None:
    """Remove the bytecode of files that were edited after it was written.

    Python compares only the size of a file and the second of its last edit. So it would run the
    code before an edit that keeps the size and comes within a second of the import before it.
    """
    for file in files:
        with contextlib.suppress(OSError):  # mostly, there is no bytecode
            bytecode = Path(cache_from_source(file))
            if bytecode.stat().st_mtime_ns < file.stat().st_mtime_ns:
                bytecode.unlink()


def is_stale(module: ModuleType, file: Path) -> bool:
    """Return whether functions or plain values of a module differ from its file.

    Only top-level names that both have are compared.
    """
    try:
        text = file.read_bytes()
        tree, compiled = ast.parse(text), compile(text, str(file), "exec", dont_inherit=True)
    except (OSError, SyntaxError, ValueError):
        return False  # the next import fails and says so
    bound = Counter(_bound(tree))
    now = {c.co_name: c for c in compiled.co_consts if isinstance(c, CodeType)}
    for name, code in now.items():
        live = vars(module).get(name)
        if not isinstance(live, FunctionType) or bound[name] != 1 or live.__closure__ is not None:
            continue  # the name now holds something made elsewhere
        if live.__code__.co_name == name and not is_same_code(live.__code__, code):
            return True
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            for target in node.targets:
                if isinstance(target, ast.Name) and bound[target.id] == 1 and _differs(
                    module, target.id, node.value.value
                ):
                    return True
    return False


def _bound(tree: ast.AST) -> Iterator[str]:
    """Yield each name that a file binds, as often as it does."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.alias):
            yield node.asname or node.name


def _differs(module: ModuleType, name: str, value: object) -> bool:
    live = vars(module).get(name, value)
    return type(live) is type(value) and live != value
