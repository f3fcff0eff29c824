"""Data is read, split into training, validation and test, and scaled by the training part."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hpo.data import sources
from hpo.data.files import fault
from hpo.data.predictor import Notation, Preprocessing, category, listed, quoted
from hpo.data.sources import ColumnSettings, Impute, Source
from hpo.objective import Data, Part, Task

_CHUNK = 1024  # rows converted at a time, so that no second copy of the inputs is needed
_GROUPING = ("", ",", ".", " ", "'")  # what may separate groups of three digits
_FEW = 20  # integers of at most so many distinct values can be classes


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
    """

    source: str = "digits"
    validation: float = 0.2
    test: float = 0.2
    target: str | None = None
    drop: tuple[str, ...] = ()
    task: Task | None = None
    rows: int | None = None
    scale: Literal["standard", "range", "none"] | None = None
    missing: tuple[str, ...] = ()
    decimal: Literal[".", ","] = "."
    thousands: str = ""
    units: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    impute: Impute | None = None

    def __post_init__(self) -> None:
        if self.thousands not in _GROUPING:
            one = ", ".join(map(repr, _GROUPING[1:]))
            raise ValueError(f"thousands {self.thousands!r} separates no groups; use one of {one}")
        if self.thousands == self.decimal:
            raise ValueError(
                f"thousands {self.thousands!r} is the decimal mark as well; say another decimal"
            )
        for unit in self.units:
            if not unit.strip(" .,'") or any(c.isdecimal() or c in "+-()" for c in unit):
                raise ValueError(
                    f"units {unit!r} is none: a unit is a sign or a word, without digits, plus, "
                    "minus or brackets"
                )

    @property
    def columns(self) -> ColumnSettings:
        """What they say of columns and of what is missing."""
        notation = Notation(self.missing, self.decimal, self.thousands, self.units)
        return ColumnSettings(self.target, self.drop, self.categories, notation, self.impute)


@dataclass(frozen=True)
class Filled:
    """How many values of a column were missing, in all parts, and what stands in for them."""

    missing: int
    value: float | str


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a record says of the data; `digest` changes with any value in any part.

    `rows` counts the rows of "training", "validation" and "test", `left_out` those that are in
    none since they lack a value; `filled` says by column how others were filled, and `notes` what
    else was done that the file does not show. `shape` is that of one row's inputs, `features` the
    names of a table's columns after one-hot; `classes` gives for each label its rows in these
    three parts.
    """

    source: str
    task: Task
    target: str | None
    scale: str
    rows: Mapping[str, int]
    left_out: int = 0
    filled: Mapping[str, Filled] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    shape: tuple[int, ...]
    features: tuple[str, ...]
    classes: Mapping[str, tuple[int, int, int]]
    digest: str
    version: str = ""  # of a set from OpenML


@dataclass(frozen=True)
class Split:
    """`data` is what trials see, training and validation; `test` they never see.

    `preprocessing` makes of rows as the source has them the same inputs.
    """

    data: Data
    test: Part
    description: Description
    preprocessing: Preprocessing


def load(settings: DataSettings, *, seed: int, folder: Path, repeat: int = 0) -> Split:
    """Read, shuffle, split and scale; equal settings, seed and files give equal arrays.

    Each `repeat` draws other validation rows, from the same rows: the test rows stay the same.

    Inputs are float32 (rows, …), C-contiguous; targets int64 indices of `classes`, or float32
    in units of `target_scale` about the training part's mean. A relative source is relative to
    `folder`. Classes are stratified: each has a row in every part, unless the source's own test
    set lacks it.

    Raises InputError for all that is wrong with a setting or a file: one line that begins with
    the key, such as "[data] target: …".
    """
    for key, share in (("validation", settings.validation), ("test", settings.test)):
        if not 0 < share < 1:
            raise fault(key, f"{share} is not a share between 0 and 1, such as 0.2")
    if settings.rows is not None and settings.rows < 2:
        raise fault("rows", f"{settings.rows} rows cannot be split in two; give a larger number")
    source = sources.read(settings.source, folder, settings.columns)
    task = _task(source, settings.task)
    labels = [source.training.labels] + ([source.test.labels] if source.test else [])
    classes: tuple[str, ...] = ()
    values = labels
    if task == "classification":
        classes, values = _classes(source, labels)
    codes = values[0] if classes else None
    rows, validation_rows, held_out = _split(
        settings, seed, repeat, len(labels[0]), codes, source, classes
    )

    fill: tuple[float, ...] = ()
    filled: dict[str, Filled] = {}
    if settings.impute in ("median", "most_frequent"):
        stand_ins = _fill(source, rows, settings.impute)
        filled, fill = _filled(source, stand_ins), _collapsed(stand_ins)
    scale = settings.scale or ("range" if source.images else "standard")
    inputs = source.training.inputs
    shift, spread = _statistics(inputs, rows, scale, source)
    targets, target_mean, target_scale = values, 0.0, 1.0
    if task == "regression":
        targets, target_mean, target_scale = _standardized(values, rows, source)

    def part(inputs: NDArray[Any], targets: NDArray[Any], rows: NDArray[np.intp]) -> Part:
        return Part(_scaled(inputs, rows, shift, spread, source), targets[rows])

    training = part(inputs, targets[0], rows)
    validation = part(inputs, targets[0], validation_rows)
    if source.test is None:
        test = part(inputs, targets[0], held_out)
    else:
        test = part(source.test.inputs, targets[1], np.arange(len(source.test.inputs)))
    parts = {"training": training, "validation": validation, "test": test}
    description = Description(
        source=settings.source,
        task=task,
        target=source.target,
        scale=scale,
        rows={name: len(part.targets) for name, part in parts.items()},
        left_out=source.left_out,
        filled=filled,
        notes=(*source.notes, *_notes(source, settings, filled)),
        shape=training.inputs.shape[1:],
        features=source.features,
        classes=_counts(classes, training, validation, test),
        digest=_digest(parts, classes),
        version=source.version,
    )
    preprocessing = Preprocessing(
        description.shape, source.columns, _collapsed(shift), _collapsed(spread), classes,
        source.target, target_mean, target_scale, settings.columns.notation, fill,
    )
    data = Data(training, validation, task, classes, target_scale)
    return Split(data, test, description, preprocessing)


def _task(source: Source, task: Task | None) -> Task:
    """Tell the task by the labels: plain are text, bool, categories and fractions.

    Whole numbers are classes where there are at most 20 distinct ones and on average five
    rows of each; otherwise they may be either, and the study file has to say.
    """
    labels = source.training.labels
    if labels.dtype.kind == "O":
        if task == "regression":
            raise fault("task", f"regression needs numbers, but {source.labels} is text")
        return "classification"
    if task is not None:
        return task
    if source.classes_plain or labels.dtype.kind == "b":
        return "classification"
    if labels.dtype.kind == "f" and (labels != np.floor(labels)).any():
        return "regression"
    distinct = len(np.unique(labels))
    if distinct <= _FEW and 5 * distinct <= len(labels):
        return "classification"
    raise fault(
        "task",
        f"{source.labels} has {distinct} distinct whole numbers in {len(labels)} rows, which may "
        'be classes or amounts; say task = "classification" or "regression"',
    )


def _classes(
    source: Source, labels: list[NDArray[Any]]
) -> tuple[tuple[str, ...], list[NDArray[Any]]]:
    """Return the classes' names, numbers in order of number, and the labels as indices."""
    kinds = np.unique(labels[0])
    names = tuple(_name(kind) for kind in kinds)
    if broken := [name for name in names if any("\ud800" <= c <= "\udfff" for c in name)]:
        raise fault(source.key, f"{source.labels} is not Unicode text: {listed(broken)}")
    if len(kinds) < 2:
        raise fault(
            source.key, f"{source.labels} has one class only, {quoted(names[0])}; it needs two"
        )
    for other in labels[1:]:
        if unknown := [_name(kind) for kind in np.setdiff1d(other, kinds)]:
            raise fault(
                source.key,
                f"the test set has classes {listed(unknown)}, but the training set has not; add "
                "rows of them to it, or remove them from the test set",
            )
    return names, [np.searchsorted(kinds, each).astype(np.int64) for each in labels]


def _name(kind: Any) -> str:
    if isinstance(kind, (float, np.floating)) and float(kind).is_integer():
        return str(int(kind))
    return str(kind)


def _split(
    settings: DataSettings,
    seed: int,
    repeat: int,
    number: int,
    codes: NDArray[np.int64] | None,
    source: Source,
    classes: tuple[str, ...],
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Return which rows train, validate and test; the last are none where the source has its own.

    Test rows are held out first, so that they depend on no other setting.
    """
    children = np.random.SeedSequence(seed).spawn(3)
    if repeat:
        children[2] = np.random.SeedSequence(seed, spawn_key=(2, repeat))
    rngs = [np.random.default_rng(child) for child in children]
    rows: NDArray[np.intp] = np.arange(number)
    held_out = rows[:0]
    if source.test is None:
        count = math.ceil(round(settings.test * len(rows), 6))
        rows, held_out = _draw("test", rows, codes, count, rngs[0], classes, (1, 2))
    if settings.rows is not None and settings.rows != len(rows):
        if settings.rows > len(rows):
            raise fault(
                "rows", f"{settings.rows}, but there are {len(rows)} training rows; lower it"
            )
        _, rows = _draw("rows", rows, codes, settings.rows, rngs[1], classes, (2, 0))
    count = math.ceil(round(settings.validation * len(rows), 6))
    rows, validation = _draw("validation", rows, codes, count, rngs[2], classes, (1, 1))
    return rows, validation, held_out


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
                key, f"{count} of {number} rows leave a part empty; change {key} or add rows"
            )
        return shuffled[count:], shuffled[:count]
    found = codes[shuffled]
    sizes = np.bincount(found, minlength=kinds)
    smallest = int(sizes.argmin())
    if sizes[smallest] < each + later:
        raise fault(
            key,
            f"class {quoted(classes[smallest])} has {sizes[smallest]} of the {each + later} rows "
            "that it needs to be in every part; remove the class, add rows of it, or, where the "
            'labels are amounts, say task = "regression"',
        )
    if not least <= count <= most:
        raise fault(
            key,
            f"{count} of {number} rows cannot give each of {kinds} classes its rows in every part "
            f"(possible: {least} to {most}); change {key} or add rows",
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


def _statistics(
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


def _scaled(
    inputs: NDArray[Any],
    rows: NDArray[np.intp],
    shift: NDArray[np.float64],
    spread: NDArray[np.float64],
    source: Source,
) -> NDArray[np.float32]:
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


def _standardized(
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


def _fill(source: Source, rows: NDArray[np.intp], impute: Impute) -> NDArray[np.float64]:
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


def _filled(source: Source, fill: NDArray[np.float64]) -> dict[str, Filled]:
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


def _notes(source: Source, settings: DataSettings, filled: Mapping[str, Filled]) -> list[str]:
    """Say how many rows were left out, and what was filled with what."""
    notes = []
    if source.left_out:
        notes.append(
            f'{source.left_out} rows of {settings.source!r} are left out (impute = "drop_rows"): '
            "they lack a value"
        )
    if filled:
        each = [
            f"{quoted(name)}: {one.missing} with "
            + (quoted(one.value) if isinstance(one.value, str) else category(one.value))
            for name, one in filled.items()
        ]
        more = f", … ({len(each)} columns in all)" if len(each) > _FEW else ""
        notes.append(
            f"missing values filled by the training part (impute = {settings.impute!r}): "
            + ", ".join(each[:_FEW]) + more
        )
    return notes


def _collapsed(numbers: NDArray[np.float64]) -> tuple[float, ...]:
    """Return one number for each input of a row, or one where all are equal."""
    flat = [float(number) for number in numbers.ravel()]
    return tuple(flat[:1] if len(set(flat)) == 1 else flat)


def _counts(classes: tuple[str, ...], *parts: Part) -> dict[str, tuple[int, int, int]]:
    if not classes:
        return {}
    a, b, c = (np.bincount(part.targets, minlength=len(classes)) for part in parts)
    return {name: (int(a[i]), int(b[i]), int(c[i])) for i, name in enumerate(classes)}


def _digest(parts: Mapping[str, Part], classes: tuple[str, ...]) -> str:
    """Return 16 hexadecimal digits of all arrays, their types and shapes, and the classes."""
    sums = hashlib.sha256(repr(classes).encode())
    for name, part in parts.items():
        for array in (part.inputs, part.targets):
            little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
            sums.update(f"{name} {little.dtype.str} {little.shape}".encode())
            sums.update(little.data)
    return sums.hexdigest()[:16]
