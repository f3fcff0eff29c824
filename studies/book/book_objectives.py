"""Two objectives for those of the textbook's experiments that train no network.

An epoch is a step in `bowl`, and a layer of the network in `activations`.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np

from trainer.arrays import Array
from trainer.networks import Network
from trainer.objectives import Data, PerceptronHyperparameters, perceptron_layers
from trainer.optimizers import OPTIMIZERS

F = TypeVar("F", bound=Callable[..., Any])

START = (-7.0, 2.0)
BINS = 30
# The range of the histograms; activations outside it are counted in the outer bins.
BOUNDS: Mapping[str, tuple[float, float]] = {
    "sigmoid": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "relu": (0.0, 1.0),
}


def _yields(*metrics: str) -> Callable[[F], F]:
    def add(function: F) -> F:
        vars(function)["metrics"] = metrics
        return function

    return add


@dataclass(frozen=True, kw_only=True)
class BowlHyperparameters:
    """How to walk down the bowl."""

    optimizer: Literal["sgd", "momentum", "adagrad", "adam"] = "sgd"
    learning_rate: float = 0.1
    steps: int = 30


@_yields("height", "x", "y")
def bowl(
    hyperparameters: BowlHyperparameters, *, seed: int
) -> Generator[Mapping[str, float], None, None]:
    """Walk down x² / 20 + y² from (-7, 2), and yield height and position after each step."""
    place, slope = np.array(START), np.zeros(2)
    step = OPTIMIZERS[hyperparameters.optimizer]().bind(place, slope, place)
    with np.errstate(all="ignore"):
        for _ in range(hyperparameters.steps):
            slope[:] = place[0] / 10, 2 * place[1]
            step(hyperparameters.learning_rate)
            height = place[0] ** 2 / 20 + place[1] ** 2
            yield {"height": float(height), "x": float(place[0]), "y": float(place[1])}


@dataclass(frozen=True, kw_only=True)
class ActivationHyperparameters:
    """What a network looks like before any training."""

    activation: Literal["sigmoid", "tanh", "relu"] = "relu"
    weights: Literal["std 1", "std 0.01", "xavier", "he"] = "he"
    hidden_sizes: tuple[int, ...] = (100,) * 5


@_yields("evenness", "mean", "std", "dead_share", *(f"bin_{n:02}" for n in range(1, BINS + 1)))
def activations(
    hyperparameters: ActivationHyperparameters, data: Data, *, seed: int
) -> Generator[Mapping[str, float], None, None]:
    """Send the training rows through an untrained network, and yield statistics by layer.

    `bin_01`, `bin_02`, ... are a histogram, as shares; `evenness` is its entropy divided by the
    largest possible one: 1 if all bins are equally full, 0 if one bin holds everything.
    """
    initializer, _, std = hyperparameters.weights.replace("std", "normal").partition(" ")
    described = PerceptronHyperparameters(
        hidden_sizes=hyperparameters.hidden_sizes,
        activation=hyperparameters.activation,
        initializer=initializer,  # type: ignore[arg-type]
        initial_std=float(std or 0),
    )
    inputs = data.training.inputs.reshape(len(data.training.inputs), -1)
    network = Network(perceptron_layers(described, len(data.classes)), inputs.shape[1:])
    network.initialize(np.random.default_rng(seed))
    low, high = BOUNDS[hyperparameters.activation]
    for layer, outputs in network.activations(inputs):
        shares = histogram(outputs, low, high)
        filled = shares[shares > 0]
        yield {
            "evenness": abs(float((filled * np.log(filled)).sum() / np.log(BINS))),
            "mean": float(outputs.mean()),
            "std": float(outputs.std()),
            "dead_share": float(layer.dead(outputs).mean()),
            **{f"bin_{n:02}": float(share) for n, share in enumerate(shares, 1)},
        }


def histogram(numbers: Array, low: float, high: float) -> Array:
    """Return the share of the numbers in each bin; the outer bins include those out of bounds."""
    counts, _ = np.histogram(np.clip(numbers, low, high), BINS, (low, high))
    return counts / numbers.size
