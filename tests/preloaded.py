"""What every command imports, imported once in the process that commands are forked from."""

import atexit  # noqa: F401
import gc

import matplotlib.pyplot  # noqa: F401
import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
import ray  # noqa: F401

gc.freeze()  # what is there for good need not be looked at, nor copied, by any of them
