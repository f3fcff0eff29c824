"""Everything that can go wrong on purpose, classed by what happens next."""

DONE, STOPPED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130  # exit codes


class Infeasible(Exception):
    """An objective found out that its hyperparameters do not go together, and says why.

    The trial is a result that ranks last: it is not tried again, and samplers learn from it.
    """


class HPOError(Exception):
    """The study cannot go on; the message says why and what to do. Exit code 1."""

    def _render_traceback_(self) -> list[str]:
        """Let a notebook show the sentence alone, as the command line does."""
        return [f"{type(self).__name__}: {self}"]


class InputError(HPOError):
    """The user has to change a file or an option; nothing was started. Exit code 2."""


class RecordUnavailable(HPOError):
    """The record cannot be reached now; the same write may be tried again later."""


class RecordRefused(HPOError):
    """The record will never take this write: its run was deleted, or what is in it has no room."""


class RecordReplaced(HPOError):
    """The record is not the one that results were written to; they stay in the outbox."""


class RoundAbsent(HPOError):
    """The record never had the round of a result: it was begun anew, or is an older copy."""


class NotResumed(Exception):
    """A trial that was to go on after an epoch begins with another `epoch`, or with none."""

    def __init__(self, epoch: int | None = None) -> None:
        began = "it tells no epoch" if epoch is None else f"it begins with epoch {epoch}"
        super().__init__(began)
        self.epoch = epoch
