"""A regularizer makes large weights cost something; biases are never asked."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Step: TypeAlias = Callable[[float], None]
Regularizer: TypeAlias = Callable[[Array, Array, float], Step]


def l2(weights: Array, gradient: Array, strength: float) -> Step:
    """Return a function that adds the gradient of strength / 2 * sum(weights²): weight decay."""
    penalty = np.empty_like(weights)

    def add(learning_rate: float) -> None:
        np.multiply(weights, strength, out=penalty)
        np.add(gradient, penalty, out=gradient)

    return add


def l1(weights: Array, gradient: Array, strength: float) -> Step:
    """Return a function that adds the gradient of strength * sum(|weights|) (Tibshirani, 1996)."""
    penalty = np.empty_like(weights)

    def add(learning_rate: float) -> None:
        np.sign(weights, out=penalty)
        np.multiply(penalty, strength, out=penalty)
        np.add(gradient, penalty, out=gradient)

    return add


REGULARIZERS: Mapping[str, Regularizer] = {"weight_decay": l2, "l1": l1}
