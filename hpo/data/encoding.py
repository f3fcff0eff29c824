"""Encode the columns of a table as one array: categories one-hot, numbers unchanged."""

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hpo.data import tables
from hpo.data.cells import MOST_CATEGORIES, Cells, cells_of, refuse_missing, refuse_mixed
from hpo.data.columns import FILL, examine
from hpo.data.files import fault
from hpo.data.predictor import Column, ColumnType, Notation, category, listed, quoted
from hpo.data.rows import ColumnSettings, Rows, Source, unusable
from hpo.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

_TYPES: Mapping[str, ColumnType] = {"O": "text", "b": "boolean"}  # of a column, by kind of array


def encode(
    table: "pd.DataFrame", source: str, settings: ColumnSettings, *, typed: bool = True
) -> Source:
    """Encode columns as arrays: text, categories and bool one-hot, numbers unchanged.

    `typed` is whether the file distinguishes text from numbers; CSV does not.
    """
    target, drop, impute = settings.target, settings.drop, settings.impute
    table, notes = tables.without_nameless(
        table, source, {*drop, *settings.categories, *([target] if target else [])}
    )
    names = list(table.columns)
    if target is None:
        raise fault(
            "target", f"required but missing; set it to the label column of {source!r}, one of "
            f"{listed(names)}"
        )
    said = [("drop", name) for name in drop] + [("categories", n) for n in settings.categories]
    for key, name in (("target", target), *said):
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            hint = f"did you mean {quoted(near[0])}? The" if near else "the"
            columns = f"columns of {source!r} are {listed(names)}"
            raise fault(key, f"no column {quoted(name)}; {hint} {columns}")
    if target in drop:
        raise fault(
            "drop", f"{quoted(target)} is the target and cannot be dropped; remove it from drop"
        )
    if not len(table):
        raise fault("source", f"{source!r} has no rows below its column names; add rows")
    kept = [name for name in names if name != target and name not in drop]
    if not kept:
        raise fault("drop", f"no input columns of {source!r} are left; drop fewer")
    label, *inputs = (
        cells_of(table[name], "target" if name == target else "source", source, settings, typed)
        for name in [target, *kept]
    )
    refuse_mixed(label, inputs, source, settings)
    refuse_missing(label, inputs, source, settings)
    left_out = 0
    if impute == "drop_rows":
        rows = ~np.any([cells.missing for cells in (label, *inputs)], axis=0)
        left_out = int((~rows).sum())
        if left_out == len(rows):
            raise fault("impute", f"drop_rows leaves no rows of {source!r}; {FILL}")
        label, *inputs = (
            replace(cells, values=cells.values[rows], missing=cells.missing[rows])
            for cells in (label, *inputs)
        )
    if problem := unusable(label.values):
        raise fault("target", f"column {quoted(target)} of {source!r} has {problem}; fix them")
    matrix, kept_columns, features, indicators = _matrix(inputs, source)
    notes += [note for cells in (label, *inputs) for note in cells.notes]
    constant = [c.name for c in inputs if not c.missing.any() and (c.values == c.values[0]).all()]
    if constant:
        notes.append(f"the same value in all rows of {listed(constant)}: a model learns nothing "
                     "from it")
    return Source(
        Rows(matrix, label.values),
        target=target,
        labels=f"column {quoted(target)} of {source!r}",
        columns=kept_columns,
        features=features,
        indicators=indicators,
        classes_plain=label.is_category,
        left_out=left_out,
        notes=tuple(notes),
    )


def _matrix(
    inputs: Sequence[Cells], source: str
) -> tuple[NDArray[Any], tuple[Column, ...], tuple[str, ...], NDArray[np.bool_]]:
    """Return (rows, features) float64, the columns, the features' names, and which are one-hot.

    A missing value is NaN, in all inputs that are made of its column.
    """
    columns: list[Column] = []
    arrays: list[NDArray[Any]] = []
    features: list[str] = []
    indicators: list[bool] = []
    for cells in inputs:
        if cells.is_category:
            kinds, found = np.unique(cells.values[~cells.missing], return_inverse=True)
            if len(kinds) > MOST_CATEGORIES:
                raise _too_many(cells, kinds, source)
            codes = np.full(len(cells.values), -1)
            codes[~cells.missing] = found
            column_type = _TYPES.get(kinds.dtype.kind, "number")
            columns.append(Column(cells.name, column_type, tuple(map(category, kinds))))
            arrays.extend(
                np.where(cells.missing, np.nan, codes == code) for code in range(len(kinds))
            )
            features.extend(f"{cells.name}={kind}" for kind in kinds)
            indicators.extend([True] * len(kinds))
            continue
        values = np.where(cells.missing, np.nan, cells.values)
        if problem := unusable(values):
            raise fault(
                "source",
                f"column {quoted(cells.name)} of {source!r} has {problem}; use larger units",
            )
        columns.append(Column(cells.name, unit=cells.unit))
        arrays.append(values)
        features.append(cells.name)
        indicators.append(False)
    matrix = np.empty((len(inputs[0].values), len(arrays)))
    for index, array in enumerate(arrays):
        matrix[:, index] = array
    return matrix, tuple(columns), tuple(features), np.array(indicators)


def _too_many(cells: Cells, kinds: NDArray[Any], source: str) -> InputError:
    what, remedy = "text", "add it to drop"
    numbers = [Notation().number(kind) is not None for kind in kinds if isinstance(kind, str)]
    if kinds.dtype.kind == "O" and examine(cells.name, Counter(kinds), Notation()).are_dates:
        remedy = "it has dates: convert them to numbers (a year, days since …), or add it to drop"
    elif 2 * sum(numbers) > len(numbers):
        other = kinds[numbers.index(False)] if False in numbers else kinds[0]
        remedy = f"{sum(numbers)} of them are numbers: fix the others, for example {quoted(other)}"
    elif kinds.dtype.kind != "O":
        what, remedy = "categorical", "save it as numbers, or add it to drop"
    return fault(
        "source",
        f"{what} column {quoted(cells.name)} of {source!r} has {len(kinds)} distinct values, but "
        f"at most {MOST_CATEGORIES} can be one-hot encoded; {remedy}",
    )
