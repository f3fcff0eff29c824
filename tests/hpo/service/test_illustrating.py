"""What is known after a round is drawn beside the next one, and what fails there is only said."""

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from hpo.moves import Move
from hpo.record.values import Recorded, Round
from hpo.service import illustrating
from hpo.service.illustrating import Drawing
from tests.fixtures import round_settings
from tests.hpo.evaluating import Quiet

KNOWN = Recorded("1", rounds=(Round(3, "run", {}, round_settings(), "", True),))
MOVES: Sequence[Move] = ()


@pytest.fixture(autouse=True)
def moves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(illustrating, "moves_after", lambda known: MOVES)


def drawing(illustrate: Any) -> tuple[Drawing, Quiet]:
    listener = Quiet()
    return Drawing(illustrate, listener), listener  # type: ignore[arg-type]


def test_the_moves_are_there_while_it_is_drawn() -> None:
    drawn, go_on = list[object](), threading.Event()

    def illustrate(*known: object) -> None:
        go_on.wait(10)
        drawn.append(known)

    picture, listener = drawing(illustrate)
    assert picture.moves() is None
    picture.finish()
    picture.begin(KNOWN)
    assert picture.moves() is MOVES
    assert drawn == []
    go_on.set()
    picture.begin(KNOWN)  # waits for the one before
    assert len(drawn) >= 1
    picture.finish()
    assert drawn == [(KNOWN, MOVES)] * 2
    assert listener.notes == []


def test_nothing_is_found_where_nothing_is_drawn() -> None:
    picture, _ = drawing(None)
    picture.begin(KNOWN)
    assert picture.moves() is None


@pytest.mark.parametrize("abandoned", [False, True])
def test_a_round_without_figures_is_said_unless_nobody_waits(abandoned: bool) -> None:
    def illustrate(*_: object) -> None:
        raise RuntimeError("no ink")

    picture, listener = drawing(illustrate)
    if abandoned:
        picture.abandon()
    picture.begin(KNOWN)
    picture.finish()
    assert picture.moves() is MOVES
    said = "cannot draw the figures of round 3: RuntimeError: no ink"
    assert listener.notes == ([] if abandoned else [said])


def test_moves_that_cannot_be_found_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(known: Recorded) -> None:
        raise ValueError("no sense")

    monkeypatch.setattr(illustrating, "moves_after", fail)
    picture, listener = drawing(lambda *_: None)
    picture.begin(KNOWN)
    with pytest.raises(ValueError, match="no sense"):
        picture.moves()
    picture.finish()
    assert listener.notes == ["cannot draw the figures of round 3: ValueError: no sense"]
