"""Arrays are what everything here works on, in place and with little overhead.

A step of a small network is a few dozen short calls of NumPy, so their form counts. In order of
what they save: numbers as arrays of no dimension, not Python's own; products by the method `dot`,
not `np.dot`; the array to write to as last argument, not by keyword; functions imported by name,
not looked up in numpy.
"""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array: TypeAlias = NDArray[Any]


def scalar(value: float, dtype: DTypeLike) -> Array:
    """Return a number as an array of no dimension; its method `fill` changes it."""
    return np.array(value, dtype)
