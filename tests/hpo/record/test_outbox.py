"""The outbox keeps what it was given, through crashes."""

import json
import resource
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from hpo.errors import (
    HPOError,
    InputError,
)
from hpo.record.outbox import Outbox, kept_on_disk
from tests.hpo.record.some_record import result, same


def test_what_is_added_is_there_after_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "outbox.jsonl"
    outbox = Outbox(path)
    outbox.add(result(1))
    outbox.add(result(2))
    outbox.drop(outbox.waiting()[0])
    outbox.close()  # nothing is written on closing: the file is what a crash leaves
    with path.open("a") as file:
        file.write('{"result": {"trial"')  # a line that was cut off
    again = Outbox(path)
    assert same(again.waiting(), [result(2)])
    again.add(result(3))
    again.close()
    assert same(Outbox(path).waiting(), [result(2), result(3)])


def test_it_is_private_and_empty_once_all_is_delivered(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.jsonl")
    outbox.add(result())
    assert outbox.path.stat().st_mode & 0o777 == 0o600
    assert outbox.path.stat().st_size > 0
    outbox.drop(result())
    assert outbox.path.stat().st_size > 0  # delivered, but not read back
    outbox.forget(outbox.delivered())
    assert outbox.path.stat().st_size == 0
    assert len(outbox) == 0


def test_what_was_delivered_is_kept_until_it_was_read_back(tmp_path: Path) -> None:
    path = tmp_path / "o.jsonl"
    outbox = Outbox(path)
    for number in (1, 2, 3):
        outbox.add(result(number))
    outbox.drop(result(1))
    outbox.forget(outbox.delivered())
    outbox.drop(result(2))
    outbox.drop(result(3))
    outbox.close()  # killed before they were read back
    outbox = Outbox(path)
    assert (outbox.waiting(), len(outbox)) == ([], 2)
    outbox.take_up({(result(3).trial.id, 1)}, {})  # the record has lost the other one
    assert same(outbox.waiting(), [result(2)])
    outbox.close()
    outbox = Outbox(path)
    outbox.take_up((), {})
    assert same(outbox.waiting(), [result(2)])


def test_only_one_process_has_it(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.jsonl")
    with pytest.raises(InputError, match="another process is running this study"):
        Outbox(tmp_path / "outbox.jsonl")
    outbox.close()
    Outbox(tmp_path / "outbox.jsonl").close()


def test_a_full_disk_leaves_no_half_of_a_line(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.jsonl")
    outbox.add(result(1))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    room = outbox.path.stat().st_size + 50  # for a part of the next line
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        said = r"outbox.jsonl: File too large; free up space, then run the same command"
        with pytest.raises(HPOError, match=said):
            outbox.add(result(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    outbox.add(result(3))
    outbox.close()
    assert same(Outbox(tmp_path / "outbox.jsonl").waiting(), [result(1), result(3)])


def test_a_file_that_was_emptied_is_written_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "o.jsonl"
    outbox = Outbox(path)
    outbox.add(result(1))
    outbox.drop(result(1))
    outbox.forget(outbox.delivered())
    assert path.read_bytes() == b""
    outbox.add(result(2))
    assert path.read_bytes().startswith(b'{"result"')


GOOD = json.dumps({"result": asdict(result(9))})


def changed(**changes: Any) -> str:
    """Return a line whose result, or its trial, has other values."""
    entry = json.loads(GOOD)
    for name, value in changes.items():
        table = entry["result"]["trial"] if name in entry["result"]["trial"] else entry["result"]
        table[name] = value
    return json.dumps(entry)


@pytest.mark.parametrize(
    "line",
    [
        b'{"result": {"trial"', b"\x00\xff\xfe\x80", b"null", b"[]", b"{}", b'"result"', b"7",
        b"[" * 100_000, b'{"result": null}', b'{"result": {}}', b'{"delivered": 3}',
        b'{"delivered": [1, 2, 3]}', b'{"delivered": [[1], 2, 3, 4, 5]}',
        changed(number="1"), changed(number=0), changed(number=True), changed(number=1.5),
        changed(round=-1), changed(seed=-1), changed(seed=2**64), changed(attempt=None),
        changed(repeat="no"), changed(resplit=1), changed(hyperparameters=[]),
        changed(hyperparameters={"a": None}), changed(hyperparameters={"a": {"b": 1}}),
        changed(state="done"), changed(state="complete"), changed(value="0.5"),
        changed(state="complete", value=float("inf"), epoch=1), changed(value=0.5, epoch=3),
        changed(metrics=None), changed(metrics=[1]), changed(metrics=[{"loss": "0.5"}]),
        changed(metrics=[{"loss": 0.5, "accuracy": "high"}]),
        changed(started="now"), changed(started=1e300), changed(seconds=-1), changed(place=None),
        changed(message=["x"]), changed(unknown=1), GOOD.replace("Trial", "").replace("7", "1e999"),
    ],
)  # fmt: skip
def test_a_line_that_is_no_result_is_set_aside_and_the_rest_is_read(
    tmp_path: Path, line: str | bytes
) -> None:
    path, raw = tmp_path / "o.jsonl", line.encode() if isinstance(line, str) else line
    good = [json.dumps({"result": asdict(result(n))}).encode() for n in (1, 2)]
    path.write_bytes(good[0] + b"\n" + raw + b"\n" + good[1] + b"\n")
    outbox = Outbox(path)
    assert same(outbox.waiting(), [result(1), result(2)])
    aside = tmp_path / "o.damaged.jsonl"
    assert aside.read_bytes() == raw + b"\n"
    assert aside.stat().st_mode & 0o777 == 0o600
    assert outbox.damage == (
        f"1 line of {path} could not be read; moved to {aside}; "
        "if that loses the result of a trial, the trial runs again"
    )
    outbox.add(result(3))
    outbox.close()
    again = Outbox(path)
    assert again.damage == ""  # it is said once
    assert same(again.waiting(), [result(1), result(2), result(3)])
    assert aside.read_bytes() == raw + b"\n"


def test_a_line_that_is_there_twice_counts_once(tmp_path: Path) -> None:
    path = tmp_path / "o.jsonl"
    path.write_text(f"{GOOD}\n{GOOD}\n\n{changed(seconds=5.0)}\n")
    outbox = Outbox(path)
    assert same(outbox.waiting(), [result(9)])
    (line,) = (tmp_path / "o.damaged.jsonl").read_text().splitlines()
    assert line == changed(seconds=5.0)  # another result of the same attempt


def test_a_last_line_without_its_end_counts_where_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "o.jsonl"
    path.write_text(f"{GOOD}\n{changed(number=10)}")  # as some editors write it
    outbox = Outbox(path)
    outbox.add(result(11))
    outbox.close()
    again = Outbox(path)
    assert [r.trial.number for r in again.waiting()] == [9, 10, 11]
    assert again.damage == ""


def test_a_folder_that_cannot_be_made_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path, why in (
        (tmp_path / "file" / "o.jsonl", "File exists"),
        (Path("a\0b") / "o.jsonl", "embedded null byte"),
    ):
        with pytest.raises(InputError) as caught:
            Outbox(path)
        assert str(caught.value) == (
            f"{path.parent}: {why}; results are kept in this folder until they are recorded; "
            "set HPO_OUTBOX to a writable folder"
        )


def test_a_full_disk_is_said_when_lines_are_to_be_moved(tmp_path: Path) -> None:
    path = tmp_path / "o.jsonl"
    path.write_text("no result\n" * 200)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(HPOError, match=r"o\.jsonl: File too large; free up space, then try"):
            Outbox(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert Outbox(path).damage.startswith("200 lines of ")


def test_what_belongs_to_other_settings_is_set_aside_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "o.jsonl"
    before = Outbox(path)
    repeat = replace(result(4), trial=replace(result(4).trial, repeat=1))
    for one, settings in ((result(1), "ours"), (result(2), "theirs"), (result(3), ""),
                          (repeat, "theirs")):
        before.add(one, settings)
    before.close()
    outbox = Outbox(path)
    assert outbox.take_up((), {1: "ours"}) == 1
    assert same(outbox.waiting(), [result(1), result(3), repeat])
    (line,) = map(json.loads, path.with_suffix(".refused.jsonl").read_text().splitlines())
    assert line["reason"] == "it belongs to a round with different settings"
    assert line["result"]["trial"]["number"] == 2
    assert (path.parent / "o.refused.jsonl").stat().st_mode & 0o777 == 0o600
    assert not outbox.was_delivered(result(1))
    assert outbox.belongs(result(1), "ours")
    assert outbox.belongs(result(1), "")
    assert not outbox.belongs(result(1), "theirs")
    assert outbox.belongs(result(3), "theirs")
    outbox.close()
    again = Outbox(path)
    assert same(again.waiting(), [result(1), result(3), repeat])


def test_what_the_record_has_lost_is_known_to_have_been_delivered(tmp_path: Path) -> None:
    path = tmp_path / "o.jsonl"
    before = Outbox(path)
    for number in (1, 2):
        before.add(result(number))
        before.drop(result(number))
    before.add(result(3))
    before.close()
    outbox = Outbox(path)
    assert (len(outbox), len(outbox.waiting())) == (3, 1)
    outbox.take_up({(result(2).trial.id, 1)}, {})
    assert same(outbox.waiting(), [result(1), result(3)])
    assert [outbox.was_delivered(result(n)) for n in (1, 2, 3)] == [True, False, False]
    assert (len(outbox), outbox.delivered()) == (2, [])


def test_anybody_can_count_what_is_kept_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "o.jsonl"
    assert kept_on_disk(path) == (0, 0)
    outbox = Outbox(path)
    for number in range(1, 5):
        outbox.add(result(number))
    outbox.drop(result(1))
    outbox.set_aside(result(2), "no room")
    assert kept_on_disk(path) == (2, 1)  # also while another process has it
    assert outbox.aside() == 1
    path.write_bytes(path.read_bytes() + b"{ half a li")
    assert kept_on_disk(path) == (2, 1)
