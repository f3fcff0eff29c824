"""Flattening lays an image out as one row of numbers."""

import math
from dataclasses import dataclass
from typing import ClassVar

from trainer.arrays import Array
from trainer.layers.layer import Backward, Forward, Layer, Place, Shape


@dataclass(frozen=True)
class Flatten(Layer):
    """The same numbers in one dimension, not copied."""

    passes_on: ClassVar[bool] = True

    def output_shape(self, shape: Shape) -> Shape:
        """Return (n,)."""
        return (math.prod(shape),)

    def bind(self, place: Place) -> tuple[Forward, Backward]:
        """Return the passes."""

        def forward(x: Array) -> Array:
            return x.reshape(place.rows, -1)

        def backward(gradient: Array) -> Array:
            return gradient.reshape(place.rows, *place.shape)

        return forward, backward
