"""A convolution along one axis with fewer products than the direct one.

`outputs` neighbouring outputs of a filter with `taps` weights are sums of outputs * taps products.
Winograd (1980) gets by with outputs + taps - 1, between sums of inputs and sums of weights; for
images with many channels see Lavin and Gray (2016). The sums are those of the Toom-Cook
algorithm: two polynomials are multiplied by multiplying their values at a few points.
"""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from trainer.arrays import Array

# And infinity. Of small powers of two and their negatives, these round best: with 3 weights and 4
# outputs, the error is three times that of the direct sum. More points would lose more.
_POINTS = (0.0, 1.0, -1.0, 0.5, -2.0)


def outputs_at_once(length: int, taps: int) -> int:
    """Return how many outputs at a time take the fewest products for `length` of them.

    It is 1 where nothing is saved.
    """
    choices = range(1, len(_POINTS) + 3 - taps)
    return min(choices, key=lambda outputs: -(-length // outputs) * (outputs + taps - 1), default=1)


def transforms(outputs: int, taps: int, dtype: DTypeLike) -> tuple[Array, Array, Array]:
    """Return matrices (left, middle, right): outputs = left @ (middle @ weights * right @ inputs).

    Their adjoints make the backward pass.
    """
    points = outputs + taps - 1

    def values(count: int) -> Array:
        """Return the matrix from `count` coefficients to the values at all points."""
        at: Array = np.vander(_POINTS[: points - 1], count, increasing=True)
        return np.vstack([at, np.eye(1, count, count - 1)])  # at infinity, the last coefficient

    matrices: tuple[Any, ...] = (values(outputs).T, values(taps), np.linalg.inv(values(points)).T)
    left, middle, right = (np.ascontiguousarray(matrix, dtype) for matrix in matrices)
    return left, middle, right
