"""What a server says is for the user only where it matters."""

import threading
from collections.abc import Iterator

import pytest

from hpo.cli.serving import _pass_on


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
