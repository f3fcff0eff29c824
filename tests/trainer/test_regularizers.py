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
    parameters, before = random.normal(size=(2, 25))
    weights, gradient, unmoved = parameters[:20], before.copy(), parameters.copy()
    REGULARIZERS[name](0.3).bind(parameters, gradient, weights)(0.1)
    assert parameters.tolist() == unmoved.tolist()
    expected = numerical_gradient(lambda: PENALTIES[name](weights, 0.3), weights)
    np.testing.assert_allclose((gradient - before)[:20], expected, rtol=1e-6)
    assert gradient[20:].tolist() == before[20:].tolist()  # of biases
