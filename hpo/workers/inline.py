"""Workers that run trials in this process, one after another."""

import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace

from hpo.data.folds import Held
from hpo.resources import refuse_absent, this_machine
from hpo.trial import Progress, Trial, TrialId
from hpo.workers.attempt import Event, Job, Kept, Stops, attempt_trial, timed_out


class InlineWorkers:
    """Runs trials in this process, one after another.

    A trial that hangs in C code cannot be stopped from within its own process, so the timeout
    takes effect at the next line of Python. A trial that the user stops ends at its next epoch.
    """

    slots = 1

    def __init__(
        self,
        job: Job,
        data: Held,
        show: Callable[[Progress], None] | None = None,
        stops: Stops | None = None,
    ) -> None:
        refuse_absent(replace(job.demand, cpus=1), this_machine(), "this machine")
        self._job, self._data, self._stops = job, data, stops
        self.checkpoints = job.checkpoints
        self._waiting: deque[tuple[Trial, int]] = deque()
        self._events: Iterator[Event] = iter(())
        self._teller = _Teller(show) if show is not None else None

    def submit(self, trial: Trial, attempt: int) -> None:
        """Put the trial at the end of the queue."""
        self._waiting.append((trial, attempt))

    def next_event(self, timeout: float) -> Event | None:
        """Run until there is an event; None if nothing is left to run."""
        while True:
            event = next(self._events, None)
            if self._teller is not None and not isinstance(event, Progress):
                self._teller.end()
            if event is not None or not self._waiting:
                return event
            trial, attempt = self._waiting.popleft()
            if self._teller is not None:
                self._teller.running = trial.id
            self._events = self._alarmed(
                _told(attempt_trial(
                    self._job, self._data, trial, attempt, self._teller, self._stops
                )),
                self._job.timeout_of(trial),
            )

    def close(self) -> None:
        """Clear the queue."""
        self._waiting.clear()
        self._events = iter(())

    def _alarmed(self, events: Iterator[Event], seconds: float | None) -> Iterator[Event]:
        """Raise TimeoutError inside a trial that exceeds its timeout."""
        if seconds is None or threading.current_thread() is not threading.main_thread():
            yield from events
            return

        def ring(*_: object) -> None:
            raise TimeoutError(timed_out(seconds))

        before = signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            yield from events
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


def _told(events: Iterator[Event | Kept]) -> Iterator[Event]:
    """Yield events, except copies, which are already where they belong."""
    return (event for event in events if not isinstance(event, Kept))


class _Teller:
    """Shows the progress of this process's trial while it runs, and nothing once it has ended."""

    def __init__(self, show: Callable[[Progress], None]) -> None:
        self._show, self._lock = show, threading.Lock()
        self.running: TrialId | None = None

    def __call__(self, progress: Progress) -> bool:
        """Show the progress that the other thread reports."""
        with self._lock:
            if progress.trial.id == self.running:
                self._show(progress)
        return True

    def forget(self) -> None:
        """Do nothing: late progress was not shown."""

    def is_leaving(self) -> bool:
        """Return False: if this process ends, so does the study."""
        return False

    def end(self) -> None:
        """Show nothing from now on."""
        with self._lock:
            self.running = None
