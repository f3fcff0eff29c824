"""Read data, split it into training, validation and test, and scale it by the training part."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo import wording
from hpo.data import sources
from hpo.data.files import fault
from hpo.data.folds import Folds
from hpo.data.predictor import Preprocessing, category, listed, quoted
from hpo.data.rows import Rows, Source
from hpo.data.scaling import (
    Filled,
    Statistics,
    as_few,
    filled_by,
    part_of,
    refuse_overflow,
    statistics_of,
)
from hpo.data.settings import DataSettings
from hpo.data.split import Drawing, split_rows
from hpo.objective import Data, Part, Task

_FEW = 20  # integers of at most so many distinct values can be classes


@dataclass(frozen=True, kw_only=True)
class Description:
    """The recorded description of the data; `digest` changes with any value in any part.

    `rows` counts the rows of "training", "validation" and "test"; `left_out` counts those in no
    part because they lack a value. `filled` has the filled values by column, and `notes` has what
    else was done that the file does not show. `shape` is that of one row's inputs, `features` are
    the names of a table's columns after one-hot encoding; `classes` has for each label its rows
    in the three parts. With `folds` the rows of training and validation are those of the first.
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
    folds: int = 0


@dataclass(frozen=True)
class Split:
    """The data split in parts: trials see `data`, training and validation, and never `test`.

    With `folds` trials see those, and `data` has all their rows as training rows. `preprocessing`
    converts rows of the source to the same inputs.
    """

    data: Data
    test: Part
    description: Description
    preprocessing: Preprocessing
    folds: Folds | None = None


def load(
    settings: DataSettings, *, seed: int, folder: Path, repeat: int = 0, folds: int = 0
) -> Split:
    """Read, shuffle, split and scale; equal settings, seed and files give equal arrays.

    Each `repeat` samples other validation rows from the same rows; the test rows stay the same.
    With `folds` each of these rows is used for validation once.

    Inputs are float32 (rows, …), C-contiguous; targets int64 indices of `classes`, or float32
    in units of `target_scale` about the training part's mean. A relative source is relative to
    `folder`. Classes are stratified: each has a row in every part, unless the source's own test
    set lacks it.

    Raises InputError for anything wrong with a setting or a file: one line that starts with the
    key, such as "[data] target: …".
    """
    for key, share in (("validation", settings.validation), ("test", settings.test)):
        if not 0 < share < 1:
            raise fault(key, f"must be a fraction between 0 and 1, such as 0.2, got {share}")
    if settings.rows is not None and settings.rows < 2:
        raise fault("rows", f"must be at least 2, got {settings.rows}")
    source = sources.read(settings.source, folder, settings.columns)
    task = _task(source, settings.task)
    labels = [source.training.labels] + ([source.test.labels] if source.test else [])
    classes: tuple[str, ...] = ()
    values = labels
    if task == "classification":
        classes, values = _classes(source, labels)
    codes = values[0] if classes else None
    drawn, held_out = split_rows(
        settings, Drawing(seed, repeat, folds), len(labels[0]), codes, source, classes
    )
    scale = settings.scale or ("range" if source.images else "standard")
    inputs = source.training.inputs

    def statistics_by(rows: NDArray[np.intp]) -> Statistics:
        return statistics_of(source, rows, scale, settings.impute, task)

    in_folds = Folds(
        inputs, values[0], tuple((*pair, statistics_by(pair[0])) for pair in drawn), task, classes
    ) if folds else None
    if in_folds is not None:
        refuse_overflow(source, [statistics for _, _, statistics in in_folds.folds])
    rows, validation_rows = drawn[0]
    numbers = {"training": len(rows), "validation": len(validation_rows)}
    by_class = [values[0][rows], values[0][validation_rows]]
    if folds:
        rows = np.concatenate(drawn[0])
    statistics = statistics_by(rows)

    def part(targets: NDArray[Any], rows: NDArray[np.intp], of: Rows = source.training) -> Part:
        return part_of(of.inputs, targets, rows, statistics, source.features)

    training = part(values[0], rows)
    validation = None if folds else part(values[0], validation_rows)
    if source.test is None:
        test = part(values[0], held_out)
    else:
        test = part(values[1], np.arange(len(source.test.inputs)), source.test)
    filled = filled_by(source, statistics.fill) if statistics.fill is not None else {}
    target_scale = statistics.target_scale or 1.0
    data = Data(training, validation, task, classes, target_scale)
    description = Description(
        source=settings.source,
        task=task,
        target=source.target,
        scale=scale,
        rows={**numbers, "test": len(test.targets)},
        left_out=source.left_out,
        filled=filled,
        notes=(*source.notes, *_notes(source, settings, filled)),
        shape=training.inputs.shape[1:],
        features=source.features,
        classes=_counts(classes, *by_class, test.targets),
        digest=_digest(data, test, in_folds),
        version=source.version,
        folds=folds,
    )
    preprocessing = Preprocessing(
        description.shape, source.columns, as_few(statistics.shift), as_few(statistics.spread),
        classes, source.target, statistics.target_mean, target_scale,
        settings.columns.notation,
        as_few(statistics.fill) if statistics.fill is not None else (),
    )
    return Split(data, test, description, preprocessing, in_folds)


def _task(source: Source, task: Task | None) -> Task:
    """Tell the task by the labels: plain are text, bool, categories and fractions.

    Whole numbers are classes where there are at most 20 distinct ones and on average five
    rows of each; otherwise they may be either, and the study file has to say.
    """
    labels = source.training.labels
    if labels.dtype.kind == "O":
        if task == "regression":
            raise fault(
                "task",
                f"regression needs numbers, but {source.labels} is text; choose other labels, or "
                'set task = "classification"',
            )
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
        f"{source.labels} has {distinct} distinct integers in {len(labels)} rows, which may be "
        'classes or amounts; set task = "classification" or "regression"',
    )


def _classes(
    source: Source, labels: list[NDArray[Any]]
) -> tuple[tuple[str, ...], list[NDArray[Any]]]:
    """Return the classes' names, numbers in order of number, and the labels as indices."""
    kinds = np.unique(labels[0])
    names = tuple(_name(kind) for kind in kinds)
    if broken := [name for name in names if any("\ud800" <= c <= "\udfff" for c in name)]:
        raise fault(source.key, f"{source.labels} is not valid Unicode: {listed(broken)}")
    if len(kinds) < 2:
        raise fault(
            source.key,
            f"{source.labels} has only one class, {quoted(names[0])}, but needs at least two",
        )
    for other in labels[1:]:
        if unknown := [_name(kind) for kind in np.setdiff1d(other, kinds)]:
            raise fault(
                source.key,
                f"the training set has no rows of the classes {listed(unknown)}, which the test "
                "set has; add such rows to the training set, or remove them from the test set",
            )
    return names, [np.searchsorted(kinds, each).astype(np.int64) for each in labels]


def _name(kind: Any) -> str:
    if isinstance(kind, (float, np.floating)) and float(kind).is_integer():
        return str(int(kind))
    return str(kind)


def _notes(source: Source, settings: DataSettings, filled: Mapping[str, Filled]) -> list[str]:
    """Say how many rows were left out, and what was filled with what."""
    notes = []
    if source.left_out:
        notes.append(
            f"{wording.count(source.left_out, 'row')} of {settings.source!r} with missing values "
            'left out (impute = "drop_rows")'
        )
    if filled:
        each = [
            f"{quoted(name)}: {one.missing} with "
            + (quoted(one.value) if isinstance(one.value, str) else category(one.value))
            for name, one in filled.items()
        ]
        more = f", … ({len(each)} columns in total)" if len(each) > _FEW else ""
        notes.append(
            f"missing values filled from the training part (impute = {settings.impute!r}): "
            + ", ".join(each[:_FEW]) + more
        )
    return notes


def _counts(
    classes: tuple[str, ...], *targets: NDArray[Any]
) -> dict[str, tuple[int, int, int]]:
    if not classes:
        return {}
    a, b, c = (np.bincount(each, minlength=len(classes)) for each in targets)
    return {name: (int(a[i]), int(b[i]), int(c[i])) for i, name in enumerate(classes)}


def _digest(data: Data, test: Part, folds: Folds | None) -> str:
    """Return 16 hexadecimal digits of all arrays, their types and shapes, and the classes."""
    sums = hashlib.sha256(repr(data.classes).encode())
    parts = {"training": data.training, "validation": data.validation, "test": test}
    arrays = [(name, a) for name, p in parts.items() if p for a in (p.inputs, p.targets)]
    for rows, validation_rows, _ in folds.folds if folds is not None else ():
        arrays += [("fold", rows), ("fold", validation_rows)]
    for name, array in arrays:
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        sums.update(f"{name} {little.dtype.str} {little.shape}".encode())
        sums.update(little.data)
    return sums.hexdigest()[:16]
