"""Numbers and counts for people to read; output for scripts keeps every digit."""

import math
from collections.abc import Sequence

SIGNIFICANT_DIGITS = 4
SMALLEST_FIXED, LARGEST_FIXED = -4, 5  # powers of ten written out: 0.0001 to 999999


def number(value: float) -> str:
    """Return a number with four significant digits: 0.9861, 1.234e-06, 12345, 0.5.

    Integers keep all digits, and so does the integer part of a float below a million. Larger
    floats, and those below 0.0001, are written as powers of ten. Trailing zeros are dropped. Use
    `column` for several numbers in a column, or for a value and its error.
    """
    if isinstance(value, int):
        return str(value)
    digits, e, power = four_digits(value).partition("e")
    return (digits.rstrip("0").rstrip(".") if "." in digits else digits) + e + power


def column(values: Sequence[float | None]) -> list[str]:
    """Return numbers that are read together, each with four significant digits.

    Unlike `number`, this keeps trailing zeros: 0.9861, 0.9800, 1.000, 1.200e-06. None and NaN
    are empty, and zero is 0.
    """
    return ["" if v is None or math.isnan(v) else four_digits(float(v)) for v in values]


def apart(first: float, second: float) -> tuple[str, str]:
    """Return two numbers to compare, with enough digits to tell them apart."""
    pair = column([first, second])
    for digits in range(SIGNIFICANT_DIGITS + 1, 18):
        if pair[0] != pair[1] or first == second:
            break
        pair = [f"{value:.{digits}g}" for value in (first, second)]
    return pair[0], pair[1]


def within(value: float, width: float) -> str:
    """Return a value from a range `width` wide, precise to two digits of the width."""
    if isinstance(value, int) or not value or not 0 < width < math.inf:
        return number(value)
    digits = _exponent(value) - _exponent(width) + 2
    return f"{value:.{digits}g}" if digits > SIGNIFICANT_DIGITS else number(value)


def whole(value: float) -> str:
    """Return a number with all its digits, for settings: 1, 0.05, 1e-06."""
    if isinstance(value, int):
        return str(value)
    text = f"{value:.12g}"
    return text if float(text) == value or math.isnan(value) else repr(float(value))


def p_value(p: float) -> str:
    """Return "= 0.01234", or "< 1e-99" for anything smaller."""
    return f"= {number(p)}" if p > 1e-99 else "< 1e-99"


def count(amount: float, noun: str, plural: str = "") -> str:
    """Return "1 trial", "3 trials", or with `plural` "1 class", "3 classes"."""
    return f"{whole(amount)} {noun if amount == 1 else plural or noun + 's'}"


def four_digits(value: float) -> str:
    """Return a number with four significant digits, including trailing zeros: 0.9000."""
    if not value:
        return "0"  # and not "-0"
    if not math.isfinite(value):
        return f"{value:g}"
    exponent = _exponent(value)
    if SMALLEST_FIXED <= exponent <= LARGEST_FIXED:
        return f"{value:.{max(SIGNIFICANT_DIGITS - 1 - exponent, 0)}f}"
    return f"{value:.{SIGNIFICANT_DIGITS - 1}e}"


def _exponent(value: float) -> int:
    """Return the power of ten of a value that is not zero, once it is rounded."""
    return int(f"{value:.{SIGNIFICANT_DIGITS - 1}e}".partition("e")[2])
