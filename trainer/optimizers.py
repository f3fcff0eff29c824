"""An optimizer moves the parameters of a network down its gradient.

Each is a frozen value that is bound to the arrays it works on: `bind` returns a function that
takes a learning rate and updates the parameters in place. It may overwrite the gradient.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Update: TypeAlias = Callable[[float], None]


@dataclass(frozen=True)
class Optimizer(ABC):
    """A rule for the next parameters."""

    @abstractmethod
    def bind(self, parameters: Array, gradient: Array, weights: Array) -> Update:
        """Return the update of `parameters`; `weights` is the part that decays, a view of it."""


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent (Robbins and Monro, 1951): w ← w - rate g."""

    def bind(self, parameters: Array, gradient: Array, weights: Array) -> Update:
        """Return the update."""

        def update(learning_rate: float) -> None:
            np.multiply(gradient, learning_rate, out=gradient)
            np.subtract(parameters, gradient, out=parameters)

        return update


@dataclass(frozen=True)
class Momentum(Optimizer):
    """Momentum (Polyak, 1964): v ← momentum v - rate g, w ← w + v."""

    momentum: float = 0.9

    def bind(self, parameters: Array, gradient: Array, weights: Array) -> Update:
        """Return the update, with a velocity of 0 to begin with."""
        momentum, velocity = self.momentum, np.zeros_like(parameters)

        def update(learning_rate: float) -> None:
            np.multiply(velocity, momentum, out=velocity)
            np.multiply(gradient, learning_rate, out=gradient)
            np.subtract(velocity, gradient, out=velocity)
            np.add(parameters, velocity, out=parameters)

        return update


OPTIMIZERS: Mapping[str, type[Optimizer]] = {"sgd": SGD, "momentum": Momentum}
