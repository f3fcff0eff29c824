"""A convolution looks at every part of an image through the same small filters."""

from dataclasses import dataclass

import numpy as np
from numpy import add

from trainer.arrays import Array
from trainer.initializers import INITIALIZERS
from trainer.layers.layer import Backward, Forward, Layer, Parameter, Place, Shape
from trainer.layers.windows import pixels, stops

# So many numbers of what the filters see are laid out at a time: two megabytes.
_COLUMNS = 2**19


@dataclass(frozen=True)
class Convolution(Layer):
    """Square filters over images (height, width, channels) with a border of zeros (LeCun, 1989).

    The windows are laid out as the rows of one matrix, so that the convolution is one matrix
    product (im2col: Chellapilla et al., 2006). Channels come last, so the product is already the
    output. This is done for a few images at a time, and again for the backward pass, because
    building a matrix that fits into a cache is faster than reading a larger one.
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
        stops, channels = height * width, place.shape[-1]
        padded = np.zeros((place.rows, *padded_shape), place.dtype)
        outputs = place.empty(height, width, filters)
        # Adding the biases pixel by pixel would be many short loops.
        rows = outputs.reshape(place.rows, stops * filters)
        repeated = np.empty((stops, filters), place.dtype)
        ones = np.ones(place.rows * stops, place.dtype)

        at_once = min(place.rows, max(1, _COLUMNS // (stops * len(weights))))
        columns = np.empty((at_once, height, width, len(windows), channels), place.dtype)
        share = np.empty_like(weights)
        blocks = [slice(i, i + at_once) for i in range(0, place.rows, at_once)]
        images = padded

        def look(block: slice) -> Array:
            """Return what the filters see of a block of images, (stops, size * size * channels)."""
            seen = columns[: len(images[block])]
            for number, window in enumerate(windows):
                seen[:, :, :, number] = images[block][window]
            return seen.reshape(-1, len(weights))

        def forward(x: Array) -> Array:
            nonlocal images
            images = x
            if self.padding:
                padded[inside] = x
                images = padded
            for block in blocks:
                look(block).dot(weights, outputs[block].reshape(-1, filters))
            repeated[...] = biases
            add(rows, repeated.reshape(-1), rows)
            return outputs

        def learn(gradient: Array) -> Array:
            ones.dot(gradient.reshape(-1, filters), biases_gradient)
            weights_gradient.fill(0)
            for block in blocks:
                look(block).T.dot(gradient[block].reshape(-1, filters), share)
                add(weights_gradient, share, weights_gradient)
            return gradient

        inputs_gradient = np.empty_like(padded)
        pixel = np.empty((at_once, height, width, channels), place.dtype)
        weights_by_pixel = weights.reshape(len(windows), channels, filters).transpose(0, 2, 1)

        def backward(gradient: Array) -> Array:
            learn(gradient)
            inputs_gradient.fill(0)
            for block in blocks:
                flat = gradient[block].reshape(-1, filters)
                through = pixel[: len(gradient[block])]
                for window, its_weights in zip(windows, weights_by_pixel, strict=True):
                    flat.dot(its_weights, through.reshape(-1, channels))
                    part = inputs_gradient[block][window]
                    add(part, through, part)
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
