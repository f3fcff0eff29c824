"""Notes alone, on standard error: for programs that have an output of their own."""

import sys
from collections.abc import Callable
from typing import Self

from hpo.service.listening import Silent
from hpo.text import clean


class Quiet(Silent):
    """Shows what a person has to know, and no progress."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing to be done."""

    def note(self, text: str) -> None:
        """Show a line."""
        print(clean(text), file=sys.stderr)

    def waiting(self, what: str) -> None:
        """Say nothing."""

    def workers_started(self, slots: Callable[[], int]) -> None:
        """Say nothing."""
