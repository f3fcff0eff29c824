import math

import numpy as np
import pytest

from trainer.initializers import INITIALIZERS
from trainer.layers.dense import Dense
from trainer.networks import Network

EXPECTED = {
    "zeros": 0.0,
    "normal": 0.05,
    "xavier": math.sqrt(1 / 400),
    "glorot": math.sqrt(2 / 500),
    "he": math.sqrt(2 / 400),
}


def test_every_initializer_is_in_the_table():
    assert set(EXPECTED) == set(INITIALIZERS)


@pytest.mark.parametrize("name", INITIALIZERS)
def test_weights_have_the_standard_deviation_of_the_initializer(name):
    network = Network([Dense(100, name, initial_std=0.05)], (400,))
    network.initialize(np.random.default_rng(0))
    assert INITIALIZERS[name](400, 100, 0.05) == pytest.approx(EXPECTED[name])
    # 40,000 draws: five standard deviations of their own standard deviation are 1.8 %.
    assert network.weights.std() == pytest.approx(EXPECTED[name], rel=0.018)
    assert abs(network.weights.mean()) <= 5 * EXPECTED[name] / 200
    assert not network.parameters[len(network.weights) :].any()
