"""A transformation is one part of a training step: it changes the gradient, or moves by it.

Clipping, penalties on weights, and optimizers are transformations; a list of them, in order, is
what is done after each backward pass. Each is a frozen value that is bound to the arrays it works
on, and keeps what it remembers from step to step in its own arrays.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy import multiply
from numpy.typing import DTypeLike

from trainer.arrays import Array, scalar

Step: TypeAlias = Callable[[float], None]
Memory: TypeAlias = list[Array]  # arrays that are changed in place


def remembered(shape: tuple[int, ...], dtype: DTypeLike, memory: Memory | None) -> Array:
    """Return an array of zeros that a step remembers."""
    array = np.zeros(shape, dtype)
    if memory is not None:
        memory.append(array)
    return array


@dataclass(frozen=True)
class Transformation(ABC):
    """A rule for the next gradient, or for the next parameters."""

    @abstractmethod
    def bind(
        self, parameters: Array, gradient: Array, weights: Array, memory: Memory | None = None
    ) -> Step:
        """Return a function that takes the learning rate, and works in place.

        Parameters and gradient are (n,). `weights` is a view of the first parameters, those that
        are regularized. Whoever moves the parameters may overwrite the gradient. What the function
        remembers from step to step is put into `memory`.
        """


@dataclass(frozen=True)
class Clip(Transformation):
    """Shortens the gradient to the length `longest` if it is longer.

    All of it by one factor, so that it keeps its direction (Pascanu et al., 2013).
    """

    longest: float

    def bind(
        self, parameters: Array, gradient: Array, weights: Array, memory: Memory | None = None
    ) -> Step:
        """Return the step, which changes the gradient."""
        longest, factor = self.longest, scalar(1.0, gradient.dtype)

        def shorten(learning_rate: float) -> None:
            length = math.sqrt(gradient.dot(gradient))
            if length > longest:
                factor.fill(longest / length)
                multiply(gradient, factor, gradient)

        return shorten
