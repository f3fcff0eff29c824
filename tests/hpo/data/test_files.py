"""Files are unpacked in bounded memory, and any bytes end in a split or in one line."""

import bz2
import gzip
import io
import json
import lzma
import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo.data.loading import load
from hpo.data.settings import DataSettings
from hpo.data.tables import read_rows
from hpo.errors import InputError
from tests.fuzzing import examples
from tests.hpo.data.writing import (
    AMOUNTS,
    IMAGES,
    NUMBERS,
    ROWS,
    TWO,
    Save,
    csv,
    idx,
    message,
    npz,
    parquet,
    parts,
    refusal,
    split,
    write_idx,
)

PACKED = gzip.compress(IMAGES)


@pytest.mark.parametrize(
    "content", [PACKED[:-9], IMAGES, PACKED[:30] + b"x" * 9], ids=["short", "plain", "broken"]
)
def test_gzip_files_that_are_not_whole(tmp_path: Path, content: bytes) -> None:
    chosen = write_idx(tmp_path, train_images_idx3_ubyte=None)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(content)
    assert "not a complete gzip file" in message(chosen, "source")


def seeds_of(name: str) -> list[bytes]:
    """Return whole files to begin from."""
    table = pd.DataFrame(NUMBERS).assign(color=["red", "blue"] * 50)
    texts = np.array(["a", "b"] * 50)
    return {
        "t.csv": [csv(**NUMBERS), csv(color=["red", "blue"] * 9, x=[1.5, 2] * 9, y=["a", "b"] * 9)],
        "t.parquet": [parquet(table), parquet(table, compression=None)],
        "t.npz": [npz(inputs=np.ones((100, 2)), targets=texts), npz(**TWO)],
        "train-images-idx3-ubyte": [IMAGES],
        "train-images-idx3-ubyte.gz": [gzip.compress(IMAGES)],
    }[name]


@st.composite
def mutated(draw: st.DrawFn, whole: list[bytes]) -> bytes:
    content = bytearray(draw(st.sampled_from(whole)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(content) - 1)))
        # Headers and footers are where the promises are.
        at = draw(st.sampled_from([at, min(at, 40), max(0, len(content) - 1 - at % 200)]))
        new = draw(st.binary(max_size=4) | st.sampled_from([b",", b'"', b"\n", b"9" * 99, b"nan"]))
        match draw(st.sampled_from(["replace", "insert", "delete", "cut"])):
            case "replace":
                content[at : at + len(new)] = new
            case "insert":
                content[at:at] = new
            case "delete":
                del content[at : at + 9]
            case "cut":
                del content[at:]
    return bytes(content)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name", ["t.csv", "t.parquet", "t.npz", "train-images-idx3-ubyte", "train-images-idx3-ubyte.gz"]
)
def test_any_bytes_end_in_a_split_or_in_one_line(name: str) -> None:
    @given(st.one_of(st.binary(max_size=300), mutated(seeds_of(name)), mutated(seeds_of(name))))
    @settings(max_examples=examples(150, 600), deadline=None, database=None)
    def check(content: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / name).write_bytes(content)
            chosen = DataSettings(
                source=name, target="y" if name[2:] in ("csv", "parquet") else None
            )
            if name.startswith("train"):
                (Path(folder) / "train-labels-idx1-ubyte").write_bytes(idx(np.arange(60) % 3))
                chosen = DataSettings(source=".")
            try:
                result = load(chosen, seed=0, folder=Path(folder))
            except InputError as error:
                assert str(error).startswith("[data] ")  # noqa: PT017
                assert len(str(error).splitlines()) == 1  # noqa: PT017
                assert len(str(error)) < 3000  # noqa: PT017
            else:
                assert all(np.isfinite(part.inputs).all() for part in parts(result))

    check()


def zipped(content: bytes, *names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, content)
    return file.getvalue()


def test_compressed_and_tab_separated_tables(save: Save) -> None:
    plain = csv(x=AMOUNTS, y=["a", "b"] * 50)
    expected = split(save(plain)).description.digest
    tabs = csv("\t", x=AMOUNTS, y=["a", "b"] * 50)
    for name, content in {
        "t.csv.gz": gzip.compress(plain),
        "t.CSV.BZ2": bz2.compress(plain),
        "t.csv.xz": lzma.compress(plain),
        "t.csv.zip": zipped(plain, "__MACOSX/t.csv", "t.csv"),
        "t.tsv": tabs,
        "t.tsv.gz": gzip.compress(tabs),
    }.items():
        chosen = save(content, name)
        result = split(chosen)
        assert result.description.digest == expected, name
        assert len(read_rows(Path(chosen.source), result.preprocessing)) == ROWS
    assert "contains 'a.csv', 'b.csv'" in refusal(
        save(zipped(plain, "a.csv", "b.csv"), "t.csv.zip")
    )
    for ending, content in ((".gz", gzip.compress(plain)), (".zip", b"PK")):
        assert "not a complete" in refusal(save(content[:-9], "t.csv" + ending))


MEGABYTE = gzip.compress(bytes(1 << 20))  # about a kilobyte; members may follow each other


def test_what_unpacks_out_of_proportion_is_refused(save: Save, tmp_path: Path) -> None:
    bomb = gzip.compress(b"x,y\n") + MEGABYTE * 70
    assert "unpack to more than 67.1 MB; if that is correct, unpack it" in refusal(
        save(bomb, "t.csv.gz")
    )
    assert "unpack to 73.4 MB" in refusal(save(zipped(bytes(70 << 20), "t.csv"), "t.csv.zip"))
    images = struct.pack(">HBB3I", 0, 8, 3, 70_000, 32, 32)
    labels = struct.pack(">HBBI", 0, 8, 1, 70_000)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(images) + MEGABYTE * 69)
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels + bytes(70_000)))
    folder = DataSettings(source=str(tmp_path))
    assert "70000 x 32 x 32 = 71680000 bytes by its header" in refusal(folder)
    file = io.BytesIO()
    np.savez_compressed(file, inputs=np.zeros((70, 1 << 20), np.uint8), targets=[0, 1] * 35)
    assert "save it with np.savez" in refusal(save(file.getvalue(), "t.npz"))
    many = pd.DataFrame({"x": np.zeros(10_000_000, np.int8), "y": np.zeros(10_000_000, np.int8)})
    assert "10000000 rows of 2 columns" in refusal(save(many, "t.parquet"))


@pytest.mark.slow
def test_mutated_files_end_in_a_split_or_in_one_line() -> None:
    """`python -m tests.data_fuzz 1000` tries more."""
    code = "import json; from tests.data_fuzz import main; print(json.dumps(main(150, 2)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found = json.loads(run.stdout)
    assert found["which"] == {}
    assert found["split"] >= 10
    assert found["megabytes"] < 500
