"""Tells the user's command about events of a study; its failures do not stop the study."""

import contextlib
import json
import os
import queue
import shlex
import signal
import string
import subprocess
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from hpo import wording
from hpo.record.values import Recorded, Round
from hpo.search.best_so_far import BestSoFar
from hpo.service.listening import Silent
from hpo.study import StudyFile
from hpo.text import one_line
from hpo.trial import State, TrialResult, rank

SECONDS = 10.0  # that a command may take, and that the end of a study waits for it
WAITING = 100  # events that may wait for a command that is slow


@dataclass(frozen=True)
class Event:
    """What a command is told: as JSON on standard input, and in its arguments where they name it.

    `event` is best, round, study or failure; `message` says in a sentence what happened. Fields
    that do not apply to an event are None.
    """

    event: str
    study: str
    message: str
    metric: str
    time: str
    round: int | None = None
    trial: int | None = None
    value: float | None = None


class Notifying(Silent):
    """Watches a study, and runs the command of its table [notify] for events, in a thread.

    `note` is called with a line for the user, once, if the command fails or hangs.
    """

    def __init__(self, study: StudyFile, note: Callable[[str], None]) -> None:
        assert study.notify is not None
        self._study, self._settings, self._note = study, study.notify, note
        self._best = BestSoFar(study.direction)
        self._failed_in: set[int] = set()  # rounds of which a failure was told
        self._has_complained = False
        self._events: queue.Queue[Event | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._run, name="notify", daemon=True)
        self._thread.start()

    def know(self, recorded: Recorded | None) -> None:
        """Note what is already recorded, and is not news."""
        results = recorded.results if recorded is not None else ()
        for result in results:
            self._best.add(result)
        self._failed_in = {r.trial.round for r in results if r.state is State.FAILED}

    def trial_ended(self, result: TrialResult) -> None:
        """Report a new best trial, and the first failed trial of a round."""
        trial = result.trial
        if not trial.id.is_searched or trial.part:
            return
        if result.state is State.FAILED and trial.round not in self._failed_in:
            self._failed_in.add(trial.round)
            why = result.reason or "unknown reason"
            self._tell("failure", f"{trial.id} failed: {why}", trial.round, trial.number)
        if self._best.add(result) and result.value is not None:
            value = wording.four_digits(result.value)
            self._tell(
                "best", f"{trial.id} is the best so far: {self._study.metric} {value}",
                trial.round, trial.number, result.value,
            )

    def round_ended(self, round_: Round, results: Sequence[TrialResult]) -> None:
        """Report that a round ended, and the outcome of its trials."""
        number = round_.number
        counts = {state.value: sum(r.state is state for r in results) for state in State}
        said = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
        best = self._first(results)
        told = f"round {number} ended: {said or 'no trials'}"
        if best is None or best.value is None:
            self._tell("round", told, number)
            return
        value = wording.four_digits(best.value)
        self._tell(
            "round", f"{told}; best {self._study.metric} {value}", number, best.trial.number,
            best.value,
        )

    def study_ended(self, recorded: Recorded) -> None:
        """Report that the study is complete."""
        best = self._first(recorded.results)
        told = f"ended after {wording.count(len(recorded.results), 'trial')}"
        if best is None or best.value is None:
            self._tell("study", told)
            return
        value = wording.four_digits(best.value)
        self._tell(
            "study", f"{told}; best {self._study.metric} {value}, {best.trial.id}",
            best.trial.round, best.trial.number, best.value,
        )

    def failed(self, reason: str) -> None:
        """Report that an error stopped the study."""
        self._tell("failure", f"stopped: {reason}")

    def close(self) -> None:
        """Wait for the command, which may take some seconds."""
        with contextlib.suppress(queue.Full):
            self._events.put(None, timeout=SECONDS)
        self._thread.join(SECONDS)

    def _first(self, results: Sequence[TrialResult]) -> TrialResult | None:
        """Return the best of results, None if none is complete."""
        return next(iter(rank(results, self._study.direction)), None)

    def _tell(
        self,
        event: str,
        message: str,
        round: int | None = None,  # noqa: A002  # as the JSON has it
        trial: int | None = None,
        value: float | None = None,
    ) -> None:
        if event not in self._settings.on:
            return
        study, now = self._study, datetime.now(UTC).isoformat(timespec="seconds")
        told = Event(
            event, study.name, one_line(message), study.metric, now, round, trial, value
        )
        with contextlib.suppress(queue.Full):  # a slow command hears less
            self._events.put_nowait(told)

    def _run(self) -> None:
        while (event := self._events.get()) is not None:
            fault = _told(self._settings.command, event, self._study.path.absolute().parent)
            if fault and not self._has_complained:
                self._has_complained = True
                command = shlex.join(self._settings.command)
                self._note(f"{self._study.path}: notify.command: {one_line(command)} {fault}; the "
                           "study continues, and this is reported only once")


def _told(command: Iterable[str], event: Event, folder: Path) -> str:
    """Run a command with an event; return what went wrong, or ""."""
    names = {key: "" if value is None else str(value) for key, value in asdict(event).items()}
    arguments = [string.Formatter().vformat(text, (), names) for text in command]
    try:
        process = subprocess.Popen(
            arguments, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, start_new_session=True, text=True, errors="replace",
        )
    except (OSError, ValueError) as error:
        return f"cannot be run: {getattr(error, 'strerror', None) or error}"
    try:
        _, said = process.communicate(json.dumps(asdict(event)) + "\n", SECONDS)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return f"took longer than {SECONDS:.0f} s and was killed"
    if process.returncode:
        last = said.strip().splitlines()[-1:] or ["no output"]
        return f"exited with {process.returncode}: {one_line(last[0])}"
    return ""


