"""The file of a record: one for each path, private, made once, and complete when a command ends."""

import contextlib
import os
import shutil
import sqlite3
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.errors import HPOError, InputError, RecordReplaced, RecordUnavailable
from hpo.passwords import without_password
from hpo.record.file import absolute, address_of, path_of
from hpo.record.process import RecordProcess
from hpo.record.tracking import Tracking
from hpo.record.writing import Finished
from hpo.service.listening import Silent
from hpo.service.running import Running
from tests.fixtures import begin, client_of, hpo, result
from tests.ports import free_ports
from tests.processes import fork

ODD = ["a b", "a%20b", "100%", "what?", "c#d", "e%3Ff", "g?h=i", "j&k;l@m:n", "ö"]


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
def test_an_address_names_the_path_it_was_made_from(name: str) -> None:
    from sqlalchemy import make_url

    path = Path("/", name, "mlflow.db")
    address = address_of(path)
    assert path_of(address) == path
    assert make_url(address).database == str(path)  # that is how MLflow opens it
    assert absolute(address) == address


def test_addresses_that_are_no_path_stay_as_they_are() -> None:
    for address in ("http://a/b", "postgresql+psycopg://a:b@c/d?e=f", "sqlite:///file:x?uri=true"):
        assert path_of(address) is None
        assert absolute(address) == address
    assert absolute("sqlite:///a%20b.db?timeout=5") == f"sqlite:///{Path.cwd()}/a b.db?timeout=5"


def test_each_folder_has_its_own_record_whatever_its_name(
    tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ODD:
        (tmp_path / name).mkdir()
        shutil.copy(empty_database, tmp_path / name / "mlflow.db")
        monkeypatch.chdir(tmp_path / name)
        record = Tracking(absolute("sqlite:///mlflow.db"))
        assert record.studies() == []
        begin(record, name)
        record.study(name).deliver("loss", result(1), again=False)
        [note] = (tmp_path / name / "mlartifacts").rglob("note.txt")
        assert note.read_text() == "text"
        record.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(ODD)  # and none beside them
    for name in ODD:
        assert [known for known, _ in Tracking(address_of(tmp_path / name / "mlflow.db")).studies()
                ] == [name]


def test_a_study_runs_in_a_folder_with_an_odd_name(
    folder: Path, make_study: object, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    odd = folder / "a%20b?"
    odd.mkdir()
    for name in ("toy.py", "mlflow.db"):
        shutil.copy(folder / name, odd / name)
    monkeypatch.chdir(odd)
    file = make_study(round={"trials": 2})  # type: ignore[operator]
    hpo("run", file, "--inline")
    capsys.readouterr()
    hpo("list")
    assert "\ntoy  " in capsys.readouterr().out
    assert Tracking(f"sqlite:///{folder}/mlflow.db").studies() == []


def make(path: Path) -> None:
    os.umask(0)
    with contextlib.closing(Tracking(address_of(path))) as record:
        record.studies()


@pytest.mark.slow
def test_several_processes_make_one_private_record(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "mlflow.db"
    for process in [fork(make, path) for _ in range(3)]:
        process.join(300)
        assert process.exitcode == 0
    modes = {p.name: p.stat().st_mode & 0o777 for p in path.parent.iterdir()}
    assert modes.pop("mlartifacts") == 0o700
    assert set(modes.values()) == {0o600}
    assert set(modes) <= {"mlflow.db", "mlflow.db-wal", "mlflow.db-shm"}  # no lock is left


def test_a_half_made_record_with_a_study_is_left_alone(folder: Path) -> None:
    path = folder / "half.db"
    shutil.copy(folder / "mlflow.db", path)
    first = Tracking(address_of(path))
    begin(first)
    first.close()
    copy = folder / "copy.db"
    shutil.copy(path, copy)
    with contextlib.closing(sqlite3.connect(copy)) as database:
        database.execute("PRAGMA user_version = 0")
        database.execute("DROP TABLE scorers")
        database.execute("CREATE TABLE _alembic_tmp_runs (x)")
        database.execute("UPDATE alembic_version SET version_num = '0584bdc529eb'")
        database.commit()
    with pytest.raises(InputError, match=r"copy.db cannot be opened, or is incomplete: .*"):
        Tracking(address_of(copy))
    with contextlib.closing(sqlite3.connect(copy)) as database:
        assert database.execute("SELECT count(*) FROM runs").fetchone() == (1,)


def test_what_is_no_record_is_said_in_one_line(tmp_path: Path) -> None:
    text = tmp_path / "text.db"
    text.write_text("no database " * 100)
    with pytest.raises(InputError, match=r"text.db is not the SQLite file of a record"):
        Tracking(address_of(text))
    assert text.read_text().startswith("no database")
    with pytest.raises(InputError, match=r"/dev/null/x.db cannot be opened: .*--tracking-uri"):
        Tracking("sqlite:////dev/null/x.db")
    with pytest.raises(InputError, match=r"cannot be opened"):
        Tracking(address_of(tmp_path))


@pytest.mark.parametrize("reading", [False, True])
def test_closed_the_file_alone_is_complete(folder: Path, reading: bool) -> None:
    process = RecordProcess(f"sqlite:///{folder}/mlflow.db")
    record = process
    begin(record)
    with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as reader:
        if reading:  # as `hpo ui` has it open
            reader.execute("SELECT count(*) FROM runs").fetchall()
        for number in range(1, 4):
            record.study("toy").write("loss", [[Finished(result(number))]])
        process.close()
        (folder / "copy").mkdir()
        shutil.copy(folder / "mlflow.db", folder / "copy" / "mlflow.db")
    copied = Tracking(f"sqlite:///{folder}/copy/mlflow.db").study("toy").read()
    assert copied is not None
    assert len(copied.results) == 3


def test_a_record_that_was_exchanged_is_noticed_and_saved(folder: Path) -> None:
    path = folder / "mlflow.db"
    shutil.copy(path, folder / "before.db")
    record = Tracking(f"sqlite:///{path}")
    begin(record)
    record.study("toy").deliver("loss", result(1), again=False)
    record.study("toy").verify()
    record.study("toy").confirm()
    record.study("toy").deliver("loss", result(2), again=False)
    (folder / "before.db").rename(path)
    for _ in range(2):
        with pytest.raises(RecordReplaced, match="was replaced by another file"):
            record.study("toy").verify()
    [saved] = folder.glob("mlflow.db.saved-*")
    record.close()
    read = Tracking(f"sqlite:///{saved}").study("toy").read()
    assert read is not None
    assert len(read.results) == 2


def test_results_that_are_gone_from_the_file_are_noticed(folder: Path) -> None:
    record = Tracking(f"sqlite:///{folder}/mlflow.db")
    begin(record)
    record.study("toy").deliver("loss", result(1), again=False)
    client = client_of(record.uri)
    [experiment] = client.search_experiments(filter_string="tags.hpo = 'study'")
    [run] = client.search_runs([experiment.experiment_id], "tags.kind = 'trial'")
    client.delete_run(run.info.run_id)  # that is for the user to say
    record.study("toy").confirm()
    record.study("toy").deliver("loss", result(2), again=False)
    with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as database:
        database.execute("UPDATE runs SET end_time = 0 WHERE status = 'FINISHED'")
        database.commit()
    record.study("toy").verify()  # a quick look sees that it is there
    with pytest.raises(RecordReplaced, match=r"overwritten \(results missing from it: 1 of 1\)"):
        record.study("toy").confirm()


def test_a_database_that_is_not_there_is_said_soon_and_without_its_password() -> None:
    (port,) = free_ports(1)
    address = f"postgresql+psycopg://hpo:secret@127.0.0.1:{port}/mlflow?password=secret"
    began = time.monotonic()
    with pytest.raises(RecordUnavailable, match=f"at postgresql.*127.0.0.1:{port}") as raised:
        Tracking(address)
    assert time.monotonic() - began < 30
    assert "secret" not in str(raised.value)
    assert "secret" not in without_password(address)


@pytest.mark.parametrize("bad", ["file", "/dev/null/outbox", "file/deeper"])
def test_a_bad_folder_for_results_is_said_in_one_line(
    folder: Path, make_study: object, bad: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "file").touch()
    monkeypatch.setenv("HPO_OUTBOX", bad)
    with pytest.raises(InputError, match=f"{bad}: .*HPO_OUTBOX"):
        hpo("run", make_study(round={"trials": 2}), "--inline")  # type: ignore[operator]


def test_a_record_that_was_deleted_is_not_waited_for(folder: Path) -> None:
    record = Tracking(f"sqlite:///{folder}/mlflow.db")
    begin(record)
    for path in folder.glob("mlflow.db*"):
        path.unlink()
    running = Running(None, record.study("toy"), None, None, None, Silent())  # type: ignore[arg-type]
    with pytest.raises(RecordReplaced, match="was deleted while the study ran; its contents are"):
        running.read()


def test_what_fails_in_a_database_is_said_once(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    record = Tracking(f"sqlite:///{folder}/mlflow.db")
    with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as database:
        database.execute(
            "CREATE TRIGGER fails BEFORE INSERT ON experiments"
            " BEGIN INSERT INTO absent VALUES (1); END"
        )
    with pytest.raises(HPOError, match=r"no such table: main\.absent"):
        begin(record)
    assert capfd.readouterr() == ("", "")


def test_what_cannot_be_read_is_said_with_its_path(folder: Path) -> None:
    path = folder / "mlflow.db"
    record = Tracking(f"sqlite:///{path}")
    begin(record)
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("DROP TABLE latest_metrics")
    with pytest.raises(RecordUnavailable, match=f"the record {path} cannot be read: no such table"):
        record.study("toy").read()
