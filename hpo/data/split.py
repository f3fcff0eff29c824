"""Split rows into training, validation and test, with each class in proportion."""

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from hpo import wording
from hpo.data.files import fault
from hpo.data.predictor import quoted
from hpo.data.rows import Source
from hpo.data.settings import DataSettings
from hpo.errors import InputError

Rows: TypeAlias = NDArray[np.intp]  # their numbers, as the source has them


@dataclass(frozen=True)
class Drawing:
    """How rows are drawn: the seed, and the repeat, from 1, that draws rows of its own.

    With `folds` every row outside the test set is used for validation in one of them.
    """

    seed: int
    repeat: int = 0
    folds: int = 0


def split_rows(
    settings: DataSettings,
    drawing: Drawing,
    number: int,
    codes: NDArray[np.int64] | None,
    source: Source,
    classes: tuple[str, ...],
) -> tuple[list[tuple[Rows, Rows]], Rows]:
    """Return which rows train and validate, of each fold, and which test.

    Without folds there is one such pair. No rows test where the source has its own test set. Test
    rows are held out first, so that they depend on no other setting.
    """
    seed, repeat = drawing.seed, drawing.repeat
    children = np.random.SeedSequence(seed).spawn(3)
    if repeat:
        children[2] = np.random.SeedSequence(seed, spawn_key=(2, repeat))
    rngs = [np.random.default_rng(child) for child in children]
    rows: Rows = np.arange(number)
    held_out = rows[:0]
    if source.test is None:
        count = math.ceil(round(settings.test * len(rows), 6))
        rows, held_out = _draw("test", rows, codes, count, rngs[0], classes, (1, 2))
    if settings.rows is not None and settings.rows != len(rows):
        if settings.rows > len(rows):
            raise fault(
                "rows",
                f"must be at most {len(rows)}, the number of training rows, got {settings.rows}",
            )
        _, rows = _draw("rows", rows, codes, settings.rows, rngs[1], classes, (2, 0))
    if drawing.folds:
        return _folds(rows, codes, drawing.folds, rngs[2], classes), held_out
    count = math.ceil(round(settings.validation * len(rows), 6))
    rows, validation = _draw("validation", rows, codes, count, rngs[2], classes, (1, 1))
    return [(rows, validation)], held_out


def _folds(
    rows: Rows,
    codes: NDArray[np.int64] | None,
    folds: int,
    rng: np.random.Generator,
    classes: tuple[str, ...],
) -> list[tuple[Rows, Rows]]:
    """Shuffle `rows`, and return for each fold the rest and the rows that it validates.

    Folds differ by one row at most, and so do their rows of each class.
    """
    if len(rows) < folds:
        raise InputError(
            f"[trial] folds: must be at most {len(rows)}, the number of rows, got {folds}"
        )
    shuffled = rng.permutation(rows)
    fold = np.arange(len(rows)) % folds
    if codes is not None:
        found = codes[shuffled]
        sizes = np.bincount(found, minlength=len(classes))
        smallest = int(sizes.argmin())
        if sizes[smallest] < folds:
            raise InputError(
                f"[trial] folds: class {quoted(classes[smallest])} has "
                f"{wording.count(int(sizes[smallest]), 'row')}, fewer than the {folds} folds; "
                "lower folds, remove the class, or add rows of it"
            )
        by_class = np.argsort(found, kind="stable")
        fold[by_class] = fold.copy()  # the rows of each class go round
    return [(shuffled[fold != i], shuffled[fold == i]) for i in range(folds)]


def _draw(
    key: str,
    rows: NDArray[np.intp],
    codes: NDArray[np.int64] | None,
    count: int,
    rng: np.random.Generator,
    classes: tuple[str, ...],
    at_least: tuple[int, int],
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Shuffle `rows`, draw `count` of them, and return the rest and the drawn.

    With classes the draw is stratified: each class gives its share, rounded so that the total
    is right, but `at_least` so many rows, and keeps at least so many. (scikit-learn's
    stratification has no such floor: of 3 rows at 0.2 it may draw none.)
    """
    number, kinds = len(rows), max(1, len(classes))
    each, later = at_least
    least, most = each * kinds, number - later * kinds
    shuffled = rng.permutation(rows)
    if codes is None:
        if not least <= count <= most:
            raise fault(
                key, f"{count} of {number} rows would leave a part empty; change {key} or add rows"
            )
        return shuffled[count:], shuffled[:count]
    found = codes[shuffled]
    sizes = np.bincount(found, minlength=kinds)
    smallest = int(sizes.argmin())
    if sizes[smallest] < each + later:
        raise fault(
            key,
            f"class {quoted(classes[smallest])} has {wording.count(int(sizes[smallest]), 'row')}, "
            f"but needs {each + later} to be in every part; remove the class, add rows of it, or, "
            'if the labels are amounts, set task = "regression"',
        )
    if not least <= count <= most:
        raise fault(
            key,
            f"{count} of {number} rows cannot give each of {kinds} classes enough rows in every "
            f"part (possible: {least} to {most}); change {key} or add rows",
        )
    drawn = _allocate(sizes, count, each, later)
    order = np.argsort(found, kind="stable")
    position = np.empty(number, np.int64)  # of each row within its class
    position[order] = np.arange(number) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    chosen = position < drawn[found]
    return shuffled[~chosen], shuffled[chosen]


def _allocate(sizes: NDArray[np.int64], count: int, each: int, later: int) -> NDArray[np.int64]:
    """Divide `count` among classes in proportion to `sizes`, within each one's bounds."""
    exact = sizes * (count / sizes.sum())
    low, high = np.full_like(sizes, each), sizes - later
    drawn: NDArray[np.int64] = np.clip(np.floor(exact).astype(np.int64), low, high)
    while (difference := count - int(drawn.sum())) != 0:
        step = 1 if difference > 0 else -1
        possible = np.flatnonzero(drawn < high if step > 0 else drawn > low)
        wanted = step * (exact - drawn)[possible]
        nearest = possible[np.argsort(-wanted, kind="stable")[: abs(difference)]]
        drawn[nearest] += step
    return drawn
