"""Error messages for study files, in the terms of the file."""

import datetime
import difflib
import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from hpo import wording

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
    """Return the key and the message of the first error, in the terms of a study file."""
    found = error.errors()
    unknown = [d for d in found if d["type"] in ("extra_forbidden", "unexpected_keyword_argument")]
    details = (unknown or found)[0]  # a misspelled key is why another is missing
    # Items of a list are counted from 1, as for [[start]] and constraints.
    location = tuple(str(p + 1 if isinstance(p, int) else p) for p in details["loc"])
    key = ".".join(map(key_text, location))
    kind, message = details["type"], details["msg"]
    if unknown:
        names = known.get(location[:-1], [])
        table = next((table for table, keys in known.items() if table and location[-1] in keys), ())
        if table:
            return key, f"unknown key; move it to [{'.'.join(table)}]"
        meant = _MEANT.get(location[-1], ())
        if meant and set(meant) <= set(names):
            said = repr(meant[0]) if len(meant) == 1 else " and ".join(meant)
            return key, f"unknown key; did you mean {said}?"
        return key, f"unknown key{nearest(location[-1], names, 'valid keys') or '; remove it'}"
    if kind in ("missing", "missing_argument"):
        return key, "required but missing; add it"
    cause = details.get("ctx", {}).get("error")
    if isinstance(cause, WrongKeyError):
        return ".".join(part for part in (key, cause.key) if part), str(cause)
    if isinstance(cause, ValueError):
        return key, str(cause)
    given = details.get("input")
    if kind == "too_short":
        return key, "must not be empty; add at least one value"
    if kind == "float_type" and type(given) is int:
        return key, f"the number {short_text(given)} is too large; choose a smaller one"
    if kind in _WORDS:
        limits = details.get("ctx", {}).items()
        expected = _WORDS[kind].format_map(
            {name: limit if isinstance(limit, str) else wording.whole(limit)
             for name, limit in limits}
        )
        if kind == "literal_error":  # pydantic says "'a', 'b' or 'c'"
            expected = re.sub(r"(, (?:'[^']*'|[^,' ]+)) or ", r"\1, or ", expected)
    else:
        expected = message.replace("Input should be", "must be", 1)
        expected = expected[0].lower() + expected[1:]
    return key, f"{expected}, got {short_text(given)}"


# What other tools call the keys of a range, by what they are called here.
_MEANT = {
    **dict.fromkeys(("min", "max", "minimum", "maximum", "lower", "upper"), ("low", "high")),
    **dict.fromkeys(("values", "options", "categories"), ("choices",)),
}
# How each kind of error that pydantic reports is worded, with the limits that it reports.
_WORDS = {
    "string_type": "expected a string in quotes",
    "int_type": "expected an integer",
    "int_from_float": "expected an integer",
    "float_type": "expected a number",
    "finite_number": "expected a finite number",
    "bool_type": "expected true or false",
    "tuple_type": "expected a list in brackets",
    "list_type": "expected a list in brackets",
    "dict_type": "expected a table",
    "model_type": "expected a table",
    "literal_error": "must be {expected}",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
}


def one_line(text: str) -> str:
    """Return text on one line, with nothing that a terminal would take as a command."""
    text = "".join(c if c.isprintable() else " " if c.isspace() else repr(c)[1:-1] for c in text)
    return text if len(text) <= _MESSAGE_LENGTH else text[: _MESSAGE_LENGTH - 1] + "…"


def short_text(value: object) -> str:
    """Return a value as a study file writes it; a long one is cut in the middle."""
    return clipped(_toml_text(value), 60)


def _toml_text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        inside = list(value[:30])  # more is not shown in any case
        return f"[{', '.join(map(_toml_text, inside))}{', …' * (len(value) > len(inside))}]"
    if value == {}:
        return "{}"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key_text(k)} = {_toml_text(v)}' for k, v in value.items())} }}"
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return repr(value)


def key_text(key: object) -> str:
    """Return a key of limited length, in quotes if it is blank or contains a dot."""
    text = str(key)
    return clipped(text if text.strip() and "." not in text else f'"{text}"', 60)


def clipped(text: str, letters: int) -> str:
    """Return a text of at most `letters` characters, cut in the middle."""
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


def nearest(name: str, known: Any, valid: str = "valid names") -> str:
    """Return the end of an error: the known name that was meant, or all that are `valid`."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; {valid}: {clipped(', '.join(known), 300)}" if known else ""


def study_name_fault(name: str) -> str:
    """Return why a study cannot have this name, or ""."""
    if not name.strip():
        return f"{short_text(name)} is empty; choose another name"
    if not name.isprintable():
        return f"{short_text(name)} has characters that are not printable; choose another name"
    if name != name.strip():
        return f"{short_text(name)} starts or ends with a space; choose another name"
    if len(name) > _NAME_LENGTH:
        return f"has {len(name)} characters; use at most {_NAME_LENGTH}"
    return ""


def one_of(name: str, known: Any, kind: str) -> str:
    """Return the name; raise ValueError if it is not one of the known names."""
    if name not in known:
        valid = f"valid {kind.split()[0]}s"  # of "choice of NAME", the choices
        raise ValueError(f"unknown {kind} {short_text(name)}{nearest(name, known, valid)}")
    return name
