"""Columns become an array: categories one-hot, numbers as they are."""

from dataclasses import replace

import numpy as np
import pandas as pd

from tests.hpo.data.writing import NUMBERS, Write, csv, message, parquet, parts, split


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


def test_text_with_too_many_values(write: Write) -> None:
    names = [f"name {k}" for k in range(101)]
    table = write("t.csv", csv(name=names, x=range(101), y=["a", "b", "c"] * 33 + ["a", "b"]))
    text = message(table, "source")
    assert "text column 'name'" in text
    assert "101 distinct values" in text
    assert "drop" in text
    split(replace(table, drop=("name",)))
