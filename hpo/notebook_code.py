"""Turn a notebook function into a module: its source, plus what it uses from other cells."""

import ast
import builtins
import contextlib
import hashlib
import importlib.util
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
from hpo.kept_code import difference
from hpo.objective_code import CELL, CODE_FOLDER

HEADING = '"""What a study takes from a notebook: kept by hpo, named by its content."""\n'
LITERAL_CHARACTERS = 1000  # more than that is data
_FUTURE = "from __future__ import annotations\n"
_MAIN = "__main__"
_OF_EACH_MODULE = {"__builtins__", "__doc__", "__file__", "__loader__", "__name__", "__spec__"}
_OF_NOTEBOOKS = {"display", "exit", "get_ipython", "quit"}  # look like Python builtins
_MAGICS = {"capture", "prun", "time"}  # of cells that define what other cells use


def name_of(function: Callable[..., Any], folder: Path) -> str:
    """Return the name a function can be imported by, "module:name".

    A notebook function gets a module, in a folder inside the study's `folder`: it holds the
    function and what that uses from other cells, which can be imports, functions, classes and
    plain constants. Raises InputError if it uses anything else, cannot be imported by name, or
    would behave differently there.
    """
    name = getattr(function, "__qualname__", "")
    if not inspect.isfunction(function) or not name.isidentifier():
        shown = name or repr(function)
        raise InputError(
            f"objective: {shown} cannot be imported by name; define it with def, at the top level "
            "of a cell or a module"
        )
    if not name.isascii():
        raise InputError(f"objective: the name {name} must be ASCII; rename it")
    module = _module_of(function)
    if module:
        known = getattr(sys.modules.get(module), name, None)
        if known is not function and module in sys.modules and function.__module__ != _MAIN:
            raise InputError(
                f"objective: {module}.{name} is a different function from this one; pass the one "
                "that the module defines"
            )
        return f"{module}:{name}"
    try:
        cells = _Module(function)
        text = cells.text()
    except (SyntaxError, ValueError, RecursionError) as error:
        raise InputError(
            f"objective: the source of {name} cannot be saved: {error}; move it to a module"
        ) from error
    module = CELL + hashlib.sha256(text.encode()).hexdigest()[:16]
    file = folder / CODE_FOLDER / f"{module}.py"
    _write(file, text)
    cells.refuse_others(_imported(module, file, folder))
    return f"{module}:{name}"


def copy(name: str, folder: Path, other: Path) -> None:
    """Copy the module of a notebook objective from one study's folder to another's."""
    file = f"{name.partition(':')[0]}.py"
    source = folder / CODE_FOLDER / file
    if name.startswith(CELL) and source.exists():
        _write(other / CODE_FOLDER / file, source.read_text(encoding="utf-8"))


def _write(file: Path, text: str) -> None:
    if file.exists():
        return  # it is named by its content
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_suffix(f".{os.getpid()}")
        unfinished.write_bytes(text.encode())
        os.replace(unfinished, file)
    except OSError as error:
        raise InputError(
            f"{file}: {error.strerror or error}; hpo saves the code of a notebook there, so work "
            "in a writable folder"
        ) from error


def _imported(module: str, file: Path, folder: Path) -> ModuleType:
    """Import a saved module under the name that workers use for it."""
    if module in sys.modules:
        return sys.modules[module]
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))  # for modules next to the notebook
    spec = importlib.util.spec_from_file_location(module, file)
    assert spec is not None
    assert spec.loader is not None
    made = sys.modules[module] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(made)
    except BaseException as error:
        del sys.modules[module]
        if not isinstance(error, Exception):
            raise
        raise InputError(
            f"objective: the code saved from the notebook does not run on its own: "
            f"{type(error).__name__}: {error}; move it to a module"
        ) from error
    return made


def _module_of(function: FunctionType) -> str:
    """Return the module that a function can be imported from, "" for one in a notebook."""
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
            f"objective: workers cannot import {Path(file).name}; rename it, using only letters, "
            "digits, and _"
        )
    return str(module)


class _Module:
    """The source of a module with one function and everything it needs."""

    def __init__(self, function: FunctionType) -> None:
        self._globals, self._objective = function.__globals__, function.__name__
        self._imports: set[str] = set()
        self._texts: dict[str, str] = {}  # of what is defined, by name, in order of need
        self._taken: dict[str, Any] = {}
        self._future = ""
        self._take(function.__name__, function)

    def text(self) -> str:
        """Return the source, the same whenever and wherever the same cells run."""
        imports = "".join(f"{line}\n" for line in sorted(self._imports))
        parts = [HEADING + self._future + imports, *self._texts.values()]
        return "\n\n".join(part.strip("\n") + "\n" for part in parts)

    def refuse_others(self, kept: ModuleType) -> None:
        """Raise InputError if a name means something else in the module than in the notebook."""
        for name in self._texts:
            if "." in name:
                continue  # an attribute of a function, compared with it
            found = difference(self._taken[name], getattr(kept, name, None))
            if found:
                raise InputError(
                    f"objective: {name} differs from its cell: {found}; run the cell again, "
                    "edit it to match, or move it to a module"
                )

    def _take(self, name: str, value: Any) -> None:
        """Add the value of a name in the notebook, after what it needs itself."""
        if name in self._taken:
            return
        self._taken[name] = value
        if isinstance(value, ModuleType):
            as_name = "" if value.__name__ == name else f" as {name}"
            self._imports.add(f"import {value.__name__}{as_name}")
        elif (line := _import_line(name, value)) is not None:
            self._imports.add(line)
        elif isinstance(value, FunctionType) and value.__module__ == _MAIN:
            self._take_function(name, value)
        elif isinstance(value, type) and value.__module__ == _MAIN:
            self._refuse_alias(name, value)
            self._add(name, _definition(ast.ClassDef, value, self._globals))
        elif (literal := _literal(value)) is not None:
            self._take_constant(name, value, literal)
        else:
            raise InputError(
                f"objective: {self._objective} uses {name!r} from another cell, and a value of "
                f"type {type(value).__name__} cannot be saved with the study; create it inside the "
                "function, or move both to a module"
            )

    def _take_constant(self, name: str, value: Any, literal: str) -> None:
        for other, known in self._taken.items():
            if other != name and known is value and isinstance(value, list | dict):
                raise InputError(
                    f"objective: {self._objective} uses {name!r} and {other!r} from other cells, "
                    "which are the same object there but would become two; use only one of them"
                )
        self._texts[name] = f"{name} = {literal}\n"

    def _take_function(self, name: str, function: FunctionType) -> None:
        self._refuse_alias(name, function)
        if inspect.unwrap(function).__code__.co_flags & _future_annotations():
            self._future = _FUTURE
        self._add(name, _definition(ast.FunctionDef, function, self._globals))
        for attribute, value in vars(function).items():
            if attribute != "__wrapped__":
                self._take_attribute(name, attribute, value)

    def _refuse_alias(self, name: str, value: Any) -> None:
        if value.__name__ != name or "<" in value.__qualname__:
            raise InputError(
                f"objective: {self._objective} uses {name!r} from another cell, but it is defined "
                f"there as {value.__qualname__}; define it as {name}"
            )

    def _take_attribute(self, name: str, attribute: str, value: Any) -> None:
        """Add an attribute that the notebook set on a function."""
        said = _literal(value)
        if said is None and callable(value) and getattr(value, "__name__", "").isidentifier():
            said = value.__name__
            self._take(said, value)
        if said is None:
            raise InputError(
                f"objective: the attribute {attribute!r} of {name} is a {type(value).__name__}, "
                "which cannot be saved with the study; move the function to a module"
            )
        self._texts[f"{name}.{attribute}"] = f"{name}.{attribute} = {said}\n"

    def _add(self, name: str, source: str) -> None:
        """Add the source of a function or class, after what it uses from other cells."""
        for used in sorted(_global_names(source) - {name}):
            if used in self._globals and used not in _OF_EACH_MODULE:
                if used in _OF_NOTEBOOKS:
                    self._refuse_of_notebook(name, used)
                self._take(used, self._globals[used])
                self._import_submodules(used, source)
            elif used in _OF_NOTEBOOKS:
                self._refuse_of_notebook(name, used)
            elif not hasattr(builtins, used) and used not in _OF_EACH_MODULE:
                raise InputError(
                    f"objective: {name} uses {used!r}, which is not defined in any cell that has "
                    "run; define it"
                )
        self._texts[name] = source

    def _refuse_of_notebook(self, name: str, used: str) -> None:
        raise InputError(
            f"objective: {name} uses {used!r}, which exists only in notebooks; remove it"
        )

    def _import_submodules(self, name: str, source: str) -> None:
        """Import submodules such as `scipy.stats`, which `import scipy` alone may not load."""
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


def _import_line(name: str, value: Any) -> str | None:
    """Return the line that imports the value of a name, None if no module has it."""
    origin = getattr(value, "__module__", None)
    if not isinstance(origin, str) or origin == _MAIN or origin not in sys.modules:
        return None
    for known in (name, getattr(value, "__qualname__", None)):
        if isinstance(known, str) and getattr(sys.modules[origin], known, None) is value:
            return f"from {origin} import {known}" + (f" as {name}" if name != known else "")
    return None


def _future_annotations() -> int:
    import __future__

    return __future__.annotations.compiler_flag


def _global_names(source: str) -> set[str]:
    """Return the global names that source code uses, including those in quoted annotations."""
    def inside(table: symtable.SymbolTable) -> Iterator[str]:
        top = table.get_type() == "module"
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (top or symbol.is_global()):
                yield symbol.get_name()
        for child in table.get_children():
            yield from inside(child)

    found = set(inside(symtable.symtable(source, "<cell>", "exec")))
    for node in ast.walk(ast.parse(source)):
        for annotation in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            if annotation is not None:
                found |= set(_names_in(annotation))
    return found


def _names_in(annotation: ast.AST) -> Iterator[str]:
    for node in ast.walk(annotation):
        if isinstance(node, ast.Name):
            yield node.id
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            with contextlib.suppress(SyntaxError, ValueError):
                yield from _names_in(ast.parse(node.value, mode="eval"))


def _literal(value: Any) -> str | None:
    """Return a plain value as Python source; None if it is not plain, or too long."""
    if type(value) is float and not math.isfinite(value):
        return f'float("{value}")'
    with contextlib.suppress(ValueError, RecursionError):  # of lists in themselves, huge numbers
        if _is_plain(value):
            text = repr(value)
            return text if len(text) <= LITERAL_CHARACTERS else None
    return None


def _is_plain(value: Any) -> bool:
    if type(value) in (list, tuple):
        return all(map(_is_plain, value))
    if type(value) is dict:
        return all(map(_is_plain, (*value, *value.values())))
    if type(value) is float:
        return math.isfinite(value)
    return value is None or type(value) in (bool, int, str, bytes)


def _definition(
    kind: type[ast.ClassDef] | type[ast.FunctionDef], value: Any, names: Mapping[str, Any]
) -> str:
    """Return the source of a function or class, from the last cell that defines it, if any."""
    for cell in reversed([text for text in names.get("In", ()) if isinstance(text, str)]):
        for text in _with_magics(cell):
            with contextlib.suppress(SyntaxError, ValueError):
                for node in reversed(ast.parse(text).body):
                    if isinstance(node, kind) and node.name == value.__name__:
                        first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
                        lines = text.replace("\r\n", "\n").split("\n")
                        return "\n".join(lines[first - 1 : node.end_lineno]) + "\n"
    with contextlib.suppress(OSError, TypeError):
        return textwrap.dedent(inspect.getsource(value))
    raise InputError(
        f"objective: the source of {value.__name__} cannot be found; define it at the top level of "
        "a cell, or move it to a module"
    )


def _with_magics(cell: str) -> Iterator[str]:
    """Yield a cell, then the part of it that a magic such as %%time runs."""
    yield cell
    with contextlib.suppress(SyntaxError, ValueError):
        for node in ast.parse(cell).body:
            match node:
                case ast.Expr(value=ast.Call(
                    func=ast.Attribute(attr="run_cell_magic"),
                    args=[ast.Constant(value=str(magic)), _, ast.Constant(value=str(body))],
                )) if magic in _MAGICS:
                    yield body
