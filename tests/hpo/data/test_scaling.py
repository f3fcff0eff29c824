"""Inputs are filled and scaled by the training part alone."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hpo.data.loading import load
from hpo.data.tables import read_rows
from hpo.errors import InputError
from tests.hpo.data.writing import (
    ROWS,
    Save,
    Write,
    csv,
    everything,
    json_round,
    npz,
    parts,
    refusal,
    split,
    write_idx,
)


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


def holey(rows: int = 200) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({
        "id": np.arange(rows), "x": rng.lognormal(3, 2, rows).round(3),
        "n": rng.integers(0, 5, rows).astype(float),
        "color": rng.choice(["red", "red", "blue"], rows), "open": rng.random(rows) < 0.7,
        "y": ["a", "b"] * (rows // 2),
    })  # fmt: skip
    for column in ("x", "n", "color", "open"):
        table[column] = table[column].astype(object)
        table.loc[rng.random(rows) < 0.2, column] = None
    return table.assign(open=table["open"].astype("boolean"), x=table["x"].astype(float),
                        n=table["n"].astype(float))  # fmt: skip


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
@pytest.mark.parametrize("impute", ["median", "most_frequent"])
@pytest.mark.parametrize("repeat", [0, 3])
def test_missing_inputs_are_filled_by_the_training_part_alone(
    save: Save, name: str, impute: Any, repeat: int
) -> None:
    table = holey()
    chosen = save(table.to_csv(index=False) if name == "t.csv" else table, name)
    assert 'impute = "median", "most_frequent", or "drop_rows"' in refusal(chosen)
    result = load(replace(chosen, impute=impute), seed=1, folder=Path(), repeat=repeat)
    assert result.data.validation is not None
    features = list(result.description.features)
    assert features == ["id", "x", "n", "color=blue", "color=red", "open=False", "open=True"]
    trained = table.loc[result.data.training.inputs[:, 0].astype(int)]
    expected = {
        column: trained[column].median() if impute == "median" else trained[column].mode()[0]
        for column in ("x", "n")
    } | {"color": trained["color"].mode()[0], "open": str(trained["open"].mode()[0])}
    assert {n: f.value for n, f in result.description.filled.items()} == pytest.approx(expected)
    for column, filled in result.description.filled.items():
        assert filled.missing == table[column].isna().sum()
    for part in (result.data.training, result.data.validation, result.test):
        rows = table.loc[part.inputs[:, 0].astype(int)].fillna(
            expected | {"open": expected["open"] == "True"}
        )
        np.testing.assert_array_equal(part.inputs[:, 1], rows["x"].to_numpy(np.float32))
        np.testing.assert_array_equal(part.inputs[:, 2], rows["n"].to_numpy(np.float32))
        np.testing.assert_array_equal(part.inputs[:, 4], rows["color"] == "red")
        np.testing.assert_array_equal(part.inputs[:, 3], rows["color"] == "blue")
        np.testing.assert_array_equal(part.inputs[:, 6], rows["open"].to_numpy(bool))
    # The same values stand in for what is missing in rows to predict.
    preprocessing = json_round(result.preprocessing)
    assert preprocessing == result.preprocessing
    rows = read_rows(Path(chosen.source), preprocessing)
    predicted = preprocessing.transform(rows)
    np.testing.assert_array_equal(predicted[np.argsort(predicted[:, 0])], everything(result))
    assert preprocessing.filled(rows) == {
        n: f.missing for n, f in result.description.filled.items()
    }
    note = result.description.notes[-1]
    assert f"(impute = {impute!r})" in note
    assert f"'x': {table['x'].isna().sum()} with " in note


def test_scaling_comes_after_filling(save: Save) -> None:
    chosen = replace(save(holey(), "t.parquet"), impute="median", scale="standard")
    result = split(chosen)
    assert abs(result.data.training.inputs[:, :3].mean(axis=0)).max() < 1e-5
    rows = result.preprocessing.transform(read_rows(Path(chosen.source), result.preprocessing))
    np.testing.assert_array_equal(np.unique(rows, axis=0), np.unique(everything(result), axis=0))


def test_rows_are_left_out_and_counted(save: Save) -> None:
    table = holey()
    whole = int(table.notna().all(axis=1).sum())
    chosen = replace(save(table, "t.parquet"), impute="drop_rows")
    result = split(chosen)
    assert sum(result.description.rows.values()) == whole
    assert result.description.left_out == len(table) - whole
    assert "rows of" in result.description.notes[-1]
    assert f"{len(table) - whole} rows" in result.description.notes[-1]
    with pytest.raises(ValueError, match=r"the value is missing, and the study has no impute"):
        result.preprocessing.transform(table)
    text = refusal(replace(chosen, rows=whole))
    assert "the number of training rows" in text
    none = pd.DataFrame({"x": [1.0, None] * 50, "z": [None, 1.0] * 50, "y": ["a", "b"] * 50})
    assert "drop_rows leaves no row" in refusal(
        replace(save(none, "n.parquet"), impute="drop_rows")
    )


def test_a_column_with_nothing_to_fill_from(save: Save) -> None:
    empty = save(csv(x=range(ROWS), z=[None] * ROWS, y=["a", "b"] * 50))
    assert "no values in 'z'; remove the column with drop = [\"z\"]" in refusal(
        replace(empty, impute="median")
    )
    seldom = save(csv(x=range(ROWS), z=[1.5] + [None] * (ROWS - 1), y=["a", "b"] * 50))
    found = set()
    for seed in range(12):
        try:
            found.add(split(replace(seldom, impute="median"), seed).description.filled["z"].value)
        except InputError as error:
            assert "[data] impute: z has no value in the training part" in str(error)  # noqa: PT017
            found.add(0.0)
    assert found == {0.0, 1.5}


def test_the_description_is_plain_for_the_record(save: Save) -> None:
    result = split(replace(save(holey(), "t.parquet"), impute="median"))
    table = json.loads(json.dumps(asdict(result.description)))
    assert table["filled"]["x"]["missing"] == holey()["x"].isna().sum()
    assert table["left_out"] == 0
