"""A layer defines what it computes, and is bound to arrays for a fixed number of rows.

Layers are frozen values. All state is in arrays that the network owns, and every buffer a layer
works in is made once, when it is bound. Two rules let the buffers be few: a backward pass may
overwrite the gradient it is given, and an activation overwrites its input, no other layer does.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np

from trainer.arrays import Array

Shape: TypeAlias = tuple[int, ...]
Forward: TypeAlias = Callable[[Array], Array]
Backward: TypeAlias = Callable[[Array], Array]


@dataclass(frozen=True)
class Parameter:
    """An array that a layer asks for, first sampled from a normal distribution.

    Weights and offsets are learned, and only weights are regularized; a statistic is measured
    in training and used for inference.
    """

    kind: Literal["weight", "offset", "statistic"]
    shape: Shape
    mean: float = 0.0
    std: float = 0.0


@dataclass(frozen=True)
class Place:
    """Where a layer is bound: the arrays that are its own, and what is done there."""

    shape: Shape  # of one row of the input
    rows: int
    dtype: np.dtype[Any]
    values: tuple[Array, ...]  # of the parameters, in the order the layer named them
    gradients: tuple[Array, ...]  # of the same; those of statistics are empty
    random: np.random.Generator
    training: bool  # or inference, where no backward pass follows
    first: bool  # in the network: nobody asks for the gradient of the input

    def empty(self, *shape: int) -> Array:
        """Return an array (rows, *shape) to work in."""
        return np.empty((self.rows, *shape), self.dtype)


@dataclass(frozen=True)
class Layer(ABC):
    """A function from rows to rows, and the gradient of it."""

    passes_on: ClassVar[bool] = False  # may return the very array that it was given

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape of one row of the output; raise ValueError if `shape` does not fit."""
        return shape

    def parameters(self, shape: Shape) -> tuple[Parameter, ...]:
        """Return what the layer learns and measures."""
        return ()

    @abstractmethod
    def bind(self, place: Place) -> tuple[Forward, Backward]:
        """Return the two passes: inputs to outputs, and output gradients to input gradients.

        The backward pass writes the gradients of the parameters on its way.
        """
