"""Read and check arrays from folders of IDX files and from NumPy archives."""

import math
import struct
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from hpo import wording
from hpo.data.cells import array_cells, mixed_refusal
from hpo.data.columns import FILL, WAYS
from hpo.data.files import fault, most_unpacked, reason, too_much, unpacked
from hpo.data.predictor import listed
from hpo.data.rows import UNLABELED, ColumnSettings, Rows, Source, unusable, with_marks_missing
from hpo.errors import InputError

_CHUNK = 1 << 20  # bytes
_ARRAYS = ("inputs", "targets", "test_inputs", "test_targets")


# IDX files


def read_idx_folder(folder: Path, source: str) -> Source:
    """Return the images of a folder with MNIST's file names; the files may be gzipped."""
    parts = {}
    for prefix in ("train", "t10k"):
        images = _idx_file(folder, f"{prefix}-images", "idx3-ubyte")
        labels = _idx_file(folder, f"{prefix}-labels", "idx1-ubyte")
        if images is None and labels is None and prefix == "t10k":
            continue
        if images is None or labels is None:
            name = "images-idx3-ubyte" if images is None else "labels-idx1-ubyte"
            raise fault(
                "source", f"the folder {source!r} has no file {prefix}-{name} (plain or .gz); "
                "add it"
            )
        rows = Rows(_idx(images, 3, source), _idx(labels, 1, source))
        if len(rows.inputs) != len(rows.labels):
            raise fault(
                "source",
                f"{source!r}: {images.name} has {wording.count(len(rows.inputs), 'image')}, but "
                f"{labels.name} has {wording.count(len(rows.labels), 'label')}; use two files that "
                "belong together",
            )
        parts[prefix] = rows
    training, test = parts["train"], parts.get("t10k")
    if test is not None and test.inputs.shape[1:] != training.inputs.shape[1:]:
        shapes = [" x ".join(map(str, r.inputs.shape[1:])) for r in (training, test)]
        raise fault(
            "source",
            f"{source!r}: training images are {shapes[0]}, but test images are {shapes[1]}; use "
            "images of the same size",
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
                "source", f"{where} ends within its header; it is truncated or not an IDX file"
            )
        zeros, kind, found = struct.unpack(">HBB", start[:4])
        if zeros != 0 or found != dimensions:
            raise fault(
                "source",
                f"{where} is not an IDX file with {wording.count(dimensions, 'dimension')}: it "
                f"starts with 0x{start[:4].hex()}, not with the magic number "
                f"0x000008{dimensions:02x}",
            )
        if kind != 8:
            raise fault(
                "source",
                f"{where} has type byte 0x{kind:02x}; only unsigned bytes (0x08) are supported",
            )
        shape = struct.unpack(f">{dimensions}I", start[4:])
        if path.suffix == ".gz" and math.prod(shape) > most_unpacked(size):
            promised = f"{' x '.join(map(str, shape))} = {math.prod(shape)} bytes by its header"
            raise too_much(where, promised, size, "unpack it; if not, download it again")
        content = _read_at_most(file, math.prod(shape) + 1)
    if 0 in shape:
        raise fault("source", f"{where} is empty: its header gives {' x '.join(map(str, shape))}")
    if len(content) != math.prod(shape):
        amount = "more" if len(content) > math.prod(shape) else f"only {len(content)}"
        raise fault(
            "source",
            f"{where} should have {' x '.join(map(str, shape))} = {math.prod(shape)} bytes by its "
            f"header, but has {amount}; download it again",
        )
    return np.frombuffer(content, np.uint8).reshape(shape)


def _read_at_most(file: BinaryIO, size: int) -> bytearray:
    content = bytearray()
    while len(content) < size and (chunk := file.read(min(_CHUNK, size - len(content)))):
        content += chunk
    return content


# NumPy archives


def read_npz(path: Path, source: str, settings: ColumnSettings) -> Source:
    """Return the rows of inputs and targets, and of test_inputs and test_targets if present."""
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
        raise fault(
            "source", f"{source!r} is not a complete .npz file ({reason(error)})"
        ) from error
    if "inputs" not in arrays or "targets" not in arrays:
        missing = listed(n for n in ("inputs", "targets") if n not in arrays)
        raise fault(
            "source",
            f"{source!r} has no array {missing}; its arrays: {listed(names) or 'none'}; save it "
            "with np.savez(file, inputs=…, targets=…)",
        )
    if ("test_inputs" in arrays) != ("test_targets" in arrays):
        raise fault(
            "source",
            f"{source!r} has only one of test_inputs and test_targets; save both or neither",
        )
    training, left_out = _checked(arrays["inputs"], arrays["targets"], "", source, settings)
    test = None
    if "test_inputs" in arrays:
        test, more = _checked(
            arrays["test_inputs"], arrays["test_targets"], "test_", source, settings
        )
        left_out += more
        if test.inputs.shape[1:] != training.inputs.shape[1:]:
            raise fault(
                "source",
                f"{source!r}: one row of inputs has the shape {training.inputs.shape[1:]}, but one "
                f"row of test_inputs {test.inputs.shape[1:]}; save both with the same shape",
            )
        if (test.labels.dtype.kind == "O") != (training.labels.dtype.kind == "O"):
            raise fault(
                "source",
                f"{source!r}: only one of targets and test_targets is text; save both as the same "
                "type",
            )
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
            "source", f"{source!r}: {name} has Python objects; save numbers or text instead"
        )
    if min(shape, default=1) < 0 or math.prod(shape) * dtype.itemsize != content:
        raise fault(
            "source",
            f"{source!r}: {name} should have the shape {shape} of {dtype} by its header, but has "
            f"{wording.count(content, 'byte')}; save it again",
        )
    if content > most_unpacked(member.compress_size, dtype.itemsize):
        raise _too_much_npz(source, name, member)
    with archive.open(member) as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
    # Python's strings check their characters, NumPy's do not.
    return array.astype(object) if array.dtype.kind == "U" else array


def _too_much_npz(source: str, name: str, member: zipfile.ZipInfo) -> InputError:
    promised = wording.count(member.file_size, "byte")
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
            f"{first} have the type {'text' if inputs.dtype.kind == 'O' else inputs.dtype}, but "
            "must be real numbers; convert them, for example with inputs.astype(float)",
        )
    if labels.dtype.kind not in "biufO":
        raise fault(
            "source",
            f"{second} have the type {labels.dtype}, but must be real numbers, bool, or text",
        )
    if inputs.ndim < 2 or 0 in inputs.shape:
        raise fault(
            "source", f"{first} have the shape {inputs.shape}, but must have (rows, features, …)"
        )
    if labels.ndim != 1:
        raise fault("source", f"{second} have the shape {labels.shape}, but must have (rows,)")
    if len(inputs) != len(labels):
        raise fault(
            "source",
            f"{first} have {wording.count(len(inputs), 'row')}, but {prefix}targets have "
            f"{len(labels)}; save one target for each row",
        )
    inputs, labels = (with_marks_missing(each, settings.notation) for each in (inputs, labels))
    if problem := unusable(inputs):
        raise fault("source", f"{first} have {problem}; remove or replace those rows")
    empty = np.isnan(inputs) if inputs.dtype.kind == "f" else np.zeros(inputs.shape, bool)
    without = empty.any(axis=tuple(range(1, inputs.ndim)))
    if settings.impute is None and without.any():
        raise fault(
            "source",
            f"{first} have {wording.count(int(empty.sum()), 'missing value')} (NaN); set {WAYS}, "
            "or fill them in the file",
        )
    cells = array_cells(labels, settings.notation)
    if cells.mixed is not None:
        raise fault("source", mixed_refusal([cells.mixed], settings, False, second))
    if (count := int(cells.missing.sum())) and settings.impute != "drop_rows":
        raise fault("source", f"{second} have {wording.count(count, 'missing value')}; {UNLABELED}")
    if problem := unusable(cells.values[~cells.missing]):
        raise fault("source", f"{second} have {problem}; remove those rows")
    if settings.impute != "drop_rows":
        return Rows(inputs, cells.values), 0
    kept = ~(without | cells.missing)
    if not kept.any():
        raise fault("impute", f"drop_rows leaves no rows of {prefix}inputs; {FILL}")
    if kept.all():
        return Rows(inputs, cells.values), 0
    return Rows(inputs[kept], cells.values[kept]), int((~kept).sum())
