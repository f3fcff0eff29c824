import gzip
import hashlib
import io
import json
import math
import os
import socket
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo.data.loading import Split, load
from hpo.data.settings import DataSettings
from hpo.errors import InputError
from tests.fuzzing import examples
from tests.processes import ROOT

SHARED = ROOT.parent / "shared" / "data"
Write = Callable[[str, bytes], DataSettings]


@pytest.fixture
def mnist() -> Path:
    if not (SHARED / "mnist").is_dir():
        pytest.skip(f"MNIST is not in {SHARED}")
    return SHARED / "mnist"


@pytest.fixture
def wine() -> DataSettings:
    if not (SHARED / "winequality-white.csv").is_file():
        pytest.skip(f"wine quality is not in {SHARED}")
    return DataSettings(source=str(SHARED / "winequality-white.csv"), target="quality")


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, content: bytes) -> DataSettings:
        (tmp_path / name).write_bytes(content)
        target = "y" if name.endswith((".csv", ".parquet")) else None
        return DataSettings(source=str(tmp_path / name), target=target)

    return write


def split(settings: DataSettings, seed: int = 0) -> Split:
    return load(settings, seed=seed, folder=Path())


def message(settings: DataSettings, key: str) -> str:
    """Return the error of loading, having checked its form."""
    with pytest.raises(InputError) as caught:
        split(settings)
    text = str(caught.value)
    assert text.startswith(f"[data] {key}: "), text
    assert len(text.splitlines()) == 1
    assert text.isprintable()
    assert len(text) < 1500
    return text


def parts(result: Split) -> list[Any]:
    assert result.data.validation is not None
    return [result.data.training, result.data.validation, result.test]


def sizes(result: Split) -> list[int]:
    return [len(part.targets) for part in parts(result)]


def csv(**columns: Any) -> bytes:
    return pd.DataFrame(columns).to_csv(index=False).encode()


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def parquet(table: pd.DataFrame, **options: Any) -> bytes:
    file = io.BytesIO()
    table.to_parquet(file, **options)
    return file.getvalue()


def idx(array: np.ndarray[Any, Any]) -> bytes:
    start = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return start + array.astype(np.uint8).tobytes()


def write_idx(folder: Path, **changed: bytes | None) -> DataSettings:
    """Write 60 training and 20 test images of 4 x 3; None leaves a file out."""
    rng = np.random.default_rng(0)
    files: dict[str, bytes | None] = {
        "train-images-idx3-ubyte": idx(rng.integers(0, 200, (60, 4, 3))),
        "train-labels-idx1-ubyte": idx(np.arange(60) % 3),
        "t10k-images-idx3-ubyte": idx(rng.integers(0, 256, (20, 4, 3))),
        "t10k-labels-idx1-ubyte": idx(np.arange(20) % 3),
    }
    files |= {name.replace("_", "-"): content for name, content in changed.items()}
    for name, content in files.items():
        if content is not None:
            (folder / name).write_bytes(content)
    return DataSettings(source=str(folder))


NUMBERS = {"id": range(100), "x": np.linspace(5, 9, 100), "y": [0, 1, 2, 3, 4] * 20}


# The sources


def test_importing_data_stays_light() -> None:
    code = "import sys, hpo.data; print({'pandas', 'sklearn', 'scipy'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_digits() -> None:
    result = split(DataSettings())
    assert [part.inputs.shape for part in parts(result)] == [
        (1149, 8, 8),
        (288, 8, 8),
        (360, 8, 8),
    ]
    for part in parts(result):
        assert part.inputs.dtype == np.float32
        assert part.inputs.flags.c_contiguous
        assert part.targets.dtype == np.int64
    assert result.data.task == "classification"
    assert result.data.classes == tuple("0123456789")
    assert result.data.target_scale == 1.0
    assert result.data.training.inputs.min() == 0.0
    assert result.data.training.inputs.max() == 1.0
    description = result.description
    assert description.rows == {"training": 1149, "validation": 288, "test": 360}
    assert description.shape == (8, 8)
    assert (description.source, description.scale, description.target) == ("digits", "range", None)
    assert sum(map(sum, description.classes.values())) == 1797
    assert json.loads(json.dumps(asdict(description)))["digest"] == description.digest


def test_digits_keep_their_own_labels() -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    known = {
        image.tobytes(): label
        for image, label in zip(digits.images.astype(np.float32), digits.target, strict=True)
    }
    for part in parts(split(DataSettings(scale="none"))):
        for image, label in zip(part.inputs, part.targets, strict=True):
            assert known[image.tobytes()] == label


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


def test_wine_loads_with_its_class_of_five_rows(wine: DataSettings) -> None:
    result = split(wine)
    assert sizes(result) == [3134, 784, 980]
    assert result.data.classes == ("3", "4", "5", "6", "7", "8", "9")
    assert result.description.classes["9"] == (3, 1, 1)
    assert result.description.features[0] == "fixed acidity"
    assert result.description.target == "quality"


def test_wine_as_regression(wine: DataSettings) -> None:
    result = split(replace(wine, task="regression"))
    assert result.data.classes == ()
    assert result.description.classes == {}
    assert result.data.training.targets.dtype == np.float32
    assert abs(result.data.training.targets.mean()) < 1e-5
    assert abs(result.data.training.targets.std() - 1) < 1e-5
    amounts = np.unique(np.diff(np.unique(result.test.targets)) * result.data.target_scale)
    np.testing.assert_allclose(amounts, 1.0, rtol=1e-4)


def test_relative_source_is_relative_to_the_folder(write: Write, tmp_path: Path) -> None:
    written = write("table.csv", csv(**NUMBERS))
    relative = load(replace(written, source="table.csv"), seed=0, folder=tmp_path)
    assert relative.description.digest == split(written).description.digest
    assert relative.description.source == "table.csv"


@pytest.mark.parametrize("separator", [";", "\t"])
def test_csv_with_other_separators_and_byte_order_mark(write: Write, separator: str) -> None:
    expected = split(write("plain.csv", csv(**NUMBERS)))
    text = csv(**NUMBERS).replace(b",", separator.encode())
    result = split(write("other.csv", b"\xef\xbb\xbf" + text))
    assert result.description.digest == expected.description.digest


def test_text_and_bool_columns_become_one_hot(write: Write) -> None:
    colors = ["red", "blue", "green", "blue"] * 25
    table = {**NUMBERS, "color": colors, "wet": [True, False] * 50}
    result = split(replace(write("t.csv", csv(**table)), drop=("id",)))
    features = ("x", "color=blue", "color=green", "color=red", "wet=False", "wet=True")
    assert result.description.features == features
    inputs = np.concatenate([part.inputs for part in parts(result)])
    assert set(np.unique(inputs[:, 1:])) == {0.0, 1.0}
    np.testing.assert_array_equal(inputs[:, 1:].sum(axis=0), [50, 25, 25, 50, 50])
    np.testing.assert_array_equal(inputs[:, 1:4].sum(axis=1), 1)


def test_parquet_with_categories_and_nullable_columns(write: Write) -> None:
    table = pd.DataFrame(NUMBERS)
    table["kind"] = pd.Categorical([f"kind {k % 12:02}" for k in range(100)])
    table["count"] = table["id"].astype("Int64")
    table["share"] = table["x"].astype("Float64")
    table["flag"] = (table["id"] % 2 == 0).astype("boolean")
    table["y"] = pd.Categorical([f"class {y}" for y in table["y"]])
    result = split(write("t.parquet", parquet(table)))
    assert result.data.classes == tuple(f"class {k}" for k in range(5))
    kinds = tuple(f"kind=kind {k:02}" for k in range(12))
    assert result.description.features == (
        "id", "x", *kinds, "count", "share", "flag=False", "flag=True",
    )  # fmt: skip


def test_csv_and_parquet_give_the_same(write: Write) -> None:
    first = split(write("t.csv", csv(**NUMBERS)))
    second = split(write("t.parquet", parquet(pd.DataFrame(NUMBERS))))
    assert first.description.digest == second.description.digest


def test_a_path_like_a_partition_adds_no_column(write: Write, tmp_path: Path) -> None:
    (tmp_path / "k=1").mkdir()
    result = split(write("k=1/t.parquet", parquet(pd.DataFrame(NUMBERS))))
    assert result.description.features == ("id", "x")


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


# OpenML, from what scikit-learn caches and without a network


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path))
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def cache_openml(home: Path) -> None:
    """Lay a set of 60 rows into scikit-learn's cache, as if fetched before."""
    rows = [f"{i},{'ab'[i % 2]},{'xyz'[i % 3]}" for i in range(60)]
    attributes = ["@ATTRIBUTE n INTEGER", "@ATTRIBUTE k {a,b}", "@ATTRIBUTE class {x,y,z}"]
    arff = "\n".join(["@RELATION flowers", *attributes, "@DATA", *rows]).encode() + b"\n"
    common = {"is_ignore": "false", "is_row_identifier": "false", "number_of_missing_values": "0"}
    names = [("n", "numeric"), ("k", "nominal"), ("class", "nominal")]
    features = [
        {"index": str(i), "name": name, "data_type": kind, **common}
        | {"is_target": "true" if name == "class" else "false"}
        for i, (name, kind) in enumerate(names)
    ]
    description = {"id": "1", "name": "flowers", "version": "3", "format": "ARFF"}
    description |= {"status": "active", "description": "", "file_id": "1"}
    description |= {"url": "https://www.openml.org/data/v1/download/1/flowers.arff"}
    description |= {"md5_checksum": hashlib.md5(arff).hexdigest()}
    listing = {"data": {"dataset": [{"did": 1, "name": "flowers", "status": "active"}]}}
    quality = [{"name": "NumberOfInstances", "value": "60.0"}]
    api = "api/v1/json/data"
    files = {
        f"{api}/list/data_name/flowers/limit/2/status/active/": listing,
        f"{api}/1": {"data_set_description": description},
        f"{api}/features/1": {"data_features": {"feature": features}},
        f"{api}/qualities/1": {"data_qualities": {"quality": quality}},
        "data/v1/download/1/flowers.arff": arff,
    }
    for name, content in files.items():
        path = home / "openml" / "openml.org" / (name + ".gz")
        path.parent.mkdir(parents=True, exist_ok=True)
        plain = content if isinstance(content, bytes) else json.dumps(content).encode()
        path.write_bytes(gzip.compress(plain))


def test_openml_from_the_cache(no_network: Path) -> None:
    cache_openml(no_network)
    result = split(DataSettings(source="openml:flowers"))
    assert result.data.classes == ("x", "y", "z")
    assert result.description.target == "class"
    assert result.description.version == "3"
    assert result.description.features == ("n", "k=a", "k=b")
    other = split(DataSettings(source="openml:flowers", target="k", drop=("n",)))
    assert other.description.features == ("class=x", "class=y", "class=z")


def test_openml_without_a_network(no_network: Path) -> None:
    before = socket.getdefaulttimeout()
    text = message(DataSettings(source="openml:flowers"), "source")
    assert "cannot be fetched" in text
    assert "check the network" in text
    assert socket.getdefaulttimeout() == before


@pytest.mark.parametrize("name", ["", " ", "../../x", "a b", "a?b", "한글"])
def test_openml_names(no_network: Path, name: str) -> None:
    assert "openml:NAME" in message(DataSettings(source=f"openml:{name}"), "source")


# Splitting


def test_no_row_is_in_two_parts_and_none_is_lost(write: Write) -> None:
    result = split(replace(write("t.csv", csv(**NUMBERS)), scale="none"))
    ids = [set(part.inputs[:, 0]) for part in parts(result)]
    assert [len(each) for each in ids] == [64, 16, 20]
    assert set.union(*ids) == set(range(100))
    for part in parts(result):  # and every row keeps its label
        np.testing.assert_array_equal(part.inputs[:, 0] % 5, part.targets)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_rows_changes_no_test_row(write: Write, task: Any) -> None:
    whole = replace(write("t.csv", csv(**NUMBERS)), scale="none", task=task)
    all_rows, few = split(whole), split(replace(whole, rows=40))
    assert sizes(few) == [32, 8, 20]
    np.testing.assert_array_equal(few.test.inputs, all_rows.test.inputs)
    before = {*all_rows.data.training.inputs[:, 0], *parts(all_rows)[1].inputs[:, 0]}
    after = {*few.data.training.inputs[:, 0], *parts(few)[1].inputs[:, 0]}
    assert after < before
    assert sizes(split(replace(whole, rows=80))) == [64, 16, 20]


@given(
    counts=st.lists(st.integers(3, 60), min_size=2, max_size=6),
    validation=st.floats(0.05, 0.95),
    test=st.floats(0.05, 0.95),
    seed=st.integers(0, 2**70),
)
@settings(max_examples=examples(40, 150), deadline=None)
def test_every_part_has_its_share_of_every_class(
    counts: list[int], validation: float, test: float, seed: int
) -> None:
    targets = np.repeat(np.arange(len(counts)), counts)
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder, "t.npz"), inputs=np.arange(len(targets))[:, None], targets=targets)
        chosen = DataSettings(
            source="t.npz", task="classification", validation=validation, test=test
        )
        try:
            result = load(chosen, seed=seed, folder=Path(folder))
        except InputError as error:
            assert "(possible: " in str(error)  # noqa: PT017
            return
    total = len(targets)
    assert sizes(result)[2] == math.ceil(round(test * total, 6))
    rest = total - sizes(result)[2]
    assert sizes(result)[1] == math.ceil(round(validation * rest, 6))
    for label, count in enumerate(counts):
        training, validated, tested = result.description.classes[str(label)]
        assert training + validated + tested == count
        assert min(training, validated, tested) >= 1
        if min(counts) > 20 and 0.1 < test < 0.8:
            assert abs(tested - count * sizes(result)[2] / total) < 1


@pytest.mark.parametrize(
    ("counts", "own_test", "rows"),
    [((40, 2), False, None), ((40, 1), True, None), ((40, 1), True, 20)],
)
def test_a_class_too_small_is_named(
    write: Write, counts: tuple[int, int], own_test: bool, rows: int | None
) -> None:
    targets = np.repeat(["many", "few"], counts)
    arrays = {"inputs": np.random.default_rng(0).random((len(targets), 2)), "targets": targets}
    if own_test:
        arrays |= {"test_inputs": np.zeros((1, 2)), "test_targets": np.array(["few"])}
    key = "test" if not own_test else "rows" if rows else "validation"
    text = message(replace(write("t.npz", npz(**arrays)), rows=rows), key)
    assert f"class 'few' has {counts[1]} of the {3 - own_test} rows" in text
    assert "remove the class" in text
    arrays["targets"] = np.repeat(["many", "few"], [len(targets) - 3 + own_test, 3 - own_test])
    assert min(split(write("t.npz", npz(**arrays))).description.classes["few"]) == 1


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("validation", {"validation": 0.0}),
        ("validation", {"validation": 1.0}),
        ("validation", {"validation": math.nan}),
        ("test", {"test": -0.2}),
        ("test", {"test": 1.5}),
        ("test", {"test": 0.001}),
        ("test", {"test": 0.999}),
        ("validation", {"validation": 0.001}),
        ("validation", {"validation": 0.9999}),
        ("rows", {"rows": 0}),
        ("rows", {"rows": 15}),
        ("rows", {"rows": 1438}),
        ("validation", {"rows": 25}),
        ("target", {"target": "digit"}),
        ("drop", {"drop": ("x",)}),
    ],
)
def test_settings_that_cannot_be(key: str, changes: dict[str, Any]) -> None:
    message(replace(DataSettings(), **changes), key)


def test_a_regression_part_cannot_be_empty(write: Write) -> None:
    table = write("t.csv", csv(x=[1.0, 2.0, 4.0], y=[0.5, 1.5, 2.5]))
    assert "is constant" in message(table, "target")  # one training row
    assert "leave a part empty" in message(replace(table, test=0.9), "test")
    assert "leave a part empty" in message(replace(table, test=0.3, validation=0.6), "validation")


# Determinism


def test_equal_settings_and_seed_give_equal_arrays(tmp_path: Path) -> None:
    chosen = write_idx(tmp_path)
    for seed in (0, 1, 2**32 + 5, 10**40):
        first, second = split(chosen, seed), split(chosen, seed)
        assert first.description == second.description
        for one, two in zip(parts(first), parts(second), strict=True):
            np.testing.assert_array_equal(one.inputs, two.inputs)
            np.testing.assert_array_equal(one.targets, two.targets)
    digests = {split(chosen, seed).description.digest for seed in (0, 1, 2**32, 2**32 + 1)}
    assert len(digests) == 4


def test_the_digest_is_the_same_on_every_machine() -> None:
    # No floating point beyond a division by 16 goes into it.
    assert split(DataSettings()).description.digest == "e7eff1c40c5a779c"


def test_the_digest_changes_with_one_value(write: Write) -> None:
    arrays = {"inputs": np.arange(80.0).reshape(40, 2), "targets": np.arange(40) % 2}
    before = split(replace(write("t.npz", npz(**arrays)), scale="none"))
    arrays["inputs"][17, 1] += 0.5
    after = split(replace(write("t.npz", npz(**arrays)), scale="none"))
    assert before.description.digest != after.description.digest


# Scaling


def test_standard_uses_the_training_part_only(write: Write) -> None:
    rng = np.random.default_rng(0)
    table = {"a": rng.lognormal(3, 2, 200), "b": rng.integers(0, 10**15, 200)}
    chosen = write("t.csv", csv(**table, constant=[0.1] * 200, y=["p", "q"] * 100))
    raw = [part.inputs.astype(np.float64) for part in parts(split(replace(chosen, scale="none")))]
    mean, deviation = raw[0].mean(axis=0), raw[0].std(axis=0)
    result = split(chosen)
    for part, before in zip(parts(result), raw, strict=True):
        expected = (before - mean)[:, :2] / deviation[:2]
        np.testing.assert_allclose(part.inputs[:, :2], expected, rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(part.inputs[:, 2], 0.0)


@pytest.mark.filterwarnings("error")
def test_a_column_constant_in_the_training_part_becomes_zero(write: Write) -> None:
    inputs = np.zeros((50, 3))
    inputs[:, 1] = 1 / 3
    inputs[:, 2] = 1e-320  # subnormal
    arrays = {"inputs": inputs, "targets": np.arange(50) % 2}
    result = split(write("t.npz", npz(**arrays)))
    assert not any(part.inputs.any() for part in parts(result))
    for scale in ("range", "none"):
        arrays["inputs"] = np.full((50, 3), 7.0)
        result = split(replace(write("t.npz", npz(**arrays)), scale=scale))
        assert np.unique(result.data.training.inputs) == (0.0 if scale == "range" else 7.0)


def test_range_uses_one_minimum_and_maximum_of_the_training_part(tmp_path: Path) -> None:
    chosen = write_idx(tmp_path)
    raw = [part.inputs for part in parts(split(replace(chosen, scale="none")))]
    low, high = raw[0].min(), raw[0].max()
    result = split(chosen)
    for part, before in zip(parts(result), raw, strict=True):
        expected = (before.astype(np.float64) - low) / (high - low)
        np.testing.assert_array_equal(part.inputs, expected.astype(np.float32))
    assert result.test.inputs.max() > 1.0  # the test images are brighter


def test_regression_targets_are_standardized_by_the_training_part(write: Write) -> None:
    y = np.random.default_rng(0).gamma(2, 1000, 200)
    result = split(replace(write("t.csv", csv(x=np.arange(200), y=y)), scale="none"))
    assert result.data.task == "regression"
    ids = [part.inputs[:, 0].astype(int) for part in parts(result)]
    assert result.data.target_scale == pytest.approx(y[ids[0]].std())
    for part, rows in zip(parts(result), ids, strict=True):
        expected = (y[rows] - y[ids[0]].mean()) / y[ids[0]].std()
        np.testing.assert_allclose(part.targets, expected, rtol=1e-5, atol=1e-6)
        assert part.targets.dtype == np.float32


def test_targets_that_scale_beyond_float32(write: Write) -> None:
    y = np.full(100, 1e-300)
    y[::2] = 2e-300
    y[7] = 3e38
    chosen = write("t.csv", csv(x=np.arange(100), y=y))
    for seed in range(8):
        try:
            result = split(chosen, seed)
        except InputError as error:
            assert str(error).startswith("[data] target: ")  # noqa: PT017
        else:
            assert all(np.isfinite(part.targets).all() for part in parts(result))


# Tasks and labels


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["b", "a"] * 50, ("a", "b")),
        ([True, False] * 50, ("False", "True")),
        ([10, 9, -1, 2] * 25, ("-1", "2", "9", "10")),
        ([1.0, 10.0, 2.0, 3.0] * 25, ("1", "2", "3", "10")),
        (["양성", "음성"] * 50, ("양성", "음성")),
    ],
)
def test_plain_classes(write: Write, labels: list[Any], classes: tuple[str, ...]) -> None:
    result = split(write("t.csv", csv(x=range(100), y=labels)))
    assert result.data.task == "classification"
    assert result.data.classes == classes


def test_the_task_can_be_said(write: Write) -> None:
    numbers = write("t.csv", csv(x=range(100), y=range(100)))
    text = message(numbers, "task")
    assert "100 distinct whole numbers" in text
    assert 'task = "classification" or "regression"' in text
    assert split(replace(numbers, task="regression")).data.task == "regression"
    assert "class '0' has 1 of the 3 rows" in message(
        replace(numbers, task="classification"), "test"
    )
    halves = write("t.csv", csv(x=range(100), y=[0.5, 1.5] * 50))
    assert split(halves).data.task == "regression"
    assert split(replace(halves, task="classification")).data.classes == ("0.5", "1.5")
    many = write("t.csv", csv(x=range(100), y=[k % 25 for k in range(100)]))
    message(many, "task")
    few = write("t.csv", csv(x=range(200), y=[k % 20 for k in range(200)]))
    assert len(split(few).data.classes) == 20


def test_labels_of_images_are_classes_however_many(tmp_path: Path) -> None:
    labels = idx(np.arange(60) % 30)
    chosen = write_idx(tmp_path, train_labels_idx1_ubyte=labels, t10k_labels_idx1_ubyte=None)
    (tmp_path / "t10k-images-idx3-ubyte").unlink()
    text = message(chosen, "test")
    assert "class '0' has 2 of the 3 rows" in text
    assert split(replace(chosen, task="regression")).data.task == "regression"


def test_labels_that_cannot_be(write: Write) -> None:
    text = ["a", "b"] * 50
    assert "is text" in message(
        replace(write("t.csv", csv(x=range(100), y=text)), task="regression"), "task"
    )
    assert "one class only, 'a'" in message(write("t.csv", csv(x=range(9), y=["a"] * 9)), "target")
    assert "is constant" in message(
        replace(write("t.csv", csv(x=range(9), y=[0.1] * 9)), task="regression"), "target"
    )
    text[3] = text[5] = ""
    assert "column 'y'" in (error := message(write("t.csv", csv(x=range(100), y=text)), "target"))
    assert "2 missing values" in error
    y = np.linspace(0, 1, 100)
    y[3] = np.inf
    assert "infinite" in message(write("t.csv", csv(x=range(100), y=y)), "target")
    arrays = {"inputs": np.zeros((9, 2)), "targets": np.full(9, np.nan)}
    assert "targets have 9 missing" in message(write("t.npz", npz(**arrays)), "source")


def test_a_test_set_with_a_class_of_its_own(tmp_path: Path) -> None:
    chosen = write_idx(tmp_path, t10k_labels_idx1_ubyte=idx(np.arange(20) % 5))
    assert "classes '3', '4'" in message(chosen, "source")


# Tables that cannot be used


def test_columns_that_are_not_there(write: Write) -> None:
    table = write("t.csv", csv(**NUMBERS, quality=range(100)))
    text = message(replace(table, target=None), "target")
    assert "'id', 'x', 'y', 'quality'" in text
    text = message(replace(table, target="qality"), "target")
    assert "no column 'qality'" in text
    assert "did you mean 'quality'?" in text
    assert "did you mean 'id'?" in message(replace(table, drop=("idd",)), "drop")
    assert "is the target" in message(replace(table, drop=("y",)), "drop")
    assert "are left" in message(replace(table, drop=("id", "x", "quality")), "drop")
    wide = {f"column {k}": [1, 2] for k in range(500)}
    assert "(500 in all)" in message(replace(write("w.csv", csv(**wide)), target="y"), "target")


def test_missing_and_infinite_inputs_name_their_columns(write: Write) -> None:
    x = np.linspace(0, 1, 100)
    x[[1, 2]] = np.nan
    x[3] = -np.inf
    color = ["red"] * 99 + [None]
    text = message(write("t.csv", csv(**{**NUMBERS, "x": x, "color": color})), "source")
    assert "missing values in 'x' (2), 'color' (1), infinite values in 'x' (1)" in text
    assert 'impute = "median", "most_frequent" or "drop_rows"' in text
    assert "drop =" not in text
    table = pd.DataFrame(NUMBERS).assign(n=pd.array([None, 1.5, *range(98)], dtype="Float64"))
    assert "'n' (1)" in message(write("t.parquet", parquet(table)), "source")
    arrays = {"inputs": np.array([[np.nan, 1], [2, np.inf]]), "targets": [0, 1]}
    assert "inputs have 1 infinite values" in message(write("t.npz", npz(**arrays)), "source")
    arrays["inputs"][1, 1] = 3
    assert "inputs have 1 missing" in message(write("t.npz", npz(**arrays)), "source")


def test_text_with_too_many_values(write: Write) -> None:
    names = [f"name {k}" for k in range(101)]
    table = write("t.csv", csv(name=names, x=range(101), y=["a", "b", "c"] * 33 + ["a", "b"]))
    text = message(table, "source")
    assert "text column 'name'" in text
    assert "101 distinct values" in text
    assert "drop" in text
    split(replace(table, drop=("name",)))


@pytest.mark.parametrize("digits", [60, 400, 5000])
@pytest.mark.parametrize("column", ["x", "y"])
def test_integers_too_large_for_float32(write: Write, digits: int, column: str) -> None:
    x, y = ("9" * digits, "1") if column == "x" else ("1", "9" * digits)
    content = "x,y\n" + "3,0\n" * 20 + "4,1\n" * 20 + f"{x},{y}\n"
    message(write("t.csv", content.encode()), "source" if column == "x" else "target")


def test_integers_of_more_than_64_bits_that_fit_float32(write: Write) -> None:
    content = "x,y\n" + "3,0\n" * 20 + "99999999999999999999,1\n" * 20
    result = split(replace(write("t.csv", content.encode()), scale="none"))
    assert result.data.training.inputs.max() == np.float32(1e20)
    assert sizes(split(write("t.csv", content.replace(",1", ",18446744073709551615").encode())))


def test_scaled_values_beyond_float32_name_their_column(write: Write) -> None:
    x = np.tile([1e-30, 2e-30], 50)
    x[50] = 3e38
    table = write("t.csv", csv(x=x, y=["a", "b"] * 50))
    found = set()
    for seed in range(12):
        try:
            found.add(bool(np.isfinite(split(table, seed).test.inputs).all()))
        except InputError as error:
            assert "column 'x'" in str(error)  # noqa: PT017
            found.add(False)
    assert found == {True, False}


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (pd.date_range("2020", periods=100), "neither numbers nor text"),
        ([[1, 2]] * 100, "neither numbers nor text"),
        ([b"x"] * 100, "holds bytes"),
        (pd.to_timedelta(range(100), unit="s"), "neither numbers nor text"),
        (pd.array(["a", "b"] * 50, dtype="string"), ""),
    ],
)
def test_columns_of_other_kinds(write: Write, values: Any, problem: str) -> None:
    table = pd.DataFrame(NUMBERS).assign(other=values)
    written = write("t.parquet", parquet(table))
    if problem:
        text = message(written, "source")
        assert problem in text
        assert "column 'other'" in text
    else:
        split(written)


def test_names_with_odd_characters_stay_on_one_line(write: Write) -> None:
    content = b'"a\nb","\x1b[31mred",y\n' + b"1,2,0\n,4,1\n" * 20
    text = message(write("t.csv", content), "source")
    assert "'a\\nb' (20)" in text
    assert "\\x1b" in message(replace(write("t.csv", content), target="red"), "target")
    long = write("t.csv", b"x" * 100_000 + b",z\n1,2\n")
    message(long, "target")


# Files that cannot be read


def test_sources_that_do_not_exist(write: Write, tmp_path: Path) -> None:
    for source in (
        "digit",
        "no.csv",
        "no.npz",
        "no/where",
        "a\0b",
        "",
        "x" * 5000,
        "http://a/b.csv",
    ):
        with pytest.raises(InputError) as caught:
            load(DataSettings(source=source, target=None), seed=0, folder=tmp_path)
        assert str(caught.value).startswith("[data] source: ")
        assert len(str(caught.value).splitlines()) == 1
    text = message(DataSettings(source=str(tmp_path / "no.csv"), target="y"), "source")
    assert "does not exist" in text
    assert '.csv, .tsv (also .gz, .bz2, .xz or .zip of these) or .parquet file' in text
    assert "exists, but" in message(write("t.xlsx", b"PK"), "source")
    os.mkfifo(tmp_path / "pipe.csv")
    pipe = DataSettings(source=str(tmp_path / "pipe.csv"), target="y")
    assert "not a regular file" in message(pipe, "source")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b"\n\n\n", "is empty"),
        (b"x,y\n", "no rows"),
        (b"x,y\n1,2\n1,2,3\n1,2\n", "line 3"),
        (b"x,y\n1,2,3\n1,2,3\n", "more fields than"),
        (b"x,y\n1,2\n1\n", "missing"),
        (b'x,y\n"1,2\n3,4\n', "EOF inside string"),
        ("x,y\n1,a\n2,é\n".encode("latin1"), "CP1252 (western European), in which line 3 is '2,é'"),
        ("x,y\n1,2\n".encode("utf-16"), "not UTF-8"),
        (bytes(range(256)) * 20, "not UTF-8"),
        (b"\0" * 1000, ""),
    ],
)
def test_csv_files_that_cannot_be_read(write: Write, content: bytes, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        split(write("t.csv", content))
    text = message(write("t.csv", content), str(caught.value)[7:].partition(":")[0])
    assert problem in text
    assert "t.csv" in text


def test_parquet_files_that_cannot_be_read(write: Write) -> None:
    whole = parquet(pd.DataFrame(NUMBERS))
    for content in (b"", b"PAR1", whole[:-20], whole[:4] + bytes(100) + whole[104:]):
        assert "no whole .parquet file" in message(write("t.parquet", content), "source")


TWO = {"inputs": np.zeros((4, 2)), "targets": np.array([0, 1, 0, 1])}


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
        (TWO | {"inputs": np.zeros(4)}, "it must be (rows, features, …)"),
        (TWO | {"inputs": np.zeros((4, 0))}, "it must be (rows, features, …)"),
        (TWO | {"inputs": np.zeros((0, 4)), "targets": np.zeros(0)}, "(0, 4)"),
        (TWO | {"targets": np.eye(4)}, "it must be (rows,)"),
        (TWO | {"targets": np.zeros(5, int)}, "4 rows, but targets 5"),
        (TWO | {"targets": np.zeros(4, "S3")}, "must be real numbers, bool or text"),
        (TWO | {"test_inputs": np.zeros((4, 2))}, "one of test_inputs and test_targets"),
        (TWO | {"test_inputs": np.zeros((4, 3)), "test_targets": TWO["targets"]}, "shape"),
        (TWO | {"test_inputs": TWO["inputs"], "test_targets": np.array(list("abab"))}, "text"),
        (TWO | {"targets": np.array(["a", "\ud800"] * 2)}, "not Unicode text"),
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
        assert "no whole .npz file" in message(write("t.npz", content), "source")
    other_name = whole.replace(b"inputs.npy", b"outputs.np", 1)
    assert len(message(write("t.npz", other_name), "source")) < 400
    lying = io.BytesIO()
    with zipfile.ZipFile(lying, "w") as archive:
        header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (900000000000, 9), }\n"
        start = b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header
        archive.writestr("inputs.npy", start + bytes(8))
        archive.writestr("targets.npy", b"")
    assert "promises (900000000000, 9)" in message(write("t.npz", lying.getvalue()), "source")


IMAGES = idx(np.zeros((60, 4, 3)))
PACKED = gzip.compress(IMAGES)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "ends within its header"),
        (IMAGES[:10], "ends within its header"),
        (IMAGES[:-1], "holds only 719"),
        (IMAGES + b"\0", "holds more"),
        (b"\0\1" + IMAGES[2:], "magic number 0x00000803"),
        (idx(np.zeros(60)), "magic number 0x00000803"),
        (b"PNG." + IMAGES[4:], "magic number 0x00000803"),
        (b"\0\0\x0d\3" + IMAGES[4:], "type byte 0x0d"),
        (b"\0\0\x08\3" + b"\0\0\0\xff" * 3, "holds only 0"),
        (b"\0\0\x08\3" + b"\0\0\0\xff" * 3 + IMAGES, "holds only 736"),
        (b"\0\0\x08\3" + b"\xff" * 12, "promise"),
        (idx(np.zeros((0, 4, 3))), "is empty"),
        (idx(np.zeros((60, 4, 0))), "is empty"),
        (idx(np.zeros((59, 4, 3))), "59 images, but train-labels-idx1-ubyte has 60 labels"),
        (idx(np.zeros((60, 4, 4))), "training images are 4 x 4, test images 4 x 3"),
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


@pytest.mark.parametrize(
    "content", [PACKED[:-9], IMAGES, PACKED[:30] + b"x" * 9], ids=["short", "plain", "broken"]
)
def test_gzip_files_that_are_not_whole(tmp_path: Path, content: bytes) -> None:
    chosen = write_idx(tmp_path, train_images_idx3_ubyte=None)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(content)
    assert "no whole gzip file" in message(chosen, "source")


def test_half_a_test_set(tmp_path: Path) -> None:
    chosen = write_idx(tmp_path, t10k_labels_idx1_ubyte=None)
    assert "no file t10k-labels-idx1-ubyte" in message(chosen, "source")


# Anything at all


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
