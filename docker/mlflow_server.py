"""Run the MLflow server, unless the record has another schema than the installed MLflow.

If a table is missing, MLflow would upgrade the schema on startup, without a backup; if a column is
missing, it would start and fail later. The arguments are the command that starts the server.
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
    """Return the found (None: new) and the installed revisions of the record and of the users."""
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
    """Compare the schemas, then replace this process with the server."""
    command = sys.argv[1:]
    uri = next(word.removeprefix(OPTION) for word in command if word.startswith(OPTION))
    found, installed = revisions(uri)
    if any(one not in (None, other) for one, other in zip(found, installed, strict=True)):
        sys.exit(
            f"the record has the schema {found}, but the installed MLflow needs {installed}; run "
            "make cluster-upgrade, which makes a backup first, or go back to the previous image"
        )
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
