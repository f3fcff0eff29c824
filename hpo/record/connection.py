"""A connection to the MLflow store or server that holds the record."""

import contextlib
import gc
import logging
import os
import re
import socket
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from hpo.errors import HPOError, InputError, RecordRefused, RecordUnavailable
from hpo.passwords import without_password
from hpo.record.file import RecordFile, artifacts_beside, is_server, path_of
from hpo.record.local_client import ACTIVE, DELETED, LocalClient

if TYPE_CHECKING:  # MLflow takes a second to import
    from mlflow import MlflowClient
    from mlflow.entities import Run

PAGE = 500  # runs read by one request
WRITERS = 4  # to a server: a request takes up to two of the five connections it keeps to a database
OUTPUT_FILE = "output.txt"  # what a trial printed, among the artifacts of its run
DATABASE_TRIES = 2  # at opening a database; MLflow's 10 take two minutes
_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # the outbox tries again by itself
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "PGCONNECT_TIMEOUT": "4",  # seconds, of each try and each address of a host
}
T = TypeVar("T")


class Connection:
    """An open store or server; any call may raise RecordUnavailable.

    `client` is MLflow's; its calls belong inside `translated`.
    """

    def __init__(self, uri: str) -> None:
        """Open the record; create its tables if the file or database has none yet."""
        self.uri = uri
        _check_reachable(uri)
        for name, value in _SETTINGS.items():
            os.environ.setdefault(name, value)
        for name in ("alembic", "mlflow"):
            logging.getLogger(name).setLevel(logging.ERROR)
        # It prints the traceback of each error of a database, though it raises that as well.
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
        path = path_of(uri)
        self._file = RecordFile(path) if path else None
        self.client = _local(uri, self._file) if self._file else _open(uri)
        self._written: dict[str, int] = {}  # runs since the last `confirm`, and when they ended

    def mlflow(self) -> "MlflowClient":
        """Return MLflow's own client, whose answers are entities that it takes back."""
        client: object = self.client
        return client.mlflow() if isinstance(client, LocalClient) else self.client

    def runs(self, experiment_id: str, query: str, deleted: bool = False) -> "Iterator[Run]":
        """Yield the runs of an experiment that a query finds, earliest first."""
        view = DELETED if deleted else ACTIVE
        return pages(
            lambda token: self.client.search_runs(
                [experiment_id], query, view, PAGE, ["attributes.start_time ASC"], token
            )
        )

    def discard(self, run_id: str) -> None:
        """End and delete a run without a result, marked so that it does not count as deleted."""

        def write() -> None:
            self.client.set_tag(run_id, "superseded", "true")
            self.client.set_terminated(run_id, "KILLED")
            self.client.delete_run(run_id)

        translated(write)

    def artifact_location(self) -> str | None:
        """Return a folder beside the database of a local store; None if a server decides."""
        return artifacts_beside(self._file.path).as_uri() if self._file else None

    def history(self, run_id: str, metric: str) -> list[float]:
        """Return a metric of a run by epoch; for few runs, because each takes a request."""
        points = translated(lambda: self.client.get_metric_history(run_id, metric))
        return [point.value for point in sorted(points, key=lambda point: point.step)]

    def output(self, run_id: str) -> tuple[str, bool]:
        """Return the recorded output of a trial, and whether the trial has ended."""

        def read() -> tuple[str, bool]:
            ended = self.client.get_run(run_id).info.status != "RUNNING"
            if not self.has_file(run_id, OUTPUT_FILE):
                return "", ended
            with tempfile.TemporaryDirectory() as folder:
                path = Path(self.client.download_artifacts(run_id, OUTPUT_FILE, folder))
                return path.read_bytes().decode("utf-8", "replace"), ended

        return translated(read)

    def has_file(self, run_id: str, name: str) -> bool:
        """Return whether a run has a file with this name, outside of folders."""
        return any(
            file.path == name for file in translated(lambda: self.client.list_artifacts(run_id))
        )

    def fetch(self, run_id: str, name: str, folder: Path) -> Path:
        """Download a file of a run to a folder; return its path."""
        return Path(translated(
            lambda: self.client.download_artifacts(run_id, name, str(folder))
        ))

    def add_files(self, run_id: str, folder: Path) -> None:
        """Add the files of a folder to a run."""
        translated(lambda: self.client.log_artifacts(run_id, str(folder)))

    def has_written(self, run_id: str, ended: int) -> None:
        """Note a result, so that `verify` and `confirm` look for it.

        `ended` is when its run ended, in milliseconds since 1970.
        """
        if self._file:
            self._written[run_id] = ended

    def verify(self) -> None:
        """Check that the newest results are in the file at the path of the record.

        Raises RecordReplaced if they are not. Of a server, its answers are all there is.
        """
        if self._file:
            self._file.check(self._written)

    def reach(self) -> None:
        """Raise RecordUnavailable or RecordReplaced at once if the record cannot be read now."""
        self.verify()
        _check_reachable(self.uri)

    def confirm(self) -> None:
        """Read back every result delivered since the last call, as `verify` does."""
        if self._file:
            written = dict(self._written)
            self._file.check(written, thorough=True)
            for run_id in written:
                self._written.pop(run_id, None)

    def close(self) -> None:
        """Close the record, leaving its file complete by itself."""
        if self._file:
            self._file.checkpoint()


def writers_of(uri: str) -> int:
    """Return how many simultaneous writes are useful: a server accepts several.

    A file has one lock, and writing to a database from here shares one core.
    """
    return WRITERS if is_server(uri) else 1


def _check_reachable(uri: str) -> None:
    """Raise RecordUnavailable at once if no server answers: MLflow would try for minutes."""
    if uri.startswith("postgresql"):
        _check_database(uri)
    if not is_server(uri):
        return
    address = re.sub(r"//[^/@]*@", "//", uri).rstrip("/") + "/health"
    try:
        with urllib.request.urlopen(address, timeout=5):
            pass
    except (OSError, ValueError) as error:
        if getattr(error, "code", None) in (401, 403, 404):
            return  # it is there; what it allows is seen when it is used
        raise RecordUnavailable(
            f"no MLflow server answers at {without_password(uri)}: {error}; "
            "start it, or check --tracking-uri"
        ) from error


def _check_database(uri: str) -> None:
    """Raise RecordUnavailable if nothing listens at the address of a PostgreSQL database."""
    try:
        parts = urllib.parse.urlsplit(uri)
        host, port = parts.hostname, parts.port or 5432
    except ValueError:
        return  # libpq knows more forms of an address
    if not host:
        return
    try:
        with socket.create_connection((host, port), timeout=5):
            pass
    except OSError as error:
        raise RecordUnavailable(_no_database(uri, error)) from error


def _no_database(uri: str, reason: Exception) -> str:
    return (
        f"cannot open the database at {without_password(uri)}: {reason}; "
        "start it, or check --tracking-uri"
    )


def _local(uri: str, file: RecordFile) -> "MlflowClient":
    """Open a record in an SQLite file, of which MLflow makes the tables if they are not there."""
    client = LocalClient(file.path, lambda: _open(uri))
    file.open(client.mlflow)
    return cast("MlflowClient", client)


def _open(uri: str) -> "MlflowClient":
    """Let MLflow open a record; it creates or upgrades the tables of a database."""
    from mlflow import MlflowClient

    if is_server(uri):
        return translated(lambda: MlflowClient(uri))
    from mlflow.store.db import utils as databases

    databases.MAX_RETRY_COUNT = DATABASE_TRIES
    try:
        return translated(lambda: MlflowClient(uri))
    except RecordUnavailable as error:
        if uri.startswith("sqlite"):
            raise
        raise RecordUnavailable(_no_database(uri, error)) from error


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Stop the collector of cycles, which would go over thousands of runs again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def translated(call: Callable[[], T]) -> T:
    """Run `call`; whatever MLflow or its database raises becomes an hpo error."""
    try:
        return call()
    except HPOError:
        raise
    except Exception as error:
        raise translation(error) from error


def translation(error: Exception) -> HPOError:
    """Return what an exception of MLflow or its database means, as an hpo error."""
    lines = str(error).splitlines() or [type(error).__name__]
    text = without_password(lines[0])
    code = getattr(error, "error_code", "")
    deleted = "lifecycle" in text or "Current state is deleted" in text
    if code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_STATE") or deleted:
        return RecordRefused(text)
    if code in ("INVALID_PARAMETER_VALUE", "BAD_REQUEST"):
        return InputError(f"MLflow rejected the request: {text}")
    if code in ("UNAUTHENTICATED", "PERMISSION_DENIED"):
        return InputError(
            f"MLflow rejected the request: {text}; set MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD"
        )
    return RecordUnavailable(text)


def is_about_content(error: BaseException | None) -> bool:
    """Return whether the text or number itself was the problem, judging by a database's error."""
    while error is not None:
        if isinstance(error, UnicodeError) or type(error).__name__ == "DataError":
            return True
        error = error.__cause__ or error.__context__
    return False


def pages(fetch: Callable[[str | None], Any]) -> Iterator[Any]:
    """Yield items page by page; `fetch` is given the token of a page, None for the first."""
    token: str | None = None
    while True:
        page = translated(lambda token=token: fetch(token))  # type: ignore[misc]
        yield from page
        token = page.token
        if not token:
            return
