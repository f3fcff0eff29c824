"""Inputs are filled where values are missing, and scaled by the training part alone."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo.data.files import fault
from hpo.data.predictor import quoted
from hpo.data.rows import Impute, Source

_CHUNK = 1024  # rows converted at a time, so that no second copy of the inputs is needed


@dataclass(frozen=True)
class Filled:
    """How many values of a column were missing, in all parts, and what stands in for them."""

    missing: int
    value: float | str


def shift_and_spread(
    inputs: NDArray[Any], rows: NDArray[np.intp], scale: str, source: Source
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what to subtract and to divide by, of the training rows; one-hot stays 0 and 1."""
    shape = inputs.shape[1:]
    shift, spread = np.zeros(shape), np.ones(shape)
    numbers = np.ones(shape, bool) if source.indicators is None else ~source.indicators
    if scale == "none" or not numbers.any():
        return shift, spread
    chunks = [rows[i : i + _CHUNK] for i in range(0, len(rows), _CHUNK)]
    if scale == "range":
        low = min(float(inputs[chunk][:, numbers].min()) for chunk in chunks)
        high = max(float(inputs[chunk][:, numbers].max()) for chunk in chunks)
        shift[numbers] = low
        spread[numbers] = (high - low) or 1.0
        return shift, spread
    mean, square = np.zeros(shape), np.zeros(shape)
    for chunk in chunks:
        mean += inputs[chunk].sum(axis=0, dtype=np.float64) / len(rows)
    for chunk in chunks:
        square += ((inputs[chunk] - mean) ** 2).sum(axis=0) / len(rows)
    # A constant column: its mean may be off by rounding, its own value is not.
    constant = np.ones(shape, bool)
    for chunk in chunks:
        constant &= (inputs[chunk] == inputs[rows[0]]).all(axis=0)
    mean = np.where(constant, inputs[rows[0]], mean)
    deviation = np.where(constant | (square == 0), 1.0, np.sqrt(square))
    return np.where(numbers, mean, 0.0), np.where(numbers, deviation, 1.0)


def scale_inputs(
    inputs: NDArray[Any],
    rows: NDArray[np.intp],
    shift: NDArray[np.float64],
    spread: NDArray[np.float64],
    source: Source,
) -> NDArray[np.float32]:
    """Return the chosen rows, shifted and divided; raise InputError where float32 has no room."""
    scaled = np.empty((len(rows), *inputs.shape[1:]), np.float32)
    for start in range(0, len(rows), _CHUNK):
        chunk = inputs[rows[start : start + _CHUNK]].astype(np.float64)
        with np.errstate(over="ignore", under="ignore"):
            scaled[start : start + _CHUNK] = (chunk - shift) / spread
    if not np.isfinite(scaled).all():
        name = ""
        if source.features:
            column = int(np.flatnonzero(~np.isfinite(scaled).all(axis=0))[0])
            name = f" in column {quoted(source.features[column])}"
        raise fault("scale", f"scaled inputs{name} do not fit float32; remove outliers or rescale")
    return scaled


def standardize_targets(
    values: list[NDArray[Any]], rows: NDArray[np.intp], source: Source
) -> tuple[list[NDArray[Any]], float, float]:
    """Return the targets in standard deviations about the training part's mean, and these two."""
    training = values[0][rows].astype(np.float64)
    mean = math.fsum(training) / len(training)
    deviation = math.sqrt(math.fsum((training - mean) ** 2) / len(training))
    if (training == training[0]).all() or deviation == 0:
        raise fault(
            source.key,
            f"{source.labels} is constant in the training part; choose another target, or add rows",
        )
    with np.errstate(over="ignore", under="ignore"):
        scaled = [((each - mean) / deviation).astype(np.float32) for each in values]
    if not all(np.isfinite(each).all() for each in scaled):
        raise fault(
            source.key, f"{source.labels} does not fit float32 once standardized; rescale it"
        )
    return list(scaled), mean, deviation


def values_to_impute(source: Source, rows: NDArray[np.intp], impute: Impute) -> NDArray[np.float64]:
    """Return what stands in for a missing value of each input, by the training rows; fill them.

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
                f"{name} has no value in the training part that could fill others; add rows that "
                "have one, or leave it out",
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
    return fill


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


def impute_missing(source: Source, fill: NDArray[np.float64]) -> dict[str, Filled]:
    """Fill all that is missing, in place; return how much of each column that was."""
    parts = [source.training.inputs] + ([source.test.inputs] if source.test else [])
    missing = np.zeros(len(fill), np.int64)
    for inputs in parts:
        if inputs.dtype.kind != "f":
            continue
        for start in range(0, len(inputs), _CHUNK):
            chunk = inputs[start : start + _CHUNK]
            empty = np.isnan(chunk)
            missing += empty.reshape(len(chunk), -1).sum(axis=0)
            np.copyto(chunk, fill.reshape(inputs.shape[1:]), where=empty, casting="same_kind")
    filled = {}
    for index, (name, first, width) in enumerate(_spans(source, len(fill))):
        if count := int(missing[first]):
            categories = source.columns[index].categories if source.columns else None
            value = float(fill[first])
            chosen = int(fill[first : first + width].argmax())
            filled[name] = Filled(count, categories[chosen] if categories else value)
    return filled


def as_few(numbers: NDArray[np.float64]) -> tuple[float, ...]:
    """Return one number for each input of a row, or one where all are equal."""
    flat = [float(number) for number in numbers.ravel()]
    return tuple(flat[:1] if len(set(flat)) == 1 else flat)
