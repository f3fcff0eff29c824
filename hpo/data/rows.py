"""Define the rows of a source, and the columns that they came from."""

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hpo import wording
from hpo.data.predictor import Column, Notation

Impute: TypeAlias = Literal["median", "most_frequent", "drop_rows"]
UNLABELED = 'set impute = "drop_rows" to ignore rows without a label, or remove them'
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class ColumnSettings:
    """The settings of a study file for a table's columns and missing values.

    `categories` are columns of names, whatever they look like. `shape` is that of a row's inputs.
    """

    target: str | None = None
    drop: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    notation: Notation = field(default_factory=Notation)
    impute: Impute | None = None
    shape: tuple[int, ...] = ()


@dataclass(frozen=True)
class Rows:
    """The rows of a source: `inputs` (rows, …) of real numbers, `labels` (rows,).

    Labels are text (str objects), bool or real numbers, none missing. An input is NaN where it is
    missing, and it is so only where it will be filled.
    """

    inputs: NDArray[Any]
    labels: NDArray[Any]


@dataclass(frozen=True)
class Source:
    """The data that was read. `test` is None if the source has no test set of its own.

    `labels` says where the labels stand, for errors; `target` is their column in a table.
    `columns` are a table's input columns, `features` names the inputs that were made of them, and
    `indicators` marks those that are one-hot.
    `classes_plain` is True where the labels can only be classes, whatever their values.
    `version` is that of a set from OpenML, `left_out` counts rows with a value missing that were
    left out, `notes` say what else was done that the file does not show.
    """

    training: Rows
    test: Rows | None = None
    images: bool = False
    labels: str = "the labels"
    target: str | None = None
    columns: tuple[Column, ...] = ()
    features: tuple[str, ...] = ()
    indicators: NDArray[np.bool_] | None = None
    classes_plain: bool = False
    version: str = ""
    left_out: int = 0
    notes: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The key of the study file that chose the labels."""
        return "source" if self.target is None else "target"


def with_marks_missing(values: NDArray[Any], notation: Notation) -> NDArray[Any]:
    """Return numbers, with NaN for those that mark a missing value."""
    if values.dtype.kind not in "iuf" or not notation.missing_numbers:
        return values
    marked = np.isin(values, list(notation.missing_numbers))
    return np.where(marked, np.nan, values) if marked.any() else values


def unusable(values: NDArray[Any]) -> str:
    """Return why numbers that are not missing do not fit float32, or ""."""
    if values.dtype.kind != "f" or not values.size:
        return ""
    if infinite := int(np.isinf(values).sum()):
        return wording.count(infinite, "infinite value")
    largest = np.nanmax(np.abs(values), initial=0)
    return f"values up to {largest:.3g}, too large for float32" if largest > LARGEST else ""
