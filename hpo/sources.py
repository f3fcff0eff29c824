"""A source is where rows come from: a bundled set, a folder of IDX files, a table, OpenML."""

import difflib
import gzip
import json
import math
import re
import socket
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from hpo.errors import InputError
from hpo.predictor import Column, ColumnType, category

if TYPE_CHECKING:
    import pandas as pd

KINDS = (
    '"digits", a folder of IDX files (MNIST\'s names), a .csv, .parquet or .npz file, '
    'or "openml:NAME"'
)
MOST_CATEGORIES = 100  # a text column with more distinct values is a name or a number, not a kind
_LARGEST = float(np.finfo(np.float32).max)
_TYPES: Mapping[str, ColumnType] = {"O": "text", "b": "boolean"}  # of a column, by kind of array
_SHOWN = 20  # columns listed in an error
_CHUNK = 1 << 20  # bytes
_OPENML_NAME = re.compile(r"[\w.,()+-]*\w[\w.,()+-]*", re.ASCII)
_OPENML_TIMEOUT = 30.0  # seconds without an answer


@dataclass(frozen=True)
class Rows:
    """Rows as a source has them: `inputs` (rows, …) of real numbers, `labels` (rows,).

    Labels are text (str objects), bool or real numbers; nothing is missing.
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
    `version` is that of a set from OpenML.
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

    @property
    def key(self) -> str:
        """The key of the study file that chose the labels."""
        return "source" if self.target is None else "target"


def fault(key: str, problem: str) -> InputError:
    """Return the error of a key under [data], one line of printable text."""
    line = " ".join(f"[data] {key}: {problem}".split())
    return InputError("".join(c if c.isprintable() else "\ufffd" for c in line))


def quoted(name: object) -> str:
    """Return a name from a file for an error message: short, and its oddities escaped."""
    text = str(name)
    return repr(text if len(text) <= 60 else text[:57] + "…")


def listed(names: Iterable[object]) -> str:
    """Return names for an error message, the first 20 of them."""
    every = list(names)
    more = f", … ({len(every)} in all)" if len(every) > _SHOWN else ""
    return ", ".join(quoted(name) for name in every[:_SHOWN]) + more


def _reason(error: Exception) -> str:
    """Return what somebody else's error says, which may hold a whole file."""
    text = str(error)
    return f"{type(error).__name__}: {text if len(text) <= 200 else text[:199] + '…'}"


def read(source: str, folder: Path, *, target: str | None, drop: Sequence[str]) -> Source:
    """Return the rows of `source`; a relative path is relative to `folder`.

    Raises InputError, naming the file at fault, where there are none or they cannot be used.
    """
    if source.startswith("openml:"):
        return _openml(source, target, drop)
    path = Path(folder, source)
    is_table = source != "digits" and path.suffix.lower() in (".csv", ".parquet")
    if not is_table:
        for key, given in (("target", target), ("drop", drop)):
            if given:
                raise fault(key, f"{source!r} has no named columns; leave {key} out")
    if source == "digits":
        return _digits()
    try:
        if path.is_dir():
            return _idx_folder(path, source)
        if not path.exists():
            there = f"{str(path)!r} does not exist"
        elif not path.is_file():
            there = f"{str(path)!r} is not a regular file"
        elif path.suffix.lower() == ".npz":
            return _npz(path, source)
        elif path.suffix.lower() == ".csv":
            return _table(_csv(path, source), source, target, drop)
        elif path.suffix.lower() == ".parquet":
            return _table(_parquet(path, source), source, target, drop)
        else:
            there = f"{str(path)!r} exists, but has none of these endings"
    except (OSError, ValueError) as error:  # ValueError: a zero byte in a path
        raise fault("source", f"{source!r} cannot be read: {error}") from error
    raise fault("source", f"{source!r} is not a source; {there}; a source is {KINDS}")


def read_table(path: Path, text: Iterable[str] = ()) -> "pd.DataFrame":
    """Read a .csv or .parquet file as a source is read, the columns `text` as text.

    Raises InputError, naming the file, where that is not possible.
    """
    name = str(path)
    readers = {".csv": lambda: _csv(path, name, text), ".parquet": lambda: _parquet(path, name)}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path}: name a file that ends in {' or '.join(readers)}")
    try:
        return reader()
    except InputError as error:
        reason = str(error).removeprefix("[data] source: ").removeprefix(repr(name))
        raise InputError(f"{path}{reason}") from error
    except (OSError, ValueError) as error:  # ValueError: a zero byte in a path
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path} cannot be read: {reason}; name another file") from error


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
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
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
            content = _read_at_most(cast(BinaryIO, file), math.prod(shape) + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise fault(
            "source", f"{where} is no whole gzip file ({error}); download it again"
        ) from error
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


def _npz(path: Path, source: str) -> Source:
    arrays: dict[str, NDArray[Any]] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for name in ("inputs", "targets", "test_inputs", "test_targets"):
                if f"{name}.npy" in archive.namelist():
                    arrays[name] = _array(archive, name, source)
    except InputError:
        raise
    except Exception as error:  # broken archives raise a dozen kinds, down to struct.error
        raise fault("source", f"{source!r} is no whole .npz file ({_reason(error)})") from error
    if "inputs" not in arrays or "targets" not in arrays:
        missing = listed(n for n in ("inputs", "targets") if n not in arrays)
        raise fault("source", f"{source!r} has no array {missing}; save it with np.savez")
    if ("test_inputs" in arrays) != ("test_targets" in arrays):
        raise fault(
            "source", f"{source!r} has one of test_inputs and test_targets; give both or none"
        )
    training = _checked(arrays["inputs"], arrays["targets"], "", source)
    test = None
    if "test_inputs" in arrays:
        test = _checked(arrays["test_inputs"], arrays["test_targets"], "test_", source)
        if test.inputs.shape[1:] != training.inputs.shape[1:]:
            shapes = f"{training.inputs.shape[1:]}, of test_inputs {test.inputs.shape[1:]}"
            raise fault("source", f"{source!r}: one row of inputs has the shape {shapes}")
        if (test.labels.dtype.kind == "O") != (training.labels.dtype.kind == "O"):
            raise fault("source", f"{source!r}: of targets and test_targets only one is text")
    labels = f"targets of {source!r}"
    return Source(training, test, images=training.inputs.ndim > 2, labels=labels)


def _array(archive: zipfile.ZipFile, name: str, source: str) -> NDArray[Any]:
    """Read one array, after comparing what its header promises with what is there."""
    member = archive.getinfo(f"{name}.npy")
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
    with archive.open(member) as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
    # Python's strings check their characters, NumPy's do not.
    return array.astype(object) if array.dtype.kind == "U" else array


def _checked(inputs: NDArray[Any], labels: NDArray[Any], prefix: str, source: str) -> Rows:
    first, second = f"{source!r}: {prefix}inputs", f"{source!r}: {prefix}targets"
    if inputs.dtype.kind not in "biuf":
        raise fault("source", f"{first} have the type {inputs.dtype}; they must be real numbers")
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
    if problem := _unusable(inputs):
        raise fault("source", f"{first} have {problem}; remove or replace those rows")
    if problem := _unusable(labels):
        raise fault("source", f"{second} have {problem}; remove those rows")
    return Rows(inputs, labels)


def _unusable(values: NDArray[Any]) -> str:
    """Say what keeps numbers from being float32, or nothing."""
    if values.dtype.kind != "f":
        return ""
    if not np.isfinite(values).all():
        return f"{int((~np.isfinite(values)).sum())} missing (NaN) or infinite values"
    largest = max(abs(float(values.min())), abs(float(values.max())))
    return f"values up to {largest:.3g}, too large for float32" if largest > _LARGEST else ""


# Tables


def _csv(path: Path, source: str, text: Iterable[str] = ()) -> "pd.DataFrame":
    """Read a CSV file in UTF-8 with a line of names; all lines must be of that length.

    Commas separate, unless the line of names has none but has semicolons or tabs.
    """
    import pandas as pd

    with path.open("rb") as file:
        names = file.readline(_CHUNK)
    separator = next((s for s in ",;\t" if s.encode() in names), ",")
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # it drops columns otherwise
            return pd.read_csv(
                file, sep=separator, encoding="utf-8-sig", index_col=False, low_memory=False,
                dtype=dict.fromkeys(text, str),
            )
    except UnicodeDecodeError as error:
        raise fault(
            "source",
            f"{source!r} is not UTF-8{_undecodable_line(path)} ({error.reason}); convert it, "
            "for example with: iconv -f latin1 -t utf-8",
        ) from error
    except pd.errors.EmptyDataError as error:
        raise fault(
            "source", f"{source!r} is empty; it needs a line of column names, then rows"
        ) from error
    except pd.errors.ParserWarning as error:
        raise fault(
            "source", f"{source!r} is ragged: its rows have more fields than its first line"
        ) from error
    except pd.errors.ParserError as error:
        reason = str(error).rpartition("C error: ")[2]
        raise fault("source", f"{source!r} is ragged or no CSV file: {reason}") from error
    except Exception as error:
        raise fault("source", f"{source!r} is no CSV file ({_reason(error)})") from error


def _undecodable_line(path: Path) -> str:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return f" in line {number}"
    return ""


def _parquet(path: Path, source: str) -> "pd.DataFrame":
    import pandas as pd

    try:
        with path.open("rb") as file:  # a path named key=value would add a column of that name
            return pd.read_parquet(file, engine="pyarrow")
    except Exception as error:  # pyarrow, and pandas on what the file says of itself
        raise fault("source", f"{source!r} is no whole .parquet file ({_reason(error)})") from error


def _openml(source: str, target: str | None, drop: Sequence[str]) -> Source:
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
            "give a .csv, .parquet or .npz file",
        ) from error
    except Exception as error:
        raise fault("source", f"{source!r} cannot be used ({_reason(error)})") from error
    finally:
        socket.setdefaulttimeout(before)
    if target is None and len(proposed) == 1:
        target = str(proposed[0])
    return _table(table, source, target, drop, version)


def _table(
    table: "pd.DataFrame", source: str, target: str | None, drop: Sequence[str], version: str = ""
) -> Source:
    """Turn columns into arrays: text, categories and bool one-hot, numbers as they are."""
    table.columns = names = [str(name) for name in table.columns]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise fault("source", f"{source!r} has more than one column {listed(repeated)}")
    if target is None:
        raise fault(
            "target", f"name the label's column; the columns of {source!r} are {listed(names)}"
        )
    for key, name in (("target", target), *(("drop", name) for name in drop)):
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            hint = f", did you mean {quoted(near[0])}?" if near else ""
            columns = f"the columns of {source!r} are {listed(names)}"
            raise fault(key, f"no column {quoted(name)}; {columns}{hint}")
    if target in drop:
        raise fault("drop", f"{quoted(target)} is the target; it cannot be dropped")
    if not len(table):
        raise fault("source", f"{source!r} has no rows below its column names")
    labels, classes_plain = _labels(table[target], source)
    inputs = table.drop(columns=[target, *drop])
    if not len(inputs.columns):
        raise fault("drop", f"no input columns of {source!r} are left")
    _refuse_missing(inputs, source)
    matrix, kept, features, indicators = _matrix(inputs, source)
    return Source(
        Rows(matrix, labels),
        target=target,
        labels=f"column {quoted(target)} of {source!r}",
        columns=kept,
        features=features,
        indicators=indicators,
        classes_plain=classes_plain,
        version=version,
    )


def _labels(column: "pd.Series[Any]", source: str) -> tuple[NDArray[Any], bool]:
    where = f"column {quoted(column.name)} of {source!r}"
    if missing := int(column.isna().sum()):
        raise fault("target", f"{where} has {missing} missing values; remove or fill those rows")
    values, is_category = _values(column, "target", source)
    if problem := _unusable(values):
        raise fault("target", f"{where} has {problem}; remove those rows")
    return values, is_category


def _refuse_missing(inputs: "pd.DataFrame", source: str) -> None:
    counts = inputs.isna().sum()
    for name in inputs.columns:
        if inputs[name].dtype.kind == "f":
            counts[name] = int((~np.isfinite(inputs[name].to_numpy(np.float64))).sum())
    if at_fault := {str(name): int(n) for name, n in counts.items() if n}:
        some = ", ".join(f"{quoted(name)} ({n})" for name, n in list(at_fault.items())[:_SHOWN])
        more = f", … ({len(at_fault)} in all)" if len(at_fault) > _SHOWN else ""
        raise fault(
            "source",
            f"{source!r} has missing (NaN) or infinite values in {some}{more}; fill them, remove "
            f"the rows, or leave the columns out with drop = {_toml_list(at_fault)}",
        )


def _toml_list(names: Iterable[str]) -> str:
    """Return names as a list for the study file, at most 20 of them."""
    # JSON's strings are TOML's basic strings.
    return json.dumps(list(names)[:_SHOWN], ensure_ascii=False)


def _matrix(
    inputs: "pd.DataFrame", source: str
) -> tuple[NDArray[Any], tuple[Column, ...], tuple[str, ...], NDArray[np.bool_]]:
    """Return (rows, features) float64, the columns, the features' names, and which are one-hot."""
    columns: list[Column] = []
    arrays: list[NDArray[Any]] = []
    features: list[str] = []
    indicators: list[bool] = []
    for name in inputs.columns:
        values, is_category = _values(inputs[name], "source", source)
        if is_category:
            kinds, codes = np.unique(values, return_inverse=True)
            if len(kinds) > MOST_CATEGORIES:
                raise fault(
                    "source",
                    f"text column {quoted(name)} of {source!r} has {len(kinds)} distinct values, "
                    f"more than {MOST_CATEGORIES} to make one-hot; add it to drop",
                )
            column_type = _TYPES.get(kinds.dtype.kind, "number")
            columns.append(Column(str(name), column_type, tuple(map(category, kinds))))
            arrays.extend(codes == code for code in range(len(kinds)))
            features.extend(f"{name}={kind}" for kind in kinds)
            indicators.extend([True] * len(kinds))
            continue
        if problem := _unusable(values):
            raise fault(
                "source", f"column {quoted(name)} of {source!r} has {problem}; add it to drop"
            )
        columns.append(Column(str(name)))
        arrays.append(values)
        features.append(str(name))
        indicators.append(False)
    matrix = np.empty((len(inputs), len(arrays)))
    for index, array in enumerate(arrays):
        matrix[:, index] = array
    return matrix, tuple(columns), tuple(features), np.array(indicators)


def _values(column: "pd.Series[Any]", key: str, source: str) -> tuple[NDArray[Any], bool]:
    """Return a column without missing values, and whether its values can only be categories.

    The values are text (objects), bool, integers or floats.
    """
    import pandas as pd

    is_category = isinstance(column.dtype, pd.CategoricalDtype)
    if is_category:
        column = column.astype(column.cat.categories.dtype)
    if pd.api.types.is_bool_dtype(column):
        return column.to_numpy(np.bool_), True
    if column.dtype.kind in "iuf":
        kind = {"i": np.int64, "u": np.uint64, "f": np.float64}[column.dtype.kind]
        return column.to_numpy(kind), is_category
    values = column.to_numpy(object)
    kinds = {type(value) for value in values}
    too_large = False
    if kinds == {int}:  # beyond 64 bits
        too_large = max(abs(value) for value in values) > _LARGEST
    elif kinds == {str}:  # so pandas leaves a column with a number of thousands of digits
        too_large = any(len(v) > 300 and v.strip("+-").isdigit() for v in values)
    if too_large:
        problem = "has integers too large for float32"
    elif kinds == {str}:
        return values, True
    elif kinds == {bool}:
        return values.astype(np.bool_), True
    elif kinds == {int}:
        return values.astype(np.float64), is_category
    else:
        names = "/".join(sorted(kind.__name__ for kind in kinds))
        problem = f"holds {names} ({column.dtype}), neither numbers nor text nor bool"
    remedy = "remove those rows" if key == "target" else "add it to drop"
    raise fault(key, f"column {quoted(column.name)} of {source!r} {problem}; {remedy}")
