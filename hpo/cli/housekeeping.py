"""Commands that change which studies are on record: rename, copy, delete."""

import shlex
import sys
from typing import TYPE_CHECKING

import click

from hpo import wording
from hpo.api.lookup import study_name
from hpo.cli.options import hpo, say, study_argument, tracking_uri
from hpo.errors import HPOError, InputError
from hpo.passwords import without_password
from hpo.record.file import absolute
from hpo.text import clean

# Everything that takes long to import is imported inside the commands: `hpo --help` is instant.
if TYPE_CHECKING:
    from hpo.record.values import Contents

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
    from hpo.api import housekeeping

    name = study_name(study)
    housekeeping.rename(tracking_uri, name, new, _note)
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
    from hpo.api import housekeeping
    from hpo.display.console import open_console, print_next
    from hpo.display.progress import Counting
    from hpo.toml_text import toml_value

    name = study_name(study)
    with Counting("copying", "run", sys.stdout) as counting:
        contents = housekeeping.copy(tracking_uri, name, new, _note, counting.show)
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
    from hpo.api import housekeeping
    from hpo.display.console import open_console, print_next
    from hpo.display.progress import Counting

    uri, name = absolute(tracking_uri), study_name(study)
    contents = housekeeping.delete(
        tracking_uri, name, _note, purge=purge,
        agree=lambda contents: None if yes else _ask(name, contents, purge),
        restore=lambda contents: _restoring(uri, contents),
    )
    restore = _restoring(uri, contents)
    if not purge:
        say(f"{name} is deleted: {_told(contents)}")
        print_next(open_console(), [
            (restore, "brings it back"),
            (f"hpo delete --purge {shlex.quote(name)}", "deletes it for good, and its files"),
        ])
        return
    with Counting("deleting", "run", sys.stdout) as counting:
        housekeeping.purge(tracking_uri, name, _note, counting.show)
    say(f"{name} is deleted for good: {_told(contents)}")


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


def _note(text: str) -> None:
    click.echo(clean(text), err=True)
