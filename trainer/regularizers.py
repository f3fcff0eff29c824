"""A regularizer makes large weights cost something; biases are never asked."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
from numpy import add, multiply, sign

from trainer.arrays import Array, scalar

Step: TypeAlias = Callable[[float], None]
Regularizer: TypeAlias = Callable[[Array, Array, float], Step]


def l2(weights: Array, gradient: Array, strength: float) -> Step:
    """Return a function that adds the gradient of strength / 2 * sum(weights²): weight decay."""
    penalty, factor = np.empty_like(weights), scalar(strength, weights.dtype)

    def penalize(learning_rate: float) -> None:
        multiply(weights, factor, penalty)
        add(gradient, penalty, gradient)

    return penalize


def l1(weights: Array, gradient: Array, strength: float) -> Step:
    """Return a function that adds the gradient of strength * sum(|weights|) (Tibshirani, 1996)."""
    penalty, factor = np.empty_like(weights), scalar(strength, weights.dtype)

    def penalize(learning_rate: float) -> None:
        sign(weights, penalty)
        multiply(penalty, factor, penalty)
        add(gradient, penalty, gradient)

    return penalize


REGULARIZERS: Mapping[str, Regularizer] = {"weight_decay": l2, "l1": l1}
