"""Dropout turns units off at random in training, so that no unit can rely on another."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from trainer.layers.layer import Array, Backward, Forward, Layer, Place


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
        random, growth = place.random, 1.0 / (1.0 - self.rate)

        def infer(x: Array) -> Array:
            return x

        def forward(x: Array) -> Array:
            random.random(out=drawn, dtype=np.float32)
            np.greater_equal(drawn, self.rate, out=kept)
            np.multiply(kept, growth, out=mask)
            return np.multiply(x, mask, out=outputs)

        def backward(gradient: Array) -> Array:
            return np.multiply(gradient, mask, out=gradient)

        return forward if place.training else infer, backward
