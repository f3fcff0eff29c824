"""Write plain values as TOML, to paste into a study file."""

import json
import re
from collections.abc import Mapping
from typing import Any

from hpo.text import clean


def to_toml(values: Mapping[str, Any]) -> str:
    """Return plain values as lines of TOML, with all digits, safe to print to a terminal."""
    return "".join(f"{toml_key(key)} = {toml_value(value)}\n" for key, value in values.items())


def document(table: Mapping[str, Any]) -> str:
    """Return nested plain values as the text of a TOML file: plain keys first, then tables."""
    plain = {k: v for k, v in table.items() if not isinstance(v, Mapping) and not _is_tables(v)}
    parts = [to_toml(plain)] if plain else []
    for key, value in table.items():
        if isinstance(value, Mapping):
            parts.append(f"[{toml_key(key)}]\n{to_toml(value)}")
        elif _is_tables(value):
            parts += [f"[[{toml_key(key)}]]\n{to_toml(each)}" for each in value]
    return "\n".join(parts)


def _is_tables(value: Any) -> bool:
    is_list = isinstance(value, list | tuple) and bool(value)
    return is_list and all(isinstance(each, Mapping) for each in value)


def toml_key(key: str) -> str:
    """Return a name as a TOML key."""
    return key if re.fullmatch("[A-Za-z0-9_-]+", key) else _quoted(key)


def toml_value(value: Any) -> str:
    """Return a plain value as TOML, with all digits."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, Mapping):
        inside = ", ".join(f"{toml_key(k)} = {toml_value(v)}" for k, v in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    return repr(value)


def _quoted(text: str) -> str:
    """Return text as a TOML string, in which what a terminal obeys stands as an escape."""
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(c if clean(c) == c else f"\\u{ord(c):04x}" for c in quoted)
