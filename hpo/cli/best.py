"""The command that prints the trial of a study to go on with, ready to paste."""

import json

import click

from hpo.cli.options import as_json, hpo, say, study_argument, tracking_uri
from hpo.errors import InputError
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
    from hpo.api.results import load

    if as_toml and as_json:
        raise InputError("--toml and --json are two ways to print the same: leave one out")
    found = load(study, tracking_uri).best(observed=observed)
    if as_json:
        click.echo(json.dumps(found.to_table(), indent=2))
        return
    if found.recommended is not None and found.recommended.differs:
        click.echo(one_line(found.recommended.reason), err=True)
    if as_toml:
        click.echo(to_toml(found.hyperparameters), nl=False)
        return
    say(str(found))
    for hyperparameter, chosen in found.hyperparameters.items():
        text = one_line(chosen) if isinstance(chosen, str) else toml_value(chosen)
        say(f"{one_line(hyperparameter)} = {text}")
