"""Score predictions of a test set, with intervals."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo import wording
from hpo.data.loading import Split

RESAMPLES = 1000  # of the test rows


@dataclass(frozen=True)
class Interval:
    """A result, and the bounds of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ClassResult:
    """How well one class is recognized; `precision` is None if it was never predicted."""

    label: str
    precision: float | None
    recall: float | None  # None where the test set has no row of the class
    rows: int


@dataclass(frozen=True)
class Score:
    """The score of predictions of the test set: the first metric is the one that counts.

    Metrics are "accuracy", or "r2" and "rmse" (in the units of the source). `confusion` counts
    rows by true class (first axis) and predicted class; it is empty for a regression.
    """

    metrics: Mapping[str, Interval]
    classes: tuple[ClassResult, ...] = ()
    confusion: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 0), np.int64))

    @property
    def metric(self) -> str:
        """The name of the metric that counts."""
        return next(iter(self.metrics))


def score(outputs: NDArray[Any], split: Split, seed: int) -> Score:
    """Return the score of outputs (rows, classes) or (rows, 1) for the test set."""
    targets = split.test.targets
    if split.data.task == "classification":
        return score_classes(outputs.argmax(axis=1), targets, split.data.classes)
    return score_values(outputs[:, 0], targets, split.data.target_scale, seed)


def score_classes(
    predicted: NDArray[np.intp], targets: NDArray[np.int64], classes: Sequence[str]
) -> Score:
    """Return the accuracy, with Wilson's interval, and the results of each class, by index."""
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    indices = np.arange(len(classes))
    confusion = confusion_matrix(targets, predicted, labels=indices)
    precision, recall, _, rows = precision_recall_fscore_support(
        targets, predicted, labels=indices, zero_division=np.nan
    )
    results = tuple(
        ClassResult(name, _known(precision[i]), _known(recall[i]), int(rows[i]))
        for i, name in enumerate(classes)
    )
    return Score({"accuracy": wilson(int(confusion.trace()), len(targets))}, results, confusion)


def wilson(hits: int, rows: int) -> Interval:
    """Return a share and its 95 % interval by the score test, which never leaves [0, 1].

    Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the
    American Statistical Association 22 (1927).
    """
    from scipy.stats import binomtest

    bounds = binomtest(hits, rows).proportion_ci(confidence_level=0.95, method="wilson")
    return Interval(hits / rows, float(bounds.low), float(bounds.high))


def score_values(
    predicted: NDArray[Any], targets: NDArray[Any], target_scale: float, seed: int
) -> Score:
    """Return R2 and RMSE (times `target_scale`), with percentile intervals of the bootstrap.

    Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7 (1979).
    """
    errors = (predicted.astype(np.float64) - targets) ** 2
    targets = targets.astype(np.float64)
    random = np.random.default_rng(np.random.SeedSequence((seed, len(targets))))

    def measured(rows: Any) -> tuple[float, float]:
        error, variance = float(errors[rows].mean()), float(targets[rows].var())
        return (1 - error / variance if variance else 0.0), target_scale * math.sqrt(error)

    values = measured(slice(None))
    resampled = [
        measured(random.integers(len(targets), size=len(targets))) for _ in range(RESAMPLES)
    ]
    bounds = np.percentile(resampled, [2.5, 97.5], axis=0)
    return Score(
        {
            name: Interval(values[i], float(bounds[0, i]), float(bounds[1, i]))
            for i, name in enumerate(("r2", "rmse"))
        }
    )


def summary(score: Score, rows: int) -> str:
    """Return a score in one line."""
    parts = []
    for name, interval in score.metrics.items():
        value, low, high = wording.column([interval.value, interval.low, interval.high])
        parts.append(f"{name} {value} (95 % interval {low} to {high})")
    return f"{', '.join(parts)} on {wording.count(rows, 'row')}"


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
