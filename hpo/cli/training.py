"""Commands that train: run, confirm, extend, evaluate."""

import json
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpo.api.asked_for import set_arguments
from hpo.api.lookup import read_study_file
from hpo.api.site import Placement, Site
from hpo.cli.options import (
    ConfirmOptions,
    EvaluateOptions,
    ExtendOptions,
    RunOptions,
    as_json,
    confirm_options,
    escaped,
    evaluate_options,
    examples,
    extend_options,
    file_argument,
    hpo,
    placement_options,
    run_options,
    study_file_argument,
    tracking_uri,
)
from hpo.errors import INTERRUPTED
from hpo.passwords import without_password
from hpo.record import spawning
from hpo.record.file import absolute
from hpo.record.owner import SENT_BY

# Everything that takes long to import is imported inside the commands: `hpo --help` is instant.
if TYPE_CHECKING:
    from hpo.display.console import Console
    from hpo.display.progress import Display
    from hpo.record.values import Recorded
    from hpo.study import StudyFile


@hpo.command(epilog=examples(
    "hpo run study.toml",
    "hpo run study.toml --rounds 3",
    "hpo run study.toml --range learning_rate=1e-3:0.1",
    "hpo run study.toml --set round.trials=100 --workers 8",
))
@file_argument
@run_options
@placement_options
@tracking_uri
def run(file: Path, options: RunOptions, placement: Placement, tracking_uri: str) -> None:
    """Run the study in FILE; run the same command again to resume.

    Trains until the study has all its rounds. An interrupted run resumes where it stopped; if
    everything is done, nothing runs.
    """
    _start_record(placement)
    from hpo.api import training
    from hpo.api.ranges import parse_ranges
    from hpo.display.progress import Display
    from hpo.service.rounds import Goal
    from hpo.study import read

    study = read(file, options.overrides)
    if options.trials is not None:
        study = study.with_trials(options.trials)
    ranges = parse_ranges(options.ranges, study)
    goal = Goal(
        options.rounds or study.rounds, ranges, options.keep_ranges, options.accept_code
    )
    display = Display(study, sys.stdout)
    recorded, ran = training.run(study, goal, _site(tracking_uri, placement, display))
    _finish(display.console, study, recorded, ran, goal.rounds)


def _start_record(placement: Placement) -> None:
    """Start the process of the record, while this one imports what it needs and reads the study."""
    if not placement.inline:
        click.get_current_context().with_resource(spawning.ahead())


def _site(tracking_uri: str, placement: Placement, display: "Display") -> Site:
    """Return where a command trains; a second interrupt ends it immediately."""

    def interrupted() -> str:
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
        return f"Resume with: {_command_line()}"

    return Site(tracking_uri, placement, display, interrupted)


def _command_line() -> str:
    return shlex.join(["hpo", *map(without_password, sys.argv[1:])])


@hpo.command(epilog=examples("hpo confirm study.toml --top 3 --repeats 5"))
@study_file_argument
@confirm_options
@placement_options
@tracking_uri
@as_json
def confirm(
    study: str, options: ConfirmOptions, placement: Placement, tracking_uri: str, as_json: bool
) -> None:
    """Retrain the best trials of a study with new seeds.

    The best of many noisy values is usually too good to be true; the mean of its repeats is not.
    From then on, `show`, `evaluate`, and `narrow` use the means. The table [confirm] in FILE sets
    the defaults.

    Run the same command again to resume; if everything is done, nothing runs.
    """
    _start_record(placement)
    from hpo.api import training
    from hpo.cli.tables import confirmation_parts
    from hpo.display.console import open_console
    from hpo.display.progress import Display
    from hpo.search import confirmation
    from hpo.study_tables import ConfirmSettings

    parsed = read_study_file(study, "confirm", options.overrides)
    settings = (parsed.confirm or ConfirmSettings()).model_copy(update=options.settings())
    display = Display(parsed, sys.stderr if as_json else sys.stdout)
    site = _site(tracking_uri, placement, display)
    order = training.confirm(parsed, settings, options.accept_code, site)
    if as_json:
        summary = {
            "study": parsed.name, "metric": parsed.metric, "direction": parsed.direction,
            **settings.model_dump(),
            "trials": confirmation.to_table(order, parsed.direction),
            "changes": confirmation.changes(order, parsed.direction),
        }
        click.echo(json.dumps(summary, indent=2))
        return
    console = open_console()
    for part in confirmation_parts(order, parsed.metric, parsed.direction):
        console.print(part)


@hpo.command(epilog=examples("hpo extend study.toml --epochs 200 --top 5"))
@study_file_argument
@extend_options
@placement_options
@tracking_uri
@as_json
def extend(
    study: str, options: ExtendOptions, placement: Placement, tracking_uri: str, as_json: bool
) -> None:
    """Train the best trials of a study for more epochs.

    With a table [checkpoints] in FILE, trials continue from where they ended, and only the added
    epochs are trained; without it, they are trained from scratch. The search ignores the extended
    trials; `show`, `best`, and `evaluate` use them if they are better.

    Run the same command again to resume; if everything is done, nothing runs.
    """
    _start_record(placement)
    from hpo.api import training
    from hpo.cli.tables import extension_table
    from hpo.display.console import open_console
    from hpo.display.progress import Display
    from hpo.search import extension
    from hpo.trial import State

    parsed = read_study_file(study, "extend", options.overrides)
    display = Display(parsed, sys.stderr if as_json else sys.stdout)
    site = _site(tracking_uri, placement, display)
    recorded = training.extend(parsed, options.top, options.epochs, options.accept_code, site)
    extended = extension.extensions_of(recorded.results, recorded.extensions)
    if as_json:
        table = extension.to_table(extended, parsed.direction)
        click.echo(json.dumps({
            "study": parsed.name, "metric": parsed.metric, "direction": parsed.direction,
            "trials": table,
        }, indent=2))
        return
    console = open_console()
    longest = extension.longest(extended, parsed.direction)
    console.print(extension_table(longest, parsed.metric))
    for each in longest:
        if each.longer.state is State.FAILED:
            console.print(f"\n{each.longer.trial.id} failed:\n{escaped(each.longer.message)}")
    _say_recommended(console, recorded)


def _say_recommended(console: "Console", recorded: "Recorded") -> None:
    from hpo.service.proposals import recommendation

    recommended = recommendation(recorded)
    if recommended is not None:
        console.print(f"\nrecommended: {escaped(str(recommended))}")


@hpo.command(epilog=examples("hpo evaluate study.toml", "hpo evaluate study.toml --top 5"))
@study_file_argument
@evaluate_options
@tracking_uri
@as_json
def evaluate(study: str, options: EvaluateOptions, tracking_uri: str, as_json: bool) -> None:
    """Score the best trial on the test set, once, and save the model.

    The recommended trial (with --top, also the next best) is retrained on the training and
    validation rows for the recorded number of epochs, then scored on the test set. The record keeps
    the result, the model, and the fact that the test set is spent: scoring again requires --again.

    Without a table [data] in FILE, the objective evaluates the recommended trial itself, and the
    model is saved if its input columns are known.

    With --kept, nothing is retrained: the models that [checkpoints] kept, trained on training rows
    only, are scored.
    """
    from hpo.api import training
    from hpo.cli.tables import evaluation_tables, own_evaluation_parts
    from hpo.display.console import open_console, print_next
    from hpo.display.progress import Retraining
    from hpo.own_evaluation import OwnEvaluation

    parsed = read_study_file(study, "evaluate", options.overrides)
    with Retraining(sys.stderr if as_json else sys.stdout) as listener:
        result = training.evaluate(
            parsed, options.top, options.again, options.kept, options.accept_code, tracking_uri,
            listener,
        )
    if as_json:
        click.echo(json.dumps(result.to_table(), indent=2))
        return
    console = open_console()
    parts = (
        own_evaluation_parts(result) if isinstance(result, OwnEvaluation)
        else evaluation_tables(result)
    )
    for part in parts:
        console.print(part)
    if not result.model:
        return
    uri = shlex.quote(without_password(absolute(tracking_uri)))
    name = parsed.name
    is_classified = not isinstance(result, OwnEvaluation) and result.score.confusion.size
    held = "confusion matrix and model" if is_classified else "model"
    print_next(console, [
        (f"hpo predict {shlex.quote(name)} rows.csv", "predict new data"),
        (f"hpo ui {shlex.quote(name)}", f'see the {held} in the run "evaluation"'),
        (
            f"MLFLOW_TRACKING_URI={uri} mlflow models serve -m {result.model} "
            "--env-manager local -h 127.0.0.1 -p 5001", "serve the model",
        ),
    ])


def _finish(
    console: "Console", study: "StudyFile", recorded: "Recorded", ran: bool, rounds: int
) -> None:
    """Show the best trials of the study, and what to type next."""
    from hpo.cli.tables import best_trials, no_best
    from hpo.display.console import print_next
    from hpo.search import confirmation
    from hpo.service.proposals import influential
    from hpo.service.round_loop import budget_reached
    from hpo.trial import State

    done = max((r.number for r in recorded.rounds if r.ended), default=0)
    ended = budget_reached(study, recorded.results) if done < rounds else ""
    rounds = max(rounds, done)
    if not ran:
        why = ended or (f"all {done} rounds are done" if done != 1 else "1 round is done")
        console.print(f"{escaped(study.name)}: {why}, nothing to run")
        rounds = done
    console.print("\n[bold]best trials[/bold]")
    ranked = confirmation.ranked(recorded.results, recorded.repeats, study.direction)
    known = confirmation.confirmed(recorded.results, recorded.repeats)
    table = best_trials(
        ranked[:5], study.metric, known, order=influential(recorded) if console.is_terminal else (),
        remedy=f"hpo show {shlex.quote(study.name)} --wide",
    )
    console.print(table if ranked else no_best(recorded.results))
    _say_recommended(console, recorded)
    file = shlex.quote(str(study.path))
    same = shlex.join([str(study.path), *set_arguments(study.overrides)])
    command = "submit" if SENT_BY in os.environ else "run"  # who reads this is not on the cluster
    more = (f"hpo {command} {same} --rounds {rounds + 1}", "run another round")
    if study.overrides or command == "submit":
        file = shlex.quote(study.name)  # which may be one of them
    of_last = [r.state for r in recorded.results if r.trial.round == done]
    is_futile = bool(of_last) and {*of_last} <= {State.DIVERGED, State.FAILED}
    print_next(console, [
        (f"hpo narrow {file}", "see the next ranges, and why"),
        *([] if ended or is_futile else [more]),
        (f"hpo ui {file}", "browse the trials in the MLflow UI"),
    ])
