"""Text that is cleaned shows nothing else, and names that pass are names that MLflow takes."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.text import clean, name_fault, one_line, shortened, spreadsheet_cell, text_fault

ANY_TEXT = st.text(st.characters(exclude_categories=())) | st.text(
    st.sampled_from("\x00\x07\x08\r\n\t\x1b[2J]0;\x9b\u202e\u2066\ud800=+-@a'한1.\\\"")
)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("plain\ttext\n한국어 \u3000 👨\u200d👩", "plain\ttext\n한국어 \u3000 👨\u200d👩"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("caf\udce9.png", r"caf\udce9.png"),
        ("a\x00b\r\x08\x9b", r"a\x00b\r\x08\x9b"),
        ("safe\u202egnp.exe", r"safe\u202egnp.exe"),
    ],
)
def test_control_characters_are_shown_as_such(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


@given(ANY_TEXT)
def test_what_is_clean_is_harmless_and_stays(text: str) -> None:
    cleaned = clean(text)
    assert clean(cleaned) == cleaned
    assert "\x1b" not in cleaned
    assert not text_fault(cleaned)
    cleaned.encode()
    assert "\n" not in one_line(text)
    assert len(shortened(text, 5)) <= 5


@given(ANY_TEXT)
def test_a_cell_is_a_number_or_no_formula(text: str) -> None:
    cell = spreadsheet_cell(text)
    if cell[:1] in tuple("=+-@\t\r\n"):
        assert cell == "" or not math.isnan(float(cell)) or "nan" in cell.lower()


@pytest.mark.parametrize("text", ["-1", "+2.5e-3", "-.5", "-inf", "1-2", "a=1", "", "[1, 2]"])
def test_numbers_and_plain_texts_stay_in_a_spreadsheet(text: str) -> None:
    assert spreadsheet_cell(text) == text


@pytest.mark.parametrize("text", ["=1+1", "-2+3", "+a", "@SUM(A1)", "\t=1", "\n=1", "\uff1d1"])
def test_formulas_get_a_quote(text: str) -> None:
    assert spreadsheet_cell(text) == f"'{text}"


@pytest.mark.parametrize("name", ["loss", "정확도", "a/b", "top-5 acc.", "MAP_5", "val:loss", ".x"])
def test_names_that_can_be_recorded(name: str) -> None:
    assert name_fault(name) == ""


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("MAP@5", "letters, digits"), ("", "letters, digits"), ("loss\n", "letters, digits"),
        ("x" * 241, "at most 240"), ("../../x", "path"), ("/x", "path"), ("a//b", "path"),
        (".", "path"), ("..x", "path"), ("a\x00", "letters, digits"), ("\ud800", "letters"),
    ],
)  # fmt: skip
def test_names_that_cannot_be_recorded(name: str, fault: str) -> None:
    assert fault in name_fault(name)


@pytest.mark.slow  # to import MLflow takes seconds
@given(ANY_TEXT | st.text(st.sampled_from("ab./ :-_@"), max_size=8))
def test_a_name_that_passes_passes_at_mlflow_with_what_is_added(name: str) -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.utils.validation import _validate_metric

    if name_fault(name):
        return
    for added in (name, f"best_{name}", f"{name}.choices"):
        try:
            _validate_metric(added, 0.5, 0, 0)
        except MlflowException as error:
            pytest.fail(str(error))


def test_faults_are_said_with_the_remedy() -> None:
    assert name_fault("x" * 241) == "it has 241 characters, but at most 240 are allowed"
    assert name_fault("x" * 240) == ""
    assert name_fault("MAP@5") == (
        "only letters, digits, spaces, and the characters _ - . : / are allowed"
    )
    assert name_fault("a/../b") == (
        "it looks like a path; remove the dots and slashes"
    )
    assert text_fault("a\x00b") == "the character '\\x00' cannot be recorded; remove it"
    assert text_fault("\ud800") == "the character '\\ud800' cannot be recorded; remove it"
    assert [shortened("abcdef", n) for n in (6, 5)] == ["abcdef", "abcd…"]
    assert one_line("a\n \tb\x1b[31m c\x07") == r"a b c\x07"
