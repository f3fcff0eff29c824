"""Numbers in other notations are refused with the settings that read them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hpo.data.tables import read_rows
from tests.hpo.data.writing import (
    AMOUNTS,
    ROWS,
    Save,
    csv,
    everything,
    json_round,
    refusal,
    settings_in,
    split,
)


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
    save: Save, cell: Callable[[float], str], said: dict[str, Any]
) -> None:
    labels = ["a", "b"] * (ROWS // 2)
    amounts = [4 * amount for amount in AMOUNTS] if "원" in cell(1) else AMOUNTS
    expected = split(save(csv(x=amounts, y=labels), "plain.csv"))
    chosen = save(csv(x=[cell(amount) for amount in AMOUNTS], y=labels))
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


def test_three_digits_behind_a_comma_may_be_either(save: Save) -> None:
    whole = save(csv(x=[f"{k},{100 + k}" for k in range(1, ROWS + 1)], y=[0, 1] * 50))
    text = refusal(whole)
    assert """thousands = "," if '1,101' is 1101, or decimal = "," if it is 1.101""" in text
    assert everything(split(replace(whole, thousands=","))).max() == 100_200
    assert everything(split(replace(whole, decimal=","))).max() == np.float32(100.2)
    # Decimal points elsewhere in the file tell.
    told = csv(x=[f"{k},{100 + k}" for k in range(1, ROWS + 1)], z=AMOUNTS, y=[0, 1] * 50)
    assert settings_in(refusal(save(told)))["thousands"] == ","
    assert "decimal = " not in refusal(save(told))
    small = csv(x=[f"{k},{100 + k}" for k in range(ROWS)], y=[0, 1] * 50)  # 0,100 is no thousand
    assert settings_in(refusal(save(small)))["decimal"] == ","
    assert "thousands = " not in refusal(save(small))


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        (["5%", "7%", "0.5"], "write the unit '%' in every cell of column 'x' or in none (33"),
        (["True", "False", "1"],
         "true and false values of 'x' in one way, not both 'False' and '1'"),
        (["$5", "€6", "$7"], "convert column 'x' to one unit: it has '$', '€'"),
        (["(5)", "7", "8"], "write '(5)' with a minus sign"),
        (["1,5", "2.5", "3"], "write all numbers of the file in one way, not both '1,5' and '2.5'"),
        ([f"{k}{'KM'[k % 2]}" for k in range(33)], "convert column 'x' to one unit"),
    ],
)
def test_cells_that_no_setting_reads_have_to_be_changed(
    save: Save, cells: list[str], problem: str
) -> None:
    repeated = (cells * ROWS)[:99]
    text = refusal(save(csv(x=repeated, y=["a", "b", "c"] * 33)))
    assert problem in text
    assert settings_in(text).keys() == {"categories"}


def test_a_unit_is_that_of_the_column(save: Save) -> None:
    table = csv(price=[f"${k}" for k in range(ROWS)], weight=[f"{k} kg" for k in range(ROWS)],
                y=["a", "b"] * 50)
    result = split(replace(save(table), units=("$", "kg")))
    rows = pd.DataFrame({"price": ["$5"], "weight": ["7"]})
    assert result.preprocessing.transform(rows).tolist() == [[5, 7]]
    with pytest.raises(ValueError, match=r"'price', row 1: '5 kg' is in 'kg'.* numbers in '\$'"):
        result.preprocessing.transform(rows.assign(price="5 kg"))
    with pytest.raises(ValueError, match=r"'5 lb' is not a number"):
        result.preprocessing.transform(rows.assign(weight="5 lb"))


def test_whitespace_and_other_signs_of_plain_numbers(save: Save) -> None:
    cells = ["  1.5", "2 ", "\u22123", "1e5", "4\u00a0", "+5", "-.5", "6."] * 12 + [" "]
    text = refusal(save(csv(x=cells, y=(["a", "b"] * 50)[:97])))
    assert "missing values in 'x' (1)" in text
    chosen = replace(save(csv(x=cells, y=(["a", "b"] * 50)[:97])), impute="drop_rows")
    result = split(chosen)
    assert np.unique(everything(result)).tolist() == [-3, -0.5, 1.5, 2, 4, 5, 6, 1e5]


def test_dates_are_named(save: Save) -> None:
    days = pd.date_range("2020-01-01", periods=120).strftime("%Y-%m-%d")
    labels = ["a", "b"] * 60
    assert "convert them to numbers" in refusal(save(csv(x=days, y=labels)))
    few = split(save(csv(x=[*days[:60]] * 2, y=labels)))
    assert "column 'x' has dates" in few.description.notes[0]


def test_numbers_among_many_texts_are_not_advised_to_be_dropped(save: Save) -> None:
    cells = [str(k) if k % 3 else f"note {k}" for k in range(300)]
    text = refusal(save(csv(x=cells, y=["a", "b"] * 150)))
    assert "200 of them are numbers: fix the others, for example 'note 0'" in text
    assert "drop" not in text


def test_a_notation_reads_no_other(save: Save) -> None:
    """A decimal point where the comma is said to be decimal is no thousand, and no point."""
    table = save(csv(";", x=["1,5", "2,5"] * 50, z=["1.5", "2.5"] * 50, y=["a", "b"] * 50))
    text = refusal(replace(table, decimal=","))
    assert "'z'" in text
    dates = save(csv(";", x=["1.234"] * 50 + ["05.01.2020"] * 50, y=["a", "b"] * 50))
    result = split(replace(dates, decimal=",", thousands="."))
    assert result.description.features == ("x=05.01.2020", "x=1.234")
