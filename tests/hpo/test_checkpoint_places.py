"""Copies of folders are the same wherever they are kept, and however they get there."""

import io
import os
import socket
import tarfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hpo.checkpoints import carried
from hpo.checkpoints.behind import CopiesBehind
from hpo.checkpoints.carried import CarriedCopies, Carrier
from hpo.checkpoints.folders import FolderStore, copied
from hpo.checkpoints.packing import pack, unpack
from hpo.checkpoints.remote import RemoteStore, fault, is_address
from hpo.checkpoints.store import Store
from hpo.checkpoints.trials import Checkpoints, Copies
from hpo.trial import Trial
from tests.hpo.test_checkpoints import METRICS, TRIAL, content, folder, restored, snapshot

__all__ = ["folder"]  # a fixture


@pytest.fixture(params=["folder", "remote"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return FolderStore(str(tmp_path / "kept"))
    return RemoteStore(f"file://{tmp_path}/kept")


def files(tmp_path: Path) -> set[str]:
    kept = tmp_path / "kept"
    return {str(path.relative_to(kept)) for path in kept.rglob("*") if path.is_file()}


def test_each_place_gives_back_what_it_was_given(
    store: Store, folder: Path, tmp_path: Path
) -> None:
    before = content(folder)
    checkpoints = Checkpoints(store, "code", 0.0)
    copies = checkpoints.of(TRIAL, {})
    assert (store.trials(), store.entries("1-3"), copies.epochs()) == ([], [], 0)
    assert restored(copies, tmp_path / "nothing") is None
    with socket.socket(socket.AF_UNIX) as left_out:
        left_out.bind(str(folder / "socket"))
        copies.save(folder, snapshot(METRICS[:1]))
    (folder / "socket").unlink()
    copies.save(folder, snapshot(METRICS))
    assert checkpoints.epochs(TRIAL.id) == copies.epochs() == 2
    assert len(store.entries("1-3")) == 2  # the first copy is of no use any more
    assert restored(copies, tmp_path / "again") == snapshot(METRICS)
    assert content(tmp_path / "again") == before
    assert replace(checkpoints, context="other").of(TRIAL, {}).epochs() == 0
    # An extension goes on from the trial, and then from itself.
    longer = checkpoints.of(replace(TRIAL, extended_to=9), {})
    assert longer.epochs() == 2
    longer.save(folder, snapshot([*METRICS, {"loss": 0.1}]))
    assert (copies.epochs(), longer.epochs()) == (2, 3)
    assert checkpoints.of(replace(TRIAL, extended_to=20), {}).epochs() == 3
    assert checkpoints.of(replace(TRIAL, extended_to=5), {}).epochs() == 2
    assert sorted(store.trials()) == ["1-3", "1-3-extended-to-9"]
    checkpoints.forget_others({TRIAL.id})
    assert store.trials() == ["1-3"]
    checkpoints.forget(TRIAL.id)
    assert files(tmp_path) == set()


def test_a_copy_that_broke_off_or_was_damaged_is_none(
    store: Store, folder: Path, tmp_path: Path
) -> None:
    copies = Checkpoints(store, "code", 0.0).of(TRIAL, {})
    copies.save(folder, snapshot(METRICS[:1]))
    whole = {name: (tmp_path / "kept" / name).read_bytes() for name in files(tmp_path)}
    os.rename(tmp_path / "kept" / "1-3" / "1.json", tmp_path / "description")
    assert restored(copies, tmp_path / "a") is None  # the description is written last
    os.rename(tmp_path / "description", tmp_path / "kept" / "1-3" / "1.json")
    assert restored(copies, tmp_path / "b") is not None
    large = max(whole, key=lambda name: len(whole[name]))
    flipped = bytearray(whole[large])
    flipped[9999] ^= 1
    for number, damaged in enumerate((whole[large][:-5000], bytes(flipped), b"")):
        (tmp_path / "kept" / large).write_bytes(damaged)
        target = tmp_path / f"c{number}"
        assert restored(copies, target) is None
        assert list(target.iterdir()) == []


def test_many_small_files_travel(folder: Path, tmp_path: Path) -> None:
    for number in range(3_000):
        (folder / str(number)).write_text(str(number))
    store = RemoteStore(f"file://{tmp_path}/kept")
    copies = Checkpoints(store, "code", 0.0).of(TRIAL, {})
    copies.save(folder, snapshot(METRICS))
    assert len(files(tmp_path)) == 2
    assert restored(copies, tmp_path / "again") is not None
    assert content(tmp_path / "again") == content(folder)


def test_a_folder_goes_and_comes_as_bytes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_worker = CarriedCopies()
    assert restored(at_worker, tmp_path / "nothing") is None
    at_worker.save(folder, replace(snapshot(METRICS), has_ended=True))
    sent = at_worker.taken()
    assert (sent != b"", at_worker.taken()) == (True, b"")
    checkpoints = Checkpoints(FolderStore(str(tmp_path / "kept")), "code", 0.0, is_carried=True)
    carrier = Carrier(checkpoints, {"epochs": 3})
    assert carrier.last(TRIAL) is None
    assert carrier.keep(TRIAL, sent) == ""
    assert checkpoints.epochs(TRIAL.id) == 2
    back = CarriedCopies(carrier.last(TRIAL))
    assert restored(back, tmp_path / "again") == replace(snapshot(METRICS), has_ended=True)
    assert content(tmp_path / "again") == content(folder)
    back.forget()
    assert restored(back, tmp_path / "forgotten") is None
    assert restored(CarriedCopies(sent[:-9000]), tmp_path / "damaged") is None
    assert "Error" in carrier.keep(TRIAL, b"") or carrier.keep(TRIAL, b"") != ""
    (tmp_path / "full").write_text("a file")
    full = Carrier(replace(checkpoints, store=FolderStore(str(tmp_path / "full"))), {})
    assert full.keep(TRIAL, sent) != ""
    monkeypatch.setattr(carried, "MOST_BYTES", 2_000_000)
    with pytest.raises(OSError, match=r"the folder holds 3 MB, but at most 2 MB can be sent"):
        at_worker.save(folder, snapshot(METRICS))
    assert at_worker.taken() == b""


class Slow:
    """Copies that take as long as they are told, or fail."""

    def __init__(self, copies: Copies) -> None:
        self.go_on, self.full, self.copies = threading.Event(), False, copies
        self.restore, self.forget = copies.restore, copies.forget

    def save(self, *arguments: Any) -> None:
        assert self.go_on.wait(10)
        if self.full:
            raise OSError(28, "No space left on device")
        self.copies.save(*arguments)


def test_a_trial_goes_on_while_its_copy_is_sent(folder: Path, tmp_path: Path) -> None:
    own = Checkpoints(FolderStore(str(tmp_path / "kept")), "code", 0.0).of(TRIAL, {})
    slow = Slow(own)
    behind = CopiesBehind(slow)
    begun = time.monotonic()
    behind.save(folder, snapshot(METRICS[:1]))
    assert behind.is_busy
    before = content(folder)
    (folder / "state").write_text("later")  # the trial goes on, and its folder with it
    slow.go_on.set()
    behind.wait()
    assert time.monotonic() - begun < 9
    assert not behind.is_busy
    assert restored(behind, tmp_path / "again").metrics == tuple(METRICS[:1])
    assert content(tmp_path / "again") == before
    slow.full = True
    behind.save(folder, snapshot(METRICS))
    with pytest.raises(OSError, match="No space left"):
        behind.wait()
    behind.save(folder, snapshot(METRICS))
    with pytest.raises(OSError, match="No space left"):  # said where the next one is to be sent
        behind.save(folder, snapshot(METRICS))
    behind.forget()
    assert own.epochs() == 0


def packed_with(name: str, kind: bytes, link: str = "") -> io.BytesIO:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        entry = tarfile.TarInfo("link")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/tmp"
        tar.addfile(entry)
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, link
        tar.addfile(entry, io.BytesIO())
    file.seek(0)
    return file


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "link/outside", "a/../../outside"])
def test_nothing_is_written_outside_the_folder(name: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(ValueError, match=r"points outside the folder|is behind a link"):
        unpack(packed_with(name, tarfile.REGTYPE), tmp_path / "in")
    assert not (tmp_path / "outside").exists()
    assert not Path("/tmp/outside").exists()


def test_what_is_packed_is_as_what_is_copied(folder: Path, tmp_path: Path) -> None:
    file = io.BytesIO()
    there = pack(folder, file)
    file.seek(0)
    (tmp_path / "in").mkdir()
    assert there == unpack(file, tmp_path / "in") == copied(folder, tmp_path / "copy")
    (tmp_path / "half").mkdir()
    with pytest.raises(ValueError, match="unexpected end of data"):
        unpack(io.BytesIO(file.getvalue()[:2_000_000]), tmp_path / "half")


@pytest.mark.parametrize(
    ("address", "wrong"),
    [
        ("s3://bucket/here", ""), ("gs://bucket", ""), ("file:///shared/here", ""),
        ("abfs://here", "is not a supported address; use a folder, or an address that starts with s3://"),
        ("s3://key:secret@bucket/here", "contains a password; put it in the environment"),
        ("s3://", "has no path; add one, for example s3://bucket/folder"),
    ],
)
def test_an_address_is_one_that_can_be_used(address: str, wrong: str) -> None:
    assert is_address(address)
    assert fault(address).startswith(wrong)
    assert bool(fault(address)) == bool(wrong)
    assert not is_address("/mnt/shared")
    assert not is_address("here/there")


def test_many_lengths_of_one_trial_are_told_apart(store: Store, folder: Path) -> None:
    checkpoints = Checkpoints(store, "code", 0.0)
    for trial in (replace(TRIAL, extended_to=9), replace(TRIAL, number=33, extended_to=8)):
        checkpoints.of(trial, {}).save(folder, snapshot(METRICS))
    assert checkpoints.of(replace(TRIAL, extended_to=99), {}).epochs() == 2
    other = Trial(1, 34, TRIAL.hyperparameters, TRIAL.seed, extended_to=99)
    assert checkpoints.of(other, {}).epochs() == 0
