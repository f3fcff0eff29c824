"""What is typed becomes values; what goes wrong is one line."""

import errno
import sys

import click
import pytest

from hpo.cli import commands, options
from hpo.cli.options import (
    ConfirmOptions,
    complain,
    escaped,
    say,
)
from hpo.errors import HPOError, InputError, RecordRefused
from tests.fixtures import Command


def test_only_what_was_said_replaces_the_table_of_the_file() -> None:
    assert ConfirmOptions().settings() == {}
    assert ConfirmOptions(top=2, accept_code=True).settings() == {"top": 2}
    assert ConfirmOptions(None, 4, True).settings() == {"repeats": 4, "resplit": True}


def test_what_is_printed_is_harmless(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    say("a\x1b[2J\n b")
    monkeypatch.setattr(sys, "argv", ["hpo", "--tracking-uri", "postgresql://a:secret@b/c"])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:hidden%40@there")
    complain(HPOError("no secret\nand no hidden@ at\x1b[2J"))
    told = capsys.readouterr()
    assert told.out == "a\\x1b[2J\n b\n"
    assert told.err == "hpo: no *** and no *** at\\x1b[2J\n"
    assert escaped("[b]x[/b]") == r"\[b]x\[/b]"


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (InputError("bad"), 2, "hpo: bad\n"), (RecordRefused("gone"), 1, "hpo: gone\n"),
        (HPOError("stopped"), 1, "hpo: stopped\n"), (KeyboardInterrupt(), 130, "\n"),
        (click.Abort(), 130, ""), (click.exceptions.Exit(0), 0, ""),
        (click.ClickException("usage\x07"), 2, "Error: usage\\x07\n"),
        (OSError(errno.ENOSPC, "No space left", "a.db"), 1,
         "hpo: a.db: No space left; fix it, then run the same command to resume\n"),
        (OSError("odd"), 1, "hpo: odd; fix it, then run the same command to resume\n"),
    ],
)
def test_an_error_is_a_line_and_an_exit_code(
    command: Command, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, said: str
) -> None:
    @click.command()
    def fail() -> None:
        raise error

    monkeypatch.setitem(options.hpo.commands, "fail", fail)
    before = sys.stdout
    outcome = command("fail")
    assert (outcome.code, outcome.out, outcome.err) == (code, "", said)
    assert sys.stdout is before


def test_a_pipe_that_is_closed_is_no_error(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.command()
    def fail() -> None:
        raise BrokenPipeError

    monkeypatch.setitem(options.hpo.commands, "fail", fail)
    assert (command("fail").code, command("fail").err) == (0, "")


def test_commands_are_all_there_and_say_their_version(command: Command) -> None:
    assert set(commands.hpo.commands) == {
        "add", "best", "cancel", "check", "confirm", "copy", "delete", "evaluate", "export",
        "extend", "init", "list", "logs", "narrow", "predict", "rename", "report", "run",
        "show", "stop", "submit", "ui",
    }
    told = command("--version")
    assert (told.code, told.out) == (0, "hpo, version 0.1.0\n")
    assert command("-h").out == command("--help").out
    assert "eval \"$(_HPO_COMPLETE=bash_source hpo)\"" in " ".join(command("-h").out.split())
