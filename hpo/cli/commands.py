"""The commands: each builds the parts, hands them to the service, and maps errors to exit codes."""

import codecs
import contextlib
import csv
import functools
import gc
import io
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TextIO

import click

from hpo import wording
from hpo.cli.session import (
    Placement,
    draw,
    draw_proposal,
    existing_record,
    figures_of,
    find,
    load_data,
    open_session,
    read_recorded,
    read_study_file,
    require_file,
    stop_on_termination,
    study_name,
)
from hpo.errors import BAD_INPUT, DONE, INTERRUPTED, STOPPED, HPOError, InputError
from hpo.passwords import without_password, without_passwords_of
from hpo.record.file import RecordFile, absolute, checkpoint, path_of
from hpo.text import clean, one_line

# Everything that takes long to import is imported inside the commands: `hpo --help` is instant.
if TYPE_CHECKING:
    from hpo.cli.terminal import Console
    from hpo.record.values import Recorded
    from hpo.study import Study

DEFAULT_RECORD = "sqlite:///mlflow.db"
TRAIN_HERE = {"--inline", "evaluate"}  # what trains in this process
FIRST_PORT = 5000  # of the UI

tracking_uri = click.option(
    "--tracking-uri", metavar="URI", envvar="MLFLOW_TRACKING_URI", default=DEFAULT_RECORD,
    help=f"Where MLflow keeps the record.  [MLFLOW_TRACKING_URI; default: {DEFAULT_RECORD}]",
)
figures_folder = click.option(
    "--figures", metavar="DIR", type=click.Path(path_type=Path, file_okay=False),
    help="Write the figures to DIR as PNG files.",
)

@dataclass(frozen=True)
class Wish:
    """What is asked of a study beyond its file; `ranges` are such as "learning_rate=0.01:0.1"."""

    rounds: int | None = None
    trials: int | None = None
    ranges: Sequence[str] = ()
    keep_ranges: bool = False

    def as_typed(self) -> list[str]:
        """Return the options that ask for it."""
        return [
            *(["--rounds", str(self.rounds)] if self.rounds else []),
            *(["--trials", str(self.trials)] if self.trials else []),
            *(part for text in self.ranges for part in ("--range", text)),
            *(["--keep-ranges"] if self.keep_ranges else []),
        ]


def _gathered(name: str, kind: type[Any], *options: Any) -> Callable[[Any], Any]:
    """Return a decorator that adds options to a command, which gets them as one value."""

    def decorate(command: Any) -> Any:
        @functools.wraps(command)
        def with_value(**given: Any) -> Any:
            values = {field.name: given.pop(field.name) for field in fields(kind)}
            return command(**given, **{name: kind(**values)})

        for option in reversed(options):
            with_value = option(with_value)
        return with_value

    return decorate


wish_options = _gathered(
    "wish", Wish,
    click.option("--rounds", type=click.IntRange(1), help="How many rounds there shall be in all."),
    click.option("--trials", type=click.IntRange(1), help="Trials of each new round."),
    click.option("--range", "ranges", multiple=True, metavar="NAME=LOW:HIGH",
                 help="Overrule a range of the next round; may be repeated."),
    click.option("--keep-ranges", is_flag=True, help="Do not move any range between rounds."),
)
placement_options = _gathered(
    "placement", Placement,
    click.option("--workers", type=click.IntRange(1), help="CPUs of the Ray it starts.  [all]"),
    click.option("--ray-address", metavar="ADDRESS", envvar="RAY_ADDRESS",
                 help="An existing Ray cluster to use.  [RAY_ADDRESS]"),
    click.option("--inline", is_flag=True, help="Train in this process, without Ray."),
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
study_argument = click.argument("study")
file_argument = click.argument("file", type=click.Path(path_type=Path))


def main() -> None:
    """Run a command, and exit with 0, or 1: stopped, 2: bad input, 130: interrupted."""
    if TRAIN_HERE & set(sys.argv[1:]):
        from hpo.process_state import fix_hash_seed

        fix_hash_seed()
    _prepare_streams()
    try:
        hpo.main(prog_name="hpo", standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        click.echo(clean(shown.getvalue()), err=True, nl=False)  # it repeats what was typed
        sys.exit(BAD_INPUT)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(DONE)
    except InputError as error:
        _complain(error)
        sys.exit(BAD_INPUT)
    except HPOError as error:
        _complain(error)
        sys.exit(STOPPED)
    except OSError as error:  # a full disk, a folder that cannot be written
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        what = f"{error.filename}: " if error.filename else ""
        _complain(HPOError(
            f"{what}{error.strerror or error}; once that is mended the same command goes on"
        ))
        sys.exit(STOPPED)
    finally:
        gc.freeze()  # to search hundreds of thousands of objects for cycles delays the exit


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="hpo")
def hpo() -> None:
    """Search for hyperparameters in rounds, with every trial on record.

    Start with `hpo run studies/digits.toml`, then look at it with `hpo show digits` or `hpo ui`.
    STUDY is the name of a study or its file.
    """


@hpo.command()
@file_argument
@wish_options
@placement_options
@tracking_uri
def run(file: Path, wish: Wish, placement: Placement, tracking_uri: str) -> None:
    """Run the study in FILE, or go on with it, until it has its rounds.

    Run again, it finds all done and does nothing; interrupted, the same command goes on.
    """
    from hpo.service.rounds import Goal
    from hpo.study import parse_ranges, read
    from hpo.trial import State

    study = read(file)
    if wish.trials is not None:
        study = study.with_trials(wish.trials)
    goal = Goal(wish.rounds or study.rounds, parse_ranges(wish.ranges, study), wish.keep_ranges)
    with open_session(study, tracking_uri, placement, sys.stdout) as session:
        ran = session.service.run(goal, session.recorded)
        if study.confirm is not None:
            recorded = session.record.read()
            if recorded and any(r.state is State.COMPLETE for r in recorded.results):
                ran |= session.service.confirm(study.confirm, recorded)
        recorded = session.record.read()
    assert recorded is not None
    _finish(session.display.console, study, recorded, ran, goal.rounds)


@hpo.command()
@study_argument
@click.option("--top", type=click.IntRange(1), help="How many of the best trials.  [5]")
@click.option("--repeats", type=click.IntRange(1), help="How often each of them.  [3]")
@click.option("--resplit", is_flag=True,
              help="Draw the validation rows anew each time, too; never from the test set.")
@placement_options
@tracking_uri
@as_json
def confirm(
    study: str,
    top: int | None,
    repeats: int | None,
    resplit: bool,
    placement: Placement,
    tracking_uri: str,
    as_json: bool,
) -> None:
    """Train the best trials of STUDY, a file, again with fresh seeds; rank them by their mean.

    The best of many noisy values is too good to be true: the mean of the repeats is not. Run
    again, it finds all done and does nothing. The table [confirm] of the file has the defaults.
    `show`, `evaluate` and `narrow` use the means from then on.
    """
    from hpo.cli.terminal import confirmation_parts, open_console
    from hpo.search import confirmation
    from hpo.service.rounds import ranking
    from hpo.study import ConfirmSettings

    parsed = read_study_file(study, "confirm")
    given = {"top": top, "repeats": repeats, "resplit": resplit or None}
    settings = (parsed.confirm or ConfirmSettings()).model_copy(
        update={key: value for key, value in given.items() if value is not None}
    )
    require_file(absolute(tracking_uri))
    shown = sys.stderr if as_json else sys.stdout
    with open_session(parsed, tracking_uri, placement, shown) as session:
        name, recorded = find(session.whole, study)
        if not session.service.confirm(settings, recorded):
            session.display.note("every repeat is on record already: nothing to run")
        if not settings.resplit and any(r.trial.resplit for r in recorded.repeats):
            session.display.note("show, evaluate and narrow go by the repeats with --resplit")
        order = ranking(parsed, settings, find(session.whole, study)[1])
    if as_json:
        summary = {
            "study": name, "metric": parsed.metric, "direction": parsed.direction,
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
@file_argument
@click.option("--data", "with_data", is_flag=True, help="Read and split the data as well.")
@as_json
def check(file: Path, with_data: bool, as_json: bool) -> None:
    """Say whether FILE is right: names, types and ranges, against what its objective takes."""
    from hpo.search_space import describe
    from hpo.study import read

    study = read(file)
    ranges = {name: describe(d) for name, d in study.search_space.items()}
    summary: dict[str, Any] = {
        "study": study.name,
        "objective": study.objective.name,
        "metric": study.metric,
        "direction": study.direction,
        "rounds": study.rounds,
        "trials": study.round.trials,
        "search_space": ranges,
    }
    if with_data:
        split = load_data(study)
        if split is None:
            raise InputError(f"{file}: data: there is no table [data]; leave --data out")
        summary["data"] = asdict(split.description)
    if as_json:
        click.echo(json.dumps(summary, indent=2))
        return
    _say(f"{file}: right. {study.direction} {study.metric} of {study.objective.name}, "
         f"{wording.count(study.rounds, 'round')} of "
         f"{wording.count(study.round.trials, 'trial')} ({study.round.sampler})")
    for name, text in ranges.items():
        _say(f"  {name}: {text}")
    if with_data:
        data = summary["data"]
        rows = ", ".join(f"{rows} {part}" for part, rows in data["rows"].items())
        if data["left_out"]:
            rows += f", {data['left_out']} left out"
        _say(f"  data: {data['source']}, {data['task']}, rows: {rows}, "
                   f"inputs {'x'.join(map(str, data['shape']))}")
        for note in data["notes"]:
            _say(f"    {note}")


@hpo.command()
@study_argument
@figures_folder
@tracking_uri
@as_json
def narrow(study: str, figures: Path | None, tracking_uri: str, as_json: bool) -> None:
    """Propose the ranges of the next round of STUDY, with reasons and a figure.

    The figure goes to DIR/proposal.png, or without --figures to figures/proposal.png of the last
    round's run in MLflow; with --json to DIR only.
    """
    from hpo.record.values import last_round
    from hpo.service import proposals

    name, recorded = read_recorded(study, tracking_uri)
    last = last_round(name, recorded)
    moves = proposals.propose(
        last, recorded.results, recorded.repeats, proposals.acceptance(last)
    )
    drawn = {}
    if figures is not None:
        drawn = {"figure": str(draw_proposal(recorded, moves, figures))}
    if as_json:
        tables = [move.to_table() for move in moves]
        summary = {"study": name, "round": last.number + 1, "moves": tables, **drawn}
        click.echo(json.dumps(summary, indent=2))
        return
    from hpo.cli.terminal import MovesTable, open_console

    console = open_console()
    console.print(MovesTable(moves))
    if not proposals.is_found(last):
        console.print(
            f"{_escaped(last.settings.objective)} is not found here, so its limits are not "
            "known: name the study file instead"
        )
    if not last.ended:
        console.print(f"round {last.number} has not ended: this is what its trials so far say")
    if figures is None:
        drawn["figure"] = f"figures/proposal.png of round {last.number} in MLflow"
        try:
            with figures_of(existing_record(tracking_uri).study(name), last.run_id) as folder:
                draw_proposal(recorded, moves, folder)
        except HPOError as error:
            drawn["figure"] = f"not kept: {error}"
    console.print(f"\nfigure:   {_escaped(drawn['figure'])}")
    click.echo(f"take it:  hpo run FILE --rounds {last.number + 1}\n"
               "overrule: --range NAME=LOW:HIGH, or --keep-ranges")


@hpo.command("list")
@tracking_uri
@as_json
def list_studies(tracking_uri: str, as_json: bool) -> None:
    """List the studies on record."""
    from hpo.report.results import summarize

    record = existing_record(tracking_uri)
    studies, unread = [], 0
    for name, _ in record.studies():
        try:
            recorded = record.study(name).read()
            if recorded is not None:
                studies.append(summarize(name, recorded))
        except InputError as error:
            _complain(error)  # and list the others all the same
            unread += 1
    if as_json:
        click.echo(json.dumps([{k: v for k, v in s.items() if k != "rounds"}
                               | {"rounds": len(s["rounds"])} for s in studies], indent=2))
        return
    from hpo.cli.terminal import open_console

    console = open_console()
    for study in studies:
        best = study["best"]
        shown = "no result yet"
        if best:
            shown = f"best {study['metric']} {wording.number(best['value'])}"
        rounds = wording.count(len(study["rounds"]), "round")
        trials = wording.count(sum(r["trials"] for r in study["rounds"]), "trial")
        console.print(_escaped(f"{one_line(study['study'])}: {rounds}, {trials}, {shown}"))
    if not studies and not unread:
        click.echo("no studies yet; start one with `hpo run FILE`")


@hpo.command()
@study_argument
@click.option("--top", type=click.IntRange(1), default=1, show_default=True,
              help="Average the outputs of so many of the best trials.")
@click.option("--again", is_flag=True,
              help="Use a test set that is spent, and mark the result as repeated.")
@tracking_uri
@as_json
def evaluate(study: str, top: int, again: bool, tracking_uri: str, as_json: bool) -> None:
    """Train the best trials of STUDY, a file, once more and judge them on the test set.

    They are trained on training plus validation rows, for the recorded number of epochs. That the
    test set is spent is recorded with the result; the model goes to MLflow.
    """
    from hpo import evaluation
    from hpo.cli.terminal import Retraining, evaluation_tables, open_console
    from hpo.record.values import last_round
    from hpo.search import confirmation
    from hpo.service import comparability

    parsed = read_study_file(study, "evaluate")
    record = existing_record(tracking_uri)
    name, recorded = find(record, study)
    last = last_round(name, recorded)
    evaluation.refuse_repetition(parsed, recorded, again)
    split = load_data(parsed)
    if split is None:
        raise InputError(
            f"{study}: evaluate needs a table [data]: without one hpo keeps no test set back"
        )
    with Retraining(sys.stderr if as_json else sys.stdout) as listener:
        for note in split.description.notes:
            listener.note(note)
        comparability.refuse_changes(parsed, last, split.description, listener.note)
        if not last.ended:
            listener.note(f"round {last.number} has not ended: these are the best trials so far")
        better = confirmation.unconfirmed_best(
            recorded.results, recorded.repeats, parsed.direction
        )
        if better:
            listener.note(better)
        result = evaluation.evaluate(
            parsed, split, recorded, record.study(name), listener, top=top, again=again
        )
    if as_json:
        click.echo(json.dumps(result.to_table(), indent=2))
        return
    console = open_console()
    for part in evaluation_tables(result):
        console.print(part)
    uri = shlex.quote(without_password(absolute(tracking_uri)))
    click.echo(
        f"\nnext: hpo predict {shlex.quote(name)} rows.csv   predictions for rows of your own\n"
        f"      hpo ui   the run \"evaluation\" has confusion matrix and model\n"
        f"      MLFLOW_TRACKING_URI={uri} mlflow models serve -m {result.model} "
        "--env-manager local -h 127.0.0.1 -p 5001"
    )


@hpo.command()
@study_argument
@click.argument("rows", type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="Write the predictions to this .csv file.  [printed]")
@tracking_uri
def predict(study: str, rows: Path, output: Path | None, tracking_uri: str) -> None:
    """Predict ROWS, a .csv, .tsv or .parquet file, with the model that STUDY was evaluated with.

    ROWS has the columns of the study's table, as they are there; others are left aside. Of images
    it has one column for each pixel. The result is a label and the probability of each class, or
    a value, for each row.
    """
    from hpo.data.tables import read_rows
    from hpo.evaluation import last_model

    record = existing_record(tracking_uri)
    name, _ = find(record, study)
    model = last_model(record.study(name))
    table = read_rows(rows, model.preprocessing)
    try:
        predictions = model.predict(table)
        filled = model.preprocessing.filled(table)
    except ValueError as error:
        raise InputError(f"{rows}: {error}") from error
    for column, count in filled.items():
        where = f"of column {column!r} " if column else ""
        click.echo(f"{rows}: {count} missing values {where}filled as in training", err=True)
    _write_columns(predictions, output)


@hpo.command()
@study_argument
@click.option("--round", "round_number", type=click.IntRange(1), help="Only this round.")
@click.option("--top", type=click.IntRange(1), default=10, show_default=True,
              help="How many of the best trials.")
@figures_folder
@tracking_uri
@as_json
def show(
    study: str,
    round_number: int | None,
    top: int,
    figures: Path | None,
    tracking_uri: str,
    as_json: bool,
) -> None:
    """Show the rounds and the best trials of STUDY.

    The figures are learning curves of the best trials, the ranges by round, a map of two
    hyperparameters, the best value so far, and the ranges proposed for the next round. They
    also stand under Artifacts of each round's run in MLflow, as of its end.
    """
    from hpo.report.results import summarize
    from hpo.search import confirmation
    from hpo.trial import State

    name, recorded = read_recorded(study, tracking_uri)
    summary = summarize(name, recorded, round_number)
    files: list[Path] = []
    if figures is not None and summary["rounds"]:
        shown = tuple(r for r in recorded.rounds if round_number in (None, r.number))
        record = existing_record(tracking_uri).study(name)
        files = draw(record, replace(recorded, rounds=shown), figures)
    if as_json:
        drawn = {"figures": [str(file) for file in files]} if files else {}
        click.echo(json.dumps(summary | drawn, indent=2))
        return
    from hpo.cli.terminal import best_trials, open_console, rounds_table
    from hpo.search_space import describe

    if not summary["rounds"]:
        _say(f"{name}: no round yet")
        return
    numbers = [r["round"] for r in summary["rounds"]]
    results = [r for r in recorded.results if r.trial.round in numbers]
    spaces = [
        {n: describe(d) for n, d in r.search_space.items()}
        for r in recorded.rounds if r.number in numbers
    ]
    console = open_console()
    console.print(f"[bold]{_escaped(name)}[/bold]: {summary['direction']} {summary['metric']}\n")
    console.print(rounds_table(name, summary["rounds"], spaces))
    console.print()
    ranked = confirmation.ranked(results, recorded.repeats, summary["direction"])
    known = confirmation.confirmed(results, recorded.repeats)
    console.print(best_trials(name, ranked[:top], summary["metric"], known))
    better = confirmation.unconfirmed_best(results, recorded.repeats, summary["direction"])
    if better:
        console.print(f"\n{_escaped(better)}")
    if recorded.looks:
        console.print(f"\ntest set {_escaped(_spent(recorded))}")
    for r in results:
        if r.state is State.FAILED:
            console.print(
                f"\n{r.trial.id} failed:\n{_escaped(r.message)}"
            )
    if files:
        console.print(f"\nfigures: {_escaped(', '.join(map(str, files)))}")


@hpo.command()
@study_argument
@file_argument
@tracking_uri
def export(study: str, file: Path, tracking_uri: str) -> None:
    r"""Write all trials of STUDY to FILE: .csv, .parquet or .json, one row a trial.

    In a .csv file, text that a spreadsheet would run as a formula (it begins with = + - or @, a
    tab or a line break, and is no number) begins with a quote (') instead, and control characters
    are written as \x1b. The other formats keep all text as it is.
    """
    from hpo.report.results import write

    _, recorded = read_recorded(study, tracking_uri)
    write(recorded.results, file)
    _say(f"{file}: {wording.count(len(recorded.results), 'trial')}")


@hpo.command()
@click.argument("study", required=False)
@click.option("--port", type=click.IntRange(1, 65535),
              help=f"Where it listens.  [the first free one from {FIRST_PORT} on]")
@tracking_uri
def ui(study: str | None, port: int | None, tracking_uri: str) -> None:
    """Serve the MLflow UI on the record, to this machine only, until Ctrl-C.

    Its address is printed once it answers, and with STUDY also that of its trials.
    """
    from hpo.record.saved_view import page

    uri = absolute(tracking_uri)
    if uri.startswith(("http://", "https://")):
        click.echo(f"the record is an MLflow server already: open {without_password(uri)}")
        return
    require_file(uri)
    addresses: list[tuple[str | None, str]] = [(None, "")]
    if study is not None:
        name, recorded = read_recorded(study, tracking_uri)
        addresses.append((recorded.experiment_id, f"  ({name})"))
    path = path_of(uri)
    if path is not None and not RecordFile(path).is_made():
        existing_record(tracking_uri)  # waits for whoever makes it
    port = _free_port(port)
    environment = {
        **os.environ,
        "MLFLOW_BACKEND_STORE_URI": uri,  # on its command line everybody could read a password
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_LOGGING_LEVEL": "ERROR",
    }
    server = [sys.executable, "-P", "-m", "mlflow", "server", "--host", "127.0.0.1",
              "--port", str(port), "--workers", "1", "--uvicorn-opts", "--log-level warning"]
    stop_on_termination()
    process = subprocess.Popen(
        server, env=environment, start_new_session=True, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    up = threading.Event()
    errors = threading.Thread(target=_pass_on, args=(process.stderr, up), daemon=True)
    errors.start()
    try:
        if _answers(port, process):
            up.set()
            click.echo("MLflow UI, Ctrl-C ends it:")
            for experiment, about in addresses:
                _say(f"  {page(f'http://127.0.0.1:{port}', experiment)}{about}")
        code = process.wait()
        errors.join()
    except KeyboardInterrupt:
        return
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)  # it has children of its own
        if path is not None:
            checkpoint(path)
    if code:
        raise HPOError(f"the MLflow server ended with code {code}; what it said stands above")


def _pass_on(lines: IO[bytes], up: threading.Event) -> None:
    """Pass on what a server complains of; what it says as it starts only where it does not."""
    held = []
    for line in lines:
        if up.is_set():
            click.echo(line, err=True, nl=False)
        else:
            held.append(line)
    if not up.is_set():
        click.echo(b"".join(held), err=True, nl=False)


def _free_port(port: int | None) -> int:
    """Return the port to listen at: the one that was asked for, or the first one that is free."""
    asked = range(FIRST_PORT, FIRST_PORT + 100) if port is None else [port]
    for number in asked:
        with contextlib.suppress(OSError):
            socket.create_server(("127.0.0.1", number)).close()
            return number
    if port is None:
        raise InputError(f"the ports {asked[0]} to {asked[-1]} are taken; name another by --port")
    raise InputError(f"the port {port} is taken; name another, or none for the first free one")


def _answers(port: int, server: "subprocess.Popen[bytes]") -> bool:
    """Wait until a server listens; return False where it ended instead."""
    while server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return True
        time.sleep(0.1)
    return False


def _cluster_options(command: Any) -> Any:
    """Add the options that say where the cluster is."""
    for option in (
        click.option("--env-file", type=click.Path(path_type=Path), default=".env",
                     help="Read from it what neither option nor environment says.  [.env]"),
        click.option("--cluster", "address", metavar="URL", envvar="RAY_API_SERVER_ADDRESS",
                     help="The Ray dashboard of the cluster.  [RAY_API_SERVER_ADDRESS]"),
    ):
        command = option(command)
    return command


@hpo.command()
@file_argument
@wish_options
@click.option("--with", "also", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
              help="Send this file as well; may be repeated.")
@_cluster_options
def submit(
    file: Path, wish: Wish, also: Sequence[Path], address: str | None, env_file: Path
) -> None:
    """Send the study in FILE to a Ray cluster, which runs it, or goes on with it.

    Returns at once. The study file travels, the data it names by a relative path, the module of
    its objective and what that imports from beside it; nothing else does.
    """
    from hpo.cluster import connect, pack
    from hpo.study import parse_range, read

    study = read(file)
    for text in wish.ranges:
        parse_range(text, study.search_space)
    parcel = pack(study, also)
    cluster = connect(address, env_file)
    job = cluster.submit(study.name, parcel, wish.as_typed())
    files = wording.count(len(parcel.files), "file")
    click.echo(
        f"sent {files}, {wording.number(parcel.bytes / 1000)} kB; {study.name} runs at "
        f"{cluster.address} as the job {job}\n"
        f"follow it: {cluster.log_command(job)}\n"
        f"stop it:   hpo cancel {shlex.quote(study.name)}"
    )


@hpo.command()
@study_argument
@_cluster_options
def cancel(study: str, address: str | None, env_file: Path) -> None:
    """Stop STUDY on the cluster; what is finished is kept, and `hpo submit` goes on with it."""
    from hpo.cluster import connect

    name = study_name(study)
    job = connect(address, env_file).cancel(name)
    _say(f"{name}: stopped ({job}); what is finished is kept")


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


def _prepare_streams() -> None:
    """Let nothing that is printed end the command: names in any script, or a stream that is closed.

    In a locale that knows only ASCII Python takes UTF-8, unless it is told not to: then neither
    files nor studies of other names could be named, and this process starts once more with it.
    """
    only_ascii = codecs.lookup(sys.getfilesystemencoding()).name == "ascii"
    if only_ascii and os.environ.get("PYTHONUTF8") != "1":
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass  # else the next file that is opened, such as the record, would be printed into
    os.close(descriptor)
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _complain(error: HPOError) -> None:
    given = [*sys.argv, os.environ.get("MLFLOW_TRACKING_URI", "")]
    click.echo(f"hpo: {without_passwords_of(given, one_line(str(error)))}", err=True)


def _say(text: str) -> None:
    """Print text that may hold what a file, a program or a shared record says."""
    click.echo(clean(text))


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _finish(
    console: "Console", study: "Study", recorded: "Recorded", ran: bool, rounds: int
) -> None:
    """Show the best trials of the study, and what to type next."""
    from hpo.cli.terminal import best_trials
    from hpo.search import confirmation
    from hpo.service.round_loop import budget_reached

    done = max((r.number for r in recorded.rounds if r.ended), default=0)
    ended = budget_reached(study, recorded.results) if done < rounds else ""
    rounds = max(rounds, done)
    if not ran:
        why = f": {ended}" if ended else f" has {wording.count(done, 'round')} already"
        console.print(f"{_escaped(study.name)}{why}: nothing to run")
        rounds = done
    console.print("\n[bold]best trials[/bold]")
    ranked = confirmation.ranked(recorded.results, recorded.repeats, study.direction)
    known = confirmation.confirmed(recorded.results, recorded.repeats)
    console.print(best_trials(study.name, ranked[:5], study.metric, known))
    file = shlex.quote(str(study.path))
    more = f"      hpo run {file} --rounds {rounds + 1}   one more round in them\n"
    console.print(_escaped(
        f"\nnext: hpo narrow {file}   the ranges it would try next, and why\n"
        f"{'' if ended else more}"
        f"      hpo ui {file}   browse the trials in MLflow's UI"
    ))
