"""A schedule lowers the learning rate from epoch to epoch: large steps first, then careful ones."""

import math
from collections.abc import Callable, Mapping
from typing import TypeAlias

Schedule: TypeAlias = Callable[[float, float], float]


def constant(progress: float, last: float) -> float:
    """Return 1."""
    return 1.0


def step(progress: float, last: float) -> float:
    """Return 1, sqrt(last) and last in the first, second and third part of the epochs.

    With `last` = 0.01, each of the two steps divides by 10 (He et al., 2016).
    """
    return math.pow(last, min(math.floor(progress * 3), 2) / 2)


def exponential(progress: float, last: float) -> float:
    """Return a share that falls from 1 to `last` by the same factor each epoch."""
    return math.pow(last, progress)


def cosine(progress: float, last: float) -> float:
    """Return a share that falls from 1 to `last` as half a cosine (Loshchilov and Hutter, 2017)."""
    return last + (1.0 - last) * (1.0 + math.cos(math.pi * progress)) / 2.0


# Each is called with the progress of the training, 0 in the first epoch and 1 in the last, and
# the share of the learning rate that the last epoch shall have; it returns the share for now.
SCHEDULES: Mapping[str, Schedule] = {
    "constant": constant,
    "step": step,
    "exponential": exponential,
    "cosine": cosine,
}
