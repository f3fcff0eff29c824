"""Workers that hand trials to whoever asks for them, and wait for the results."""

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hpo.checkpoints.trials import Checkpoints
from hpo.errors import InputError
from hpo.forms import as_metrics
from hpo.text import shortened
from hpo.trial import (
    EpochMetrics,
    Progress,
    State,
    Trial,
    TrialId,
    TrialResult,
    is_finite,
)
from hpo.wording import count
from hpo.workers.attempt import (
    FLUSH_SECONDS,
    REASON_CHARACTERS,
    Event,
    Job,
    Stops,
    ended_by,
    passed_limit,
    place_of,
    value_of,
)


class Closed(BaseException):
    """No more trials will be asked for."""


@dataclass
class Running:
    """A trial that the caller is training, and its progress so far."""

    trial: Trial
    attempt: int
    started: float = field(default_factory=time.time)
    clock: float = field(default_factory=time.perf_counter)
    shown: float = field(default_factory=time.perf_counter)
    metrics: list[EpochMetrics] = field(default_factory=list)


class AskedWorkers:
    """Hands trials to whoever asks; the study's service runs in another thread."""

    checkpoints: Checkpoints | None = None

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._job: Job
        self._stops: Stops
        self._changed = threading.Condition()
        self._submitted: deque[tuple[Trial, int]] = deque()
        self._running: dict[TrialId, Running] = {}
        self._told: set[TrialId] = set()
        self._events: deque[Event] = deque()
        self._is_idle = False  # whether the service is waiting for an event
        self._is_closed = self._has_ended = False
        self._error: BaseException | None = None
        self._is_heard = False  # whether the error was raised to the caller

    def begin(self, job: Job, stops: Stops) -> None:
        """Set what all trials have in common, before the first one is submitted."""
        self._job, self._stops = job, stops

    def submit(self, trial: Trial, attempt: int) -> None:
        """Queue a trial for whoever asks next."""
        with self._changed:
            self._submitted.append((trial, attempt))
            self._changed.notify_all()

    def next_event(self, timeout: float) -> Event | None:
        """Wait for the next event, at most `timeout` seconds."""
        with self._changed:
            self._is_idle = not self._events
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._events or self._is_closed, timeout)
            self._is_idle = False
            if self._events:
                return self._events.popleft()
            if self._is_closed:
                raise Closed
            return None

    def close(self) -> None:
        """Do nothing: the caller trains the trials."""

    def end(self, error: BaseException | None = None) -> None:
        """Record that the service ended, and the error that ended it, if any."""
        with self._changed:
            self._has_ended, self._error = True, self._error or error
            self._changed.notify_all()

    def ask_no_more(self) -> None:
        """Let the service end as soon as it waits; trials without a result run again later."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def ask(self, wait: bool) -> Trial | None:
        """Return the next trial, None if there is none left.

        Raises InputError if the result of an earlier one must be told first, unless `wait` is set
        because another thread will tell it. Raises the error that ended the service, if any.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._submitted or self._has_ended or (self._is_stuck() and not wait)
            )
            self.refuse_error()
            if self._is_closed:
                raise InputError("the study is closed; ask inside the hpo.open block")
            if self._submitted:
                trial, attempt = self._submitted.popleft()
                self._running[trial.id] = Running(trial, attempt)
                return trial
            if self._has_ended:
                return None
            raise InputError(
                f"{count(len(self._running), 'trial')} asked for but not told yet, and the next "
                "one needs the result of an earlier one; tell one first, or raise round.parallel"
            )

    def _is_stuck(self) -> bool:
        return self._is_idle and not self._events

    def report(self, trial: Trial, epoch: Any) -> State | None:
        """Add the metrics of an epoch; return the trial's final state if that ends it, or None."""
        with self._changed:
            running = self._of(trial)
            running.metrics.append(self._checked(epoch))
            ended = ended_by(running.metrics, self._job, trial)
            reason = self._stops(trial.id) if ended is None else None
            if reason is not None:
                ended = State.STOPPED
            if ended is not None:
                self._conclude(running, ended, reason or "")
            elif time.perf_counter() - running.shown > FLUSH_SECONDS:
                running.shown = time.perf_counter()
                self._events.append(Progress(
                    trial, running.attempt, running.started, place_of(), tuple(running.metrics)
                ))
                self._changed.notify_all()
            return ended

    def tell(self, trial: Trial, epochs: Sequence[Any]) -> None:
        """Finish a trial, with more epochs if any; return once the result is saved."""
        with self._changed:
            running = self._of(trial)
            # Everything is checked before any of it counts, so a refused call can be repeated.
            metrics = [*running.metrics, *map(self._checked, epochs)]
            if not metrics:
                raise InputError(f"{trial.id} has no result yet; tell its {self._job.metric}")
            passed = ""
            broken = next((n for n, m in enumerate(metrics, start=1) if not is_finite(m)), 0)
            if broken:
                state, metrics = State.DIVERGED, metrics[:broken]
            else:
                passed = self._passed_limit(trial, metrics)
                state = State.INFEASIBLE if passed else State.COMPLETE  # trained to its end
            running.metrics = metrics
            self._conclude(running, state, passed)

    def fail(self, trial: Trial, reason: str, state: State = State.FAILED) -> None:
        """Mark a trial as failed, with the reason; return once that is saved."""
        with self._changed:
            self._conclude(self._of(trial), state, shortened(reason, REASON_CHARACTERS))

    def _of(self, trial: Trial) -> Running:
        self.refuse_error()
        if trial.id in self._told:
            raise InputError(f"{trial.id} was already told; tell each trial once")
        if self._is_closed or self._has_ended:
            raise InputError(
                f"{trial.id}: the study is closed; ask for it again inside the hpo.open block"
            )
        if trial.id not in self._running:
            raise InputError(f"{trial.id} was not asked for here; ask for it first")
        return self._running[trial.id]

    def _passed_limit(self, trial: Trial, metrics: Sequence[EpochMetrics]) -> str:
        """Return which limit a trial violates at the epoch of its value, or ""."""
        _, epoch = value_of(self._job, metrics)
        try:
            return passed_limit(self._job.limits, metrics[epoch - 1])
        except ValueError as error:
            raise InputError(f"{trial.id}: {error}") from None

    def _checked(self, epoch: Any) -> EpochMetrics:
        try:
            metrics = as_metrics(epoch, self._job.metric)
        except (TypeError, ValueError) as error:
            raise InputError(str(error)) from None
        if self._job.metric not in metrics:
            raise InputError(
                f"{self._job.metric!r}, the metric of the study, is required but missing; got "
                f"{', '.join(metrics) or 'no metrics'}"
            )
        return metrics

    def _conclude(self, running: Running, state: State, message: str = "") -> None:
        """Hand a result to the service, and wait until it is on disk."""
        value = epoch = None
        if state in (State.COMPLETE, State.PRUNED, State.STOPPED):
            value, epoch = value_of(self._job, running.metrics)
        del self._running[running.trial.id]
        self._told.add(running.trial.id)
        self._events.append(TrialResult(
            running.trial, state, value, epoch, tuple(running.metrics), running.attempt,
            running.started, time.perf_counter() - running.clock, place_of(), message,
        ))
        self._is_idle = False
        self._changed.notify_all()
        self._changed.wait_for(
            lambda: self._has_ended or (self._is_idle and not self._events)
        )
        self.refuse_error()

    def refuse_error(self) -> None:
        """Raise the error that ended the service, if any."""
        if self._error is not None:
            self._is_heard = True
            raise self._error

    def refuse_unheard(self) -> None:
        """Raise the error that ended the service, if any, unless it was raised before."""
        if not self._is_heard:
            self.refuse_error()


def hyperparameters_of(trial: Trial, fixed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the hyperparameters to train a trial with, including the fixed ones."""
    from hpo.search_space import packed

    return packed(trial.values(fixed))
