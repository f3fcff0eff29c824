"""Columns become an array: categories one-hot, numbers as they are."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hpo.data.encoding import encode
from hpo.data.predictor import Notation
from hpo.data.rows import ColumnSettings, Source
from hpo.errors import InputError
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


ROWS = 60
NUMBERS_AS_TEXT = [str(k) for k in range(ROWS)]
WAYS = 'impute = "median", "most_frequent", or "drop_rows"'
CORRECT = (
    "fix the cells that are not numbers, or, if they stand for missing values, set missing = "
)
MARKED = f'{CORRECT}["?"] and {WAYS}'
NAMES = [f"c{i}" for i in range(21)]
DASHES = ["?", "-", "--", "n/a", "nil", ".", "#1", "#2", "n/d", "..", "none", "null"]


def encoded(
    cells: dict[str, Any], labels: Any = ("a", "b"), typed: bool = False, **settings: Any
) -> Source:
    """Encode a table of so many cells, repeated up to its length."""
    count = max(ROWS, *map(len, cells.values()))
    columns = {
        name: values if isinstance(values, pd.Series) else (list(values) * count)[:count]
        for name, values in {**cells, "y": labels}.items()
    }
    return encode(
        pd.DataFrame(columns), "t.csv", ColumnSettings(target="y", **settings), typed=typed
    )


@pytest.mark.parametrize(
    ("cells", "faulty", "remedies"),
    [
        ({f"c{i}": ["?", *NUMBERS_AS_TEXT[1:]] for i in range(11)},
         ", ".join(f"'c{i}' ('?' in 1 row)" for i in range(10)) + ", … (11 columns in total)",
         MARKED),
        ({"x": [*DASHES, *NUMBERS_AS_TEXT[12:]]},
         f"'x' ({', '.join(f'{mark!r} in 1 row' for mark in DASHES[:10])}, … (12 texts in total))",
         f"{CORRECT}{json.dumps(DASHES)} and {WAYS}"),
        ({"x": [*NUMBERS_AS_TEXT[:57], "x1", "x2", "x2"]}, "'x' ('x1' in 1 row, 'x2' in 2 rows)",
         f'{CORRECT}["x1", "x2"] and {WAYS}'),
        ({"x": [*NUMBERS_AS_TEXT[:59], "m" * 70]}, f"'x' ('{'m' * 57}…' in 1 row)",
         "fix the cells that are not numbers"),
        ({"x": [f"${k},{100 + k}" for k in range(1, 61)]}, "'x' (60 rows like '$1,101')",
         'set thousands = "," and units = ["$"]'),
        ({"x": [f"€{k},{100 + k}" for k in range(1, 61)]}, "'x' (60 rows like '€1,101')",
         """set thousands = "," if '1,101' is 1101, or decimal = "," if it is 1.101 and units """
         '= ["€"]'),
        ({"x": [f"{k}.{100 + k},5" for k in range(1, 61)]}, "'x' (60 rows like '1.101,5')",
         'set decimal = "," and thousands = "."'),
        ({"x": [f"{k},5" for k in range(60)], "z": [k + 0.5 for k in range(60)]},
         "'x' (60 rows like '0,5')",
         "write all numbers of the file in one way, not both '0,5' and '1.5'"),
        ({"x": [*(f"{k},5" for k in range(30)), *(f"{k}.25" for k in range(30))]},
         "'x' (30 rows like '0,5')",
         "write all numbers of the file in one way, not both '0,5' and '0.25'"),
        ({"x": [*(f"{k}.5 kg" for k in range(58)), "7", "8"]}, "'x' (58 rows like '0.5 kg')",
         "write the unit 'kg' in every cell of column 'x' or in none (2 rows without it)"),
        ({"x": [*(f"{k}.5 kg" for k in range(59)), "7"]}, "'x' (59 rows like '0.5 kg')",
         "write the unit 'kg' in every cell of column 'x' or in none (1 row without it)"),
        ({"x": [f"{k}.5 {'kl'[k % 2]}g" for k in range(60)]}, "'x' (60 rows like '0.5 kg')",
         "convert column 'x' to one unit: it has 'kg', 'lg'"),
        ({"x": ["(5)", "7", "8", "9-"]}, "'x' (30 rows like '(5)')",
         "write '(5)' with a minus sign before the number"),
        ({"x": ["9-", "7", "8", "6"]}, "'x' (15 rows like '9-')",
         "write '9-' with a minus sign before the number"),
        ({"w": ["true", "0", "1"]}, "'w'",
         "write the true and false values of 'w' in one way, not both 'true' and '0'"),
    ],
)
def test_what_is_mixed_is_said_with_all_that_mends_it(
    cells: dict[str, Any], faulty: str, remedies: str
) -> None:
    names = ", ".join(f'"{name}"' for name in cells if name != "z")
    with pytest.raises(InputError) as caught:
        encoded(cells)
    assert str(caught.value) == (
        f"[data] source: 't.csv' has cells that are not plain numbers, in {faulty}; {remedies}; "
        f"if these are names, not amounts, set categories = [{names}]"
    )


def test_of_mixed_cells_what_is_said_already_is_said_again() -> None:
    with pytest.raises(InputError) as caught:
        encoded({"x": [*(f"{k}.5 kg" for k in range(59)), "unknown"]},
                notation=Notation(("-1",), units=("%",)), impute="median")
    assert str(caught.value) == (
        "[data] source: 't.csv' has cells that are not plain numbers, in 'x' ('unknown' in 1 row, "
        f'59 rows like \'0.5 kg\'); set units = ["%", "kg"]; {CORRECT}["-1", "unknown"]; if '
        'these are names, not amounts, set categories = ["x"]'
    )


ONE_HOT = "of 't.csv' has 120 distinct values, but at most 100 can be one-hot encoded; "


@pytest.mark.parametrize(
    ("cells", "options", "said"),
    [
        ({"x": [f"{1900 + k}-01-01" for k in range(120)]}, {},
         f"source: text column 'x' {ONE_HOT}it has dates: convert them to numbers (a "
         "year, days since …), or add it to drop"),
        ({"x": [*map(str, range(70)), *(f"note {k}" for k in range(50))]}, {},
         f"source: text column 'x' {ONE_HOT}70 of them are numbers: fix the others, for example "
         "'note 0'"),
        ({"x": [*map(str, range(60)), *(f"note {k}" for k in range(60))]}, {},
         f"source: text column 'x' {ONE_HOT}add it to drop"),
        ({"x": map(str, range(120))}, {"categories": ("x",)},
         f"source: text column 'x' {ONE_HOT}120 of them are numbers: fix the others, for example "
         "'0'"),
        ({"x": pd.Series(pd.Categorical([k + 0.5 for k in range(120)]))}, {"typed": True},
         f"source: categorical column 'x' {ONE_HOT}save it as numbers, or add it to drop"),
        ({"x": [np.inf, np.nan, *range(58)], "z": [np.nan, *range(59)]}, {},
         "source: 't.csv' has missing values in 'x' (1), 'z' (1), infinite values in 'x' (1); set "
         f"{WAYS}, or fill them in the file; fix the infinite values, or, if they stand for "
         f'missing values, set missing = ["inf", "-inf"] and {WAYS}'),
        ({"x": [np.inf, np.nan, *range(58)]},
         {"impute": "median", "notation": Notation(("?",))},
         "source: 't.csv' has infinite values in 'x' (1); fix the infinite values, or, if they "
         'stand for missing values, set missing = ["?", "inf", "-inf"]'),
        ({name: [np.nan, *range(59)] for name in NAMES}, {},
         f"source: 't.csv' has missing values in {', '.join(f'{n!r} (1)' for n in NAMES[:20])}, … "
         f"(21 in total); set {WAYS}, or fill them in the file"),
        ({"x": [np.nan], "z": range(60)}, {"impute": "median"},
         "source: 't.csv' has no values in 'x'; remove the column with drop = [\"x\"]"),
        ({"x": [1e39, 1.0]}, {}, "source: column 'x' of 't.csv' has values up to 1e+39, too large "
         "for float32; use larger units"),
        ({"x": [10**50, 1]}, {}, "source: column 'x' of 't.csv' has integers too large for "
         "float32; use larger units"),
        ({"x": [1.0, 2.0]}, {"labels": [1e39, 1.0]},
         "target: column 'y' of 't.csv' has values up to 1e+39, too large for float32; fix "
         "them"),
        ({"x": [b"x"]}, {}, "source: column 'x' of 't.csv' has bytes values (object), which "
         "are not numbers, text, or bool; convert it to numbers, or add it to drop"),
        ({"x": [1, 2]}, {"labels": [1, "a", 2.5]}, "target: column 'y' of 't.csv' has "
         "float/int/str values (object), which are not numbers, text, or bool; convert "
         "it to numbers"),
        ({"x": [1, 2]}, {"labels": ["a", "b", None], "impute": "median"},
         "target: column 'y' of 't.csv' has 20 missing values; set impute = \"drop_rows\" to "
         "ignore rows without a label, or remove them"),
        ({"x": [1, None], "z": [None, 1]}, {"impute": "drop_rows"},
         "impute: drop_rows leaves no rows of 't.csv'; use \"median\" or \"most_frequent\""),
        ({"x": [f"{k}.5" for k in range(60)]}, {"typed": True},
         "source: 't.csv' has cells that are not plain numbers, in 'x'; save 'x' as numbers, not "
         "as text like '0.5'; if these are names, not amounts, set categories = [\"x\"]"),
        ({"x": range(60)}, {"labels": ["?", *NUMBERS_AS_TEXT[1:]]},
         "target: 't.csv' has cells that are not plain numbers, in 'y' ('?' in 1 row); "
         f'{MARKED}; if these are names, not amounts, set categories = ["y"]'),
    ],
)
def test_a_column_that_cannot_be_used_is_named_with_the_remedy(
    cells: dict[str, Any], options: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError) as caught:
        encoded({name: v if isinstance(v, pd.Series) else list(v) for name, v in cells.items()},
                **options)
    assert str(caught.value) == f"[data] {said}"


@pytest.mark.parametrize(
    ("cells", "options", "features", "notes"),
    [
        ({"x": ["yes", "?"], "z": ["?", "n/a", "u"]}, {}, 5,
         ["'?' counts as a category of column 'x' (30 rows); if it stands for a missing "
          'value, set missing = ["?"]',
          "'?' counts as a category of column 'z' (20 rows); if it stands for a missing "
          'value, set missing = ["?"]',
          "'n/a' counts as a category of column 'z' (20 rows); if it stands for a missing "
          'value, set missing = ["n/a"]']),
        ({"x": [f"2020-01-{k % 28 + 1:02}" for k in range(60)]}, {}, 28,
         ["column 'x' has dates or times: each of its 28 distinct values counts as a category"]),
        ({"x": [f"10:{k:02}" for k in range(55)] + ["noon"] * 5}, {}, 56,
         ["column 'x' has dates or times: each of its 56 distinct values counts as a category"]),
        ({"x": [f"10:{k:02}" for k in range(54)] + ["noon"] * 6}, {}, 55, []),
        ({"x": [1], "z": ["u"], "w": range(60)}, {}, 3,
         ["the same value in all rows of 'x', 'z': a model learns nothing from it"]),
        ({"x": [1, None], "w": range(60)}, {"impute": "median"}, 2, []),
        ({"x": ["1", "2"]}, {"typed": True}, 2,
         ["the numbers in column 'x' are text: each of its 2 distinct values counts as a "
          "category"]),
        ({"x": ["True", "FALSE", "false", "TRUE"]}, {}, 2, []),
        ({"x": ["007", "012", "1 a"]}, {}, 3, []),
        ({"x": [*NUMBERS_AS_TEXT[:50], *(f"x{k}" for k in range(10))]}, {}, 60, []),
        ({"x": [f"{k}{'abcd'[k % 4]}" for k in range(60)]}, {}, 60, []),
        ({"x": [1, 2.5, 10**20]}, {"typed": True}, 1, []),
        ({"x": [1.0, 2.0], "u": [1, 2.5]}, {"categories": ("x", "u")}, 4, []),
    ],
)
def test_what_is_taken_for_a_category_is_noted_where_it_may_be_another(
    cells: dict[str, Any], options: dict[str, Any], features: int, notes: list[str]
) -> None:
    found = encoded({name: list(values) for name, values in cells.items()}, **options)
    assert (len(found.features), list(found.notes)) == (features, notes)
