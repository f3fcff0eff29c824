"""Noise blurs the inputs in training, so that a network does not learn them by heart."""

from dataclasses import dataclass
from typing import ClassVar

from numpy import add, multiply

from trainer.arrays import Array, scalar
from trainer.layers.layer import Backward, Forward, Layer, Place


@dataclass(frozen=True)
class Noise(Layer):
    """x + std * a standard normal number (Bishop, 1995); nothing in inference."""

    passes_on: ClassVar[bool] = True

    std: float = 0.1

    def bind(self, place: Place) -> tuple[Forward, Backward]:
        """Return the passes."""
        outputs = place.empty(*place.shape)
        random, dtype = place.random, place.dtype.type
        std = scalar(self.std, dtype)

        def infer(x: Array) -> Array:
            return x

        def forward(x: Array) -> Array:
            random.standard_normal(out=outputs, dtype=dtype)
            multiply(outputs, std, outputs)
            return add(outputs, x, outputs)

        def backward(gradient: Array) -> Array:
            return gradient

        return forward if place.training else infer, backward
