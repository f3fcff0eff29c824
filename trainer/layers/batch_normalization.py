"""Batch normalization keeps every unit centered and spread alike while the layers before learn."""

from dataclasses import dataclass

import numpy as np

from trainer.layers.layer import Array, Backward, Forward, Layer, Parameter, Place, Shape


@dataclass(frozen=True)
class BatchNormalization(Layer):
    """scale * (x - mean) / sqrt(variance + epsilon) + shift (Ioffe and Szegedy, 2015).

    Mean and variance are those of the batch, for each unit, or each channel of images; for
    inference, running means of them, of which each batch replaces the share 1 - momentum. The
    first ones replace more, so that these are means over all batches until there are so many:
    nothing remains of the mean 0 and variance 1 that stand there before any training.
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
        unbiased = count / max(count - 1, 1)

        def infer(x: Array) -> Array:
            np.divide(scale, np.sqrt(running_variance + self.epsilon), out=factor)
            np.subtract(x, running_mean, out=outputs)
            np.multiply(outputs, factor, out=outputs)
            return np.add(outputs, shift, out=outputs)

        def forward(x: Array) -> Array:
            x = x.reshape(count, units)
            np.dot(average, x, out=mean)
            np.subtract(x, mean, out=centered)
            np.multiply(centered, centered, out=product)
            np.dot(average, product, out=variance)
            np.add(variance, self.epsilon, out=deviation)
            np.sqrt(deviation, out=deviation)
            np.divide(scale, deviation, out=factor)
            np.multiply(centered, factor, out=flat)
            np.add(flat, shift, out=flat)
            batches[0] += 1
            replaced = max(1.0 - self.momentum, 1.0 / float(batches[0]))
            kept = 1.0 - replaced
            np.multiply(running_mean, kept, out=running_mean)
            np.multiply(mean, replaced, out=mean)
            np.add(running_mean, mean, out=running_mean)
            np.multiply(running_variance, kept, out=running_variance)
            np.multiply(variance, unbiased * replaced, out=variance)
            np.add(running_variance, variance, out=running_variance)
            return outputs

        def backward(gradient: Array) -> Array:
            # With n = centered / deviation, the gradient of x is
            # scale / deviation * (g - mean(g) - n mean(g n)).
            g = gradient.reshape(count, units)
            np.dot(ones, g, out=shift_gradient)
            np.multiply(g, centered, out=product)
            np.dot(ones, product, out=scale_gradient)
            np.divide(scale_gradient, deviation, out=scale_gradient)
            np.divide(scale_gradient, deviation, out=mean)
            np.multiply(mean, 1.0 / count, out=mean)
            np.multiply(centered, mean, out=centered)
            np.subtract(g, centered, out=g)
            np.multiply(shift_gradient, 1.0 / count, out=mean)
            np.subtract(g, mean, out=g)
            np.multiply(g, factor, out=g)
            return g.reshape(gradient.shape)

        return forward if place.training else infer, backward
