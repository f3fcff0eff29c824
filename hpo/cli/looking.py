"""Commands that read the record: list, show, logs, narrow, export, report, predict."""

import contextlib
import csv
import itertools
import json
import shlex
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from hpo import wording
from hpo.api.pictures import draw_proposal
from hpo.cli.options import (
    as_json,
    complain,
    escaped,
    examples,
    figures_folder,
    file_argument,
    hpo,
    say,
    study_argument,
    tracking_uri,
)
from hpo.errors import InputError
from hpo.record.file import is_server
from hpo.text import clean

FOLLOW_SECONDS = 2.0

# Everything that takes long to import is imported inside the commands: `hpo --help` is instant.
if TYPE_CHECKING:
    from hpo.record.values import Recorded


@hpo.command("list")
@tracking_uri
@as_json
def list_studies(tracking_uri: str, as_json: bool) -> None:
    """List the recorded studies.

    With --json, `health` is for monitoring: whether a process is running the study, the seconds
    since its last sign of life and its last result, and how many results are waiting to be
    recorded or were set aside because the record refused them.
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


@hpo.command(epilog=examples("hpo logs digits 2/17", "hpo logs digits 2/17 --follow"))
@study_argument
@click.argument("trial", metavar="ROUND/TRIAL")
@click.option("--follow", "-f", is_flag=True, help="Keep printing new output while the trial runs.")
@click.option("--epochs", type=click.IntRange(1), metavar="N",
              help="Show its output when `hpo extend` trained it for this many epochs.")
@tracking_uri
def logs(study: str, trial: str, follow: bool, epochs: int | None, tracking_uri: str) -> None:
    """Show the output of a trial of STUDY.

    For example, 2/17 is trial 17 of round 2. If trials have parts (seeds or folds), 2/17/3 is its
    third part, and 2/17 means the first. Long output is cut in the middle. The output of a running
    trial lags by a few seconds.
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
    if not printed:
        said = "printed nothing" if ended else "has printed nothing so far"
        failure = results.failure_of(trial, epochs) if ended else ""
        click.echo(f"trial {trial} {said}{failure and f'; it failed: {failure}'}", err=True)


@hpo.command(epilog=examples(
    "hpo show digits",
    "hpo show digits --round 2 --top 20",
    "hpo show digits --figures figures",
))
@study_argument
@click.option("--round", "round_number", type=click.IntRange(1), metavar="N",
              help="Show only this round.")
@click.option("--top", type=click.IntRange(1), metavar="N", default=10, show_default=True,
              help="Number of best trials to list.")
@click.option("--wide", is_flag=True,
              help="Show every hyperparameter, however wide the tables get.")
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

    The best of many noisy values is mostly luck, so hpo recommends the trial with the best
    estimate, based on the values of nearby trials and on its repeats. The trial with the best
    observed value is listed as well.

    If a table is too wide for the terminal, the hyperparameters that matter most are shown.

    --figures draws the learning curves of the best trials and of all trials, the ranges by round,
    a map of two hyperparameters, the best value so far, the evidence that each hyperparameter
    matters, and the ranges proposed for the next round. Each round's run in MLflow also has them
    under Artifacts, drawn at the end of the round.
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
    for round_ in recorded.rounds:
        overruled = [d for d in round_.decisions if not d.is_taken and round_.number in numbers]
        for why, some in itertools.groupby(overruled, lambda decision: decision.why):
            named = ", ".join(decision.move.name for decision in some)
            console.print(f"round {round_.number}: {escaped(named)} {escaped(why)}")
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
    """Propose the next ranges of STUDY, with reasons.

    Nothing is trained, and no range changes until you run another round. --figures draws the
    results and the proposed ranges to DIR/proposal.png.
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
            f"the objective {escaped(last.settings.objective)} cannot be imported here, so its "
            "limits are unknown; use the study file instead of the name"
        )
    if not last.ended:
        console.print(
            f"round {last.number} has not ended: the proposal is based on its trials so far"
        )
    console.print(f"\nfigure:   {escaped(drawn.get('figure', 'add --figures DIR'))}")
    file = shlex.quote(study) if study.endswith(".toml") else "FILE"
    click.echo(f"use it:   {_runs(tracking_uri)} {file} --rounds {last.number + 1}\n"
               "override: add --range NAME=LOW:HIGH, or --keep-ranges")


def _runs(tracking_uri: str) -> str:
    """Return the command that runs a study; one recorded on a server may run on a cluster."""
    return "hpo run (or hpo submit)" if is_server(tracking_uri) else "hpo run"


@hpo.command(epilog=examples(
    "hpo export digits trials.csv",
    "hpo export digits trials.parquet --repeats",
))
@study_argument
@file_argument
@click.option("--repeats", is_flag=True, help="Also export the repeats of `hpo confirm`.")
@click.option("--parts", is_flag=True, help="Also export the parts of trials (seeds or folds).")
@click.option("--extensions", is_flag=True, help="Also export the extended trials of `hpo extend`.")
@tracking_uri
def export(
    study: str, file: Path, repeats: bool, parts: bool, extensions: bool, tracking_uri: str
) -> None:
    r"""Export all trials of STUDY to FILE, one row per trial.

    FILE must end in .csv, .parquet, or .json. Each row has the hyperparameters, the value, and all
    metrics of the last epoch. If two columns would have the same name, one is named params.NAME or
    metrics.NAME.

    Rows for repeats, parts, and extensions follow the trial they belong to; the columns repeat and
    resplit, part, and extended_to tell them apart.

    In a .csv file, text that a spreadsheet would run as a formula (it starts with = + - or @, a
    tab, or a line break, and is not a number) is prefixed with a quote ('), and control characters
    are escaped, e.g. \x1b. The other formats keep text unchanged.
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
            said += f"; add --{noun}s to include {wording.count(len(some), noun)}"
    say(f"wrote {file}: {said}")


@hpo.command(epilog=examples("hpo report digits digits.html"))
@study_argument
@file_argument
@tracking_uri
def report(study: str, file: Path, tracking_uri: str) -> None:
    """Write a self-contained HTML report of STUDY to FILE.

    The page is interactive and works offline. It shows the best value so far, parallel coordinates,
    hyperparameter importance, the estimated metric along each hyperparameter and over any two, the
    next ranges and why, learning curves, a timeline of the workers, and all trials.

    FILE must end in .html, or in .json for the data alone. Each round's run in MLflow also has the
    page, written at the end of the round.
    """
    from hpo.api.results import load

    results = load(study, tracking_uri)
    results.report(file)
    say(f"wrote {file}: {wording.count(len(results.recorded.results), 'trial')}")


@hpo.command(epilog=examples(
    "hpo predict digits new.csv",
    "hpo predict digits new.csv --output predictions.csv",
))
@study_argument
@click.argument("rows", type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="Write the predictions to this .csv file instead of printing them.")
@tracking_uri
def predict(study: str, rows: Path, output: Path | None, tracking_uri: str) -> None:
    """Predict new data with the model that `hpo evaluate` saved.

    ROWS is a .csv, .tsv, or .parquet file with the same columns as the study's data, unprocessed;
    other columns are ignored. For images, it has one column per pixel. The output has one row per
    row of ROWS: a label and the probability of each class, or a value.
    """
    from hpo.api.results import load

    predictions, filled = load(study, tracking_uri).predicted(rows)
    for column, count in filled.items():
        where = f"in column {column!r} " if column else ""
        missing = wording.count(count, "missing value")
        click.echo(f"{rows}: {missing} {where}filled in as in training", err=True)
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
        raise InputError(f"{output}: {error.strerror or error}; choose another file") from error


def _spent(recorded: "Recorded") -> str:
    """Return when the test set was spent, and with what result."""
    from hpo.evaluation import shown_time

    last = recorded.looks[-1]
    times = f", evaluation {last.number}" if last.number > 1 else ""
    return f"spent on {shown_time(last.when)}{times}: {last.result or 'interrupted'}"
