"""Checks for arguments given in Python, as strict as those for the command line."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hpo.errors import InputError

MOST = 10**9 - 1


def whole(value: Any, key: str) -> int:
    """Return an integer of at least 1; raise InputError, which names the key, otherwise."""
    number = value.item() if hasattr(value, "item") and not hasattr(value, "__len__") else value
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= MOST:
        raise InputError(f"{key}: expected an integer from 1 to {MOST}, got {value!r}")
    return number


def whole_or_none(value: Any, key: str) -> int | None:
    """Return an integer of at least 1, or None; raise InputError otherwise."""
    return None if value is None else whole(value, key)


def instance(value: Any, kind: type, key: str, wanted: str = "a string") -> Any:
    """Return a value of a kind; raise InputError, which says what is wanted, otherwise."""
    if isinstance(value, kind):
        return value
    raise InputError(f"{key}: expected {wanted}, got {value!r}")


def path(value: Any, key: str) -> Path:
    """Return a path, given as a Path or a string; raise InputError for anything else."""
    if isinstance(value, str | Path) and "\0" not in str(value):
        return Path(value)
    raise InputError(f"{key}: expected a path, got {value!r}")


def set_arguments(overrides: Sequence[str]) -> list[str]:
    """Return the command-line options that override keys of a study file."""
    return [part for text in overrides for part in ("--set", text)]
