"""The textbook's experiments: every study file is right, and docs/book.md shows each."""

import functools
import re
from dataclasses import replace

import pytest

from hpo import study
from hpo.data import loading as data
from tests.processes import ROOT

PAGE = ROOT / "docs" / "book.md"
BOOK = sorted((ROOT / "studies" / "book").glob("*.toml"))
STUDIES = [*sorted((ROOT / "studies").glob("*.toml")), *BOOK]


def name(file):
    return file.relative_to(ROOT).as_posix()


@pytest.fixture(autouse=True, scope="module")
def sources_read_once():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data.sources, "read", functools.cache(data.sources.read))
        yield


@pytest.mark.parametrize("file", STUDIES, ids=name)
def test_a_study_file_is_right(file):
    read = study.read(file)
    if read.data is not None and "/" in read.data.source:
        source = (file.parent / read.data.source).resolve()
        if not source.exists():
            pytest.skip(f"right, but there is no data at {source}")
        data.load(replace(read.data, source=str(source)), seed=read.seed, folder=ROOT)


def test_study_names_are_all_different():
    names = [study.read(file).name for file in STUDIES]
    assert len(set(names)) == len(names)


def test_the_page_says_how_to_run_each_study():
    commands = re.findall(r"^hpo run (\S+)", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(commands) == sorted([*map(name, BOOK), "studies/mnist_book.toml"])


def test_the_page_shows_every_picture_once_and_no_other():
    pictures = re.findall(r"!\[.+?\]\((.+?)\)", PAGE.read_text(encoding="utf-8"))
    kept = [f"book/{file.name}" for file in (PAGE.parent / "book").glob("*.png")]
    assert sorted(pictures) == sorted(kept)


def test_every_section_has_its_table_and_its_verdict():
    page = PAGE.read_text(encoding="utf-8")
    sections = re.findall(r"<!-- \w+ -->\n(.*?)<!-- end -->", page, re.DOTALL)
    assert len(sections) == 12
    for section in sections:
        assert section.startswith("| ")
        assert re.search(r"^\*\*(Seen|Seen in part|Not seen):\*\* ", section, re.MULTILINE)
