"""Override values of a study file before it is checked, as with `--set KEY=VALUE`."""

import tomllib
from collections.abc import Sequence
from typing import Any

from hpo.errors import InputError
from hpo.study_errors import clipped, key_text
from hpo.text import text_fault


def override(table: dict[str, Any], texts: Sequence[str]) -> None:
    """Replace values of a study file's table, one by one, from texts such as "a.b=1".

    Raises InputError, which quotes the text, if it cannot be read or its key is inside a value.
    """
    for text in texts:
        try:
            keys, value = _read(text)
            _put(table, keys, value)
        except ValueError as error:
            raise InputError(f"--set {clipped(text, 100)}: {error}") from None


def _read(text: str) -> tuple[list[str], Any]:
    """Return the keys and the value of a text; raise ValueError where it has another form."""
    if fault := text_fault(text):
        raise ValueError(fault)
    key, equals, written = text.partition("=")
    if not equals:
        raise ValueError("no '=' found; use the form KEY=VALUE, for example round.trials=20")
    if not key.strip():
        raise ValueError("no key before '='; use the form KEY=VALUE, for example round.trials=20")
    keys, table = [], _toml(f"{key} = 0") or {}
    while isinstance(table, dict):
        if len(table) != 1:
            raise ValueError(f"{key_text(key)} is not a valid TOML key; use one like round.trials")
        ((name, table),) = table.items()
        keys.append(name)
    return keys, _value(written.strip())


def _value(text: str) -> Any:
    """Return a value of TOML; a word that is none is a text."""
    if not text:
        raise ValueError("no value after '='; write \"\" for an empty string")
    table = _toml(f"value = {text}")
    if table is not None and len(table) == 1:
        return table["value"]
    if text[0] in "\"'[{" or "\n" in text:
        raise ValueError("the value is not valid TOML; fix it, and quote it for the shell")
    return text


def _toml(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError):  # ValueError also for a number of thousands of digits
        return None


def _put(table: dict[str, Any], keys: Sequence[str], value: Any) -> None:
    for depth, name in enumerate(keys[:-1], start=1):
        inside = table.setdefault(name, {})
        if not isinstance(inside, dict):
            above = ".".join(map(key_text, keys[:depth]))
            raise ValueError(f"{above} is not a table in the file; set {above} as a whole")
        table = inside
    table[keys[-1]] = value
