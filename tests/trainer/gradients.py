"""Numerical gradients, which analytic ones are checked against."""

import numpy as np


def numerical_gradient(function, at):
    """Return the gradient of `function()` by the array `at` (float64), by central differences."""
    gradient = np.empty_like(at)
    flat, flat_gradient = at.reshape(-1), gradient.reshape(-1)
    for i, value in enumerate(flat.tolist()):
        width = 1e-6 * max(1.0, abs(value))
        flat[i] = value + width
        above = function()
        flat[i] = value - width
        below = function()
        flat[i] = value
        flat_gradient[i] = (above - below) / (2 * width)
    return gradient


def loss_gradient(loss, outputs, targets):
    """Return the gradient of the loss by outputs (rows, n), in the place of the outputs."""
    shares, gradient = loss.bind(*outputs.shape, outputs.dtype)
    with np.errstate(over="ignore"):  # of a first try, which is then mended
        return gradient(outputs, shares(targets, np.empty_like(outputs)))
