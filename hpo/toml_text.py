"""Plain values as TOML, to paste into a study file."""

import json
import re
from collections.abc import Mapping
from typing import Any

from hpo.text import clean


def to_toml(values: Mapping[str, Any]) -> str:
    """Return plain values as lines of TOML, with all their digits, that no terminal obeys."""
    return "".join(f"{toml_key(key)} = {toml_value(value)}\n" for key, value in values.items())


def toml_key(key: str) -> str:
    """Return a name as TOML has it before an equals sign."""
    return key if re.fullmatch("[A-Za-z0-9_-]+", key) else _quoted(key)


def toml_value(value: Any) -> str:
    """Return a plain value as TOML, with all its digits."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    return repr(value)


def _quoted(text: str) -> str:
    """Return text as a TOML string, in which what a terminal obeys stands as an escape."""
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(c if clean(c) == c else f"\\u{ord(c):04x}" for c in quoted)
