"""Report the output of a trial during a long epoch, from a second thread."""

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
TELL_SECONDS = 3.0  # between reports about it


class Tell(Protocol):
    """Receives the progress of a running trial; called from another thread than the trial's."""

    def __call__(self, progress: Progress) -> bool:
        """Pass it on; return False if the progress before has not been received yet."""
        ...

    def forget(self) -> None:
        """Take back the progress of a trial that has ended."""
        ...

    def is_leaving(self) -> bool:
        """Return whether the machine of the trial is about to go away."""
        ...


@dataclass
class Watched:
    """A running trial: its output, and how to report its progress.

    `told` is the time of the last report, `shown` how much of the output it covered; the trial
    sets both, too. `made_by` makes a report from the output.
    """

    output: Output
    made_by: Callable[[str], Progress]
    tell: Tell
    told: float = field(default_factory=time.perf_counter)
    shown: int = 0
    ended: bool = False

    def look(self) -> None:
        """Report new output, if the last report was some time ago."""
        written = self.output.written
        if written <= self.shown or time.perf_counter() - self.told < TELL_SECONDS:
            return
        if self.tell(self.made_by(self.output.text())):
            self.told, self.shown = time.perf_counter(), max(self.shown, written)
        if self.ended:
            self.tell.forget()


class _Watch(threading.Thread):
    """Looks at the trial of this process every second.

    One thread serves all trials: starting one for each would cost a short trial too much.
    """

    _only: "_Watch | None" = None

    def __init__(self) -> None:
        super().__init__(name="live output", daemon=True)
        self.watched: Watched | None = None
        self.process = os.getpid()

    @classmethod
    def get(cls) -> "_Watch":
        """Return the watch of this process."""
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
                except Exception as error:  # the result will hold all of the output
                    logging.getLogger(__name__).debug("live output: %s", error)


@contextmanager
def watching(watched: Watched | None) -> Iterator[None]:
    """Watch a trial while the context is open, if there is anything to report to."""
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
