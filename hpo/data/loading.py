"""Data is read, split into training, validation and test, and scaled by the training part."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo.data import sources
from hpo.data.files import fault
from hpo.data.predictor import Preprocessing, category, listed, quoted
from hpo.data.rows import Source
from hpo.data.scaling import (
    Filled,
    as_few,
    impute_missing,
    scale_inputs,
    shift_and_spread,
    standardize_targets,
    values_to_impute,
)
from hpo.data.settings import DataSettings
from hpo.data.split import split_rows
from hpo.objective import Data, Part, Task

_FEW = 20  # integers of at most so many distinct values can be classes


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
    rows, validation_rows, held_out = split_rows(
        settings, seed, repeat, len(labels[0]), codes, source, classes
    )

    fill: tuple[float, ...] = ()
    filled: dict[str, Filled] = {}
    if settings.impute in ("median", "most_frequent"):
        stand_ins = values_to_impute(source, rows, settings.impute)
        filled, fill = impute_missing(source, stand_ins), as_few(stand_ins)
    scale = settings.scale or ("range" if source.images else "standard")
    inputs = source.training.inputs
    shift, spread = shift_and_spread(inputs, rows, scale, source)
    targets, target_mean, target_scale = values, 0.0, 1.0
    if task == "regression":
        targets, target_mean, target_scale = standardize_targets(values, rows, source)

    def part(inputs: NDArray[Any], targets: NDArray[Any], rows: NDArray[np.intp]) -> Part:
        return Part(scale_inputs(inputs, rows, shift, spread, source), targets[rows])

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
        description.shape, source.columns, as_few(shift), as_few(spread), classes,
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
