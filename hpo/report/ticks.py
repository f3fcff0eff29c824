"""Where an axis has its ticks, and how its numbers are written."""

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hpo import wording
from hpo.distributions import Value
from hpo.report.scales import Scale

if TYPE_CHECKING:  # Matplotlib takes half a second to import
    from matplotlib.axes import Axes

_STEPS = (1, 2, 5, 10)  # between ticks, times a power of ten
_NUMBER = re.compile(r"-?[\d.]+(e[-+]?\d+)?(x\d+)?")  # as `value_text` writes it


def round_ticks(axes: "Axes", side: str, borders: Mapping[int, tuple[float, float]]) -> None:
    """Name the rounds along a side, in the middle of each; the trials where there is one round."""
    axis = axes.xaxis if side == "x" else axes.yaxis
    if len(borders) == 1:
        ((_, end),) = borders.values()
        axis.set_ticks(whole_ticks(int(end), 8))
        return
    labeled = thinned(list(borders), 12)
    axis.set_ticks(
        [sum(borders[number]) / 2 for number in labeled], [f"round {n}" for n in labeled]
    )
    axis.set_tick_params(length=0)


def rounds_text(numbers: Sequence[int]) -> str:
    """Return "round 3", "rounds 3-5" or "rounds 1, 4"."""
    if len(numbers) == 1:
        return f"round {numbers[0]}"
    whole = numbers[-1] - numbers[0] == len(numbers) - 1 and len(numbers) > 2
    return "rounds " + (f"{numbers[0]}-{numbers[-1]}" if whole else ", ".join(map(str, numbers)))


def thinned(numbers: Sequence[int], at_most: int) -> list[int]:
    """Return every number, or every second, … , so that few are left; always the last."""
    stride = math.ceil(len(numbers) / at_most)
    return list(numbers[::-1][::stride][::-1])


def whole_ticks(last: int, at_most: int) -> list[int]:
    """Return 1 and round numbers up to `last`."""
    from matplotlib.ticker import MaxNLocator

    ticks = MaxNLocator(at_most, steps=_STEPS, integer=True).tick_values(0, last)
    return sorted({1, *(int(tick) for tick in ticks if 1 <= tick <= last)})


def value_ticks(axes: "Axes", scale: Scale) -> None:
    """Put round numbers along an axis of values."""
    low, high = axes.get_ylim()
    ticks = round_numbers(low, high, scale.log, 6)
    axes.set_yticks(ticks, tick_texts(ticks))
    axes.yaxis.set_minor_locator(no_ticks())


def no_ticks() -> Any:
    """Return a locator that finds none."""
    from matplotlib.ticker import NullLocator

    return NullLocator()


def round_numbers(low: float, high: float, log: bool, at_most: int) -> list[float]:
    """Return round numbers from `low` to `high`: powers of ten on a log scale, where they fit."""
    with np.errstate(over="ignore", under="ignore"):  # of ticks beyond, at the ends of the numbers
        return _round_numbers(low, high, log, at_most)


def _round_numbers(low: float, high: float, log: bool, at_most: int) -> list[float]:
    from matplotlib.ticker import LogLocator, MaxNLocator

    def inside(ticks: Any) -> list[float]:
        return [float(tick) for tick in ticks if low <= tick <= high]

    if log:
        choices = [LogLocator(numticks=at_most).tick_values(low, high)]
        # Beyond the ends as well: where it sees few ticks, this locator gives those of a linear
        # scale, which are crowded at the upper end.
        choices += [
            LogLocator(subs=digits, numticks=at_most).tick_values(low / 10, high * 10)
            for digits in ((1, 3), (1, 2, 5), (1, 2, 3, 5, 7))
        ]
        for ticks in map(inside, choices):
            if 3 <= len(ticks) <= at_most:
                return ticks
    for more in (1, 0, -1):  # a locator takes intervals, which may have a tick more or less
        ticks = inside(MaxNLocator(at_most + more, steps=_STEPS).tick_values(low, high))
        if len(ticks) <= at_most:
            break
    return ticks


def tick_texts(ticks: Sequence[float]) -> list[str]:
    """Return ticks with as many digits as tell them apart."""
    for digits in range(6, 17):
        texts = [tick_text(tick, digits) for tick in ticks]
        if len(set(texts)) == len(set(ticks)):
            break
    return texts


def tick_text(value: float, digits: int = 6) -> str:
    """Return a tick as a person types it: 0.05, 1e-6.

    Matplotlib would write 10 to a power as a formula, and a common offset apart from the ticks.
    """
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.{digits}g}"
    mantissa, exponent = f"{value:.{digits}e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def value_text(value: Value | None) -> str:
    """Return a hyperparameter as a person reads it: 0.001372, 100, 100, 50x6."""
    if isinstance(value, tuple):
        if not value:
            return "()"
        groups = [(value_text(item), len(list(equal))) for item, equal in itertools.groupby(value)]
        return ", ".join(
            f"{text}x{count}" if count > 2 else ", ".join([text] * count)
            for text, count in groups
        )
    return wording.number(value) if isinstance(value, float) else str(value)


def distinct_texts(values: Sequence[Value]) -> list[str]:
    """Return different values as different texts: those that would read the same in full."""
    texts = [value_text(value) for value in values]
    return [
        repr(value) if texts.count(text) > 1 else text
        for value, text in zip(values, texts, strict=True)
    ]


def shortened(text: str, letters: int) -> str:
    """Return a text of at most so many letters, its middle left out; no number in it is cut."""
    if len(text) <= letters:
        return text
    items = text.split(", ")
    if all(_NUMBER.fullmatch(item) for item in items):
        return text if len(items) < 3 else f"{items[0]}, …, {items[-1]}"
    head = max((letters - 1) // 2, 1)
    return f"{text[:head]}…{text[len(text) - (letters - 1 - head):]}"
