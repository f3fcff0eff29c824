"""Batch normalization keeps every unit centered and spread alike while the layers before learn."""

from dataclasses import dataclass

import numpy as np
from numpy import add, divide, multiply, sqrt, subtract

from trainer.arrays import Array, scalar
from trainer.layers.layer import Backward, Forward, Layer, Parameter, Place, Shape


@dataclass(frozen=True)
class BatchNormalization(Layer):
    """scale * (x - mean) / sqrt(variance + epsilon) + shift (Ioffe and Szegedy, 2015).

    In training, mean and variance are those of the batch, for each unit, or for each channel of
    images. Inference uses running means of them, of which each batch replaces a share of
    1 - momentum. The first batches replace more, so that the running means start as plain means
    over all batches so far: nothing remains of the initial mean 0 and variance 1.
    """

    momentum: float = 0.9
    epsilon: float = 1e-5

    def parameters(self, shape: Shape) -> tuple[Parameter, ...]:
        """Return scale and shift, which are learned, running mean and variance, and batches."""
        each = shape[-1:]
        return (
            Parameter("offset", each, mean=1.0),
            Parameter("offset", each),
            Parameter("statistic", each),
            Parameter("statistic", each, mean=1.0),
            Parameter("statistic", (1,)),
        )

    def bind(self, place: Place) -> tuple[Forward, Backward]:
        """Return the passes."""
        scale, shift, running_mean, running_variance, batches = place.values
        scale_gradient, shift_gradient = place.gradients[:2]
        units = place.shape[-1]
        outputs = place.empty(*place.shape)
        flat = outputs.reshape(-1, units)
        count = len(flat)
        centered, product = np.empty_like(flat), np.empty_like(flat)
        ones, average = np.ones(count, place.dtype), np.full(count, 1.0 / count, place.dtype)
        mean, variance, deviation, factor = np.empty((4, units), place.dtype)
        epsilon, share = scalar(self.epsilon, place.dtype), scalar(1.0 / count, place.dtype)
        kept, replaced, unbiased_replaced = (scalar(0.0, place.dtype) for _ in range(3))
        unbiased = count / max(count - 1, 1)

        def infer(x: Array) -> Array:
            divide(scale, sqrt(running_variance + self.epsilon), factor)
            subtract(x, running_mean, outputs)
            multiply(outputs, factor, outputs)
            return add(outputs, shift, outputs)

        def forward(x: Array) -> Array:
            x = x.reshape(count, units)
            average.dot(x, mean)
            subtract(x, mean, centered)
            multiply(centered, centered, product)
            average.dot(product, variance)
            add(variance, epsilon, deviation)
            sqrt(deviation, deviation)
            divide(scale, deviation, factor)
            multiply(centered, factor, flat)
            add(flat, shift, flat)
            batches[0] += 1
            newest = max(1.0 - self.momentum, 1.0 / batches.item())
            kept.fill(1.0 - newest)
            replaced.fill(newest)
            unbiased_replaced.fill(newest * unbiased)
            multiply(running_mean, kept, running_mean)
            multiply(mean, replaced, mean)
            add(running_mean, mean, running_mean)
            multiply(running_variance, kept, running_variance)
            multiply(variance, unbiased_replaced, variance)
            add(running_variance, variance, running_variance)
            return outputs

        def backward(gradient: Array) -> Array:
            # With n = centered / deviation, the gradient of x is
            # scale / deviation * (g - mean(g) - n mean(g n)).
            g = gradient.reshape(count, units)
            ones.dot(g, shift_gradient)
            multiply(g, centered, product)
            ones.dot(product, scale_gradient)
            divide(scale_gradient, deviation, scale_gradient)
            divide(scale_gradient, deviation, mean)
            multiply(mean, share, mean)
            multiply(centered, mean, centered)
            subtract(g, centered, g)
            multiply(shift_gradient, share, mean)
            subtract(g, mean, g)
            multiply(g, factor, g)
            return g.reshape(gradient.shape)

        return forward if place.training else infer, backward
