"""Clean text for the record, for spreadsheets and for terminals."""

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
    r"""Return text without colors, and with other control characters escaped as in Python.

    "\x1b[2J" becomes seven harmless characters. Tabs, newlines and all letters stay, and clean
    text is not changed.
    """
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], _COLOR.sub("", text))


def one_line(text: str) -> str:
    """Return text, cleaned and on one line."""
    return clean(" ".join(text.split()))


def spreadsheet_cell(text: str) -> str:
    """Return text, cleaned and with a quote before anything that a spreadsheet would evaluate.

    Numbers such as "-0.5" get no quote.
    """
    text = clean(text)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


@cache
def name_fault(name: str) -> str:
    """Return why MLflow does not accept a metric or hyperparameter of that name, or ""."""
    if len(name) > NAME_CHARACTERS:
        return f"it has {len(name)} characters, but at most {NAME_CHARACTERS} are allowed"
    if not _NAME.fullmatch(name):
        return "only letters, digits, spaces, and the characters _ - . : / are allowed"
    if posixpath.normpath(name) != name or name.startswith(("/", "..")) or name == ".":
        return "it looks like a path; remove the dots and slashes"
    return ""


def shortened(text: str, characters: int) -> str:
    """Return text of at most `characters` characters, with an ellipsis if it was cut."""
    return text if len(text) <= characters else text[: characters - 1] + "…"


def text_fault(text: str) -> str:
    """Return which character of a text a database cannot store, or ""."""
    found = _UNRECORDABLE.search(text)
    return f"the character {found[0]!a} cannot be recorded; remove it" if found else ""
