"""Commands that steer a study while it goes on: points to try next, and trials to end."""

import re
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from hpo.cli.options import hpo, say, study_argument, tracking_uri
from hpo.cli.session import existing_record, find, study_name
from hpo.errors import InputError
from hpo.search_space import packed
from hpo.text import clean

# Everything that takes long to import is imported inside the commands: `hpo --help` is instant.
if TYPE_CHECKING:
    from hpo.distributions import Distribution
    from hpo.record.values import Recorded, Round


@hpo.command()
@study_argument
@click.argument("values", metavar="NAME=VALUE...", nargs=-1, required=True)
@tracking_uri
def add(study: str, values: Sequence[str], tracking_uri: str) -> None:
    """Add a point to STUDY, to be tried next.

    It is one trial more: the next one of the round that runs, else the first of what `hpo run`
    goes on with. Values may lie outside the ranges; those left out are drawn at random.
    """
    from hpo.cli.points import parse_point
    from hpo.record.values import last_round
    from hpo.service.proposals import feasibility_of

    record, name = existing_record(tracking_uri), study_name(study)
    recorded = find(record, name)
    last = last_round(name, recorded)
    space = {**last.search_space, **_with_all_choices(last)}
    point = parse_point(values, space)
    reason = feasibility_of(last).reason_against_start(point)
    if reason is not None:
        raise InputError(f"the point cannot be trained with: {clean(reason)}; move it")
    of_study = record.study(name)
    of_study.add([point])
    shown = ", ".join(f"{n} = {value}" for n, value in packed(point).items())
    if of_study.is_run():
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
    record, name = existing_record(tracking_uri), study_name(study)
    recorded = find(record, name)
    round_, number = _running_trial(trial, recorded)
    of_study = record.study(name)
    if not of_study.is_run():
        raise InputError(f"{name} is not running, so neither is trial {trial}")
    of_study.stop(round_.run_id, number, clean(reason))
    say(f"asked trial {trial} of {name} to stop; "
        f"`hpo show {shlex.quote(name)}` counts it once it has")


def _with_all_choices(last: "Round") -> "dict[str, Distribution]":
    """Return the distributions with choices as the study file has them, left out ones too."""
    from hpo.distributions import CategoricalDistribution

    return {
        name: first for name, first in last.settings.search_space.items()
        if isinstance(first, CategoricalDistribution)
    }


def _running_trial(text: str, recorded: "Recorded") -> "tuple[Round, int]":
    """Return the round and the number that "2/17" names; InputError where that cannot run."""
    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
    if not found:
        raise InputError(f"{text}: write it as ROUND/NUMBER, such as 2/17")
    number = int(found[2])
    last = recorded.rounds[-1] if recorded.rounds else None
    if last is None or last.number != int(found[1]) or last.ended:
        which = f"round {last.number}" if last is not None and not last.ended else "no round"
        raise InputError(f"{text}: round {int(found[1])} is not running; {which} is")
    if number in recorded.numbers(last.number):
        raise InputError(f"{text}: this trial has ended already; name one that runs")
    # Some that run have no run on record yet.
    seen = [trial.number for trial in recorded.attempts if trial.round == last.number]
    most = max([0, *recorded.numbers(last.number), *seen]) + last.settings.parallel
    if not 1 <= number <= most:
        raise InputError(f"{text}: round {last.number} has no such trial yet; name one that runs")
    return last, number
