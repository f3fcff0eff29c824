"""A regularizer penalizes large weights, but never biases."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy import add, multiply, sign

from trainer.arrays import Array, scalar
from trainer.transformations import Memory, Step, Transformation


@dataclass(frozen=True)
class Regularizer(Transformation):
    """Adds the gradient of a penalty, `strength` times its slope, to that of the loss."""

    strength: float

    @staticmethod
    @abstractmethod
    def slope(weights: Array, out: Array) -> Array:
        """Return the slope of the penalty at the weights (n,); it may be written to `out`."""

    def bind(
        self, parameters: Array, gradient: Array, weights: Array, memory: Memory | None = None
    ) -> Step:
        """Return the step, which changes the gradient."""
        slope, of_weights = self.slope, gradient[: weights.size]
        strength, penalty = scalar(self.strength, weights.dtype), np.empty_like(weights)

        def penalize(learning_rate: float) -> None:
            multiply(slope(weights, penalty), strength, penalty)
            add(of_weights, penalty, of_weights)

        return penalize


class L2(Regularizer):
    """Weight decay: strength / 2 * sum(weights²)."""

    @staticmethod
    def slope(weights: Array, out: Array) -> Array:
        """Return the weights."""
        return weights


class L1(Regularizer):
    """The lasso: strength * sum(|weights|) (Tibshirani, 1996)."""

    @staticmethod
    def slope(weights: Array, out: Array) -> Array:
        """Return the signs of the weights."""
        return sign(weights, out)


REGULARIZERS: Mapping[str, type[Regularizer]] = {"weight_decay": L2, "l1": L1}
