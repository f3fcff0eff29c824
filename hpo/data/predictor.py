"""Predict a label or a value for each row, given as in its source.

MLflow keeps a copy of this file with each model, so that it can be served without this package:
it imports only numpy and the loader that a model names.
"""

import importlib
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

ColumnType: TypeAlias = Literal["number", "text", "boolean"]

_LOADER = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
_INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
_GROUPS = {" ": "[ \u00a0\u2009\u202f]", "'": "['\u2019]"}  # what looks like such a separator
_FILE = "predictor.json"
_TARGETS = ("label", "target", "class")  # what a column beside those of an array may be called
_SHOWN = 20  # names listed in an error
_MISSING = "the value is missing, and the study has no impute to fill it; remove the row"


class Model(Protocol):
    """A model that an objective returns; see `hpo.objective.Model`."""

    @property
    def loader(self) -> str:
        """The function "package.module:name" that reads what `save` wrote."""
        ...

    def predict(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return class probabilities (rows, classes), or standardized values (rows, 1)."""
        ...

    def save(self, path: Path) -> None:
        """Write the model to one .npz file."""
        ...


@dataclass(frozen=True)
class Notation:
    """How a table writes numbers, and which marks stand for a missing value.

    `missing` are these marks; a blank cell is always missing. `thousands` separates groups of three
    digits, unless it is empty. `units` may be before or after a number and are removed.
    """

    missing: tuple[str, ...] = ()
    decimal: str = "."
    thousands: str = ""
    units: tuple[str, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether numbers are written as Python writes them."""
        return self.decimal == "." and not self.thousands and not self.units

    def number(self, text: str) -> float | None:
        """Return the number in a cell, without its unit, or None if there is none."""
        return self.amount(text)[0]

    def amount(self, text: str) -> tuple[float | None, str]:
        """Return the number in a cell, or None, and its unit, or ""."""
        text, unit = self._without_unit(text.strip().replace("\u2212", "-"))
        if self._pattern.fullmatch(text):
            digits = re.sub(self._group, "", text) if self.thousands else text
            return float(digits.replace(self.decimal, ".")), unit
        return (float(text) if _INFINITE.fullmatch(text) else None), unit

    def is_missing(self, value: object) -> bool:
        """Return whether a cell is empty, NaN, or one of the marks."""
        if value is None or type(value).__name__ in ("NAType", "NaTType"):
            return True
        if isinstance(value, (float, np.floating)) and math.isnan(value):
            return True
        if isinstance(value, str):
            text = value.strip()
            if not text or text in self._marks:
                return True
            return bool(self.missing_numbers) and self.number(text) in self.missing_numbers
        if isinstance(value, (bool, np.bool_)) or not self.missing_numbers:
            return False
        return isinstance(value, (int, float, np.number)) and value in self.missing_numbers

    @cached_property
    def missing_numbers(self) -> frozenset[float]:
        """The marks that are numbers, such as -999."""
        numbers = (self.number(mark) for mark in self.missing)
        return frozenset(number for number in numbers if number is not None)

    @cached_property
    def _marks(self) -> frozenset[str]:
        return frozenset(mark.strip() for mark in self.missing)

    @property
    def _group(self) -> str:
        return _GROUPS.get(self.thousands, re.escape(self.thousands))

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        point, whole = re.escape(self.decimal), "[0-9]+"
        if self.thousands:
            whole = rf"(?:[1-9][0-9]{{0,2}}(?:{self._group}[0-9]{{3}})+|[0-9]+)"
        return re.compile(
            rf"[+-]?(?:{whole}(?:{point}[0-9]*)?|{point}[0-9]+)(?:[eE][+-]?[0-9]+)?"
        )

    def _without_unit(self, text: str) -> tuple[str, str]:
        """Return a cell without the unit before or after its number, and that unit."""
        for unit in sorted(self.units, key=len, reverse=True):
            if text.endswith(unit):
                return text[: -len(unit)].rstrip(), unit
            sign = text[:1] if text[:1] in ("+", "-") else ""
            rest = text[len(sign) :].lstrip()
            if rest.startswith(unit):
                return sign + rest[len(unit) :].lstrip(), unit
        return text, ""


@dataclass(frozen=True)
class Column:
    """A column of a table. If it has `categories`, each of them is an input, 0 or 1.

    `unit` is the unit of its numbers, if any.
    """

    name: str
    type: ColumnType = "number"
    categories: tuple[str, ...] | None = None
    unit: str = ""


@dataclass(frozen=True)
class Preprocessing:
    """How the rows of a source become the inputs of a model, and outputs become predictions.

    `shape` is that of one row's inputs. `columns` are those of a table, in order, and empty where
    rows are arrays. `shift` is subtracted and `scale` divides: one number for each input, or one
    for all. `classes` are the labels by index; the outputs of a regression times `target_scale`
    plus `target_mean` are in the units of the source. `notation` is how the source writes numbers.
    `fill` stands in for missing values: one number for each input, or one for all, and none where
    nothing may be missing. `dtype` is the type that inputs have.
    """

    shape: tuple[int, ...]
    columns: tuple[Column, ...] = ()
    shift: tuple[float, ...] = (0.0,)
    scale: tuple[float, ...] = (1.0,)
    classes: tuple[str, ...] = ()
    target: str | None = None
    target_mean: float = 0.0
    target_scale: float = 1.0
    notation: Notation = field(default_factory=Notation)
    fill: tuple[float, ...] = ()
    dtype: str = "float32"

    def transform(self, rows: Any) -> NDArray[Any]:
        """Return rows as inputs (rows, …), the same numbers that `hpo.data.load` returns.

        Rows are a table with all `columns`, in any order and among others, or an array (rows, …)
        of one row's shape, or flat; a table of pixels has its columns in the original order.

        Raises ValueError, one line with column and row, counted from 1, for unusable values.
        """
        if len(rows) == 0:
            raise ValueError("there are no rows to predict")
        values = self._matrix(rows) if self.columns else self._array(rows)
        if self.fill:
            values = np.where(np.isnan(values), self._by_input(self.fill), values)
        shift, scale = (self._by_input(numbers) for numbers in (self.shift, self.scale))
        with np.errstate(over="ignore", under="ignore"):
            inputs: NDArray[Any] = ((values - shift) / scale).astype(self.dtype)
        if row := _first_row(~np.isfinite(inputs)):
            raise ValueError(
                f"row {row} does not fit {self.dtype} once scaled; check its units"
            )
        return inputs

    def filled(self, rows: Any) -> dict[str, int]:
        """Return how many values `transform` fills, by column; for an array under ""."""
        if not self.fill:
            return {}
        if not self.columns:
            counts = {"": int(np.isnan(self._array(rows)).sum())}
        else:
            names = [column.name for column in self.columns]
            counts = {name: sum(map(self.notation.is_missing, rows[name])) for name in names}
        return {name: count for name, count in counts.items() if count}

    def predictions(self, outputs: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Return columns: "label" (text) and "probability_…" of each class, or "value".

        Outputs are class probabilities (rows, classes), or standardized values (rows, 1).
        """
        if not self.classes:
            return {"value": outputs[:, 0] * self.target_scale + self.target_mean}
        labels = np.array(self.classes, object)[outputs.argmax(axis=1)]
        shares = {f"probability_{name}": outputs[:, i] for i, name in enumerate(self.classes)}
        return {"label": labels, **shares}

    def to_table(self) -> dict[str, Any]:
        """Return plain values for JSON, for `from_table`."""
        return asdict(self)

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> "Preprocessing":
        """Return the preprocessing that `to_table` wrote."""
        # Models of earlier versions lack what has its default.
        plain = _with_tuples(table)
        plain["columns"] = tuple(Column(**_with_tuples(column)) for column in table["columns"])
        plain["notation"] = Notation(**_with_tuples(table.get("notation", {})))
        return cls(**plain)

    def _by_input(self, numbers: tuple[float, ...]) -> NDArray[np.float64]:
        """Return one number for each input, in their shape, or one for all."""
        array = np.array(numbers)
        return array if len(array) == 1 else array.reshape(self.shape)

    def _matrix(self, rows: Any) -> NDArray[np.float64]:
        if not hasattr(rows, "columns"):
            raise ValueError("the rows are not a table; pass a table with named columns")
        names = [str(name) for name in rows.columns]
        if missing := [c.name for c in self.columns if c.name not in names]:
            raise ValueError(f"no column {listed(missing)}; the columns are {listed(names)}")
        inputs: list[NDArray[Any]] = []
        for column in self.columns:
            values = np.asarray(rows[column.name])
            if values.ndim > 1:
                raise ValueError(f"more than one column {column.name!r}")
            if column.categories is None:
                inputs.append(self._numbers(column.name, values, column.unit))
            else:
                inputs.extend(self._indicators(column, column.categories, values))
        matrix = np.empty((len(rows), len(inputs)))
        for index, values in enumerate(inputs):
            matrix[:, index] = values
        return matrix.reshape(len(rows), *self.shape)

    def _array(self, rows: Any) -> NDArray[np.float64]:
        size = math.prod(self.shape)
        if hasattr(rows, "columns"):
            names = list(rows.columns)
            if len(names) != size:
                names = [name for name in names if str(name).lower() not in _TARGETS]
            if len(names) != size:
                raise ValueError(
                    f"expected {size} columns, one for each input, got {len(names)}"
                )
            values = np.empty((len(rows), size))
            for index, name in enumerate(names):
                values[:, index] = self._numbers(str(name), np.asarray(rows[name]))
            return values.reshape(len(values), *self.shape)
        try:
            values = np.asarray(rows, np.float64)
        except (TypeError, ValueError):
            raise ValueError("the rows contain something that is not a number") from None
        if values.ndim < 2 or values.shape[1:] not in (self.shape, (size,)):
            raise ValueError(
                f"the rows have the shape {values.shape}, but must have (rows, "
                f"{', '.join(map(str, self.shape))})"
            )
        values = values.reshape(len(values), *self.shape)
        for number in self.notation.missing_numbers:
            values = np.where(values == number, np.nan, values)
        unusable = np.isinf(values) if self.fill else ~np.isfinite(values)
        if row := _first_row(unusable):
            raise ValueError(f"row {row} has missing (NaN) or infinite values")
        return values

    def _numbers(self, name: str, values: NDArray[Any], unit: str = "") -> NDArray[np.float64]:
        """Return a column of numbers, NaN where one is missing and can be filled.

        Raises ValueError for the first cell that is no number.
        """
        if values.dtype.kind in "iuf":
            numbers = values.astype(np.float64)
            for mark in self.notation.missing_numbers:
                numbers[numbers == mark] = np.nan
        else:
            numbers = np.empty(len(values))
            for row, value in enumerate(values, start=1):
                numbers[row - 1] = self._number(name, row, value, unit)
        if not self.fill and (row := _first_row(np.isnan(numbers))):
            raise ValueError(f"column {name!r}, row {row}: {_MISSING}")
        if row := _first_row(np.isinf(numbers)):
            raise ValueError(f"column {name!r}, row {row}: the number is infinite")
        return numbers

    def _number(self, name: str, row: int, value: object, unit: str) -> float:
        if self.notation.is_missing(value):
            return math.nan
        number, found = None, ""
        if isinstance(value, str):
            number, found = self.notation.amount(value)
        elif not isinstance(value, (bool, np.bool_)):
            try:
                number = float(value)  # type: ignore[arg-type]
            except (TypeError, ValueError, OverflowError):
                number = None
        if number is None:
            raise ValueError(f"column {name!r}, row {row}: {quoted(value)} is not a number")
        if found not in ("", unit):
            raise ValueError(
                f"column {name!r}, row {row}: {quoted(value)} is in {found!r}, but the model was "
                f"trained on {f'numbers in {unit!r}' if unit else 'plain numbers'}"
            )
        return number

    def _indicators(
        self, column: Column, categories: tuple[str, ...], values: NDArray[Any]
    ) -> Iterable[NDArray[Any]]:
        """Return for each category where it is, all NaN where a value is missing.

        Raises ValueError for the first value that is neither.
        """
        known = {name: index for index, name in enumerate(categories)}
        codes, missing = np.empty(len(values), np.intp), np.zeros(len(values), bool)
        for row, value in enumerate(values, start=1):
            name = category(value)
            if column.type == "boolean":
                name = name.strip().capitalize()
            missing[row - 1] = name not in known and self.notation.is_missing(value)
            if missing[row - 1] and not self.fill:
                raise ValueError(f"column {column.name!r}, row {row}: {_MISSING}")
            if name not in known and not missing[row - 1]:
                raise ValueError(
                    f"column {column.name!r}, row {row}: {quoted(value)} is not one of "
                    f"the categories {listed(categories)}"
                )
            codes[row - 1] = known.get(name, 0)
        return (np.where(missing, np.nan, codes == code) for code in range(len(categories)))


@dataclass(frozen=True)
class Predictor:
    """One trained model, or several whose outputs are averaged, and how rows become inputs."""

    preprocessing: Preprocessing
    members: tuple[Model, ...]

    def outputs(self, inputs: NDArray[Any]) -> NDArray[np.float64]:
        """Return the mean of the members' outputs, (rows, classes) or (rows, 1), in float64."""
        outputs = [member.predict(inputs) for member in self.members]
        mean: NDArray[np.float64] = np.mean(outputs, axis=0, dtype=np.float64)
        return mean

    def predict(self, rows: Any) -> dict[str, NDArray[Any]]:
        """Return predictions by column, for rows as in the source; errors as in `transform`."""
        return self.preprocessing.predictions(self.outputs(self.preprocessing.transform(rows)))

    def save(self, folder: Path) -> None:
        """Write the members, and how to load them, to an existing folder.

        Raises ValueError if a model does not name the function that loads it.
        """
        loaders = [_checked_loader(getattr(member, "loader", None)) for member in self.members]
        files = [
            f"member-{number}{getattr(member, 'file_suffix', '.npz')}"
            for number, member in enumerate(self.members, start=1)
        ]
        for member, file in zip(self.members, files, strict=True):
            member.save(folder / file)
        table = {
            "preprocessing": self.preprocessing.to_table(),
            "loaders": loaders,
            "files": files,
            "details": [dict(getattr(member, "loader_details", {})) for member in self.members],
        }
        text = json.dumps(table, indent=1, ensure_ascii=False)
        (folder / _FILE).write_text(text, encoding="utf-8")

    @classmethod
    def load(
        cls, folder: Path, known: Mapping[str, Callable[..., Model]] | None = None
    ) -> "Predictor":
        """Return the predictor that `save` wrote; raise ValueError if a loader's name is malformed.

        `known` are loaders that need not be imported.
        """
        table = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        members = []
        parts = zip(table["loaders"], table["files"], table["details"], strict=True)
        for loader, file, details in parts:
            load = (known or {}).get(loader) or _imported(_checked_loader(loader))
            members.append(load(folder / file, **details))
        return cls(Preprocessing.from_table(table["preprocessing"]), tuple(members))


def category(value: object) -> str:
    """Return a value as the name of a category: a whole number without its fraction."""
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _first_row(marked: NDArray[np.bool_]) -> int:
    """Return the number, from 1, of the first row with a marked value, or 0."""
    rows = marked.any(axis=tuple(range(1, marked.ndim)))
    return int(np.argmax(rows)) + 1 if rows.any() else 0


def _with_tuples(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return plain values of JSON with tuples for their lists."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}


def _checked_loader(name: object) -> str:
    if not isinstance(name, str) or not _LOADER.fullmatch(name):
        raise ValueError(
            "the attribute `loader` of a model must name a function that reads its file, such as "
            f'"package.module:load", got {name!r}'
        )
    return name


def _imported(loader: str) -> Callable[..., Model]:
    module, _, name = loader.partition(":")
    load: Callable[..., Model] = getattr(importlib.import_module(module), name)
    return load


def quoted(value: object) -> str:
    """Return a name or a cell for an error message: short, with special characters escaped."""
    text = str(value)
    return repr(text if len(text) <= 60 else text[:57] + "…")


def listed(names: Iterable[object]) -> str:
    """Return names for an error message, the first 20 of them."""
    every = list(names)
    more = f", … ({len(every)} in total)" if len(every) > _SHOWN else ""
    return ", ".join(quoted(name) for name in every[:_SHOWN]) + more
