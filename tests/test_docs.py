"""Every block of the documentation runs as it stands, and every command in it exists."""

import re
import shutil
import warnings
from pathlib import Path

import pytest

from tests.doc_pages import (
    RUN,
    SHOWN_ONLY,
    Block,
    Reader,
    blocks,
    commands,
    name_of,
    named_commands,
    pages,
    wrong_command,
)
from tests.processes import ROOT

PAGES = [pytest.param(page, id=name_of(page)) for page in pages()]
WITH_BLOCKS = [
    pytest.param(page, id=name_of(page)) for page in pages()
    if any(block.runs and block.language not in SHOWN_ONLY for block in blocks(page))
]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_run_or_says_why_not(page: Path) -> None:
    for block in blocks(page):
        assert block.language, f"{block}: has no language"
        known = block.language in (*RUN, *SHOWN_ONLY) or block.title is not None
        assert known or not block.runs, f"{block}: {block.language} is neither run nor shown only"


@pytest.mark.parametrize("page", PAGES)
def test_every_command_is_one_that_there_is(page: Path) -> None:
    for command in named_commands(page):
        assert wrong_command(command) is None, f"{command}: {wrong_command(command)}"
        for target in re.findall(r"^make ([a-z-]+)", command):
            assert target in TARGETS, f"{command}: no target {target}"


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_BLOCKS)
def test_a_page_can_be_followed_from_top_to_bottom(page: Path, folder: Path) -> None:
    (folder / "toy.py").unlink()
    shutil.copytree(
        ROOT / "studies", folder / "studies",
        ignore=shutil.ignore_patterns("mnist", "__pycache__", ".hpo"),
    )
    reader = Reader(folder)
    try:
        for block in blocks(page):
            if block.lacks:
                warnings.warn(f"{block}: not run, without {block.lacks}", stacklevel=1)
            elif block.runs:
                reader.follow(block)
    finally:
        reader.leave()


def test_a_page_is_taken_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.doc_pages.ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text(
        "# Page\n\n<!-- run with: --inline -->\n```console\n$ a \\\n    b\nout\n$ c\n```\n"
        "\n- item:\n\n    ```toml title=\"x.toml\"\n    a = 1\n    ```\n"
        "\n<!-- not run: needs a cluster -->\n\n```console\n$ d\n```\n",
        encoding="utf-8",
    )
    first, second, third = blocks(page)
    assert first.directives == {"run with": "--inline"}
    assert commands(first.text) == [("a \\\n    b", ["out"]), ("c", [])]
    assert (second.title, second.text, second.runs) == ("x.toml", "a = 1\n", True)
    assert not third.runs


@pytest.mark.parametrize(
    "wrong",
    ["hpo rum x", "hpo run x --nothing", "A=1 hpo show x --jsn", "hpo list && hpo lst"],
)
def test_a_command_that_is_none_is_found(wrong: str) -> None:
    assert wrong_command(wrong) is not None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("console", "$ exit 3\n"),
        ("console", "$ echo one\ntwo\n"),
        ("console", "$ hpo show nothing\n"),
        ("console", "$ echo hpo: fine\nhpo: fine\n"),
        ("python", "1 / 0\n"),
        ("toml", "sed = 1\n"),
        ("toml", "[round]\nsampler = 'tpee'\n"),
    ],
)
def test_a_block_that_does_not_do_what_it_says_is_found(
    folder: Path, language: str, text: str
) -> None:
    shutil.copytree(ROOT / "studies", folder / "studies")
    reader = Reader(folder)
    try:
        with pytest.raises(AssertionError):
            reader.follow(Block("page.md", 1, language, None, text, {}))
    finally:
        reader.leave()
