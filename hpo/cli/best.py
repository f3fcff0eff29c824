"""The command that prints the best trial of a study, ready to paste."""

import json

import click

from hpo.cli.options import as_json, examples, hpo, say, study_argument, tracking_uri
from hpo.errors import InputError
from hpo.text import one_line
from hpo.toml_text import to_toml, toml_value


@hpo.command(epilog=examples(
    "hpo best digits               for reading",
    "hpo best digits --toml        for a study file",
    "hpo best digits --json        for a script",
))
@study_argument
@click.option("--toml", "as_toml", is_flag=True,
              help="Print TOML for the table [fixed] of a study file.")
@click.option("--observed", is_flag=True,
              help="Print the trial with the best observed value (or best mean), "
              "which `hpo show` lists first.")
@tracking_uri
@as_json
def best(study: str, as_toml: bool, observed: bool, tracking_uri: str, as_json: bool) -> None:
    """Print the best trial of STUDY, ready to paste.

    This is the trial that `hpo show` recommends, with all digits of its hyperparameters, one per
    line. If a different trial has the best observed value, a note on standard error says why it
    is not the one recommended.
    """
    from hpo.api.results import load

    if as_toml and as_json:
        raise InputError("--toml and --json cannot be combined; drop one of them")
    found = load(study, tracking_uri).best(observed=observed)
    if as_json:
        click.echo(json.dumps(found.to_table(), indent=2))
        return
    if found.recommended is not None and found.recommended.differs:
        click.echo(f"recommended: {one_line(found.recommended.reason)}", err=True)
    if as_toml:
        click.echo(to_toml(found.hyperparameters), nl=False)
        return
    say(str(found))
    for hyperparameter, chosen in found.hyperparameters.items():
        text = one_line(chosen) if isinstance(chosen, str) else toml_value(chosen)
        say(f"{one_line(hyperparameter)} = {text}")
