"""Identify files that an objective reads itself by their digests."""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from hpo.data.files import fault

_BLOCK = 1 << 20  # bytes


def find(names: Sequence[str], folder: Path) -> dict[str, Path]:
    """Return the files that a study file names, and all files in the folders that it names.

    Keys are their paths as in the study file, relative to `folder`. Raises InputError for a name
    without any file.
    """
    found: dict[str, Path] = {}
    for name in names:
        path = folder / name
        try:
            inside = [path] if path.is_file() else sorted(_below(path)) if path.is_dir() else []
        except (OSError, ValueError) as error:
            raise fault("files", f"{name!r} cannot be read: {error}; make it readable") from error
        if not inside:
            what = "is an empty folder" if path.is_dir() else "does not exist"
            raise fault("files", f"{str(path)!r} {what}; use files, or folders that contain files")
        for file in inside:
            below = file.relative_to(path).as_posix() if file != path else ""
            found[f"{name.rstrip('/')}/{below}" if below else name] = file
    return found


def digests(names: Sequence[str], folder: Path, known: Path) -> dict[str, str]:
    """Return the digest of each of these files, 16 hexadecimal digits, by its path.

    `known` is a file of digests: a file with the same size, time and inode is not read again.
    Raises InputError if a file cannot be read.
    """
    before = _read_known(known)
    now: dict[str, list[object]] = {}
    result = {}
    for name, file in find(names, folder).items():
        try:
            state = os.stat(file)
            key = str(file.absolute())
            entry = before.get(key)
            same = [state.st_size, state.st_mtime_ns, state.st_ino]
            if entry is None or entry[:3] != same:
                entry = [*same, _digest(file)]
        except OSError as error:
            raise fault("files", f"{name!r} cannot be read: {error}; make it readable") from error
        now[key] = entry
        result[name] = str(entry[3])
    if any(before.get(key) != entry for key, entry in now.items()):
        _write_known(known, {**before, **now})
    return result


def total(by_name: dict[str, str]) -> str:
    """Return one digest of all, which changes with any name or content."""
    return hashlib.sha256(json.dumps(sorted(by_name.items())).encode()).hexdigest()[:16]


def _below(folder: Path) -> Iterator[Path]:
    for root, _, names in os.walk(folder, followlinks=True):
        yield from (Path(root, name) for name in names if Path(root, name).is_file())


def _digest(file: Path) -> str:
    sums = hashlib.sha256()
    with file.open("rb") as content:
        while block := content.read(_BLOCK):
            sums.update(block)
    return sums.hexdigest()[:16]


def _read_known(path: Path) -> dict[str, list[object]]:
    try:
        table = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    good = isinstance(table, dict) and all(
        isinstance(entry, list) and len(entry) == 4 for entry in table.values()
    )
    return table if good else {}


def _write_known(path: Path, table: dict[str, list[object]]) -> None:
    """Write the file whole or not at all; without it the files are read again, and no more."""
    new = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(json.dumps(table), encoding="utf-8")
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)
