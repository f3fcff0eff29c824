"""A regularizer makes large weights cost something; biases are never asked."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy import add, multiply, sign

from trainer.arrays import Array, scalar
from trainer.transformations import Step, Transformation


@dataclass(frozen=True)
class Regularizer(Transformation):
    """Adds the gradient of a penalty on weights to that of the loss."""

    strength: float


@dataclass(frozen=True)
class L2(Regularizer):
    """Weight decay: strength / 2 * sum(weights²)."""

    def bind(self, parameters: Array, gradient: Array, weights: Array) -> Step:
        """Return the step, which changes the gradient."""
        slope, penalty = gradient[: weights.size], np.empty_like(weights)
        factor = scalar(self.strength, weights.dtype)

        def penalize(learning_rate: float) -> None:
            multiply(weights, factor, penalty)
            add(slope, penalty, slope)

        return penalize


@dataclass(frozen=True)
class L1(Regularizer):
    """The lasso: strength * sum(|weights|) (Tibshirani, 1996)."""

    def bind(self, parameters: Array, gradient: Array, weights: Array) -> Step:
        """Return the step, which changes the gradient."""
        slope, penalty = gradient[: weights.size], np.empty_like(weights)
        factor = scalar(self.strength, weights.dtype)

        def penalize(learning_rate: float) -> None:
            sign(weights, penalty)
            multiply(penalty, factor, penalty)
            add(slope, penalty, slope)

        return penalize


REGULARIZERS: Mapping[str, type[Regularizer]] = {"weight_decay": L2, "l1": L1}
