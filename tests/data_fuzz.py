"""Mutated data files: each ends in a split or in one line, in bounded memory.

`python -m tests.data_fuzz 1000` tries so many files and prints what came of them.
"""

import bz2
import gzip
import io
import json
import lzma
import random
import resource
import struct
import sys
import tempfile
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hpo.data.loading import load
from hpo.data.settings import DataSettings
from hpo.data.tables import read_rows
from hpo.errors import InputError

Files = dict[str, bytes]
ODD = [
    "?", "-", "", " ", "NA", "n.a.", "none", "1,5", "1.5", "$1,200", "1.234.567", "5 %", "12 kg",
    "1e999", "-inf", "nan", "abc", "0x10", "True", "2020-01-05", "\u22125", "\u00a07", "가나다",
    "\x00", 'a"b', "a\nb", "x" * 5000, "9" * 400, "(5)", "1_000", "=1+1", "1e5", "00012",
    "\u0661", "-999", "#DIV/0!", "\ud800",
]  # fmt: skip
NAMES = ["", "x", "y", "Unnamed: 0", "5.1", "2020", "a\nb", " y", "\ufeffx", "x.1", "가격"]
ENCODINGS = ["utf-8", "utf-8-sig", "cp949", "utf-16", "latin-1", "cp1252", "shift_jis"]


def rows_of(rng: random.Random) -> list[list[str]]:
    """Return a table of text: a line of names, then rows with numbers and names."""
    number = rng.choice([4, 30, 60, 60])
    rows = [["id", "x", "color", "flag", "y"]]
    return rows + [
        [str(index), f"{rng.gauss(5, 2):.3f}", rng.choice(["red", "blue", "빨강"]),
         rng.choice(["True", "False"]), str(index % 2)]
        for index in range(number)
    ]  # fmt: skip


def csv_text(rows: list[list[str]], separator: str, rng: random.Random) -> str:
    def field(text: str) -> str:
        quote = any(c in text for c in (separator, '"', "\n")) and rng.random() < 0.9
        return '"' + text.replace('"', '""') + '"' if quote else text

    return "".join(separator.join(map(field, row)) + "\n" for row in rows)


def csv_cells(rng: random.Random) -> Files:
    """Make a CSV file with odd cells, names or lines, in some encoding, maybe compressed."""
    rows, separator = rows_of(rng), rng.choice(",,;\t|")
    if rng.random() < 0.5:
        return {"t.csv": csv_text(mild(rows, rng), separator, rng).encode()}
    for _ in range(rng.randint(1, 8)):
        row = rng.randrange(1, len(rows))
        rows[row][rng.randrange(len(rows[row]))] = rng.choice(ODD[:-1])
    match rng.randrange(8):
        case 0:
            rows[0][rng.randrange(5)] = rng.choice(NAMES)
        case 1:
            del rows[0]
        case 2:
            rows[rng.randrange(len(rows))].append("1")
        case 3:
            rows[rng.randrange(len(rows))].pop()
        case 4:
            rows.insert(rng.randrange(len(rows)), [])
        case 5:
            rows = [[str(index), *row] for index, row in enumerate(rows)]
            rows[0][0] = rng.choice(["", "Unnamed: 0", "0"])
    text = csv_text(rows, separator, rng)
    if rng.random() < 0.1:
        text = text.replace("\n", rng.choice(["\r", "\r\n", "\n\n", "\n,\n"]))
    content = text.encode(rng.choice(["utf-8", *ENCODINGS]), rng.choice(["replace", "ignore"]))
    if rng.random() < 0.3:
        content = mutated(content, rng)
    return packed("t.csv", content, rng)


def mild(rows: list[list[str]], rng: random.Random) -> list[list[str]]:
    """Write one column in another notation, or with few odd cells, as real files have them."""
    column = rng.choice([0, 1, 1, 2, 3])
    odd = rng.sample(ODD[:-1], rng.randint(1, 2))
    notation = rng.choice(["{:.2f}", "{:,.2f}", "${:,.0f}", "{:.1f} kg", "{:.0f}%", "{:e}", " {} "])
    comma = rng.random() < 0.3
    for index, row in enumerate(rows[1:]):
        if column < 2:
            row[column] = notation.format(index * 77.5)
            if comma:
                row[column] = row[column].translate({44: ".", 46: ","})
        if rng.random() < 0.1:
            row[column] = rng.choice(odd)
    return rows


def packed(name: str, content: bytes, rng: random.Random) -> Files:
    """Compress a file, sometimes, and damage what comes out, sometimes."""
    kind = rng.choice(["", "", "", ".gz", ".bz2", ".xz", ".zip"])
    if kind == ".gz":
        content = gzip.compress(content)
    elif kind == ".bz2":
        content = bz2.compress(content)
    elif kind == ".xz":
        content = lzma.compress(content)
    elif kind == ".zip":
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", rng.choice([0, 8, 12, 14])) as archive:
            for index in range(rng.choice([1, 1, 1, 0, 2])):
                archive.writestr(f"{index}{name}", content)
        content = file.getvalue()
    if kind and rng.random() < 0.6:
        content = mutated(content, rng)
    return {name + kind: content}


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Change, insert, delete and repeat bytes, most often in headers and footers."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 5)):
        size = len(changed)
        at = rng.choice([rng.randrange(size + 1), rng.randrange(min(size, 60) + 1),
                         size - rng.randrange(min(size, 300) + 1)])
        match rng.randrange(6):
            case 0:
                changed[at : at + 1] = bytes([rng.randrange(256)])
            case 1 if at < size:
                changed[at] ^= 1 << rng.randrange(8)
            case 2:
                changed[at : at + 4] = rng.choice([b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"])
            case 3:
                del changed[at : at + rng.randrange(20)]
            case 4:
                changed[at:at] = rng.randbytes(rng.randrange(8))
            case 5:
                changed[at:at] = changed[max(0, at - 40) : at] * rng.randrange(3)
    return bytes(changed)


def parquet_file(rng: random.Random) -> Files:
    """Make a Parquet file of odd columns, or with changed bytes."""
    number = 60
    table = pd.DataFrame({"x": np.linspace(0, 9, number), "y": ["a", "b"] * (number // 2)})
    odd: list[Any] = [
        pd.array([rng.choice([1, 2, None]) for _ in range(number)], dtype="Int64"),
        pd.Categorical([rng.choice([3, 7, None]) for _ in range(number)]),
        pd.date_range("2020", periods=number), [[1, 2]] * number, [b"x"] * number,
        [rng.choice(ODD[:17]) for _ in range(number)], [str(k) for k in range(number)],
        [{"a": 1}] * number, [None] * number, np.full(number, np.inf), [True, None] * (number // 2),
        np.zeros(number, np.float16), pd.array(["1", None] * (number // 2), dtype="string"),
    ]  # fmt: skip
    table["odd"] = rng.choice(odd)
    if rng.random() < 0.2:
        table["y"] = rng.choice(odd)
    file = io.BytesIO()
    table.to_parquet(file, compression=rng.choice(["snappy", "gzip", None]))
    content = file.getvalue()
    return {"t.parquet": mutated(content, rng) if rng.random() < 0.7 else content}


def npz_file(rng: random.Random) -> Files:
    """Make a NumPy archive of odd arrays, or with changed bytes."""
    number = 60
    inputs = np.random.default_rng(rng.randrange(9)).normal(size=(number, 3))
    arrays: dict[str, Any] = {"inputs": inputs, "targets": np.arange(number) % 2}
    odd: list[Any] = [
        np.full((number, 3), np.nan), inputs.astype(str), inputs.astype(complex), inputs[:, 0],
        np.zeros((0, 3)), inputs.astype(np.float16), inputs.astype(">f8"), inputs > 0,
        np.array(rng.choices(ODD[:17], k=number)), np.arange(number).astype(str),
        np.full(number, np.nan), np.zeros(number, "M8[s]"), np.array([{}] * number),
        np.array(["a\ud800", "b"] * (number // 2)), np.where(inputs > 1, np.nan, inputs),
    ]  # fmt: skip
    for _ in range(rng.randrange(3)):
        name = rng.choice(["inputs", "targets", "test_inputs", "test_targets", "X"])
        arrays[name] = rng.choice(odd)
    if rng.random() < 0.1:
        arrays["samples"] = arrays.pop("inputs")
    file = io.BytesIO()
    rng.choice([np.savez, np.savez_compressed])(file, **arrays)
    content = file.getvalue()
    if rng.random() < 0.3:
        shape = rng.choice([b"(99, 3)", b"(9999999999, 3)", b"(-1,)"])
        content = content.replace(b"(60, 3)", shape)
    return {"t.npz": mutated(content, rng) if rng.random() < 0.6 else content}


def idx_folder(rng: random.Random) -> Files:
    """Make a folder of IDX files with odd headers, or with changed bytes."""
    shape = [60, 4, 3]
    if rng.random() < 0.5:
        shape[rng.randrange(3)] = rng.choice([0, 1, 59, 2**16, 2**31, 2**32 - 1])
    kind = rng.choice([8, 8, 8, 8, 9, 0x0D])
    images = struct.pack(">HBB3I", 0, kind, rng.choice([3, 3, 3, 1, 255]), *shape)
    images += rng.randbytes(rng.choice([720, 720, 719, 721, 0]))
    labels = struct.pack(">HBBI", 0, 8, 1, 60) + bytes(k % 3 for k in range(60))
    if rng.random() < 0.3:
        images = mutated(images, rng)
    if rng.random() < 0.3:
        labels = mutated(labels, rng)
    files = {"train-labels-idx1-ubyte": labels, "train-images-idx3-ubyte": images}
    if rng.random() < 0.5:
        packed = gzip.compress(files.pop("train-images-idx3-ubyte"))
        files["train-images-idx3-ubyte.gz"] = mutated(packed, rng) if rng.random() < 0.5 else packed
    return files


def bomb(rng: random.Random) -> Files:
    """Make a file that unpacks to far more than it is worth, or says so."""
    zeros = gzip.compress(bytes(1 << 20)) * rng.choice([100, 300])  # members follow each other
    name = rng.choice(["t.csv.gz", "train-images-idx3-ubyte.gz", "t.npz", "t.csv.zip"])
    if name == "t.csv.gz":
        return {name: gzip.compress(b"x,y\n") + zeros}
    if name.startswith("train"):
        header = gzip.compress(struct.pack(">HBB3I", 0, 8, 3, 2**21, 32, 32))
        labels = struct.pack(">HBBI", 0, 8, 1, 2**21)
        return {name: header + zeros, "train-labels-idx1-ubyte": labels}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", 8) as archive:
        header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (104857600, 1), }".ljust(70)
        start = b"\x93NUMPY\1\0" + struct.pack("<H", 70) + header
        archive.writestr("inputs.npy", start + bytes(100 << 20))
    return {name: file.getvalue()}


MUTATORS: list[Callable[[random.Random], Files]] = [
    csv_cells, csv_cells, csv_cells, parquet_file, npz_file, idx_folder,
]  # fmt: skip


def settings_of(name: str, rng: random.Random) -> DataSettings:
    chosen = DataSettings(source=name)
    if name != ".":
        chosen = replace(
            chosen, impute=rng.choice([None, "median", "most_frequent", "drop_rows"]),
            missing=rng.choice([(), (), ("?",), ("-999", "inf"), tuple(ODD[:-1])]),
        )  # fmt: skip
    if name != "." and not name.endswith(".npz"):
        decimal = rng.choice([".", ".", ","])
        chosen = replace(
            chosen, target=rng.choice(["y"] * 8 + ["x", "color"]), decimal=decimal,
            thousands=rng.choice(["", "", " ", "." if decimal == "," else ","]),
            units=rng.choice([(), ("$", "%", "kg")]),
            categories=rng.choice([(), (), (), ("x",)]),
            task=rng.choice([None, None, "regression"]),
        )  # fmt: skip
    return chosen


def attempt(files: Files, folder: Path, rng: random.Random, seed: int) -> str:
    """Return what came of loading: "split", "refused", or what should not be."""
    for name, content in files.items():
        (folder / name).write_bytes(content)
    name = "." if any(name.startswith("train") for name in files) else next(iter(files))
    chosen = settings_of(name, rng)
    try:
        split = load(chosen, seed=seed, folder=folder)
    except InputError as error:
        text = str(error)
        fine = text.startswith("[data] ") and text.isprintable() and len(text) < 5000
        return "refused" if fine else f"a bad line: {text[:200]!r}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:300]
    assert split.data.validation is not None
    parts = [split.data.training, split.data.validation, split.test]
    if not all(np.isfinite(part.inputs).all() for part in parts):
        return "inputs that are not finite"
    if split.preprocessing.columns and not split.description.left_out:
        # What a model is given later is what the trials saw.
        try:
            rows = split.preprocessing.transform(read_rows(folder / name, split.preprocessing))
        except (InputError, ValueError) as error:
            return f"cannot be predicted: {error}"[:300]
        if len(rows) != sum(len(part.targets) for part in parts):
            return "other rows to predict"
        seen = np.concatenate([part.inputs for part in parts])
        if not np.array_equal(np.unique(rows, axis=0), np.unique(seen, axis=0)):
            return "other inputs to predict"
    return "split"


def main(number: int, bombs: int) -> dict[str, Any]:
    """Try so many files; return the counts of what came of them, and the peak of memory in MB."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:  # once, for what is imported on the way
        attempt({"t.parquet": parquet_file(random.Random(0))["t.parquet"]}, Path(folder),
                random.Random(0), 0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes: Counter[str] = Counter()
    wrong: dict[str, int] = {}
    for seed in range(number + bombs):
        rng = random.Random(seed)
        make = bomb if seed >= number else MUTATORS[seed % len(MUTATORS)]
        files = make(rng)
        with tempfile.TemporaryDirectory() as folder:
            outcome = attempt(files, Path(folder), rng, seed)
        if outcome not in ("split", "refused"):
            wrong[f"{make.__name__} {seed}"] = outcome
            outcome = "wrong"
        outcomes[outcome] += 1
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {**outcomes, "megabytes": grown * 1024 // 10**6, "which": wrong}


if __name__ == "__main__":
    json.dump(main(int(sys.argv[1]), 0), sys.stdout, indent=1)
