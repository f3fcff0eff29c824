"""Files that an objective reads by itself: found, digested once, and part of what is compared."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hpo.cluster import pack
from hpo.data import own_files
from hpo.errors import InputError
from hpo.study import read
from tests.fixtures import Outcome

Command = Callable[..., Outcome]
STUDY = """
objective = "reads_{name}:train"
metric = "loss"
direction = "minimize"
[data]
files = ["train.csv", "images/"]
[search_space]
rate = {{ low = 0.1, high = 1.0 }}
[round]
trials = 2
"""


@pytest.fixture
def study(folder: Path) -> Path:
    name = folder.name.replace("-", "_")
    (folder / f"reads_{name}.py").write_text("def train(rate: float): return rate\n")
    (folder / "train.csv").write_text("a,b\n1,2\n")
    (folder / "images" / "deep").mkdir(parents=True)
    (folder / "images" / "one.png").write_bytes(b"1")
    (folder / "images" / "deep" / "two.png").write_bytes(b"2")
    (folder / "toy.toml").write_text(STUDY.format(name=name))
    return folder / "toy.toml"


def test_files_and_all_in_folders_are_found(study: Path) -> None:
    found = own_files.find(["train.csv", "images/"], study.parent)
    assert found == {
        "train.csv": study.parent / "train.csv",
        "images/deep/two.png": study.parent / "images" / "deep" / "two.png",
        "images/one.png": study.parent / "images" / "one.png",
    }


def test_a_digest_changes_with_any_name_and_content(study: Path) -> None:
    known = study.parent / "known.json"
    totals = set()
    for change in (lambda: None, lambda: (study.parent / "train.csv").write_text("a,b\n1,3\n"),
                   lambda: (study.parent / "images" / "one.png").rename(study.parent / "images/1"),
                   lambda: (study.parent / "images" / "new").touch()):
        change()
        names = ["train.csv", "images/"]
        totals.add(own_files.total(own_files.digests(names, study.parent, known)))
    assert len(totals) == 4


def test_a_file_that_is_as_it_was_is_not_read_again(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = study.parent / "known.json"
    first = own_files.digests(["images"], study.parent, known)
    reads: list[Path] = []
    digest = own_files._digest
    monkeypatch.setattr(own_files, "_digest", lambda file: reads.append(file) or digest(file))
    assert own_files.digests(["images"], study.parent, known) == first
    assert reads == []
    one = study.parent / "images" / "one.png"
    one.write_bytes(b"x")
    os.utime(one, ns=(0, 0))
    assert own_files.digests(["images"], study.parent, known) != first
    assert reads == [one]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": 1}', '{"a": [1, 2]}'])
def test_a_broken_file_of_digests_only_costs_time(study: Path, content: str) -> None:
    known = study.parent / "known.json"
    first = own_files.digests(["images"], study.parent, known)
    known.write_text(content)
    assert own_files.digests(["images"], study.parent, known) == first
    assert json.loads(known.read_text())


@pytest.mark.parametrize("name", ["not there", "empty", "a\0b", "broken.csv"])
def test_what_is_not_there_is_named(study: Path, name: str) -> None:
    (study.parent / "empty").mkdir()
    (study.parent / "broken.csv").symlink_to("nowhere")
    with pytest.raises(InputError, match=r"^\[data\] files: .*(use files|readable)"):
        own_files.digests([name], study.parent, study.parent / "known.json")


def test_changed_files_are_refused_and_their_digests_are_on_record(
    study: Path, command: Command
) -> None:
    assert command("run", study, "--inline").code == 0
    (kept,) = study.parent.glob("mlartifacts/**/data_files.json")
    assert sorted(json.loads(kept.read_text())) == [
        "images/deep/two.png", "images/one.png", "train.csv",
    ]
    assert command("run", study, "--inline", "--rounds", "2").code == 0
    (study.parent / "images" / "one.png").write_bytes(b"other")
    ran = command("run", study, "--inline", "--rounds", "3")
    assert ran.code == 2
    assert "the data or its split changed since round 2" in ran.err


def test_they_travel_to_a_cluster(study: Path) -> None:
    files = pack(read(study)).files
    assert {"train.csv", "images/one.png", "images/deep/two.png", "toy.toml"} <= files.keys()


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ("[]", "data.files: expected a list of paths"),
        ("'train.csv'", "data.files: expected a list of paths"),
        ("[1]", "data.files: expected a list of paths"),
        ('["gone.csv"]', "[data] files: "),
    ],
)
def test_wrong_files_are_one_line(study: Path, command: Command, files: str, said: str) -> None:
    study.write_text(study.read_text().replace('["train.csv", "images/"]', files))
    ran = command("run", study, "--inline")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert said in ran.err
