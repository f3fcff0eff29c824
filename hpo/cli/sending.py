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
    examples,
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
                     help="File with settings that neither options nor the environment set.  "
                     "[default: .env]"),
        click.option("--cluster", "address", metavar="URL", envvar="RAY_API_SERVER_ADDRESS",
                     help="URL of the cluster's Ray dashboard.  [env: RAY_API_SERVER_ADDRESS]"),
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
        help="Also send this file. Repeatable.",
    )
    return also(_cluster_options(command))


@hpo.group(
    cls=_RunUnlessNamed, subcommand_metavar="[run|confirm|extend|evaluate] FILE",
    epilog=examples(
        "hpo submit study.toml --rounds 3",
        "hpo submit study.toml --with settings.json",
        "hpo submit evaluate study.toml",
    ),
)
def submit() -> None:
    """Run the study in FILE on a Ray cluster.

    Submits a job and returns immediately; submit again to resume. These files are sent: the study
    file, data that it names by a relative path, the module of the objective, and modules that it
    imports from the same folder. Send anything else with --with.

    `hpo submit FILE` is short for `hpo submit run FILE`.
    """


@submit.command("run")
@file_argument
@run_options
@_sending_options
def submit_run(file: Path, options: RunOptions, **where: Any) -> None:
    """Run the study in FILE; submit again to resume."""
    _send("run", file, options, **where)


@submit.command("confirm")
@file_argument
@confirm_options
@_sending_options
def submit_confirm(file: Path, options: ConfirmOptions, **where: Any) -> None:
    """Retrain the best trials with new seeds, like `hpo confirm`."""
    _send("confirm", file, options, **where)


@submit.command("extend")
@file_argument
@extend_options
@_sending_options
def submit_extend(file: Path, options: ExtendOptions, **where: Any) -> None:
    """Train the best trials for more epochs, like `hpo extend`."""
    _send("extend", file, options, **where)


@submit.command("evaluate")
@file_argument
@evaluate_options
@_sending_options
def submit_evaluate(file: Path, options: EvaluateOptions, **where: Any) -> None:
    """Score the best trial on the test set, once, like `hpo evaluate`.

    The trial is trained on the head node, where the job itself runs.
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
    """Submit a command for a study file; print how to follow and stop the job."""
    from hpo.api.sending import send
    from hpo.study import read

    study = read(file, options.overrides)
    sent = send(study, command, given(options), also, address, env_file)
    files, cluster = wording.count(len(sent.parcel.files), "file"), sent.cluster
    click.echo(
        f"sent {files}, {wording.number(sent.parcel.bytes / 1000)} kB, to {cluster.address}; "
        f"{study.name}: {command} runs as job {sent.job}\n"
        f"follow it: {cluster.log_command(sent.job)}\n"
        f"stop it:   hpo cancel {shlex.quote(study.name)}"
    )


@hpo.command()
@study_argument
@_cluster_options
def cancel(study: str, address: str | None, env_file: Path) -> None:
    """Stop STUDY on the cluster.

    Finished trials are kept; `hpo submit` resumes the study.
    """
    from hpo.cluster import connect

    name = study_name(study)
    job = connect(address, env_file).cancel(name)
    say(f"{name}: stopped job {job}; finished trials are kept")
