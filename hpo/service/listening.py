"""How observers of a study are told what happens."""

from collections.abc import Sequence
from typing import Protocol

from hpo.record.values import Round
from hpo.trial import Progress, Trial, TrialResult


class Listener(Protocol):
    """An observer of a study."""

    def round_started(self, round_: Round, trials: int) -> None:
        """Note that a round begins or continues."""
        ...

    def confirmation_started(self, best: int, repeats: int) -> None:
        """Note that this many repeats of the best trials are to be run."""
        ...

    def extension_started(self, trials: int, epochs: int) -> None:
        """Note that this many trials are trained further, to this many epochs in total."""
        ...

    def trial_started(self, trial: Trial) -> None:
        """Note that a trial was handed to the workers."""
        ...

    def trial_progressed(self, progress: Progress) -> None:
        """Note the epochs of a running trial."""
        ...

    def trial_ended(self, result: TrialResult) -> None:
        """Note a result."""
        ...

    def round_ended(self, round_: Round, results: Sequence[TrialResult]) -> None:
        """Note that all trials of a round are recorded."""
        ...

    def note(self, text: str) -> None:
        """Show a line to the user."""
        ...


class Silent:
    """An observer that does nothing."""

    def round_started(self, round_: Round, trials: int) -> None:
        """Do nothing."""

    def confirmation_started(self, best: int, repeats: int) -> None:
        """Do nothing."""

    def extension_started(self, trials: int, epochs: int) -> None:
        """Do nothing."""

    def trial_started(self, trial: Trial) -> None:
        """Do nothing."""

    def trial_progressed(self, progress: Progress) -> None:
        """Do nothing."""

    def trial_ended(self, result: TrialResult) -> None:
        """Do nothing."""

    def round_ended(self, round_: Round, results: Sequence[TrialResult]) -> None:
        """Do nothing."""

    def note(self, text: str) -> None:
        """Do nothing."""


class Listeners:
    """Several observers as one."""

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = listeners

    def round_started(self, round_: Round, trials: int) -> None:
        """Note that a round begins or continues."""
        for listener in self._listeners:
            listener.round_started(round_, trials)

    def confirmation_started(self, best: int, repeats: int) -> None:
        """Note that this many repeats of the best trials are to be run."""
        for listener in self._listeners:
            listener.confirmation_started(best, repeats)

    def extension_started(self, trials: int, epochs: int) -> None:
        """Note that this many trials are trained further, to this many epochs in total."""
        for listener in self._listeners:
            listener.extension_started(trials, epochs)

    def trial_started(self, trial: Trial) -> None:
        """Note that a trial was handed to the workers."""
        for listener in self._listeners:
            listener.trial_started(trial)

    def trial_progressed(self, progress: Progress) -> None:
        """Note the epochs of a running trial."""
        for listener in self._listeners:
            listener.trial_progressed(progress)

    def trial_ended(self, result: TrialResult) -> None:
        """Note a result."""
        for listener in self._listeners:
            listener.trial_ended(result)

    def round_ended(self, round_: Round, results: Sequence[TrialResult]) -> None:
        """Note that all trials of a round are recorded."""
        for listener in self._listeners:
            listener.round_ended(round_, results)

    def note(self, text: str) -> None:
        """Show a line to the user."""
        for listener in self._listeners:
            listener.note(text)
