"""The command that checks a study file, and tries it out."""

import json
from collections.abc import Sequence
from pathlib import Path

import click

from hpo import wording
from hpo.cli.options import (
    as_json,
    examples,
    file_argument,
    hpo,
    overrides,
    say,
)
from hpo.text import one_line


@hpo.command(epilog=examples(
    "hpo check study.toml",
    "hpo check study.toml --try",
    "hpo check study.toml --set round.trials=100",
))
@file_argument
@click.option("--data", "with_data", is_flag=True, help="Also read and split the data.")
@click.option("--try", "tries", is_flag=True,
              help="Also train one trial for two epochs, then save, load, and query its model.")
@overrides
@as_json
def check(
    file: Path, with_data: bool, tries: bool, overrides: Sequence[str], as_json: bool
) -> None:
    """Check the study file FILE; with --try, also try it out.

    Checks every key of FILE, and that the objective accepts its hyperparameters. With --try, the
    objective runs briefly in this process, and everything that `hpo run` and `hpo evaluate` need
    from it is tested once. Test rows are never used, and nothing is recorded.
    """
    from hpo.api import checking
    from hpo.study import read

    if tries:  # it imports all that an evaluation needs
        from hpo.rehearsal import rehearse

    study = read(file, overrides)
    summary, split, reasons, sources = checking.check(study, data=with_data, split=tries)
    if as_json:
        if tries:
            summary["try"] = []
            rehearse(study, split, summary["try"].append)
        click.echo(json.dumps(summary, indent=2))
        return
    is_checked = "" if tries else "OK. "
    say(f"{file}: {is_checked}{study.direction} {study.metric} of {study.objective.name}, "
         f"{wording.count(study.rounds, 'round')} of "
         f"{wording.count(study.round.trials, 'trial')} ({study.round.sampler})")
    for name, text in summary["search_space"].items():
        say(f"  {name}: {text}")
    if reasons:
        reason, feasible = next(iter(reasons)), summary["feasible_share"]
        about = f"about {feasible:.0%}" if feasible >= 0.01 else "less than 1%"
        say(f"  {about} of the search space is feasible; the most common reason for the rest: "
            f"{one_line(reason)}")
    if with_data:
        data = summary["data"]
        counted = {part: f"{rows} {part}" for part, rows in data["rows"].items()}
        if data["folds"]:
            counted["validation"] += f" (the first of {data['folds']} folds)"
        rows = ", ".join(counted.values())
        if data["left_out"]:
            rows += f", {data['left_out']} left out"
        say(f"  data: {data['source']}, {data['task']}, rows: {rows}, "
                   f"inputs {'x'.join(map(str, data['shape']))}")
        for note in data["notes"]:
            say(f"    {note}")
    for line in sources:
        say(f"  warm start: {line}")
    if tries:
        rehearse(study, split, lambda line: say(f"  {line}"))
        say(f"{file}: OK")
