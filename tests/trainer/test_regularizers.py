import numpy as np
import pytest
from gradients import numerical_gradient

from trainer.regularizers import REGULARIZERS

PENALTIES = {
    "weight_decay": lambda w, strength: strength / 2 * np.sum(w**2),
    "l1": lambda w, strength: strength * np.sum(np.abs(w)),
}


@pytest.mark.parametrize("name", REGULARIZERS)
def test_analytic_gradients_are_the_numerical_ones(name):
    random = np.random.default_rng(0)
    weights, before = random.normal(size=(2, 20))
    gradient = before.copy()
    REGULARIZERS[name](weights, gradient, 0.3)(0.1)
    expected = numerical_gradient(lambda: PENALTIES[name](weights, 0.3), weights)
    np.testing.assert_allclose(gradient - before, expected, rtol=1e-6)
