"""The command that prints the trial of a study to go on with, ready to paste."""

import json

import click

from hpo import wording
from hpo.cli.options import as_json, hpo, say, study_argument, tracking_uri
from hpo.cli.session import read_recorded
from hpo.errors import InputError
from hpo.search_space import packed
from hpo.text import one_line
from hpo.toml_text import to_toml, toml_value


@hpo.command()
@study_argument
@click.option("--toml", "as_toml", is_flag=True, help="Print lines for a study file.")
@click.option("--observed", is_flag=True,
              help="Print the first one that `hpo show` lists: of the best value, or best mean.")
@tracking_uri
@as_json
def best(study: str, as_toml: bool, observed: bool, tracking_uri: str, as_json: bool) -> None:
    """Print the best trial of STUDY, ready to paste.

    It is the one that `hpo show` recommends. Where another one has the best value, a line on
    standard error says so, and why. Hyperparameters have all their digits, one on each line.
    """
    from hpo.record.values import last_round
    from hpo.search import confirmation
    from hpo.service.proposals import recommendation

    if as_toml and as_json:
        raise InputError("--toml and --json are two ways to print the same: leave one out")
    name, recorded = read_recorded(study, tracking_uri)
    settings = last_round(name, recorded).settings
    ranked = confirmation.ranked(recorded.results, recorded.repeats, settings.direction)
    if not ranked:
        raise InputError(f"the study {name!r} has no complete trial yet; run more of it")
    recommended = None if observed else recommendation(recorded)
    result = ranked[0]
    if recommended is not None:
        result = next(r for r in ranked if r.trial.id == recommended.trial.trial.id)
    trial, value = result.trial, result.value or 0.0
    hyperparameters = packed(trial.hyperparameters)
    longer = recommended.longer if recommended is not None else None
    if longer is not None:
        trial, value = longer.trial, longer.value or 0.0
        hyperparameters = packed(trial.values({}))
    if as_json:
        summary = {
            "study": name, "round": trial.round, "number": trial.number, "value": value,
            "metric": settings.metric, "hyperparameters": hyperparameters,
        }
        told = recommended.to_table() if recommended is not None else {}
        click.echo(json.dumps({**told, **summary}, indent=2))  # with the mean where there is one
        return
    if recommended is not None and recommended.differs:
        click.echo(one_line(recommended.reason), err=True)
    if as_toml:
        click.echo(to_toml(hyperparameters), nl=False)
        return
    confirmed = confirmation.confirmed(recorded.results, recorded.repeats).get(trial.id)
    mean = ""
    if confirmed is not None and confirmed.is_sound and longer is None:
        mean = f" (the mean of {wording.count(len(confirmed.values), 'repeat')})"
    say(f"{trial.id}: {one_line(settings.metric)} {wording.four_digits(value)}{mean}")
    for hyperparameter, chosen in hyperparameters.items():
        text = one_line(chosen) if isinstance(chosen, str) else toml_value(chosen)
        say(f"{one_line(hyperparameter)} = {text}")
