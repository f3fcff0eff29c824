"""What shows a study while it runs, as those who run it know it."""

from collections.abc import Callable
from typing import Protocol, Self

from hpo.service.listening import Listener


class Watching(Listener, Protocol):
    """Is told what happens, from before the first round until all is done."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def waiting(self, what: str) -> None:
        """Say what is being waited for, before the first round."""
        ...

    def workers_started(self, slots: Callable[[], int]) -> None:
        """Take note of what says how many trials run at the same time now; the others wait."""
        ...
