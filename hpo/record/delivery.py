"""Delivers results from the outbox to the record in the background, retrying if it is away."""

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from hpo.errors import HPOError, RecordRefused, RecordReplaced, RecordUnavailable, RoundAbsent
from hpo.record.interface import Record
from hpo.record.outbox import Outbox
from hpo.record.requests import reason_of
from hpo.record.values import Asked, Round
from hpo.record.writing import Best, Entry, Finished, in_lanes
from hpo.search.best_so_far import Point
from hpo.trial import Lost, Progress, Trial, TrialId, TrialResult

RETRY_SECONDS = (1.0, 2.0, 5.0, 10.0)  # between tries; the last one repeats
CLOSING_SECONDS = 2.0  # for what waits when the study is stopped
HEARTBEAT_SECONDS = 5.0
ASK_SECONDS = 2.0  # between looks at what people ask of the study
BACKLOG = 2000  # results that may wait for a record that answers, before the search waits too
LANE = 4  # entries of each writer at a time: of fewer, writers wait; of more, the heartbeat does
SHOWN = 200  # results that may wait before the epochs of running trials are left out


class Delivery(threading.Thread):
    """Delivers the outbox to the record, in the background.

    Results of different trials go side by side if the record accepts several writes at a time.

    `notify` is called with a line for the user: once when the record becomes unavailable, once when
    it is back, and for each result it rejects.
    """

    def __init__(
        self, outbox: Outbox, record: Record, metric: str, notify: Callable[[str], None]
    ) -> None:
        super().__init__(name="delivery", daemon=True)
        self._outbox, self._record, self._notify = outbox, record, notify
        self._metric = metric
        self._queue: queue.Queue[Entry | None] = queue.Queue()
        self._beat = self._looked = time.monotonic()
        self._stopping = threading.Event()
        self._away = False
        self._error: HPOError | None = None
        self.settings = ""  # the fingerprint of those of the round that runs,
        self.round, self.round_run = 0, ""  # its number, and its run
        self.asked = Asked()
        self.running: set[TrialId] = set()
        self._stops: dict[int, tuple[str, bool]] = {}  # requests, and whether they are followed
        self.held: dict[TrialId, TrialResult] = {}  # of rounds that the record does not have
        for result in outbox.waiting():
            self._queue.put(Finished(result, again=True))

    def add(self, result: TrialResult) -> None:
        """Put a result on disk and in the queue; wait while a working record is far behind.

        The combined result of parts is not kept on disk: it follows from them. Raises whatever
        ended the delivery.
        """
        if result.parts is None:
            self._outbox.add(result, self.settings)
        self._queue.put(Finished(result))
        while self._queue.qsize() > BACKLOG and not self._away and self.is_alive():
            self._stopping.wait(0.01)
        self._raise()

    def reclaim(self, trial: Trial) -> TrialResult | None:
        """Return the result of exactly this trial if one waited for its round, and deliver it.

        A result with the same number that is a different trial, or of a round with different
        settings, is set aside.
        """
        result = self.held.pop(trial.id, None)
        if result is None:
            return None
        if replace(trial, cut_offs=None) != result.trial or not self._outbox.belongs(
            result, self.settings
        ):
            aside = self._outbox.set_aside(result, "it belongs to another trial with this number")
            self._notify(
                f"trial {trial.number} is not the trial whose result is on disk; that result was "
                f"set aside in {aside}"
            )
            return None
        self._queue.put(Finished(result, again=True))
        return result

    def show(self, progress: Progress) -> None:
        """Put epochs of a running trial in the queue; they may be dropped."""
        if self._queue.qsize() < SHOWN and not self._away:
            self._queue.put(progress)

    def show_best(self, run_id: str, points: Sequence[Point]) -> None:
        """Put best values of a round in the queue; its end repeats them all."""
        if not self._away:
            self._queue.put(Best(run_id, points))

    def begin(self, round_: Round) -> None:
        """Note the round that runs from now on."""
        self.round, self.round_run, self.settings = 0, round_.run_id, round_.fingerprint
        self.asked = Asked()
        # Requests that were there before have nothing to do with the trials that run from now on.
        self._stops = {number: (text, False) for number, text in self.look().stops.items()}
        self.round = round_.number

    def look(self) -> Asked:
        """Return what people ask of the study now, as last known if the record is away."""
        self._looked = time.monotonic()
        if self.round_run:
            with contextlib.suppress(HPOError):
                self.asked = self._record.asked(self.round_run)
                self._take_stops(self.asked.stops)
        return self.asked

    def _take_stops(self, stops: Mapping[int, str]) -> None:
        """Follow new requests about running trials; tell the user about the others."""
        if not self.round:
            return
        for number, text in stops.items():
            if self._stops.get(number, ("", False))[0] != text:
                runs = TrialId(self.round, number) in self.running
                self._stops[number] = text, runs
                if not runs:
                    self._notify(f"trial {number} is not running, so it was not stopped")

    def stop_asked(self, trial: TrialId) -> str | None:
        """Return why a person asked for a trial to stop, or None."""
        text, is_followed = self._stops.get(trial.number, ("", False))
        if not is_followed or not trial.is_searched or trial.round != self.round:
            return None
        reason = reason_of(text)
        return f"stopped by hand: {reason}" if reason else "stopped by hand"

    def abandon(self, lost: Lost) -> None:
        """Queue the deletion of what was shown of a lost attempt."""
        self._queue.put(lost)

    def finish(self, seconds: float) -> bool:
        """Wait until everything is delivered; return False if it is not after so many seconds."""
        waited = 0.0
        while self._queue.unfinished_tasks and waited < seconds and self.is_alive():
            self._stopping.wait(0.01)
            waited += 0.01
        self._raise()
        return not self._queue.unfinished_tasks

    def close(self) -> None:
        """Deliver what is waiting, if the record answers soon, then stop.

        Raises RecordReplaced if delivered results are not in the record, unless that is known.
        """
        with contextlib.suppress(HPOError):
            self.finish(0.0 if self._away else CLOSING_SECONDS)
        self._stopping.set()
        self._queue.put(None)
        if self.is_alive():
            self.join()
        if self._error is None and not self._away:
            try:
                self.confirm()
            except RecordReplaced:
                raise
            except HPOError:
                pass  # the next start compares the outbox with the record

    def confirm(self) -> None:
        """Read back what was delivered, and let the outbox forget it.

        Raises RecordReplaced if it is not in the record, RecordUnavailable if that is unknown.
        """
        delivered = self._outbox.delivered()
        try:
            self._record.confirm()
        except RecordReplaced as error:
            self._error = self._told(error)
            raise self._error from error
        self._outbox.forget(delivered)

    def run(self) -> None:
        """Deliver until closed."""
        while not self._stopping.is_set():
            try:
                self._keep()
                self._next()
            except HPOError as error:
                self._error = self._told(error)
                return

    def _told(self, error: HPOError) -> HPOError:
        """Return the error to stop with; for a replaced record, it says where results are."""
        if not isinstance(error, RecordReplaced):
            try:
                self._record.verify()
            except RecordReplaced as replaced:
                error = replaced
            except HPOError:
                return error
            else:
                return error
        return RecordReplaced(f"{error}; results stay in {self._outbox.path}")

    def _next(self) -> None:
        """Write waiting entries, as many as fit before the next heartbeat."""
        writers, taken = self._record.writers, list[Entry | None]()
        with contextlib.suppress(queue.Empty):
            taken.append(self._queue.get(timeout=ASK_SECONDS))
            while writers > 1 and len(taken) < writers * LANE:
                taken.append(self._queue.get_nowait())
        try:
            self._write([entry for entry in taken if entry is not None])
        finally:
            for _ in taken:
                self._queue.task_done()

    def _keep(self) -> None:
        if time.monotonic() - self._looked >= ASK_SECONDS:
            self.look()
        if time.monotonic() - self._beat < HEARTBEAT_SECONDS:
            return
        self._beat = time.monotonic()
        with contextlib.suppress(RecordUnavailable, RecordRefused):
            self._record.keep(len(self._outbox.waiting()), self._outbox.aside())

    def _write(self, entries: Sequence[Entry]) -> None:
        """Write entries until none is left; after a failure, one alone and then the others."""
        tries = 0
        while entries and not self._stopping.is_set():
            now, later = (entries[:1], entries[1:]) if tries else (entries, ())
            lanes = in_lanes(now, self._record.writers)
            outcomes = self._record.write(self._metric, lanes)
            tried = [pair for each in map(zip, lanes, outcomes) for pair in each]
            left, error = self._settle_all(tried)
            if error is not None:
                raise error
            for lane, known in zip(lanes, outcomes, strict=True):
                left += lane[len(known) :]
            entries = [*left, *later]
            if left and self._away:
                self._stopping.wait(RETRY_SECONDS[min(tries, len(RETRY_SECONDS) - 1)])
            tries = tries + 1 if left else 0

    def _settle_all(
        self, tried: Sequence[tuple[Entry, HPOError | None]]
    ) -> tuple[list[Entry], HPOError | None]:
        """Handle the outcomes of entries; return those to try again, and a fatal error.

        Written entries come first, so that nothing keeps their lines from being dropped.
        """
        left: list[Entry] = []
        end: HPOError | None = None
        for entry, outcome in sorted(tried, key=lambda pair: pair[1] is not None):
            try:
                left += self._settled(entry, outcome)
            except HPOError as error:
                end = end or error
        return left, end

    def _settled(self, entry: Entry, outcome: HPOError | None) -> Sequence[Entry]:
        """Handle the outcome of an entry; return it if it has to be tried again."""
        if not isinstance(entry, Finished):
            if outcome is None or isinstance(outcome, RecordUnavailable | RecordRefused):
                return ()  # what comes later will say it all
            raise outcome
        result = entry.result
        if isinstance(outcome, RecordUnavailable):
            self._look()
            if not self._away:
                self._away = True
                self._notify(
                    f"the record is unavailable ({outcome}); results wait in {self._outbox.path}"
                )
            return (Finished(result, again=True),)
        if isinstance(outcome, RoundAbsent):
            self.held[result.trial.id] = result
        elif isinstance(outcome, RecordRefused):
            self._look()
            self._refuse(result, outcome)
        elif outcome is not None:
            raise outcome
        else:
            if result.parts is None:
                self._outbox.drop(result)
            if self._away:
                self._away = False
                self._notify("the record is back")
        return ()

    def _refuse(self, result: TrialResult, error: RecordRefused) -> None:
        """Set aside a result that the record will never accept, and say so."""
        if result.parts is not None:
            self._notify(f"the record rejected the combined result of a trial's parts ({error})")
        elif self._outbox.was_delivered(result):  # it is on record, and deleted there
            self._outbox.drop(result)
        else:
            aside = self._outbox.set_aside(result, str(error))
            self._notify(f"the record rejected a result ({error}); it was set aside in {aside}")

    def _look(self) -> None:
        """Raise RecordReplaced if that is why the record is unavailable or rejects a result."""
        with contextlib.suppress(RecordUnavailable):
            self._record.verify()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error
