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

    A trial that hangs in C code cannot be stopped from within its own process: of the timeout
    that means it takes effect at the next line of Python. What a person stops ends at its next
    epoch.
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
        """Run until something is to tell; None where nothing is left to run."""
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
        """Forget the queue."""
        self._waiting.clear()
        self._events = iter(())

    def _alarmed(self, events: Iterator[Event], seconds: float | None) -> Iterator[Event]:
        """Raise TimeoutError inside a trial that takes longer than it may."""
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
    """Yield what is to be told; here no copy has to be carried."""
    return (event for event in events if not isinstance(event, Kept))


class _Teller:
    """Shows what the trial of this process tells while it runs, and nothing once it has ended."""

    def __init__(self, show: Callable[[Progress], None]) -> None:
        self._show, self._lock = show, threading.Lock()
        self.running: TrialId | None = None

    def __call__(self, progress: Progress) -> bool:
        """Show what the other thread tells."""
        with self._lock:
            if progress.trial.id == self.running:
                self._show(progress)
        return True

    def forget(self) -> None:
        """Do nothing: what came too late was not shown."""

    def is_leaving(self) -> bool:
        """Say no: whatever ends this process ends the study."""
        return False

    def end(self) -> None:
        """Show nothing from here on."""
        with self._lock:
            self.running = None
