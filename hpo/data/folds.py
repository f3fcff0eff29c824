"""Hold rows that are validated in several folds once, with the statistics of each fold."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hpo.data.scaling import Statistics, part_of
from hpo.objective import Data, Task
from hpo.trial import Trial


@dataclass(frozen=True)
class Folds:
    """Data for validation in several folds: rows as they were read, held once.

    `inputs` and `targets` are those of all rows but the test rows'; each fold has its rows, those
    it trains on and those it validates, and the statistics of the former.
    """

    inputs: NDArray[Any]
    targets: NDArray[Any]
    folds: tuple[tuple[NDArray[np.intp], NDArray[np.intp], Statistics], ...]
    task: Task
    classes: tuple[str, ...] = ()

    def data(self, fold: int) -> Data:
        """Return the data of a fold, from 1; after the last fold comes the first again."""
        rows, validation, statistics = self.folds[(fold - 1) % len(self.folds)]
        training, held_out = (
            part_of(self.inputs, self.targets, some, statistics) for some in (rows, validation)
        )
        scale = statistics.target_scale or 1.0
        return Data(training, held_out, self.task, self.classes, scale)

    @property
    def nbytes(self) -> int:
        """The bytes that its arrays take."""
        indices = sum(rows.nbytes + held.nbytes for rows, held, _ in self.folds)
        return self.inputs.nbytes + self.targets.nbytes + indices


Held: TypeAlias = Data | Folds | None  # what workers hold


def data_of(held: Held, trial: Trial) -> Data | None:
    """Return the data that a trial is trained on; with folds, that of its part or repeat."""
    return held.data(trial.part or trial.repeat or 1) if isinstance(held, Folds) else held


def size(held: Held) -> int:
    """Return how many bytes the arrays take."""
    if isinstance(held, Folds):
        return held.nbytes
    parts = [held.training, held.validation] if held is not None else []
    return sum(p.inputs.nbytes + p.targets.nbytes for p in parts if p is not None)
