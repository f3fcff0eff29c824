"""Tables that scikit-learn brings along, and images out of rows that are flat."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_digits

from hpo.data.loading import Split, load
from hpo.data.settings import DataSettings
from hpo.errors import InputError


def loaded(**settings: object) -> Split:
    return load(DataSettings(**settings), seed=0, folder=Path())  # type: ignore[arg-type]


def test_a_bundled_table_has_its_classes_by_name() -> None:
    split = loaded(source="sklearn:breast_cancer", scale="none")
    frame = load_breast_cancer()
    assert split.data.classes == ("benign", "malignant")
    assert split.description.features == tuple(frame.feature_names)
    names = {
        tuple(np.float32(row)): frame.target_names[label]
        for row, label in zip(frame.data, frame.target, strict=True)
    }
    part = split.data.training
    found = [split.data.classes[label] for label in part.targets]
    assert [names[tuple(row)] for row in part.inputs] == found


def test_a_bundled_table_of_amounts_is_a_regression() -> None:
    assert loaded(source="sklearn:diabetes", task="regression").data.task == "regression"


def test_what_is_not_bundled_is_a_line_that_says_what_is() -> None:
    with pytest.raises(InputError, match=r"'sklearn:boston' is not bundled; valid names: breast"):
        loaded(source="sklearn:boston")


@pytest.fixture
def pixels(tmp_path: Path) -> Path:
    digits = load_digits()
    table = pd.DataFrame(digits.data, columns=list(digits.feature_names))
    table["digit"] = digits.target
    table.to_csv(tmp_path / "pixels.csv", index=False)
    return tmp_path / "pixels.csv"


def test_a_table_of_pixels_in_a_shape_is_the_images(pixels: Path) -> None:
    images = loaded(source="digits")
    table = loaded(source=str(pixels), target="digit", shape=(8, 8))
    for one, other in (
        (images.data.training, table.data.training),
        (images.data.validation, table.data.validation),
        (images.test, table.test),
    ):
        assert one is not None
        assert other is not None
        np.testing.assert_array_equal(one.inputs, other.inputs)
        np.testing.assert_array_equal(one.targets, other.targets)
    assert table.description.scale == "range"
    assert table.description.shape == (8, 8)


def test_rows_in_a_shape_are_predicted_from_a_table(pixels: Path) -> None:
    split = loaded(source=str(pixels), target="digit", shape=(8, 8), validation=0.5)
    rows = pd.read_csv(pixels)
    inputs = split.preprocessing.transform(rows)
    assert inputs.shape == (len(rows), 8, 8)
    images = load_digits().images / 16
    np.testing.assert_allclose(inputs, images, atol=1e-6)


def test_images_can_be_made_flat() -> None:
    split = loaded(source="digits", shape=(64,), scale="range")
    images = loaded(source="digits")
    np.testing.assert_array_equal(
        split.data.training.inputs, images.data.training.inputs.reshape(-1, 64)
    )


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"source": "digits", "shape": (8, 9)}, r"\[8, 9\] has 72 inputs, but 'digits' has 8 x 8"),
        ({"source": "sklearn:iris", "shape": (3,)}, r"\[3\] has 3 inputs, but 'sklearn:iris'"),
    ],
)
def test_a_shape_of_another_size_is_refused(settings: dict[str, object], what: str) -> None:
    with pytest.raises(InputError, match=r"^\[data\] shape: " + what):
        loaded(**settings)


def test_a_shape_of_columns_of_categories_is_refused(tmp_path: Path) -> None:
    table = pd.DataFrame({"a": ["p", "q"] * 20, "b": range(40), "y": [0, 1] * 20})
    table.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(InputError, match=r"^\[data\] shape: .* columns of categories"):
        loaded(source=str(tmp_path / "t.csv"), target="y", shape=(3,))


@pytest.mark.parametrize("shape", [(0,), (-8, -8), (8, 0)])
def test_lengths_of_a_shape_are_positive(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="such as"):
        DataSettings(shape=shape)
