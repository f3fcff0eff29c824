"""Digits, relative paths, OpenML, and sources that are not there."""

import gzip
import hashlib
import json
import os
import socket
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpo.data import sources
from hpo.data.loading import load
from hpo.data.settings import DataSettings
from hpo.data.sources import is_beside
from hpo.errors import InputError
from tests.hpo.data.writing import NUMBERS, Save, Write, csv, message, parts, split


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


def test_digits_are_read_without_scikit_learn_and_where_it_keeps_them_elsewhere_by_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code = """
import sys
from pathlib import Path
from hpo.data.rows import ColumnSettings
from hpo.data.sources import read
read("digits", Path(), ColumnSettings())
print({"pandas", "sklearn", "scipy"} & set(sys.modules))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
    found = split(DataSettings())
    monkeypatch.setattr(sources, "find_spec", lambda name: None)
    assert split(DataSettings()).description == found.description  # with the digest of all rows


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


def test_relative_source_is_relative_to_the_folder(write: Write, tmp_path: Path) -> None:
    written = write("table.csv", csv(**NUMBERS))
    relative = load(replace(written, source="table.csv"), seed=0, folder=tmp_path)
    assert relative.description.digest == split(written).description.digest
    assert relative.description.source == "table.csv"


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
    assert "cannot be downloaded" in text
    assert "check the network" in text
    assert socket.getdefaulttimeout() == before


@pytest.mark.parametrize("name", ["", " ", "../../x", "a b", "a?b", "한글"])
def test_openml_names(no_network: Path, name: str) -> None:
    assert "openml:NAME" in message(DataSettings(source=f"openml:{name}"), "source")


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
    assert "a .csv, .tsv, .parquet, or .npz file" in text
    assert "exists, but" in message(write("t.xlsx", b"PK"), "source")
    os.mkfifo(tmp_path / "pipe.csv")
    pipe = DataSettings(source=str(tmp_path / "pipe.csv"), target="y")
    assert "not a regular file" in message(pipe, "source")


def test_a_file_that_is_not_there(save: Save, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    save("x,y\n1,2\n", "data/cars.csv")
    with pytest.raises(InputError, match=r"does not exist; .*; did you mean 'data/cars.csv'\?"):
        load(DataSettings(source="data/car.csv", target="y"), seed=0, folder=tmp_path)
    with pytest.raises(InputError, match=r"and neither does the folder .*/none'"):
        load(DataSettings(source="none/car.csv", target="y"), seed=0, folder=tmp_path)
    with pytest.raises(InputError, match=r"did you mean 'digits'\?"):
        load(DataSettings(source="digit"), seed=0, folder=tmp_path)


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("e.json", "exists, but its type is not supported; convert it to one of them"),
        ("E.XLSX", "exists, but its type is not supported; save the sheet as CSV"),
        ("no/x.csv", "does not exist, and neither does the folder '{folder}/no'"),
        ("nothing like it", "does not exist (relative paths start at the study file)"),
        ("f.json", "does not exist; did you mean 'e.json'?"),
    ],
)
def test_what_a_source_can_be_is_said(tmp_path: Path, name: str, there: str) -> None:
    for file in ("e.json", "E.XLSX"):
        (tmp_path / file).write_bytes(b"x")
    with pytest.raises(InputError) as caught:
        load(DataSettings(source=name), seed=0, folder=tmp_path)
    there, hint, near = there.format(folder=tmp_path).partition("; did")
    assert str(caught.value) == (
        f"[data] source: {name!r} is not a source: '{tmp_path}/{name}' "
        f"{there}; valid sources: \"digits\", a folder of IDX files "
        "(MNIST's names), a .csv, .tsv, .parquet, or .npz file, the https address of such a file, "
        '"sklearn:NAME", or "openml:NAME"'
        f"{hint}{near}"
    )


@pytest.mark.parametrize(
    ("name", "target", "classes", "feature", "rows"),
    [
        ("iris", None, ("setosa", "versicolor", "virginica"), "sepal length (cm)", 150),
        ("wine", None, ("class_0", "class_1", "class_2"), "alcohol", 178),
        ("breast_cancer", "target", ("benign", "malignant"), "mean radius", 569),
        ("diabetes", None, (), "age", 442),
    ],
)
def test_tables_that_are_bundled(
    name: str, target: str | None, classes: tuple[str, ...], feature: str, rows: int
) -> None:
    task: Any = None if classes else "regression"
    result = split(DataSettings(source=f"sklearn:{name}", target=target, task=task))
    assert result.data.classes == classes
    assert result.description.features[0] == feature
    assert result.description.target == "target"
    assert sum(result.description.rows.values()) == rows


def test_a_table_that_is_not_bundled() -> None:
    assert message(DataSettings(source="sklearn:irs"), "source") == (
        "[data] source: 'sklearn:irs' is not bundled; valid names: breast_cancer, diabetes, "
        "iris, wine"
    )
    other = split(DataSettings(source="sklearn:iris", target="petal width (cm)"))
    assert other.description.features[-3:] == (
        "target=setosa", "target=versicolor", "target=virginica"
    )


@pytest.mark.parametrize(
    ("source", "beside"),
    [
        ("a.csv", True), ("../images", True), ("digits", False), ("openml:x", False),
        ("sklearn:iris", False), ("https://a.b/c.csv", False), ("/data/a.csv", False),
    ],
)
def test_what_lies_beside_the_study_file(source: str, beside: bool) -> None:
    assert is_beside(source) == beside
