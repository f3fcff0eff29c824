"""Studies as MLflow experiments: finding, renaming and deleting them by name."""

import contextlib
import shlex
from typing import TYPE_CHECKING

from hpo.errors import HPOError, InputError, RecordRefused
from hpo.record.connection import Connection, translated
from hpo.record.format import chunks, joined
from hpo.record.owner import Owner

if TYPE_CHECKING:  # MLflow takes a second to import
    from mlflow.entities import Experiment

KIND = "hpo"  # the tag that says what an experiment is: one of the next two
STUDY, COPY = "study", "copy"  # a copy is a study that is not all there yet
COPY_AS = "copy_as"  # the name that a copy will have
COPIED_BY = "copied_by"  # the process that makes it
_DELETED_BEFORE = "deleted_before"  # runs that were deleted before their study was


def find(connection: Connection, name: str) -> "Experiment | None":
    """Return the experiment with a name, of any kind, even a deleted one; None if there is none."""
    found: Experiment | None = translated(
        lambda: connection.client.get_experiment_by_name(name)
    )
    return found


def existing(connection: Connection, name: str) -> "Experiment":
    """Return an experiment that was there a moment ago; raise RecordRefused if it is gone."""
    found = find(connection, name)
    if found is None:
        raise RecordRefused(f"the experiment {name!r} no longer exists")
    return found


def of_study(connection: Connection, study: str) -> "Experiment | None":
    """Return the experiment of a study; None if there is none.

    Raises InputError if it was deleted, or is not an hpo study.
    """
    found = find(connection, study)
    if found is None:
        return None
    if found.lifecycle_stage == "deleted":
        raise InputError(
            f"the experiment {study!r} was deleted; restore it with "
            f"`mlflow experiments restore --experiment-id {found.experiment_id}`, delete it "
            f"permanently with `hpo delete --purge {shlex.quote(study)}`, or give the study "
            "another name"
        )
    if found.tags.get(KIND) == COPY:
        raise InputError(
            f"the experiment {study!r} is an incomplete copy; make it again with `hpo copy`, or "
            "delete it with `hpo delete`"
        )
    if found.tags.get(KIND) != STUDY:
        raise InputError(
            f"the experiment {study!r} is not an hpo study; give the study another name"
        )
    if _DELETED_BEFORE in found.tags:
        _delete_again(connection, found)
    return found


def refuse_foreign(connection: Connection, name: str) -> None:
    """Raise InputError if the experiment with this name is not an hpo study."""
    found = find(connection, name)
    if found is not None and found.tags.get(KIND) not in (STUDY, COPY):
        raise InputError(
            f"the experiment {name!r} is not an hpo study; change it in MLflow, or choose a study"
        )


def refuse_taken(connection: Connection, name: str) -> None:
    """Raise InputError if an experiment has this name, even a deleted one."""
    found = find(connection, name)
    if found is None:
        return
    if found.lifecycle_stage == "deleted":
        purge = ""
        if found.tags.get(KIND) in (STUDY, COPY):
            purge = f", or delete it permanently with `hpo delete --purge {shlex.quote(name)}`"
        raise InputError(
            f"the name {name!r} belongs to a deleted experiment; choose another{purge}"
        )
    what = "a study" if found.tags.get(KIND) == STUDY else "an experiment"
    raise InputError(f"{what} {name!r} already exists; choose another name")


def copier(experiment: "Experiment") -> Owner | None:
    """Return the process that is making a copy, or was; None if it is no longer a copy."""
    text = experiment.tags.get(COPIED_BY)
    with contextlib.suppress(ValueError, TypeError):  # where somebody edited the tag
        return Owner.from_text(text) if text is not None else None
    return None


def refuse_copying(experiment: "Experiment", ours: Owner) -> None:
    """Raise InputError if a live process on this machine is making the copy."""
    maker = copier(experiment)
    if maker is not None and maker.host == ours.host and not maker.is_gone():
        raise InputError(
            f"{maker} is copying a study to {experiment.tags.get(COPY_AS)!r}; wait for it to end, "
            "or stop it"
        )


def rename(connection: Connection, study: str, new: str) -> None:
    """Rename a study; raise InputError if the new name is taken."""
    refuse_taken(connection, new)
    give_name(connection, existing(connection, study).experiment_id, new)


def give_name(connection: Connection, experiment_id: str, name: str) -> None:
    """Name an experiment; raise InputError if another one just took the name."""
    try:
        translated(lambda: connection.client.rename_experiment(experiment_id, name))
    except HPOError:
        refuse_taken(connection, name)  # of which MLflow says what its database does
        raise


def delete(connection: Connection, experiment_id: str) -> None:
    """Delete an experiment and all its runs, so that MLflow can restore it.

    MLflow would then also restore what had been deleted in it before: that is noted, and deleted
    again when the study is next read.
    """
    before = [run.info.run_id for run in connection.runs(experiment_id, "", deleted=True)]

    def write() -> None:
        for name, text in chunks(_DELETED_BEFORE, " ".join(before)).items():
            connection.client.set_experiment_tag(experiment_id, name, text)
        connection.client.delete_experiment(experiment_id)

    translated(write)


def deleted_before(experiment: "Experiment") -> set[str]:
    """Return the runs that were deleted before their study was."""
    return set(joined(_DELETED_BEFORE, experiment.tags).split())


def _delete_again(connection: Connection, experiment: "Experiment") -> None:
    for run_id in deleted_before(experiment):
        with contextlib.suppress(RecordRefused):  # it is gone for good
            translated(lambda run_id=run_id: connection.client.delete_run(run_id))  # type: ignore[misc]
    # The first one goes last: it is what says that there is something to do.
    for name in sorted((n for n in experiment.tags if n.startswith(_DELETED_BEFORE)), reverse=True):
        translated(
            lambda name=name: connection.client.delete_experiment_tag(  # type: ignore[misc]
                experiment.experiment_id, name
            )
        )
