"""The errors that hpo raises on purpose, classed by what happens next."""

DONE, STOPPED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130  # exit codes


class Infeasible(Exception):
    """Raised by an objective, with a reason, if its hyperparameters cannot be trained together.

    The trial counts as a result that ranks last: it is not retried, and samplers learn from it.
    """


class HPOError(Exception):
    """The study cannot continue; the message says why and what to do. Exit code 1."""

    def _render_traceback_(self) -> list[str]:
        """Show only the message in a notebook, as the command line does."""
        return [f"{type(self).__name__}: {self}"]


class InputError(HPOError):
    """A file, an option, or an argument is wrong; nothing was started. Exit code 2."""


class RecordUnavailable(HPOError):
    """The record cannot be reached right now; the same write can be retried later."""


class RecordRefused(HPOError):
    """The record will never accept this write: its run was deleted, or it is too large."""


class RecordReplaced(HPOError):
    """The record is not the one that results were written for; they stay in the outbox."""


class RoundAbsent(HPOError):
    """The record never had the round of a result: it is a new record, or an older copy."""


class NotResumed(Exception):
    """A trial that should resume after an epoch started at a different `epoch`, or at none."""

    def __init__(self, epoch: int | None = None) -> None:
        began = "it reports no epoch" if epoch is None else f"it starts at epoch {epoch}"
        super().__init__(began)
        self.epoch = epoch
