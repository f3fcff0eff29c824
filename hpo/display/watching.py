"""The interface of displays that show a running study."""

from collections.abc import Callable
from typing import Protocol, Self

from hpo.service.listening import Listener


class Watching(Listener, Protocol):
    """Receives events, from before the first round until everything is done."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def waiting(self, what: str) -> None:
        """Show what is being waited for, before the first round."""
        ...

    def workers_started(self, slots: Callable[[], int]) -> None:
        """Set the function that says how many trials run at the same time; the others wait."""
        ...
