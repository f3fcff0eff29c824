"""Commands that steer a running study: add a point, stop a trial."""

import shlex
from collections.abc import Sequence

import click

from hpo.cli.options import examples, hpo, say, study_argument, tracking_uri
from hpo.search_space import packed


@hpo.command(epilog=examples("hpo add digits learning_rate=0.02 weight_decay=1e-5"))
@study_argument
@click.argument("values", metavar="NAME=VALUE...", nargs=-1, required=True)
@tracking_uri
def add(study: str, values: Sequence[str], tracking_uri: str) -> None:
    """Add a point to try next in STUDY.

    Adds one trial with the hyperparameters you choose: to the running round, or else to the next
    `hpo run`. Values may be outside the ranges; hyperparameters you leave out are sampled at
    random.
    """
    from hpo.api import steering
    from hpo.api.results import load

    results = load(study, tracking_uri)
    name = results.name
    point, is_run = steering.add(results.record, results.recorded, values)
    shown = ", ".join(f"{n} = {value}" for n, value in packed(point).items())
    if is_run:
        say(f"added to {name}: {shown}; it will be one of the next trials")
    else:
        file = study if study.endswith(".toml") else "FILE"
        say(f"added to {name}: {shown}; `hpo run {shlex.quote(file)}` will train it")


@hpo.command(epilog=examples('hpo stop digits 2/17 --reason "loss is flat"'))
@study_argument
@click.argument("trial", metavar="ROUND/TRIAL")
@click.option("--reason", default="", metavar="TEXT", help="Reason to record with the trial.")
@tracking_uri
def stop(study: str, trial: str, reason: str, tracking_uri: str) -> None:
    """Stop one running trial of STUDY, for example 2/17.

    Its results so far are kept, as for a pruned trial. This takes a few seconds; with --inline, the
    trial stops after its current epoch. To stop the whole study, press Ctrl-C where it runs, or
    use `hpo cancel` for a study on a cluster.
    """
    from hpo.api import steering
    from hpo.api.results import load

    results = load(study, tracking_uri)
    steering.stop(results.record, results.recorded, trial, reason)
    say(f"asked trial {trial} of {results.name} to stop; "
        f"`hpo show {shlex.quote(results.name)}` counts it once it has stopped")
