"""What the service asks of the record of a study, wherever that is kept."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from hpo.distributions import Value
from hpo.record.values import AcceptedCode, Added, Asked, Recorded, Round, RoundStart, Shown
from hpo.record.writing import Lanes, Outcomes
from hpo.search.best_so_far import Point


class Record(Protocol):
    """The record of one study; every call may raise RecordUnavailable."""

    writers: int  # how many writes at the same time it takes

    def create(
        self,
        description: str,
        tags: Mapping[str, str],
        shown: Shown,
        *,
        again: bool = False,
    ) -> str:
        """Make the study known, and return the id of its experiment.

        `shown` is what the UI shows of each trial. With `again` take what an earlier try left; else
        raise InputError where another process was first.
        """
        ...

    def read(self) -> Recorded | None:
        """Return all that the record knows of the study; None where it knows nothing."""
        ...

    def start_round(self, start: RoundStart, *, again: bool = False) -> Round:
        """Record that a round begins; with `again` take what an earlier try left."""
        ...

    def end_round(
        self, run_id: str, metric: str, points: Sequence[Point], tags: Mapping[str, str]
    ) -> None:
        """Record that a round ended, with its best so far of the searched metric."""
        ...

    def reopen_round(self, run_id: str) -> None:
        """Record that a round which ended goes on."""
        ...

    def accept_code(self, run_id: str, accepted: AcceptedCode, remark: str) -> None:
        """Record that a round goes on with other code, and say so in its description."""
        ...

    def add(self, points: Sequence[Mapping[str, Value]]) -> None:
        """Ask for points to be tried next, in this order."""
        ...

    def asked(self, round_run: str) -> Asked:
        """Return what people ask of the study now, while a round runs."""
        ...

    def place(self, round_run: str, number: int, added: Added) -> None:
        """Record that a trial of a round is a point that was added, before it is sent out."""
        ...

    def claim(self, note: Callable[[str], None]) -> None:
        """Become the one process that runs the study; raise InputError where another one lives.

        `note` is called with a line for the user where that takes a while.
        """
        ...

    def keep(self, waiting: int = 0, aside: int = 0) -> None:
        """Say that this process still runs the study; look whether the record is still there.

        So many results are waiting for the record, and so many were set aside.

        Raises HPOError where another process took over, or where what runs was deleted.
        """
        ...

    def release(self) -> None:
        """Give the claim up, so that the next process need not wait."""
        ...

    def write(self, metric: str, lanes: Lanes) -> Outcomes:
        """Write results, and what is shown of trials that run, with the whole curve of `metric`.

        Lanes are written side by side, at most `writers` of them. Raises nothing: what each entry
        came to is returned, see `Writer`.
        """
        ...

    def discard(self, run_id: str) -> None:
        """Delete the run of an attempt without a result."""
        ...

    def verify(self) -> None:
        """Raise RecordReplaced where the record is not the one that was written to."""
        ...

    def confirm(self) -> None:
        """Read back what was delivered, and raise as `verify` does."""
        ...

    def start_group(self, kind: str) -> None:
        """Record that trials are about to be repeated, or extended, unless some were already."""
        ...

    def end_group(self, kind: str, note: str, metrics: Mapping[str, float]) -> None:
        """Record what came of that, in Markdown and as numbers."""
        ...

    def history(self, run_id: str, metric: str) -> list[float]:
        """Return a metric of a run by epoch; for few runs, since each takes a request."""
        ...

    def output(self, run_id: str) -> tuple[str, bool]:
        """Return what a trial has printed, as far as it is on record, and whether it has ended."""
        ...

    def add_files(self, run_id: str, folder: Path) -> None:
        """Add the files of a folder to a run."""
        ...
