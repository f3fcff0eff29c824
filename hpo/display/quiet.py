"""Notes alone, on standard error: for programs that have an output of their own."""

import sys
from types import TracebackType
from typing import Self

from hpo.record.values import Round
from hpo.text import clean
from hpo.trial import Progress, Trial, TrialResult


class Quiet:
    """Shows what a person has to know, and no progress."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave nothing to be done."""

    def note(self, text: str) -> None:
        """Show a line."""
        print(clean(text), file=sys.stderr)

    def waiting(self, what: str) -> None:
        """Say nothing."""

    def workers_started(self, slots: int) -> None:
        """Say nothing."""

    def round_started(self, round_: Round, trials: int) -> None:
        """Say nothing."""

    def confirmation_started(self, best: int, repeats: int) -> None:
        """Say nothing."""

    def extension_started(self, trials: int, epochs: int) -> None:
        """Say nothing."""

    def trial_started(self, trial: Trial) -> None:
        """Say nothing."""

    def trial_progressed(self, progress: Progress) -> None:
        """Say nothing."""

    def trial_ended(self, result: TrialResult) -> None:
        """Say nothing."""
