"""A dense layer connects every input to every unit."""

from dataclasses import dataclass

import numpy as np
from numpy import add

from trainer.arrays import Array
from trainer.initializers import INITIALIZERS
from trainer.layers.layer import Backward, Forward, Layer, Parameter, Place, Shape


@dataclass(frozen=True)
class Dense(Layer):
    """outputs (rows, units) = inputs (rows, n) @ weights + biases."""

    units: int
    initializer: str = "he"
    initial_std: float = 0.01

    def output_shape(self, shape: Shape) -> Shape:
        """Return (units,)."""
        if len(shape) != 1:
            raise ValueError(f"a dense layer needs flat rows, got shape {shape}")
        return (self.units,)

    def parameters(self, shape: Shape) -> tuple[Parameter, ...]:
        """Return weights (n, units) and biases (units,)."""
        std = INITIALIZERS[self.initializer](shape[0], self.units, self.initial_std)
        return Parameter("weight", (shape[0], self.units), std=std), Parameter(
            "offset", (self.units,)
        )

    def bind(self, place: Place) -> tuple[Forward, Backward]:
        """Return the passes."""
        weights, biases = place.values
        weights_gradient, biases_gradient = place.gradients
        weights_turned = weights.T
        outputs, inputs_gradient = place.empty(self.units), place.empty(*place.shape)
        offsets = place.empty(self.units)
        ones = np.ones(place.rows, place.dtype)
        inputs = outputs

        def forward(x: Array) -> Array:
            nonlocal inputs
            inputs = x
            x.dot(weights, outputs)
            offsets[...] = biases  # faster than to broadcast in the addition
            return add(outputs, offsets, outputs)

        def learn(gradient: Array) -> Array:
            inputs.T.dot(gradient, weights_gradient)
            ones.dot(gradient, biases_gradient)  # a sum over rows, by BLAS
            return gradient

        def backward(gradient: Array) -> Array:
            learn(gradient)
            return gradient.dot(weights_turned, inputs_gradient)

        return forward, learn if place.first else backward
