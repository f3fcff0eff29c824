"""Arrays of IDX folders and NumPy archives are read as they are, or refused in one line."""

import gzip
import io
import struct
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpo.data.arrays import read_idx_folder, read_npz
from hpo.data.rows import ColumnSettings
from hpo.data.settings import DataSettings
from hpo.errors import InputError
from tests.hpo.data.writing import (
    IMAGES,
    ROWS,
    SHARED,
    TWO,
    Save,
    Write,
    idx,
    message,
    npz,
    refusal,
    sizes,
    split,
    write_idx,
)


@pytest.fixture
def mnist() -> Path:
    if not (SHARED / "mnist").is_dir():
        pytest.skip(f"MNIST is not in {SHARED}")
    return SHARED / "mnist"


def test_mnist_has_its_own_test_set_and_is_divided_by_255(mnist: Path) -> None:
    result = split(DataSettings(source=str(mnist), rows=500))
    assert sizes(result) == [400, 100, 10_000]
    raw = gzip.decompress((mnist / "t10k-images-idx3-ubyte.gz").read_bytes())[16:]
    expected = np.frombuffer(raw, np.uint8).reshape(-1, 28, 28).astype(np.float32) / 255
    np.testing.assert_array_equal(result.test.inputs, expected)
    labels = gzip.decompress((mnist / "t10k-labels-idx1-ubyte.gz").read_bytes())[8:]
    np.testing.assert_array_equal(result.test.targets, np.frombuffer(labels, np.uint8))


@pytest.mark.slow
def test_full_mnist_needs_little_memory(mnist: Path) -> None:
    code = """if True:
        import resource, sys
        from pathlib import Path
        from hpo.data.settings import DataSettings
        from hpo.data.loading import load
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        load(DataSettings(source=sys.argv[1]), seed=0, folder=Path())
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    run = subprocess.run(
        [sys.executable, "-c", code, str(mnist)], capture_output=True, text=True, check=True
    )
    assert int(run.stdout) * 1024 < 2.5 * 70_000 * 28 * 28 * 4


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("separator", "-.")
def test_idx_folder(tmp_path: Path, compressed: bool, separator: str) -> None:
    expected = split(write_idx(tmp_path))
    other = tmp_path / "other"
    other.mkdir()
    for file in sorted(tmp_path.glob("*ubyte")):
        content = gzip.compress(file.read_bytes()) if compressed else file.read_bytes()
        name = file.name.replace("-idx", f"{separator}idx") + (".gz" if compressed else "")
        (other / name).write_bytes(content)
    result = split(DataSettings(source=str(other)))
    assert sizes(result) == [48, 12, 20]
    assert result.data.classes == ("0", "1", "2")
    assert result.description.digest == expected.description.digest


def test_idx_folder_without_test_set_holds_rows_out(tmp_path: Path) -> None:
    result = split(write_idx(tmp_path, t10k_images_idx3_ubyte=None, t10k_labels_idx1_ubyte=None))
    assert sizes(result) == [38, 10, 12]


def test_npz_with_its_own_test_set(write: Write) -> None:
    rng = np.random.default_rng(0)
    arrays = {"inputs": rng.random((50, 4)), "targets": np.array(["b", "a"] * 25)}
    arrays |= {"test_inputs": rng.random((7, 4)), "test_targets": np.array(["a"] * 7)}
    result = split(write("t.npz", npz(**arrays)))
    assert sizes(result) == [40, 10, 7]
    assert result.data.classes == ("a", "b")
    assert result.description.scale == "standard"
    np.testing.assert_array_equal(result.test.targets, np.zeros(7))
    compressed = io.BytesIO()
    np.savez_compressed(compressed, **arrays)  # type: ignore[arg-type]
    again = split(write("u.npz", compressed.getvalue()))
    assert again.description.digest == result.description.digest


def test_npz_images_in_other_layouts_and_byte_orders(write: Write) -> None:
    images = np.random.default_rng(0).integers(-5, 300, (40, 3, 5, 5)).astype(np.int16)
    targets = np.arange(40) % 4
    expected = split(write("a.npz", npz(inputs=images, targets=targets)))
    assert expected.description.scale == "range"
    other = np.asfortranarray(images.astype(">i4"))
    result = split(write("b.npz", npz(inputs=other, targets=targets.astype(">u2"))))
    assert result.description.digest == expected.description.digest
    assert result.data.training.inputs.flags.c_contiguous


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({"targets": TWO["targets"]}, "no array 'inputs'"),
        ({"X": TWO["inputs"]}, "no array 'inputs', 'targets'"),
        (TWO | {"targets": np.array([0, "1", 0, None], object)}, "Python objects"),
        (TWO | {"inputs": np.array([[{}]] * 4, object)}, "Python objects"),
        (TWO | {"inputs": np.zeros((4, 2), complex)}, "must be real numbers"),
        (TWO | {"inputs": np.zeros((4, 2), "M8[s]")}, "must be real numbers"),
        (TWO | {"inputs": np.zeros(4, "f4,f4")}, "must be real numbers"),
        (TWO | {"inputs": np.full((4, 2), 1e39)}, "too large for float32"),
        (TWO | {"inputs": np.zeros(4)}, "must have (rows, features, …)"),
        (TWO | {"inputs": np.zeros((4, 0))}, "must have (rows, features, …)"),
        (TWO | {"inputs": np.zeros((0, 4)), "targets": np.zeros(0)}, "(0, 4)"),
        (TWO | {"targets": np.eye(4)}, "must have (rows,)"),
        (TWO | {"targets": np.zeros(5, int)}, "4 rows, but targets have 5"),
        (TWO | {"targets": np.zeros(4, "S3")}, "must be real numbers, bool, or text"),
        (TWO | {"test_inputs": np.zeros((4, 2))}, "one of test_inputs and test_targets"),
        (TWO | {"test_inputs": np.zeros((4, 3)), "test_targets": TWO["targets"]}, "shape"),
        (TWO | {"test_inputs": TWO["inputs"], "test_targets": np.array(list("abab"))}, "text"),
        (TWO | {"targets": np.array(["a", "\ud800"] * 2)}, "not valid Unicode"),
    ],
)
def test_npz_files_that_cannot_be_used(write: Write, arrays: dict[str, Any], problem: str) -> None:
    text = message(write("t.npz", npz(**arrays)), "source")
    assert problem in text
    assert "t.npz" in text


def test_npz_files_that_cannot_be_read(write: Write) -> None:
    whole = npz(**TWO)
    single = io.BytesIO()
    np.save(single, TWO["inputs"])
    for content in (b"", b"PK\3\4", whole[:-30], single.getvalue(), b"\x80\x04N."):
        assert "not a complete .npz file" in message(write("t.npz", content), "source")
    other_name = whole.replace(b"inputs.npy", b"outputs.np", 1)
    assert len(message(write("t.npz", other_name), "source")) < 400
    lying = io.BytesIO()
    with zipfile.ZipFile(lying, "w") as archive:
        header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (900000000000, 9), }\n"
        start = b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header
        archive.writestr("inputs.npy", start + bytes(8))
        archive.writestr("targets.npy", b"")
    assert "have the shape (900000000000, 9)" in message(write("t.npz", lying.getvalue()), "source")


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "ends within its header"),
        (IMAGES[:10], "ends within its header"),
        (IMAGES[:-1], "has only 719"),
        (IMAGES + b"\0", "has more"),
        (b"\0\1" + IMAGES[2:], "magic number 0x00000803"),
        (idx(np.zeros(60)), "magic number 0x00000803"),
        (b"PNG." + IMAGES[4:], "magic number 0x00000803"),
        (b"\0\0\x0d\3" + IMAGES[4:], "type byte 0x0d"),
        (b"\0\0\x08\3" + b"\0\0\0\xff" * 3, "has only 0"),
        (b"\0\0\x08\3" + b"\0\0\0\xff" * 3 + IMAGES, "has only 736"),
        (b"\0\0\x08\3" + b"\xff" * 12, "by its header"),
        (idx(np.zeros((0, 4, 3))), "is empty"),
        (idx(np.zeros((60, 4, 0))), "is empty"),
        (idx(np.zeros((59, 4, 3))), "59 images, but train-labels-idx1-ubyte has 60 labels"),
        (idx(np.zeros((60, 4, 4))), "training images are 4 x 4, but test images are 4 x 3"),
        (None, "has no file train-images-idx3-ubyte"),
    ],
)
def test_idx_files_that_cannot_be_read(
    tmp_path: Path, content: bytes | None, problem: str, compressed: bool
) -> None:
    chosen = write_idx(tmp_path, train_images_idx3_ubyte=None if compressed else content)
    if compressed and content is not None:
        (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(content))
    assert problem in message(chosen, "source")


def test_half_a_test_set(tmp_path: Path) -> None:
    chosen = write_idx(tmp_path, t10k_labels_idx1_ubyte=None)
    assert "no file t10k-labels-idx1-ubyte" in message(chosen, "source")


def test_missing_values_of_arrays(save: Save) -> None:
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(ROWS, 2, 3)).astype(np.float32)
    inputs[::7, 1, 2] = np.nan
    tests = np.full((4, 2, 3), np.nan, np.float32)
    arrays = {"inputs": inputs, "targets": np.arange(ROWS) % 2,
              "test_inputs": tests, "test_targets": np.arange(4) % 2}
    chosen = save(npz(**arrays), "t.npz")
    assert "inputs have 15 missing values (NaN); set impute = " in refusal(chosen)
    result = split(replace(chosen, impute="median"))
    stand_in = np.reshape(result.preprocessing.fill, (2, 3))
    np.testing.assert_array_equal(stand_in, stand_in.astype(np.float32))
    np.testing.assert_array_equal(result.test.inputs, np.broadcast_to(stand_in, (4, 2, 3)))
    training = result.data.training.inputs
    known = {row[0, 0]: row for row in inputs}
    original = np.array([known[row[0, 0]] for row in training])
    np.testing.assert_allclose(stand_in, np.nanmedian(original, axis=0), rtol=1e-6)
    np.testing.assert_array_equal(
        result.preprocessing.transform(np.full((1, 2, 3), np.nan))[0], stand_in.astype(np.float32)
    )
    assert "test_inputs; use" in refusal(replace(chosen, impute="drop_rows"))
    arrays["test_inputs"] = np.zeros((4, 2, 3))
    left = split(replace(save(npz(**arrays), "u.npz"), impute="drop_rows"))
    assert left.description.left_out == 15
    arrays["targets"] = np.where(np.arange(ROWS) == 4, np.nan, np.arange(ROWS) % 2)
    unlabeled = save(npz(**arrays), "v.npz")
    assert "without a label" in refusal(replace(unlabeled, impute="median"))
    assert split(replace(unlabeled, impute="drop_rows")).description.left_out == 16


def test_arrays_of_other_names_are_listed(save: Save) -> None:
    text = refusal(save(npz(X=np.ones((4, 2)), label=[0, 1, 0, 1]), "t.npz"))
    assert "no array 'inputs', 'targets'; its arrays: 'X', 'label'" in text
    assert "np.savez(file, inputs=…, targets=…)" in text
    texts = npz(inputs=np.array([["1", "2"]] * 4), targets=[0, 1, 0, 1])
    assert "inputs.astype(float)" in refusal(save(texts, "t.npz"))


GOOD = {"inputs": np.ones((4, 2)), "targets": np.arange(4) % 2}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"targets": None}, "'t.npz' has no array 'targets'; its arrays: 'inputs'; save it with "
         "np.savez(file, inputs=…, targets=…)"),
        ({"test_inputs": np.ones((4, 2))},
         "'t.npz' has only one of test_inputs and test_targets; save both or neither"),
        ({"test_inputs": np.ones((4, 3)), "test_targets": np.arange(4)},
         "'t.npz': one row of inputs has the shape (2,), but one row of test_inputs "
         "(3,); save both with the same shape"),
        ({"test_inputs": np.ones((4, 2)), "test_targets": list("abcd")},
         "'t.npz': only one of targets and test_targets is text; save both as the same type"),
        ({"inputs": np.array([["a"]])}, "'t.npz': inputs have the type text, but must be real "
         "numbers; convert them, for example with inputs.astype(float)"),
        ({"inputs": np.ones((4, 2), complex)}, "'t.npz': inputs have the type complex128, but "
         "must be real numbers; convert them, for example with inputs.astype(float)"),
        ({"targets": np.ones(4, complex)}, "'t.npz': targets have the type complex128, but must "
         "be real numbers, bool, or text"),
        ({"inputs": np.ones(4)}, "'t.npz': inputs have the shape (4,), but must have (rows, "
         "features, …)"),
        ({"inputs": np.ones((4, 0))}, "'t.npz': inputs have the shape (4, 0), but must have "
         "(rows, "
         "features, …)"),
        ({"targets": np.ones((4, 1))}, "'t.npz': targets have the shape (4, 1), but must have "
         "(rows,)"),
        ({"targets": np.ones(3)}, "'t.npz': inputs have 4 rows, but targets have 3; save one "
         "target for each row"),
        ({"inputs": np.array([[np.inf, 1]] * 4)}, "'t.npz': inputs have 4 infinite values; remove "
         "or replace those rows"),
        ({"inputs": np.array([[1e39, 1]] * 4)}, "'t.npz': inputs have values up to 1e+39, too "
         "large for float32; remove or replace those rows"),
        ({"inputs": np.array([[np.nan, 1]] * 4)}, "'t.npz': inputs have 4 missing values (NaN); "
         'set impute = "median", "most_frequent", or "drop_rows", or fill them in the file'),
        ({"targets": np.array([1, np.nan, 0, 1])}, "'t.npz': targets have 1 missing value; set "
         'impute = "drop_rows" to ignore rows without a label, or remove them'),
        ({"targets": np.array([1, np.inf, 0, 1])}, "'t.npz': targets have 1 infinite value; "
         "remove those rows"),
        ({"inputs": np.array([[{}]] * 4)}, "'t.npz': inputs has Python objects; save numbers or "
         "text instead"),
    ],
)
def test_arrays_that_cannot_be_used_are_named_with_the_remedy(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    path = tmp_path / "t.npz"
    path.write_bytes(npz(**{k: v for k, v in {**GOOD, **changes}.items() if v is not None}))
    with pytest.raises(InputError) as caught:
        read_npz(path, "t.npz", ColumnSettings())
    assert str(caught.value) == f"[data] source: {said}"


def test_of_a_test_set_of_its_own_rows_are_left_out_as_well(tmp_path: Path) -> None:
    inputs = np.array([[1.0, np.nan], [2, 3], [4, 5], [6, 7]])
    path = tmp_path / "t.npz"
    path.write_bytes(npz(**GOOD, test_inputs=inputs, test_targets=[0, 1, np.nan, 1]))
    source = read_npz(path, "t.npz", ColumnSettings(impute="drop_rows"))
    assert source.test is not None
    assert (source.left_out, source.test.inputs.tolist()) == (2, [[2, 3], [6, 7]])
    assert source.test.labels.tolist() == [1, 1]
    assert (source.images, source.labels) == (False, "targets of 't.npz'")
    path.write_bytes(npz(**GOOD, test_inputs=inputs * np.nan, test_targets=[0, 1, 0, 1]))
    with pytest.raises(InputError) as caught:
        read_npz(path, "t.npz", ColumnSettings(impute="drop_rows"))
    assert str(caught.value) == (
        '[data] impute: drop_rows leaves no rows of test_inputs; use "median" or "most_frequent"'
    )


HEADER = struct.pack(">HBB3I", 0, 8, 3, 2, 2, 2)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\0\0", "ends within its header; it is truncated or not an IDX file"),
        (b"\0\1" + HEADER[2:], "is not an IDX file with 3 dimensions: it starts with "
         "0x00010803, not with the magic number 0x00000803"),
        (b"\0\0\x08\x01" + HEADER[4:], "is not an IDX file with 3 dimensions: it starts with "
         "0x00000801, not with the magic number 0x00000803"),
        (b"\0\0\x09" + HEADER[3:], "has type byte 0x09; only unsigned bytes (0x08) are supported"),
        (HEADER + bytes(7), "should have 2 x 2 x 2 = 8 bytes by its header, but has only 7; "
         "download it again"),
        (HEADER + bytes(9), "should have 2 x 2 x 2 = 8 bytes by its header, but has more; "
         "download it again"),
        (struct.pack(">HBB3I", 0, 8, 3, 0, 2, 2), "is empty: its header gives 0 x 2 x 2"),
    ],
)
def test_images_that_cannot_be_read_are_named_with_the_reason(
    tmp_path: Path, content: bytes, said: str
) -> None:
    (tmp_path / "train-images-idx3-ubyte").write_bytes(content)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(2)))
    with pytest.raises(InputError) as caught:
        read_idx_folder(tmp_path, "here")
    assert str(caught.value) == f"[data] source: 'here': train-images-idx3-ubyte {said}"


def test_images_that_do_not_belong_together(tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(np.zeros((2, 3, 4))))
    (tmp_path / "train-labels.idx1-ubyte").write_bytes(idx(np.zeros(5)))
    with pytest.raises(InputError) as caught:
        read_idx_folder(tmp_path, "here")
    assert str(caught.value) == (
        "[data] source: 'here': train-images-idx3-ubyte has 2 images, but train-labels.idx1-ubyte "
        "has 5 labels; use two files that belong together"
    )
    (tmp_path / "train-labels.idx1-ubyte").write_bytes(idx(np.zeros(2)))
    assert read_idx_folder(tmp_path, "here").test is None
    (tmp_path / "t10k-images.idx3-ubyte").write_bytes(idx(np.zeros((2, 4, 3))))
    with pytest.raises(InputError) as caught:
        read_idx_folder(tmp_path, "here")
    assert str(caught.value) == (
        "[data] source: the folder 'here' has no file t10k-labels-idx1-ubyte (plain or .gz); add it"
    )
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(np.zeros(2)))
    with pytest.raises(InputError) as caught:
        read_idx_folder(tmp_path, "here")
    assert str(caught.value) == (
        "[data] source: 'here': training images are 3 x 4, but test images are 4 x 3; use images "
        "of the same size"
    )
