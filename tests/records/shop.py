"""An objective that costs nothing, of the time when the records beside it were made."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Shop:
    """A rate, a color and a shape."""

    rate: float = 0.1
    color: str = "red"
    shape: tuple[int, ...] = (1,)
    epochs: int = 3


class Constant:
    """Says the share of each class, whatever the row."""

    loader = "shop:load"

    def __init__(self, shares):
        self.shares = np.asarray(shares, np.float32)

    def predict(self, inputs):
        return np.tile(self.shares, (len(inputs), 1))

    def save(self, path):
        np.savez(path, shares=self.shares)


def load(path):
    with np.load(path) as arrays:
        return Constant(arrays["shares"])


def train(hyperparameters: Shop, data, *, seed):
    noise = np.random.default_rng(seed).normal(0, 0.01)
    distance = math.log10(hyperparameters.rate) + 1
    if Path("stop").exists() and seed % 5 == 0:
        raise KeyboardInterrupt
    for epoch in range(1, hyperparameters.epochs + 1):
        accuracy = 1 - distance**2 / 10 - 0.2 * (hyperparameters.color == "red") + noise
        yield {"validation_accuracy": accuracy * epoch / hyperparameters.epochs}
    return Constant(np.full(10, 0.1))


train.metrics = ("validation_accuracy",)
