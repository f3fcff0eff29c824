"""What the README shows is there, and what it tells a newcomer to write runs."""

import re
from pathlib import Path

import pytest
from PIL import Image

from tests.fixtures import hpo, table

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PICTURES = re.findall(r'!\[[^]]+\]\(([^)]+)\)|<img src="([^"]+)"', README)


def test_its_pictures_are_there_and_small() -> None:
    files = [ROOT / (one or other) for one, other in PICTURES]
    assert {file.name for file in files} == {"proposal.png", "page.png", "mlflow.png"}
    assert sum(file.stat().st_size for file in files) < 400_000
    for file in files:
        with Image.open(file) as image:
            assert image.width >= 800  # readable where a page shows it as wide as its text


def test_every_file_it_names_is_there() -> None:
    for name in re.findall(r"\bdocs/[\w.]+\.md|\bstudies/\w+\.toml", README):
        assert (ROOT / name).is_file(), name


def test_the_first_study_of_ones_own_runs_as_it_stands(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = dict(re.findall(r"```\w+\n# (mine\.\w+)\n(.*?)```", README, re.DOTALL))
    assert set(blocks) == {"mine.py", "mine.toml"}
    for name, text in blocks.items():
        (folder / name).write_text(text, encoding="utf-8")
    assert sum(bool(line) for text in blocks.values() for line in text.splitlines()) <= 12
    monkeypatch.chdir(folder)
    hpo("run", "mine.toml", "--inline", "--set", "round.trials=2")
    assert [row["state"] for row in table("mine")] == ["complete"] * 2
