"""The SQLite file of a record: its address, its creation, and checks that writes are in it."""

import contextlib
import json
import os
import re
import sqlite3
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, unquote

from hpo import locks
from hpo.errors import HPOError, InputError, RecordReplaced, RecordUnavailable
from hpo.record import template
from hpo.record.mounts import Mount, mount_of

LOCK_SECONDS = 20.0  # that SQLite waits for another process
CHECKPOINT_SECONDS = 3.0  # that the end of a command waits for readers of the record
ALONE_SECONDS = 5.0  # that a record waits for others to leave it, to change how it is kept
SAID_AFTER_SECONDS = 1.0  # of waiting for another process that makes the record
STILL_SECONDS = 20.0  # that a copy over the record may take
NEWEST = 500  # runs that a quick check looks for
_SPECIAL = {"%": "%25", "?": "%3F"}  # what SQLAlchemy takes for more than a character of a path
_WITH_ROWS = {"alembic_version", "experiments", "workspaces"}  # in a record without any study
_MATTERS_OF_MOMENT = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_CANTOPEN)


def path_of(uri: str) -> Path | None:
    """Return the file that an SQLite address names; None for any other address."""
    match = re.fullmatch(r"sqlite(?:\+pysqlite)?:///([^?]+)(\?.*)?", uri, re.DOTALL)
    if match is None or "uri=" in (match[2] or ""):
        return None
    return Path(unquote(match[1]))


def is_server(uri: str) -> bool:
    """Return whether an address is that of an MLflow server."""
    return uri.startswith(("http://", "https://"))


def address_of(path: Path, query: str = "") -> str:
    """Return the address of an SQLite file, with its absolute path.

    MLflow makes the folder of an address that begins with sqlite:/// and takes its escapes for
    parts of the name. It leaves the other form of the same address alone.
    """
    plain = str(path.absolute())
    escaped = "".join(_SPECIAL.get(character, character) for character in plain)
    return f"{'sqlite' if escaped == plain else 'sqlite+pysqlite'}:///{escaped}{query}"


def absolute(uri: str) -> str:
    """Return the address of a record; that of an SQLite file with its absolute path."""
    path = path_of(uri)
    return uri if path is None else address_of(path, "".join(uri.partition("?")[1:]))


def artifacts_beside(path: Path) -> Path:
    """Return the folder for the files that belong to a record."""
    return path.absolute().parent / "mlartifacts"


class RecordFile:
    """The SQLite file of a record that this process has open.

    A process can keep writing to a file that was deleted, replaced or overwritten, and never learns
    about it. So the file is checked again through its path: see `check`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._held: sqlite3.Connection | None = None
        self._identities: dict[str, tuple[int, int] | None] = {}  # of the file and its log
        self._lock = threading.Lock()
        self._replaced: RecordReplaced | None = None

    def open(self, open_record: Callable[[], object]) -> None:
        """Open the file, which `open_record` lets MLflow make or upgrade where that is needed.

        Only one process at a time creates a record, or lets MLflow upgrade it; others wait. An
        incomplete one is created again if it holds no study. On a network file system it is kept
        without a write-ahead log, which only works on one machine.

        Raises InputError if the file cannot be a record, and whatever `open_record` raises.
        """
        try:
            mount = mount_of(self.path)
            if mount is not None and mount.is_network and _has_log(self.path):
                self._leave_log(mount)
            if not self.is_made():
                with _alone(self.path.resolve()):
                    self._make(open_record, mount)
            self._hold()
        except OSError as error:
            raise InputError(
                f"the record {self.path} cannot be opened: {error.strerror}; "
                "choose another place with --tracking-uri"
            ) from error
        except sqlite3.OperationalError as error:
            raise InputError(
                f"the record {self.path} cannot be opened: {error}; check that it and its folder "
                "are writable, or choose another record with --tracking-uri"
            ) from error
        except sqlite3.DatabaseError as error:
            raise InputError(
                f"{self.path} is not the SQLite file of a record: {error}; restore it, "
                "or choose another with --tracking-uri"
            ) from error

    def check(self, runs: Mapping[str, int], thorough: bool = False) -> None:
        """Read back through a new connection, by the path, what was written to the record.

        `runs` maps runs to when they ended, in milliseconds since 1970. A thorough check reads all
        of them; a quick one checks that the newest are there.

        Raises RecordReplaced if they are not; the contents of the open file are then saved beside
        it. Raises RecordUnavailable if the file cannot be read now.
        """
        with self._lock:
            if self._replaced is None:
                fault = self._fault(runs, thorough)
                if not fault:
                    return
                self._replaced = self._saved(fault)
            raise self._replaced

    def checkpoint(self) -> None:
        """Move all that was written into the file itself, so that a copy of it is complete."""
        if self._replaced is None and _identity(self.path) == self._identities.get(""):
            checkpoint(self.path)

    def is_made(self) -> bool:
        """Return whether the file is complete, for the MLflow that is installed here."""
        with contextlib.suppress(sqlite3.Error), closing(connect(self.path, "ro")) as database:
            stamp: int = database.execute("PRAGMA user_version").fetchone()[0]
            return stamp == _our_stamp()
        return False

    # making

    def _make(self, open_record: Callable[[], object], mount: Mount | None) -> None:
        """Open the record while no other process does, creating or upgrading it if necessary."""
        journal = "WAL"
        if mount is not None and mount.is_network:
            journal = "DELETE"
            if not self.path.exists():
                _tell(self.path, mount)
        is_new = not self.path.exists()
        if is_new:
            # SQLite gives the files beside it the same mode.
            os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            with contextlib.suppress(FileExistsError):
                artifacts_beside(self.path).mkdir(0o700)
        with closing(connect(self.path, "rw")) as database:
            is_filled = is_new and template.fill(database, _our_stamp())
            database.execute(f"PRAGMA journal_mode = {journal}")
        if is_filled:
            return
        try:
            open_record()
        except HPOError as error:
            if "database is locked" in str(error):
                raise
            if not self._cleared():
                raise InputError(
                    f"the record {self.path} cannot be opened, or is incomplete: {error}; "
                    "restore a copy of it, or move it away and start over"
                ) from error
            open_record()
        if is_new:
            template.keep(self.path, _our_stamp())
        with contextlib.suppress(sqlite3.Error), closing(connect(self.path, "rw")) as database:
            database.execute(f"PRAGMA user_version = {_our_stamp()}")

    def _leave_log(self, mount: Mount) -> None:
        """Move the write-ahead log of a record into its file, and keep none from now on.

        Raises InputError where another process has the record open.
        """
        try:
            with closing(connect(self.path, "rw", ALONE_SECONDS)) as database:
                # Before anything is read: then the log is read without shared memory.
                database.execute("PRAGMA locking_mode = EXCLUSIVE")
                database.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            raise InputError(
                f"the record {self.path} has a write-ahead log, which does not work across "
                f"{mount.kind}, and another process has it open; run this command on the machine "
                "of that process, or again here once that process has ended"
            ) from error
        _tell(self.path, mount)

    def _cleared(self) -> bool:
        """Remove all tables of an empty record; return whether that was done."""
        with closing(connect(self.path, "rw")) as database:
            database.isolation_level = None
            database.execute("BEGIN EXCLUSIVE")  # whoever else has it open sees all or nothing
            tables = [
                name for (name,) in database.execute(
                    "SELECT name FROM sqlite_master WHERE type = 'table'"
                    " AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"
                )
            ]
            for name in tables:
                rows = database.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]
                original = name.removeprefix("_alembic_tmp_")
                if rows > (1 if original in _WITH_ROWS else 0):
                    return False
            for name in tables:
                database.execute(f'DROP TABLE "{name}"')
            database.execute("COMMIT")
        return True

    # checking

    def _hold(self) -> None:
        """Keep the file open, to be able to read it even after it is unlinked."""
        self._held = sqlite3.connect(self.path, LOCK_SECONDS, check_same_thread=False)
        self._held.execute("SELECT count(*) FROM sqlite_master").fetchone()  # opens the log too
        for suffix in ("", "-wal", "-shm"):
            self._identities[suffix] = _identity(_beside(self.path, suffix))

    def _fault(self, runs: Mapping[str, int], thorough: bool) -> str:
        """Return what happened to the file at the path, or ""."""
        identity = _identity(self.path)
        if identity is None:
            return "was deleted"
        if identity != self._identities[""]:
            return "was replaced by another file"
        wanted = list(runs)[None if thorough else -NEWEST :]
        try:
            with closing(connect(self.path, "ro")) as database:
                missing = _missing(database, runs, wanted, thorough)
        except sqlite3.DatabaseError as error:
            # The lower byte is the kind of error, the others are details.
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _MATTERS_OF_MOMENT:
                raise RecordUnavailable(f"{self.path}: {error}") from error
            return f"was overwritten or damaged ({error})"
        if missing:
            return f"was overwritten (results missing from it: {missing} of {len(wanted)})"
        return ""

    def _saved(self, fault: str) -> RecordReplaced:
        """Save the contents of the open file; return the error for the user."""
        begin = f"the record {self.path} {fault} while the study ran"
        _wait_until_still(self.path)
        try:
            saved = self._save()
        except (sqlite3.Error, OSError) as error:
            return RecordReplaced(f"{begin}; its contents could not be saved ({error})")
        self._remove_stale_log()
        or_else = ", or keep what is there now" if self.path.exists() else ""
        return RecordReplaced(
            f"{begin}; its contents are saved in {saved}: put that file in its place{or_else}; "
            "then run the same command to resume"
        )

    def _save(self) -> Path:
        assert self._held is not None
        name = f"{self.path.name}.saved-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
        folder = self.path.parent
        if not folder.is_dir():  # it was deleted or moved as a whole
            folder = Path(tempfile.gettempdir())
        saved = folder / name
        os.close(os.open(saved, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with closing(sqlite3.connect(saved)) as target:
            self._held.backup(target)
        return saved

    def _remove_stale_log(self) -> None:
        """Remove the open file's log from beside another file, which it would damage.

        If the same file was overwritten, only if it is sound without the log but not with it.
        """
        if _identity(self.path) == self._identities[""] and (
            _is_sound(self.path, "mode=ro") or not _is_sound(self.path, "immutable=1")
        ):
            return
        for suffix in ("-wal", "-shm"):
            beside = _beside(self.path, suffix)
            if _identity(beside) == self._identities[suffix]:
                with contextlib.suppress(OSError):
                    beside.unlink()


def _has_log(path: Path) -> bool:
    """Return whether SQLite keeps a file with a write-ahead log."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        return file.read(20)[18:] == b"\2\2"  # the versions of the format: to write and to read
    return False


def _tell(path: Path, mount: Mount) -> None:
    """Tell the user what is different about a record on a network file system."""
    alone = ""
    if mount.has_local_locks:
        alone = (
            "; its mount has local locks only: do not open it on another machine while a study runs"
        )
    print(
        f"the record {path} is on a network file system ({mount.kind}), so it is kept without a "
        f"write-ahead log{alone}",
        file=sys.stderr,
    )


def checkpoint(path: Path) -> None:
    """Move everything written to an SQLite file into the file itself."""
    with (
        contextlib.suppress(sqlite3.Error),
        closing(connect(path, "rw", CHECKPOINT_SECONDS)) as database,
    ):
        (busy, _, _) = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:  # somebody reads all the time, which does not keep most of it from being moved
            database.execute("PRAGMA wal_checkpoint(PASSIVE)")


def connect(path: Path, mode: str, seconds: float = LOCK_SECONDS) -> sqlite3.Connection:
    """Open an SQLite file that is there."""
    return sqlite3.connect(f"file:{quote(str(path))}?mode={mode}", seconds, uri=True)


def _missing(
    database: sqlite3.Connection, runs: Mapping[str, int], wanted: list[str], thorough: bool
) -> int:
    """Return how many of the wanted runs are not in the file, or not as they were written."""
    ids = json.dumps(wanted)
    if not thorough:
        query = """SELECT count(*) FROM runs WHERE status <> 'RUNNING'
            AND run_uuid IN (SELECT value FROM json_each(?))"""
        return len(wanted) - int(database.execute(query, (ids,)).fetchone()[0])
    query = """SELECT run_uuid, end_time FROM runs
        WHERE status <> 'RUNNING' AND run_uuid IN (SELECT value FROM json_each(?))
        AND EXISTS (SELECT value FROM tags WHERE tags.run_uuid = runs.run_uuid)"""
    found: dict[str, int] = dict(database.execute(query, (ids,)).fetchall())
    return sum(found.get(run) != runs[run] for run in wanted)


def _is_sound(path: Path, how: str) -> bool:
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?{how}", uri=True)) as database:
            return bool(database.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    except sqlite3.Error:
        return False


def _identity(path: Path) -> tuple[int, int] | None:
    """Return the identity of a file; None if there is none."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino


def _wait_until_still(path: Path) -> None:
    """Wait until nothing is being copied to a file, for some seconds at most."""
    end = time.monotonic() + STILL_SECONDS
    before: object = None
    while before != (now := _state(path)) and time.monotonic() < end:
        before = now
        time.sleep(0.5)


def _state(path: Path) -> object:
    with contextlib.suppress(OSError):
        found = path.stat()
        return found.st_ino, found.st_size, found.st_mtime_ns
    return ()


def _beside(path: Path, suffix: str) -> Path:
    """Return the path of a file that SQLite keeps beside another, or of that file itself."""
    return Path(f"{path.resolve()}{suffix}") if suffix else path


def _our_stamp() -> int:
    """Return a number for the version of MLflow, which decides about the tables."""
    import importlib.metadata  # here, since it would slow every command down

    return zlib.crc32(importlib.metadata.version("mlflow").encode()) & 0x7FFFFFFF


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the lock beside the file, which exists only while somebody holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(f"{path}.lock")
    while True:
        descriptor = os.open(beside, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(descriptor, path)
            ours = os.fstat(descriptor)
            if _identity(beside) == (ours.st_dev, ours.st_ino):  # not one that was just removed
                try:
                    yield
                finally:
                    beside.unlink(missing_ok=True)
                return
        finally:
            os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    """Wait for the lock, and tell the user if that takes long."""
    began = time.monotonic()
    said = False
    while not locks.take(descriptor):
        if not said and time.monotonic() - began > SAID_AFTER_SECONDS:
            said = True
            print(f"waiting for another process to create the record {path}", file=sys.stderr)
        time.sleep(0.02)
