"""Commands that steer a study while it goes on: points to try next, and trials to end."""

import shlex
from collections.abc import Sequence

import click

from hpo.cli.options import hpo, say, study_argument, tracking_uri
from hpo.search_space import packed


@hpo.command()
@study_argument
@click.argument("values", metavar="NAME=VALUE...", nargs=-1, required=True)
@tracking_uri
def add(study: str, values: Sequence[str], tracking_uri: str) -> None:
    """Add a point to STUDY, to be tried next.

    It is one trial more: the next one of the round that runs, else the first of what `hpo run`
    goes on with. Values may lie outside the ranges; those left out are drawn at random.
    """
    from hpo.api import steering
    from hpo.api.results import load

    results = load(study, tracking_uri)
    name = results.name
    point, is_run = steering.add(results.record, results.recorded, values)
    shown = ", ".join(f"{n} = {value}" for n, value in packed(point).items())
    if is_run:
        say(f"added to {name}: {shown}; it is one of the next trials")
    else:
        file = study if study.endswith(".toml") else "FILE"
        say(f"added to {name}: {shown}; `hpo run {shlex.quote(file)}` goes on with it")


@hpo.command()
@study_argument
@click.argument("trial", metavar="ROUND/NUMBER")
@click.option("--reason", default="", metavar="TEXT", help="Why; it is kept with the trial.")
@tracking_uri
def stop(study: str, trial: str, reason: str, tracking_uri: str) -> None:
    """End one running trial of STUDY, such as 2/17.

    What it has reached by then is kept, as of a trial that the pruner ended. It takes some
    seconds; with --inline the trial ends at its next epoch. To stop the whole study, press Ctrl-C
    where it runs, or use `hpo cancel` on a cluster.
    """
    from hpo.api import steering
    from hpo.api.results import load

    results = load(study, tracking_uri)
    steering.stop(results.record, results.recorded, trial, reason)
    say(f"asked trial {trial} of {results.name} to stop; "
        f"`hpo show {shlex.quote(results.name)}` counts it once it has")
