"""The MLflow server is killed or answers errors, and results wait for it."""

import os
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from tests.crashes.conftest import Tally
from tests.fixtures import Make, table, trainings, undisturbed
from tests.ports import free_ports, listens
from tests.processes import fork, start, wait_for


def serve(folder: Path, port: int) -> None:
    """Be an MLflow server: what `mlflow server` starts, with the settings that it hands on."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    os.chdir(folder)
    os.environ.update({
        "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{folder}/mlflow.db",
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": "./mlartifacts",
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "_MLFLOW_SGI_NAME": "uvicorn",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    })
    import uvicorn

    uvicorn.run("mlflow.server.fastapi_app:app", host="127.0.0.1", port=port)


class Server:
    """An MLflow server on this machine, which can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        (self.port,) = free_ports(1)
        self.uri = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self._process: BaseProcess | None = None

    def start(self) -> None:
        self._process = fork(serve, self._folder, self.port)
        wait_for(self._answers)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=1):
                return True
        except OSError:
            return False


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    server = Server(folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()


def test_the_search_goes_on_while_the_server_is_away(
    make_study: Make, folder: Path, server: Server, tally: Tally
) -> None:
    expected = undisturbed(make_study, round={"trials": 16})
    file = make_study(
        fixed={"sleep": 0.3, "steady": True, "folder": str(folder)}, round={"trials": 16}
    )
    process = start("run", file, "--inline", "--tracking-uri", server.uri)
    wait_for(lambda: len(trainings(folder)) >= 3)
    server.kill()
    wait_for(lambda: len(trainings(folder)) >= 13)  # it did not wait
    server.start()
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert output.count("the record is away") == 1
    assert output.count("the record is back") == 1
    actual = table("toy", "--tracking-uri", server.uri)
    tally("MLflow server killed, started again 10 trials later", 1, expected, actual)
    assert sum(trainings(folder).values()) == 16


def test_a_server_that_answers_errors_is_waited_for(
    make_study: Make, folder: Path, server: Server, tally: Tally
) -> None:
    expected = undisturbed(make_study)

    class Broken(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(500)

        def do_POST(self) -> None:
            self.send_error(500)

        def log_message(self, *_: object) -> None:
            pass

    file = make_study(fixed={"sleep": 0.5, "steady": True, "folder": str(folder)})
    process = start("run", file, "--inline", "--tracking-uri", server.uri)
    wait_for(lambda: len(trainings(folder)) >= 3)
    server.kill()
    wait_for(lambda: not listens(server.port))
    broken = HTTPServer(("127.0.0.1", server.port), Broken)
    threading.Thread(target=broken.serve_forever, daemon=True).start()
    wait_for(lambda: len(trainings(folder)) >= 10)
    broken.shutdown()
    broken.server_close()
    server.start()
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert output.count("the record is away") == 1
    actual = table("toy", "--tracking-uri", server.uri)
    tally("MLflow server answering 500 for 7 trials", 1, expected, actual)
    assert sum(trainings(folder).values()) == 12


def test_server_and_service_killed_the_outbox_is_delivered(
    make_study: Make, folder: Path, server: Server, tally: Tally
) -> None:
    expected = undisturbed(make_study)
    file = make_study(fixed={"sleep": 0.4, "steady": True, "folder": str(folder)})
    options = ("--inline", "--tracking-uri", server.uri)
    process = start("run", file, *options)
    wait_for(lambda: len(trainings(folder)) >= 2)
    server.kill()
    wait_for(lambda: len(trainings(folder)) >= 9)
    process.kill()
    process.communicate()
    refused = start("run", file, *options)
    output, _ = refused.communicate(timeout=60)
    assert refused.returncode == 1
    assert "no MLflow server answers" in output
    server.start()
    process = start("run", file, *options)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert "delivering" in output
    actual = table("toy", "--tracking-uri", server.uri)
    tally("MLflow server killed, then the service", 1, expected, actual)
    assert sum(trainings(folder).values()) <= 13
