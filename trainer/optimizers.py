"""An optimizer moves the parameters of a network down its gradient.

It is the last transformation of a step, and overwrites the gradient where that saves an array.
In the formulas w are the parameters, g is the gradient and r the learning rate.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy import add, divide, multiply, sqrt, subtract

from trainer.arrays import Array, scalar
from trainer.transformations import Memory, Step, Transformation, remembered


@dataclass(frozen=True)
class SGD(Transformation):
    """Stochastic gradient descent (Robbins and Monro, 1951): w ← w - r g."""

    def bind(
        self, parameters: Array, gradient: Array, weights: Array, memory: Memory | None = None
    ) -> Step:
        """Return the update."""
        rate = scalar(0.0, parameters.dtype)

        def update(learning_rate: float) -> None:
            rate.fill(learning_rate)
            multiply(gradient, rate, gradient)
            subtract(parameters, gradient, parameters)

        return update


@dataclass(frozen=True)
class Momentum(Transformation):
    """Momentum (Polyak, 1964): v ← momentum v - r g, w ← w + v."""

    momentum: float = 0.9

    def bind(
        self, parameters: Array, gradient: Array, weights: Array, memory: Memory | None = None
    ) -> Step:
        """Return the update, with a velocity v of 0 to begin with."""
        momentum, rate = scalar(self.momentum, parameters.dtype), scalar(0.0, parameters.dtype)
        velocity = _like(parameters, memory)

        def update(learning_rate: float) -> None:
            rate.fill(learning_rate)
            multiply(velocity, momentum, velocity)
            multiply(gradient, rate, gradient)
            subtract(velocity, gradient, velocity)
            add(parameters, velocity, parameters)

        return update


@dataclass(frozen=True)
class Nesterov(Transformation):
    """Nesterov's momentum, which looks ahead (Nesterov, 1983; Sutskever et al., 2013).

    v ← momentum v - r g, w ← w + momentum v - r g.
    """

    momentum: float = 0.9

    def bind(
        self, parameters: Array, gradient: Array, weights: Array, memory: Memory | None = None
    ) -> Step:
        """Return the update, with a velocity v of 0 to begin with."""
        momentum, rate = scalar(self.momentum, parameters.dtype), scalar(0.0, parameters.dtype)
        velocity, ahead = _like(parameters, memory), np.empty_like(parameters)

        def update(learning_rate: float) -> None:
            rate.fill(learning_rate)
            multiply(velocity, momentum, velocity)
            multiply(gradient, rate, gradient)
            subtract(velocity, gradient, velocity)
            multiply(velocity, momentum, ahead)
            subtract(ahead, gradient, ahead)
            add(parameters, ahead, parameters)

        return update


@dataclass(frozen=True)
class AdaGrad(Transformation):
    """AdaGrad (Duchi et al., 2011): s ← s + g², w ← w - r g / (sqrt(s) + epsilon)."""

    epsilon: float = 1e-8

    def bind(
        self, parameters: Array, gradient: Array, weights: Array, memory: Memory | None = None
    ) -> Step:
        """Return the update, with a sum of squares s of 0 to begin with."""
        squares, root = _like(parameters, memory), np.empty_like(parameters)
        step = _scaled_step(parameters, gradient, squares, root)

        def update(learning_rate: float) -> None:
            multiply(gradient, gradient, root)
            add(squares, root, squares)
            step(learning_rate, self.epsilon)

        return update


@dataclass(frozen=True)
class RMSProp(Transformation):
    """RMSProp (Hinton, 2012): s ← rho s + (1 - rho) g², w ← w - r g / (sqrt(s) + epsilon)."""

    rho: float = 0.99
    epsilon: float = 1e-8

    def bind(
        self, parameters: Array, gradient: Array, weights: Array, memory: Memory | None = None
    ) -> Step:
        """Return the update, with a mean of squares s of 0 to begin with."""
        rho, share = scalar(self.rho, parameters.dtype), scalar(1.0 - self.rho, parameters.dtype)
        squares, root = _like(parameters, memory), np.empty_like(parameters)
        step = _scaled_step(parameters, gradient, squares, root)

        def update(learning_rate: float) -> None:
            multiply(squares, rho, squares)
            multiply(gradient, gradient, root)
            multiply(root, share, root)
            add(squares, root, squares)
            step(learning_rate, self.epsilon)

        return update


@dataclass(frozen=True)
class Adam(Transformation):
    """Adam (Kingma and Ba, 2015), bias-corrected.

    m ← beta1 m + (1 - beta1) g, s ← beta2 s + (1 - beta2) g², and after t steps
    w ← w - r (m / (1 - beta1^t)) / (sqrt(s / (1 - beta2^t)) + epsilon).
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def bind(
        self, parameters: Array, gradient: Array, weights: Array, memory: Memory | None = None
    ) -> Step:
        """Return the update, with means m and s of 0 to begin with."""
        beta1, beta2, epsilon = self.beta1, self.beta2, self.epsilon
        kept1, kept2 = scalar(beta1, parameters.dtype), scalar(beta2, parameters.dtype)
        # Kept as m / (1 - beta1) and s / (1 - beta2): the same, with two operations less.
        means, squares = _like(parameters, memory), _like(parameters, memory)
        step = _scaled_step(parameters, means, squares, np.empty_like(parameters))
        steps = remembered((1,), np.int64, memory)

        def update(learning_rate: float) -> None:
            steps[0] = t = int(steps[0]) + 1
            m_factor = (1.0 - beta1) / (1.0 - beta1**t)
            s_factor = math.sqrt((1.0 - beta2) / (1.0 - beta2**t))
            multiply(means, kept1, means)
            add(means, gradient, means)
            multiply(gradient, gradient, gradient)
            multiply(squares, kept2, squares)
            add(squares, gradient, squares)
            step(learning_rate * m_factor / s_factor, epsilon / s_factor)

        return update


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019).

    First w ← w - r weight_decay w, for weights only; then a step of Adam, whose gradient knows
    nothing of it.
    """

    weight_decay: float = 0.01

    def bind(
        self, parameters: Array, gradient: Array, weights: Array, memory: Memory | None = None
    ) -> Step:
        """Return the update."""
        adam = super().bind(parameters, gradient, weights, memory)
        kept = scalar(0.0, parameters.dtype)

        def update(learning_rate: float) -> None:
            kept.fill(1.0 - learning_rate * self.weight_decay)
            multiply(weights, kept, weights)
            adam(learning_rate)

        return update


OPTIMIZERS: Mapping[str, type[Transformation]] = {
    "sgd": SGD,
    "momentum": Momentum,
    "nesterov": Nesterov,
    "adagrad": AdaGrad,
    "rmsprop": RMSProp,
    "adam": Adam,
    "adamw": AdamW,
}


def _like(parameters: Array, memory: Memory | None) -> Array:
    """Return zeros, one for each parameter, that a step remembers."""
    return remembered(parameters.shape, parameters.dtype, memory)


def _scaled_step(
    parameters: Array, direction: Array, squares: Array, root: Array
) -> Callable[[float, float], None]:
    """Return w ← w - rate direction / (sqrt(squares) + epsilon), with `root` to work in."""
    factor, small = scalar(0.0, parameters.dtype), scalar(0.0, parameters.dtype)

    def step(rate: float, epsilon: float) -> None:
        factor.fill(rate)
        small.fill(epsilon)
        sqrt(squares, root)
        add(root, small, root)
        divide(direction, root, root)
        multiply(root, factor, root)
        subtract(parameters, root, parameters)

    return step
