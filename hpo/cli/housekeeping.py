"""Commands that change which studies are on record: rename, copy, delete."""

import contextlib
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpo import wording
from hpo.api.lookup import existing_record, study_name, unknown
from hpo.api.pictures import PAGE
from hpo.api.places import kept_beside, outbox_path
from hpo.api.session import take_up
from hpo.cli.options import hpo, say, study_argument, tracking_uri
from hpo.errors import HPOError, InputError, RecordUnavailable
from hpo.passwords import without_password
from hpo.record.file import absolute
from hpo.text import clean

# Everything that takes long to import is imported inside the commands: `hpo --help` is instant.
if TYPE_CHECKING:
    from hpo.record.outbox import Outbox
    from hpo.record.study import StudyRecord
    from hpo.record.tracking import Tracking
    from hpo.record.values import Contents

DELIVERY_SECONDS = 60.0  # that results which wait on disk may take
new_argument = click.argument("new", metavar="NEW")


@hpo.command()
@study_argument
@new_argument
@tracking_uri
def rename(study: str, new: str, tracking_uri: str) -> None:
    """Give STUDY the name NEW on record.

    Nothing else of it changes, and `hpo run` goes on with it once its file has the new name, which
    is printed. Results that wait on disk where the study ran are put on record first: type it in
    that folder. A study that runs is refused.
    """
    uri, name = absolute(tracking_uri), study_name(study)
    record = existing_record(tracking_uri)
    _require(record, name)
    _refuse_name(new)
    with _held(record, uri, name) as outbox:
        record.rename(name, new)
        _set_outbox_aside(uri, new)
        if outbox is not None:
            kept, path = kept_beside(outbox.path), outbox_path(uri, new)
            outbox.move(path)
            if kept.exists():
                os.replace(kept, kept_beside(path))
    _retitle(record.study(new))
    say(f"{name} is {new} from now on")
    _say_what_to_write(study, new)


@hpo.command()
@study_argument
@new_argument
@tracking_uri
def copy(study: str, new: str, tracking_uri: str) -> None:
    """Copy STUDY on record to the name NEW.

    The copy has all that counts: rounds, trials, repeats, evaluations with their models, figures
    and files. The two then have nothing to do with each other. It has its name once it is whole;
    broken off, the same command begins anew. A study that runs is refused.
    """
    from hpo.display.console import open_console, print_next
    from hpo.display.progress import Counting
    from hpo.toml_text import toml_value

    uri, name = absolute(tracking_uri), study_name(study)
    record = existing_record(tracking_uri)
    _require(record, name)
    _refuse_name(new)
    with _held(record, uri, name), Counting("copying", "run", sys.stdout) as counting:
        record.copy(name, new, counting.show)
        _set_outbox_aside(uri, new)
        kept = kept_beside(outbox_path(uri, name))
        if kept.exists():
            there = kept_beside(outbox_path(uri, new))
            shutil.copytree(kept, there, symlinks=True, dirs_exist_ok=True)
    _retitle(record.study(new))
    contents = record.contents(new)
    assert contents is not None
    say(f"{new} is a copy of {name}: {_told(contents)}")
    file = study if study.endswith(".toml") else "FILE"
    print_next(open_console(), [
        (f"hpo show {shlex.quote(new)}", "what it has"),
        (shlex.join(["hpo", "run", file, "--set", f"name={toml_value(new)}"]), "goes on with it"),
    ])


@hpo.command()
@study_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--purge", is_flag=True,
              help="Delete for good, files as well; also what was deleted before.")
@tracking_uri
def delete(study: str, yes: bool, purge: bool, tracking_uri: str) -> None:
    """Delete STUDY from the record.

    It says what would be lost, and asks. MLflow keeps what is deleted, with its name, and restores
    it by a command that is printed; with --purge nothing is kept. A study that runs is refused.
    """
    from hpo.display.console import open_console, print_next
    from hpo.display.progress import Counting

    uri, name = absolute(tracking_uri), study_name(study)
    record = existing_record(tracking_uri)
    contents = record.contents(name)
    if contents is None:
        raise unknown(record, name)
    restore = _restoring(uri, contents)
    if contents.is_deleted and not purge:
        raise InputError(f"{name} is deleted already; bring it back by `{restore}`, or delete it "
                         "for good by --purge")
    if purge:
        record.refuse_purge(name)
    with ExitStack() as at_the_end:
        if contents.is_study and not contents.is_deleted:
            at_the_end.enter_context(_held(record, uri, name, deliver=False))
        if not yes:
            _ask(name, contents, purge)
        if not contents.is_deleted:
            if contents.is_study:
                record.study(name).keep()  # it may have taken a while to answer
                record.study(name).release()  # restored, nobody has it
            record.delete(name)
    if not purge:
        say(f"{name} is deleted: {_told(contents)}")
        print_next(open_console(), [
            (restore, "brings it back"),
            (f"hpo delete --purge {shlex.quote(name)}", "deletes it for good, and its files"),
        ])
        return
    with Counting("deleting", "run", sys.stdout) as counting:
        record.purge(name, counting.show)
    _set_outbox_aside(uri, name)
    say(f"{name} is deleted for good: {_told(contents)}")


def _require(record: "Tracking", name: str) -> None:
    """Raise InputError where no study of this name is on record."""
    record.refuse_foreign(name)
    if record.study(name).experiment() is None:
        raise unknown(record, name)


def _refuse_name(new: str) -> None:
    """Raise InputError where no study can have the name."""
    from hpo.study_errors import study_name_fault

    fault = study_name_fault(new)
    if new.endswith(".toml"):
        fault = f"{new} would be read as a study file; choose a name without .toml"
    if fault:
        raise InputError(f"NEW: {fault}")


@contextlib.contextmanager
def _held(
    record: "Tracking", uri: str, name: str, *, deliver: bool = True
) -> "Iterator[Outbox | None]":
    """Hold a study, so that no other process runs it; give its outbox, where it has one here.

    Results that wait there are delivered, unless `deliver` is False.
    """
    from hpo.record.outbox import Outbox

    study, path = record.study(name), outbox_path(uri, name)
    with ExitStack() as at_the_end:
        outbox = None
        if path.exists():
            outbox = at_the_end.enter_context(closing(Outbox(path)))
        at_the_end.callback(_release, study)
        study.claim(_note)
        if outbox is not None and outbox.damage:
            _note(outbox.damage)
        if outbox is not None and deliver and len(outbox):
            _deliver(outbox, study)
        yield outbox


def _deliver(outbox: "Outbox", study: "StudyRecord") -> None:
    """Put on record what waits on disk, as far as the record has its rounds."""
    from hpo.record.delivery import Delivery

    recorded = study.read()
    others = take_up(outbox, recorded)
    if others:
        _note(f"{others} results on disk belong to an earlier round of the same number with other "
              f"settings: set aside beside {outbox.path}")
    if recorded is None or not recorded.rounds or not outbox.waiting():
        return
    metric = recorded.rounds[0].settings.metric
    _note(f"delivering {wording.count(len(outbox.waiting()), 'result')} that waited on disk")
    with closing(Delivery(outbox, study, metric, _note)) as delivery:
        delivery.start()
        if not delivery.finish(DELIVERY_SECONDS):
            raise RecordUnavailable(
                f"the record is away, and results wait in {outbox.path}; try again once it is back"
            )


def _set_outbox_aside(uri: str, name: str) -> None:
    """Set aside what waits on disk for a study of this name that is no more."""
    from hpo.record.outbox import Outbox

    path = outbox_path(uri, name)
    shutil.rmtree(kept_beside(path), ignore_errors=True)
    if not path.exists():
        return
    with closing(Outbox(path)) as outbox:
        count = outbox.set_all_aside("its study was deleted, or has another name")
    if count:
        _note(f"{wording.count(count, 'result')} on disk, of an earlier study {name}: set aside "
              f"beside {path}")


def _retitle(study: "StudyRecord") -> None:
    """Let the pages that are kept with the rounds of a study show its name.

    The study has it already, so where a page fails, a note says so.
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
        _note(f"{PAGE} still shows another name: {type(error).__name__}: {error}")


def _restoring(uri: str, contents: "Contents") -> str:
    """Return the command that brings a deleted study back."""
    return (f"MLFLOW_TRACKING_URI={shlex.quote(without_password(uri))} mlflow experiments restore "
            f"--experiment-id {contents.experiment_id}")


def _told(contents: "Contents") -> str:
    """Return how much a study holds: "2 rounds, 40 trials, 1 evaluation, 1 model"."""
    runs = contents.runs
    counts = {
        "round": runs["round"], "trial": runs["trial"], "repeat": runs["repeat"],
        "evaluation": runs["evaluation"], "model": contents.models,
    }
    always = ("round", "trial")
    return ", ".join(
        wording.count(count, noun) for noun, count in counts.items() if count or noun in always
    )


def _ask(name: str, contents: "Contents", purge: bool) -> None:
    """Ask whether a study shall be deleted; raise HPOError where not."""
    if not sys.stdin.isatty():
        raise InputError("delete asks before it deletes, and nobody can answer here: say --yes")
    question = "Delete it for good" if purge else "Delete it (MLflow can restore it)"
    if not click.confirm(clean(f"{name} has {_told(contents)}. {question}?"), err=True):
        raise HPOError("nothing was deleted")


def _say_what_to_write(study: str, new: str) -> None:
    from hpo.toml_text import toml_value

    where = study if study.endswith(".toml") else "its study file"
    say(f"write in {where}, else `hpo run` begins a new study:\nname = {toml_value(new)}")


def _release(study: "StudyRecord") -> None:
    with contextlib.suppress(HPOError):
        study.release()


def _note(text: str) -> None:
    click.echo(clean(text), err=True)
