"""The examples of docs/objectives.md run as the page says, with less to do."""

import contextlib
import csv
import gzip
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits

from tests.fixtures import hpo, table
from tests.processes import ROOT, start

HERE = ROOT / "studies" / "examples"
PAGE = (ROOT / "docs" / "objectives.md").read_text(encoding="utf-8")
LINES = (ROOT / "docs" / "notes" / "lines.md").read_text(encoding="utf-8")
NEEDS = {"boosted_trees": "lightgbm", "pytorch_mnist": "torch", "pytorch_resumed": "torch"}
SMALLER = {
    "boosted_trees": ["fixed.epochs=20"],
    "pytorch_mnist": ["fixed.rows=500", "fixed.epochs=2"],
    "pytorch_resumed": ["fixed.rows=300", "fixed.epochs=4", "checkpoints.every=0"],
    "script": [],
    "script_resumed": ["checkpoints.every=0"],
    "support_vectors": ["fixed.folds=2"],
}
JUDGED = {"boosted_trees": "test accuracy", "pytorch_mnist": "test_accuracy"}


def write_mnist(folder: Path) -> None:
    """Write the bundled digits, three times as high and wide, as MNIST's files."""
    digits = load_digits()
    images = np.zeros((len(digits.images), 28, 28), np.uint8)
    images[:, 2:26, 2:26] = np.kron(digits.images * 15, np.ones((3, 3)))
    folder.mkdir()
    for part, rows in (("train", slice(0, 1500)), ("t10k", slice(1500, None))):
        some, labels = images[rows], digits.target[rows].astype(np.uint8)
        for name, head, array in (
            ("images-idx3", struct.pack(">4i", 2051, *some.shape), some),
            ("labels-idx1", struct.pack(">2i", 2049, len(labels)), labels),
        ):
            packed = gzip.compress(head + array.tobytes(), compresslevel=1)
            (folder / f"{part}-{name}-ubyte.gz").write_bytes(packed)


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Copy the examples, with what they read."""
    copies = tmp_path_factory.mktemp("examples") / "copies"
    shutil.copytree(HERE, copies, ignore=shutil.ignore_patterns("mnist", "__pycache__"))
    write_mnist(copies / "mnist")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(copies)
        yield copies


def options_of(name: str) -> list[str]:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name], reason=f"{NEEDS[name]} is not installed")
    return [part for text in SMALLER.get(name, []) for part in ("--set", text)]


@pytest.mark.parametrize("name", sorted(path.stem for path in HERE.glob("*.toml")))
def test_an_example_runs(
    name: str, examples: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options, file = options_of(name), examples / f"{name}.toml"
    hpo("run", file, "--trials", 3, "--inline", *options)
    rows = table(name)
    metric = re.search(r'^metric = "(\w+)"', file.read_text(), re.MULTILINE)
    assert metric is not None
    assert [row["state"] for row in rows] == ["complete"] * 3
    best = 'value = "best"' in file.read_text()
    assert best or all(float(row[metric[1]]) == float(row["value"]) for row in rows)
    if name not in JUDGED:
        return
    capsys.readouterr()
    hpo("evaluate", file, *options)
    assert JUDGED[name] in capsys.readouterr().out


def test_a_model_of_an_example_predicts_rows_of_a_file(examples: Path, folder: Path) -> None:
    file, options = examples / "boosted_trees.toml", options_of("boosted_trees")
    hpo("run", file, "--trials", 2, "--inline", *options)
    hpo("evaluate", file, *options)
    cancer = load_breast_cancer(as_frame=True)
    cancer.data.to_csv("rows.csv", index=False)
    hpo("predict", "boosted_trees", "rows.csv", "--output", "predicted.csv")
    with open("predicted.csv", newline="") as lines:
        labels = [row["label"] for row in csv.DictReader(lines)]
    truth = cancer.target_names[cancer.target]
    assert np.mean(np.array(labels) == truth) > 0.9


def test_a_network_of_an_example_with_files_of_its_own_predicts_images_of_a_table(
    examples: Path, folder: Path
) -> None:
    file, options = examples / "pytorch_mnist.toml", options_of("pytorch_mnist")
    hpo("run", file, "--trials", 3, "--inline", *options)
    hpo("evaluate", file, *options)
    packed = gzip.decompress((examples / "mnist" / "t10k-images-idx3-ubyte.gz").read_bytes())
    pixels = np.frombuffer(packed, np.uint8, offset=16).reshape(-1, 784) / 255
    np.savetxt("rows.csv", pixels, "%.4f", ",", header=",".join(map(str, range(784))), comments="")
    hpo("predict", "pytorch_mnist", "rows.csv", "--output", "predicted.csv")
    with open("predicted.csv", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert list(rows[0]) == ["label", *(f"probability_{digit}" for digit in range(10))]
    found = np.array([int(row["label"]) for row in rows])
    assert np.mean(found == load_digits().target[1500:]) > 0.5


@pytest.mark.parametrize("name", ["boosted_trees", "pytorch_mnist", "support_vectors"])
def test_an_example_gives_the_same_table_on_ray_and_inline(
    name: str, examples: Path, folder: Path, near_ray: str
) -> None:
    options, file = options_of(name), examples / f"{name}.toml"
    # As many CPUs each time, and so as many threads: another number may change the last digits.
    options += ["--trials", "4", "--set", "round.parallel=2", "--set", "resources.cpus=1"]
    hpo("run", file, *options, "--inline")
    expected = table(name)
    assert len({row["value"] for row in expected}) > 2
    again = f"{name}_again"
    hpo("run", file, *options, "--set", f"name={again}", "--ray-address", near_ray)
    assert table(again) == expected


def kept_epochs(folder: Path) -> int:
    with contextlib.suppress(FileNotFoundError):  # of what is removed meanwhile
        return max((int(path.stem) for path in folder.rglob("*.json")), default=0)
    return 0


@pytest.mark.parametrize("name", ["pytorch_resumed", "script_resumed"])
def test_an_example_goes_on_after_its_worker_died(
    name: str, examples: Path, folder: Path, ray_address: str
) -> None:
    options, file = options_of(name), examples / f"{name}.toml"
    if name == "script_resumed":
        options += ["--set", "fixed.epochs=600"]
    options += ["--set", "round.trials=2", "--set", "round.parallel=1"]
    hpo("check", file, "--try", *options)
    hpo("run", file, *options, "--inline")
    expected = table(name)
    options += ["--set", "name=again", "--set", f"checkpoints.storage={folder / 'kept'}"]
    process, killed = start("run", file, *options, "--ray-address", ray_address), 0
    while process.poll() is None:
        if not killed and kept_epochs(folder / "kept") >= 2:
            for line in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    if line.read_bytes().startswith(b"ray::_attempt") and (
                        (line.parent / "cwd").readlink() == file.parent
                    ):
                        os.kill(int(line.parent.name), signal.SIGKILL)
                        killed += 1
        time.sleep(0.02)
    output, _ = process.communicate()
    assert killed == 1, output
    assert table("again") == expected
    with open("table.csv", newline="") as lines:
        assert {row["attempt"] for row in csv.DictReader(lines)} == {"1", "2"}
    # Its best trial goes on from what was kept of it.
    epochs = 602 if name == "script_resumed" else 6
    hpo("extend", file, *options, "--top", 1, "--epochs", epochs, "--inline")
    rows = [row for row in table("again", "--extensions") if row["extended_to"] != "0"]
    (row,) = rows
    assert (row["epochs"], row["state"]) == (str(epochs), "complete")
    assert f"resumed after epoch {epochs - 2}" in row["message"]


def test_every_example_is_on_the_page() -> None:
    paths = list(HERE.glob("*.toml"))
    assert {path.name for path in paths} >= {"branin.toml", "script.toml", "pytorch_mnist.toml"}
    for path in paths:
        assert f"hpo run studies/examples/{path.name}" in PAGE


def test_the_note_counts_lines_as_they_are() -> None:
    script = ROOT / "benchmarks" / "lines.py"
    told = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    peers = list((ROOT / "benchmarks" / "optuna_examples").glob("*.py"))
    assert told.stdout.count("\n") == 2 + len(peers)
    assert told.stdout in LINES
