"""Runs the MLflow server, unless the schema of the record is not that of the MLflow installed.

MLflow would upgrade it at the start where a table is missing, with no backup; where a column is,
it would start and fail later. The command line is how to start the server.
"""

import os
import sys

import sqlalchemy
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from mlflow.server.auth.db import utils as users
from mlflow.store.db import utils as record

OPTION = "--backend-store-uri="


def revisions(uri: str) -> tuple[list[str | None], list[str | None]]:
    """Return the revisions of the record and of the users: found (None: new), and installed."""
    found, installed = [], []
    engine = sqlalchemy.create_engine(uri)
    with engine.connect() as connection:
        for table, config in (
            ("alembic_version", record._get_alembic_config(uri)),
            ("alembic_version_auth", users._get_alembic_config(uri)),
        ):
            context = MigrationContext.configure(connection, opts={"version_table": table})
            found.append(context.get_current_revision())
            installed.append(ScriptDirectory.from_config(config).get_current_head())
    engine.dispose()
    return found, installed


def main() -> None:
    """Compare the schemas, then hand the process on to the server."""
    command = sys.argv[1:]
    uri = next(word.removeprefix(OPTION) for word in command if word.startswith(OPTION))
    found, installed = revisions(uri)
    if any(one not in (None, other) for one, other in zip(found, installed, strict=True)):
        sys.exit(
            f"the record has the schema {found}, the MLflow installed {installed}: run "
            "make cluster-upgrade, which makes a backup first, or go back to the image of before"
        )
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
