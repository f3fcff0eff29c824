"""Draws a round, and finds the next moves, while the study continues."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TypeAlias

from hpo.moves import Move
from hpo.record.values import Recorded
from hpo.service.listening import Listener
from hpo.service.proposals import moves_after

Illustrate: TypeAlias = Callable[[Recorded, Sequence[Move]], None]


class Drawing:
    """Finds the next moves after each round and draws what is known, while the study continues."""

    def __init__(
        self, illustrate: Illustrate | None, listener: Listener
    ) -> None:
        self._illustrate, self._listener = illustrate, listener
        self._thread: threading.Thread | None = None
        self._moves: Future[Sequence[Move]] | None = None
        self._abandoned = False

    def begin(self, known: Recorded) -> None:
        """Start with what is known after a round, once the previous picture is done."""
        self.finish()
        if self._illustrate is None:
            return
        self._moves = Future()
        self._thread = threading.Thread(
            target=self._draw, args=(known, self._illustrate, self._moves), daemon=True
        )
        self._thread.start()

    def moves(self) -> Sequence[Move] | None:
        """Return the moves after the last round, None if it is not drawn."""
        return self._moves.result() if self._moves else None

    def finish(self) -> None:
        """Wait until the picture is done."""
        if self._thread is not None:
            self._thread.join()

    def abandon(self) -> None:
        """Give up on the picture: nobody waits for it."""
        self._abandoned = True

    def _draw(
        self,
        known: Recorded,
        illustrate: Illustrate,
        found: Future[Sequence[Move]],
    ) -> None:
        try:
            moves = moves_after(known)
            found.set_result(moves)
            illustrate(known, moves)
        except Exception as error:
            if not found.done():
                found.set_exception(error)
            if not self._abandoned:
                number = known.rounds[-1].number
                self._listener.note(
                    f"cannot draw the figures of round {number}: {type(error).__name__}: {error}"
                )
