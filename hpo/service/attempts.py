"""Attempts at trials: sent to the workers, and sent again if a worker dies."""

from collections import deque
from collections.abc import Mapping, Sequence

from hpo.distributions import Value
from hpo.errors import HPOError, InputError
from hpo.record.delivery import Delivery
from hpo.record.values import Asked, Attempt
from hpo.search.best_so_far import Point
from hpo.service.listening import Listener
from hpo.service.retention import Retention
from hpo.study import StudyFile
from hpo.trial import Lost, Progress, State, Trial, TrialId, TrialResult
from hpo.workers.attempt import CodeChanged, NoMetric, Remark, Stalled, Workers

ATTEMPTS = 3  # at a trial whose worker dies
WAIT_SECONDS = 0.5  # for an event, before the terminal is looked after again


class Attempts:
    """Trials at the workers, sent again if a worker dies; results go to the outbox.

    `begun` holds the last attempt that an earlier process made at each trial, `known` are the
    recorded trials and parts.
    """

    def __init__(
        self,
        study: StudyFile,
        begun: Mapping[TrialId, Attempt],
        known: Sequence[TrialResult],
        delivery: Delivery,
        workers: Workers,
        listener: Listener,
    ) -> None:
        self._latest = {trial: attempt.number for trial, attempt in begun.items()}
        self._file, self._yielded = study.path, any(r.metrics for r in known)
        self._delivery, self._workers, self.listener = delivery, workers, listener
        self._reclaimed: deque[TrialResult] = deque()
        self._kept: dict[TrialId, int] = {}  # epochs that need not be trained again
        self._of_use: dict[TrialId, int] = {}  # the last attempt that kept some
        self._retention: Retention | None = None
        if workers.checkpoints is not None:
            self._retention = Retention(workers.checkpoints, study.direction)
            self._retention.know(known)
        self._has_remarked = False
        self.running = 0

    def submit(self, trial: Trial) -> None:
        """Hand a trial to the workers, unless its result is waiting on disk."""
        self.running += 1
        self._delivery.running.add(trial.id)
        reclaimed = self._delivery.reclaim(trial)
        if reclaimed is None:
            self._send(trial)
        else:
            self._reclaimed.append(reclaimed)

    def next_result(self) -> TrialResult | None:
        """Wait for the next event; return it if it is a result, which is then on disk."""
        if self._reclaimed:
            return self._ended(self._reclaimed.popleft())
        event = self._workers.next_event(WAIT_SECONDS)
        if event is None:
            return None
        if isinstance(event, Progress):
            self._delivery.show(event)
            self.listener.trial_progressed(event)
            return None
        if isinstance(event, Stalled):
            self.listener.note(f"{self._file}: {event.reason}")
            return None
        if isinstance(event, Remark):
            if not self._has_remarked:  # once: it is the same for all trials
                self.listener.note(event.text)
            self._has_remarked = True
            return None
        if isinstance(event, CodeChanged):
            raise HPOError(
                f"{' and '.join(event.files)} changed while the study was running: the worker at "
                f"{event.place} imported different code than the trials started with; change it "
                "back, or give the study another name"
            )
        if isinstance(event, Lost):
            self._delivery.abandon(event)
            if self._may_try_again(event):
                part = f", part {event.trial.part}" if event.trial.part else ""
                self.listener.note(
                    f"trial {event.trial.number}{part}: {event.reason}; running it again"
                )
                self._send(event.trial)
                return None
            event = TrialResult(
                event.trial, State.FAILED, attempt=event.attempt,
                message=f"{event.reason} (attempt {event.attempt} of "
                f"{ATTEMPTS + self._of_use.get(event.trial.id, 0)})",
            )
        if isinstance(event, NoMetric):
            if not self._yielded:
                raise InputError(
                    f"{self._file}: metric: the objective does not report {event.metric!r}; it "
                    f"reports {', '.join(event.yielded) or 'nothing'}; choose a metric that it "
                    "reports"
                )
            event = event.result
        self._delivery.add(event)
        return self._ended(event)

    @property
    def begun(self) -> Sequence[TrialId]:
        """The recorded trials that have some parts but not all; here none has parts."""
        return ()

    def begun_with(self, trial: TrialId) -> Mapping[str, Value] | None:
        """Return the hyperparameters of such a trial, or None."""
        return None

    def _may_try_again(self, lost: Lost) -> bool:
        """Return whether a trial may be tried again after a lost attempt.

        An attempt that later ones can continue from was not in vain, and does not count.
        """
        identity, checkpoints = lost.trial.id, self._workers.checkpoints
        if checkpoints is not None:
            kept = checkpoints.epochs(identity)
            if kept > self._kept.get(identity, 0):
                self._kept[identity], self._of_use[identity] = kept, lost.attempt
        return lost.attempt - self._of_use.get(identity, 0) < ATTEMPTS

    def forget_others(self) -> None:
        """Remove all copies of trials except those that stay after the trials have ended."""
        if self._retention is not None:
            self._retention.forget_others()

    def begin(self, trial: Trial) -> None:
        """Note that a trial runs in parts, which are submitted one by one."""
        self._delivery.running.add(trial.id)

    def conclude(self, result: TrialResult) -> None:
        """Record the combined result of the parts of a trial."""
        self._delivery.add(result)
        self.say_if_not_stopped(result)
        self._delivery.running.discard(result.trial.id)
        self.listener.trial_ended(result)

    @property
    def asked(self) -> Asked:
        """What people ask of the study, as far as known."""
        return self._delivery.asked

    def look(self) -> Asked:
        """Return what people ask of the study now."""
        return self._delivery.look()

    def show_best(self, run_id: str, points: Sequence[Point]) -> None:
        """Show the best values of a round to people who watch the record."""
        if points:
            self._delivery.show_best(run_id, points)

    def _ended(self, result: TrialResult) -> TrialResult:
        self._yielded = self._yielded or result.state is not State.FAILED
        self.running -= 1
        if self._retention is not None:
            self._retention.ended(result)
        if not result.trial.part:
            self.say_if_not_stopped(result)
        self._delivery.running.discard(result.trial.id)
        self.listener.trial_ended(result)
        return result

    def say_if_not_stopped(self, result: TrialResult) -> None:
        """Tell the user if a trial that they asked to stop ended by itself."""
        asked = self._delivery.stop_asked(result.trial.id)
        if asked is not None and result.state is not State.STOPPED:
            self.listener.note(f"trial {result.trial.number} ended before it could be stopped")

    def _send(self, trial: Trial) -> None:
        attempt = self._latest.get(trial.id, 0) + 1
        self._latest[trial.id] = attempt
        self._workers.submit(trial, attempt)
        self.listener.trial_started(trial)
