"""Tables as people have them: numbers in other notations, marks, missing values, odd files."""

import bz2
import gzip
import io
import json
import lzma
import re
import struct
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hpo.data.loading import Split, load
from hpo.data.predictor import Notation, Preprocessing
from hpo.data.settings import DataSettings
from hpo.data.tables import read_rows
from hpo.errors import InputError

Write = Callable[..., DataSettings]
ROWS = 100
KEYS = "missing|decimal|thousands|units|impute|categories"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(content: bytes | str | pd.DataFrame, name: str = "t.csv") -> DataSettings:
        path = tmp_path / name
        if isinstance(content, pd.DataFrame):
            content.to_parquet(path)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        target = None if name.endswith(".npz") else "y"
        return DataSettings(source=str(path), target=target, scale="none")

    return write


def csv(separator: str = ",", **columns: Any) -> str:
    return pd.DataFrame(columns).to_csv(index=False, sep=separator)


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def split(settings: DataSettings, seed: int = 0) -> Split:
    return load(settings, seed=seed, folder=Path())


def refusal(settings: DataSettings) -> str:
    with pytest.raises(InputError) as caught:
        split(settings)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    assert text.startswith("[data] ")
    return text


def everything(result: Split) -> np.ndarray[Any, Any]:
    """Return the inputs of all parts, sorted."""
    assert result.data.validation is not None
    parts = (result.data.training, result.data.validation, result.test)
    inputs = np.concatenate([part.inputs for part in parts])
    return inputs[np.lexsort(inputs.T[::-1])]


def settings_in(text: str) -> dict[str, Any]:
    """Return the settings that an error tells to say, each the first of its key."""
    found: dict[str, Any] = {}
    for match in re.finditer(rf'\b({KEYS}) = (\[[^\]]*\]|"[^"]*")', text):
        value = tomllib.loads(match[0])[match[1]]
        found.setdefault(match[1], tuple(value) if isinstance(value, list) else value)
    return found


# Numbers that are not plain


AMOUNTS = [1234.5 + 3711.25 * k for k in range(ROWS)]


def german(number: float) -> str:
    return f"{number:,.2f}".translate({44: ".", 46: ","})


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        (lambda a: f"{a:.2f}".replace(".", ","), {"decimal": ","}),
        (lambda a: f"{a:,.2f}", {"thousands": ","}),
        (german, {"decimal": ",", "thousands": "."}),
        (lambda a: f"{a:,.2f}".replace(",", " "), {"thousands": " "}),
        (lambda a: f"{a:,.2f}".replace(",", "\u00a0"), {"thousands": " "}),
        (lambda a: f"{a:,.2f}".replace(",", "'"), {"thousands": "'"}),
        (lambda a: f"${a:,.2f}", {"thousands": ",", "units": ("$",)}),
        (lambda a: f"{a * 4:,.0f}원", {"thousands": ",", "units": ("원",)}),
        (lambda a: f"{german(a)} €", {"decimal": ",", "thousands": ".", "units": ("€",)}),
        (lambda a: f"{a:.2f} kg", {"units": ("kg",)}),
        (lambda a: f"{a}%", {"units": ("%",)}),
        (lambda a: f"USD {a}", {"units": ("USD",)}),
        (lambda a: f"Rs. {a:,.2f}", {"thousands": ",", "units": ("Rs.",)}),
        (lambda a: f"{a} m²", {"units": ("m²",)}),
    ],
)
def test_numbers_in_another_notation_are_refused_and_the_remedy_reads_them(
    write: Write, cell: Callable[[float], str], said: dict[str, Any]
) -> None:
    labels = ["a", "b"] * (ROWS // 2)
    amounts = [4 * amount for amount in AMOUNTS] if "원" in cell(1) else AMOUNTS
    expected = split(write(csv(x=amounts, y=labels), "plain.csv"))
    chosen = write(csv(x=[cell(amount) for amount in AMOUNTS], y=labels))
    text = refusal(chosen)
    assert "'x'" in text
    assert "drop" not in text
    remedy = settings_in(text)
    assert remedy.pop("categories") == ("x",)
    assert remedy == said
    result = split(replace(chosen, **remedy))
    assert result.description.features == ("x",)
    np.testing.assert_array_equal(everything(result), everything(expected))
    # … and the same file, or plain numbers of one's own, can be predicted.
    preprocessing = json_round(result.preprocessing)
    rows = preprocessing.transform(read_rows(Path(chosen.source), preprocessing))
    np.testing.assert_array_equal(np.sort(rows, axis=0), everything(expected))
    one = preprocessing.transform(pd.DataFrame({"x": amounts[:1]}))
    np.testing.assert_array_equal(one, np.array(amounts[:1], np.float32)[:, None])


def json_round(preprocessing: Preprocessing) -> Preprocessing:
    return Preprocessing.from_table(json.loads(json.dumps(preprocessing.to_table())))


def test_three_digits_behind_a_comma_may_be_either(write: Write) -> None:
    whole = write(csv(x=[f"{k},{100 + k}" for k in range(1, ROWS + 1)], y=[0, 1] * 50))
    text = refusal(whole)
    assert """thousands = "," where '1,101' is 1101, decimal = "," where it is 1.101""" in text
    assert everything(split(replace(whole, thousands=","))).max() == 100_200
    assert everything(split(replace(whole, decimal=","))).max() == np.float32(100.2)
    # Decimal points elsewhere in the file tell.
    told = csv(x=[f"{k},{100 + k}" for k in range(1, ROWS + 1)], z=AMOUNTS, y=[0, 1] * 50)
    assert settings_in(refusal(write(told)))["thousands"] == ","
    assert "decimal = " not in refusal(write(told))
    small = csv(x=[f"{k},{100 + k}" for k in range(ROWS)], y=[0, 1] * 50)  # 0,100 is no thousand
    assert settings_in(refusal(write(small)))["decimal"] == ","
    assert "thousands = " not in refusal(write(small))


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        (["5%", "7%", "0.5"], "write the unit '%' in every cell of column 'x' or in none (33"),
        (["True", "False", "1"], "truth values of 'x' in one way, not 'False' beside '1'"),
        (["$5", "€6", "$7"], "convert column 'x' to one unit, it has '$', '€'"),
        (["(5)", "7", "8"], "write '(5)' with a minus sign"),
        (["1,5", "2.5", "3"], "write all numbers of the file in one way, not '1,5' beside '2.5'"),
        ([f"{k}{'KM'[k % 2]}" for k in range(33)], "convert column 'x' to one unit"),
    ],
)
def test_cells_that_no_setting_reads_have_to_be_changed(
    write: Write, cells: list[str], problem: str
) -> None:
    repeated = (cells * ROWS)[:99]
    text = refusal(write(csv(x=repeated, y=["a", "b", "c"] * 33)))
    assert problem in text
    assert settings_in(text).keys() == {"categories"}


def test_a_unit_is_that_of_the_column(write: Write) -> None:
    table = csv(price=[f"${k}" for k in range(ROWS)], weight=[f"{k} kg" for k in range(ROWS)],
                y=["a", "b"] * 50)
    result = split(replace(write(table), units=("$", "kg")))
    rows = pd.DataFrame({"price": ["$5"], "weight": ["7"]})
    assert result.preprocessing.transform(rows).tolist() == [[5, 7]]
    with pytest.raises(ValueError, match=r"'price', row 1: '5 kg' is in 'kg'.* numbers in '\$'"):
        result.preprocessing.transform(rows.assign(price="5 kg"))
    with pytest.raises(ValueError, match=r"'5 lb' is no number"):
        result.preprocessing.transform(rows.assign(weight="5 lb"))


@pytest.mark.parametrize("mark", ["?", "-", "--", ".", "n.a.", "N/a", "#DIV/0!", "none", "abc"])
def test_marks_among_numbers_are_refused_and_the_remedy_works(write: Write, mark: str) -> None:
    numbers = [str(k * 1.5) for k in range(ROWS)]
    numbers[3] = numbers[50] = mark
    chosen = write(csv(x=numbers, y=["a", "b"] * 50))
    text = refusal(chosen)
    assert f"'x' ({mark!r} in 2 rows)" in text
    remedy = settings_in(text)
    del remedy["categories"]
    assert remedy == {"missing": (mark,), "impute": "median"}
    result = split(replace(chosen, **remedy))
    assert result.description.features == ("x",)
    assert result.description.filled["x"].missing == 2
    assert len(everything(split(replace(chosen, missing=(mark,), impute="drop_rows")))) == ROWS - 2


def test_several_marks_and_columns_need_one_remedy(write: Write) -> None:
    many = [str(k) for k in range(ROWS)]
    table = csv(a=["?", *many[1:]], b=[*many[:-1], " - "], c=many, y=["u", "v"] * 50)
    text = refusal(write(table))
    assert "'a' ('?' in 1 row), 'b' (' - ' in 1 row)" in text
    said = settings_in(text)
    assert said["missing"] == ("?", "-")
    result = split(replace(write(table), missing=said["missing"], impute="median"))
    assert result.description.features == ("a", "b", "c")


def test_a_target_with_marks(write: Write) -> None:
    table = write(csv(x=range(ROWS), y=["?", *(k * 0.5 for k in range(1, ROWS))]))
    text = refusal(table)
    assert text.startswith("[data] target: ")
    assert "'y' ('?' in 1 row)" in text
    marked = replace(table, missing=("?",), impute="median")
    assert 'impute = "drop_rows" to leave out rows without a label' in refusal(marked)
    result = split(replace(marked, impute="drop_rows"))
    assert (result.data.task, len(everything(result))) == ("regression", ROWS - 1)
    assert result.description.left_out == 1
    text = refusal(write(csv(x=range(ROWS), y=[f"{k},5" for k in range(ROWS)])))
    assert settings_in(text)["decimal"] == ","


def test_numbers_that_stand_for_missing_values(write: Write) -> None:
    x = [-999.0, *map(float, range(1, ROWS))]
    for chosen in (
        write(csv(x=x, y=["a", "b"] * 50)),
        write(csv(x=[f"{n:.1f}".replace(".", ",") for n in x], y=["a", "b"] * 50), "c.csv"),
        write(pd.DataFrame({"x": x, "y": ["a", "b"] * 50}), "t.parquet"),
        write(npz(inputs=np.array(x, np.int16)[:, None], targets=["a", "b"] * 50), "t.npz"),
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


def test_whitespace_and_other_signs_of_plain_numbers(write: Write) -> None:
    cells = ["  1.5", "2 ", "\u22123", "1e5", "4\u00a0", "+5", "-.5", "6."] * 12 + [" "]
    text = refusal(write(csv(x=cells, y=(["a", "b"] * 50)[:97])))
    assert "missing values in 'x' (1)" in text
    chosen = replace(write(csv(x=cells, y=(["a", "b"] * 50)[:97])), impute="drop_rows")
    result = split(chosen)
    assert np.unique(everything(result)).tolist() == [-3, -0.5, 1.5, 2, 4, 5, 6, 1e5]


def test_infinite_values_are_no_missing_ones(write: Write) -> None:
    chosen = write(csv(x=[np.inf, *range(1, ROWS)], y=["a", "b"] * 50))
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
def test_columns_of_names_stay_categories(write: Write, cells: list[str], kinds: int) -> None:
    result = split(write(csv(x=(cells * ROWS)[:ROWS], y=["a", "b"] * 50)))
    assert len(result.description.features) == kinds
    notes = " ".join(result.description.notes)
    assert ("'?' is taken for a category of column 'x'" in notes) == ("?" in cells)


def test_categories_takes_any_column_for_names(write: Write) -> None:
    cells = ["1", "2", "?"]
    chosen = replace(write(csv(x=(cells * 40)[:ROWS], y=["a", "b"] * 50)), categories=("x",))
    result = split(chosen)
    assert result.description.features == ("x=1", "x=2", "x=?")
    table = pd.DataFrame({"x": [1, 2] * 50, "y": ["a", "b"] * 50})
    of_parquet = split(replace(write(table, "t.parquet"), categories=("x",)))
    assert of_parquet.description.features == ("x=1", "x=2")
    assert of_parquet.preprocessing.transform(table)[:2].tolist() == [[1, 0], [0, 1]]
    zeros = replace(write(csv(x=["007", "012"] * 50, y=["a", "b"] * 50)), categories=("x",))
    assert split(zeros).description.features == ("x=007", "x=012")
    assert "did you mean 'x'" in refusal(replace(zeros, categories=("xx",)))


def test_numbers_that_are_text_in_parquet(write: Write) -> None:
    def table(cells: list[str]) -> DataSettings:
        return write(pd.DataFrame({"x": cells, "y": ["a", "b"] * 50}), "t.parquet")

    text = refusal(table([str(k / 2) for k in range(ROWS)]))
    assert "save 'x' as numbers, it is text such as '0.0'" in text
    codes = split(table(["1", "2"] * 50))
    assert codes.description.features == ("x=1", "x=2")
    assert "each of its 2 is taken for a category" in codes.description.notes[0]
    marked = replace(table(["?", *map(str, range(1, ROWS))]), missing=("?",), impute="median")
    assert split(marked).description.features == ("x",)
    many = npz(inputs=np.ones((ROWS, 1)), targets=[f"{k}.5" for k in range(ROWS)])
    assert "save 'targets' as numbers" in refusal(write(many, "t.npz"))


def test_dates_are_named(write: Write) -> None:
    days = pd.date_range("2020-01-01", periods=120).strftime("%Y-%m-%d")
    labels = ["a", "b"] * 60
    assert "make numbers of them" in refusal(write(csv(x=days, y=labels)))
    few = split(write(csv(x=[*days[:60]] * 2, y=labels)))
    assert "column 'x' holds dates" in few.description.notes[0]


def test_numbers_among_many_texts_are_not_advised_to_be_dropped(write: Write) -> None:
    cells = [str(k) if k % 3 else f"note {k}" for k in range(300)]
    text = refusal(write(csv(x=cells, y=["a", "b"] * 150)))
    assert "200 of them are numbers: correct the others, such as 'note 0'" in text
    assert "drop" not in text


def test_a_notation_reads_no_other(write: Write) -> None:
    """A decimal point where the comma is said to be decimal is no thousand, and no point."""
    table = write(csv(";", x=["1,5", "2,5"] * 50, z=["1.5", "2.5"] * 50, y=["a", "b"] * 50))
    text = refusal(replace(table, decimal=","))
    assert "'z'" in text
    dates = write(csv(";", x=["1.234"] * 50 + ["05.01.2020"] * 50, y=["a", "b"] * 50))
    result = split(replace(dates, decimal=",", thousands="."))
    assert result.description.features == ("x=05.01.2020", "x=1.234")


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("decimal", {"source": "digits", "target": None, "decimal": ","}),
        ("impute", {"source": "digits", "target": None, "impute": "median"}),
        ("missing", {"source": "digits", "target": None, "missing": ("?",)}),
    ],
)
def test_settings_of_what_is_not_there(write: Write, key: str, changes: dict[str, Any]) -> None:
    chosen = replace(write(csv(x=range(ROWS), y=["a", "b"] * 50)), **changes)
    assert refusal(chosen).startswith(f"[data] {key}: ")


# Missing values


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
    write: Write, name: str, impute: Any, repeat: int
) -> None:
    table = holey()
    chosen = write(table.to_csv(index=False) if name == "t.csv" else table, name)
    assert 'impute = "median", "most_frequent" or "drop_rows"' in refusal(chosen)
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


def test_scaling_comes_after_filling(write: Write) -> None:
    chosen = replace(write(holey(), "t.parquet"), impute="median", scale="standard")
    result = split(chosen)
    assert abs(result.data.training.inputs[:, :3].mean(axis=0)).max() < 1e-5
    rows = result.preprocessing.transform(read_rows(Path(chosen.source), result.preprocessing))
    np.testing.assert_array_equal(np.unique(rows, axis=0), np.unique(everything(result), axis=0))


def test_rows_are_left_out_and_counted(write: Write) -> None:
    table = holey()
    whole = int(table.notna().all(axis=1).sum())
    chosen = replace(write(table, "t.parquet"), impute="drop_rows")
    result = split(chosen)
    assert sum(result.description.rows.values()) == whole
    assert result.description.left_out == len(table) - whole
    assert "rows of" in result.description.notes[-1]
    assert f"{len(table) - whole} rows" in result.description.notes[-1]
    with pytest.raises(ValueError, match=r"the value is missing, and the study has no impute"):
        result.preprocessing.transform(table)
    text = refusal(replace(chosen, rows=whole))
    assert "training rows; lower it" in text
    none = pd.DataFrame({"x": [1.0, None] * 50, "z": [None, 1.0] * 50, "y": ["a", "b"] * 50})
    assert "drop_rows leaves no row" in refusal(
        replace(write(none, "n.parquet"), impute="drop_rows")
    )


def test_missing_values_of_arrays(write: Write) -> None:
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(ROWS, 2, 3)).astype(np.float32)
    inputs[::7, 1, 2] = np.nan
    tests = np.full((4, 2, 3), np.nan, np.float32)
    arrays = {"inputs": inputs, "targets": np.arange(ROWS) % 2,
              "test_inputs": tests, "test_targets": np.arange(4) % 2}
    chosen = write(npz(**arrays), "t.npz")
    assert "inputs have 15 missing values (NaN); say impute = " in refusal(chosen)
    result = split(replace(chosen, impute="median"))
    stand_in = np.reshape(result.preprocessing.fill, (2, 3))
    np.testing.assert_array_equal(stand_in, stand_in.astype(np.float32))
    np.testing.assert_array_equal(result.test.inputs, np.broadcast_to(stand_in, (4, 2, 3)))
    training = result.data.training.inputs
    known = {row[0, 0]: row for row in inputs}
    original = np.array([known[row[0, 0]] for row in training])
    np.testing.assert_allclose(stand_in, np.nanmedian(original, axis=0), rtol=1e-6)
    np.testing.assert_array_equal(
        result.preprocessing.transform(np.full((1, 2, 3), np.nan))[0], stand_in.astype(np.float32)
    )
    assert "test_inputs; fill values" in refusal(replace(chosen, impute="drop_rows"))
    arrays["test_inputs"] = np.zeros((4, 2, 3))
    left = split(replace(write(npz(**arrays), "u.npz"), impute="drop_rows"))
    assert left.description.left_out == 15
    arrays["targets"] = np.where(np.arange(ROWS) == 4, np.nan, np.arange(ROWS) % 2)
    unlabeled = write(npz(**arrays), "v.npz")
    assert "without a label" in refusal(replace(unlabeled, impute="median"))
    assert split(replace(unlabeled, impute="drop_rows")).description.left_out == 16


def test_a_column_with_nothing_to_fill_from(write: Write) -> None:
    empty = write(csv(x=range(ROWS), z=[None] * ROWS, y=["a", "b"] * 50))
    assert "no value in 'z'; leave that out with drop = [\"z\"]" in refusal(
        replace(empty, impute="median")
    )
    seldom = write(csv(x=range(ROWS), z=[1.5] + [None] * (ROWS - 1), y=["a", "b"] * 50))
    found = set()
    for seed in range(12):
        try:
            found.add(split(replace(seldom, impute="median"), seed).description.filled["z"].value)
        except InputError as error:
            assert "[data] impute: z has no value in the training part" in str(error)  # noqa: PT017
            found.add(0.0)
    assert found == {0.0, 1.5}


def test_models_of_earlier_versions_are_read() -> None:
    table = Preprocessing((2,)).to_table()
    del table["notation"], table["fill"]
    column = {"name": "x", "type": "text", "categories": ["a", "b"]}
    old = Preprocessing.from_table(table | {"columns": [column]})
    assert (old.notation, old.fill) == (Notation(), ())
    assert old.transform(pd.DataFrame({"x": ["b"]})).tolist() == [[0, 1]]


def test_the_description_is_plain_for_the_record(write: Write) -> None:
    result = split(replace(write(holey(), "t.parquet"), impute="median"))
    table = json.loads(json.dumps(asdict(result.description)))
    assert table["filled"]["x"]["missing"] == holey()["x"].isna().sum()
    assert table["left_out"] == 0


# Lines of names


def test_a_column_that_is_there_twice_is_refused(write: Write) -> None:
    table = "x,y,x\n" + "1,a,3\n4,b,6\n" * 20
    assert "more than one column 'x'; rename or remove" in refusal(write(table))
    assert "more than one column 'y'" in refusal(write(table.replace("x\n", "y\n")))
    result = split(write(table.replace("y,x", "y,x.1")))  # names as pandas would have made them
    assert result.description.features == ("x", "x.1")
    with pytest.raises(InputError, match="more than one column 'x'"):
        read_rows(Path(write(table).source), result.preprocessing)


def test_a_saved_index_is_left_out_with_a_note(write: Write) -> None:
    table = pd.DataFrame({"x": np.linspace(0, 1, ROWS), "y": ["a", "b"] * 50})
    expected = split(write(table.to_csv(index=False)))
    once = write(table.to_csv(), "once.csv")
    result = split(once)
    assert result.description.digest == expected.description.digest
    assert "column 1" in result.description.notes[0]
    assert "left out as a saved index" in result.description.notes[0]
    (Path(once.source).parent / "twice.csv").write_text(pd.read_csv(once.source).to_csv())
    twice = split(replace(once, source=once.source.replace("once", "twice")))
    assert twice.description.digest == expected.description.digest
    assert len(twice.description.notes) == 2
    dropped = split(replace(once, drop=("Unnamed: 0",)))
    assert dropped.description.digest == expected.description.digest
    assert dropped.description.notes == ()
    rows = read_rows(Path(once.source), result.preprocessing)
    assert list(rows.columns) == ["x", "y"]
    trailing = split(write(table.to_csv(index=False).replace("\n", ",\n")))
    assert trailing.description.digest == expected.description.digest
    assert "has no name and no values" in trailing.description.notes[0]


@pytest.mark.parametrize(
    ("line", "is_names"),
    [
        ("5.1,3.5,1.4,0.2,Iris-setosa", False),
        ("39,State-gov,77516,Bachelors", False),
        ("7,0.27,0.36,20.7", False),
        ("0,0,5,13", False),
        ("x,y", True),
        ("country,1990,1991,1992", True),
        ("0,1,2,3", True),
        ("label,400.5,401.0,401.5", True),
        ("name,2020", True),
    ],
)
def test_a_file_without_a_line_of_names(write: Write, line: str, is_names: bool) -> None:
    names = line.split(",")
    row = ",".join(["1"] * len(names))
    chosen = replace(write(f"{line}\n" + f"{row}\n" * 9), target=names[-1])
    text = refusal(chosen)
    assert ("no line of column names: its first line is" in text) != is_names
    assert ("put a line of names before it" in text) != is_names


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_the_separator_is_the_one_most_used(write: Write, separator: str) -> None:
    names = separator.join(['"x, cm"', "z", "y"])
    lines = "".join(separator.join([str(k), "1", "ab"[k % 2]]) + "\n" for k in range(ROWS))
    result = split(write(f"{names}\n{lines}"))
    assert result.description.features == ("x, cm", "z")
    assert result.description.notes == (
        "the same value in all rows of 'z': it tells a model nothing",
    )
    assert "remove that line" in refusal(write(f"sep={separator}\n{names}\n{lines}"))


# Files


def zipped(content: bytes, *names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, content)
    return file.getvalue()


def test_compressed_and_tab_separated_tables(write: Write) -> None:
    plain = csv(x=AMOUNTS, y=["a", "b"] * 50)
    expected = split(write(plain)).description.digest
    tabs = csv("\t", x=AMOUNTS, y=["a", "b"] * 50)
    for name, content in {
        "t.csv.gz": gzip.compress(plain.encode()),
        "t.CSV.BZ2": bz2.compress(plain.encode()),
        "t.csv.xz": lzma.compress(plain.encode()),
        "t.csv.zip": zipped(plain.encode(), "__MACOSX/t.csv", "t.csv"),
        "t.tsv": tabs.encode(),
        "t.tsv.gz": gzip.compress(tabs.encode()),
    }.items():
        chosen = write(content, name)
        result = split(chosen)
        assert result.description.digest == expected, name
        assert len(read_rows(Path(chosen.source), result.preprocessing)) == ROWS
    assert "holds these: 'a.csv', 'b.csv'" in refusal(
        write(zipped(plain.encode(), "a.csv", "b.csv"), "t.csv.zip")
    )
    for ending, content in ((".gz", gzip.compress(plain.encode())), (".zip", b"PK")):
        assert "no whole" in refusal(write(content[:-9], "t.csv" + ending))


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("t.txt", "rename it to end in .csv"), ("t.xlsx", "save the sheet as CSV"),
        ("t.gz", "unpack it, or let it end in .csv.gz"), ("t.json", "convert it to one of them"),
        ("t.csv.zst", "unpack it first"), ("train-images-idx3-ubyte", "name the folder"),
    ],
)  # fmt: skip
def test_other_endings_have_a_remedy(write: Write, name: str, way: str) -> None:
    chosen = replace(write("x,y\n1,2\n", name), target=None)
    assert way in refusal(chosen)
    with pytest.raises(InputError, match=re.escape(way)):
        read_rows(Path(chosen.source), Preprocessing((1,)))


def test_a_file_that_is_not_there(write: Write, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    write("x,y\n1,2\n", "data/cars.csv")
    with pytest.raises(InputError, match=r"does not exist, did you mean 'data/cars.csv'\?"):
        load(DataSettings(source="data/car.csv", target="y"), seed=0, folder=tmp_path)
    with pytest.raises(InputError, match=r"nor does the folder .*/none'"):
        load(DataSettings(source="none/car.csv", target="y"), seed=0, folder=tmp_path)
    with pytest.raises(InputError, match=r"did you mean 'digits'\?"):
        load(DataSettings(source="digit"), seed=0, folder=tmp_path)


@pytest.mark.parametrize(
    ("encoding", "lines", "said"),
    [
        ("cp949", "이름,나이,y\n홍길동,20,1\n", "CP949 (Korean), in which line 1 is '이름,나이,y'"),
        ("cp949", "x,y\n1,가\n", "CP949 (Korean), in which line 2 is '1,가'"),
        ("shift_jis", "名前,y\nさくら,1\n", "CP932 (Japanese)"),
        ("cp1252", "größe,y\n1,Köln\n", "CP1252 (western European)"),
        ("cp1251", "имя,возраст\nИван,20\nПётр Сергеевич,30\n", "CP1251 (Cyrillic)"),  # noqa: RUF001
        ("utf-16", "x,y\n1,2\n", "UTF-16"),
    ],
)
def test_an_encoding_is_named(write: Write, encoding: str, lines: str, said: str) -> None:
    text = refusal(write(lines.encode(encoding)))
    assert said in text
    assert f"iconv -f {said.split()[0]} -t UTF-8" in text
    assert said in refusal(write(gzip.compress(lines.encode(encoding)), "t.csv.gz"))


def test_arrays_of_other_names_are_listed(write: Write) -> None:
    text = refusal(write(npz(X=np.ones((4, 2)), label=[0, 1, 0, 1]), "t.npz"))
    assert "no array 'inputs', 'targets'; its arrays are 'X', 'label'" in text
    assert "np.savez(file, inputs=…, targets=…)" in text
    texts = npz(inputs=np.array([["1", "2"]] * 4), targets=[0, 1, 0, 1])
    assert "inputs.astype(float)" in refusal(write(texts, "t.npz"))


MEGABYTE = gzip.compress(bytes(1 << 20))  # about a kilobyte; members may follow each other


def test_what_unpacks_out_of_proportion_is_refused(write: Write, tmp_path: Path) -> None:
    bomb = gzip.compress(b"x,y\n") + MEGABYTE * 70
    assert "unpack to more than 67.1 MB; if that is right, unpack it" in refusal(
        write(bomb, "t.csv.gz")
    )
    assert "unpack to 73.4 MB" in refusal(write(zipped(bytes(70 << 20), "t.csv"), "t.csv.zip"))
    images = struct.pack(">HBB3I", 0, 8, 3, 70_000, 32, 32)
    labels = struct.pack(">HBBI", 0, 8, 1, 70_000)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(images) + MEGABYTE * 69)
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels + bytes(70_000)))
    folder = DataSettings(source=str(tmp_path))
    assert "70000 x 32 x 32 = 71680000 bytes, as it promises" in refusal(folder)
    file = io.BytesIO()
    np.savez_compressed(file, inputs=np.zeros((70, 1 << 20), np.uint8), targets=[0, 1] * 35)
    assert "save it with np.savez" in refusal(write(file.getvalue(), "t.npz"))
    many = pd.DataFrame({"x": np.zeros(10_000_000, np.int8), "y": np.zeros(10_000_000, np.int8)})
    assert "10000000 rows of 2 columns" in refusal(write(many, "t.parquet"))


@pytest.mark.slow
def test_mutated_files_end_in_a_split_or_in_one_line() -> None:
    """`python -m tests.data_fuzz 1000` tries more."""
    code = "import json; from tests.data_fuzz import main; print(json.dumps(main(150, 2)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found = json.loads(run.stdout)
    assert found["which"] == {}
    assert found["split"] >= 10
    assert found["megabytes"] < 500
