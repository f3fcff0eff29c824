"""The command that serves the MLflow UI."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING

import click

from hpo.api.lookup import existing_record, read_recorded, require_file
from hpo.api.pictures import PAGE
from hpo.api.site import stopping_on_termination
from hpo.cli.options import hpo, say, tracking_uri
from hpo.errors import HPOError, InputError
from hpo.passwords import without_password
from hpo.record.file import RecordFile, absolute, checkpoint, path_of

if TYPE_CHECKING:
    from hpo.record.study import StudyRecord
    from hpo.record.values import Recorded

FIRST_PORT = 5000  # of the UI


@hpo.command()
@click.argument("study", required=False)
@click.option("--port", type=click.IntRange(1, 65535), metavar="N",
              help=f"Port to listen on.  [default: first free port from {FIRST_PORT}]")
@tracking_uri
def ui(study: str | None, port: int | None, tracking_uri: str) -> None:
    """Open the record in the MLflow UI, on this machine only.

    Prints the address once the server is up, and serves until you press Ctrl-C. With STUDY, also
    prints the addresses of its report page, trials, rounds, charts, and recommended trial.
    """
    from hpo.record.saved_view import page

    uri = absolute(tracking_uri)
    if uri.startswith(("http://", "https://")):
        click.echo(f"the record is on an MLflow server; open {without_password(uri)}")
        return
    require_file(uri)
    name, recorded = read_recorded(study, tracking_uri) if study is not None else ("", None)
    reported = _reported(existing_record(tracking_uri).study(name), recorded) if recorded else ""
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
    command = [sys.executable, "-P", "-m", "mlflow", "server", "--host", "127.0.0.1",
               "--port", str(port), "--workers", "1", "--uvicorn-opts", "--log-level warning"]
    at_the_end = ExitStack()
    at_the_end.enter_context(stopping_on_termination())
    process = subprocess.Popen(
        command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    up = threading.Event()
    errors = threading.Thread(target=_pass_on, args=(process.stderr, up), daemon=True)
    errors.start()
    try:
        if _answers(port, process):
            up.set()
            click.echo("MLflow UI (press Ctrl-C to stop):")
            server = f"http://127.0.0.1:{port}"
            say(f"  {page(server)}")
            if recorded is not None:
                say("".join(f"  {address}  ({about})\n" for address, about in _pages(
                    server, name, recorded, reported)).rstrip("\n"))
        code = process.wait()
        errors.join()
    except KeyboardInterrupt:
        return
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)  # it has children of its own
        if path is not None:
            checkpoint(path)
        at_the_end.close()
    if code:
        raise HPOError(f"the MLflow server exited with code {code}; see its output above")


def _reported(record: "StudyRecord", recorded: "Recorded") -> str:
    """Return the last run with a page of the whole study; those of an earlier version have none."""
    runs = [round_.run_id for round_ in reversed(recorded.rounds)]
    return next((run for run in runs if record.has_file(run, PAGE)), "")


def _pages(
    server: str, name: str, recorded: "Recorded", reported: str = ""
) -> Iterator[tuple[str, str]]:
    """Yield the addresses of a study's pages, and what each shows.

    `reported` is the run that has a page of the whole study.
    """
    from hpo.record.saved_view import charts_page, file_page, page, rounds_page, run_page
    from hpo.service.proposals import recommendation

    experiment = recorded.experiment_id
    if reported:
        yield file_page(server, experiment, reported, PAGE), "report"
    yield page(server, experiment), name
    yield rounds_page(server, experiment), "rounds"
    yield charts_page(server, experiment), "charts"
    recommended = recommendation(recorded)
    if recommended is not None:
        trial = (recommended.longer or recommended.trial).trial
        yield run_page(experiment, recorded.runs[trial.id], server), f"recommended: {trial.id}"


def _pass_on(lines: IO[bytes], up: threading.Event) -> None:
    """Pass on a server's errors; its startup messages only if it fails to start."""
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
        raise InputError(f"ports {asked[0]} to {asked[-1]} are in use; choose another with --port")
    raise InputError(f"port {port} is in use; choose another, or drop --port to use a free one")


def _answers(port: int, server: "subprocess.Popen[bytes]") -> bool:
    """Wait until a server listens; return False where it ended instead."""
    while server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return True
        time.sleep(0.1)
    return False
