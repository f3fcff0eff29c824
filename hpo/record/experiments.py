"""Studies as experiments of MLflow: what a name means, and how one is renamed or deleted."""

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
    """Return the experiment of a name, whatever it is, deleted ones too; None without one."""
    found: Experiment | None = translated(
        lambda: connection.client.get_experiment_by_name(name)
    )
    return found


def existing(connection: Connection, name: str) -> "Experiment":
    """Return the experiment of a name that was there a moment ago; raise RecordRefused without."""
    found = find(connection, name)
    if found is None:
        raise RecordRefused(f"the experiment {name!r} is gone")
    return found


def of_study(connection: Connection, study: str) -> "Experiment | None":
    """Return the experiment of a study; None where there is none.

    Raises InputError where it was deleted, or where it is not one of ours.
    """
    found = find(connection, study)
    if found is None:
        return None
    if found.lifecycle_stage == "deleted":
        raise InputError(
            f"the experiment {study!r} was deleted; restore it with "
            f"`mlflow experiments restore --experiment-id {found.experiment_id}`, delete it for "
            f"good with `hpo delete --purge {shlex.quote(study)}`, or give the study another name"
        )
    if found.tags.get(KIND) == COPY:
        raise InputError(
            f"the experiment {study!r} is a copy that is not whole; make it once more by "
            "`hpo copy`, or delete it by `hpo delete`"
        )
    if found.tags.get(KIND) != STUDY:
        raise InputError(
            f"the experiment {study!r} is not a study of hpo; give the study another name"
        )
    if _DELETED_BEFORE in found.tags:
        _delete_again(connection, found)
    return found


def refuse_foreign(connection: Connection, name: str) -> None:
    """Raise InputError where an experiment of this name is not one of ours."""
    found = find(connection, name)
    if found is not None and found.tags.get(KIND) not in (STUDY, COPY):
        raise InputError(
            f"the experiment {name!r} is not a study of hpo; change it in MLflow, or name a study"
        )


def refuse_taken(connection: Connection, name: str) -> None:
    """Raise InputError where there is an experiment of this name, if only a deleted one."""
    found = find(connection, name)
    if found is None:
        return
    if found.lifecycle_stage == "deleted":
        purge = ""
        if found.tags.get(KIND) in (STUDY, COPY):
            purge = f", or delete that for good with `hpo delete --purge {shlex.quote(name)}`"
        raise InputError(
            f"the name {name!r} is that of an experiment that was deleted; choose another{purge}"
        )
    what = "a study" if found.tags.get(KIND) == STUDY else "an experiment"
    raise InputError(f"{what} {name!r} is on record already; choose another name")


def copier(experiment: "Experiment") -> Owner | None:
    """Return the process that makes a copy, or broke off; None of what is no copy any more."""
    text = experiment.tags.get(COPIED_BY)
    with contextlib.suppress(ValueError, TypeError):  # where somebody edited the tag
        return Owner.from_text(text) if text is not None else None
    return None


def refuse_copying(experiment: "Experiment", ours: Owner) -> None:
    """Raise InputError where a copy is being made by a process of this machine, which lives."""
    maker = copier(experiment)
    if maker is not None and maker.host == ours.host and not maker.is_gone():
        raise InputError(
            f"{maker} copies a study to {experiment.tags.get(COPY_AS)!r}; wait for it, or stop it"
        )


def rename(connection: Connection, study: str, new: str) -> None:
    """Give a study another name; raise InputError where that is taken."""
    refuse_taken(connection, new)
    give_name(connection, existing(connection, study).experiment_id, new)


def give_name(connection: Connection, experiment_id: str, name: str) -> None:
    """Name an experiment; raise InputError where another one took the name just now."""
    try:
        translated(lambda: connection.client.rename_experiment(experiment_id, name))
    except HPOError:
        refuse_taken(connection, name)  # of which MLflow says what its database does
        raise


def delete(connection: Connection, experiment_id: str) -> None:
    """Delete an experiment and all its runs, so that MLflow can restore it.

    MLflow would then restore what was deleted in it before, too: that is noted, and deleted once
    more when the study is next looked at.
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
