"""The group of all commands, the options that several of them take, and how they speak."""

import functools
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import click

from hpo.api.lookup import DEFAULT_RECORD
from hpo.api.site import Placement
from hpo.errors import HPOError
from hpo.passwords import without_passwords_of
from hpo.text import clean, one_line

tracking_uri = click.option(
    "--tracking-uri", metavar="URI", envvar="MLFLOW_TRACKING_URI", default=DEFAULT_RECORD,
    help=f"Where MLflow keeps the record.  [MLFLOW_TRACKING_URI; default: {DEFAULT_RECORD}]",
)
figures_folder = click.option(
    "--figures", metavar="DIR", type=click.Path(path_type=Path, file_okay=False),
    help="Write the figures to DIR as PNG files.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
study_argument = click.argument("study")
overrides = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE",
    help="Override a key of the study file, such as round.trials=20; may be repeated.",
)
file_argument = click.argument("file", type=click.Path(path_type=Path))


@dataclass(frozen=True)
class RunOptions:
    """What a command line asks of a study beyond its file.

    `ranges` are such as "learning_rate=0.01:0.1", `overrides` such as "round.trials=20".
    """

    rounds: int | None = None
    trials: int | None = None
    ranges: Sequence[str] = ()
    keep_ranges: bool = False
    accept_code: bool = False
    overrides: Sequence[str] = ()


@dataclass(frozen=True)
class ConfirmOptions:
    """What a command line asks of a confirmation beyond the study's file."""

    top: int | None = None
    repeats: int | None = None
    resplit: bool = False
    accept_code: bool = False
    overrides: Sequence[str] = ()

    def settings(self) -> dict[str, Any]:
        """Return what it says in place of the table [confirm]."""
        given = {"top": self.top, "repeats": self.repeats, "resplit": self.resplit or None}
        return {key: value for key, value in given.items() if value is not None}


@dataclass(frozen=True)
class ExtendOptions:
    """What a command line asks of longer training: of how many trials, for how many epochs."""

    top: int
    epochs: int
    accept_code: bool = False
    overrides: Sequence[str] = ()


@dataclass(frozen=True)
class EvaluateOptions:
    """What a command line asks of an evaluation beyond the study's file."""

    top: int = 1
    again: bool = False
    kept: bool = False
    overrides: Sequence[str] = ()


def given(options: Any) -> dict[str, Any]:
    """Return what gathered options say, but for what overrides the study file."""
    values = {field.name: getattr(options, field.name) for field in fields(options)}
    del values["overrides"]
    return values


def _gathered(name: str, kind: type[Any], *options: Any) -> Callable[[Any], Any]:
    """Return a decorator that adds options to a command, which gets them as one value."""

    def decorate(command: Any) -> Any:
        @functools.wraps(command)
        def with_value(**given: Any) -> Any:
            values = {field.name: given.pop(field.name) for field in fields(kind)}
            return command(**given, **{name: kind(**values)})

        for option in reversed(options):
            with_value = option(with_value)
        return with_value

    return decorate


_accept_code = click.option(
    "--accept-code", is_flag=True,
    help="Go on although the code of the objective changed; that is on record.",
)
run_options = _gathered(
    "options", RunOptions,
    click.option("--rounds", type=click.IntRange(1), help="How many rounds there shall be in all."),
    click.option("--trials", type=click.IntRange(1), help="Trials of each new round."),
    click.option("--range", "ranges", multiple=True, metavar="NAME=LOW:HIGH",
                 help="Overrule a range of the next round; may be repeated."),
    click.option("--keep-ranges", is_flag=True, help="Do not move any range between rounds."),
    _accept_code,
    overrides,
)
confirm_options = _gathered(
    "options", ConfirmOptions,
    click.option("--top", type=click.IntRange(1), help="How many of the best trials.  [5]"),
    click.option("--repeats", type=click.IntRange(1), help="How often each of them.  [3]"),
    click.option("--resplit", is_flag=True,
                 help="Draw the validation rows anew each time, too; never from the test set."),
    _accept_code,
    overrides,
)
extend_options = _gathered(
    "options", ExtendOptions,
    click.option("--top", type=click.IntRange(1), default=3, show_default=True,
                 help="How many of the best trials."),
    click.option("--epochs", type=click.IntRange(1, 10**9 - 1), required=True,
                 help="How many epochs in all."),
    _accept_code,
    overrides,
)
evaluate_options = _gathered(
    "options", EvaluateOptions,
    click.option("--top", type=click.IntRange(1), default=1, show_default=True,
                 help="Average the outputs of so many of the best trials."),
    click.option("--again", is_flag=True,
                 help="Use a test set that is spent, and mark the result as repeated."),
    click.option("--kept", is_flag=True,
                 help="Score the weights that were validated, from their kept copies."),
    overrides,
)
placement_options = _gathered(
    "placement", Placement,
    click.option("--workers", type=click.IntRange(1), help="CPUs of the Ray it starts.  [all]"),
    click.option("--ray-address", metavar="ADDRESS", envvar="RAY_ADDRESS",
                 help="An existing Ray cluster to use.  [RAY_ADDRESS]"),
    click.option("--inline", is_flag=True, help="Train in this process, without Ray."),
)


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog='To complete commands and options, add eval "$(_HPO_COMPLETE=bash_source hpo)" to '
    "~/.bashrc, or with zsh_source to ~/.zshrc; README has the line for fish.",
)
@click.version_option(package_name="hpo")
def hpo() -> None:
    """Search for hyperparameters in rounds, with every trial on record.

    Start with `hpo run studies/digits.toml`, then look at it with `hpo show digits` or `hpo ui`.
    STUDY is the name of a study or its file.
    """


def complain(error: HPOError) -> None:
    """Print an error as one line, without any password of the command line or environment."""
    given = [*sys.argv, os.environ.get("MLFLOW_TRACKING_URI", "")]
    click.echo(f"hpo: {without_passwords_of(given, one_line(str(error)))}", err=True)


def say(text: str) -> None:
    """Print text that may hold what a file, a program or a shared record says."""
    click.echo(clean(text))


def escaped(text: str) -> str:
    """Return text in which Rich finds no markup."""
    from rich.markup import escape

    return escape(text)
