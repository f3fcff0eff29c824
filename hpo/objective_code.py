"""The source files of an objective and their digests: for the record, the cluster and models."""

import ast
import contextlib
import functools
import hashlib
import importlib.metadata
import importlib.util
import os
import re
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

OURS = ("hpo", "trainer")  # installed wherever hpo is
CELL = "cell_"  # the prefix of modules made from the cells of a notebook
CODE_FOLDER = Path(".hpo") / "code"  # of those modules, in the folder of the study
_LIBRARIES = tuple(Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib"))
_DISTRIBUTIONS = {"sklearn": "scikit-learn", "PIL": "pillow", "cv2": "opencv-python"}
_IMPORTERS = ("import_module", "__import__")  # functions that accept the name of a module

_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Code:
    """The code of an objective: the digest of each file, by path, and of all files together.

    `digest` and `files` cover the bytes; `syntax` and `syntax_files` cover the syntax trees,
    without comments, docstrings and formatting. Both are kept because each minor version of Python
    may parse the same bytes differently. Each digest has 16 hexadecimal digits. `texts` are the
    contents of the Python files, until their digests have been computed.
    """

    digest: str
    files: Mapping[str, str]
    texts: Mapping[str, bytes] = field(repr=False, compare=False)

    @functools.cached_property
    def syntax(self) -> str:
        """The digest of the syntax of all files."""
        parts = (f"{path}\0{digest}\0" for path, digest in sorted(self.syntax_files.items()))
        return _short("".join(parts).encode())

    @functools.cached_property
    def syntax_files(self) -> Mapping[str, str]:
        """The digest of the syntax of each file, or of its bytes if it is not Python."""
        read = {path: _syntax_digest(text) for path, text in self.texts.items()}
        return {path: read.get(path) or digest for path, digest in self.files.items()}

    def differing(self, other: "Code") -> tuple[str, ...]:
        """Return the paths of the files that differ: in bytes and in syntax."""
        paths = sorted(self.files.keys() | other.files.keys())
        return tuple(
            path for path in paths
            if self.files.get(path) != other.files.get(path)
            and self.syntax_files.get(path) != other.syntax_files.get(path)
        )

    def __getstate__(self) -> dict[str, Any]:
        """Send only the digests to other processes, not the texts."""
        return {**vars(self), "syntax": self.syntax, "syntax_files": self.syntax_files, "texts": {}}


def read_code(name: str) -> Code:
    """Return the current code of an objective, "package.module:name"."""
    package, found = _folders(_top(name)), files(name)
    if is_of_notebook(name):  # its module is named by its content
        found = {known_as(path): file for path, file in found.items()}
    inside = {
        path: next((str(file.relative_to(f)) for f in package if file.is_relative_to(f)), path)
        for path, file in found.items()
    }
    return digest(found, inside)


def is_of_notebook(name: str) -> bool:
    """Return whether an objective, or its module, was made from the cells of a notebook."""
    return re.match(rf"{CELL}[0-9a-f]{{16}}(:|$)", name) is not None


def known_as(name: str) -> str:
    """Return a name for an objective or file that stays the same when notebook cells change."""
    return re.sub(rf"^{CELL}[0-9a-f]{{16}}\b", CELL.rstrip("_"), name)


def search_path(name: str, folder: Path) -> tuple[str, ...]:
    """Return the folders where a process must look for an objective, the study's own first.

    They are the study's folder, the folder with notebook code inside it, and the folders on this
    process's path, except those of installed packages.
    """
    found = [folder, *([folder / CODE_FOLDER] if is_of_notebook(name) else [])]
    top = _top(name)
    if top in OURS:
        return (str(folder),)
    spec = _spec(top)
    inside = [Path(f) for f in _search_locations(top)]
    if not inside and spec is not None and spec.has_location and spec.origin:
        inside = [Path(spec.origin)]
    found += [place.parent.absolute() for place in inside]
    return tuple(dict.fromkeys(str(f) for f in found if f == folder or not is_installed(f)))


def digest(found: Mapping[str, Path], inside: Mapping[str, str] | None = None) -> Code:
    """Return the `Code` of files by path; `inside` holds the names to use in the digest, if any."""
    sums, by_path, texts = hashlib.sha256(), {}, {}
    for path, file in sorted(found.items(), key=lambda item: item[1]):
        text = file.read_bytes()
        sums.update((inside[path] if inside else path).encode() + b"\0" + text + b"\0")
        by_path[path] = _short(text)
        if file.suffix == ".py":
            texts[path] = text
    return Code(sums.hexdigest()[:16], by_path, texts)


def _short(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:16]


@functools.lru_cache(maxsize=1024)  # a worker may read the code of a program for each trial
def _syntax_digest(text: bytes) -> str:
    """Return the digest of the syntax tree without docstrings, "" if there is no tree."""
    try:
        tree = ast.parse(text)
        for node in ast.walk(tree):
            if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
                del node.body[0]
        return _short(ast.dump(tree).encode())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""


def files(name: str) -> dict[str, Path]:
    """Return the Python files that make up an objective or a loader, "package.module:name".

    They are keyed by their path relative to the folder they are imported from, such as "mine.py"
    or "parts/layers.py": the module, or all modules of its package, and everything those import,
    anywhere, from next to it. Installed packages add no further files, and hpo and trainer are
    never included. Nothing is imported.
    """
    top = _top(name)
    folders = _folders(top)
    spec = _spec(top)
    module_file = Path(spec.origin if spec and spec.has_location and spec.origin else "")
    roots = [folder.parent for folder in folders] or [module_file.parent]
    if is_of_notebook(name) and roots[0].parts[-2:] == CODE_FOLDER.parts:
        roots.append(roots[0].parents[1])  # modules next to the notebook
    if folders:
        found = {file: _path_below(file, root) for root, folder in zip(roots, folders, strict=True)
                 for file in _modules(folder)}
    else:
        found = {module_file: module_file.name} if module_file.is_file() else {}
    if top in OURS or any(is_installed(root) for root in roots):
        return {path: file for file, path in found.items()}
    return {path: file for file, path in _with_imports(found, roots, {top, *OURS}).items()}


def files_of_command(command: Sequence[str], folder: Path) -> dict[str, Path]:
    """Return the files inside a folder that a command names, and the modules they import there.

    They are keyed by their path relative to the folder. A module run with `python -m` counts.
    """
    folder = _without_dots(folder)
    found: dict[Path, str] = {}
    roots = [folder]
    for before, argument in zip(("", *command), command, strict=False):
        path = folder / argument
        beside = _beside(folder, argument.replace(".", "/")) if before == "-m" else []
        if not beside and _is_file_below(path, folder):
            beside = [Path(os.path.normpath(path))]
            if path.suffix == ".py" and beside[0].parent not in roots:
                roots.append(beside[0].parent)  # where Python looks first
        found |= {file: _path_below(file, folder) for file in beside}
    below = {file for file in found if file.suffix == ".py"}
    imported = _with_imports({f: p for f, p in found.items() if f in below}, roots, set(OURS))
    return {_path_below(file, folder): file for file in {**found, **imported}}


def _without_dots(folder: Path) -> Path:
    """Return the absolute path of a folder without `..`; links are followed only if they must."""
    plain = Path(os.path.normpath(folder.absolute()))
    with contextlib.suppress(OSError):
        if plain.samefile(folder):
            return plain
    return folder.resolve()


def _is_file_below(path: Path, folder: Path) -> bool:
    with contextlib.suppress(OSError, ValueError):
        inside = path.resolve().is_relative_to(folder.resolve())  # not the Python of a .venv
        return path.is_file() and inside and Path(os.path.normpath(path)).is_relative_to(folder)
    return False


def _with_imports(
    found: Mapping[Path, str], roots: Sequence[Path], known: set[str]
) -> dict[Path, str]:
    """Return files by path, with everything they import from these folders, recursively."""
    found, unread, known = dict(found), list(found), set(known)
    while unread:
        for imported in sorted(set(_imported(unread.pop())) - known):
            known.add(imported)
            for root in roots:
                beside = _beside(root, imported)
                found |= {file: _path_below(file, root) for file in beside}
                unread += beside
    return found


def packages(name: str) -> dict[str, str]:
    """Return the version of each installed package that the files of an objective import.

    Versions are keyed by the name in the import. The standard library, hpo and trainer are left
    out.
    """
    return {} if _top(name) in OURS else packages_of(files(name))


def packages_of(found: Mapping[str, Path]) -> dict[str, str]:
    """Return the version of each installed package that the Python files among these import."""
    python = (file for file in found.values() if file.suffix == ".py")
    imported = {top for file in python for top in _imported(file)}
    versions = {}
    for top in sorted(imported - set(OURS) - sys.stdlib_module_names):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError, ValueError):
            versions[top] = importlib.metadata.version(_DISTRIBUTIONS.get(top, top))
    return versions


def is_installed(path: Path) -> bool:
    """Return whether a path is in the standard library or among the installed packages."""
    return bool({"site-packages", "dist-packages"} & set(path.parts)) or any(
        path.is_relative_to(library) for library in _LIBRARIES
    )


def _top(name: str) -> str:
    return name.partition(":")[0].partition(".")[0]


def _folders(top: str) -> list[Path]:
    """Return the folders of a package; a namespace package may have several."""
    return [Path(folder) for folder in _search_locations(top)]


def _path_below(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix()


def _modules(folder: Path) -> list[Path]:
    """Return all modules of a package, except broken links."""
    return sorted(file for file in folder.rglob("*.py") if file.is_file())


def _beside(root: Path, name: str) -> list[Path]:
    """Return the files of the module or package `name` in a folder, as Python would find it."""
    package, module = root / name, root / f"{name}.py"
    if (package / "__init__.py").is_file():
        return _modules(package)
    if module.is_file():
        return [module]
    if package.is_dir() and str(package) in _search_locations(name):
        return _modules(package)
    return []


def _search_locations(name: str) -> Sequence[str]:
    """Return the folders of a package, as Python's import system finds them."""
    spec = _spec(name)
    return list(spec.submodule_search_locations or ()) if spec else ()


def _spec(top: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None


def _imported(file: Path) -> Iterator[str]:
    """Yield the top-level name of everything a file imports, inside functions too."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return  # a file that is not Python cannot be imported
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name.partition(".")[0] for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module.partition(".")[0]
            case ast.Call(func=ast.Name(id=called) | ast.Attribute(attr=called),
                          args=[ast.Constant(value=str(module)), *_]) if called in _IMPORTERS:
                yield module.partition(".")[0]
