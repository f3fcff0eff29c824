"""A client of a record in an SQLite file: it reads without MLflow, and writes through it."""

import json
import re
import shutil
import sqlite3
import threading
import urllib.parse
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.errors import RecordRefused, RecordUnavailable
from hpo.record.file import connect

if TYPE_CHECKING:  # MLflow takes a second to import
    from mlflow import MlflowClient

ACTIVE, DELETED, ALL = 1, 2, 3  # as MLflow's ViewType has them
_STAGES = {ACTIVE: ("active",), DELETED: ("deleted",), ALL: ("active", "deleted")}
_CONDITION = re.compile(r"tags\.(\w+) = '([^']*)'")
_BY_START = ["attributes.start_time ASC"]
_RUNS = """SELECT run_uuid, name, status, start_time, end_time, lifecycle_stage, artifact_uri,
    CAST(experiment_id AS TEXT) FROM runs"""


@dataclass(frozen=True, slots=True)
class Info:
    """What MLflow knows of a run besides its data; the times are milliseconds since 1970."""

    run_id: str
    run_name: str | None
    status: str
    start_time: int | None
    end_time: int | None
    lifecycle_stage: str
    artifact_uri: str
    experiment_id: str


@dataclass(frozen=True, slots=True)
class Data:
    """Hyperparameters and such, tags, and the latest value of each metric."""

    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """A run as MLflow's own; whatever else that has is asked of MLflow."""

    info: Info
    data: Data
    _whole: "Callable[[str], Any]" = field(repr=False)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._whole(self.info.run_id), name)


@dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment as MLflow's own."""

    experiment_id: str
    name: str
    artifact_location: str
    lifecycle_stage: str
    tags: dict[str, str]
    creation_time: int | None
    last_update_time: int | None


@dataclass(frozen=True, slots=True)
class Point:
    """A value of a metric; the time is in milliseconds since 1970."""

    key: str
    value: float
    timestamp: int
    step: int


@dataclass(frozen=True, slots=True)
class File:
    """A file or folder among the artifacts of a run."""

    path: str
    is_dir: bool


class Found(list[Any]):
    """All that was found: there is no further page."""

    token = None


class LocalClient:
    """Stands for MLflow's client of an SQLite file that MLflow's tables are in.

    Only what hpo reads is read here, for MLflow takes longer to import than most records take to
    read; the tables are those of the MLflow that is installed, which the stamp of the file says.
    All else, and any query that is not understood here, goes to MLflow's client.
    """

    def __init__(self, path: Path, open_client: "Callable[[], MlflowClient]") -> None:
        self._path, self._open = path, open_client
        self._client: MlflowClient | None = None
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.mlflow(), name)

    def mlflow(self) -> "MlflowClient":
        """Return MLflow's client, which is made when it is first needed."""
        with self._lock:
            if self._client is None:
                self._client = self._open()
            return self._client

    def search_runs(
        self, experiment_ids: list[str], filter_string: str = "", run_view_type: int = ACTIVE,
        max_results: int = 1000, order_by: list[str] | None = None, page_token: str | None = None,
    ) -> Any:
        """Return all runs that have some tags, by their start, else MLflow's answer."""
        tags = _conditions(filter_string)
        if tags is None or order_by not in (_BY_START, None) or page_token is not None:
            return self.mlflow().search_runs(
                experiment_ids, filter_string, run_view_type, max_results, order_by, page_token
            )
        order = "start_time" if order_by else "start_time DESC"
        query = f"""{_RUNS} WHERE experiment_id IN (SELECT value FROM json_each(?))
            AND lifecycle_stage IN (SELECT value FROM json_each(?))""" + "".join(
            " AND EXISTS (SELECT 1 FROM tags t WHERE t.run_uuid = runs.run_uuid"
            " AND t.key = ? AND t.value = ?)" for _ in tags
        ) + f" ORDER BY {order}, run_uuid"
        values = [
            json.dumps([int(each) for each in experiment_ids]),
            json.dumps(_STAGES[run_view_type]), *(text for tag in tags for text in tag),
        ]
        with self._reading() as database:
            return Found(self._runs(database, query, values))

    def get_run(self, run_id: str) -> Any:
        """Return a run, a deleted one too; raise RecordRefused where there is none."""
        with self._reading() as database:
            for run in self._runs(database, f"{_RUNS} WHERE run_uuid = ?", [run_id]):
                return run
        raise RecordRefused(f"the run {run_id} is not in the record")

    def get_metric_history(self, run_id: str, key: str) -> Any:
        """Return a metric of a run, by time, step and value."""
        query = """SELECT key, value, timestamp, step, is_nan FROM metrics
            WHERE run_uuid = ? AND key = ? ORDER BY timestamp, step, value"""
        with self._reading() as database:
            return Found(
                Point(key, _number(value, is_nan), timestamp, step)
                for key, value, timestamp, step, is_nan in database.execute(query, (run_id, key))
            )

    def get_experiment(self, experiment_id: str) -> Any:
        """Return an experiment, a deleted one too; raise RecordRefused where there is none."""
        for experiment in self._experiments("experiment_id = ?", [int(experiment_id)]):
            return experiment
        raise RecordRefused(f"the experiment {experiment_id} is not in the record")

    def get_experiment_by_name(self, name: str) -> Any:
        """Return the experiment of a name, a deleted one too; None where there is none."""
        return next(iter(self._experiments("name = ?", [name])), None)

    def search_experiments(
        self, view_type: int = ACTIVE, max_results: int = 1000, filter_string: str | None = None,
        order_by: list[str] | None = None, page_token: str | None = None,
    ) -> Any:
        """Return all experiments that have some tags, the latest first."""
        tags = _conditions(filter_string or "")
        if tags is None or order_by is not None or page_token is not None:
            return self.mlflow().search_experiments(
                view_type, max_results, filter_string, order_by, page_token
            )
        condition = "lifecycle_stage IN (SELECT value FROM json_each(?))" + "".join(
            " AND EXISTS (SELECT 1 FROM experiment_tags t"
            " WHERE t.experiment_id = experiments.experiment_id AND t.key = ? AND t.value = ?)"
            for _ in tags
        )
        values = [json.dumps(_STAGES[view_type]), *(text for tag in tags for text in tag)]
        return Found(self._experiments(condition, values))

    def log_artifacts(self, run_id: str, local_dir: str) -> None:
        """Copy the files of a folder to those of a run."""
        folder = self._folder(run_id)
        if folder is None:
            self.mlflow().log_artifacts(run_id, local_dir)
            return
        for source in sorted(Path(local_dir).rglob("*")):  # a folder comes before what it holds
            target = folder / source.relative_to(local_dir)
            if source.is_dir():
                target.mkdir(parents=True, exist_ok=True)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)

    def list_artifacts(self, run_id: str) -> Any:
        """Return the files and folders of a run, by name, without what the folders hold."""
        folder = self._folder(run_id)
        if folder is None:
            return self.mlflow().list_artifacts(run_id)
        return [File(path.name, path.is_dir()) for path in sorted(folder.glob("*"))]

    def download_artifacts(self, run_id: str, path: str, dst_path: str) -> str:
        """Return where a file of a run is copied to, in a folder."""
        folder = self._folder(run_id)
        if folder is None or Path(path).name != path or not (folder / path).is_file():
            return self.mlflow().download_artifacts(run_id, path, dst_path)
        return str(shutil.copyfile(folder / path, Path(dst_path, path)))

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Give a connection that reads everything as of one moment."""
        try:
            with closing(connect(self._path, "ro")) as database:
                database.execute("BEGIN")
                yield database
        except sqlite3.Error as error:
            raise RecordUnavailable(
                f"the record {self._path} cannot be read: {error}; check that it is there and "
                "readable, or choose another with --tracking-uri"
            ) from error

    def _folder(self, run_id: str) -> Path | None:
        """Return the folder of a run's files on this machine; None where they are elsewhere."""
        address = urllib.parse.urlsplit(self.get_run(run_id).info.artifact_uri)
        here = address.scheme == "file" and address.netloc in ("", "localhost")
        return Path(urllib.request.url2pathname(address.path)) if here else None

    def _experiments(self, condition: str, values: Sequence[Any]) -> list[Experiment]:
        query = f"""SELECT experiment_id, name, artifact_location, lifecycle_stage, creation_time,
            last_update_time FROM experiments WHERE workspace = 'default' AND {condition}
            ORDER BY creation_time DESC, experiments.experiment_id"""
        with self._reading() as database:
            return [
                Experiment(
                    str(number), name, location, stage,
                    dict(database.execute(
                        "SELECT key, value FROM experiment_tags WHERE experiment_id = ?", (number,)
                    )),
                    created, updated,
                )
                for number, name, location, stage, created, updated
                in database.execute(query, values).fetchall()
            ]

    def _runs(self, database: sqlite3.Connection, query: str, values: Sequence[Any]) -> list[Run]:
        """Return runs with their data."""
        infos = [
            Info(*columns) for columns in database.execute(query, values).fetchall()
        ]
        data: dict[str, Data] = defaultdict(Data)
        wanted = (json.dumps([info.run_id for info in infos]),)
        among = "WHERE run_uuid IN (SELECT value FROM json_each(?))"
        for run, key, text in database.execute(
            f"SELECT run_uuid, key, value FROM tags {among}", wanted
        ):
            data[run].tags[key] = text
        for run, key, text in database.execute(
            f"SELECT run_uuid, key, value FROM params {among}", wanted
        ):
            data[run].params[key] = text
        for run, key, value, is_nan in database.execute(
            f"SELECT run_uuid, key, value, is_nan FROM latest_metrics {among}", wanted
        ):
            data[run].metrics[key] = _number(value, is_nan)
        return [Run(info, data[info.run_id], self._whole) for info in infos]

    def _whole(self, run_id: str) -> Any:
        return self.mlflow().get_run(run_id)


def _conditions(query: str) -> list[tuple[str, str]] | None:
    """Return the tags that a query asks for; None where it asks for anything else."""
    if not query:
        return []
    matches = [_CONDITION.fullmatch(part) for part in query.split(" and ")]
    return [match.groups() for match in matches if match] if all(matches) else None  # type: ignore[misc]


def _number(value: float, is_nan: bool) -> float:
    return float("nan") if is_nan else value
