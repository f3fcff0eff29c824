"""The UI is served until its command ends, and what its server says is shown where it matters."""

import contextlib
import json
import re
import signal
import socket
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hpo.cli.serving import _answers, _free_port, _pages, _pass_on
from hpo.errors import InputError
from hpo.record.saved_view import charts_page, file_page, page, rounds_page, run_page
from hpo.record.values import Recorded, Round
from hpo.search.extension import extended
from tests.fixtures import Command, client_of, result, round_settings
from tests.ports import free_ports, listens
from tests.processes import start, start_anew, wait_for


def test_what_a_server_says_as_it_starts_is_shown_where_it_never_answers(
    capfd: pytest.CaptureFixture[str],
) -> None:
    _pass_on(iter([b"starting\n", b"no such table\n"]), threading.Event())  # type: ignore[arg-type]
    assert tuple(capfd.readouterr()) == ("", "starting\nno such table\n")


def test_of_a_server_that_answers_only_later_complaints_are_shown(
    capfd: pytest.CaptureFixture[str],
) -> None:
    up = threading.Event()

    def lines() -> Iterator[bytes]:
        yield b"starting\n"
        up.set()
        yield b"disk full\n"

    _pass_on(lines(), up)  # type: ignore[arg-type]
    assert tuple(capfd.readouterr()) == ("", "disk full\n")


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_the_ui_ends_with_its_command(folder: Path, ending: signal.Signals) -> None:
    (port,) = free_ports(1)
    process = start_anew("ui", "--port", port)
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(2)]
    assert lines[0] == "MLflow UI (press Ctrl-C to stop):\n"
    assert f"http://127.0.0.1:{port}/#/experiments" in lines[1]
    process.send_signal(ending)
    rest, _ = process.communicate(timeout=30)
    assert rest == ""  # the address is the last that it said
    wait_for(lambda: not listens(port), seconds=20)


def test_the_ui_takes_the_first_free_port_and_serves_the_record_that_was_named(
    folder: Path,
) -> None:
    (folder / "mlflow.db").rename(folder / "other.db")
    client_of("sqlite:///other.db").create_experiment("seen")
    with contextlib.ExitStack() as stack:
        for port in range(5000, 5003):
            with contextlib.suppress(OSError):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
        asked = start("ui", "--port", 5001, "--tracking-uri", "sqlite:///other.db")
        output, _ = asked.communicate(timeout=60)
        assert (asked.returncode, output) == (
            2, "hpo: port 5001 is in use; choose another, or drop --port to use a free one\n"
        )
        process = start("ui", "--tracking-uri", "sqlite:///other.db")
        process.stdout.readline()
        found = re.search(r"(http://127\.0\.0\.1:(\d+))/#/experiments", process.stdout.readline())
        assert found
        assert int(found[2]) > 5002
        asking = f"{found[1]}/api/2.0/mlflow/experiments/search?max_results=9"
        with urllib.request.urlopen(asking, timeout=30) as answer:
            names = {e["name"] for e in json.load(answer)["experiments"]}
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=30)
    assert names == {"Default", "seen"}
    assert rest == ""
    assert not (folder / "mlflow.db").exists()


def test_a_port_that_is_free_is_taken_or_all_are_said_to_be_taken(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = set[int]()

    def create_server(address: tuple[str, int]) -> socket.socket:
        if address[1] in taken:
            raise OSError("in use")
        return socket.socket()

    monkeypatch.setattr(socket, "create_server", create_server)
    assert (_free_port(None), _free_port(7)) == (5000, 7)
    taken |= {5000, 7}
    assert _free_port(None) == 5001
    with pytest.raises(InputError) as caught:
        _free_port(7)
    assert str(caught.value) == (
        "port 7 is in use; choose another, or drop --port to use a free one"
    )
    taken |= set(range(5000, 5100))
    with pytest.raises(InputError) as caught:
        _free_port(None)
    assert str(caught.value) == "ports 5000 to 5099 are in use; choose another with --port"


def test_the_pages_of_a_study_are_its_trials_rounds_charts_and_recommended_trial() -> None:
    round_ = Round(1, "run", {}, round_settings(), "", True)
    results = [replace(result(n), value=v) for n, v in ((1, 0.5), (2, 0.25), (3, 0.75))]
    runs = {r.trial.id: f"run-{r.trial.number}" for r in results}
    server = "http://127.0.0.1:5000"
    recorded = Recorded("7", rounds=(round_,), results=results, runs=runs)
    assert list(_pages(server, "toy", recorded)) == [
        (page(server, "7"), "toy"), (rounds_page(server, "7"), "rounds"),
        (charts_page(server, "7"), "charts"),
        (run_page("7", "run-2", server), "recommended: trial 2 of round 1"),
    ]
    longer = replace(results[0], trial=extended(results[0].trial, 9), value=0.125)
    trained = replace(
        recorded, extensions=[longer], runs={**runs, longer.trial.id: "run-longer"}
    )
    *_, last = _pages(server, "toy", trained)  # not trial 2, the best of the search
    assert last == (run_page("7", "run-longer", server), f"recommended: {longer.trial.id}")
    first, *others = _pages(server, "toy", recorded, "run")
    assert first == (file_page(server, "7", "run", "report.html"), "report")
    assert others == list(_pages(server, "toy", recorded))
    assert len(list(_pages(server, "toy", Recorded("7", rounds=(round_,))))) == 3
    assert len(list(_pages(server, "toy", Recorded("7")))) == 3


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_server_is_named_without_its_password(command: Command, scheme: str) -> None:
    told = command("ui", "--tracking-uri", f"{scheme}://me:secret@there:5000")
    assert (told.code, told.err) == (0, "")
    assert told.out == (
        f"the record is on an MLflow server; open {scheme}://me:***@there:5000\n"
    )


def test_a_server_that_ended_answers_no_more() -> None:
    (port,) = free_ports(1)

    class Ended:
        def poll(self) -> int:
            return 1

    class Runs:
        def poll(self) -> None:
            return None

    assert not _answers(port, Ended())  # type: ignore[arg-type]
    with socket.create_server(("127.0.0.1", port)):
        assert _answers(port, Runs())  # type: ignore[arg-type]
