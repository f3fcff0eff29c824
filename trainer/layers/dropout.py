"""Dropout turns units off at random in training, so that no unit can rely on another."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy import greater_equal, multiply

from trainer.arrays import Array, scalar
from trainer.layers.layer import Backward, Forward, Layer, Place


@dataclass(frozen=True)
class Dropout(Layer):
    """Each number becomes 0 with probability `rate` (Srivastava et al., 2014).

    The others grow by 1 / (1 - rate), so that the mean stays and inference does nothing
    (inverted dropout).
    """

    passes_on: ClassVar[bool] = True

    rate: float = 0.5

    def bind(self, place: Place) -> tuple[Forward, Backward]:
        """Return the passes."""
        outputs, mask = place.empty(*place.shape), place.empty(*place.shape)
        drawn, kept = np.empty(mask.shape, np.float32), np.empty(mask.shape, bool)
        random, rate = place.random, scalar(self.rate, np.float32)
        growth = scalar(1.0 / (1.0 - self.rate), place.dtype)

        def infer(x: Array) -> Array:
            return x

        def forward(x: Array) -> Array:
            random.random(out=drawn, dtype=np.float32)
            greater_equal(drawn, rate, kept)
            mask[...] = kept
            multiply(mask, growth, mask)
            return multiply(x, mask, outputs)

        def backward(gradient: Array) -> Array:
            return multiply(gradient, mask, gradient)

        return forward if place.training else infer, backward
