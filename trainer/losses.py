"""A loss measures how far the outputs of a network are from its targets, with its gradient."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy import divide, exp, multiply, subtract

from trainer.arrays import Array, scalar

Shares: TypeAlias = Callable[[Array, Array], Array]
Gradient: TypeAlias = Callable[[Array, Array], Array]

# Sums of exponentials between these are right in float32: no exponential overflowed, and all that
# vanished together are nothing beside the sum.
_LEAST, _MOST = 1e-20, 1e30


class Loss(ABC):
    """A mean over rows. Penalties on the weights are never part of it."""

    @abstractmethod
    def value(self, outputs: Array, targets: Array) -> float:
        """Return the loss of outputs (rows, n) for targets (rows,)."""

    @abstractmethod
    def predictions(self, outputs: Array) -> Array:
        """Return the predictions for outputs (rows, n): probabilities, or values."""

    @abstractmethod
    def bind(self, rows: int, outputs: int, dtype: np.dtype[Any]) -> tuple[Shares, Gradient]:
        """Return both parts of the gradient by the outputs, for batches of `rows`.

        The first is what the targets have to do with it: a function of targets (n,), of one
        batch or of many, that fills shares (n, outputs). The second is a function from outputs
        (rows, outputs) and the shares of their targets to the gradient. It overwrites the outputs.
        An overflow on the way is corrected; silencing NumPy's warning is up to the caller.
        """


class CrossEntropy(Loss):
    """Softmax and the cross-entropy with the true class, in one: the gradient is p - t."""

    def value(self, outputs: Array, targets: Array) -> float:
        """Return the mean of -log p(true class), by log-sum-exp, so that no p is rounded to 0."""
        shifted = outputs - outputs.max(axis=1, keepdims=True)
        true = shifted[np.arange(len(targets)), targets]
        return float(np.mean(np.log(exp(shifted).sum(axis=1)) - true))

    def predictions(self, outputs: Array) -> Array:
        """Return the probabilities of the classes."""
        powers: Array = exp(outputs - outputs.max(axis=1, keepdims=True))
        powers /= powers.sum(axis=1, keepdims=True)
        return powers

    def bind(self, rows: int, outputs: int, dtype: np.dtype[Any]) -> tuple[Shares, Gradient]:
        """Return the functions: softmax(outputs) / rows less one-hot rows over `rows`."""
        one_hot = np.eye(outputs, dtype=dtype) / rows
        powers, totals = np.empty((2, rows, outputs), dtype)
        total, times_rows = np.empty((rows, 1), dtype), np.full((outputs, 1), rows, dtype)

        def fill(targets: Array, shares: Array) -> Array:
            return one_hot.take(targets, 0, shares, "clip")

        def gradient(outputs: Array, shares: Array) -> Array:
            exp(outputs, powers)
            powers.dot(times_rows, total)  # a sum along short rows, by BLAS
            if not (total.item(total.argmax()) < _MOST and total.item(total.argmin()) > _LEAST):
                # Softmax stays the same when a row is moved, and most rows need not be.
                exp(outputs - outputs.max(axis=1, keepdims=True), powers)
                powers.dot(times_rows, total)
            totals[...] = total  # here and elsewhere: faster than to broadcast in a division
            divide(powers, totals, outputs)
            return subtract(outputs, shares, outputs)

        return fill, gradient


class SquaredError(Loss):
    """The mean of the squared differences, for one output a row."""

    def value(self, outputs: Array, targets: Array) -> float:
        """Return the mean squared error."""
        return float(np.mean(np.square(outputs[:, 0] - targets)))

    def predictions(self, outputs: Array) -> Array:
        """Return the outputs unchanged."""
        return outputs

    def bind(self, rows: int, outputs: int, dtype: np.dtype[Any]) -> tuple[Shares, Gradient]:
        """Return the functions: 2 outputs / rows less 2 targets / rows."""
        factor = scalar(2.0 / rows, dtype)

        def fill(targets: Array, shares: Array) -> Array:
            return multiply(targets[:, None], factor, shares)

        def gradient(outputs: Array, shares: Array) -> Array:
            multiply(outputs, factor, outputs)
            return subtract(outputs, shares, outputs)

        return fill, gradient


LOSSES: Mapping[str, Loss] = {
    "cross_entropy": CrossEntropy(),
    "squared_error": SquaredError(),
}
