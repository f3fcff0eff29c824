"""Pooling makes images smaller: one number for each square of pixels, channel by channel."""

from dataclasses import dataclass

import numpy as np
from numpy import add, greater, logical_and, logical_xor, maximum, multiply

from trainer.arrays import Array, scalar
from trainer.layers.layer import Backward, Forward, Layer, Place, Shape
from trainer.layers.windows import pixels, stops


@dataclass(frozen=True)
class Pooling(Layer):
    """Squares of `size` by `size` pixels, `stride` apart; what is left at the edges is unused."""

    size: int = 2
    stride: int = 2

    def output_shape(self, shape: Shape) -> Shape:
        """Return (height, width, channels) of the output."""
        return (*stops(shape, self.size, self.stride), shape[-1])


@dataclass(frozen=True)
class MaxPooling(Pooling):
    """The largest of each square; the gradient goes to it, the first among equals."""

    def bind(self, place: Place) -> tuple[Forward, Backward]:
        """Return the passes."""
        first, *others = pixels(place.shape, self.size, self.stride)
        outputs = place.empty(*self.output_shape(place.shape))
        inputs_gradient, share = place.empty(*place.shape), np.empty_like(outputs)
        is_first, *are_others = np.empty((1 + len(others), *outputs.shape), bool)

        def forward(x: Array) -> Array:
            outputs[...] = x[first]
            for window, larger in zip(others, are_others, strict=True):
                greater(x[window], outputs, larger)
                maximum(outputs, x[window], out=outputs)
            if place.training:
                # The last that was larger than all before it is the largest.
                is_first.fill(True)
                for larger in reversed(are_others):
                    logical_and(larger, is_first, larger)
                    logical_xor(is_first, larger, is_first)
            return outputs

        def backward(gradient: Array) -> Array:
            inputs_gradient.fill(0)
            for window, here in zip((first, *others), (is_first, *are_others), strict=True):
                part = inputs_gradient[window]
                if self.stride >= self.size:
                    multiply(gradient, here, part)
                else:
                    multiply(gradient, here, share)
                    add(part, share, part)
            return inputs_gradient

        return forward, backward


@dataclass(frozen=True)
class AveragePooling(Pooling):
    """The mean of each square."""

    def bind(self, place: Place) -> tuple[Forward, Backward]:
        """Return the passes."""
        windows = pixels(place.shape, self.size, self.stride)
        outputs = place.empty(*self.output_shape(place.shape))
        inputs_gradient = place.empty(*place.shape)
        share = scalar(1.0 / len(windows), place.dtype)

        def forward(x: Array) -> Array:
            outputs.fill(0)
            for window in windows:
                add(outputs, x[window], outputs)
            return multiply(outputs, share, outputs)

        def backward(gradient: Array) -> Array:
            multiply(gradient, share, gradient)
            inputs_gradient.fill(0)
            for window in windows:
                part = inputs_gradient[window]
                add(part, gradient, part)
            return inputs_gradient

        return forward, backward
