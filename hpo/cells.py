"""A function of a notebook becomes a module: its source, and what that takes from other cells."""

import ast
import builtins
import contextlib
import hashlib
import importlib
import inspect
import math
import os
import symtable
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from hpo.errors import InputError
from hpo.objective_code import CELL, CODE_FOLDER

HEADING = '"""What a study takes from a notebook: kept by hpo, named by its content."""\n'
LITERAL_CHARACTERS = 1000  # more than that is data
_FUTURE = "from __future__ import annotations\n"
_MAIN = "__main__"


def name_of(function: Callable[..., Any], folder: Path) -> str:
    """Return the name that a function is imported by, "module:name".

    One that stands in a notebook gets a module, in a folder of the study's `folder`: it holds the
    function and what that takes from other cells, which are imports, functions, classes and plain
    constants. Raises InputError where it takes anything else, or has no name to import.
    """
    name = getattr(function, "__qualname__", "")
    if not inspect.isfunction(function) or not name.isidentifier():
        shown = name or repr(function)
        raise InputError(
            f"objective: {shown} cannot be imported by a name; write it with def, at the top of a "
            "cell or of a module"
        )
    module = _module_of(function)
    if module:
        return f"{module}:{name}"
    text = _Module(function).text()
    module = CELL + hashlib.sha256(text.encode()).hexdigest()[:16]
    _write(folder / CODE_FOLDER / f"{module}.py", text)
    importlib.invalidate_caches()  # the folder may have been listed a moment ago
    return f"{module}:{name}"


def copy(name: str, folder: Path, other: Path) -> None:
    """Copy the module of an objective from one study's folder to another's, where it has one."""
    file = f"{name.partition(':')[0]}.py"
    source = folder / CODE_FOLDER / file
    if name.startswith(CELL) and source.exists():
        _write(other / CODE_FOLDER / file, source.read_text(encoding="utf-8"))


def _write(file: Path, text: str) -> None:
    if file.exists():
        return  # its name says what is in it
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_suffix(f".{os.getpid()}")
        unfinished.write_text(text, encoding="utf-8")
        os.replace(unfinished, file)
    except OSError as error:
        raise InputError(
            f"{file}: {error.strerror or error}; the code of a notebook is kept there, so work in "
            "a folder that can be written"
        ) from error


def _module_of(function: FunctionType) -> str:
    """Return the module that a function can be imported from, "" where it stands in a notebook."""
    if function.__module__ != _MAIN:
        return function.__module__
    main = sys.modules[_MAIN]
    file = getattr(main, "__file__", None)
    if file is None or inspect.unwrap(function).__code__.co_filename != file:
        return ""
    spec = getattr(main, "__spec__", None)  # of python -m
    module = spec.name if spec is not None else Path(file).stem
    if spec is None and not module.isidentifier():
        raise InputError(
            f"objective: {Path(file).name} cannot be imported by workers; give it a name of "
            "letters, digits and _"
        )
    return str(module)


class _Module:
    """The text of a module with one function and all that it needs."""

    def __init__(self, function: FunctionType) -> None:
        self._globals, self._objective = function.__globals__, function.__name__
        self._imports: set[str] = set()
        self._texts: dict[str, str] = {}  # of what is defined, by name, in order of need
        self._begun: set[str] = set()
        self._future = ""
        self._take(function.__name__, function)

    def text(self) -> str:
        """Return the text, the same whenever and wherever the same cells are run."""
        imports = "".join(f"{line}\n" for line in sorted(self._imports))
        parts = [HEADING + self._future + imports, *self._texts.values()]
        return "\n\n".join(part.strip("\n") + "\n" for part in parts)

    def _take(self, name: str, value: Any) -> None:
        """Add what a name of the notebook stands for, after what that needs itself."""
        if name in self._begun:
            return
        self._begun.add(name)
        if isinstance(value, ModuleType):
            self._import_module(name, value)
        elif self._is_importable(name, value):
            origin = value.__module__
            original = name if getattr(sys.modules[origin], name, None) is value \
                else value.__qualname__
            self._imports.add(f"from {origin} import {original}" + (
                f" as {name}" if name != original else ""))
        elif isinstance(value, FunctionType) and value.__module__ == _MAIN:
            self._take_function(name, value)
        elif isinstance(value, type) and value.__module__ == _MAIN:
            self._add(name, _class_source(value, self._globals))
        elif (literal := _literal(value)) is not None:
            self._texts[name] = f"{name} = {literal}\n"
        else:
            raise InputError(
                f"objective: {self._objective} takes {name!r} from another cell, and what is of "
                f"type {type(value).__name__} cannot be kept with the study; make it inside the "
                "function, or put both into a module"
            )

    def _take_function(self, name: str, function: FunctionType) -> None:
        if function.__name__ != name or "<" in function.__qualname__:
            raise InputError(
                f"objective: {self._objective} takes {name!r} from another cell, which is "
                f"{function.__qualname__} there; define it by def, under its name"
            )
        if inspect.unwrap(function).__code__.co_flags & _future_annotations():
            self._future = _FUTURE
        try:
            source = inspect.getsource(function)
        except (OSError, TypeError):
            raise InputError(
                f"objective: the source of {name} is not known here; put it into a module"
            ) from None
        self._add(name, source)
        for attribute, value in vars(function).items():
            if attribute != "__wrapped__":
                self._take_attribute(name, attribute, value)

    def _take_attribute(self, name: str, attribute: str, value: Any) -> None:
        """Add an attribute that another line of the notebook gave to a function."""
        said = _literal(value)
        if said is None and callable(value) and getattr(value, "__name__", "").isidentifier():
            said = value.__name__
            self._take(said, value)
        if said is None:
            raise InputError(
                f"objective: the attribute {attribute!r} of {name} is a {type(value).__name__}, "
                "which cannot be kept with the study; put the function into a module"
            )
        self._texts[f"{name}.{attribute}"] = f"{name}.{attribute} = {said}\n"

    def _add(self, name: str, source: str) -> None:
        """Add the source of a function or class, after what it takes from other cells."""
        source = textwrap.dedent(source)
        for used in sorted(_global_names(source) - {name}):
            if used in self._globals:
                if not used.startswith("__"):
                    self._take(used, self._globals[used])
                    self._import_submodules(used, source)
            elif not hasattr(builtins, used):
                raise InputError(
                    f"objective: {name} takes {used!r}, which no cell that has run defines"
                )
        self._texts[name] = source

    def _is_importable(self, name: str, value: Any) -> bool:
        origin = getattr(value, "__module__", None)
        if not isinstance(origin, str) or origin == _MAIN or origin not in sys.modules:
            return False
        module = sys.modules[origin]
        named = getattr(value, "__qualname__", None)
        return any(
            isinstance(known, str) and getattr(module, known, None) is value
            for known in (name, named)
        )

    def _import_module(self, name: str, module: ModuleType) -> None:
        as_name = "" if module.__name__ == name else f" as {name}"
        self._imports.add(f"import {module.__name__}{as_name}")

    def _import_submodules(self, name: str, source: str) -> None:
        """Import such as `scipy.stats`, which `import scipy` alone may not."""
        if not isinstance(self._globals[name], ModuleType):
            return
        for node in ast.walk(ast.parse(source)):
            parts: list[str] = []
            while isinstance(node, ast.Attribute):
                parts.insert(0, node.attr)
                node = node.value
            if not (isinstance(node, ast.Name) and node.id == name):
                continue
            path = self._globals[name].__name__
            for part in parts:
                path = f"{path}.{part}"
                if path not in sys.modules:
                    break
                self._imports.add(f"import {path}")


def _future_annotations() -> int:
    import __future__

    return __future__.annotations.compiler_flag


def _global_names(source: str) -> set[str]:
    """Return the names that source code takes from around it."""
    def inside(table: symtable.SymbolTable) -> Iterator[str]:
        top = table.get_type() == "module"
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (top or symbol.is_global()):
                yield symbol.get_name()
        for child in table.get_children():
            yield from inside(child)

    return set(inside(symtable.symtable(source, "<cell>", "exec")))


def _literal(value: Any) -> str | None:
    """Return a plain value as Python writes it; None where it is another one, or a long one."""
    if not _is_plain(value):
        return None
    text = repr(value)
    return text if len(text) <= LITERAL_CHARACTERS else None


def _is_plain(value: Any) -> bool:
    if type(value) in (list, tuple):
        return all(map(_is_plain, value))
    if type(value) is dict:
        return all(map(_is_plain, (*value, *value.values())))
    if type(value) is float:
        return math.isfinite(value)
    return value is None or type(value) in (bool, int, str, bytes)


def _class_source(kind: type, names: Mapping[str, Any]) -> str:
    """Return the source of a class, from the last cell that defines it."""
    for cell in reversed([text for text in names.get("In", ()) if isinstance(text, str)]):
        with contextlib.suppress(SyntaxError, ValueError):
            for node in ast.parse(cell).body:
                if isinstance(node, ast.ClassDef) and node.name == kind.__name__:
                    first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
                    return "\n".join(cell.splitlines()[first - 1 : node.end_lineno]) + "\n"
    with contextlib.suppress(OSError, TypeError):
        return inspect.getsource(kind)
    raise InputError(
        f"objective: the source of {kind.__name__} is not known here; put it into a module"
    )
