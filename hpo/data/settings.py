"""Define the settings of [data] in a study file."""

from dataclasses import dataclass
from typing import Literal

from hpo.data.predictor import Notation
from hpo.data.rows import ColumnSettings, Impute
from hpo.objective import Task

_GROUPING = ("", ",", ".", " ", "'")  # what may separate groups of three digits
_LONGEST = 1_000_000


@dataclass(frozen=True)
class DataSettings:
    """The table [data] of a study file.

    `validation` is a share of the training rows; `test` of all rows, where the source brings
    no test set of its own; `rows` how many training rows to use, validation included. `scale`
    is "range" for images and "standard" for tables where it is None.

    `missing` are marks of a missing value beside blank cells and "NA", "NaN", "null" and the like;
    numbers are written with `decimal`, `thousands` and `units`; `categories` are columns of names,
    whatever they look like. `impute` fills missing inputs with the median of the training part, or
    leaves out the rows that have any; "median" takes the most frequent of what is no number.
    `shape` makes images of rows that are flat in the source: the inputs of one row, in C order.
    """

    source: str = "digits"
    """A bundled set, a file or folder, an https address, "sklearn:NAME", or "openml:NAME"."""
    validation: float = 0.2
    """Share of the training rows used for validation, after a seeded shuffle."""
    test: float = 0.2
    """Share of all rows held out as the test set, if the source has none of its own."""
    target: str | None = None
    """The column with the labels, for tables."""
    drop: tuple[str, ...] = ()
    """Columns to leave out."""
    task: Task | None = None
    """The kind of task; detected from the target if it is clear."""
    rows: int | None = None
    """Number of training rows to use, validation included; all by default."""
    scale: Literal["standard", "range", "none"] | None = None
    """How inputs are scaled; by default "range" for images and "standard" for tables."""
    missing: tuple[str, ...] = ()
    """Marks of a missing value, in addition to blank cells, "NA", "NaN", and "null"."""
    decimal: Literal[".", ","] = "."
    """The decimal mark of numbers in the file."""
    thousands: str = ""
    """The mark between groups of three digits."""
    units: tuple[str, ...] = ()
    """Units written next to numbers, to be ignored."""
    categories: tuple[str, ...] = ()
    """Columns that hold names, even if they look like numbers."""
    impute: Impute | None = None
    """What to do with missing inputs: fill them, or drop their rows; an error by default."""
    shape: tuple[int, ...] = ()
    """The shape of one row, for images that are flat in the source."""

    def __post_init__(self) -> None:
        if self.thousands not in _GROUPING:
            one = ", ".join(map(repr, _GROUPING[1:]))
            raise ValueError(f"thousands must be one of {one}, got {self.thousands!r}")
        if self.thousands == self.decimal:
            raise ValueError(
                f"thousands {self.thousands!r} is also the decimal mark; choose another decimal"
            )
        if any(not 1 <= length <= _LONGEST for length in self.shape):
            raise ValueError("shape must have lengths of at least 1, such as [28, 28], got "
                             f"{list(self.shape)}")
        for unit in self.units:
            if not unit.strip(" .,'") or any(c.isdecimal() or c in "+-()" for c in unit):
                raise ValueError(
                    f"units {unit!r} is not a unit; use a symbol or a word without digits, plus, "
                    "minus, or parentheses"
                )

    @property
    def columns(self) -> ColumnSettings:
        """The settings for columns and missing values."""
        notation = Notation(self.missing, self.decimal, self.thousands, self.units)
        return ColumnSettings(
            self.target, self.drop, self.categories, notation, self.impute, self.shape
        )
