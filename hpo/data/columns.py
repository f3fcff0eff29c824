"""Tell what the text of a table's column is: numbers, in which notation, or categories."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from hpo import wording
from hpo.data.predictor import Notation, quoted

FEW = 20  # numbers of at most so many distinct values can be classes, or codes
_FEW_UNITS = 3  # words that can be units of one column
_FEW_MARKS = 5  # distinct texts that can be marks among numbers
_STRAY_SHARE = 0.05  # of a column of numbers, at most, are texts that no one knows
FILL = 'use "median" or "most_frequent"'
WAYS = 'impute = "median", "most_frequent", or "drop_rows"'  # to deal with missing values
_LONGEST_MARK = 60  # characters of a text that may stand for a missing value
_SHOWN = 10  # columns, and marks of each, that an error names

# What stands for a missing value wherever it stands, beside all that has no letter and no digit.
_MARK = re.compile(r"n/?a|n\.a\.?|n/?d|n\.d\.?|nan|null|nil|none|\\n|#.*|[\W_]+", re.IGNORECASE)
_CURRENCY = (
    r"(?:US|CA|A|AU|NZ|HK|S|R|NT)?[$\u00a2-\u00a5\u20a0-\u20cf]|Rs\.?|"
    r"USD|EUR|GBP|JPY|KRW|CNY|RMB|INR|CHF|CAD|AUD|NZD|SEK|NOK|DKK|PLN|CZK|HUF|BRL|MXN|RUB|TRY|ZAR"
)
_EASTERN = "\uc6d0|\u5186|\u5143"  # won, yen and yuan, behind a number
_SYMBOL = rf"{_CURRENCY}|{_EASTERN}|%|\u2030|\u00b0[CF]?"  # a unit that can be no name
_AMOUNT = re.compile(
    rf"""(?P<open>\()?\s*(?P<sign>[+-]?)\s*(?P<before>{_CURRENCY})?\s*(?P<late>[+-]?)
    (?P<core>[.,]?[0-9](?:[0-9.,'\u2019\ \u00a0\u2009\u202f]*[0-9])?[.,]?)
    (?P<exponent>[eE][+-]?[0-9]+)?\s*
    (?:(?P<symbol>{_SYMBOL})|(?P<word>[^\W\d_]{{1,5}}\u00b2?\u00b3?(?:/[^\W\d_]{{1,3}})?))?
    \s*(?P<close>\))?(?P<trailing>-)?""",
    re.VERBOSE,
)
# How numbers may be written, the more usual first.
_NOTATIONS = [
    Notation(decimal=decimal, thousands=thousands)
    for decimal, thousands in (
        (".", ""), (",", ""), (".", ","), (",", "."), (".", " "), (",", " "), (".", "'"), (",", "'")
    )
]  # fmt: skip
_DATE = re.compile(
    r"\d{4}[-/.]\d{1,2}([-/.]\d{1,2})?([T ].*)?|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2})([T ].*)?|"
    r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?|\d{1,2}[- ]?[A-Za-z]{3}[- ]?\d{2,4}"
)


@dataclass(frozen=True)
class Examined:
    """The findings on the cells of a text column.

    `kind` is "numbers" where each cell is one, as the notation says, "text" where they are names,
    and "mixed" where they are numbers but for few, or numbers in another notation. `marks` are the
    cells of a mixed column that are no number in any notation, and of a text column those that
    stand for a missing value elsewhere; `foreign` those that are numbers in another notation.
    `units` counts the cells with each unit, and "" those without; `problem` is what has to be
    changed in the cells themselves.
    """

    name: str
    kind: Literal["numbers", "text", "mixed"]
    counts: Mapping[str, int]
    marks: Mapping[str, int]
    foreign: Mapping[str, int]
    units: Mapping[str, int]
    problem: str = ""

    @property
    def unit(self) -> str:
        """The unit of a column of numbers, or ""."""
        return next((unit for unit in self.units if unit), "")

    @property
    def seem_amounts(self) -> bool:
        """Whether a column of numbers cannot hold classes or codes."""
        return not any(map(_is_code, self.counts)) and (
            len(self.counts) > FEW or not all(text.strip().isdigit() for text in self.counts)
        )

    @property
    def are_dates(self) -> bool:
        """Whether most cells are dates, or times of a day."""
        dates = sum(n for text, n in self.counts.items() if _DATE.fullmatch(text.strip()))
        return dates > 0.9 * sum(self.counts.values())


def examine(name: str, counts: Mapping[str, int], notation: Notation) -> Examined:
    """Examine the cells of a text column; `counts` has each text that is not missing."""
    plain: Counter[str] = Counter()
    foreign: Counter[str] = Counter()
    marks: Counter[str] = Counter()
    strays: Counter[str] = Counter()
    units: Counter[str] = Counter()
    words: dict[str, str] = {}
    problem = ""
    for text, count in counts.items():
        number, unit = notation.amount(text)
        if number is not None:
            plain[text] += count
        elif _MARK.fullmatch(text.strip()):
            marks[text] += count
            continue
        elif (amount := _amount(text)) is not None:
            foreign[text] += count
            unit = amount["before"] or amount["symbol"] or amount["word"] or ""
            if amount["word"]:
                words[text] = unit
            if amount["open"] or amount["trailing"]:
                problem = problem or f"write {quoted(text)} with a minus sign before the number"
        else:
            strays[text] += count
            continue
        if number != 0:  # a zero needs no unit
            units[unit] += count
    if words and not _is_unit(words):
        for text, unit in words.items():
            strays[text] += foreign.pop(text)
            units[unit] -= strays[text]
    problem = problem or _mixed_units(name, +units)
    kind = _kind(plain, foreign, marks, strays)
    if kind == "numbers" and problem:
        kind = "mixed"
    if kind == "mixed":
        marks += strays
    return Examined(name, kind, counts, marks, foreign, +units, problem)


def _amount(text: str) -> re.Match[str] | None:
    """Return the parts of a number in any notation, or None."""
    match = _AMOUNT.fullmatch(text.strip().replace("\u2212", "-"))
    if match is None or bool(match["open"]) != bool(match["close"]):
        return None
    core = match["core"]
    return match if any(each.number(core) is not None for each in _NOTATIONS) else None


def _is_unit(words: Mapping[str, str]) -> bool:
    """Whether words behind numbers are units, "12 kg", and not parts of a few names, "1a"."""
    return len(set(words.values())) <= _FEW_UNITS and (
        len(words) > FEW or any(re.search("[0-9][.,][0-9]", text) for text in words)
    )


def _mixed_units(name: str, units: Mapping[str, int]) -> str:
    kinds = [unit for unit in units if unit]
    if len(kinds) > 1:
        listed = ", ".join(map(quoted, kinds[:_SHOWN]))
        return f"convert column {quoted(name)} to one unit: it has {listed}"
    if kinds and units.get("", 0) and not re.fullmatch(_CURRENCY, kinds[0]):
        return (
            f"write the unit {quoted(kinds[0])} in every cell of column {quoted(name)} or in none "
            f"({_rows(units[''])} without it)"
        )
    return ""


def _kind(
    plain: Mapping[str, int],
    foreign: Mapping[str, int],
    marks: Mapping[str, int],
    strays: Mapping[str, int],
) -> Literal["numbers", "text", "mixed"]:
    numbers = sum(plain.values()) + sum(foreign.values())
    if not numbers:
        return "text"
    if not (foreign or marks or strays):
        return "numbers"
    if not foreign and any(map(_is_code, plain)):
        return "text"
    unknown, distinct = sum(strays.values()), len(plain) + len(foreign)
    rare = unknown <= _STRAY_SHARE * (numbers + unknown + sum(marks.values()))
    varied = distinct > FEW or (distinct >= 5 and 2 * distinct >= numbers)
    few = len(strays) <= _FEW_MARKS and unknown <= numbers and varied
    return "mixed" if rare or few else "text"


def _is_code(text: str) -> bool:
    """Whether a number is one of a code, such as "007"."""
    return re.match("[+-]?0[0-9]", text.strip()) is not None


def refusal(
    columns: Sequence[Examined], notation: Notation, *, impute: bool, points: bool, where: str
) -> str:
    """Return what is mixed in columns, and which settings of the study file, or changes, fix it.

    `impute` says whether there is such a setting, `points` whether other columns have numbers with
    decimal points.
    """
    shown = ", ".join(map(_described, columns[:_SHOWN]))
    if len(columns) > _SHOWN:
        shown += f", … ({len(columns)} columns in total)"
    problems = [column.problem for column in columns if column.problem][:_SHOWN]
    marks = dict.fromkeys(mark.strip() for column in columns for mark in column.marks)
    settings, written_otherwise = _other_notation(columns, notation, points)
    if written_otherwise:
        problems.append(written_otherwise)
    units = dict.fromkeys(unit for column in columns for unit in column.units if unit)
    if set(units) - set(notation.units) and not problems:
        settings.append(f"units = {toml([*notation.units, *(set(units) - set(notation.units))])}")
    remedies = problems
    if settings:
        remedies.append(f"set {' and '.join(settings)}")
    if marks:
        remedies.append("fix the cells that are not numbers")
    if short := [mark for mark in marks if len(mark) <= _LONGEST_MARK]:
        remedies[-1] += ", or, if they stand for missing values, set " + marking(
            short, notation, impute=impute
        )
    names = toml(column.name for column in columns)
    return (
        f"{where} has cells that are not plain numbers, in {shown}; {'; '.join(remedies)}; "
        f"if these are names, not amounts, set categories = {names}"
    )


def _described(column: Examined) -> str:
    """Return the name of a column and which of its cells are at fault, how often."""
    cells = [
        f"{quoted(mark)} in {_rows(count)}" for mark, count in list(column.marks.items())[:_SHOWN]
    ]
    if len(column.marks) > _SHOWN:
        cells.append(f"… ({len(column.marks)} texts in total)")
    if column.foreign:
        example = next(iter(column.foreign))
        cells.append(f"{_rows(sum(column.foreign.values()))} like {quoted(example)}")
    return f"{quoted(column.name)} ({', '.join(cells)})" if cells else quoted(column.name)


def _in_dollars(column: Examined) -> bool:
    """Whether amounts are in a currency of countries with a decimal point, as most are."""
    currencies = re.compile(f"{_CURRENCY}|{_EASTERN}")
    return any(currencies.fullmatch(u) and u not in ("€", "EUR") for u in column.units if u)


def _rows(count: int) -> str:
    return wording.count(count, "row")


def _other_notation(
    columns: Sequence[Examined], notation: Notation, points: bool
) -> tuple[list[str], str]:
    """Return the settings that read the numbers of all columns, and what to change by hand."""
    cores: Counter[str] = Counter()
    for column in columns:
        if column.foreign:
            for text, count in column.counts.items():
                if text not in column.marks:
                    match = _amount(text)
                    cores[match["core"] if match else text] += count
    if not cores:
        return [], ""
    able = [each for each in _NOTATIONS if not (points and each.decimal == ",")]
    read = {each: sum(n for c, n in cores.items() if each.number(c) is not None) for each in able}
    best = [each for each in able if read[each] == max(read.values())]
    if read[best[0]] < sum(cores.values()):
        others = [core for core in cores if best[0].number(core) is None]
        example = next((core for core in cores if best[0].number(core) is not None), "1.5")
        if points:
            example = "1.5"
        return [], f"write all numbers of the file in one way, not both {quoted(others[0])} and " \
                   f"{quoted(example)}"
    comma, grouped = Notation(decimal=","), Notation(thousands=",")
    if best[0] == comma and grouped in best and any(_in_dollars(column) for column in columns):
        best.remove(comma)
    elif best[0] == comma and grouped in best:  # all have three digits behind the comma
        example = next(core for core in cores if "," in core)
        whole = example.replace(",", "")
        return [
            f'thousands = "," if {quoted(example)} is {whole}, or decimal = "," if it is '
            f"{example.replace(',', '.')}"
        ], ""
    settings = []
    if best[0].decimal != notation.decimal:
        settings.append(f'decimal = "{best[0].decimal}"')
    if best[0].thousands and best[0].thousands != notation.thousands:
        settings.append(f'thousands = "{best[0].thousands}"')
    return settings, ""


def marking(marks: Iterable[str], notation: Notation, *, impute: bool) -> str:
    """Return the settings that treat marks as missing values, and handle these."""
    said = f"missing = {toml([*notation.missing, *marks])}"
    return said if impute else f"{said} and {WAYS}"


def toml(names: Iterable[str], most: int = FEW) -> str:
    """Return at most `most` names as a list for the study file."""
    # JSON's strings are TOML's basic strings.
    return json.dumps(list(names)[:most], ensure_ascii=False)
