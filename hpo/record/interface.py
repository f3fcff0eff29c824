"""What the service needs from the record of a study, wherever it is kept."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from hpo.distributions import Value
from hpo.record.values import AcceptedCode, Added, Asked, Recorded, Round, RoundStart, Shown
from hpo.record.writing import Lanes, Outcomes
from hpo.search.best_so_far import Point


class Record(Protocol):
    """The record of one study; every call may raise RecordUnavailable."""

    writers: int  # how many simultaneous writes it accepts

    def create(
        self,
        description: str,
        tags: Mapping[str, str],
        shown: Shown,
        *,
        again: bool = False,
    ) -> str:
        """Create the study, and return the id of its experiment.

        `shown` is what the UI shows of each trial. With `again`, reuse what an earlier try left;
        otherwise raise InputError if another process was first.
        """
        ...

    def read(self) -> Recorded | None:
        """Return everything recorded about the study; None if there is nothing."""
        ...

    def start_round(self, start: RoundStart, *, again: bool = False) -> Round:
        """Record that a round begins; with `again`, reuse what an earlier try left."""
        ...

    def end_round(
        self, run_id: str, metric: str, points: Sequence[Point], tags: Mapping[str, str]
    ) -> None:
        """Record that a round ended, with its best so far of the searched metric."""
        ...

    def reopen_round(self, run_id: str) -> None:
        """Record that a round that had ended continues."""
        ...

    def accept_code(self, run_id: str, accepted: AcceptedCode, remark: str) -> None:
        """Record that a round continues with different code, and say so in its description."""
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
        """Become the one process that runs the study; raise InputError if another one is alive.

        `note` is called with a line for the user if that takes a while.
        """
        ...

    def keep(self, waiting: int = 0, aside: int = 0) -> None:
        """Report that this process still runs the study; check that the record is still there.

        `waiting` results wait for the record, and `aside` were set aside.

        Raises HPOError if another process took over, or if the running round was deleted.
        """
        ...

    def release(self) -> None:
        """Give up the claim, so that the next process does not have to wait."""
        ...

    def write(self, metric: str, lanes: Lanes) -> Outcomes:
        """Write results and the progress of running trials, with the whole curve of `metric`.

        Lanes are written side by side, at most `writers` of them. Raises nothing: the outcome of
        each entry is returned, see `Writer`.
        """
        ...

    def discard(self, run_id: str) -> None:
        """Delete the run of an attempt without a result."""
        ...

    def verify(self) -> None:
        """Raise RecordReplaced if the record is not the one that was written to."""
        ...

    def confirm(self) -> None:
        """Read back what was delivered; raise like `verify`."""
        ...

    def start_group(self, kind: str) -> None:
        """Record that trials are about to be repeated, or extended, unless some were already."""
        ...

    def end_group(self, kind: str, note: str, metrics: Mapping[str, float]) -> None:
        """Record the outcome of that, in Markdown and as numbers."""
        ...

    def history(self, run_id: str, metric: str) -> list[float]:
        """Return a metric of a run by epoch; for few runs, because each takes a request."""
        ...

    def output(self, run_id: str) -> tuple[str, bool]:
        """Return the recorded output of a trial, and whether the trial has ended."""
        ...

    def add_files(self, run_id: str, folder: Path) -> None:
        """Add the files of a folder to a run."""
        ...
