"""An activation bends what a layer computes; without one, a deep network is a flat one."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from trainer.layers.layer import Array, Backward, Forward, Layer, Place


@dataclass(frozen=True)
class ReLU(Layer):
    """max(x, 0) (Nair and Hinton, 2010)."""

    def bind(self, place: Place) -> tuple[Forward, Backward]:
        """Return the passes; both work in place."""
        active = np.empty((place.rows, *place.shape), bool)
        outputs = active

        def forward(x: Array) -> Array:
            nonlocal outputs
            outputs = np.maximum(x, 0, out=x)
            return outputs

        def backward(gradient: Array) -> Array:
            np.greater(outputs, 0, out=active)
            return np.multiply(gradient, active, out=gradient)

        return forward, backward


ACTIVATIONS: Mapping[str, type[Layer]] = {"relu": ReLU}
