"""Branin's function, with three minima of 0.3979: the usual first test of an optimizer."""

from math import cos, pi


def branin(x: float, y: float) -> float:
    """Return the height of the function at (x, y)."""
    parabola = y - 5.1 * x**2 / (4 * pi**2) + 5 * x / pi - 6
    return parabola**2 + 10 * (1 - 1 / (8 * pi)) * cos(x) + 10
