import numpy as np
import pytest
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer

from trainer.optimizers import OPTIMIZERS, Adam, AdamW, Momentum, Nesterov, RMSProp

GRADIENTS = np.random.default_rng(0).normal(size=(20, 6))
START = np.random.default_rng(1).normal(size=6)
RATE = 0.1


def walk(optimizer, gradients, start=START, weights=6):
    """Return the parameters after these gradients."""
    parameters, gradient = start.copy(), np.empty_like(start)
    update = optimizer.bind(parameters, gradient, parameters[:weights])
    for given in gradients:
        gradient[...] = given
        update(RATE)
    return parameters


# After one step from START, by hand.
G = GRADIENTS[0]
FIRST_STEPS = {
    "sgd": -RATE * G,
    "momentum": -RATE * G,
    "nesterov": -1.9 * RATE * G,
    "adagrad": -RATE * np.sign(G),
    "rmsprop": -RATE * G / np.sqrt(0.01 * G**2),
    "adam": -RATE * np.sign(G),
    "adamw": -RATE * np.sign(G) - RATE * 0.01 * START,
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_first_step_is_its_closed_form(name):
    step = walk(OPTIMIZERS[name](), GRADIENTS[:1]) - START
    np.testing.assert_allclose(step, FIRST_STEPS[name], rtol=1e-5)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_finds_the_minimum_of_a_bowl(name):
    parameters, gradient = np.array([-7.0, 2.0]), np.empty(2)
    update = OPTIMIZERS[name]().bind(parameters, gradient, parameters[:0])
    for step in range(3000):
        gradient[...] = parameters[0] / 10, 2 * parameters[1]  # of x² / 20 + y²
        update(0.5 / (1 + step / 300))
    assert np.abs(parameters).max() < 0.03  # RMSProp ends by swinging as far as the last rate


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Momentum(0.7), SGDOptimizer([START], RATE, momentum=0.7, nesterov=False)),
        (Nesterov(0.7), SGDOptimizer([START], RATE, momentum=0.7, nesterov=True)),
    ],
    ids=["momentum", "nesterov"],
)
def test_momentum_goes_where_that_of_scikit_learn_goes(ours, theirs):
    expected = START.copy()
    for gradient in GRADIENTS:
        theirs.update_params([expected], [gradient])
    np.testing.assert_allclose(walk(ours, GRADIENTS), expected, rtol=1e-12)


def test_adam_goes_where_that_of_scikit_learn_goes():
    expected = START.copy()
    # Where scikit-learn adds epsilon is another place, so it must not matter here.
    theirs = AdamOptimizer([expected], RATE, beta_1=0.8, beta_2=0.99, epsilon=1e-14)
    for gradient in GRADIENTS:
        theirs.update_params([expected], [gradient])
    ours = walk(Adam(beta1=0.8, beta2=0.99, epsilon=1e-14), GRADIENTS)
    np.testing.assert_allclose(ours, expected, rtol=1e-10)


def test_adam_is_its_formula_with_a_large_epsilon():
    w, m, s = START.copy(), np.zeros(6), np.zeros(6)
    for t, g in enumerate(GRADIENTS, 1):
        m, s = 0.9 * m + 0.1 * g, 0.999 * s + 0.001 * g**2
        w -= RATE * (m / (1 - 0.9**t)) / (np.sqrt(s / (1 - 0.999**t)) + 0.3)
    np.testing.assert_allclose(walk(Adam(epsilon=0.3), GRADIENTS), w, rtol=1e-10)


def test_adagrad_and_rmsprop_are_their_formulas():
    w, s, v, r = START.copy(), np.zeros(6), START.copy(), np.zeros(6)
    for g in GRADIENTS:
        s, r = s + g**2, 0.8 * r + 0.2 * g**2
        w -= RATE * g / (np.sqrt(s) + 0.3)
        v -= RATE * g / (np.sqrt(r) + 0.3)
    np.testing.assert_allclose(walk(OPTIMIZERS["adagrad"](0.3), GRADIENTS), w, rtol=1e-10)
    np.testing.assert_allclose(walk(RMSProp(rho=0.8, epsilon=0.3), GRADIENTS), v, rtol=1e-10)


def test_adamw_shrinks_weights_and_leaves_the_rest_to_adam():
    decayed = walk(AdamW(weight_decay=0.5), np.zeros((3, 6)), weights=4)
    np.testing.assert_allclose(decayed[:4], START[:4] * (1 - RATE * 0.5) ** 3)
    np.testing.assert_array_equal(decayed[4:], START[4:])
