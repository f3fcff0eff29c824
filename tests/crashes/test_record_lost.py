"""The file of the record is locked, lost, replaced or copied, and no trial is lost."""

import contextlib
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.crashes.conftest import Tally
from tests.deaths import wait_for_locks
from tests.fixtures import Make, hpo, table, trainings, undisturbed
from tests.ports import free_ports, listens
from tests.processes import start, wait_for


def test_a_locked_database_is_waited_for(
    make_study: Make, folder: Path, tally: Tally
) -> None:
    expected = undisturbed(make_study)
    file = make_study(fixed={"sleep": 0.5, "steady": True, "folder": str(folder)})
    process = start("run", file, "--inline", first=partial(wait_for_locks, 2.0))
    wait_for(lambda: len(trainings(folder)) >= 2)
    lock = sqlite3.connect(folder / "mlflow.db", isolation_level=None, timeout=20)
    lock.execute("BEGIN EXCLUSIVE")
    time.sleep(5)  # MLflow gives up after 2
    lock.execute("ROLLBACK")
    lock.close()
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert output.count("the record is unavailable") == 1
    fault = "SQLite file locked by another process, for longer than MLflow waits"
    tally(fault, 1, expected, table())
    assert sum(trainings(folder).values()) == 12


def vanish(record: Path, backup: Path) -> None:
    record.unlink()


def swap(record: Path, backup: Path) -> None:
    backup.rename(record)


def overwrite(record: Path, backup: Path) -> None:
    with contextlib.closing(sqlite3.connect(record)) as database:
        # Now the file itself is complete, and copying the backup over it loses trials.
        assert database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    record.write_bytes(backup.read_bytes())  # the same inode, as `cp` leaves it


@pytest.mark.parametrize(
    ("fault", "damage"),
    [
        ("SQLite file deleted, the saved one put back", (vanish, 0, True)),
        ("SQLite file deleted, nothing put back", (vanish, 0, False)),
        ("SQLite file replaced by rename, the saved one put back", (swap, 4, True)),
        ("SQLite file replaced by rename, nothing put back", (swap, 4, False)),
        ("SQLite file overwritten by a backup of that round", (overwrite, 4, False)),
        ("SQLite file overwritten by a backup from before it", (overwrite, 0, False)),
    ],
)
def test_the_file_of_the_record_is_lost_while_the_study_runs(
    make_study: Make, folder: Path, empty_database: Path, tally: Tally, fault: str,
    damage: tuple[Callable[[Path, Path], None], int, bool],
) -> None:
    what, began, put_back = damage
    expected = undisturbed(make_study)
    record, backup = folder / "lost.db", folder / "backup.db"  # one that is not open here
    shutil.copy(empty_database, record)
    options = ("--inline", "--tracking-uri", f"sqlite:///{record}")
    file = make_study(fixed={"sleep": 0.35, "steady": True, "folder": str(folder)})
    shutil.copy(record, backup)
    process = start("run", file, *options)
    if began:  # what a careful person copies, with SQLite's own means
        wait_for(lambda: len(trainings(folder)) > began)
        with (
            contextlib.closing(sqlite3.connect(record)) as source,
            contextlib.closing(sqlite3.connect(backup)) as target,
        ):
            source.backup(target)
    wait_for(lambda: len(trainings(folder)) >= 7)
    what(record, backup)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1, output
    [saved] = folder.glob("lost.db.saved-*")
    message = " ".join(output.split())
    assert str(record) in message
    assert str(saved) in message
    assert "Traceback" not in output
    assert saved.stat().st_mode & 0o777 == 0o600
    if put_back:
        saved.rename(record)
    hpo("run", file, *options)
    tally(fault, 1, expected, table("toy", *options[1:]))
    assert sum(trainings(folder).values()) <= 13  # but for the one that ran then
    [outbox] = folder.glob(".hpo/toy-*.jsonl")
    assert outbox.stat().st_size == 0


@pytest.mark.parametrize("stopped", [False, True])
def test_the_file_of_the_record_alone_is_copied(
    make_study: Make, folder: Path, tally: Tally, stopped: bool
) -> None:
    expected = undisturbed(make_study)
    (port,) = free_ports(1)
    ui = start("ui", "--port", port)  # reads, and has the file open all the time
    wait_for(lambda: listens(port), seconds=150)
    file = make_study(fixed={"sleep": 0.3, "steady": True, "folder": str(folder)})
    process = start("run", file, "--inline")
    if stopped:
        wait_for(lambda: len(trainings(folder)) >= 6, seconds=150)
        process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == (130 if stopped else 0), output
    shutil.copy(folder / "mlflow.db", folder / "copy.db")
    ui.terminate()
    ui.communicate(timeout=60)
    copy = ("--tracking-uri", f"sqlite:///{folder}/copy.db")
    if stopped:
        hpo("run", file, "--inline", *copy)
    fault = "stopped by Ctrl-C, and resumed from a copy" if stopped else "ended, and a copy is read"
    tally(f"{fault} of the SQLite file alone, made while `hpo ui` reads", 1, expected,
          table("toy", *copy))
    assert sum(trainings(folder).values()) == 12 + stopped
