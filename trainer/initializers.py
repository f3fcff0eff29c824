"""An initializer sets how widely the first weights of a layer are spread."""

import math
from collections.abc import Callable, Mapping
from typing import TypeAlias

Initializer: TypeAlias = Callable[[int, int, float], float]


def zeros(fan_in: int, fan_out: int, std: float) -> float:
    """Return 0: every unit of a layer then learns the same (for demonstration)."""
    return 0.0


def normal(fan_in: int, fan_out: int, std: float) -> float:
    """Return the given standard deviation."""
    return std


def xavier(fan_in: int, fan_out: int, std: float) -> float:
    """Return sqrt(1 / fan_in), the simplified Xavier rule (LeCun et al., 1998)."""
    return math.sqrt(1.0 / fan_in)


def glorot(fan_in: int, fan_out: int, std: float) -> float:
    """Return sqrt(2 / (fan_in + fan_out)) (Glorot and Bengio, 2010)."""
    return math.sqrt(2.0 / (fan_in + fan_out))


def he(fan_in: int, fan_out: int, std: float) -> float:
    """Return sqrt(2 / fan_in), for units that are off half the time (He et al., 2015)."""
    return math.sqrt(2.0 / fan_in)


# Each is called with fan_in and fan_out, the inputs and outputs of a unit, and the standard
# deviation asked for, and returns the standard deviation of normally distributed weights.
INITIALIZERS: Mapping[str, Initializer] = {
    "zeros": zeros,
    "normal": normal,
    "xavier": xavier,
    "glorot": glorot,
    "he": he,
}
