"""A predictor takes rows as their source has them, and gives a label or a value for each.

MLflow keeps a copy of this file with each model, so that it can be served where this package is
not: it imports nothing but numpy and the loader that a model names.
"""

import importlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

ColumnType: TypeAlias = Literal["number", "text", "boolean"]

_LOADER = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
_FILE = "predictor.json"
_TARGETS = ("label", "target", "class")  # what a column beside those of an array may be called
_SHOWN = 20  # names listed in an error


class Model(Protocol):
    """What an objective returns; see `hpo.objective.Model`."""

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
class Column:
    """A column of a table. Where it has `categories`, each of them is an input, 0 or 1."""

    name: str
    type: ColumnType = "number"
    categories: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Preprocessing:
    """How the rows of a source become the inputs of a model, and outputs become predictions.

    `shape` is that of one row's inputs. `columns` are those of a table, in order, and empty where
    rows are arrays. `shift` is subtracted and `scale` divides: one number for each input, or one
    for all. `classes` are the labels by index; the outputs of a regression times `target_scale`
    plus `target_mean` are in the units of the source.
    """

    shape: tuple[int, ...]
    columns: tuple[Column, ...] = ()
    shift: tuple[float, ...] = (0.0,)
    scale: tuple[float, ...] = (1.0,)
    classes: tuple[str, ...] = ()
    target: str | None = None
    target_mean: float = 0.0
    target_scale: float = 1.0

    def transform(self, rows: Any) -> NDArray[np.float32]:
        """Return rows as inputs (rows, …), the same numbers as `hpo.data.load` makes of them.

        Rows are a table that has all `columns`, in any order and beside others, or an array
        (rows, …) of one row's shape, or flat; a table of pixels has its columns in their order.

        Raises ValueError, one line with column and row, counted from 1, for what cannot be used.
        """
        if len(rows) == 0:
            raise ValueError("there are no rows")
        values = self._matrix(rows) if self.columns else self._array(rows)
        shift, scale = (self._by_input(numbers) for numbers in (self.shift, self.scale))
        with np.errstate(over="ignore", under="ignore"):
            inputs = ((values - shift) / scale).astype(np.float32)
        if row := _unusable_row(inputs):
            raise ValueError(f"row {row} does not fit float32 once scaled; is it in other units?")
        return inputs

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
        """Return plain values for JSON, which `from_table` reads back."""
        return asdict(self)

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> "Preprocessing":
        """Return what `to_table` was given."""
        columns = tuple(
            Column(c["name"], c["type"], c["categories"] and tuple(c["categories"]))
            for c in table["columns"]
        )
        tuples = {name: tuple(table[name]) for name in ("shape", "shift", "scale", "classes")}
        return cls(**{**table, **tuples, "columns": columns})

    def _by_input(self, numbers: tuple[float, ...]) -> NDArray[np.float64]:
        """Return one number for each input, in their shape, or one for all."""
        array = np.array(numbers)
        return array if len(array) == 1 else array.reshape(self.shape)

    def _matrix(self, rows: Any) -> NDArray[np.float64]:
        if not hasattr(rows, "columns"):
            raise ValueError("the rows are no table; give a table with named columns")
        names = [str(name) for name in rows.columns]
        if missing := [c.name for c in self.columns if c.name not in names]:
            raise ValueError(f"no column {_listed(missing)}; the columns are {_listed(names)}")
        inputs: list[NDArray[Any]] = []
        for column in self.columns:
            values = np.asarray(rows[column.name])
            if values.ndim > 1:
                raise ValueError(f"more than one column {column.name!r}")
            if column.categories is None:
                inputs.append(_numbers(column.name, values))
            else:
                codes = _codes(column, column.categories, values)
                inputs.extend(codes == code for code in range(len(column.categories)))
        matrix = np.empty((len(rows), len(inputs)))
        for index, values in enumerate(inputs):
            matrix[:, index] = values
        return matrix

    def _array(self, rows: Any) -> NDArray[np.float64]:
        size = math.prod(self.shape)
        if hasattr(rows, "columns"):
            names = list(rows.columns)
            if len(names) != size:
                names = [name for name in names if str(name).lower() not in _TARGETS]
            if len(names) != size:
                raise ValueError(f"{len(names)} columns; there must be {size}, one for each input")
            values = np.empty((len(rows), size))
            for index, name in enumerate(names):
                values[:, index] = _numbers(str(name), np.asarray(rows[name]))
            return values.reshape(len(values), *self.shape)
        try:
            values = np.asarray(rows, np.float64)
        except (TypeError, ValueError):
            raise ValueError("the rows hold something that is no number") from None
        if values.ndim < 2 or values.shape[1:] not in (self.shape, (size,)):
            raise ValueError(
                f"the rows have the shape {values.shape}; it must be (rows, "
                f"{', '.join(map(str, self.shape))})"
            )
        values = values.reshape(len(values), *self.shape)
        if row := _unusable_row(values):
            raise ValueError(f"row {row} has missing (NaN) or infinite values")
        return values


@dataclass(frozen=True)
class Predictor:
    """One trained model, or several whose outputs are averaged, and how rows become inputs."""

    preprocessing: Preprocessing
    members: tuple[Model, ...]

    def outputs(self, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the mean of the members' outputs, (rows, classes) or (rows, 1), in float64."""
        outputs = [member.predict(inputs) for member in self.members]
        mean: NDArray[np.float64] = np.mean(outputs, axis=0, dtype=np.float64)
        return mean

    def predict(self, rows: Any) -> dict[str, NDArray[Any]]:
        """Return predictions for rows as the source has them, by column; errors as `transform`."""
        return self.preprocessing.predictions(self.outputs(self.preprocessing.transform(rows)))

    def save(self, folder: Path) -> None:
        """Write the members and how they are read to a folder that is there.

        Raises ValueError where a model does not say by what function it is loaded.
        """
        loaders = [_checked_loader(getattr(member, "loader", None)) for member in self.members]
        for number, member in enumerate(self.members, start=1):
            member.save(_member_file(folder, number))
        table = {"preprocessing": self.preprocessing.to_table(), "loaders": loaders}
        text = json.dumps(table, indent=1, ensure_ascii=False)
        (folder / _FILE).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Predictor":
        """Return what `save` wrote; raise ValueError where a loader's name has a wrong form."""
        table = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        members = []
        for number, loader in enumerate(table["loaders"], start=1):
            module, _, name = _checked_loader(loader).partition(":")
            load = getattr(importlib.import_module(module), name)
            members.append(load(_member_file(folder, number)))
        return cls(Preprocessing.from_table(table["preprocessing"]), tuple(members))


def category(value: object) -> str:
    """Return a value as the name of a category: a whole number without its fraction."""
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _numbers(name: str, values: NDArray[Any]) -> NDArray[np.float64]:
    """Return a column of numbers; raise ValueError for the first that is none."""
    if values.dtype.kind in "iuf":
        numbers = values.astype(np.float64)
    else:
        numbers = np.empty(len(values))
        for row, value in enumerate(values, start=1):
            try:
                if isinstance(value, (bool, np.bool_)):
                    raise TypeError
                numbers[row - 1] = float(value)
            except (TypeError, ValueError):
                shown = _quoted(value)
                raise ValueError(f"column {name!r}, row {row}: {shown} is no number") from None
    if row := _unusable_row(numbers):
        raise ValueError(f"column {name!r}, row {row}: the number is missing (NaN) or infinite")
    return numbers


def _codes(column: Column, categories: tuple[str, ...], values: NDArray[Any]) -> NDArray[np.intp]:
    """Return the index of each value's category; raise ValueError for the first unknown."""
    known = {name: index for index, name in enumerate(categories)}
    codes = np.empty(len(values), np.intp)
    for row, value in enumerate(values, start=1):
        name = category(value)
        if column.type == "boolean":
            name = name.strip().capitalize()
        if name not in known:
            what = "a missing value" if value is None or value != value else _quoted(value)
            raise ValueError(
                f"column {column.name!r}, row {row}: {what} is none of the categories "
                f"{_listed(categories)}"
            )
        codes[row - 1] = known[name]
    return codes


def _unusable_row(values: NDArray[Any]) -> int:
    """Return the number, from 1, of the first row with a value that is not finite, or 0."""
    usable = np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
    return 0 if usable.all() else int(np.argmin(usable)) + 1


def _checked_loader(name: object) -> str:
    if not isinstance(name, str) or not _LOADER.fullmatch(name):
        raise ValueError(
            "a model needs an attribute `loader` that names a function to read its file, such as "
            f'"package.module:load", not {name!r}'
        )
    return name


def _member_file(folder: Path, number: int) -> Path:
    return folder / f"member-{number}.npz"


def _quoted(value: object) -> str:
    text = str(value)
    return repr(text if len(text) <= 60 else text[:57] + "…")


def _listed(names: Iterable[object]) -> str:
    every = list(names)
    more = f", … ({len(every)} in all)" if len(every) > _SHOWN else ""
    return ", ".join(_quoted(name) for name in every[:_SHOWN]) + more
