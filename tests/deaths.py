"""What tests do first in the process of a command: let it die later, by SIGKILL, or hurry."""

import itertools
import os
import signal


def die_at(method: str, left: int, after: bool) -> None:
    """Let this process die at the `left`-th call of a method of MLflow's client, or after it."""
    from mlflow import MlflowClient

    original, calls = getattr(MlflowClient, method), itertools.count(1)

    def call(*args: object, **named: object) -> object:
        is_last = next(calls) == left  # of several threads, one is
        result = original(*args, **named) if after or not is_last else None
        if is_last:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(MlflowClient, method, call)


def die_making() -> None:
    """Let this process die in the middle of making the tables of the record."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    left = 3

    def look(connection: object, cursor: object, statement: str, *_: object) -> None:
        nonlocal left
        left -= "CREATE TABLE _alembic_tmp" in " ".join(statement.split())
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "after_cursor_execute", look)


def wait_for_locks(seconds: float) -> None:
    """Let MLflow, in this process, wait so long for a lock on an SQLite file: else it is 20 s."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def shorten(
        connection: object, cursor: object, statement: str, parameters: object, *_: object
    ) -> tuple[str, object]:
        shorter = f"busy_timeout = {1000 * seconds:.0f}"
        return statement.replace("busy_timeout = 20000", shorter), parameters

    event.listen(Engine, "before_cursor_execute", shorten, retval=True)
