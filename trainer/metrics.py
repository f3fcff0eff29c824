"""A metric measures how good outputs are, in terms that readers of results use."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Metric: TypeAlias = Callable[[NDArray[Any], NDArray[Any], float], float]


def accuracy(outputs: NDArray[Any], targets: NDArray[Any], target_scale: float = 1.0) -> float:
    """Return the share of rows whose largest output (rows, classes) is at the true class."""
    return float(np.mean(outputs.argmax(axis=1) == targets))


def rmse(outputs: NDArray[Any], targets: NDArray[Any], target_scale: float = 1.0) -> float:
    """Return the root of the mean squared error of outputs (rows, 1), times `target_scale`.

    That is in the units of the source, where one unit of the targets measures `target_scale`.
    """
    return target_scale * float(np.sqrt(np.mean(np.square(outputs[:, 0] - targets))))


def r2(outputs: NDArray[Any], targets: NDArray[Any], target_scale: float = 1.0) -> float:
    """Return the share of the variance of the targets that outputs (rows, 1) explain.

    1 is perfect, 0 is no better than the mean of the targets, or all targets are equal.
    """
    variance = float(np.var(targets))
    error = float(np.mean(np.square(outputs[:, 0] - targets)))
    return 1.0 - error / variance if variance else 0.0


METRICS: Mapping[str, Metric] = {"accuracy": accuracy, "r2": r2, "rmse": rmse}
