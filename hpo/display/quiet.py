"""Only notes, on standard error, for programs with output of their own."""

import sys
from collections.abc import Callable
from typing import Self

from hpo.service.listening import Silent
from hpo.text import clean


class Quiet(Silent):
    """Shows notes, but no progress."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing."""

    def note(self, text: str) -> None:
        """Show a line."""
        print(clean(text), file=sys.stderr)

    def waiting(self, what: str) -> None:
        """Show nothing."""

    def workers_started(self, slots: Callable[[], int]) -> None:
        """Show nothing."""
