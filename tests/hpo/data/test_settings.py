"""Settings of data are refused where they cannot be, or name what is not there."""

import math
from dataclasses import replace
from typing import Any

import pytest

from hpo.data.settings import DataSettings
from tests.hpo.data.writing import NUMBERS, ROWS, Save, Write, csv, message, refusal


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
    assert "(500 in all)" in message(replace(write("w.csv", csv(**wide)), target="y"), "target")


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("decimal", {"source": "digits", "target": None, "decimal": ","}),
        ("impute", {"source": "digits", "target": None, "impute": "median"}),
        ("missing", {"source": "digits", "target": None, "missing": ("?",)}),
    ],
)
def test_settings_of_what_is_not_there(save: Save, key: str, changes: dict[str, Any]) -> None:
    chosen = replace(save(csv(x=range(ROWS), y=["a", "b"] * 50)), **changes)
    assert refusal(chosen).startswith(f"[data] {key}: ")
