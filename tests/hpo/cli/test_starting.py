"""A first study is written as the README shows it, and runs; nothing is overwritten."""

from pathlib import Path

import pytest

from tests.doc_pages import blocks
from tests.fixtures import Command
from tests.processes import ROOT


def test_it_writes_the_study_of_the_readme(folder: Path, command: Command) -> None:
    told = command("init")
    assert told.code == 0
    shown = {block.title: block.text for block in blocks(ROOT / "README.md") if block.title}
    assert set(shown) == {"mine.py", "mine.toml"}
    for name, text in shown.items():
        assert (folder / name).read_text() == text
    assert "hpo run mine.toml" in told.out


@pytest.mark.slow
def test_what_it_writes_runs(folder: Path, command: Command) -> None:
    assert command("init", "some folder/first").code == 0
    ran = command(
        "run", "some folder/first.toml", "--inline", "--trials", 2,
    )
    assert ran.code == 0, ran.err
    assert "2 of 2 trials" in ran.out


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a-b", "'a-b' is not a valid module name"),
        ("class", "'class' is not a valid module name"),
        ("numpy", "a module 'numpy' is already installed"),
        ("__main__", "a module '__main__' is already installed"),
        (".", "'' is not a valid module name"),
        ("/", "'' is not a valid module name"),
        ("x.y", "'x.y' is not a valid module name"),
        ("größe", "'größe' is not a valid module name"),  # no objective can be named so
        ("one", "one.py already exists"),
        ("two", "two.toml already exists"),
        ("three", "three.toml already exists"),
        ("four", "four/__init__.py already exists"),
    ],
)
def test_nothing_is_overwritten_or_hidden(
    folder: Path, command: Command, name: str, reason: str
) -> None:
    (folder / "one.py").write_text("1")
    (folder / "two.toml").write_text("2")
    (folder / "three.toml").symlink_to("nowhere")
    (folder / "four").mkdir()
    (folder / "four" / "__init__.py").touch()
    told = command("init", name)
    assert (told.code, told.out) == (2, "")
    assert reason in told.err
    assert (folder / "one.py").read_text() == "1"
    assert not (folder / "one.toml").exists()
    for module in ("two", "three", "four"):
        assert not (folder / f"{module}.py").exists()
