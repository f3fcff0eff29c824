"""Noise blurs the inputs in training, so that a network does not learn them by heart."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from trainer.layers.layer import Array, Backward, Forward, Layer, Place


@dataclass(frozen=True)
class Noise(Layer):
    """x + std * a standard normal number (Bishop, 1995); nothing in inference."""

    passes_on: ClassVar[bool] = True

    std: float = 0.1

    def bind(self, place: Place) -> tuple[Forward, Backward]:
        """Return the passes."""
        outputs = place.empty(*place.shape)
        random, dtype = place.random, place.dtype.type

        def infer(x: Array) -> Array:
            return x

        def forward(x: Array) -> Array:
            random.standard_normal(out=outputs, dtype=dtype)
            np.multiply(outputs, self.std, out=outputs)
            return np.add(outputs, x, out=outputs)

        def backward(gradient: Array) -> Array:
            return gradient

        return forward if place.training else infer, backward
