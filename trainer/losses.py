"""A loss says how far the outputs of a network are from its targets, and which way is better."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
LossGradient: TypeAlias = Callable[[Array, Array], Array]

# The exponentials of numbers up to this size, and sums of them, are far from float32's limits.
_HARMLESS = 64.0


class Loss(ABC):
    """A mean over rows. Penalties on the weights are never part of it."""

    @abstractmethod
    def value(self, outputs: Array, targets: Array) -> float:
        """Return the loss of outputs (rows, n) for targets (rows,)."""

    @abstractmethod
    def predictions(self, outputs: Array) -> Array:
        """Return what outputs (rows, n) say: probabilities, or values."""

    @abstractmethod
    def shares(self, targets: Array, rows: int, outputs: int, dtype: np.dtype[Any]) -> Array:
        """Return what targets (n,) add to the gradients of batches of `rows`: (n, outputs)."""

    @abstractmethod
    def bind(self, rows: int, outputs: int, dtype: np.dtype[Any]) -> LossGradient:
        """Return a function from outputs (rows, outputs) and shares of targets to the gradient.

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

    def shares(self, targets: Array, rows: int, outputs: int, dtype: np.dtype[Any]) -> Array:
        """Return the one-hot rows of the true classes, over `rows`."""
        return (np.eye(outputs, dtype=dtype) / rows).take(targets, 0)

    def bind(self, rows: int, outputs: int, dtype: np.dtype[Any]) -> LossGradient:
        """Return a function that turns outputs into softmax(outputs) / rows - shares."""
        total, totals = np.empty((rows, 1), dtype), np.empty((rows, outputs), dtype)
        times_rows = np.full((outputs, 1), rows, dtype)

        def gradient(outputs: Array, shares: Array) -> Array:
            # Softmax stays the same when a row is moved, and most rows need not be.
            if not (
                outputs.item(outputs.argmax()) < _HARMLESS
                and outputs.item(outputs.argmin()) > -_HARMLESS
            ):
                np.subtract(outputs, outputs.max(axis=1, keepdims=True), out=outputs)
            np.exp(outputs, out=outputs)
            np.dot(outputs, times_rows, out=total)  # a sum along short rows, by BLAS
            totals[...] = total  # here and elsewhere: faster than to broadcast in a division
            np.divide(outputs, totals, out=outputs)
            return np.subtract(outputs, shares, out=outputs)

        return gradient


class SquaredError(Loss):
    """The mean of the squared differences, for one output a row."""

    def value(self, outputs: Array, targets: Array) -> float:
        """Return the mean squared error."""
        return float(np.mean(np.square(outputs[:, 0] - targets)))

    def predictions(self, outputs: Array) -> Array:
        """Return the outputs as they are."""
        return outputs

    def shares(self, targets: Array, rows: int, outputs: int, dtype: np.dtype[Any]) -> Array:
        """Return 2 targets / rows, as a column."""
        return np.multiply(targets[:, None], 2.0 / rows, dtype=dtype)

    def bind(self, rows: int, outputs: int, dtype: np.dtype[Any]) -> LossGradient:
        """Return a function that turns outputs into 2 outputs / rows - shares."""
        share = 2.0 / rows

        def gradient(outputs: Array, shares: Array) -> Array:
            np.multiply(outputs, share, out=outputs)
            return np.subtract(outputs, shares, out=outputs)

        return gradient


LOSSES: Mapping[str, Loss] = {
    "cross_entropy": CrossEntropy(),
    "squared_error": SquaredError(),
}
