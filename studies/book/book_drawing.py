"""Helpers for the sections of docs/book.md: recorded studies, pictures, and wording."""


from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hpo.record.study import StudyRecord
from hpo.record.values import Recorded
from hpo.study import StudyFile
from hpo.trial import TrialResult

if TYPE_CHECKING:
    pass


Array: TypeAlias = NDArray[Any]
Section: TypeAlias = tuple[Figure, list[list[str]], str]  # a picture, a table, what was seen


@dataclass(frozen=True)
class Ran:
    """A study and its record."""

    study: StudyFile
    record: StudyRecord
    recorded: Recorded

    def results(self, **values: object) -> list[TrialResult]:
        """Return the results with these hyperparameters, in order of round and number."""
        return [
            r
            for r in self.recorded.results
            if all(r.trial.hyperparameters[name] == value for name, value in values.items())
        ]

    def of_round(self, number: int) -> list[TrialResult]:
        """Return the results of one round."""
        return [r for r in self.recorded.results if r.trial.round == number]

    def curve(self, result: TrialResult, metric: str) -> list[float]:
        """Return a trial's metric by epoch."""
        run = self.recorded.runs[result.trial.id]
        return self.record.history(run, metric)

    def curves(self, metric: str, **values: object) -> Array:
        """Return a metric of the trials with these hyperparameters as (trials, epochs)."""
        return np.array([self.curve(r, metric) for r in self.results(**values)])


def figure_of(width: float, height: float, rows: int = 1, columns: int = 1, **more: Any) -> Any:
    """Return a figure of this size, in inches, and its panels."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, **more)


def draw_by_epoch(axes: Axes, curves: Array, color: str, label: str, **more: Any) -> None:
    """Draw each curve in a pale color, and their mean."""
    epochs = np.arange(1, curves.shape[1] + 1)
    for curve in curves:
        axes.plot(epochs, curve, color=color, lw=0.7, alpha=0.45, **more)
    axes.plot(epochs, curves.mean(axis=0), color=color, label=label, **more)


def rate_text(value: object) -> str:
    """Return a number as the shortest text, and anything else as text."""
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def percent(share: float) -> str:
    """Return a share as "97.9 %"."""
    return f"{100 * share:.1f} %"


def values_of(results: Sequence[TrialResult]) -> list[float]:
    """Return the values of the trials; those that diverged have no value and count as 0."""
    return [0.0 if r.value is None else r.value for r in results]


def mean_or_diverged(values: Sequence[float]) -> str:
    """Return the mean of the values above 0, and how many trials diverged."""
    finished = [value for value in values if value]
    if not finished:
        return "diverged"
    others = len(values) - len(finished)
    return percent(float(np.mean(finished))) + (f", {others} diverged" if others else "")


def verdict(wholly: bool, text: str, mostly: bool = False) -> str:
    """Return the text, prefixed with how far the experiment bears out the book."""
    return f"**{'Seen' if wholly else 'Seen in part' if mostly else 'Not seen'}:** {text}"
