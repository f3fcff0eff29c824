"""The empty record that new ones copy, since MLflow takes most of a second to make its tables."""

import contextlib
import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from hpo.cache import cache


def fill(database: sqlite3.Connection, stamp: int) -> bool:
    """Copy the template to an empty database, stamp and all; return whether there was one."""
    try:
        path = _path(stamp)
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as template:
            if template.execute("PRAGMA user_version").fetchone()[0] != stamp:
                return False
            template.backup(database)
    except (sqlite3.Error, OSError, RuntimeError):  # there is none, or no home, or it is damaged
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
