import itertools
import math
from dataclasses import dataclass

import numpy as np
import pytest
from sklearn.datasets import load_digits

from trainer.objectives import PerceptronHyperparameters, perceptron


@dataclass(frozen=True)
class Rows:
    inputs: np.ndarray
    targets: np.ndarray


@dataclass(frozen=True)
class Data:
    training: Rows
    validation: Rows | None
    task: str = "classification"
    classes: tuple[str, ...] = tuple("0123456789")
    target_scale: float = 1.0


@pytest.fixture(scope="session")
def digits():
    inputs, targets = load_digits(return_X_y=True)
    inputs = (inputs / 16).astype(np.float32)
    order = np.random.default_rng(0).permutation(len(inputs))
    inputs, targets = inputs[order], targets[order]
    inputs.flags.writeable = False
    return Data(Rows(inputs[:1437], targets[:1437]), Rows(inputs[1437:], targets[1437:]))


def test_a_perceptron_learns_to_read_digits(digits):
    hyperparameters = PerceptronHyperparameters(learning_rate=0.1, optimizer="momentum")
    *_, last = perceptron(hyperparameters, digits, seed=0)
    assert set(last) == set(perceptron.metrics["classification"])
    assert last["validation_accuracy"] > 0.95
    assert last["training_loss"] < 0.1


def test_divergence_ends_with_one_epoch_that_is_not_a_number(digits):
    hyperparameters = PerceptronHyperparameters(learning_rate=1e20, epochs=1000)
    epochs = list(perceptron(hyperparameters, digits, seed=0))
    assert math.isnan(epochs[-1]["training_loss"])
    assert len(epochs) < 10


def test_the_same_seed_gives_the_same_bits(digits):
    hyperparameters = PerceptronHyperparameters()

    def first_epochs(seed):
        return list(itertools.islice(perceptron(hyperparameters, digits, seed=seed), 3))

    assert first_epochs(1) == first_epochs(1)
    assert first_epochs(1) != first_epochs(2)
