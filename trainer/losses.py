"""A loss says how far the outputs of a network are from its targets, and which way is better."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
LossGradient: TypeAlias = Callable[[Array, Array], Array]


class Loss(ABC):
    """A mean over rows. Penalties on the weights are never part of it."""

    @abstractmethod
    def value(self, outputs: Array, targets: Array) -> float:
        """Return the loss of outputs (rows, n) for targets (rows,)."""

    @abstractmethod
    def predictions(self, outputs: Array) -> Array:
        """Return what outputs (rows, n) say: probabilities, or values."""

    @abstractmethod
    def bind(self, rows: int, outputs: int, dtype: np.dtype[Any]) -> LossGradient:
        """Return a function from outputs (rows, outputs) and targets to the gradient.

        It overwrites the outputs with the gradient.
        """


class CrossEntropy(Loss):
    """Softmax and the cross-entropy with the true class, in one: the gradient is p - t."""

    def value(self, outputs: Array, targets: Array) -> float:
        """Return the mean of -log p(true class), by log-sum-exp, so that no p is rounded to 0."""
        shifted = outputs - outputs.max(axis=1, keepdims=True)
        true = shifted[np.arange(len(targets)), targets]
        return float(np.mean(np.log(np.exp(shifted).sum(axis=1)) - true))

    def predictions(self, outputs: Array) -> Array:
        """Return the probabilities of the classes."""
        powers: Array = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        powers /= powers.sum(axis=1, keepdims=True)
        return powers

    def bind(self, rows: int, outputs: int, dtype: np.dtype[Any]) -> LossGradient:
        """Return a function that turns outputs into (softmax(outputs) - one-hot) / rows."""
        by_class, one_hot = np.empty((outputs, rows), dtype), np.empty((rows, outputs), dtype)
        largest, total = np.empty((rows, 1), dtype), np.empty((rows, 1), dtype)
        times_rows = np.full((outputs, 1), rows, dtype)
        shares = np.eye(outputs, dtype=dtype) / rows

        def gradient(outputs: Array, targets: Array) -> Array:
            # NumPy finds a maximum far faster down columns than along short rows, and BLAS a sum.
            by_class[...] = outputs.T
            np.maximum.reduce(by_class, axis=0, out=largest[:, 0])
            np.subtract(outputs, largest, out=outputs)
            np.exp(outputs, out=outputs)
            np.dot(outputs, times_rows, out=total)
            np.divide(outputs, total, out=outputs)
            shares.take(targets, 0, one_hot, "clip")
            return np.subtract(outputs, one_hot, out=outputs)

        return gradient


class SquaredError(Loss):
    """The mean of the squared differences, for one output a row."""

    def value(self, outputs: Array, targets: Array) -> float:
        """Return the mean squared error."""
        return float(np.mean(np.square(outputs[:, 0] - targets)))

    def predictions(self, outputs: Array) -> Array:
        """Return the outputs as they are."""
        return outputs

    def bind(self, rows: int, outputs: int, dtype: np.dtype[Any]) -> LossGradient:
        """Return a function that turns outputs into 2 (outputs - targets) / rows."""
        share = 2.0 / rows

        def gradient(outputs: Array, targets: Array) -> Array:
            np.subtract(outputs, targets[:, None], out=outputs)
            return np.multiply(outputs, share, out=outputs)

        return gradient


LOSSES: Mapping[str, Loss] = {
    "cross_entropy": CrossEntropy(),
    "squared_error": SquaredError(),
}
