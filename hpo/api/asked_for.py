"""What a program asks for is checked as what is typed on the command line, and typed again."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hpo.errors import InputError


def whole(value: Any, key: str, most: int = 10**9 - 1) -> int | None:
    """Return a whole number of at least 1, or None; raise InputError, which names the key, else."""
    if value is None:
        return None
    number = value.item() if hasattr(value, "item") and not hasattr(value, "__len__") else value
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= most:
        raise InputError(f"{key}: {value!r} is no whole number from 1 to {most}; write one")
    return number


def text(value: Any, key: str) -> str | None:
    """Return a text, or None; raise InputError, which names the key, for anything else."""
    if value is None or isinstance(value, str):
        return value
    raise InputError(f"{key}: {value!r} is no text; write one")


def needed_text(value: Any, key: str) -> str:
    """Return a text; raise InputError, which names the key, for anything else."""
    if isinstance(value, str):
        return value
    raise InputError(f"{key}: {value!r} is no text; write one")


def path(value: Any, key: str) -> Path:
    """Return a path, given as that or as a text; raise InputError for anything else."""
    if isinstance(value, str | Path) and "\0" not in str(value):
        return Path(value)
    raise InputError(f"{key}: {value!r} is no path; write one")


def instance(value: Any, kind: type, key: str, remedy: str, *, is_needed: bool = False) -> Any:
    """Return a value of a kind, or None unless it is needed; raise InputError for anything else."""
    if isinstance(value, kind) or (value is None and not is_needed):
        return value
    raise InputError(f"{key}: {value!r} is no {kind.__name__}; {remedy}")


def set_arguments(overrides: Sequence[str]) -> list[str]:
    """Return the options that override keys of a study file, as they are typed."""
    return [part for text in overrides for part in ("--set", text)]
