"""The MLflow server is killed or answers errors, and results wait for it."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from tests.crashes.conftest import Tally
from tests.fixtures import Make, table, trainings, undisturbed
from tests.ports import listens
from tests.processes import start, wait_for
from tests.server import Server


def test_the_search_goes_on_while_the_server_is_away(
    make_study: Make, folder: Path, server: Server, tally: Tally
) -> None:
    expected = undisturbed(make_study, round={"trials": 16})
    file = make_study(
        fixed={"sleep": 1.0, "steady": True, "folder": str(folder)}, round={"trials": 16}
    )
    process = start("run", file, "--inline", "--tracking-uri", server.uri)
    wait_for(lambda: len(trainings(folder)) >= 3)
    server.kill()
    wait_for(lambda: len(trainings(folder)) >= 13)  # it did not wait
    server.start()
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert output.count("the record is unavailable") == 1
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

    file = make_study(fixed={"sleep": 1.2, "steady": True, "folder": str(folder)})
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
    assert output.count("the record is unavailable") == 1
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
