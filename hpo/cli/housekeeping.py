"""Commands that manage recorded studies: rename, copy, delete."""

import shlex
import sys
from typing import TYPE_CHECKING

import click

from hpo import wording
from hpo.api.lookup import study_name
from hpo.cli.options import hpo, say, study_argument, tracking_uri
from hpo.errors import HPOError, InputError
from hpo.passwords import without_password
from hpo.record.file import absolute, is_server
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
    """Rename STUDY to NEW in the record.

    Nothing else changes. To keep running the study, put the new name in its study file; the line
    to write is printed. Run this command in the folder where the study ran: results still waiting
    on disk there are recorded first. A running study cannot be renamed.
    """
    from hpo.api import housekeeping

    name = study_name(study)
    housekeeping.rename(tracking_uri, name, new, _note)
    say(f"renamed {name} to {new}")
    _say_what_to_write(study, new)


@hpo.command()
@study_argument
@new_argument
@tracking_uri
def copy(study: str, new: str, tracking_uri: str) -> None:
    """Copy STUDY to a new study named NEW.

    The copy has all rounds, trials, repeats, evaluations with their models, figures, and files,
    and is independent of the original. It gets its name once it is complete; if interrupted, run
    the same command to start the copy over. A running study cannot be copied.
    """
    from hpo.api import housekeeping
    from hpo.display.console import open_console, print_next
    from hpo.display.progress import Counting
    from hpo.toml_text import toml_value

    name = study_name(study)
    with Counting("copying", "run", sys.stdout) as counting:
        contents = housekeeping.copy(tracking_uri, name, new, _note, counting.show)
    say(f"copied {name} to {new}: {_told(contents)}")
    file = study if study.endswith(".toml") else "FILE"
    print_next(open_console(), [
        (f"hpo show {shlex.quote(new)}", "show the copy"),
        (shlex.join(["hpo", "run", file, "--set", f"name={toml_value(new)}"]), "continue it"),
    ])


@hpo.command()
@study_argument
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--purge", is_flag=True,
              help="Delete permanently, including files; also works on a deleted study.")
@tracking_uri
def delete(study: str, yes: bool, purge: bool, tracking_uri: str) -> None:
    """Delete STUDY from the record.

    Shows what would be lost and asks for confirmation. MLflow keeps a deleted study under its
    name, and the command that restores it is printed; with --purge, nothing is kept. A running
    study cannot be deleted.
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
        say(f"deleted {name}: {_told(contents)}")
        steps = [(restore, "restore it")]
        if not is_server(uri):  # through one, nothing can be deleted permanently
            purge_it = f"hpo delete --purge {shlex.quote(name)}"
            steps.append((purge_it, "delete it permanently, with its files"))
        print_next(open_console(), steps)
        return
    with Counting("deleting", "run", sys.stdout) as counting:
        housekeeping.purge(tracking_uri, name, _note, counting.show)
    say(f"permanently deleted {name}: {_told(contents)}")


def _restoring(uri: str, contents: "Contents") -> str:
    """Return the command that restores a deleted study."""
    return (f"MLFLOW_TRACKING_URI={shlex.quote(without_password(uri))} mlflow experiments restore "
            f"--experiment-id {contents.experiment_id}")


def _told(contents: "Contents") -> str:
    """Return how much a study has: "2 rounds, 40 trials, 1 evaluation, 1 model"."""
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
    """Ask whether to delete a study; raise HPOError if the answer is no."""
    if not sys.stdin.isatty():
        raise InputError("cannot ask for confirmation: standard input is not a terminal; add --yes")
    question = "Delete it permanently" if purge else "Delete it (MLflow can restore it)"
    if not click.confirm(clean(f"{name} has {_told(contents)}. {question}?"), err=True):
        raise HPOError("nothing was deleted")


def _say_what_to_write(study: str, new: str) -> None:
    from hpo.toml_text import toml_value

    where = study if study.endswith(".toml") else "its study file"
    say(f"to keep running it, set this in {where}:\nname = {toml_value(new)}")


def _note(text: str) -> None:
    click.echo(clean(text), err=True)
