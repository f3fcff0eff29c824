"""No password is in what is printed, nor on the command line of a process that is started."""

import contextlib
import os
import signal
import sys
from pathlib import Path

import pytest

from hpo.cli import training
from hpo.passwords import without_password, without_passwords_of
from tests.processes import descendants, start, wait_for


@pytest.mark.parametrize(("text", "shown"), [
    ("postgresql://a:b@c/d", "postgresql://a:***@c/d"),
    ("postgresql+psycopg://u:p%40ss%2Fw@h:5432/db", "postgresql+psycopg://u:***@h:5432/db"),
    ("postgresql://u:p@ss/w:rd@h/db", "postgresql://u:***@h/db"),
    ("mysql://:secret@h/x", "mysql://:***@h/x"),
    ("postgresql://h/db?user=x&password=secret&sslmode=on",
     "postgresql://h/db?user=x&password=***&sslmode=on"),
    ("postgresql:///db?PassWord=s%26x", "postgresql:///db?PassWord=***"),
    ("http://h/?token=secret#part", "http://h/?token=***#part"),
    ("see http://a:5000/x, and 'http://u:secret@b/' too",
     "see http://a:5000/x, and 'http://u:***@b/' too"),
    *((same, same) for same in (
        "sqlite:////x/y.db", "http://127.0.0.1:5000/#/experiments/3/?x=1", "a@b.c: http://x:1/2",
        "http://user@h/x", "learning_rate=1e-3:1e-1",
    )),
])  # fmt: skip
def test_an_address_is_shown_without_its_password(text: str, shown: str) -> None:
    assert without_password(text) == shown


def test_what_a_library_makes_of_a_password_is_hidden_as_well() -> None:
    address = "postgresql://u:p%40ss@h/db?sslpassword=over%2Fthere"
    said = "h refuses p@ss (p%40ss) and over/there of postgresql://u:p%40ss@h"
    assert without_passwords_of([address, "hpo"], said) == (
        "h refuses *** (***) and *** of postgresql://u:***@h"
    )


def test_commands_are_repeated_without_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["hpo", "run", "a b.toml", "--tracking-uri", "postgresql://me:secret@h/db"]
    monkeypatch.setattr(sys, "argv", command)
    assert training._command_line() == (
        "hpo run 'a b.toml' --tracking-uri 'postgresql://me:***@h/db'"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_ui_has_no_password_on_any_command_line(folder: Path) -> None:
    process = start("ui", "--tracking-uri", "postgresql://me:secret@127.0.0.1:9/db", env={
        **os.environ, "PGCONNECT_TIMEOUT": "5",
    })
    seen: dict[int, str] = {}

    def look() -> bool:
        for number in descendants(process.pid):
            with contextlib.suppress(OSError):
                seen[number] = Path(f"/proc/{number}/cmdline").read_text()
        return any("mlflow" in line for line in seen.values())

    wait_for(look)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert "secret" not in output
    assert not [line for line in seen.values() if "secret" in line]
