"""Commands that send a study to a cluster, and stop it there."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from hpo import wording
from hpo.cli.options import RunOptions, file_argument, hpo, run_options, say, study_argument
from hpo.cli.session import study_name


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


@hpo.command()
@file_argument
@run_options
@click.option("--with", "also", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
              help="Send this file as well; may be repeated.")
@_cluster_options
def submit(
    file: Path, options: RunOptions, also: Sequence[Path], address: str | None, env_file: Path
) -> None:
    """Send the study in FILE to a Ray cluster, which runs it, or goes on with it.

    Returns at once. The study file travels, the data it names by a relative path, the module of
    its objective and what that imports from beside it; nothing else does.
    """
    from hpo.cli.ranges import parse_range
    from hpo.cluster import connect, pack
    from hpo.study import read

    study = read(file, options.overrides)
    for text in options.ranges:
        parse_range(text, study.search_space)
    parcel = pack(study, also)
    cluster = connect(address, env_file)
    job = cluster.submit(study.name, parcel, options.as_arguments())
    files = wording.count(len(parcel.files), "file")
    click.echo(
        f"sent {files}, {wording.number(parcel.bytes / 1000)} kB; {study.name} runs at "
        f"{cluster.address} as the job {job}\n"
        f"follow it: {cluster.log_command(job)}\n"
        f"stop it:   hpo cancel {shlex.quote(study.name)}"
    )


@hpo.command()
@study_argument
@_cluster_options
def cancel(study: str, address: str | None, env_file: Path) -> None:
    """Stop STUDY on the cluster; what is finished is kept, and `hpo submit` goes on with it."""
    from hpo.cluster import connect

    name = study_name(study)
    job = connect(address, env_file).cancel(name)
    say(f"{name}: stopped ({job}); what is finished is kept")
