"""The UI is served until its command ends, and what its server says is shown where it matters."""

import contextlib
import json
import re
import signal
import socket
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpo.cli.serving import _pass_on
from tests.fixtures import client_of
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
    assert lines[0] == "MLflow UI, Ctrl-C ends it:\n"
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
            2, "hpo: the port 5001 is taken; name another, or none for the first free one\n"
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
