"""What a trial prints inside a long epoch is told meanwhile, by a thread beside it."""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from hpo.output import Output
from hpo.trial import Progress

LOOK_SECONDS = 1.0  # between looks at the trial that runs
TELL_SECONDS = 3.0  # between two times that something of it is told


class Tell(Protocol):
    """Takes what is to be told of a trial while it runs; called by another thread than it has."""

    def __call__(self, progress: Progress) -> bool:
        """Pass it on; return False where what was told before has not been taken yet."""
        ...

    def forget(self) -> None:
        """Take back what was told of a trial that has ended."""
        ...

    def is_leaving(self) -> bool:
        """Say whether the machine of the trial is about to go."""
        ...


@dataclass
class Watched:
    """A trial while it runs: its output, and what there is to tell of it with that.

    `told` is the moment at which anything of it was told last, `shown` how much of the output
    that was; the trial writes both, too. `made_by` makes what is told, at any moment.
    """

    output: Output
    made_by: Callable[[str], Progress]
    tell: Tell
    told: float = field(default_factory=time.perf_counter)
    shown: int = 0
    ended: bool = False

    def look(self) -> None:
        """Tell what was printed since anything was told, where that was some time ago."""
        written = self.output.written
        if written <= self.shown or time.perf_counter() - self.told < TELL_SECONDS:
            return
        if self.tell(self.made_by(self.output.text())):
            self.told, self.shown = time.perf_counter(), max(self.shown, written)
        if self.ended:
            self.tell.forget()


class _Watch(threading.Thread):
    """Looks at the trial of a process now and then. One does for all of them: to start a thread
    for each would cost a short trial more than what is kept of it.
    """

    _only: "_Watch | None" = None

    def __init__(self) -> None:
        super().__init__(name="live output", daemon=True)
        self.watched: Watched | None = None
        self.process = os.getpid()

    @classmethod
    def get(cls) -> "_Watch":
        """Return that of this process."""
        if cls._only is None or cls._only.process != os.getpid():
            cls._only = cls()
            cls._only.start()
        return cls._only

    def run(self) -> None:
        """Look until the process ends."""
        while True:
            time.sleep(LOOK_SECONDS)
            watched = self.watched
            if watched is not None:
                try:
                    watched.look()
                except Exception as error:  # the result will have all of the output
                    logging.getLogger(__name__).debug("live output: %s", error)


@contextmanager
def watching(watched: Watched | None) -> Iterator[None]:
    """Have a trial watched meanwhile, if there is anybody to tell."""
    if watched is None:
        yield
        return
    watch = _Watch.get()
    watch.watched = watched
    try:
        yield
    finally:
        watched.ended = True
        watch.watched = None
