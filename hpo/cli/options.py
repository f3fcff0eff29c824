"""The command group, options shared by several commands, and how they print."""

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
    help="Where MLflow keeps the record.  "
    f"[env: MLFLOW_TRACKING_URI; default: {DEFAULT_RECORD}]",
)
figures_folder = click.option(
    "--figures", metavar="DIR", type=click.Path(path_type=Path, file_okay=False),
    help="Also write figures to DIR as PNG files.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
study_argument = click.argument("study")
study_file_argument = click.argument("study", metavar="FILE")
overrides = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE",
    help="Override a key of the study file, e.g. round.trials=20. Repeatable.",
)
file_argument = click.argument("file", type=click.Path(path_type=Path))


def examples(*lines: str) -> str:
    """Return lines of examples as Click shows them below the options, unwrapped."""
    heading = "Examples:" if len(lines) > 1 else "Example:"
    return "\n".join(["\b", heading, *(f"  {line}" for line in lines)])


@dataclass(frozen=True)
class RunOptions:
    """The options of `hpo run`.

    `ranges` look like "learning_rate=0.01:0.1", `overrides` like "round.trials=20".
    """

    rounds: int | None = None
    trials: int | None = None
    ranges: Sequence[str] = ()
    keep_ranges: bool = False
    accept_code: bool = False
    overrides: Sequence[str] = ()


@dataclass(frozen=True)
class ConfirmOptions:
    """The options of `hpo confirm`."""

    top: int | None = None
    repeats: int | None = None
    resplit: bool = False
    accept_code: bool = False
    overrides: Sequence[str] = ()

    def settings(self) -> dict[str, Any]:
        """Return the options that replace keys of the table [confirm]."""
        given = {"top": self.top, "repeats": self.repeats, "resplit": self.resplit or None}
        return {key: value for key, value in given.items() if value is not None}


@dataclass(frozen=True)
class ExtendOptions:
    """The options of `hpo extend`."""

    top: int
    epochs: int
    accept_code: bool = False
    overrides: Sequence[str] = ()


@dataclass(frozen=True)
class EvaluateOptions:
    """The options of `hpo evaluate`."""

    top: int = 1
    again: bool = False
    kept: bool = False
    accept_code: bool = False
    overrides: Sequence[str] = ()


def given(options: Any) -> dict[str, Any]:
    """Return gathered options by name, without those that override the study file."""
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
    help="Continue although the objective's code has changed; the record notes it.",
)
run_options = _gathered(
    "options", RunOptions,
    click.option("--rounds", type=click.IntRange(1), metavar="N", help="Total number of rounds."),
    click.option("--trials", type=click.IntRange(1), metavar="N",
                 help="Number of trials in each new round."),
    click.option("--range", "ranges", multiple=True, metavar="NAME=LOW:HIGH",
                 help="Set a range of the next round yourself, e.g. learning_rate=1e-3:0.1. "
                 "Repeatable."),
    click.option("--keep-ranges", is_flag=True, help="Keep all ranges as they are between rounds."),
    _accept_code,
    overrides,
)
confirm_options = _gathered(
    "options", ConfirmOptions,
    click.option("--top", type=click.IntRange(1), metavar="N",
                 help="Number of best trials to repeat (default: 5)."),
    click.option("--repeats", type=click.IntRange(1), metavar="N",
                 help="Number of repeats of each trial (default: 3)."),
    click.option("--resplit", is_flag=True,
                 help="Also choose new validation rows for each repeat; test rows are never used."),
    _accept_code,
    overrides,
)
extend_options = _gathered(
    "options", ExtendOptions,
    click.option("--top", type=click.IntRange(1), metavar="N", default=3, show_default=True,
                 help="Number of best trials to extend."),
    click.option("--epochs", type=click.IntRange(1, 10**9 - 1), metavar="N", required=True,
                 help="Total number of epochs."),
    _accept_code,
    overrides,
)
evaluate_options = _gathered(
    "options", EvaluateOptions,
    click.option("--top", type=click.IntRange(1), metavar="N", default=1, show_default=True,
                 help="Ensemble this many of the best trials by averaging their outputs."),
    click.option("--again", is_flag=True,
                 help="Score on the test set again, and mark the result as repeated."),
    click.option("--kept", is_flag=True,
                 help="Score the kept copy of the trained model instead of retraining."),
    _accept_code,
    overrides,
)
placement_options = _gathered(
    "placement", Placement,
    click.option("--workers", type=click.IntRange(1), metavar="N",
                 help="Number of CPUs for a local Ray (default: all)."),
    click.option("--ray-address", metavar="ADDRESS", envvar="RAY_ADDRESS",
                 help="Use this running Ray cluster.  [env: RAY_ADDRESS]"),
    click.option("--inline", is_flag=True, help="Train in this process, without Ray."),
)


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "hpo init                      write a first study, mine.py and mine.toml",
        "hpo run mine.toml             run it; run it again to resume",
        "hpo show mine                 show its rounds and best trials",
        "hpo best mine                 print its best hyperparameters",
        "hpo ui mine                   browse its trials in the MLflow UI",
    ) + """

\b
Shell completion; add this line to:
  ~/.bashrc                   eval "$(_HPO_COMPLETE=bash_source hpo)"
  ~/.zshrc                    eval "$(_HPO_COMPLETE=zsh_source hpo)"
  ~/.config/fish/config.fish  _HPO_COMPLETE=fish_source hpo | source""",
)
@click.version_option(package_name="hpo")
def hpo() -> None:
    """Optimize hyperparameters in rounds, with every trial recorded in MLflow.

    FILE is a study file. STUDY is the name of a study or its study file.
    """


def complain(error: HPOError) -> None:
    """Print an error as one line, without any password of the command line or environment."""
    given = [*sys.argv, os.environ.get("MLFLOW_TRACKING_URI", "")]
    click.echo(f"hpo: {without_passwords_of(given, one_line(str(error)))}", err=True)


def say(text: str) -> None:
    """Print text that may contain text from a file, a program, or a shared record."""
    click.echo(clean(text))


def escaped(text: str) -> str:
    """Return text in which Rich finds no markup."""
    from rich.markup import escape

    return escape(text)
