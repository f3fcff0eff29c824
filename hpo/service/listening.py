"""Those who watch a study are told what happens."""

from collections.abc import Sequence
from typing import Protocol

from hpo.record.values import Round
from hpo.trial import Progress, Trial, TrialResult


class Listener(Protocol):
    """Is told what happens, for those who watch."""

    def round_started(self, round_: Round, trials: int) -> None:
        """Take note that a round begins or goes on."""
        ...

    def confirmation_started(self, best: int, repeats: int) -> None:
        """Take note that so many repeats of the best trials are missing."""
        ...

    def extension_started(self, trials: int, epochs: int) -> None:
        """Take note that so many trials are trained on, for so many epochs in all."""
        ...

    def trial_started(self, trial: Trial) -> None:
        """Take note that a trial was handed to the workers."""
        ...

    def trial_progressed(self, progress: Progress) -> None:
        """Take note of the epochs of a running trial."""
        ...

    def trial_ended(self, result: TrialResult) -> None:
        """Take note of a result."""
        ...

    def round_ended(self, round_: Round, results: Sequence[TrialResult]) -> None:
        """Take note that a round has all its trials, on record."""
        ...

    def note(self, text: str) -> None:
        """Show a line to the user."""
        ...


class Silent:
    """Is told everything, and says nothing."""

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
    """Several who watch, as one."""

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = listeners

    def round_started(self, round_: Round, trials: int) -> None:
        """Take note that a round begins or goes on."""
        for listener in self._listeners:
            listener.round_started(round_, trials)

    def confirmation_started(self, best: int, repeats: int) -> None:
        """Take note that so many repeats of the best trials are missing."""
        for listener in self._listeners:
            listener.confirmation_started(best, repeats)

    def extension_started(self, trials: int, epochs: int) -> None:
        """Take note that so many trials are trained on, for so many epochs in all."""
        for listener in self._listeners:
            listener.extension_started(trials, epochs)

    def trial_started(self, trial: Trial) -> None:
        """Take note that a trial was handed to the workers."""
        for listener in self._listeners:
            listener.trial_started(trial)

    def trial_progressed(self, progress: Progress) -> None:
        """Take note of the epochs of a running trial."""
        for listener in self._listeners:
            listener.trial_progressed(progress)

    def trial_ended(self, result: TrialResult) -> None:
        """Take note of a result."""
        for listener in self._listeners:
            listener.trial_ended(result)

    def round_ended(self, round_: Round, results: Sequence[TrialResult]) -> None:
        """Take note that a round has all its trials, on record."""
        for listener in self._listeners:
            listener.round_ended(round_, results)

    def note(self, text: str) -> None:
        """Show a line to the user."""
        for listener in self._listeners:
            listener.note(text)
