"""A copy of a folder is whole, or there is none; and the last whole one is gone on from."""

import json
import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hpo.checkpoints.folders import FolderStore
from hpo.checkpoints.trials import Checkpoints, Snapshot, TrialCheckpoints
from hpo.trial import Trial, TrialId

TRIAL = Trial(1, 3, {"rate": 0.1}, 7)
GENERATORS = {"random": [3, [1, 2], None]}
METRICS = [{"loss": 0.5}, {"loss": 0.25}]


def snapshot(metrics: list[dict[str, float]]) -> Snapshot:
    return Snapshot(tuple(metrics), GENERATORS)


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(FolderStore(str(tmp_path / "kept" / "study")), "code and data", 0.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "folder"
    (path / "deep" / "er").mkdir(parents=True)
    (path / "empty").mkdir()
    (path / "state").write_bytes(os.urandom(3_000_000))
    (path / "deep" / "er" / "script").write_text("#!/bin/sh\n")
    (path / "deep" / "er" / "script").chmod(0o700)
    (path / "link").symlink_to("deep/er")
    (path / "nowhere").symlink_to("/nothing/here")
    (path / "unreadable \udcff").write_text("name")
    return path


def restored(copies: TrialCheckpoints, target: Path) -> Any:
    target.mkdir()
    return copies.restore(target)


def content(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for entry in sorted(path.rglob("*")):
        name = str(entry.relative_to(path))
        if entry.is_symlink():
            found[name] = ("link", os.readlink(entry))
        elif entry.is_dir():
            found[name] = "folder"
        else:
            found[name] = (entry.read_bytes(), oct(entry.stat().st_mode))
    return found


def test_a_folder_comes_back_as_it_was(
    checkpoints: Checkpoints, folder: Path, tmp_path: Path
) -> None:
    before = content(folder)
    copies = checkpoints.of(TRIAL, {})
    with socket.socket(socket.AF_UNIX) as left_out:  # nor can a pipe be copied
        left_out.bind(str(folder / "socket"))
        os.mkfifo(folder / "pipe")
        copies.save(folder, snapshot(METRICS))
    assert restored(copies, tmp_path / "again") == snapshot(METRICS)
    assert content(tmp_path / "again") == before
    assert checkpoints.epochs(TRIAL.id) == 2
    assert os.stat(Path(checkpoints.store.directory) / "1-3").st_mode & 0o077 == 0


def test_the_last_whole_copy_counts(
    checkpoints: Checkpoints, folder: Path, tmp_path: Path
) -> None:
    copies, directory = checkpoints.of(TRIAL, {}), Path(checkpoints.store.directory) / "1-3"
    copies.save(folder, snapshot(METRICS[:1]))
    (first,) = directory.glob("1.????????")
    kept = {p.name: p for p in directory.iterdir()}
    os.rename(first, tmp_path / "first")
    os.rename(kept["1.json"], tmp_path / "1.json")
    (folder / "state").write_text("later")
    copies.save(folder, snapshot(METRICS))
    assert {p.suffix for p in directory.iterdir()} - {".json"} != set()
    assert len(list(directory.iterdir())) == 2  # what was before is of no use
    os.rename(tmp_path / "first", first)
    os.rename(tmp_path / "1.json", directory / "1.json")
    assert restored(copies, tmp_path / "a").metrics == tuple(METRICS)
    assert (tmp_path / "a" / "state").read_text() == "later"
    # It is damaged: the one before it is whole.
    (last,) = (p for p in directory.glob("2.*") if p.is_dir())
    (last / "state").write_text("lat3r")
    assert restored(copies, tmp_path / "b").metrics == tuple(METRICS[:1])
    assert (tmp_path / "b" / "state").stat().st_size == 3_000_000
    # Both are: there is none, and nothing is left of what was tried.
    (first / "link").unlink()
    assert restored(copies, tmp_path / "c") is None
    assert list((tmp_path / "c").iterdir()) == []


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"key": 1, "metrics": []}'])
def test_a_description_that_is_none_is_no_copy(
    checkpoints: Checkpoints, folder: Path, tmp_path: Path, text: str
) -> None:
    copies = checkpoints.of(TRIAL, {})
    copies.save(folder, snapshot(METRICS))
    (Path(checkpoints.store.directory) / "1-3" / "2.json").write_text(text)
    assert restored(copies, tmp_path / "again") is None


def test_a_copy_that_broke_off_is_none(
    checkpoints: Checkpoints, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies, directory = checkpoints.of(TRIAL, {}), Path(checkpoints.store.directory) / "1-3"

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(OSError, match="No space left"):
            copies.save(folder, snapshot(METRICS))
    assert list(directory.iterdir()) == []  # it leaves nothing behind
    (directory / "2.0123abcd").mkdir()
    (directory / "2.0123abcd" / "state").write_text("half")
    assert restored(copies, tmp_path / "again") is None
    copies.save(folder, snapshot(METRICS))
    assert not (directory / "2.0123abcd").exists()


def test_a_copy_is_one_of_just_this_trial(
    checkpoints: Checkpoints, folder: Path, tmp_path: Path
) -> None:
    checkpoints.of(TRIAL, {"epochs": 3}).save(folder, snapshot(METRICS))
    others = [
        replace(checkpoints, context="other code").of(TRIAL, {"epochs": 3}),
        checkpoints.of(replace(TRIAL, seed=8), {"epochs": 3}),
        checkpoints.of(replace(TRIAL, hyperparameters={"rate": 0.2}), {"epochs": 3}),
        checkpoints.of(TRIAL, {"epochs": 4}),
        checkpoints.of(replace(TRIAL, part=2), {"epochs": 3}),
    ]
    for number, copies in enumerate(others):
        assert restored(copies, tmp_path / str(number)) is None
    assert restored(checkpoints.of(TRIAL, {"epochs": 3}), tmp_path / "own") is not None


def test_an_empty_folder_is_not_kept_and_many_files_are(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    (tmp_path / "some").mkdir()
    copies = checkpoints.of(TRIAL, {})
    copies.save(tmp_path / "some", snapshot(METRICS))
    assert checkpoints.epochs(TRIAL.id) == 0
    for number in range(3_000):
        (tmp_path / "some" / str(number)).write_text(str(number))
    copies.save(tmp_path / "some", snapshot(METRICS))
    assert restored(copies, tmp_path / "again") is not None
    assert len(os.listdir(tmp_path / "again")) == 3_000


def test_what_is_of_no_use_is_removed(checkpoints: Checkpoints, folder: Path) -> None:
    trials = [replace(TRIAL, number=n) for n in (1, 2)] + [
        replace(TRIAL, part=2), replace(TRIAL, repeat=1), replace(TRIAL, repeat=1, resplit=True)
    ]
    directory = Path(checkpoints.store.directory)
    for trial in trials:
        checkpoints.of(trial, {}).save(folder, snapshot(METRICS))
    assert len(os.listdir(directory)) == 5
    checkpoints.forget(trials[0].id)
    checkpoints.forget_others((), among=())
    assert len(os.listdir(directory)) == 4
    checkpoints.forget_others({trials[3].id}, {trials[1].id, trials[2].id, TrialId(9, 9)})
    assert sorted(os.listdir(directory)) == ["1-3-repeat-1", "1-3-repeat-1-resplit"]
    described = json.loads((directory / "1-3-repeat-1" / "2.json").read_text())
    assert set(described) == {
        "key", "copy", "content", "metrics", "generators", "has_ended", "begun"
    }
    checkpoints.forget_others({trials[3].id})
    assert os.listdir(directory) == ["1-3-repeat-1"]
    checkpoints.forget_others(())
    checkpoints.forget_others(())
    assert not directory.exists()
