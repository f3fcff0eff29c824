"""A study that this process runs: its record, the delivery of results, and its workers."""

import contextlib
import time
from collections.abc import Callable
from typing import TypeVar

from hpo.data.loading import Description
from hpo.errors import HPOError, RecordUnavailable
from hpo.record.delivery import Delivery
from hpo.record.interface import Record
from hpo.record.values import Recorded, Round
from hpo.service import remarks
from hpo.service.comparability import new_code
from hpo.service.listening import Listener
from hpo.study import StudyFile
from hpo.workers.attempt import Workers

POLL_SECONDS = 0.5
PATIENCE_SECONDS = 600.0  # for a record that is away at the end of a round
T = TypeVar("T")


class Running:
    """What rounds, and everything that follows them, need from a study.

    `data` describes what the workers hold, None if that is nothing. `start_workers` is given a
    repeat, whose split the workers should hold, or 0 for the split of the study.
    """

    def __init__(
        self,
        study: StudyFile,
        record: Record,
        delivery: Delivery,
        data: Description | None,
        start_workers: Callable[[int], Workers],
        listener: Listener,
    ) -> None:
        self.study, self.record, self.delivery, self.data = study, record, delivery, data
        self.start_workers, self.listener = start_workers, listener

    def take_over(self, recorded: Recorded) -> None:
        """Claim the study, and delete attempts that a dead process left without a result."""
        self.record.claim(self.listener.note)
        for attempt in (*recorded.attempts.values(), *recorded.followed_attempts.values()):
            self.record.discard(attempt.run_id)
        for result in recorded.unwritten:
            self.delivery.add(result)

    def accept_code(self, last: Round, recorded: Recorded, round_follows: bool = False) -> None:
        """Say that the code is new, and record it with the last round unless a new one follows.

        If the code did not change, do nothing.
        """
        accepted = new_code(self.study, last)
        if accepted is None:
            return
        self.listener.note(remarks.told_of_accepted_code(accepted))
        if not round_follows:
            remark = remarks.of_accepted_code(accepted, last, recorded)
            self.patiently(lambda again: self.record.accept_code(last.run_id, accepted, remark))

    def read(self) -> Recorded:
        """Return what is recorded; raise HPOError if the study no longer exists."""
        recorded = self.patiently(lambda again: self.record.read())
        if recorded is None:
            raise HPOError(f"the experiment {self.study.name!r} no longer exists; the study stops")
        return recorded

    def wait_for_delivery(self) -> None:
        """Wait until every result is recorded."""
        if not self.delivery.finish(PATIENCE_SECONDS):
            raise RecordUnavailable(
                "the record is still unavailable; every result is on disk: "
                "run the same command to deliver them and continue"
            )

    def patiently(self, call: Callable[[bool], T]) -> T:
        """Return the result of `call`, tried again, with True, while the record is unavailable."""
        end = time.monotonic() + PATIENCE_SECONDS
        again = False
        while True:
            try:
                return call(again)
            except RecordUnavailable as error:
                with contextlib.suppress(RecordUnavailable):
                    self.record.verify()  # one that was deleted never comes back
                if time.monotonic() > end:
                    raise
                if not again:
                    self.listener.note(f"waiting for the record ({error})")
                again = True
                time.sleep(POLL_SECONDS)
