"""What is wrong with a study file, in the words of the file."""

import datetime
import difflib
from collections.abc import Mapping
from typing import Any

from pydantic import (
    ValidationError,
)

_MESSAGE_LENGTH = 600  # a file may hold a key as long as itself
_NAME_LENGTH = 200  # of a study: an experiment name is refused by some databases above 256


class WrongKeyError(ValueError):
    """A value is wrong at `key`, relative to the field that is being validated."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def first_error(
    error: ValidationError, known: Mapping[tuple[str, ...], list[str]]
) -> tuple[str, str]:
    """Return the key and the message of the first error, in the words of a study file."""
    found = error.errors()
    unknown = [d for d in found if d["type"] in ("extra_forbidden", "unexpected_keyword_argument")]
    details = (unknown or found)[0]  # a misspelled key is why another is missing
    location = tuple(str(part) for part in details["loc"])
    key = ".".join(map(key_text, location))
    kind, message = details["type"], details["msg"]
    if unknown:
        names = known.get(location[:-1], [])
        table = next((table for table, keys in known.items() if table and location[-1] in keys), ())
        if table:
            return key, f"unknown key; move it to [{'.'.join(table)}]"
        return key, f"unknown key{nearest(location[-1], names) or '; take it out'}"
    if kind in ("missing", "missing_argument"):
        return key, "is missing; add it"
    cause = details.get("ctx", {}).get("error")
    if isinstance(cause, WrongKeyError):
        return ".".join(part for part in (key, cause.key) if part), str(cause)
    if isinstance(cause, ValueError):
        return key, str(cause)
    shown = short_text(details.get("input"))
    if kind in _TOML_WORDS:
        return key, f"{_TOML_WORDS[kind]}, not {shown}"
    if kind == "literal_error":
        return key, f"write {message.removeprefix('Input should be ')}, not {shown}"
    return key, f"{message[0].lower()}{message[1:]}, not {shown}"


_TOML_WORDS = {
    "string_type": "write a valid string, in quotes",
    "int_type": "write a valid integer",
    "int_from_float": "write a valid integer",
    "float_type": "write a valid number",
    "finite_number": "write a finite number",
    "bool_type": "write a valid boolean, true or false",
    "tuple_type": "write a list such as [1, 2]",
    "dict_type": "write a table",
    "model_type": "write a table",
    "too_short": "write a list with more in it",
}


def one_line(text: str) -> str:
    """Return text that neither breaks the line nor reaches the terminal as a command."""
    text = "".join(c if c.isprintable() else " " if c.isspace() else repr(c)[1:-1] for c in text)
    return text if len(text) <= _MESSAGE_LENGTH else text[: _MESSAGE_LENGTH - 1] + "…"


def short_text(value: object) -> str:
    """Return a value as a study file writes it, the middle of a long one left out."""
    return clipped(_toml_text(value), 60)


def _toml_text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        inside = list(value[:30])  # more is not shown in any case
        return f"[{', '.join(map(_toml_text, inside))}{', …' * (len(value) > len(inside))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key_text(k)} = {_toml_text(v)}' for k, v in value.items())} }}"
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return repr(value)


def key_text(key: object) -> str:
    """Return a key, not too long, in quotes where nothing would be seen or a dot is part of it."""
    text = str(key)
    return clipped(text if text.strip() and "." not in text else f'"{text}"', 60)


def clipped(text: str, letters: int) -> str:
    """Return a text of at most so many letters: what stands at its end often says the most."""
    half = letters // 2
    return text if len(text) <= letters else f"{text[:half]}…{text[half + 1 - letters:]}"


def deepest_line(text: str) -> int:
    """Return the number of the line, from 1, where most brackets are open or most keys dotted."""
    opened, deepest, found = 0, 0, 1
    for number, line in enumerate(text.splitlines(), start=1):
        inside = max(line.count("[") + line.count("{"), line.count("."))
        if opened + inside > deepest:
            deepest, found = opened + inside, number
        opened += sum(map(line.count, "[{")) - sum(map(line.count, "]}"))
    return found


def nearest(name: str, known: Any) -> str:
    """Return the end of an error: the known name that was meant, or those that there are."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; it has {clipped(', '.join(known), 300)}" if known else ""


def study_name_fault(name: str) -> str:
    """Return why no study can have this name, or ""."""
    if not name.strip() or name != name.strip() or not name.isprintable():
        return f"{short_text(name)} is empty, padded or not printable; choose another name"
    if len(name) > _NAME_LENGTH:
        return f"{len(name)} characters; use at most {_NAME_LENGTH}"
    return ""


def one_of(name: str, known: Any, kind: str) -> str:
    """Return the name; raise ValueError where it is none of the known ones."""
    if name not in known:
        raise ValueError(f"unknown {kind} {short_text(name)}{nearest(name, known)}")
    return name
