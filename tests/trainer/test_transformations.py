import numpy as np
import pytest

from trainer.objectives import TrainingHyperparameters, transformations
from trainer.optimizers import SGD, AdamW, Momentum
from trainer.regularizers import L1, L2
from trainer.transformations import Clip


@pytest.mark.parametrize(("longest", "clipped"), [(10.0, [3.0, 4.0]), (1.0, [0.6, 0.8])])
def test_clipping_shortens_a_long_gradient_and_leaves_a_short_one(longest, clipped):
    parameters, gradient = np.ones(2), np.array([3.0, 4.0])
    Clip(longest).bind(parameters, gradient, parameters)(0.1)
    np.testing.assert_allclose(gradient, clipped)
    assert parameters.tolist() == [1.0, 1.0]


def test_a_gradient_is_clipped_before_penalties_and_the_optimizer_comes_last():
    chosen = {"gradient_clip": 2.0, "weight_decay": 0.1, "l1": 0.01, "learning_rate": 0.5}
    assert transformations(TrainingHyperparameters(**chosen)) == [
        Clip(2.0), L2(0.1), L1(0.01), SGD(),
    ]
    decoupled = TrainingHyperparameters(**chosen, optimizer="adamw", beta1=0.8)
    assert transformations(decoupled) == [
        Clip(2.0), L1(0.01), AdamW(beta1=0.8, weight_decay=0.1),
    ]
    assert transformations(TrainingHyperparameters(optimizer="momentum", momentum=0.7)) == [
        Momentum(0.7)
    ]
