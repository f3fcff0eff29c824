"""Commands that train: run, confirm, extend, evaluate."""

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpo import wording
from hpo.cli.options import (
    ConfirmOptions,
    EvaluateOptions,
    ExtendOptions,
    RunOptions,
    as_json,
    confirm_options,
    escaped,
    evaluate_options,
    extend_options,
    file_argument,
    hpo,
    placement_options,
    run_options,
    set_arguments,
    study_argument,
    tracking_uri,
)
from hpo.cli.places import checkpoints_of, outbox_path
from hpo.cli.session import (
    Placement,
    existing_record,
    find,
    load_data,
    open_session,
    read_study_file,
    renew_page,
    require_file,
)
from hpo.errors import InputError
from hpo.passwords import without_password
from hpo.record.file import absolute

# Everything that takes long to import is imported inside the commands: `hpo --help` is instant.
if TYPE_CHECKING:
    from collections.abc import Callable

    from hpo.cli.console import Console
    from hpo.cli.session import Session
    from hpo.data.loading import Description
    from hpo.record.sources import Source
    from hpo.record.values import Recorded, Round
    from hpo.study import Study


@hpo.command()
@file_argument
@run_options
@placement_options
@tracking_uri
def run(file: Path, options: RunOptions, placement: Placement, tracking_uri: str) -> None:
    """Run the study in FILE, or go on with it.

    It ends when it has its rounds. Run again, it finds all done and does nothing; interrupted, the
    same command goes on.
    """
    from hpo.cli.ranges import parse_ranges
    from hpo.service.rounds import Goal
    from hpo.study import read
    from hpo.trial import State

    study = read(file, options.overrides)
    if options.trials is not None:
        study = study.with_trials(options.trials)
    ranges = parse_ranges(options.ranges, study)
    goal = Goal(
        options.rounds or study.rounds, ranges, options.keep_ranges, options.accept_code
    )
    with open_session(study, tracking_uri, placement, sys.stdout) as session:
        goal = replace(goal, sources=_sources(session, study))
        ran = session.rounds.run(goal, session.recorded)
        if study.confirm is not None:
            recorded = session.record.read()
            complete = recorded and any(r.state is State.COMPLETE for r in recorded.results)
            if recorded and complete and session.following.confirm(
                study.confirm, recorded, accept_code=options.accept_code
            ):
                ran = True
                renew_page(session.record, session.display.note)
        recorded = session.record.read()
    assert recorded is not None
    _finish(session.display.console, study, recorded, ran, goal.rounds)


def _sources(session: "Session", study: "Study") -> "Sequence[Source]":
    """Return the trials that a new study begins with; say which they are, or that it is too late.

    What they come to is on record from then on, whatever becomes of the study file.
    """
    from hpo.service import warm_start
    from hpo.service.remarks import told_of_source

    recorded, note = session.recorded, session.display.note
    if recorded is not None and recorded.rounds and not recorded.is_half_begun:
        named = study.warm_start.sources if study.warm_start is not None else ()
        if named != tuple(source.name for source in recorded.sources):
            note("[warm_start] was read when round 1 began; changing it now has no effect")
        return ()
    sources = warm_start.gather(
        study, lambda name: session.whole.study(name).read(), session.data
    )
    for source in sources:
        note(f"the search begins with {told_of_source(source)}")
    if sources and study.round.sampler != "tpe":
        note(f"[warm_start]: the sampler {study.round.sampler} does not learn from it; "
             "`hpo narrow` does")
    return sources


@hpo.command()
@study_argument
@confirm_options
@placement_options
@tracking_uri
@as_json
def confirm(
    study: str, options: ConfirmOptions, placement: Placement, tracking_uri: str, as_json: bool
) -> None:
    """Repeat the best trials of STUDY with fresh seeds.

    STUDY is a file, whose table [confirm] has the defaults. The best of many noisy values is too
    good to be true; the mean of its repeats is not. `show`, `evaluate` and `narrow` use the means
    from then on. Run again, it finds all done and does nothing.
    """
    from hpo.cli.console import open_console
    from hpo.cli.tables import confirmation_parts
    from hpo.search import confirmation
    from hpo.service.following import ranking
    from hpo.study_tables import ConfirmSettings

    parsed = read_study_file(study, "confirm", options.overrides)
    settings = (parsed.confirm or ConfirmSettings()).model_copy(update=options.settings())
    require_file(absolute(tracking_uri))
    shown = sys.stderr if as_json else sys.stdout
    with open_session(parsed, tracking_uri, placement, shown) as session:
        recorded = find(session.whole, parsed.name)
        if not session.following.confirm(settings, recorded, accept_code=options.accept_code):
            session.display.note("every repeat is on record already: nothing to run")
        else:
            renew_page(session.record, session.display.note)
        if not settings.resplit and any(r.trial.resplit for r in recorded.repeats):
            session.display.note("show, evaluate and narrow go by the repeats with --resplit")
        order = ranking(parsed, settings, find(session.whole, parsed.name))
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


@hpo.command()
@study_argument
@extend_options
@placement_options
@tracking_uri
@as_json
def extend(
    study: str, options: ExtendOptions, placement: Placement, tracking_uri: str, as_json: bool
) -> None:
    """Train the best trials of STUDY for more epochs.

    STUDY is a file. With [checkpoints] in it they go on where they ended, so that only the added
    epochs are trained; else they are trained anew. The search does not count them. `show`, `best`
    and `evaluate` use the longer training where it is better. Run again, it finds all done and does
    nothing.
    """
    from hpo.cli.console import open_console
    from hpo.cli.tables import extension_table
    from hpo.search import extension
    from hpo.trial import State

    parsed = read_study_file(study, "extend", options.overrides)
    require_file(absolute(tracking_uri))
    shown = sys.stderr if as_json else sys.stdout
    with open_session(parsed, tracking_uri, placement, shown) as session:
        recorded = find(session.whole, parsed.name)
        if not session.following.extend(
            options.top, options.epochs, recorded, accept_code=options.accept_code
        ):
            session.display.note("every extension is on record already: nothing to run")
        else:
            renew_page(session.record, session.display.note)
        recorded = find(session.whole, parsed.name)
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


@hpo.command()
@study_argument
@evaluate_options
@tracking_uri
@as_json
def evaluate(study: str, options: EvaluateOptions, tracking_uri: str, as_json: bool) -> None:
    """Score the best trial of STUDY on the test set, once.

    STUDY is a file. Its recommended trial, and with --top the best others, are trained once more,
    on training plus validation rows, for the recorded number of epochs. That the test set is spent
    is recorded with the result; the model goes to MLflow. Without a table [data] the objective
    itself judges the recommended trial, and its model is kept where the rows that it takes are
    known.

    With --kept nothing is trained: the models are those that were validated, on training rows
    alone, as [checkpoints] kept them.
    """
    from hpo import evaluation, own_evaluation
    from hpo.cli.console import open_console, print_next
    from hpo.cli.progress import Retraining
    from hpo.cli.tables import evaluation_tables, own_evaluation_parts
    from hpo.record.values import last_round

    parsed = read_study_file(study, "evaluate", options.overrides)
    top, again = options.top, options.again
    record = existing_record(tracking_uri)
    name, recorded = parsed.name, find(record, parsed.name)
    last = last_round(name, recorded)
    evaluation.refuse_repetition(parsed, recorded, again)
    split = load_data(parsed)
    if split is None:
        own_evaluation.refuse_without_evaluate(parsed, top)
    kept = None
    if options.kept:
        kept = checkpoints_of(parsed, split, outbox_path(absolute(tracking_uri), name))
        if kept is None:
            raise InputError(
                f"{parsed.path}: --kept needs a table [checkpoints], by which copies of the best "
                "trials are kept; leave it out"
            )
    with Retraining(sys.stderr if as_json else sys.stdout) as listener:
        description = None if split is None else split.description
        _before_evaluation(parsed, last, recorded, description, listener.note)
        result: evaluation.Evaluation | own_evaluation.OwnEvaluation
        request = evaluation.Request(top, again, kept)
        if split is None:
            result = own_evaluation.evaluate(
                parsed, recorded, record.study(name), listener, request
            )
        else:
            result = evaluation.evaluate(
                parsed, split, recorded, record.study(name), listener, request
            )
        renew_page(record.study(name), listener.note)
    if as_json:
        click.echo(json.dumps(result.to_table(), indent=2))
        return
    console = open_console()
    parts = (
        own_evaluation_parts(result) if isinstance(result, own_evaluation.OwnEvaluation)
        else evaluation_tables(result)
    )
    for part in parts:
        console.print(part)
    if not result.model:
        return
    uri = shlex.quote(without_password(absolute(tracking_uri)))
    held = "model" if split is None else "confusion matrix and model"
    print_next(console, [
        (f"hpo predict {shlex.quote(name)} rows.csv", "predictions for rows of your own"),
        (f"hpo ui {shlex.quote(name)}", f'the run "evaluation" has {held}'),
        (
            f"MLFLOW_TRACKING_URI={uri} mlflow models serve -m {result.model} "
            "--env-manager local -h 127.0.0.1 -p 5001", "a server that predicts",
        ),
    ])


def _before_evaluation(
    study: "Study",
    last: "Round",
    recorded: "Recorded",
    data: "Description | None",
    note: "Callable[[str], None]",
) -> None:
    """Refuse a study that changed, and say what is to be known before its test set is spent."""
    from hpo.search import confirmation
    from hpo.service import comparability, proposals

    for text in data.notes if data is not None else ():
        note(text)
    comparability.refuse_changes(study, last, data, note)
    if not last.ended:
        note(f"round {last.number} has not ended: these are the best trials so far")
    better = confirmation.unconfirmed_best(recorded.results, recorded.repeats, study.direction)
    if better:
        note(better)
    recommended = proposals.recommendation(recorded)
    if recommended is not None and recommended.differs:
        note(recommended.reason)


def _finish(
    console: "Console", study: "Study", recorded: "Recorded", ran: bool, rounds: int
) -> None:
    """Show the best trials of the study, and what to type next."""
    from hpo.cli.console import print_next
    from hpo.cli.tables import best_trials, no_best
    from hpo.search import confirmation
    from hpo.service.proposals import influential
    from hpo.service.round_loop import budget_reached

    done = max((r.number for r in recorded.rounds if r.ended), default=0)
    ended = budget_reached(study, recorded.results) if done < rounds else ""
    rounds = max(rounds, done)
    if not ran:
        why = f": {ended}" if ended else f" has {wording.count(done, 'round')} already"
        console.print(f"{escaped(study.name)}{why}: nothing to run")
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
    more = (f"hpo run {same} --rounds {rounds + 1}", "one more round in them")
    if study.overrides:
        file = shlex.quote(study.name)  # which may be one of them
    print_next(console, [
        (f"hpo narrow {file}", "the ranges it would try next, and why"),
        *([] if ended else [more]),
        (f"hpo ui {file}", "browse the trials in MLflow's UI"),
    ])
