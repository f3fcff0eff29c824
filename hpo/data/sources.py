"""Read sources of rows: a bundled set, a folder of IDX files, a table, an address."""

import difflib
import gzip
import math
import re
import socket
import warnings
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from hpo.data import downloads, tables
from hpo.data.arrays import read_idx_folder, read_npz
from hpo.data.encoding import encode
from hpo.data.files import fault, reason
from hpo.data.predictor import quoted
from hpo.data.rows import ColumnSettings, Rows, Source

KINDS = (
    '"digits", a folder of IDX files (MNIST\'s names), a .csv, .tsv, .parquet, or .npz file, the '
    'https address of such a file, "sklearn:NAME", or "openml:NAME"'
)
_BUNDLED = ("breast_cancer", "diabetes", "iris", "wine")  # tables that come with scikit-learn
_OPENML_NAME = re.compile(r"[\w.,()+-]*\w[\w.,()+-]*", re.ASCII)
_OPENML_TIMEOUT = 30.0  # seconds without an answer


def read(source: str, folder: Path, settings: ColumnSettings) -> Source:
    """Return the rows of `source`; a relative path is relative to `folder`.

    A file at an address is downloaded once, and then read from the cache.
    Raises InputError, naming the file at fault, if there are no rows or they cannot be used.
    """
    return _in_shape(_read(source, folder, settings), source, settings.shape)


def is_beside(source: str) -> bool:
    """Return whether it is a file or folder with a path relative to the study file."""
    elsewhere = source == "digits" or source.startswith(("openml:", "sklearn:"))
    return not (elsewhere or downloads.is_address(source) or Path(source).is_absolute())


def _read(source: str, folder: Path, settings: ColumnSettings) -> Source:
    if source.startswith("openml:"):
        return _openml(source, settings)
    if source.startswith("sklearn:"):
        return _bundled(source, settings)
    path = downloads.fetch(source) if downloads.is_address(source) else Path(folder, source)
    hint = ""
    is_array = source != "digits" and path.suffix.lower() == ".npz"
    if source == "digits" or not tables.is_table(path):
        _refuse_settings(source, settings, is_array)
    if source == "digits":
        return _digits()
    try:
        if path.is_dir():
            return read_idx_folder(path, source)
        if path.is_file():
            if is_array:
                return read_npz(path, source, settings)
            if tables.is_table(path):
                table = tables.read(
                    path, source, text=settings.categories, notation=settings.notation
                )
                return encode(table, source, settings, typed=path.suffix.lower() == ".parquet")
            there = f"{str(path)!r} exists, but its type is not supported; {tables.other_way(path)}"
        elif path.exists():
            there = f"{str(path)!r} is not a regular file"
        else:
            hint = nearest(path, source)
            there = f"{str(path)!r} does not exist{'' if hint else _aside(path, source)}"
    except (OSError, ValueError) as error:  # ValueError: a zero byte in a path
        raise fault("source", f"{source!r} cannot be read: {error}") from error
    raise fault("source", f"{source!r} is not a source: {there}; valid sources: {KINDS}{hint}")


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
            raise fault(key, f"{source!r} has no named columns; remove {key}")
    for key, given in {"missing": notation.missing, "impute": settings.impute}.items():
        if given and not is_array:
            raise fault(key, f"{source!r} cannot have missing values; remove {key}")


def nearest(path: Path, source: str) -> str:
    """Return a question that names the nearest file to one that does not exist, or ""."""
    names = [file.name for file in path.parent.iterdir()] if path.parent.is_dir() else None
    near = () if names is None else difflib.get_close_matches(path.name, [*names, "digits"], 1)
    return f"; did you mean {quoted(Path(source).with_name(near[0]))}?" if near else ""


def _aside(path: Path, source: str) -> str:
    """Return what helps to find a file that does not exist."""
    if not source:
        return ""
    if not path.parent.is_dir():
        return f", and neither does the folder {str(path.parent)!r}"
    return " (relative paths start at the study file)"


def _digits() -> Source:
    """Return the digits that come with scikit-learn, without importing it, which takes a second."""
    found = find_spec("sklearn")
    folder = Path(found.origin).parent if found is not None and found.origin is not None else Path()
    try:
        with gzip.open(folder / "datasets" / "data" / "digits.csv.gz", "rt") as file:
            table = np.loadtxt(file, delimiter=",")
    except FileNotFoundError:  # a version that keeps them elsewhere
        from sklearn.datasets import load_digits

        data, target = load_digits(return_X_y=True)
    else:
        data, target = table[:, :-1], table[:, -1].astype(int)
    return Source(Rows(data.reshape(-1, 8, 8), target), images=True, classes_plain=True)


def _bundled(source: str, settings: ColumnSettings) -> Source:
    """Return a table that comes with scikit-learn, its classes by name."""
    from sklearn import datasets

    name = source.removeprefix("sklearn:")
    if name not in _BUNDLED:
        raise fault(
            "source", f"{source!r} is not bundled; valid names: {', '.join(_BUNDLED)}"
        )
    fetched = getattr(datasets, f"load_{name}")(as_frame=True)
    table, classes = fetched.frame, getattr(fetched, "target_names", None)
    if classes is not None:
        table["target"] = classes.astype(object)[table["target"]]
    return encode(table, source, replace(settings, target=settings.target or "target"))


def _in_shape(source: Source, name: str, shape: tuple[int, ...]) -> Source:
    """Return the rows with inputs of a shape, as images are, where they are flat in the source."""
    if not shape:
        return source
    if source.indicators is not None and source.indicators.any():
        raise fault(
            "shape", f"{name!r} has columns of categories, and a shape needs numbers; remove shape"
        )
    has = source.training.inputs.shape[1:]
    if math.prod(has) != math.prod(shape):
        inputs = " x ".join(map(str, has))
        raise fault(
            "shape", f"{list(shape)} has {math.prod(shape)} inputs, but {name!r} has {inputs}"
        )

    def shaped(rows: Rows) -> Rows:
        return replace(rows, inputs=rows.inputs.reshape(len(rows.inputs), *shape))

    return replace(
        source,
        training=shaped(source.training),
        test=shaped(source.test) if source.test is not None else None,
        images=len(shape) > 1,
        indicators=None,
    )


def _openml(source: str, settings: ColumnSettings) -> Source:
    """Fetch from openml.org, or from scikit-learn's cache in SCIKIT_LEARN_DATA."""
    from sklearn.datasets import fetch_openml

    name = source.removeprefix("openml:").strip()
    if not _OPENML_NAME.fullmatch(name):  # it becomes part of an address and of a path
        raise fault("source", f'{source!r} is not a valid name; use the form "openml:NAME"')
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
            f"{source!r} cannot be downloaded ({error}); check the network, or download the data "
            "yourself and set its path",
        ) from error
    except Exception as error:
        raise fault("source", f"{source!r} cannot be used ({reason(error)})") from error
    finally:
        socket.setdefaulttimeout(before)
    if settings.target is None and len(proposed) == 1:
        settings = replace(settings, target=str(proposed[0]))
    return replace(encode(table, source, settings), version=version)
