"""Cells become numbers, categories or truth values, or are refused with a remedy that works."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hpo.data.settings import DataSettings
from tests.hpo.data.writing import (
    NUMBERS,
    ROWS,
    Save,
    Write,
    csv,
    everything,
    message,
    npz,
    parquet,
    refusal,
    settings_in,
    sizes,
    split,
)


def test_missing_and_infinite_inputs_name_their_columns(write: Write) -> None:
    x = np.linspace(0, 1, 100)
    x[[1, 2]] = np.nan
    x[3] = -np.inf
    color = ["red"] * 99 + [None]
    text = message(write("t.csv", csv(**{**NUMBERS, "x": x, "color": color})), "source")
    assert "missing values in 'x' (2), 'color' (1), infinite values in 'x' (1)" in text
    assert 'impute = "median", "most_frequent", or "drop_rows"' in text
    assert "drop =" not in text
    table = pd.DataFrame(NUMBERS).assign(n=pd.array([None, 1.5, *range(98)], dtype="Float64"))
    assert "'n' (1)" in message(write("t.parquet", parquet(table)), "source")
    arrays = {"inputs": np.array([[np.nan, 1], [2, np.inf]]), "targets": [0, 1]}
    assert "inputs have 1 infinite value" in message(write("t.npz", npz(**arrays)), "source")
    arrays["inputs"][1, 1] = 3
    assert "inputs have 1 missing" in message(write("t.npz", npz(**arrays)), "source")


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


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (pd.date_range("2020", periods=100), "which are not numbers, text, or bool"),
        ([[1, 2]] * 100, "which are not numbers, text, or bool"),
        ([b"x"] * 100, "has bytes values"),
        (pd.to_timedelta(range(100), unit="s"), "which are not numbers, text, or bool"),
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


@pytest.mark.parametrize("mark", ["?", "-", "--", ".", "n.a.", "N/a", "#DIV/0!", "none", "abc"])
def test_marks_among_numbers_are_refused_and_the_remedy_works(save: Save, mark: str) -> None:
    numbers = [str(k * 1.5) for k in range(ROWS)]
    numbers[3] = numbers[50] = mark
    chosen = save(csv(x=numbers, y=["a", "b"] * 50))
    text = refusal(chosen)
    assert f"'x' ({mark!r} in 2 rows)" in text
    remedy = settings_in(text)
    del remedy["categories"]
    assert remedy == {"missing": (mark,), "impute": "median"}
    result = split(replace(chosen, **remedy))
    assert result.description.features == ("x",)
    assert result.description.filled["x"].missing == 2
    assert len(everything(split(replace(chosen, missing=(mark,), impute="drop_rows")))) == ROWS - 2


def test_several_marks_and_columns_need_one_remedy(save: Save) -> None:
    many = [str(k) for k in range(ROWS)]
    table = csv(a=["?", *many[1:]], b=[*many[:-1], " - "], c=many, y=["u", "v"] * 50)
    text = refusal(save(table))
    assert "'a' ('?' in 1 row), 'b' (' - ' in 1 row)" in text
    said = settings_in(text)
    assert said["missing"] == ("?", "-")
    result = split(replace(save(table), missing=said["missing"], impute="median"))
    assert result.description.features == ("a", "b", "c")


def test_a_target_with_marks(save: Save) -> None:
    table = save(csv(x=range(ROWS), y=["?", *(k * 0.5 for k in range(1, ROWS))]))
    text = refusal(table)
    assert text.startswith("[data] target: ")
    assert "'y' ('?' in 1 row)" in text
    marked = replace(table, missing=("?",), impute="median")
    assert 'impute = "drop_rows" to ignore rows without a label' in refusal(marked)
    result = split(replace(marked, impute="drop_rows"))
    assert (result.data.task, len(everything(result))) == ("regression", ROWS - 1)
    assert result.description.left_out == 1
    text = refusal(save(csv(x=range(ROWS), y=[f"{k},5" for k in range(ROWS)])))
    assert settings_in(text)["decimal"] == ","


def test_numbers_that_stand_for_missing_values(save: Save) -> None:
    x = [-999.0, *map(float, range(1, ROWS))]
    for chosen in (
        save(csv(x=x, y=["a", "b"] * 50)),
        save(csv(x=[f"{n:.1f}".replace(".", ",") for n in x], y=["a", "b"] * 50), "c.csv"),
        save(pd.DataFrame({"x": x, "y": ["a", "b"] * 50}), "t.parquet"),
        save(npz(inputs=np.array(x, np.int16)[:, None], targets=["a", "b"] * 50), "t.npz"),
    ):
        decimal: Any = "," if chosen.source.endswith("c.csv") else "."
        chosen = replace(chosen, missing=("-999",), impute="median", decimal=decimal)
        result = split(chosen)
        assert everything(result).min() == 1
        assert [filled.missing for filled in result.description.filled.values()] == [1]
        filled = result.preprocessing.transform(
            np.array([[-999.0]]) if not result.preprocessing.columns
            else pd.DataFrame({"x": [-999.0]})
        )
        assert filled[0, 0] == next(iter(result.description.filled.values())).value


def test_infinite_values_are_no_missing_ones(save: Save) -> None:
    chosen = save(csv(x=[np.inf, *range(1, ROWS)], y=["a", "b"] * 50))
    assert "infinite values in 'x' (1)" in refusal(chosen)
    text = refusal(replace(chosen, impute="median"))
    assert settings_in(text) == {"missing": ("inf", "-inf")}
    result = split(replace(chosen, impute="median", **settings_in(text)))
    assert result.description.filled["x"].missing == 1
    with pytest.raises(ValueError, match=r"column 'x', row 2: the number is infinite"):
        split(replace(chosen, impute="drop_rows", missing=("inf",))).preprocessing.transform(
            pd.DataFrame({"x": [1, -np.inf]})
        )


@pytest.mark.parametrize(
    ("cells", "kinds"),
    [
        (["2", "3", "4", "5more"], 4),
        (["01", "1a", "02"], 3),
        (["01", "02", "?"], 3),
        (["S", "M", "L", "38"], 4),
        (["1st", "2nd", "3rd"], 3),
        (["10-20", "20-30", "<10"], 3),
        (["room1", "room2", "room3"], 3),
        (["9", "10", "11", "12", "graduate"], 5),
        (["5kg", "6kg"], 2),
        (["yes", "no", "?"], 3),
    ],
)
def test_columns_of_names_stay_categories(save: Save, cells: list[str], kinds: int) -> None:
    result = split(save(csv(x=(cells * ROWS)[:ROWS], y=["a", "b"] * 50)))
    assert len(result.description.features) == kinds
    notes = " ".join(result.description.notes)
    assert ("'?' counts as a category of column 'x'" in notes) == ("?" in cells)


def test_categories_takes_any_column_for_names(save: Save) -> None:
    cells = ["1", "2", "?"]
    chosen = replace(save(csv(x=(cells * 40)[:ROWS], y=["a", "b"] * 50)), categories=("x",))
    result = split(chosen)
    assert result.description.features == ("x=1", "x=2", "x=?")
    table = pd.DataFrame({"x": [1, 2] * 50, "y": ["a", "b"] * 50})
    of_parquet = split(replace(save(table, "t.parquet"), categories=("x",)))
    assert of_parquet.description.features == ("x=1", "x=2")
    assert of_parquet.preprocessing.transform(table)[:2].tolist() == [[1, 0], [0, 1]]
    zeros = replace(save(csv(x=["007", "012"] * 50, y=["a", "b"] * 50)), categories=("x",))
    assert split(zeros).description.features == ("x=007", "x=012")
    assert "did you mean 'x'" in refusal(replace(zeros, categories=("xx",)))


def test_numbers_that_are_text_in_parquet(save: Save) -> None:
    def table(cells: list[str]) -> DataSettings:
        return save(pd.DataFrame({"x": cells, "y": ["a", "b"] * 50}), "t.parquet")

    text = refusal(table([str(k / 2) for k in range(ROWS)]))
    assert "save 'x' as numbers, not as text like '0.0'" in text
    codes = split(table(["1", "2"] * 50))
    assert codes.description.features == ("x=1", "x=2")
    assert "each of its 2 distinct values counts as a category" in codes.description.notes[0]
    marked = replace(table(["?", *map(str, range(1, ROWS))]), missing=("?",), impute="median")
    assert split(marked).description.features == ("x",)
    many = npz(inputs=np.ones((ROWS, 1)), targets=[f"{k}.5" for k in range(ROWS)])
    assert "save 'targets' as numbers" in refusal(save(many, "t.npz"))
