"""What the README shows is there, and it is short; tests/test_docs.py runs what it says."""

import re
from pathlib import Path

from PIL import Image

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
    for name in re.findall(r"\b(?:docs/)?[\w-]+\.md\b|\bstudies/\w+\.toml", README):
        assert (ROOT / name).is_file(), name


def test_it_is_short() -> None:
    assert len(README.splitlines()) < 150


def test_a_study_of_ones_own_takes_twelve_lines() -> None:
    files = dict(re.findall(r'```\w+ title="([^"]+)"\n(.*?)```', README, re.DOTALL))
    assert set(files) == {"mine.py", "mine.toml"}
    assert sum(bool(line) for text in files.values() for line in text.splitlines()) <= 12
