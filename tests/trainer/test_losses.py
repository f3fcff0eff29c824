import numpy as np
import pytest
from gradients import loss_gradient, numerical_gradient
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import log_loss, mean_squared_error

from trainer.losses import LOSSES

TARGETS = {
    "cross_entropy": np.array([2, 0, 1, 2, 2]),
    "squared_error": np.array([0.5, -1.0, 2.0, 0.0, 3.5]),
}
OUTPUTS = {"cross_entropy": 3, "squared_error": 1}


@pytest.mark.parametrize("name", LOSSES)
def test_analytic_gradients_are_the_numerical_ones(name):
    loss, targets = LOSSES[name], TARGETS[name]
    outputs = np.random.default_rng(0).normal(size=(len(targets), OUTPUTS[name]))
    expected = numerical_gradient(lambda: loss.value(outputs, targets), outputs)
    gradient = loss_gradient(loss, outputs, targets)
    assert gradient is outputs
    np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-9)


def test_values_are_those_of_scikit_learn():
    random = np.random.default_rng(1)
    outputs = random.normal(size=(5, 3))
    loss, targets = LOSSES["cross_entropy"], TARGETS["cross_entropy"]
    assert loss.value(outputs, targets) == pytest.approx(
        log_loss(targets, loss.predictions(outputs))
    )
    outputs, targets = random.normal(size=(5, 1)), TARGETS["squared_error"]
    assert LOSSES["squared_error"].value(outputs, targets) == pytest.approx(
        mean_squared_error(targets, outputs[:, 0])
    )


@given(
    arrays.arrays(np.float32, (4, 3), elements=st.floats(-(2.0**100), 2.0**100, width=32)),
    arrays.arrays(np.int64, 4, elements=st.integers(0, 2)),
)
def test_cross_entropy_is_finite_for_all_finite_outputs(outputs, targets):
    loss = LOSSES["cross_entropy"]
    probabilities = loss.predictions(outputs)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    value = loss.value(outputs, targets)
    assert np.isfinite(value)
    assert value >= 0
    gradient = loss_gradient(loss, outputs, targets)
    np.testing.assert_allclose(gradient.sum(axis=1), 0, atol=1e-6)
    assert np.abs(gradient).max() <= 0.25 + 1e-6


@given(
    arrays.arrays(np.float32, (4, 3), elements=st.floats(-100, 100, width=32)),
    arrays.arrays(np.int64, 4, elements=st.integers(0, 2)),
)
def test_the_gradient_of_cross_entropy_is_softmax_less_one_hot(outputs, targets):
    loss = LOSSES["cross_entropy"]
    expected = (loss.predictions(outputs.astype(np.float64)) - np.eye(3)[targets]) / 4
    np.testing.assert_allclose(loss_gradient(loss, outputs, targets), expected, atol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_loss_and_its_gradient_are_non_finite_when_the_outputs_are(name, bad):
    loss, targets = LOSSES[name], TARGETS[name]
    outputs = np.zeros((5, OUTPUTS[name]), np.float32)
    outputs[3, 0] = bad
    with np.errstate(all="ignore"):
        assert not np.isfinite(loss.value(outputs, targets))
        gradient = loss_gradient(loss, outputs, targets)
    assert not np.isfinite(gradient).all()
