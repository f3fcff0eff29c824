"""Text that the record can hold, a spreadsheet can open and a terminal can show."""

import posixpath
import re
from functools import cache

NAME_CHARACTERS = 240  # of a metric or hyperparameter: MLflow takes 250, and ours add to them
VALUE_CHARACTERS = 6000  # of a hyperparameter, as JSON: MLflow cuts a longer one without a word
_NAME = re.compile(r"[/\w.\- :]+")
_COLOR = re.compile(r"\x1b\[[0-9;:]*m")
# Spreadsheets also take the wide forms of = + - @ here.
_FORMULA = re.compile(r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
# What a terminal obeys, what changes the direction of the text around it (a line can then read as
# another one), and what is no character: control characters but tab and newline, line separators,
# marks of direction, surrogates.
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_UNRECORDABLE = re.compile("[\x00\ud800-\udfff]")
_NUMBER = re.compile(r"[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf|nan)", re.ASCII | re.IGNORECASE)


def clean(text: str) -> str:
    r"""Return text without colors, and with other control characters as Python writes them.

    "\x1b[2J" then is seven harmless characters. Tabs, newlines and all letters stay, and what is
    clean already is not changed.
    """
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], _COLOR.sub("", text))


def one_line(text: str) -> str:
    """Return text cleaned, and on one line."""
    return clean(" ".join(text.split()))


def spreadsheet_cell(text: str) -> str:
    """Return text cleaned, and with a quote before what a spreadsheet would run as a formula.

    Numbers such as "-0.5" are none.
    """
    text = clean(text)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


@cache
def name_fault(name: str) -> str:
    """Return why MLflow has no room for a metric or hyperparameter of that name, or ""."""
    if len(name) > NAME_CHARACTERS:
        return f"it has {len(name)} characters, and at most {NAME_CHARACTERS} are allowed"
    if not _NAME.fullmatch(name):
        return "only letters, digits, spaces and the characters _ - . : / are allowed"
    if posixpath.normpath(name) != name or name.startswith(("/", "..")) or name == ".":
        return "it looks like a path; remove the dots and slashes"
    return ""


def shortened(text: str, characters: int) -> str:
    """Return text of at most so many characters, with an ellipsis for what is left out."""
    return text if len(text) <= characters else text[: characters - 1] + "…"


def text_fault(text: str) -> str:
    """Return which character of a text a database has no room for, or ""."""
    found = _UNRECORDABLE.search(text)
    return f"the character {found[0]!a} cannot be recorded; remove it" if found else ""
