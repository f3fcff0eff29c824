"""The textbook's experiments: every study file is right, and docs/book.md shows each."""

import functools
import re

import numpy as np
import pandas as pd
import pytest

from hpo import study
from hpo.data import loading as data
from hpo.objective import Given
from tests.processes import ROOT

PAGE = ROOT / "docs" / "book.md"
BOOK = sorted((ROOT / "studies" / "book").glob("*.toml"))
HERE = {
    "openml:mnist_784": ROOT.parent / "shared" / "data" / "mnist",
    "winequality-white.csv": ROOT.parent / "shared" / "data" / "winequality-white.csv",
}
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
    if read.data is not None and read.data.source != "digits":
        source = HERE[read.data.source.rsplit("/")[-1]]
        if not source.exists():
            pytest.skip(f"right, but there is no data at {source}")
        here = study.read(file, [f"data.source={source}"])
        assert here.data is not None
        data.load(here.data, seed=here.seed, folder=ROOT)


@pytest.mark.parametrize("file", STUDIES, ids=name)
def test_data_that_is_not_here_is_fetched(file):
    read = study.read(file)
    assert read.data is None or not data.sources.is_beside(read.data.source)


def test_a_table_of_pixels_is_scaled_as_the_images_are(tmp_path):
    """MNIST from OpenML is such a table."""
    pixels = np.random.default_rng(0).integers(0, 256, (700, 784))
    pixels[:, 0], pixels[:, 1] = 0, 255
    table = pd.DataFrame(pixels, columns=[f"pixel{i}" for i in range(1, 785)])
    table["class"] = np.arange(700) % 10
    table.to_csv(tmp_path / "pixels.csv", index=False)
    overrides = [f"data.source={tmp_path / 'pixels.csv'}", "data.target=class"]
    book = study.read(ROOT / "studies" / "mnist_book.toml", overrides)
    split = data.load(book.data, seed=book.seed, folder=ROOT)
    assert split.description.task == "classification"
    assert split.description.rows == {"training": 400, "validation": 100, "test": 140}
    scaled = split.data.training.inputs * 255
    assert np.abs(scaled - np.round(scaled)).max() < 1e-4
    assert (scaled.min(), scaled.max()) == (0, 255)
    values = {**book.fixed, "epochs": 1, "learning_rate": 1e-3, "weight_decay": 0.0}
    assert len(list(book.objective.start(values, Given(book.metric, 0, split.data)))) == 1


def test_study_names_are_all_different():
    names = [study.read(file).name for file in STUDIES]
    assert len(set(names)) == len(names)


def test_the_page_says_how_to_run_each_study():
    commands = re.findall(r"^\$ hpo run (\S+)", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
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
