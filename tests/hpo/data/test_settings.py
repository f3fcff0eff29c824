"""Settings of data are refused where they cannot be, or name what is not there."""

import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hpo.data.settings import DataSettings
from tests.hpo.data.writing import (
    NUMBERS,
    ROWS,
    Save,
    Write,
    csv,
    message,
    npz,
    refusal,
    sizes,
    split,
)


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
    assert "(500 in total)" in message(replace(write("w.csv", csv(**wide)), target="y"), "target")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("target", "y"), ("drop", ("x",)), ("categories", ("x",)), ("decimal", ","),
        ("thousands", ","), ("units", ("kg",)),
    ],
)
def test_digits_have_no_columns_of_which_something_could_be_said(key: str, value: Any) -> None:
    assert refusal(replace(DataSettings(), **{key: value})) == (
        f"[data] {key}: 'digits' has no named columns; remove {key}"
    )


@pytest.mark.parametrize(("key", "value"), [("missing", ("?",)), ("impute", "median")])
def test_of_digits_no_value_can_be_missing_but_of_arrays(
    save: Save, key: str, value: Any
) -> None:
    assert refusal(replace(DataSettings(), **{key: value})) == (
        f"[data] {key}: 'digits' cannot have missing values; remove {key}"
    )
    arrays = save(npz(inputs=np.ones((ROWS, 1)), targets=["a", "b"] * 50), "T.NPZ")
    assert sizes(split(replace(arrays, target=None, **{key: value}))) == [64, 16, 20]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"thousands": "x"}, "thousands must be one of ',', '.', ' ', \"'\", got 'x'"),
        ({"thousands": "."}, "thousands '.' is also the decimal mark; choose another decimal"),
        ({"thousands": ",", "decimal": ","}, "thousands ',' is also the decimal mark"),
        ({"shape": (0,)}, "shape must have lengths of at least 1, such as [28, 28], got [0]"),
        ({"shape": (2, 1_000_001)}, "shape must have lengths of at least 1"),
        *(({"units": ("kg", unit)}, f"units {unit!r} is not a unit; use a symbol or a word without "
           "digits, plus, minus, or parentheses") for unit in ("m2", " ", "'", "(", ")", "+", "-")),
    ],
)
def test_settings_that_mean_nothing(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(said)}"):
        DataSettings(**changes)


def test_shares_and_rows_are_said_with_an_example() -> None:
    for key in ("validation", "test"):
        assert message(replace(DataSettings(), **{key: 1.0}), key) == (
            f"[data] {key}: must be a fraction between 0 and 1, such as 0.2, got 1.0"
        )
    assert message(DataSettings(rows=1), "rows") == (
        "[data] rows: must be at least 2, got 1"
    )
