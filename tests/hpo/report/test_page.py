"""The page is one small file, the same every time, and runs nothing but its own scripts."""

import base64
import hashlib
import html
import json
import re
from pathlib import Path

import pytest

from hpo.errors import InputError
from hpo.report import palette
from hpo.report.page import page, retitled, write
from hpo.text import clean
from tests.hpo.report.pages import EVIL, data_of, evil, many

SCRIPT = re.compile(r"<script(?: [^>]*)?>(.*?)</script>", re.DOTALL)


def test_it_is_the_same_every_time_and_has_all_sections_in_order() -> None:
    data = data_of(many(80, 2))
    text = page(data)
    assert page(data_of(many(80, 2))) == text
    ids = [
        "summary", "history", "parallel", "importance", "slices", "plane", "curves", "timeline",
        "trials",
    ]
    places = [text.index(f'id="{name}"') for name in ids]
    assert places == sorted(places)
    assert json.loads(SCRIPT.findall(text)[0]) == data


@pytest.mark.parametrize("hyperparameters", [8, 30])
def test_a_thousand_trials_take_less_than_three_megabytes(hyperparameters: int) -> None:
    assert len(page(data_of(many(1000, hyperparameters))).encode()) < 3_000_000


def test_names_and_messages_end_no_script() -> None:
    data = data_of(evil())
    text = page(data)
    embedded, *scripts = SCRIPT.findall(text)
    assert json.loads(embedded) == data
    assert "<" not in embedded
    assert len(scripts) == 3
    assert "onerror" in embedded  # the names are there, and harm nothing
    outside = SCRIPT.sub("", text)
    assert "<img" not in outside
    assert html.escape(data["study"]) in outside  # type: ignore[arg-type]
    assert EVIL not in text


def test_only_its_own_scripts_run_and_nothing_is_fetched() -> None:
    text = page(data_of(many(5, 1)))
    policy = html.unescape(re.findall(r'Content-Security-Policy" content="([^"]+)"', text)[0])
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    _, *scripts = SCRIPT.findall(text)
    digests = [
        base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts
    ]
    assert rules["default-src"] == "'none'"
    assert rules["script-src"].split() == [f"'sha256-{digest}'" for digest in digests]
    assert rules["img-src"] == "data: blob:"
    assert "connect-src" not in rules  # so that the default holds: none
    outside = SCRIPT.sub("", text)
    assert not re.search(r"\s(src|href)=|@import|url\(", outside)
    assert "https://" not in outside


def test_it_can_show_its_study_under_another_name() -> None:
    data = data_of(evil())
    for name in ("new one", EVIL, r"\1 \g<0>"):
        renamed = retitled(page(data), name)
        assert renamed == page({**data, "study": clean(name)})
        assert retitled(renamed, data["study"]) == page(data)


def test_a_color_means_the_same_as_in_the_figures() -> None:
    text = page(data_of(many(5, 1)))
    assert f"--range: {palette.RANGE};" in text
    assert f"--diverged: {palette.DIVERGED};" in text
    assert text.index(palette.DARK["GROUND"]) > text.index("prefers-color-scheme: dark")


def test_it_is_written_as_a_page_or_as_data(tmp_path: Path) -> None:
    data = data_of(many(5, 1))
    write(data, tmp_path / "a.html")
    write(data, tmp_path / "a.json")
    assert (tmp_path / "a.html").read_text(encoding="utf-8") == page(data)
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == data
    for name, said in (
        ("a.txt", "end in .html, or in .json"), ("no/a.html", "choose another file")
    ):
        with pytest.raises(InputError, match=said):
            write(data, tmp_path / name)
