"""Commands that look at a study on record: list, show, logs, narrow, export, report, predict."""

import contextlib
import csv
import json
import shlex
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from hpo import wording
from hpo.api.pictures import draw_proposal, figures_of
from hpo.cli.options import (
    as_json,
    complain,
    escaped,
    figures_folder,
    file_argument,
    hpo,
    say,
    study_argument,
    tracking_uri,
)
from hpo.errors import HPOError, InputError
from hpo.text import clean

FOLLOW_SECONDS = 2.0

# Everything that takes long to import is imported inside the commands: `hpo --help` is instant.
if TYPE_CHECKING:
    from hpo.record.values import Recorded


@hpo.command("list")
@tracking_uri
@as_json
def list_studies(tracking_uri: str, as_json: bool) -> None:
    """List the studies on record.

    With --json, `health` has what a script can watch: whether a process runs the study, how long
    ago it gave a sign of life and had a result, and how many results wait for the record, or were
    refused by it and set aside.
    """
    from hpo.api.overview import summaries

    unread: list[InputError] = []
    studies = list(summaries(tracking_uri, unread.append))
    for error in unread:
        complain(error)  # and list the others all the same
    if as_json:
        click.echo(json.dumps([{**s, "rounds": len(s["rounds"])} for s in studies], indent=2))
        return
    from hpo.cli.tables import studies_table
    from hpo.display.console import open_console

    if studies:
        open_console().print(studies_table(studies))
    elif not unread:
        click.echo("no studies yet; start one with `hpo run FILE`")


@hpo.command()
@study_argument
@click.argument("trial", metavar="ROUND/TRIAL")
@click.option("--follow", "-f", is_flag=True, help="Go on with what a running trial prints.")
@click.option("--epochs", type=click.IntRange(1),
              help="What it printed when `hpo extend` trained it for so many.")
@tracking_uri
def logs(study: str, trial: str, follow: bool, epochs: int | None, tracking_uri: str) -> None:
    """Show what a trial of STUDY printed.

    ROUND/TRIAL is such as 2/17: trial 17 of round 2; where trials have parts, 2/17/3 is the third
    of them, and 2/17 the first. Of much output the beginning and the end are on record, and of a
    trial that still runs what it had printed a few seconds ago.
    """
    from hpo.api.results import load

    results = load(study, tracking_uri)
    run_id = results.run_of(trial, epochs)
    printed = ""
    while True:
        text, ended = results.record.output(run_id)
        going_on = follow and not ended
        if going_on:
            text = text[: text.rfind("\n") + 1]  # whole lines
        if not text.startswith(printed):
            printed = ""  # its middle was left out meanwhile
        new, printed = text[len(printed) :], text
        for line in new.removesuffix("\n").split("\n") if new else ():
            click.echo(clean(line.rstrip("\r").rpartition("\r")[2]))  # a bar as it was last
        if not going_on:
            break
        time.sleep(FOLLOW_SECONDS)


@hpo.command()
@study_argument
@click.option("--round", "round_number", type=click.IntRange(1), help="Only this round.")
@click.option("--top", type=click.IntRange(1), default=10, show_default=True,
              help="How many of the best trials.")
@click.option("--wide", is_flag=True, help="Show every hyperparameter, however wide that is.")
@figures_folder
@tracking_uri
@as_json
def show(
    study: str,
    round_number: int | None,
    top: int,
    wide: bool,
    figures: Path | None,
    tracking_uri: str,
    as_json: bool,
) -> None:
    """Show the rounds and the best trials of STUDY.

    The best of many noisy values is mostly luck. The recommended trial has the best estimate, by
    the values of trials near it and by its repeats; that of the best value stands beside it.

    Where a table is too wide for the terminal, the hyperparameters that matter most are shown.

    The figures are learning curves of the best trials and of all, the ranges by round, a map of
    two hyperparameters, the best value so far, how strong the evidence is that each
    hyperparameter matters, and the ranges proposed for the next round. They also stand under
    Artifacts of each round's run in MLflow, as of its end.
    """
    from hpo.api.results import load
    from hpo.search import confirmation
    from hpo.search.extension import extensions_of, longest
    from hpo.service.proposals import influential
    from hpo.trial import State

    of_study = load(study, tracking_uri)
    name, recorded = of_study.name, of_study.recorded
    summary = of_study.summary(round_number)
    files: list[Path] = []
    if figures is not None and summary["rounds"]:
        files = of_study.figures(figures, round_number)
    if as_json:
        drawn = {"figures": [str(file) for file in files]} if files else {}
        click.echo(json.dumps(summary | drawn, indent=2))
        return
    from hpo.cli.tables import best_trials, extension_table, no_best, rounds_table
    from hpo.display.console import open_console
    from hpo.distributions import describe
    from hpo.search_space import wholes

    if not summary["rounds"]:
        say(f"{name}: no round yet")
        return
    numbers = [r["round"] for r in summary["rounds"]]
    results = [r for r in recorded.results if r.trial.round in numbers]
    spaces = [
        {n: describe(d) for n, d in wholes(r.search_space).items()}
        for r in recorded.rounds if r.number in numbers
    ]
    console = open_console()
    console.print(f"[bold]{escaped(name)}[/bold]: {summary['direction']} {summary['metric']}\n")
    order = influential(recorded) if console.is_terminal and not wide else ()
    console.print(rounds_table(summary["rounds"], spaces, order=order, whole=wide))
    console.print()
    ranked = confirmation.ranked(results, recorded.repeats, summary["direction"])
    known = confirmation.confirmed(results, recorded.repeats)
    metric = summary["metric"]
    table = best_trials(ranked[:top], metric, known, order=order, whole=wide)
    console.print(table if ranked else no_best(results))
    extended = extensions_of(results, recorded.extensions)
    if extended:
        console.print("\n[bold]trained longer[/bold]")
        console.print(extension_table(longest(extended, summary["direction"]), metric))
    recommended = of_study.recommendation() if round_number is None else None
    if recommended:
        console.print(f"\nrecommended: {escaped(str(recommended))}")
    better = confirmation.unconfirmed_best(results, recorded.repeats, summary["direction"])
    if better:
        console.print(f"\n{escaped(better)}")
    if recorded.looks:
        console.print(f"\ntest set {escaped(_spent(recorded))}")
    for r in (*results, *recorded.extensions):
        if r.state is State.FAILED:
            console.print(f"\n{r.trial.id} failed:\n{escaped(r.message)}")
    if files:
        console.print(f"\nfigures: {escaped(', '.join(map(str, files)))}")


@hpo.command()
@study_argument
@figures_folder
@tracking_uri
@as_json
def narrow(study: str, figures: Path | None, tracking_uri: str, as_json: bool) -> None:
    """Propose the next ranges of STUDY, with reasons and a figure.

    The figure goes to DIR/proposal.png, or without --figures to figures/proposal.png of the last
    round's run in MLflow; with --json to DIR only.
    """
    from hpo.api.results import load
    from hpo.service import proposals

    results = load(study, tracking_uri)
    last, proposal = results.last_round, results.narrow()
    drawn = {}
    if figures is not None:
        drawn = {"figure": str(draw_proposal(results.recorded, proposal.moves, figures))}
    if as_json:
        summary = {
            "study": results.name, "round": proposal.round, "moves": proposal.to_table(), **drawn
        }
        click.echo(json.dumps(summary, indent=2))
        return
    from hpo.cli.tables import MovesTable
    from hpo.display.console import open_console

    console = open_console()
    console.print(MovesTable(proposal.moves))
    if not proposals.is_found(last):
        console.print(
            f"{escaped(last.settings.objective)} is not found here, so its limits are not "
            "known: name the study file instead"
        )
    if not last.ended:
        console.print(f"round {last.number} has not ended: this is what its trials so far say")
    if figures is None:
        drawn["figure"] = f"figures/proposal.png of round {last.number} in MLflow"
        try:
            with figures_of(results.record, last.run_id) as folder:
                draw_proposal(results.recorded, proposal.moves, folder)
        except HPOError as error:
            drawn["figure"] = f"not kept: {error}"
    console.print(f"\nfigure:   {escaped(drawn['figure'])}")
    file = shlex.quote(study) if study.endswith(".toml") else "FILE"
    click.echo(f"take it:  hpo run {file} --rounds {last.number + 1}\n"
               "overrule: --range NAME=LOW:HIGH, or --keep-ranges")


@hpo.command()
@study_argument
@file_argument
@click.option("--repeats", is_flag=True, help="Write what `hpo confirm` trained again as well.")
@click.option("--parts", is_flag=True, help="Write the parts of trials as well, such as folds.")
@click.option("--extensions", is_flag=True, help="Write what `hpo extend` trained as well.")
@tracking_uri
def export(
    study: str, file: Path, repeats: bool, parts: bool, extensions: bool, tracking_uri: str
) -> None:
    r"""Write all trials of STUDY to FILE, one row a trial.

    A row has the hyperparameters, the value, and all metrics of the last epoch. Where two columns
    would have the same name, one is called params.NAME or metrics.NAME. With --repeats, rows below
    a trial hold its repeats, which the columns repeat and resplit tell apart; with --parts, its
    parts, by the column part; with --extensions, what it came to after more epochs, by the column
    extended_to.

    FILE ends in .csv, .parquet or .json. In a .csv file, text that a spreadsheet would run as a
    formula (it begins with = + - or @, a tab or a line break, and is no number) begins with a quote
    (') instead, and control characters are written as \x1b. The other formats keep all text as it
    is.
    """
    from hpo.api.results import load

    results = load(study, tracking_uri)
    recorded = results.recorded
    results.export(file, repeats=repeats, parts=parts, extensions=extensions)
    more = {
        "repeat": (repeats, recorded.repeats), "part": (parts, recorded.parts),
        "extension": (extensions, recorded.extensions),
    }
    said = wording.count(len(recorded.results), "trial")
    for noun, (wanted, some) in more.items():
        if wanted:
            said += f" and {wording.count(len(some), noun)}"
        elif some:
            said += f"; --{noun}s adds {wording.count(len(some), noun)}"
    say(f"{file}: {said}")


@hpo.command()
@study_argument
@file_argument
@tracking_uri
def report(study: str, file: Path, tracking_uri: str) -> None:
    """Write STUDY to FILE, as one page that needs no network.

    It has the best so far, parallel coordinates, what matters, the surface along each
    hyperparameter, and over two, with the next ranges and why, learning curves, workers over time,
    and all trials. Brushes and states choose which of them it shows. FILE ends in .html, or in
    .json for its data alone. Each round's run in MLflow has the page, too, as of its end.
    """
    from hpo.api.results import load

    results = load(study, tracking_uri)
    results.report(file)
    say(f"{file}: {wording.count(len(results.recorded.results), 'trial')}")


@hpo.command()
@study_argument
@click.argument("rows", type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="Write the predictions to this .csv file.  [printed]")
@tracking_uri
def predict(study: str, rows: Path, output: Path | None, tracking_uri: str) -> None:
    """Predict ROWS, a file, with the model that `hpo evaluate` kept.

    ROWS is a .csv, .tsv or .parquet file. It has the columns of the study's table, as they are
    there; others are left aside. Of images it has one column for each pixel. The result is a label
    and the probability of each class, or a value, for each row.
    """
    from hpo.api.results import load

    predictions, filled = load(study, tracking_uri).predicted(rows)
    for column, count in filled.items():
        where = f"of column {column!r} " if column else ""
        click.echo(f"{rows}: {count} missing values {where}filled as in training", err=True)
    _write_columns(predictions, output)


def _write_columns(columns: "Mapping[str, Any]", output: Path | None) -> None:
    """Write columns of equal length as CSV to a file, or print them."""
    lists = [column.tolist() for column in columns.values()]
    rows: Iterable[Sequence[Any]] = zip(*lists, strict=True)
    if output is None:  # labels are texts of the data, and a terminal obeys some characters
        rows = ([clean(c) if isinstance(c, str) else c for c in row] for row in rows)
        columns = {clean(name): column for name, column in columns.items()}
    try:
        with contextlib.ExitStack() as stack:
            file: TextIO = sys.stdout
            if output is not None:
                file = stack.enter_context(output.open("w", newline="", encoding="utf-8"))
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(rows)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise InputError(f"{output}: {error.strerror or error}; name another file") from error


def _spent(recorded: "Recorded") -> str:
    """Return when the test set was spent, and with what result."""
    from hpo.evaluation import shown_time

    last = recorded.looks[-1]
    times = f", look {last.number} at it" if last.number > 1 else ""
    return f"spent on {shown_time(last.when)}{times}: {last.result or 'that look broke off'}"
