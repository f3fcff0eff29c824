"""A study is copied in the record, run by run, and gets its name once the copy is complete."""

import contextlib
import re
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.errors import HPOError
from hpo.record import experiments
from hpo.record.connection import Connection, pages, translated, uncollected
from hpo.record.experiments import COPIED_BY, COPY, COPY_AS, KIND, STUDY
from hpo.record.format import CONFIRMATION, EXTENDED, EXTENSION
from hpo.record.owner import Owner
from hpo.record.purging import can_purge, logged_models, purge

if TYPE_CHECKING:  # MLflow takes a second to import
    from mlflow.entities import Experiment, LoggedModel, Run

BEAT_SECONDS = 5.0  # between signs of life
_COPIED_FROM = "copied_from"
_OF_A_PROCESS = {"heartbeat", "released"}  # tags that say who ran the study which is copied
_ID = re.compile(r"\b(?:m-)?[0-9a-f]{32}\b")  # of a run, or of a model
_WITH_IDS = (".json", "MLmodel")  # the ends of names of files that may hold ids


class Copying:
    """Makes a copy of a study under a temporary name, and gives it the real one at the end.

    Until then it is not a study, neither here nor in MLflow's UI: an interrupted copy is harmless,
    and the next copy with that name removes it. `beat` is called every few seconds.
    """

    def __init__(
        self, connection: Connection, source: "Experiment", owner: Owner, beat: Callable[[], None]
    ) -> None:
        self._connection, self._client = connection, connection.mlflow()
        self._source, self._owner, self._beat = source, owner, beat
        self._beaten = time.monotonic()
        self._ids: dict[str, str] = {}  # of runs and models of the copy, by those copied
        self._target = ""

    def make(self, new: str, show: Callable[[int, int], None]) -> None:
        """Copy the study to `new`; `show` is called with the number of runs done and their total.

        Raises InputError if the name is taken, or if another process is making that copy.
        """
        if self._was_finished(new):
            return
        experiments.refuse_taken(self._connection, new)
        self._remove_unfinished(new)
        try:
            with uncollected():
                self._copy(new, show)
            translated(self._describe)
            experiments.give_name(self._connection, self._target, new)
        except Exception:
            with contextlib.suppress(HPOError):
                self._remove(translated(lambda: self._client.get_experiment(self._target)))
            raise
        translated(lambda: self._finish(self._target))

    def _copy(self, new: str, show: Callable[[int, int], None]) -> None:
        source = self._source
        name = f"{new} (unfinished copy {secrets.token_hex(4)})"
        tags = {
            KIND: COPY, COPY_AS: new, COPIED_BY: self._owner.to_text(),
            _COPIED_FROM: f"{source.experiment_id} {source.name}",
            "mlflow.note.content": (
                f"An incomplete copy of {source.name}: in progress, or interrupted."
            ),
        }
        self._target = translated(lambda: self._client.create_experiment(
            name, self._connection.artifact_location(), tags=tags
        ))
        runs = list(self._runs())
        models: dict[str, list[LoggedModel]] = {}
        for model in logged_models(self._connection, source.experiment_id):
            models.setdefault(model.source_run_id or "", []).append(model)
        for done, run in enumerate(runs):
            show(done, len(runs))
            translated(lambda run=run: self._copy_run(  # type: ignore[misc]
                run, models.get(run.info.run_id, [])
            ))
            if time.monotonic() - self._beaten > BEAT_SECONDS:
                self._beat()
                self._beaten = time.monotonic()
        show(len(runs), len(runs))
        self._connection.confirm()
        self._beat()  # whoever took the study over meanwhile has changed it

    def _describe(self) -> None:
        """Give the copy the tags of the study: its description, its views, and its evaluations."""
        for name, text in self._source.tags.items():
            if name not in (KIND, _COPIED_FROM):
                self._client.set_experiment_tag(self._target, name, self._moved(text))

    def _finish(self, experiment_id: str) -> None:
        self._client.set_experiment_tag(experiment_id, KIND, STUDY)
        for name in (COPY_AS, COPIED_BY):
            self._client.delete_experiment_tag(experiment_id, name)

    def _was_finished(self, new: str) -> bool:
        """Return whether an earlier try only had to mark the copy as complete; mark it if so."""
        found = experiments.find(self._connection, new)
        if found is None or found.tags.get(KIND) != COPY or found.tags.get(COPY_AS) != new:
            return False
        if found.lifecycle_stage == "deleted" or not self._is_of_source(found):
            return False
        translated(lambda: self._finish(found.experiment_id))
        return True

    def _is_of_source(self, copy: "Experiment") -> bool:
        return copy.tags.get(_COPIED_FROM, "").partition(" ")[0] == self._source.experiment_id

    def _remove_unfinished(self, new: str) -> None:
        """Delete what earlier tries left, except one that may still run on another machine."""
        found = pages(lambda token: self._client.search_experiments(
            filter_string=f"tags.{KIND} = '{COPY}'", page_token=token
        ))
        for experiment in [e for e in found if e.tags.get(COPY_AS) == new]:
            experiments.refuse_copying(experiment, self._owner)
            maker = experiments.copier(experiment)
            if maker is None or maker.host == self._owner.host:
                self._remove(experiment)

    def _remove(self, experiment: "Experiment") -> None:
        experiments.delete(self._connection, experiment.experiment_id)
        if can_purge(self._connection, experiment):
            purge(self._connection, experiment.experiment_id, lambda *_: None)

    def _runs(self) -> "Iterator[Run]":
        """Yield the runs that count, each after its parent.

        Deleted trials are included as deleted: their numbers stay used.
        """
        experiment_id, runs = self._source.experiment_id, self._connection.runs
        above = set()
        for kind in ("round", CONFIRMATION, EXTENSION):
            for run in runs(experiment_id, f"tags.kind = '{kind}'"):
                above.add(run.info.run_id)
                yield run
        yield from runs(experiment_id, "tags.kind = 'evaluation'")
        kept = ("trial", "part", "repeat", EXTENDED)
        for kind, deleted in (*((kind, False) for kind in kept), ("trial", True)):
            for run in runs(experiment_id, f"tags.kind = '{kind}'", deleted=deleted):
                tags = run.data.tags
                if tags.get("mlflow.parentRunId") in above and "superseded" not in tags:
                    above.add(run.info.run_id)
                    yield run

    def _copy_run(self, run: "Run", models: "list[LoggedModel]") -> None:
        from mlflow.entities import Param, RunTag

        client, info = self._client, run.info
        tags = {n: self._moved(v) for n, v in run.data.tags.items() if n not in _OF_A_PROCESS}
        made = client.create_run(self._target, info.start_time, tags, info.run_name)
        run_id = self._ids[info.run_id] = made.info.run_id
        for model in models:
            self._copy_model(model, run_id)
        metrics = [
            point for name in run.data.metrics
            for point in client.get_metric_history(info.run_id, name)
        ]
        params = [
            Param(name, text) for name, text in run.data.params.items()
            if not name.startswith("owner ")  # the copy was claimed by nobody
        ]
        to_models = {name: self._moved(text) for name, text in tags.items()} if models else {}
        client.log_batch(run_id, metrics, params, [RunTag(n, v) for n, v in to_models.items()])
        if run.inputs is not None and run.inputs.dataset_inputs:
            client.log_inputs(run_id, run.inputs.dataset_inputs)
        self._copy_files(info.artifact_uri, made.info.artifact_uri)
        if info.status != "RUNNING":
            client.set_terminated(run_id, info.status, info.end_time)
        if info.lifecycle_stage == "deleted":
            client.delete_run(run_id)
        elif info.status != "RUNNING" and info.end_time is not None:
            self._connection.has_written(run_id, info.end_time)

    def _copy_model(self, model: "LoggedModel", run_id: str) -> None:
        from mlflow.entities import LoggedModelOutput

        client = self._client
        made = client.create_logged_model(
            self._target, model.name, run_id, model.tags, model.params, model.model_type
        )
        self._ids[model.model_id] = made.model_id
        self._copy_files(model.artifact_location, made.artifact_location)
        client.finalize_logged_model(made.model_id, model.status)
        client.log_outputs(run_id, [LoggedModelOutput(made.model_id, 0)])

    def _copy_files(self, source: str, target: str) -> None:
        """Copy files from one address to another; MLflow's client would look each run up."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        uri = self._connection.uri
        there: Any = get_artifact_repository(source, tracking_uri=uri)
        here: Any = get_artifact_repository(target, tracking_uri=uri)
        if there.list_artifacts():
            with tempfile.TemporaryDirectory() as folder:
                there.download_artifacts("", folder)
                self._rewrite(Path(folder))
                here.log_artifacts(folder)

    def _rewrite(self, folder: Path) -> None:
        """Make files refer to the copy instead of runs or models of the study."""
        for path in folder.rglob("*"):
            if path.is_file() and path.name.endswith(_WITH_IDS):
                content = path.read_bytes()
                with contextlib.suppress(UnicodeDecodeError):
                    moved = self._moved(content.decode()).encode()
                    if moved != content:
                        path.write_bytes(moved)

    def _moved(self, text: str) -> str:
        """Return a text that refers to the copy instead of the study."""
        pages_of = "#/experiments/{}/".format
        text = text.replace(pages_of(self._source.experiment_id), pages_of(self._target))
        return _ID.sub(lambda found: self._ids.get(found[0], found[0]), text)
