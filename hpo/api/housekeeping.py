"""Rename, copy, and delete recorded studies."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

from hpo import wording
from hpo.api.lookup import existing_record, unknown
from hpo.api.pictures import PAGE
from hpo.api.places import kept_beside, outbox_path
from hpo.api.session import take_up, wrong_round
from hpo.errors import HPOError, InputError, RecordUnavailable
from hpo.record.file import absolute

# What takes long to import is imported where it is used.
if TYPE_CHECKING:
    from hpo.record.outbox import Outbox
    from hpo.record.study import StudyRecord
    from hpo.record.tracking import Tracking
    from hpo.record.values import Contents

DELIVERY_SECONDS = 60.0  # that results which wait on disk may take
Note = Callable[[str], None]  # shows a line to the user
Show = Callable[[int, int], None]  # is told how many runs are done, of how many


def rename(tracking_uri: str, name: str, new: str, note: Note) -> None:
    """Rename a recorded study; results that wait on disk here are recorded first."""
    uri, record = absolute(tracking_uri), existing_record(tracking_uri)
    _require(record, name)
    _refuse_name(new)
    with _held(record, uri, name, note) as outbox:
        record.rename(name, new)
        set_outbox_aside(uri, new, note)
        if outbox is not None:
            kept, path = kept_beside(outbox.path), outbox_path(uri, new)
            outbox.move(path)
            if kept.exists():
                os.replace(kept, kept_beside(path))
    _retitle(record.study(new), note)


def copy(tracking_uri: str, name: str, new: str, note: Note, show: Show) -> "Contents":
    """Copy everything that counts in a study to another name; return how much that is."""
    uri, record = absolute(tracking_uri), existing_record(tracking_uri)
    _require(record, name)
    _refuse_name(new)
    with _held(record, uri, name, note):
        record.copy(name, new, show)
        set_outbox_aside(uri, new, note)
        kept = kept_beside(outbox_path(uri, name))
        if kept.exists():
            there = kept_beside(outbox_path(uri, new))
            shutil.copytree(kept, there, symlinks=True, dirs_exist_ok=True)
    _retitle(record.study(new), note)
    contents = record.contents(new)
    assert contents is not None
    return contents


def delete(
    tracking_uri: str,
    name: str,
    note: Note,
    *,
    purge: bool = False,
    agree: "Callable[[Contents], None]" = lambda contents: None,
    restore: "Callable[[Contents], str]" = lambda contents: "mlflow experiments restore",
) -> "Contents":
    """Delete a study so that MLflow can restore it, which is also the first step of a purge.

    Return how much it had. `agree` raises an error to cancel; `restore` returns the command that
    restores the study.
    """
    uri, record = absolute(tracking_uri), existing_record(tracking_uri)
    contents = record.contents(name)
    if contents is None:
        raise unknown(record, name)
    if contents.is_deleted and not purge:
        raise InputError(f"{name} is already deleted; restore it with `{restore(contents)}`, or "
                         "delete it permanently with --purge (in Python: purge=True)")
    if purge:
        record.refuse_purge(name)
    with ExitStack() as at_the_end:
        if contents.is_study and not contents.is_deleted:
            at_the_end.enter_context(_held(record, uri, name, note, deliver=False))
        agree(contents)
        if not contents.is_deleted:
            if contents.is_study:
                record.study(name).keep()  # it may have taken a while to answer
                record.study(name).release()  # restored, nobody has it
            record.delete(name)
    return contents


def purge(tracking_uri: str, name: str, note: Note, show: Show) -> None:
    """Permanently delete a study that is deleted."""
    existing_record(tracking_uri).purge(name, show)
    set_outbox_aside(absolute(tracking_uri), name, note)


def _require(record: "Tracking", name: str) -> None:
    """Raise InputError if no study of this name is recorded."""
    record.refuse_foreign(name)
    if record.study(name).experiment() is None:
        raise unknown(record, name)


def _refuse_name(new: str) -> None:
    """Raise InputError if no study can have the name."""
    from hpo.study_errors import study_name_fault

    fault = study_name_fault(new)
    if new.endswith(".toml"):
        fault = f"{new} looks like a study file; choose a name without .toml"
    if fault:
        raise InputError(f"new name: {fault}")


@contextlib.contextmanager
def _held(
    record: "Tracking", uri: str, name: str, note: Note, *, deliver: bool = True
) -> "Iterator[Outbox | None]":
    """Hold a study so that no other process runs it; yield its outbox, if it has one here.

    Results that wait there are delivered, unless `deliver` is False.
    """
    from hpo.record.outbox import Outbox

    study, path = record.study(name), outbox_path(uri, name)
    with ExitStack() as at_the_end:
        outbox = None
        if path.exists():
            outbox = at_the_end.enter_context(closing(Outbox(path)))
        at_the_end.callback(_release, study)
        study.claim(note)
        if outbox is not None and outbox.damage:
            note(outbox.damage)
        if outbox is not None and deliver and len(outbox):
            _deliver(outbox, study, note)
        yield outbox


def _deliver(outbox: "Outbox", study: "StudyRecord", note: Note) -> None:
    """Record the results that wait on disk, if the record has their rounds."""
    from hpo.record.delivery import Delivery

    recorded = study.read()
    others = take_up(outbox, recorded)
    if others:
        note(wrong_round(others, outbox))
    if recorded is None or not recorded.rounds or not outbox.waiting():
        return
    metric = recorded.rounds[0].settings.metric
    note(f"delivering {wording.count(len(outbox.waiting()), 'result')} that waited on disk")
    with closing(Delivery(outbox, study, metric, note)) as delivery:
        delivery.start()
        if not delivery.finish(DELIVERY_SECONDS):
            raise RecordUnavailable(
                f"the record cannot be reached, and results wait in {outbox.path}; try again when "
                "it is back"
            )


def set_outbox_aside(uri: str, name: str, note: Note) -> None:
    """Set aside results that wait on disk for a former study of this name."""
    from hpo.record.outbox import Outbox

    path = outbox_path(uri, name)
    shutil.rmtree(kept_beside(path), ignore_errors=True)
    if not path.exists():
        return
    with closing(Outbox(path)) as outbox:
        count = outbox.set_all_aside("its study was deleted, or has another name")
    if count:
        aside = wording.count(count, "result")
        note(f"set aside {aside} of a former study {name}, next to {path}")


def _retitle(study: "StudyRecord", note: Note) -> None:
    """Put the name of a study on the reports that are stored with its rounds.

    The study is already renamed, so if a report fails, a note says so.
    """
    from hpo.report.page import retitled

    try:
        for run_id in study.round_runs():
            if not study.has_file(run_id, PAGE):
                continue
            with tempfile.TemporaryDirectory() as folder:
                page = study.fetch(run_id, PAGE, Path(folder))
                page.write_text(
                    retitled(page.read_text(encoding="utf-8"), study.name), encoding="utf-8"
                )
                study.add_files(run_id, Path(folder))
    except Exception as error:
        note(f"{PAGE} still shows the old name: {type(error).__name__}: {error}")


def _release(study: "StudyRecord") -> None:
    with contextlib.suppress(HPOError):
        study.release()
