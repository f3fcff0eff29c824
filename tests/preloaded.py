"""What every command imports, imported once in the process that commands are forked from."""

import atexit  # noqa: F401
import gc

import matplotlib.pyplot  # noqa: F401
import mlflow.store.db.utils
import mlflow.store.tracking.sqlalchemy_store
import ray  # noqa: F401

from tests.processes import read_migrations_once

read_migrations_once()
mlflow.store.db.utils._get_latest_schema_revision()
gc.freeze()  # what is there for good need not be looked at, nor copied, by any of them
