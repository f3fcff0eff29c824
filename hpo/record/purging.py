"""What a deletion removes: how much that is, and permanently deleting its rows and files."""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.errors import InputError
from hpo.record import experiments
from hpo.record.connection import Connection, pages, translated
from hpo.record.owner import Owner
from hpo.record.values import Contents

if TYPE_CHECKING:  # MLflow takes a second to import
    from mlflow.entities import Experiment, LoggedModel

_PROXIED = "mlflow-artifacts:"  # files that only a server can reach


def contents(connection: Connection, name: str, ours: Owner) -> Contents | None:
    """Return how much a study holds, even a deleted one; None if there is none.

    Raises InputError if the experiment is not an hpo study, or is being copied.
    """
    experiments.refuse_foreign(connection, name)
    found = experiments.find(connection, name)
    if found is None:
        return None
    experiments.refuse_copying(found, ours)
    deleted = found.lifecycle_stage == "deleted"
    gone = experiments.deleted_before(found) if deleted else set()
    kinds = Counter(
        run.data.tags.get("kind", "")
        for run in connection.runs(found.experiment_id, "", deleted=deleted)
        if run.info.run_id not in gone and "superseded" not in run.data.tags
    )
    return Contents(
        found.experiment_id, deleted, found.tags[experiments.KIND] == experiments.STUDY,
        kinds, len(logged_models(connection, found.experiment_id)),
    )


def can_purge(connection: Connection, experiment: "Experiment") -> bool:
    """Return whether rows and files of an experiment can be permanently deleted from here."""
    location = experiment.artifact_location or ""
    return hasattr(_store(connection), "_hard_delete_run") and not location.startswith(_PROXIED)


def refuse_purge(connection: Connection, experiment: "Experiment") -> None:
    """Raise InputError if an experiment cannot be permanently deleted, or should not be."""
    gc = f"`mlflow gc --experiment-ids {experiment.experiment_id}`"
    if not can_purge(connection, experiment):
        raise InputError(
            "nothing can be deleted permanently through an MLflow server; delete the study "
            f"without --purge, then run {gc} where the server runs: that also permanently deletes "
            "every run that was deleted in any other experiment"
        )
    for model in logged_models(connection, experiment.experiment_id):
        for version in _versions(connection, model):
            raise InputError(
                f"the model of {experiment.name!r} is registered as version {version.version} of "
                f"{version.name!r}, which would lose its files; delete that version in MLflow first"
            )


def purge(connection: Connection, experiment_id: str, show: Callable[[int, int], None]) -> None:
    """Permanently delete the deleted contents of an experiment, and then the experiment.

    If interrupted, the same call continues. Rounds go first: without them no trial counts, even if
    MLflow restores what is left. `show` is called with the number of runs done and their total.
    """
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    store = _store(connection)
    runs = list(connection.runs(experiment_id, "", deleted=True))
    runs.sort(key=lambda run: run.data.tags.get("kind") != "round")

    def remove(location: str) -> None:
        repository = get_artifact_repository(location, tracking_uri=connection.uri)
        repository.delete_artifacts()  # type: ignore[no-untyped-call]
        folder = getattr(repository, "artifact_dir", None)
        if folder is not None:
            with contextlib.suppress(OSError):
                Path(folder).parent.rmdir()  # which held nothing else

    def write() -> None:
        for done, run in enumerate(runs):
            show(done, len(runs))
            remove(run.info.artifact_uri)
            store._hard_delete_run(run.info.run_id)
        show(len(runs), len(runs))
        models = [
            *logged_models(connection, experiment_id), *_deleted_models(store, experiment_id)
        ]
        for model in models:
            remove(model.artifact_location)
            store._hard_delete_logged_model(model.model_id)
        store._hard_delete_experiment(experiment_id)

    translated(write)


def logged_models(connection: Connection, experiment_id: str) -> "list[LoggedModel]":
    """Return the models that were logged in an experiment."""
    return list(pages(
        lambda token: connection.client.search_logged_models([experiment_id], page_token=token)
    ))


def _deleted_models(store: Any, experiment_id: str) -> "Iterator[LoggedModel]":
    for model_id in store._get_deleted_logged_models():
        model = store.get_logged_model(model_id, allow_deleted=True)
        if model.experiment_id == experiment_id:
            yield model


def _versions(connection: Connection, model: "LoggedModel") -> "list[Any]":
    """Return the versions of registered models that a model is."""
    client = connection.client
    found = translated(
        lambda: client.search_model_versions(f"source_path = 'models:/{model.model_id}'")
    )
    return list(found)


def _store(connection: Connection) -> Any:
    """Return MLflow's own store; permanent deletion is not part of any interface."""
    return connection.client._tracking_client.store
