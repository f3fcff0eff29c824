"""Commands that send a study to a cluster, and stop it there."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpo import wording
from hpo.api.lookup import study_name
from hpo.cli.options import (
    ConfirmOptions,
    EvaluateOptions,
    ExtendOptions,
    RunOptions,
    confirm_options,
    evaluate_options,
    extend_options,
    file_argument,
    given,
    hpo,
    run_options,
    say,
    study_argument,
)

if TYPE_CHECKING:
    pass


def _cluster_options(command: Any) -> Any:
    """Add the options that say where the cluster is."""
    for option in (
        click.option("--env-file", type=click.Path(path_type=Path), default=".env",
                     help="Read from it what neither option nor environment says.  [.env]"),
        click.option("--cluster", "address", metavar="URL", envvar="RAY_API_SERVER_ADDRESS",
                     help="The Ray dashboard of the cluster.  [RAY_API_SERVER_ADDRESS]"),
    ):
        command = option(command)
    return command


class _RunUnlessNamed(click.Group):
    """A group whose command is `run` where none of its commands is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `run` before what is no command of the group."""
        if args and args[0] not in {*self.commands, *ctx.help_option_names}:
            args = ["run", *args]
        return super().parse_args(ctx, args)


def _sending_options(command: Any) -> Any:
    """Add the options that say what travels, and where to."""
    also = click.option(
        "--with", "also", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
        help="Send this file as well; may be repeated.",
    )
    return also(_cluster_options(command))


@hpo.group(cls=_RunUnlessNamed, subcommand_metavar="[run|confirm|extend|evaluate] FILE")
def submit() -> None:
    """Run the study in FILE on a Ray cluster.

    Goes on with it where it has begun, and returns at once. The study file travels, the data it
    names by a relative path, the module of its objective and what that imports from beside it;
    nothing else does. `hpo submit FILE` is short for `hpo submit run FILE`.
    """


@submit.command("run")
@file_argument
@run_options
@_sending_options
def submit_run(file: Path, options: RunOptions, **where: Any) -> None:
    """Run the study in FILE, or go on with it."""
    _send("run", file, options, **where)


@submit.command("confirm")
@file_argument
@confirm_options
@_sending_options
def submit_confirm(file: Path, options: ConfirmOptions, **where: Any) -> None:
    """Repeat the best trials of FILE, as `hpo confirm`."""
    _send("confirm", file, options, **where)


@submit.command("extend")
@file_argument
@extend_options
@_sending_options
def submit_extend(file: Path, options: ExtendOptions, **where: Any) -> None:
    """Train the best trials of FILE for more epochs, as `hpo extend`."""
    _send("extend", file, options, **where)


@submit.command("evaluate")
@file_argument
@evaluate_options
@_sending_options
def submit_evaluate(file: Path, options: EvaluateOptions, **where: Any) -> None:
    """Judge the best trial of FILE, as `hpo evaluate`.

    It is trained where the study's service runs, on the head.
    """
    _send("evaluate", file, options, **where)


def _send(
    command: str,
    file: Path,
    options: RunOptions | ConfirmOptions | ExtendOptions | EvaluateOptions,
    also: Sequence[Path],
    address: str | None,
    env_file: Path,
) -> None:
    """Send the study in a file and what is to be done with it; say how to follow and stop that."""
    from hpo.api.sending import send
    from hpo.study import read

    study = read(file, options.overrides)
    sent = send(study, command, given(options), also, address, env_file)
    files, cluster = wording.count(len(sent.parcel.files), "file"), sent.cluster
    click.echo(
        f"sent {files}, {wording.number(sent.parcel.bytes / 1000)} kB; {study.name}: {command} at "
        f"{cluster.address} as the job {sent.job}\n"
        f"follow it: {cluster.log_command(sent.job)}\n"
        f"stop it:   hpo cancel {shlex.quote(study.name)}"
    )


@hpo.command()
@study_argument
@_cluster_options
def cancel(study: str, address: str | None, env_file: Path) -> None:
    """Stop STUDY on the cluster.

    What is finished is kept, and `hpo submit` goes on with it.
    """
    from hpo.cluster import connect

    name = study_name(study)
    job = connect(address, env_file).cancel(name)
    say(f"{name}: stopped ({job}); what is finished is kept")
