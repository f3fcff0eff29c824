"""Fill missing inputs, and scale all inputs, by the training part alone."""

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo.data.files import fault
from hpo.data.predictor import quoted
from hpo.data.rows import Impute, Source
from hpo.objective import Part, Task

_CHUNK = 1024  # rows converted at a time, so that no second copy of the inputs is needed


@dataclass(frozen=True)
class Filled:
    """How many values of a column were missing, in all parts, and what they are filled with."""

    missing: int
    value: float | str


@dataclass(frozen=True)
class Statistics:
    """What rows are filled with, shifted by and divided by, from the training rows.

    `fill`, where anything is filled, `shift` and `spread` have the shape of one row's inputs. The
    targets of a regression are in units of `target_scale` about `target_mean`; classes have none.
    """

    shift: NDArray[np.float64]
    spread: NDArray[np.float64]
    fill: NDArray[np.float64] | None = None
    target_mean: float = 0.0
    target_scale: float = 0.0


def statistics_of(
    source: Source, rows: NDArray[np.intp], scale: str, impute: Impute | None, task: Task
) -> Statistics:
    """Return the statistics of the training `rows` of a source.

    Raises InputError if its values cannot be filled, or its targets cannot be standardized.
    """
    fill = None
    if impute in ("median", "most_frequent"):
        fill = _values_to_impute(source, rows, impute)
    shift, spread = _shift_and_spread(source, rows, scale, fill)
    if task == "classification":
        return Statistics(shift, spread, fill)
    return Statistics(shift, spread, fill, *_mean_and_deviation(source, rows))


def part_of(
    inputs: NDArray[Any],
    targets: NDArray[Any],
    rows: NDArray[np.intp],
    statistics: Statistics,
    features: tuple[str, ...] = (),
) -> Part:
    """Return the chosen rows as an objective sees them; `features` name columns, for errors.

    Raises InputError if a scaled value does not fit float32.
    """
    chosen = targets[rows]
    if statistics.target_scale:
        with np.errstate(over="ignore", under="ignore"):
            scaled = (chosen - statistics.target_mean) / statistics.target_scale
            chosen = scaled.astype(np.float32)
    return Part(_scaled(inputs, rows, statistics, features), chosen)


def refuse_overflow(source: Source, each: Sequence[Statistics]) -> None:
    """Raise InputError if a row, scaled by any of these statistics, does not fit float32."""
    inputs = source.training.inputs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a column may have no value at all
        ends = [np.asarray(f(inputs, axis=0), np.float64) for f in (np.nanmin, np.nanmax)]
    for number, statistics in enumerate(each, start=1):
        for end in ends:
            with np.errstate(over="ignore", under="ignore", invalid="ignore"):
                scaled = ((end - statistics.shift) / statistics.spread).astype(np.float32)
            wrong = np.flatnonzero(np.isinf(scaled).ravel())
            if len(wrong):
                names = source.features
                name = f" in column {quoted(names[int(wrong[0])])}" if names else ""
                raise fault(
                    "scale", f"inputs{name}, scaled by the training rows of fold {number}, do not "
                    "fit float32; remove outliers or rescale"
                )


def _shift_and_spread(
    source: Source, rows: NDArray[np.intp], scale: str, fill: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what to subtract and to divide by, of the training rows; one-hot stays 0 and 1."""
    inputs = source.training.inputs
    shape = inputs.shape[1:]
    shift, spread = np.zeros(shape), np.ones(shape)
    numbers = np.ones(shape, bool) if source.indicators is None else ~source.indicators
    if scale == "none" or not numbers.any():
        return shift, spread

    def chunks() -> Iterator[NDArray[Any]]:
        for start in range(0, len(rows), _CHUNK):
            yield _filled(inputs[rows[start : start + _CHUNK]], fill)

    if scale == "range":
        low = min(float(chunk[:, numbers].min()) for chunk in chunks())
        high = max(float(chunk[:, numbers].max()) for chunk in chunks())
        shift[numbers] = low
        spread[numbers] = (high - low) or 1.0
        return shift, spread
    mean, square = np.zeros(shape), np.zeros(shape)
    for chunk in chunks():
        mean += chunk.sum(axis=0, dtype=np.float64) / len(rows)
    for chunk in chunks():
        square += ((chunk - mean) ** 2).sum(axis=0) / len(rows)
    # A constant column: its mean may be off by rounding, its own value is not.
    constant, first = np.ones(shape, bool), _filled(inputs[rows[:1]], fill)[0]
    for chunk in chunks():
        constant &= (chunk == first).all(axis=0)
    mean = np.where(constant, first, mean)
    deviation = np.where(constant | (square == 0), 1.0, np.sqrt(square))
    return np.where(numbers, mean, 0.0), np.where(numbers, deviation, 1.0)


def _scaled(
    inputs: NDArray[Any],
    rows: NDArray[np.intp],
    statistics: Statistics,
    features: tuple[str, ...],
) -> NDArray[np.float32]:
    """Return the chosen rows, filled, shifted and divided."""
    scaled = np.empty((len(rows), *inputs.shape[1:]), np.float32)
    for start in range(0, len(rows), _CHUNK):
        chunk = _filled(inputs[rows[start : start + _CHUNK]], statistics.fill).astype(np.float64)
        with np.errstate(over="ignore", under="ignore"):
            scaled[start : start + _CHUNK] = (chunk - statistics.shift) / statistics.spread
    if not np.isfinite(scaled).all():
        name = ""
        if features:
            column = int(np.flatnonzero(~np.isfinite(scaled).all(axis=0))[0])
            name = f" in column {quoted(features[column])}"
        raise fault("scale", f"scaled inputs{name} do not fit float32; remove outliers or rescale")
    return scaled


def _filled(chunk: NDArray[Any], fill: NDArray[np.float64] | None) -> NDArray[Any]:
    """Return rows with nothing missing, of the same type."""
    if fill is None or chunk.dtype.kind != "f":
        return chunk
    return np.where(np.isnan(chunk), fill.astype(chunk.dtype), chunk)


def _mean_and_deviation(source: Source, rows: NDArray[np.intp]) -> tuple[float, float]:
    """Return the mean and the standard deviation of the training rows' targets."""
    training = source.training.labels[rows].astype(np.float64)
    mean = math.fsum(training) / len(training)
    deviation = math.sqrt(math.fsum((training - mean) ** 2) / len(training))
    if (training == training[0]).all() or deviation == 0:
        raise fault(
            source.key,
            f"{source.labels} is constant in the training part; choose another target, or add rows",
        )
    for part in filter(None, (source.training, source.test)):
        with np.errstate(over="ignore", under="ignore"):
            fits = np.isfinite(((part.labels - mean) / deviation).astype(np.float32)).all()
        if not fits:
            raise fault(
                source.key, f"{source.labels} does not fit float32 once standardized; rescale it"
            )
    return mean, deviation


def _values_to_impute(
    source: Source, rows: NDArray[np.intp], impute: Impute
) -> NDArray[np.float64]:
    """Return what stands in for a missing value of each input, by the training rows.

    Of a column that is one-hot that is its most frequent category, of numbers their median or the
    most frequent, and the smallest of several.
    """
    inputs = source.training.inputs
    flat = inputs.reshape(len(inputs), -1)
    fill = np.zeros(flat.shape[1])
    for name, first, width in _spans(source, flat.shape[1]):
        there = flat[rows, first : first + width]
        there = there[~np.isnan(there[:, 0])]
        if not len(there):
            raise fault(
                "impute",
                f"{name} has no value in the training part to fill the missing ones with; add "
                "rows that have one, or drop it",
            )
        if source.indicators is not None and source.indicators[first]:
            fill[first + int(there.sum(axis=0).argmax())] = 1.0
        elif impute == "median":
            fill[first] = np.median(there[:, 0].astype(np.float64))
        else:
            kinds, counts = np.unique(there[:, 0], return_counts=True)
            fill[first] = kinds[counts.argmax()]
    if inputs.dtype.kind == "f":  # the same value here as where rows are predicted
        fill = fill.astype(inputs.dtype).astype(np.float64)
    return fill.reshape(inputs.shape[1:])


def _spans(source: Source, number: int) -> list[tuple[str, int, int]]:
    """Return of each column its name, its first input, and how many inputs it has."""
    if not source.columns:
        return [(f"input {index + 1}", index, 1) for index in range(number)]
    spans, first = [], 0
    for column in source.columns:
        width = 1 if column.categories is None else len(column.categories)
        spans.append((column.name, first, width))
        first += width
    return spans


def filled_by(source: Source, fill: NDArray[np.float64]) -> dict[str, Filled]:
    """Return how much of each column is missing, in all parts, and what it is filled with."""
    parts = [source.training.inputs] + ([source.test.inputs] if source.test else [])
    flat = fill.ravel()
    missing = np.zeros(len(flat), np.int64)
    for inputs in parts:
        if inputs.dtype.kind != "f":
            continue
        for start in range(0, len(inputs), _CHUNK):
            chunk = inputs[start : start + _CHUNK]
            missing += np.isnan(chunk).reshape(len(chunk), -1).sum(axis=0)
    filled = {}
    for index, (name, first, width) in enumerate(_spans(source, len(flat))):
        if count := int(missing[first]):
            categories = source.columns[index].categories if source.columns else None
            value = float(flat[first])
            chosen = int(flat[first : first + width].argmax())
            filled[name] = Filled(count, categories[chosen] if categories else value)
    return filled


def as_few(numbers: NDArray[np.float64]) -> tuple[float, ...]:
    """Return one number for each input of a row, or one where all are equal."""
    flat = [float(number) for number in numbers.ravel()]
    return tuple(flat[:1] if len(set(flat)) == 1 else flat)
