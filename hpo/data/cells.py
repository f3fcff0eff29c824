"""Convert the cells of a column to numbers, categories or booleans, or refuse them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hpo import wording
from hpo.data.columns import FEW, WAYS, Examined, examine, marking, refusal, toml
from hpo.data.files import fault
from hpo.data.predictor import Notation, category, listed, quoted
from hpo.data.rows import LARGEST, UNLABELED, ColumnSettings, with_marks_missing

if TYPE_CHECKING:
    import pandas as pd

MOST_CATEGORIES = 100  # a text column with more distinct values is a name or a number, not a kind
_BOOLEANS = {"True": True, "TRUE": True, "true": True, "False": False, "FALSE": False,
             "false": False}  # as pandas reads them
_SHOWN = 20  # columns listed in an error


@dataclass(frozen=True)
class Cells:
    """The cells of a column: numbers, text (objects) or bool, and which of them are missing.

    `values` has all rows; missing rows have meaningless values. `mixed` is set if a text column
    cannot be read.
    """

    name: str
    values: NDArray[Any]
    missing: NDArray[np.bool_]
    is_category: bool = False
    unit: str = ""
    mixed: Examined | None = None
    notes: tuple[str, ...] = ()


def refuse_mixed(
    label: Cells, inputs: Sequence[Cells], source: str, settings: ColumnSettings
) -> None:
    """Raise InputError if columns have numbers, but also something else."""
    mixed = [cells.mixed for cells in (label, *inputs) if cells.mixed is not None]
    if not mixed:
        return
    numbers = [cells.values for cells in (label, *inputs) if cells.values.dtype.kind == "f"]
    points = settings.notation.is_plain and any(
        (n != np.floor(n))[np.isfinite(n)].any() for n in numbers
    )
    key = "source" if any(cells.mixed for cells in inputs) else "target"
    raise fault(key, mixed_refusal(mixed, settings, points, repr(source)))


def mixed_refusal(
    mixed: Sequence[Examined], settings: ColumnSettings, points: bool, where: str
) -> str:
    """Return why such columns cannot be read, and what to set in the study file."""
    return refusal(
        mixed, settings.notation, impute=settings.impute is not None, points=points, where=where
    )


def refuse_missing(
    label: Cells, inputs: Sequence[Cells], source: str, settings: ColumnSettings
) -> None:
    """Raise InputError if values are infinite, or missing without a setting to handle it."""
    impute = settings.impute
    if (count := int(label.missing.sum())) and impute != "drop_rows":
        where = f"column {quoted(label.name)} of {source!r}"
        raise fault("target", f"{where} has {wording.count(count, 'missing value')}; {UNLABELED}")
    if empty := [cells.name for cells in (label, *inputs) if cells.missing.all()]:
        raise fault(
            "source", f"{source!r} has no values in {listed(empty)}; remove the column with "
            f"drop = {toml(empty)}",
        )
    infinite = {
        cells.name: int(np.isinf(cells.values[~cells.missing]).sum())
        for cells in inputs if cells.values.dtype.kind == "f"
    }
    missing = {cells.name: int(cells.missing.sum()) for cells in inputs}
    problems, remedies = [], []
    if impute is None and any(missing.values()):
        problems.append(f"missing values in {_counts(missing)}")
        remedies.append(f"set {WAYS}, or fill them in the file")
    if any(infinite.values()):
        problems.append(f"infinite values in {_counts(infinite)}")
        said = marking(("inf", "-inf"), settings.notation, impute=impute is not None)
        remedies.append(
            f"fix the infinite values, or, if they stand for missing values, set {said}"
        )
    if problems:
        raise fault("source", f"{source!r} has {', '.join(problems)}; {'; '.join(remedies)}")


def _counts(counts: Mapping[str, int]) -> str:
    """Return names with their counts, where these are not 0."""
    at_fault = [f"{quoted(name)} ({n})" for name, n in counts.items() if n]
    more = f", … ({len(at_fault)} in total)" if len(at_fault) > _SHOWN else ""
    return ", ".join(at_fault[:_SHOWN]) + more


def cells_of(
    column: "pd.Series[Any]", key: str, source: str, settings: ColumnSettings, typed: bool
) -> Cells:
    """Return the cells of a column of a table.

    Raises InputError if they are not numbers, text, or bool.
    """
    import pandas as pd

    name, missing = str(column.name), column.isna().to_numpy(np.bool_)
    named = name in settings.categories
    present = column[~missing]
    is_category = named or isinstance(column.dtype, pd.CategoricalDtype)
    if isinstance(present.dtype, pd.CategoricalDtype):
        present = present.astype(present.cat.categories.dtype)
    if pd.api.types.is_bool_dtype(present):
        values, is_category = present.to_numpy(np.bool_), True
    elif present.dtype.kind in "iuf":
        values = present.to_numpy(
            {"i": np.int64, "u": np.uint64, "f": np.float64}[present.dtype.kind]
        )
    else:
        values = present.to_numpy(object)
        kinds = {type(value) for value in values}
        if kinds == {str}:
            found = _text_cells(name, values, settings.notation, typed, is_category)
            return _spread(found, missing)
        if kinds == {bool}:
            values, is_category = values.astype(np.bool_), True
        elif kinds and kinds <= {int, float}:
            if max(abs(value) for value in values) > LARGEST:  # beyond 64 bits
                raise fault(
                    key, f"column {quoted(name)} of {source!r} has integers too large for "
                    "float32; use larger units",
                )
            values = values.astype(np.float64)
        elif kinds:
            types = "/".join(sorted(kind.__name__ for kind in kinds))
            remedy = "convert it to numbers" + (", or add it to drop" if key == "source" else "")
            raise fault(
                key, f"column {quoted(name)} of {source!r} has {types} values "
                f"({column.dtype}), which are not numbers, text, or bool; {remedy}",
            )
        else:
            values = np.zeros(0)
    marked = with_marks_missing(values, settings.notation)
    marks = np.isnan(marked) if marked.dtype.kind == "f" else np.zeros(len(values), np.bool_)
    if named and values.dtype.kind in "iuf":
        values = np.array([category(value) for value in values], object)
    return _spread(Cells(name, values, marks, is_category), missing)


def array_cells(labels: NDArray[Any], notation: Notation) -> Cells:
    """Return the cells of an array of labels."""
    if labels.dtype.kind == "O":
        return _text_cells("targets", labels, notation, True, False)
    missing = np.isnan(labels) if labels.dtype.kind == "f" else np.zeros(len(labels), np.bool_)
    return Cells("targets", labels, missing)


def _text_cells(
    name: str, values: NDArray[Any], notation: Notation, typed: bool, is_category: bool
) -> Cells:
    """Return what cells of text hold: names, truth values, or numbers."""
    counts = Counter(values)
    marks = {text for text in counts if notation.is_missing(text)}
    missing = np.array([text in marks for text in values], np.bool_)
    for mark in marks:
        del counts[mark]
    as_text = Cells(name, values, missing, True)
    if is_category or not counts:
        return as_text
    found = examine(name, counts, notation)
    if not typed and (truths := counts.keys() & _BOOLEANS.keys()):
        if truths == counts.keys():
            booleans = np.array([_BOOLEANS.get(text, False) for text in values], np.bool_)
            return replace(as_text, values=booleans)
        if counts.keys() - truths <= {"0", "1"}:
            return replace(as_text, mixed=replace(found, kind="mixed", marks={}, problem=(
                f"write the true and false values of {quoted(name)} in one way, not both "
                f"{quoted(min(truths))} and {quoted(min(counts.keys() - truths))}"
            )))
    if found.kind == "mixed":
        return replace(as_text, mixed=found)
    if found.kind == "text":
        notes = [
            f"{quoted(mark)} counts as a category of column {quoted(name)} "
            f"({wording.count(n, 'row')}); if it stands for a missing value, set "
            f"missing = {toml([*notation.missing, mark])}"
            for mark, n in found.marks.items()
        ]
        if found.are_dates and len(counts) <= MOST_CATEGORIES:
            notes.append(f"column {quoted(name)} has dates or times: each of its "
                         f"{wording.count(len(counts), 'distinct value')} counts as a category")
        return replace(as_text, notes=tuple(notes[:FEW]))
    if typed and not found.seem_amounts:
        return replace(as_text, notes=(
            f"the numbers in column {quoted(name)} are text: each of its "
            f"{wording.count(len(counts), 'distinct value')} counts as a category",
        ))
    if typed and notation.is_plain and not marks:
        example = quoted(next(iter(counts)))
        return replace(as_text, mixed=replace(found, kind="mixed", problem=(
            f"save {quoted(name)} as numbers, not as text like {example}"
        )))
    numbers = {text: notation.number(text) for text in counts}
    read = np.array([numbers.get(text, 0.0) for text in values], np.float64)
    return Cells(name, read, missing, unit=found.unit)


def _spread(cells: Cells, missing: NDArray[np.bool_]) -> Cells:
    """Return cells of those rows where something is as cells of all rows."""
    if not missing.any():
        return cells
    values = np.zeros(len(missing), cells.values.dtype)
    values[~missing] = cells.values
    every = missing.copy()
    every[~missing] = cells.missing
    return replace(cells, values=values, missing=every)
