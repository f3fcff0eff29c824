"""A source is where rows come from: a bundled set, a folder of IDX files, a table, OpenML."""

import difflib
import math
import re
import socket
import struct
import warnings
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hpo.data import tables
from hpo.data.columns import FEW, WAYS, Examined, examine, marking, refusal, toml
from hpo.data.files import fault, most_unpacked, reason, too_much, unpacked
from hpo.data.predictor import Column, ColumnType, Notation, category, listed, quoted
from hpo.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

Impute: TypeAlias = Literal["median", "most_frequent", "drop_rows"]

KINDS = (
    f'"digits", a folder of IDX files (MNIST\'s names), a {tables.ENDINGS} file, a .npz file, '
    'or "openml:NAME"'
)
MOST_CATEGORIES = 100  # a text column with more distinct values is a name or a number, not a kind
_UNLABELED = 'say impute = "drop_rows" to leave out rows without a label, or remove them'
_LARGEST = float(np.finfo(np.float32).max)
_TYPES: Mapping[str, ColumnType] = {"O": "text", "b": "boolean"}  # of a column, by kind of array
_BOOLEANS = {"True": True, "TRUE": True, "true": True, "False": False, "FALSE": False,
             "false": False}  # as pandas reads them
_SHOWN = 20  # columns listed in an error
_CHUNK = 1 << 20  # bytes
_ARRAYS = ("inputs", "targets", "test_inputs", "test_targets")
_OPENML_NAME = re.compile(r"[\w.,()+-]*\w[\w.,()+-]*", re.ASCII)
_OPENML_TIMEOUT = 30.0  # seconds without an answer


@dataclass(frozen=True)
class ColumnSettings:
    """What a study file says of a table's columns, and of the values that are missing.

    `categories` are columns of names, whatever they look like.
    """

    target: str | None = None
    drop: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    notation: Notation = field(default_factory=Notation)
    impute: Impute | None = None


@dataclass(frozen=True)
class Rows:
    """Rows as a source has them: `inputs` (rows, …) of real numbers, `labels` (rows,).

    Labels are text (str objects), bool or real numbers, none missing. An input is NaN where it is
    missing, and it is so only where it will be filled.
    """

    inputs: NDArray[Any]
    labels: NDArray[Any]


@dataclass(frozen=True)
class Source:
    """What was read. `test` is None where the source brings no test set of its own.

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


def read(source: str, folder: Path, settings: ColumnSettings) -> Source:
    """Return the rows of `source`; a relative path is relative to `folder`.

    Raises InputError, naming the file at fault, where there are none or they cannot be used.
    """
    if source.startswith("openml:"):
        return _openml(source, settings)
    path = Path(folder, source)
    is_array = source != "digits" and path.suffix.lower() == ".npz"
    if source == "digits" or not tables.is_table(path):
        _refuse_settings(source, settings, is_array)
    if source == "digits":
        return _digits()
    try:
        if path.is_dir():
            return _idx_folder(path, source)
        if path.is_file():
            if is_array:
                return _npz(path, source, settings)
            if tables.is_table(path):
                table = tables.read(
                    path, source, text=settings.categories, notation=settings.notation
                )
                return _table(table, source, settings, typed=path.suffix.lower() == ".parquet")
            there = f"{str(path)!r} exists, but has no such ending: {tables.other_way(path)}"
        elif path.exists():
            there = f"{str(path)!r} is not a regular file"
        else:
            there = f"{str(path)!r} does not exist{_near(path, source)}"
    except (OSError, ValueError) as error:  # ValueError: a zero byte in a path
        raise fault("source", f"{source!r} cannot be read: {error}") from error
    raise fault("source", f"{source!r} is not a source; {there}; a source is {KINDS}")


def _refuse_settings(source: str, settings: ColumnSettings, is_array: bool) -> None:
    """Raise InputError for what is said of columns, or of missing values, that are not there."""
    notation = settings.notation
    columns = {
        "target": settings.target, "drop": settings.drop, "categories": settings.categories,
        "decimal": notation.decimal != ".", "thousands": notation.thousands,
        "units": notation.units,
    }  # fmt: skip
    for key, given in columns.items():
        if given:
            raise fault(key, f"{source!r} has no named columns; leave {key} out")
    for key, given in {"missing": notation.missing, "impute": settings.impute}.items():
        if given and not is_array:
            raise fault(key, f"no value of {source!r} can be missing; leave {key} out")


def _near(path: Path, source: str) -> str:
    """Say what is there instead of a file that does not exist."""
    try:
        names = [file.name for file in path.parent.iterdir()]
    except OSError:
        return f", nor does the folder {str(path.parent)!r}" if source else ""
    if near := difflib.get_close_matches(path.name, [*names, "digits"], 1):
        return f", did you mean {quoted(Path(source).with_name(near[0]))}?"
    return ", and a relative path is relative to the study file" if source else ""


def _digits() -> Source:
    from sklearn.datasets import load_digits

    digits = load_digits()
    rows = Rows(digits.images, digits.target)
    return Source(rows, images=True, classes_plain=True)


# IDX files


def _idx_folder(folder: Path, source: str) -> Source:
    parts = {}
    for prefix in ("train", "t10k"):
        images = _idx_file(folder, f"{prefix}-images", "idx3-ubyte")
        labels = _idx_file(folder, f"{prefix}-labels", "idx1-ubyte")
        if images is None and labels is None and prefix == "t10k":
            continue
        if images is None or labels is None:
            name = "images-idx3-ubyte" if images is None else "labels-idx1-ubyte"
            raise fault(
                "source", f"the folder {source!r} has no file {prefix}-{name} (plain or .gz)"
            )
        rows = Rows(_idx(images, 3, source), _idx(labels, 1, source))
        if len(rows.inputs) != len(rows.labels):
            raise fault(
                "source",
                f"{source!r}: {images.name} has {len(rows.inputs)} images, but {labels.name} has "
                f"{len(rows.labels)} labels; they do not belong together",
            )
        parts[prefix] = rows
    training, test = parts["train"], parts.get("t10k")
    if test is not None and test.inputs.shape[1:] != training.inputs.shape[1:]:
        shapes = [" x ".join(map(str, r.inputs.shape[1:])) for r in (training, test)]
        raise fault(
            "source", f"{source!r}: training images are {shapes[0]}, test images {shapes[1]}"
        )
    return Source(training, test, images=True, classes_plain=True)


def _idx_file(folder: Path, name: str, ending: str) -> Path | None:
    for separator in "-.":
        for compressed in ("", ".gz"):
            path = folder / f"{name}{separator}{ending}{compressed}"
            if path.is_file():
                return path
    return None


def _idx(path: Path, dimensions: int, source: str) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes, never trusting its header with memory."""
    where = f"{source!r}: {path.name}"
    header = 4 + 4 * dimensions
    size = path.stat().st_size
    with unpacked(path, where) as file:
        start = file.read(header)
        if len(start) < header:
            raise fault(
                "source", f"{where} ends within its header; it is truncated or no IDX file"
            )
        zeros, kind, found = struct.unpack(">HBB", start[:4])
        if zeros != 0 or found != dimensions:
            raise fault(
                "source",
                f"{where} begins with 0x{start[:4].hex()}, not with the magic number "
                f"0x000008{dimensions:02x}; it is no IDX file of {dimensions} dimensions",
            )
        if kind != 8:
            raise fault(
                "source", f"{where} has type byte 0x{kind:02x}; only unsigned bytes (0x08)"
            )
        shape = struct.unpack(f">{dimensions}I", start[4:])
        if path.suffix == ".gz" and math.prod(shape) > most_unpacked(size):
            promised = f"{' x '.join(map(str, shape))} = {math.prod(shape)} bytes, as it promises"
            raise too_much(where, promised, size, "unpack it; otherwise download it again")
        content = _read_at_most(file, math.prod(shape) + 1)
    if 0 in shape:
        raise fault("source", f"{where} is empty: its header says {' x '.join(map(str, shape))}")
    if len(content) != math.prod(shape):
        amount = "more" if len(content) > math.prod(shape) else f"only {len(content)}"
        raise fault(
            "source",
            f"{where} promises {' x '.join(map(str, shape))} = {math.prod(shape)} bytes, but holds "
            f"{amount}; download it again",
        )
    return np.frombuffer(content, np.uint8).reshape(shape)


def _read_at_most(file: BinaryIO, size: int) -> bytearray:
    content = bytearray()
    while len(content) < size and (chunk := file.read(min(_CHUNK, size - len(content)))):
        content += chunk
    return content


# NumPy archives


def _npz(path: Path, source: str, settings: ColumnSettings) -> Source:
    arrays: dict[str, NDArray[Any]] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
            for name in _ARRAYS:
                if name in names:
                    arrays[name] = _array(archive, name, source)
    except InputError:
        raise
    except Exception as error:  # broken archives raise a dozen kinds, down to struct.error
        raise fault("source", f"{source!r} is no whole .npz file ({reason(error)})") from error
    if "inputs" not in arrays or "targets" not in arrays:
        missing = listed(n for n in ("inputs", "targets") if n not in arrays)
        raise fault(
            "source",
            f"{source!r} has no array {missing}; its arrays are {listed(names) or 'none'}; save it "
            "with np.savez(file, inputs=…, targets=…)",
        )
    if ("test_inputs" in arrays) != ("test_targets" in arrays):
        raise fault(
            "source", f"{source!r} has one of test_inputs and test_targets; give both or none"
        )
    training, left_out = _checked(arrays["inputs"], arrays["targets"], "", source, settings)
    test = None
    if "test_inputs" in arrays:
        test, more = _checked(
            arrays["test_inputs"], arrays["test_targets"], "test_", source, settings
        )
        left_out += more
        if test.inputs.shape[1:] != training.inputs.shape[1:]:
            shapes = f"{training.inputs.shape[1:]}, of test_inputs {test.inputs.shape[1:]}"
            raise fault("source", f"{source!r}: one row of inputs has the shape {shapes}")
        if (test.labels.dtype.kind == "O") != (training.labels.dtype.kind == "O"):
            raise fault("source", f"{source!r}: of targets and test_targets only one is text")
    labels = f"targets of {source!r}"
    return Source(
        training, test, images=training.inputs.ndim > 2, labels=labels, left_out=left_out
    )


def _array(archive: zipfile.ZipFile, name: str, source: str) -> NDArray[Any]:
    """Read one array, after comparing what its header promises with what is there."""
    member = archive.getinfo(f"{name}.npy")
    if member.file_size > most_unpacked(member.compress_size, 16):
        raise _too_much_npz(source, name, member)
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        else:
            shape, _, dtype = np.lib.format.read_array_header_2_0(file)
        content = member.file_size - file.tell()
    if dtype.hasobject:
        raise fault(
            "source", f"{source!r}: {name} holds Python objects; save numbers or text instead"
        )
    if min(shape, default=1) < 0 or math.prod(shape) * dtype.itemsize != content:
        raise fault(
            "source", f"{source!r}: {name} promises {shape} of {dtype}, but has {content} bytes"
        )
    if content > most_unpacked(member.compress_size, dtype.itemsize):
        raise _too_much_npz(source, name, member)
    with archive.open(member) as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
    # Python's strings check their characters, NumPy's do not.
    return array.astype(object) if array.dtype.kind == "U" else array


def _too_much_npz(source: str, name: str, member: zipfile.ZipInfo) -> InputError:
    promised = f"{member.file_size} bytes"
    return too_much(
        f"{source!r}: {name}", promised, member.compress_size, "save it with np.savez, uncompressed"
    )


def _checked(
    inputs: NDArray[Any], labels: NDArray[Any], prefix: str, source: str, settings: ColumnSettings
) -> tuple[Rows, int]:
    """Return the rows of two arrays, and how many were left out."""
    first, second = f"{source!r}: {prefix}inputs", f"{source!r}: {prefix}targets"
    if inputs.dtype.kind not in "biuf":
        raise fault(
            "source",
            f"{first} have the type {'text' if inputs.dtype.kind == 'O' else inputs.dtype}; they "
            "must be real numbers, as inputs.astype(float) gives",
        )
    if labels.dtype.kind not in "biufO":
        raise fault(
            "source",
            f"{second} have the type {labels.dtype}; they must be real numbers, bool or text",
        )
    if inputs.ndim < 2 or 0 in inputs.shape:
        raise fault(
            "source", f"{first} have the shape {inputs.shape}; it must be (rows, features, …)"
        )
    if labels.ndim != 1:
        raise fault("source", f"{second} have the shape {labels.shape}; it must be (rows,)")
    if len(inputs) != len(labels):
        raise fault(
            "source",
            f"{first} have {len(inputs)} rows, but {prefix}targets {len(labels)}; "
            "each row needs one target",
        )
    inputs, labels = (_marked(each, settings.notation) for each in (inputs, labels))
    if problem := _unusable(inputs):
        raise fault("source", f"{first} have {problem}; remove or replace those rows")
    empty = np.isnan(inputs) if inputs.dtype.kind == "f" else np.zeros(inputs.shape, bool)
    without = empty.any(axis=tuple(range(1, inputs.ndim)))
    if settings.impute is None and without.any():
        raise fault(
            "source", f"{first} have {int(empty.sum())} missing values (NaN); say {WAYS}, or fill "
            "them in the file",
        )
    cells = _array_cells(labels, settings.notation)
    if cells.mixed is not None:
        raise fault("source", _refusal([cells.mixed], settings, False, second))
    if (count := int(cells.missing.sum())) and settings.impute != "drop_rows":
        raise fault("source", f"{second} have {count} missing values; {_UNLABELED}")
    if problem := _unusable(cells.values[~cells.missing]):
        raise fault("source", f"{second} have {problem}; remove those rows")
    if settings.impute != "drop_rows":
        return Rows(inputs, cells.values), 0
    kept = ~(without | cells.missing)
    if not kept.any():
        raise fault("impute", f"drop_rows leaves no row of {prefix}inputs; fill values instead")
    if kept.all():
        return Rows(inputs, cells.values), 0
    return Rows(inputs[kept], cells.values[kept]), int((~kept).sum())


def _marked(values: NDArray[Any], notation: Notation) -> NDArray[Any]:
    """Return numbers with NaN where they are marks of a missing value."""
    if values.dtype.kind not in "iuf" or not notation.missing_numbers:
        return values
    marked = np.isin(values, list(notation.missing_numbers))
    return np.where(marked, np.nan, values) if marked.any() else values


def _unusable(values: NDArray[Any]) -> str:
    """Say what keeps numbers that are not missing from being float32, or nothing."""
    if values.dtype.kind != "f" or not values.size:
        return ""
    if infinite := int(np.isinf(values).sum()):
        return f"{infinite} infinite values"
    largest = np.nanmax(np.abs(values), initial=0)
    return f"values up to {largest:.3g}, too large for float32" if largest > _LARGEST else ""


# Tables


def _openml(source: str, settings: ColumnSettings) -> Source:
    """Fetch from openml.org, or from scikit-learn's cache in SCIKIT_LEARN_DATA."""
    from sklearn.datasets import fetch_openml

    name = source.removeprefix("openml:").strip()
    if not _OPENML_NAME.fullmatch(name):  # it becomes part of an address and of a path
        raise fault("source", f'{source!r} has no usable name; write "openml:NAME"')
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_OPENML_TIMEOUT)  # fetch_openml itself would wait without end
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of retries, and of several versions: it is recorded
            fetched = fetch_openml(name, as_frame=True, parser="auto", n_retries=1)
        table, proposed = fetched.frame, list(fetched.target_names)
        version = str(fetched.details.get("version", ""))
    except OSError as error:  # URLError and timeouts among them
        raise fault(
            "source",
            f"{source!r} cannot be fetched ({error}); check the network, or download the set and "
            "give a file",
        ) from error
    except Exception as error:
        raise fault("source", f"{source!r} cannot be used ({reason(error)})") from error
    finally:
        socket.setdefaulttimeout(before)
    if settings.target is None and len(proposed) == 1:
        settings = replace(settings, target=str(proposed[0]))
    return replace(_table(table, source, settings), version=version)


@dataclass(frozen=True)
class _Cells:
    """The cells of a column: numbers, text (objects) or bool, and which of them are missing.

    `values` has all rows, and what stands where one is missing has no meaning. `mixed` tells what
    keeps a text column from being read.
    """

    name: str
    values: NDArray[Any]
    missing: NDArray[np.bool_]
    is_category: bool = False
    unit: str = ""
    mixed: Examined | None = None
    notes: tuple[str, ...] = ()


def _table(
    table: "pd.DataFrame", source: str, settings: ColumnSettings, *, typed: bool = True
) -> Source:
    """Turn columns into arrays: text, categories and bool one-hot, numbers as they are.

    `typed` says whether the file tells text from numbers, as CSV does not.
    """
    target, drop, impute = settings.target, settings.drop, settings.impute
    table, notes = tables.without_nameless(
        table, source, {*drop, *settings.categories, *([target] if target else [])}
    )
    names = list(table.columns)
    if target is None:
        raise fault(
            "target", f"name the label's column; the columns of {source!r} are {listed(names)}"
        )
    said = [("drop", name) for name in drop] + [("categories", n) for n in settings.categories]
    for key, name in (("target", target), *said):
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            hint = f", did you mean {quoted(near[0])}?" if near else ""
            columns = f"the columns of {source!r} are {listed(names)}"
            raise fault(key, f"no column {quoted(name)}; {columns}{hint}")
    if target in drop:
        raise fault("drop", f"{quoted(target)} is the target; it cannot be dropped")
    if not len(table):
        raise fault("source", f"{source!r} has no rows below its column names")
    kept = [name for name in names if name != target and name not in drop]
    if not kept:
        raise fault("drop", f"no input columns of {source!r} are left")
    label, *inputs = (
        _cells(table[name], "target" if name == target else "source", source, settings, typed)
        for name in [target, *kept]
    )
    _refuse_mixed(label, inputs, source, settings)
    _refuse_missing(label, inputs, source, settings)
    left_out = 0
    if impute == "drop_rows":
        rows = ~np.any([cells.missing for cells in (label, *inputs)], axis=0)
        left_out = int((~rows).sum())
        if left_out == len(rows):
            raise fault("impute", f"drop_rows leaves no row of {source!r}; fill values instead")
        label, *inputs = (
            replace(cells, values=cells.values[rows], missing=cells.missing[rows])
            for cells in (label, *inputs)
        )
    if problem := _unusable(label.values):
        raise fault("target", f"column {quoted(target)} of {source!r} has {problem}; correct them")
    matrix, kept_columns, features, indicators = _matrix(inputs, source)
    notes += [note for cells in (label, *inputs) for note in cells.notes]
    constant = [c.name for c in inputs if not c.missing.any() and (c.values == c.values[0]).all()]
    if constant:
        notes.append(f"the same value in all rows of {listed(constant)}: it tells a model nothing")
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


def _refuse_mixed(
    label: _Cells, inputs: Sequence[_Cells], source: str, settings: ColumnSettings
) -> None:
    """Raise InputError where columns hold numbers, but also something else."""
    mixed = [cells.mixed for cells in (label, *inputs) if cells.mixed is not None]
    if not mixed:
        return
    numbers = [cells.values for cells in (label, *inputs) if cells.values.dtype.kind == "f"]
    points = settings.notation.is_plain and any(
        (n != np.floor(n))[np.isfinite(n)].any() for n in numbers
    )
    key = "source" if any(cells.mixed for cells in inputs) else "target"
    raise fault(key, _refusal(mixed, settings, points, repr(source)))


def _refusal(
    mixed: Sequence[Examined], settings: ColumnSettings, points: bool, where: str
) -> str:
    return refusal(
        mixed, settings.notation, impute=settings.impute is not None, points=points, where=where
    )


def _refuse_missing(
    label: _Cells, inputs: Sequence[_Cells], source: str, settings: ColumnSettings
) -> None:
    """Raise InputError where values are missing that nothing is said of, or are infinite."""
    impute = settings.impute
    if (count := int(label.missing.sum())) and impute != "drop_rows":
        where = f"column {quoted(label.name)} of {source!r}"
        raise fault("target", f"{where} has {count} missing values; {_UNLABELED}")
    if empty := [cells.name for cells in (label, *inputs) if cells.missing.all()]:
        raise fault(
            "source", f"{source!r} has no value in {listed(empty)}; leave that out with "
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
        remedies.append(f"say {WAYS}, or fill them in the file")
    if any(infinite.values()):
        problems.append(f"infinite values in {_counts(infinite)}")
        said = marking(("inf", "-inf"), settings.notation, impute=impute is not None)
        remedies.append(
            f"correct what is infinite, or, where it stands for missing values, say {said}"
        )
    if problems:
        raise fault("source", f"{source!r} has {', '.join(problems)}; {'; '.join(remedies)}")


def _counts(counts: Mapping[str, int]) -> str:
    """Return names with their counts, where these are not 0."""
    at_fault = [f"{quoted(name)} ({n})" for name, n in counts.items() if n]
    more = f", … ({len(at_fault)} in all)" if len(at_fault) > _SHOWN else ""
    return ", ".join(at_fault[:_SHOWN]) + more


def _matrix(
    inputs: Sequence[_Cells], source: str
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
        if problem := _unusable(values):
            raise fault(
                "source",
                f"column {quoted(cells.name)} of {source!r} has {problem}; write it in larger "
                "units",
            )
        columns.append(Column(cells.name, unit=cells.unit))
        arrays.append(values)
        features.append(cells.name)
        indicators.append(False)
    matrix = np.empty((len(inputs[0].values), len(arrays)))
    for index, array in enumerate(arrays):
        matrix[:, index] = array
    return matrix, tuple(columns), tuple(features), np.array(indicators)


def _too_many(cells: _Cells, kinds: NDArray[Any], source: str) -> InputError:
    what, remedy = "text", "add it to drop"
    numbers = [Notation().number(kind) is not None for kind in kinds if isinstance(kind, str)]
    if kinds.dtype.kind == "O" and examine(cells.name, Counter(kinds), Notation()).are_dates:
        remedy = "it holds dates: make numbers of them (a year, days since …), or add it to drop"
    elif 2 * sum(numbers) > len(numbers):
        other = kinds[numbers.index(False)] if False in numbers else kinds[0]
        remedy = f"{sum(numbers)} of them are numbers: correct the others, such as {quoted(other)}"
    elif kinds.dtype.kind != "O":
        what, remedy = "categorical", "save it as numbers, or add it to drop"
    return fault(
        "source",
        f"{what} column {quoted(cells.name)} of {source!r} has {len(kinds)} distinct values, more "
        f"than {MOST_CATEGORIES} to make one-hot; {remedy}",
    )


def _cells(
    column: "pd.Series[Any]", key: str, source: str, settings: ColumnSettings, typed: bool
) -> _Cells:
    """Return what a column of a table holds.

    Raises InputError where that is neither numbers nor text nor bool.
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
            if max(abs(value) for value in values) > _LARGEST:  # beyond 64 bits
                raise fault(
                    key, f"column {quoted(name)} of {source!r} has integers too large for "
                    "float32; write it in larger units",
                )
            values = values.astype(np.float64)
        elif kinds:
            types = "/".join(sorted(kind.__name__ for kind in kinds))
            remedy = "make numbers of it" + (", or add it to drop" if key == "source" else "")
            raise fault(
                key, f"column {quoted(name)} of {source!r} holds {types} ({column.dtype}), neither "
                f"numbers nor text nor bool; {remedy}",
            )
        else:
            values = np.zeros(0)
    marks = np.isnan(marked) if (marked := _marked(values, settings.notation)).dtype.kind == "f" \
        else np.zeros(len(values), np.bool_)
    if named and values.dtype.kind in "iuf":
        values = np.array([category(value) for value in values], object)
    return _spread(_Cells(name, values, marks, is_category), missing)


def _array_cells(labels: NDArray[Any], notation: Notation) -> _Cells:
    """Return what an array of labels holds."""
    if labels.dtype.kind == "O":
        return _text_cells("targets", labels, notation, True, False)
    missing = np.isnan(labels) if labels.dtype.kind == "f" else np.zeros(len(labels), np.bool_)
    return _Cells("targets", labels, missing)


def _text_cells(
    name: str, values: NDArray[Any], notation: Notation, typed: bool, is_category: bool
) -> _Cells:
    """Return what cells of text hold: names, truth values, or numbers."""
    counts = Counter(values)
    marks = {text for text in counts if notation.is_missing(text)}
    missing = np.array([text in marks for text in values], np.bool_)
    for mark in marks:
        del counts[mark]
    as_text = _Cells(name, values, missing, True)
    if is_category or not counts:
        return as_text
    found = examine(name, counts, notation)
    if not typed and (truths := counts.keys() & _BOOLEANS.keys()):
        if truths == counts.keys():
            booleans = np.array([_BOOLEANS.get(text, False) for text in values], np.bool_)
            return replace(as_text, values=booleans)
        if counts.keys() - truths <= {"0", "1"}:
            return replace(as_text, mixed=replace(found, kind="mixed", marks={}, problem=(
                f"write the truth values of {quoted(name)} in one way, not {quoted(min(truths))} "
                f"beside {quoted(min(counts.keys() - truths))}"
            )))
    if found.kind == "mixed":
        return replace(as_text, mixed=found)
    if found.kind == "text":
        notes = [
            f"{quoted(mark)} is taken for a category of column {quoted(name)} ({n} rows); where it "
            f"stands for a missing value, say missing = {toml([*notation.missing, mark])}"
            for mark, n in found.marks.items()
        ]
        if found.are_dates and len(counts) <= MOST_CATEGORIES:
            notes.append(f"column {quoted(name)} holds dates or times: each of its {len(counts)} "
                         "is taken for a category")
        return replace(as_text, notes=tuple(notes[:FEW]))
    if typed and not found.seem_amounts:
        return replace(as_text, notes=(
            f"the numbers in column {quoted(name)} are text: each of its {len(counts)} is taken "
            "for a category",
        ))
    if typed and notation.is_plain and not marks:
        example = quoted(next(iter(counts)))
        return replace(as_text, mixed=replace(found, kind="mixed", problem=(
            f"save {quoted(name)} as numbers, it is text such as {example}"
        )))
    numbers = {text: notation.number(text) for text in counts}
    read = np.array([numbers.get(text, 0.0) for text in values], np.float64)
    return _Cells(name, read, missing, unit=found.unit)


def _spread(cells: _Cells, missing: NDArray[np.bool_]) -> _Cells:
    """Return cells of those rows where something is as cells of all rows."""
    if not missing.any():
        return cells
    values = np.zeros(len(missing), cells.values.dtype)
    values[~missing] = cells.values
    every = missing.copy()
    every[~missing] = cells.missing
    return replace(cells, values=values, missing=every)
