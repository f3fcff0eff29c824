"""A split has the task and labels of its data, and a digest that tells it from others."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpo.data.settings import DataSettings
from tests.hpo.data.writing import (
    SHARED,
    Write,
    csv,
    idx,
    message,
    npz,
    parts,
    sizes,
    split,
    write_idx,
)


@pytest.fixture
def wine() -> DataSettings:
    if not (SHARED / "winequality-white.csv").is_file():
        pytest.skip(f"wine quality is not in {SHARED}")
    return DataSettings(source=str(SHARED / "winequality-white.csv"), target="quality")


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
    assert "100 distinct integers" in text
    assert 'task = "classification" or "regression"' in text
    assert split(replace(numbers, task="regression")).data.task == "regression"
    assert "class '0' has 1 row, but needs 3" in message(
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
    assert "class '0' has 2 rows, but needs 3" in text
    assert split(replace(chosen, task="regression")).data.task == "regression"


def test_labels_that_cannot_be(write: Write) -> None:
    text = ["a", "b"] * 50
    assert "is text" in message(
        replace(write("t.csv", csv(x=range(100), y=text)), task="regression"), "task"
    )
    assert "only one class, 'a'" in message(write("t.csv", csv(x=range(9), y=["a"] * 9)), "target")
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


def test_labels_are_refused_with_a_remedy(write: Write) -> None:
    def said(labels: list[Any], key: str, task: Any = None) -> str:
        table = write("t.csv", csv(x=range(100), y=labels))
        return message(replace(table, task=task), key).replace(table.source, "t.csv")

    column = "column 'y' of 't.csv'"
    assert said(["a", "b"] * 50, "task", "regression") == (
        f"[data] task: regression needs numbers, but {column} is text; choose other labels, "
        'or set task = "classification"'
    )
    assert said([3.0] * 100, "target") == (
        f"[data] target: {column} has only one class, '3', but needs at least two"
    )
    assert said([0.5] * 100, "target", "regression") == (
        f"[data] target: {column} is constant in the training part; choose another target, or add "
        "rows"
    )
    assert said([*range(100)], "task") == (
        f"[data] task: {column} has 100 distinct integers in 100 rows, which may be classes "
        'or amounts; set task = "classification" or "regression"'
    )
    enough = write("t.csv", csv(x=range(95), y=[k % 19 for k in range(95)]))
    assert len(split(replace(enough, validation=0.4)).data.classes) == 19
    fewer = write("t.csv", csv(x=range(94), y=[k % 19 for k in range(94)]))
    assert "has 19 distinct integers in 94 rows" in message(fewer, "task")


def test_truth_values_of_an_array_are_classes(write: Write) -> None:
    arrays = npz(inputs=np.arange(100.0)[:, None], targets=np.arange(100) % 2 == 0)
    result = split(write("t.npz", arrays))
    assert (result.data.task, result.data.classes) == ("classification", ("False", "True"))


def test_what_was_filled_and_left_out_is_noted(write: Write) -> None:
    table = write("t.csv", csv(x=[1.5, None, 1.5, 1.5] * 25, c=["u", "v", None, "u"] * 25,
                               y=["a", "b"] * 50))
    result = split(replace(table, impute="most_frequent", scale="none"))
    assert result.description.notes == (
        "missing values filled from the training part (impute = 'most_frequent'): 'x': 25 with "
        "1.5, 'c': 25 with 'u'",
    )
    assert result.preprocessing.fill == (1.5, 1.0, 0.0)
    assert (result.preprocessing.shift, result.preprocessing.scale) == ((0.0,), (1.0,))
    left_out = split(replace(table, impute="drop_rows"))
    assert left_out.description.notes[-1] == (
        f"50 rows of {table.source!r} with missing values left out (impute = \"drop_rows\")"
    )
    wide = csv(**{f"c{i}": [1.0, None] * 50 for i in range(21)}, y=["a", "b"] * 50)
    (note,) = split(replace(write("t.csv", wide), impute="median")).description.notes
    each = ", ".join(f"'c{i}': 50 with 1" for i in range(20))
    assert note.endswith(f"(impute = 'median'): {each}, … (21 columns in total)")
