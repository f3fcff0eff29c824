"""A convolution looks at every part of an image through the same small filters."""

from dataclasses import dataclass

import numpy as np

from trainer.initializers import INITIALIZERS
from trainer.layers.layer import Array, Backward, Forward, Layer, Parameter, Place, Shape
from trainer.layers.windows import pixels, stops


@dataclass(frozen=True)
class Convolution(Layer):
    """Square filters over images (height, width, channels) with a border of zeros (LeCun, 1989).

    What the filters see is laid out as one matrix, a row for each stop of the window, so that
    all is one matrix product (im2col: Chellapilla et al., 2006). Channels come last: then that
    product is the output as it stands.
    """

    filters: int
    size: int = 3
    stride: int = 1
    padding: int = 0
    initializer: str = "he"
    initial_std: float = 0.01

    def output_shape(self, shape: Shape) -> Shape:
        """Return (height, width, filters) of the output."""
        return (*stops(self._padded(shape), self.size, self.stride), self.filters)

    def parameters(self, shape: Shape) -> tuple[Parameter, ...]:
        """Return weights (size * size * channels, filters) and biases (filters,)."""
        area = self.size**2
        fan_in, fan_out = area * shape[-1], area * self.filters
        std = INITIALIZERS[self.initializer](fan_in, fan_out, self.initial_std)
        return (
            Parameter("weight", (fan_in, self.filters), std=std),
            Parameter("offset", (self.filters,)),
        )

    def bind(self, place: Place) -> tuple[Forward, Backward]:
        """Return the passes."""
        weights, biases = place.values
        weights_gradient, biases_gradient = place.gradients
        padded_shape, inside = self._padded(place.shape), self._inside(place.shape)
        windows = pixels(padded_shape, self.size, self.stride)
        height, width, filters = self.output_shape(place.shape)
        columns = place.empty(height, width, len(windows), place.shape[-1])
        matrix = columns.reshape(-1, len(weights))
        outputs = place.empty(height, width, filters)
        flat = outputs.reshape(-1, filters)
        ones = np.ones(len(flat), place.dtype)
        padded = np.zeros((place.rows, *padded_shape), place.dtype)
        # Adding the biases pixel by pixel would be many short loops.
        images = outputs.reshape(place.rows, -1)
        repeated = np.empty((height * width, filters), place.dtype)

        def forward(x: Array) -> Array:
            if self.padding:
                padded[inside] = x
                x = padded
            for number, window in enumerate(windows):
                columns[:, :, :, number] = x[window]
            np.dot(matrix, weights, out=flat)
            repeated[...] = biases
            np.add(images, repeated.reshape(-1), out=images)
            return outputs

        def learn(gradient: Array) -> Array:
            gradient = gradient.reshape(-1, filters)
            np.dot(matrix.T, gradient, out=weights_gradient)
            np.dot(ones, gradient, out=biases_gradient)
            return gradient

        columns_gradient, inputs_gradient = np.empty_like(columns), np.empty_like(padded)

        def backward(gradient: Array) -> Array:
            gradient = learn(gradient)
            np.dot(gradient, weights.T, out=columns_gradient.reshape(-1, len(weights)))
            inputs_gradient.fill(0)
            for number, window in enumerate(windows):
                part = inputs_gradient[window]
                np.add(part, columns_gradient[:, :, :, number], out=part)
            return inputs_gradient[inside]

        return forward, learn if place.first else backward

    def _padded(self, shape: Shape) -> Shape:
        return (*(length + 2 * self.padding for length in shape[:2]), *shape[2:])

    def _inside(self, shape: Shape) -> tuple[slice, slice, slice]:
        """Return where the image is within its border."""
        return (
            slice(None),
            slice(self.padding, self.padding + shape[0]),
            slice(self.padding, self.padding + shape[1]),
        )
