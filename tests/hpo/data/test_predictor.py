"""Rows as their source has them become the inputs that trials saw, or a one-line error."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

from hpo.data.loading import Split, load
from hpo.data.predictor import Column, Notation, Predictor, Preprocessing
from hpo.data.settings import DataSettings
from hpo.data.tables import read_rows

TABLE = Preprocessing(
    shape=(4,),
    columns=(
        Column("size"),
        Column("color", "text", ("blue", "red")),
        Column("sold", "boolean", ("True",)),
    ),
    shift=(1.0, 0.0, 0.0, 0.0),
    scale=(2.0, 1.0, 1.0, 1.0),
    classes=("no", "yes"),
)
ROWS = {"size": [1, 5], "color": ["red", "blue"], "sold": [True, True]}


class Doubling:
    """A model that tells where it comes from."""

    loader = "tests.hpo.data.test_predictor:load_doubling"

    def __init__(self, factor: float = 2.0) -> None:
        self.factor = factor

    def predict(self, inputs: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return np.float32(self.factor) * inputs[:, :1]

    def save(self, path: Path) -> None:
        np.savez(path, factor=self.factor)


def load_doubling(path: Path) -> Doubling:
    with np.load(path) as file:
        return Doubling(float(file["factor"]))


def all_rows(split: Split) -> np.ndarray[Any, Any]:
    assert split.data.validation is not None
    parts = (split.data.training, split.data.validation, split.test)
    return np.unique(np.concatenate([part.inputs for part in parts]), axis=0)


def mixed_table(rows: int = 200) -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "code": random.choice(["01", "1a", "02"], rows),
            "amount": random.normal(1e3, 1e2, rows),
            "count": random.integers(0, 50, rows),
            "open": random.random(rows) < 0.5,
            "constant": 0.1,
            "kind": pd.Categorical(random.choice([3, 7], rows)),
            "label": random.choice(["a", "b"], rows),
        }
    )


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_table_becomes_what_the_trials_saw(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"rows.{ending}"
    table = mixed_table()
    table.to_csv(path, index=False) if ending == "csv" else table.to_parquet(path)
    split = load(DataSettings(source=str(path), target="label"), seed=0, folder=tmp_path)
    preprocessing = split.preprocessing
    text = [column.name for column in preprocessing.columns if column.type == "text"]
    assert text == ["code"]
    rows = read_rows(path, preprocessing)
    assert np.array_equal(np.unique(preprocessing.transform(rows), axis=0), all_rows(split))
    shuffled = rows[[*rows.columns[::-1]]].iloc[:1]  # "01" alone would be read as a number
    assert np.array_equal(preprocessing.transform(shuffled), preprocessing.transform(rows)[:1])
    as_json = pd.DataFrame(json.loads(rows.to_json(orient="records", double_precision=15)))
    np.testing.assert_allclose(preprocessing.transform(as_json), preprocessing.transform(rows))


def test_images_become_what_the_trials_saw() -> None:
    split = load(DataSettings(), seed=0, folder=Path())
    preprocessing, images = split.preprocessing, load_digits().images
    inputs = preprocessing.transform(images)
    assert np.array_equal(np.unique(inputs, axis=0), all_rows(split))
    assert np.array_equal(preprocessing.transform(images.reshape(-1, 64).astype(int)), inputs)
    pixels = pd.DataFrame(images.reshape(-1, 64))
    assert np.array_equal(preprocessing.transform(pixels), inputs)
    pixels.insert(0, "label", "three")
    assert np.array_equal(preprocessing.transform(pixels), inputs)


def test_arrays_scaled_by_column_become_what_the_trials_saw(tmp_path: Path) -> None:
    inputs = np.random.default_rng(0).normal(5, [1, 10, 100], (90, 3))
    np.savez(tmp_path / "a.npz", inputs=inputs, targets=inputs.sum(axis=1))
    split = load(DataSettings(source="a.npz"), seed=0, folder=tmp_path)
    assert len(split.preprocessing.scale) == 3
    assert np.array_equal(np.unique(split.preprocessing.transform(inputs), axis=0), all_rows(split))
    # … and targets come back in their own units.
    predicted = split.preprocessing.predictions(split.test.targets[:, np.newaxis])["value"]
    of = {row.tobytes(): target for row, target in zip(
        split.preprocessing.transform(inputs), inputs.sum(axis=1), strict=True)}
    expected = [of[row.tobytes()] for row in split.test.inputs]
    np.testing.assert_allclose(predicted, expected, rtol=1e-6)


@pytest.mark.parametrize("preprocessing", [
    TABLE, Preprocessing((8, 8), shift=(0.1 + 0.2,), scale=(1e-300,), target_mean=1 / 3),
])  # fmt: skip
def test_preprocessing_survives_json(preprocessing: Preprocessing) -> None:
    text = json.dumps(preprocessing.to_table())
    assert Preprocessing.from_table(json.loads(text)) == preprocessing


def test_categories_are_ones_and_labels_the_most_probable() -> None:
    assert TABLE.transform(pd.DataFrame(ROWS)).tolist() == [[0, 0, 1, 1], [2, 1, 0, 1]]
    predicted = TABLE.predictions(np.array([[0.75, 0.25], [0.5, 0.5]]))
    assert {name: list(values) for name, values in predicted.items()} == {
        "label": ["no", "no"], "probability_no": [0.75, 0.5], "probability_yes": [0.25, 0.5],
    }


@pytest.mark.parametrize(("changes", "message"), [
    ({"size": ["1", "abc"]}, "column 'size', row 2: 'abc' is not a number"),
    ({"size": [1, None]}, "column 'size', row 2: the value is missing, and the study has no"),
    ({"size": [1, np.inf]}, "column 'size', row 2: the number is infinite"),
    ({"size": [True, False]}, "column 'size', row 1: 'True' is not a number"),
    ({"size": [1e300, 1]}, "row 1 does not fit float32 once scaled; check its units"),
    ({"color": ["red", "pink"]}, "column 'color', row 2: 'pink' is not one of .* 'blue', 'red'"),
    ({"color": [None, "red"]}, "column 'color', row 1: the value is missing, and the study has no"),
    ({"sold": [False, True]}, "column 'sold', row 1: 'False' is not one of the categories 'True'"),
    ({"size": None, "sold": None}, "no column 'size', 'sold'; the columns are 'color'"),
])  # fmt: skip
def test_what_a_table_cannot_hold(changes: dict[str, Any], message: str) -> None:
    rows = {name: values for name, values in {**ROWS, **changes}.items() if values is not None}
    with pytest.raises(ValueError, match=message) as caught:
        TABLE.transform(pd.DataFrame(rows))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(("rows", "message"), [
    (np.zeros((2, 3)), r"the rows have the shape \(2, 3\), but must have \(rows, 2, 2\)"),
    (np.zeros(4), "the rows have the shape"),
    ([["a"] * 4], "something that is not a number"),
    (np.full((3, 2, 2), np.nan), "row 1 has missing"),
    (np.zeros((0, 2, 2)), "there are no rows"),
    (pd.DataFrame(np.zeros((1, 6))), "expected 4 columns, one for each input, got 6"),
    (pd.DataFrame([["1", "x", "2", "3"]]), "column '1', row 1: 'x' is not a number"),
])  # fmt: skip
def test_what_is_no_image(rows: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Preprocessing((2, 2)).transform(rows)
    with pytest.raises(ValueError, match=r"not a table|no rows|no column"):
        TABLE.transform(rows)


def test_an_ensemble_is_the_mean_and_comes_back_from_its_folder(tmp_path: Path) -> None:
    preprocessing = Preprocessing((2,), target_mean=100.0, target_scale=10.0)
    ensemble = Predictor(preprocessing, (Doubling(2.0), Doubling(5.0)))
    rows = np.array([[1.0, 9.0], [-2.0, 9.0]])
    assert ensemble.predict(rows)["value"].tolist() == [135.0, 30.0]
    ensemble.save(tmp_path)
    assert sorted(f.name for f in tmp_path.iterdir()) == [
        "member-1.npz", "member-2.npz", "predictor.json",
    ]
    loaded = Predictor.load(tmp_path)
    assert loaded.preprocessing == preprocessing
    assert loaded.predict(rows)["value"].tolist() == [135.0, 30.0]


@pytest.mark.parametrize("loader", [None, "os.system", "os:system('x')", "../x:load", 3])
def test_a_loader_is_checked_by_its_form_before_anything_is_imported(
    tmp_path: Path, loader: object
) -> None:
    model = Doubling()
    model.loader = loader  # type: ignore[assignment]
    with pytest.raises(ValueError, match="the attribute `loader` of a model must name"):
        Predictor(Preprocessing((2,)), (model,)).save(tmp_path)
    assert not list(tmp_path.iterdir())
    Predictor(Preprocessing((2,)), (Doubling(),)).save(tmp_path)
    file = tmp_path / "predictor.json"
    table = json.loads(file.read_text())
    file.write_text(json.dumps({**table, "loaders": [loader]}))
    with pytest.raises(ValueError, match="the attribute `loader` of a model must name"):
        Predictor.load(tmp_path)


def test_models_of_earlier_versions_are_read() -> None:
    table = Preprocessing((2,)).to_table()
    del table["notation"], table["fill"]
    column = {"name": "x", "type": "text", "categories": ["a", "b"]}
    old = Preprocessing.from_table(table | {"columns": [column]})
    assert (old.notation, old.fill) == (Notation(), ())
    assert old.transform(pd.DataFrame({"x": ["b"]})).tolist() == [[0, 1]]


MARKED = Notation(("?", "-999"), units=("$", "kg"))
GERMAN = Notation(decimal=",", thousands=".")


@pytest.mark.parametrize(
    ("notation", "cell", "number", "unit"),
    [
        (MARKED, " 5 kg ", 5.0, "kg"), (MARKED, "-$5", -5.0, "$"), (MARKED, "+ $ .5", 0.5, "$"),
        (MARKED, "5 lb", None, ""), (MARKED, "inf", math.inf, ""), (MARKED, "\u22121e3", -1e3, ""),
        (GERMAN, "1.234,5", 1234.5, ""), (GERMAN, "1234,5", 1234.5, ""),
        (GERMAN, "12.34", None, ""),
        (GERMAN, "0.123", None, ""), (Notation(thousands=" "), "1\u202f234", 1234.0, ""),
        (Notation(thousands="'"), "1\u2019234.5", 1234.5, ""), (Notation(), "1,5", None, ""),
        (Notation(), "-Infinity", -math.inf, ""), (Notation(), "", None, ""),
    ],
)
def test_a_cell_is_a_number_and_its_unit(
    notation: Notation, cell: str, number: float | None, unit: str
) -> None:
    assert notation.amount(cell) == (number, unit)
    assert notation.number(cell) == number


@pytest.mark.parametrize(
    ("value", "missing"),
    [
        (None, True), (math.nan, True), (np.float32("nan"), True), (pd.NA, True), (pd.NaT, True),
        ("", True), ("  ", True), (" ? ", True), ("-999", True), ("-999.0", True), (-999, True),
        (np.int64(-999), True), (-998, False), ("x", False), (True, False),
        (np.bool_(False), False), (0, False), ("$-999", True),
    ],
)
def test_what_stands_for_a_missing_value(value: object, missing: bool) -> None:
    assert MARKED.is_missing(value) == missing
    marked = str(value).strip(" $-").startswith(("?", "999"))
    assert Notation().is_missing(value) == (missing and not marked)
    assert Notation().is_plain
    assert not MARKED.is_plain
    assert not GERMAN.is_plain
