"""The empty record that new ones copy, since MLflow takes most of a second to make its tables."""

import contextlib
import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from hpo.cache import cache

_SOUND = """SELECT (SELECT user_version FROM pragma_user_version) = ?
    AND (SELECT quick_check FROM pragma_quick_check) = 'ok'
    AND (SELECT count(*) FROM alembic_version) = 1
    AND NOT EXISTS (SELECT 1 FROM experiments) AND NOT EXISTS (SELECT 1 FROM runs)"""


def fill(database: sqlite3.Connection, stamp: int) -> bool:
    """Copy the template to an empty database, stamp and all; return whether there was one.

    One that is damaged, or is no empty record, is none: what was copied could not be told from a
    record that was damaged later.
    """
    try:
        path = _path(stamp)
        if not path.is_file():
            return False
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as template:
            if not template.execute(_SOUND, [stamp]).fetchone()[0]:
                return False
            template.backup(database)
    except (sqlite3.Error, OSError, RuntimeError):  # no home, or no database
        return False
    return True


def keep(record: Path, stamp: int) -> None:
    """Make the template of a record that MLflow has just made, if the cache can be written.

    The default experiment, which names the folder of this process, is left out. MLflow adds one to
    a record without any.
    """
    with contextlib.suppress(sqlite3.Error, OSError, RuntimeError):
        path = _path(stamp)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            copy = Path(folder, path.name)
            with closing(sqlite3.connect(record)) as database:
                database.execute("VACUUM INTO ?", [str(copy)])
            with closing(sqlite3.connect(copy)) as database:
                database.execute("DELETE FROM experiments")
                database.execute(f"PRAGMA user_version = {stamp}")
                database.commit()
            os.replace(copy, path)


def _path(stamp: int) -> Path:
    return cache().absolute() / f"record-{stamp}.db"
