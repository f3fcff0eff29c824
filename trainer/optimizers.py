"""An optimizer moves the parameters of a network down its gradient.

Each is a frozen value that is bound to the arrays it works on: `bind` returns a function that
takes a learning rate and updates the parameters in place. It may overwrite the gradient.
In the formulas w are the parameters, g is the gradient and r the learning rate.
"""

import math
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
    """Stochastic gradient descent (Robbins and Monro, 1951): w ← w - r g."""

    def bind(self, parameters: Array, gradient: Array, weights: Array) -> Update:
        """Return the update."""

        def update(learning_rate: float) -> None:
            np.multiply(gradient, learning_rate, out=gradient)
            np.subtract(parameters, gradient, out=parameters)

        return update


@dataclass(frozen=True)
class Momentum(Optimizer):
    """Momentum (Polyak, 1964): v ← momentum v - r g, w ← w + v."""

    momentum: float = 0.9

    def bind(self, parameters: Array, gradient: Array, weights: Array) -> Update:
        """Return the update, with a velocity v of 0 to begin with."""
        momentum, velocity = self.momentum, np.zeros_like(parameters)

        def update(learning_rate: float) -> None:
            np.multiply(velocity, momentum, out=velocity)
            np.multiply(gradient, learning_rate, out=gradient)
            np.subtract(velocity, gradient, out=velocity)
            np.add(parameters, velocity, out=parameters)

        return update


@dataclass(frozen=True)
class Nesterov(Optimizer):
    """Nesterov's momentum, which looks ahead (Nesterov, 1983; Sutskever et al., 2013).

    v ← momentum v - r g, w ← w + momentum v - r g.
    """

    momentum: float = 0.9

    def bind(self, parameters: Array, gradient: Array, weights: Array) -> Update:
        """Return the update, with a velocity v of 0 to begin with."""
        momentum, velocity = self.momentum, np.zeros_like(parameters)
        ahead = np.empty_like(parameters)

        def update(learning_rate: float) -> None:
            np.multiply(velocity, momentum, out=velocity)
            np.multiply(gradient, learning_rate, out=gradient)
            np.subtract(velocity, gradient, out=velocity)
            np.multiply(velocity, momentum, out=ahead)
            np.subtract(ahead, gradient, out=ahead)
            np.add(parameters, ahead, out=parameters)

        return update


@dataclass(frozen=True)
class AdaGrad(Optimizer):
    """AdaGrad (Duchi et al., 2011): s ← s + g², w ← w - r g / (sqrt(s) + epsilon)."""

    epsilon: float = 1e-8

    def bind(self, parameters: Array, gradient: Array, weights: Array) -> Update:
        """Return the update, with a sum of squares s of 0 to begin with."""
        epsilon, squares = self.epsilon, np.zeros_like(parameters)
        root = np.empty_like(parameters)

        def update(learning_rate: float) -> None:
            np.multiply(gradient, gradient, out=root)
            np.add(squares, root, out=squares)
            _scaled_step(parameters, learning_rate, gradient, squares, epsilon, root)

        return update


@dataclass(frozen=True)
class RMSProp(Optimizer):
    """RMSProp (Hinton, 2012): s ← rho s + (1 - rho) g², w ← w - r g / (sqrt(s) + epsilon)."""

    rho: float = 0.99
    epsilon: float = 1e-8

    def bind(self, parameters: Array, gradient: Array, weights: Array) -> Update:
        """Return the update, with a mean of squares s of 0 to begin with."""
        rho, epsilon, squares = self.rho, self.epsilon, np.zeros_like(parameters)
        root = np.empty_like(parameters)

        def update(learning_rate: float) -> None:
            np.multiply(squares, rho, out=squares)
            np.multiply(gradient, gradient, out=root)
            np.multiply(root, 1.0 - rho, out=root)
            np.add(squares, root, out=squares)
            _scaled_step(parameters, learning_rate, gradient, squares, epsilon, root)

        return update


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam (Kingma and Ba, 2015), bias-corrected.

    m ← beta1 m + (1 - beta1) g, s ← beta2 s + (1 - beta2) g², and after t steps
    w ← w - r (m / (1 - beta1^t)) / (sqrt(s / (1 - beta2^t)) + epsilon).
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def bind(self, parameters: Array, gradient: Array, weights: Array) -> Update:
        """Return the update, with means m and s of 0 to begin with."""
        beta1, beta2, epsilon = self.beta1, self.beta2, self.epsilon
        # Kept as m / (1 - beta1) and s / (1 - beta2): the same, with two operations less.
        means, squares = np.zeros_like(parameters), np.zeros_like(parameters)
        root, t = np.empty_like(parameters), 0

        def update(learning_rate: float) -> None:
            nonlocal t
            t += 1
            m_factor = (1.0 - beta1) / (1.0 - beta1**t)
            s_factor = math.sqrt((1.0 - beta2) / (1.0 - beta2**t))
            np.multiply(means, beta1, out=means)
            np.add(means, gradient, out=means)
            np.multiply(gradient, gradient, out=gradient)
            np.multiply(squares, beta2, out=squares)
            np.add(squares, gradient, out=squares)
            rate = learning_rate * m_factor / s_factor
            _scaled_step(parameters, rate, means, squares, epsilon / s_factor, root)

        return update


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019).

    First w ← w - r weight_decay w, for weights only; then a step of Adam, whose gradient knows
    nothing of it.
    """

    weight_decay: float = 0.01

    def bind(self, parameters: Array, gradient: Array, weights: Array) -> Update:
        """Return the update."""
        adam, weight_decay = super().bind(parameters, gradient, weights), self.weight_decay

        def update(learning_rate: float) -> None:
            np.multiply(weights, 1.0 - learning_rate * weight_decay, out=weights)
            adam(learning_rate)

        return update


OPTIMIZERS: Mapping[str, type[Optimizer]] = {
    "sgd": SGD,
    "momentum": Momentum,
    "nesterov": Nesterov,
    "adagrad": AdaGrad,
    "rmsprop": RMSProp,
    "adam": Adam,
    "adamw": AdamW,
}


def _scaled_step(
    parameters: Array, rate: float, direction: Array, squares: Array, epsilon: float, root: Array
) -> None:
    """Do w ← w - rate direction / (sqrt(squares) + epsilon), with `root` to work in."""
    np.sqrt(squares, out=root)
    np.add(root, epsilon, out=root)
    np.divide(direction, root, out=root)
    np.multiply(root, rate, out=root)
    np.subtract(parameters, root, out=parameters)


def clip(gradient: Array, longest: float) -> Update:
    """Return a function that shortens the gradient to the length `longest` if it is longer.

    All of it by one factor, so that it keeps its direction (Pascanu et al., 2013).
    """

    def shorten(learning_rate: float) -> None:
        length = math.sqrt(gradient.dot(gradient))
        if length > longest:
            np.multiply(gradient, longest / length, out=gradient)

    return shorten
