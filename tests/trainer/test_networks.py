import math

import numpy as np
import pytest
from gradients import loss_gradient, numerical_gradient

from trainer.layers.activations import ReLU, Sigmoid, Tanh
from trainer.layers.batch_normalization import BatchNormalization
from trainer.layers.convolution import Convolution
from trainer.layers.dense import Dense
from trainer.layers.dropout import Dropout
from trainer.layers.flatten import Flatten
from trainer.layers.noise import Noise
from trainer.layers.pooling import AveragePooling, MaxPooling
from trainer.losses import LOSSES
from trainer.networks import Network
from trainer.objectives import ConvolutionalHyperparameters, convolutional_layers

NETWORKS = {
    "perceptron": ([Dense(4), Sigmoid(), Dense(3), Tanh(), Dense(3)], (5,)),
    "normalized": ([Dense(4), BatchNormalization(), ReLU(), Dropout(0.3), Dense(3)], (5,)),
    "normalized after": ([Noise(), Dense(4), Tanh(), BatchNormalization(), Dense(3)], (5,)),
    "convolutional": (
        [
            Convolution(2, padding=1),
            BatchNormalization(),
            MaxPooling(),
            Tanh(),
            Convolution(3, size=2, padding=1),
            Sigmoid(),
            AveragePooling(),
            Flatten(),
            Dense(3),
        ],
        (6, 6, 2),
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_gradient_of_the_loss_is_the_numerical_one(name):
    layers, shape = NETWORKS[name]
    network = Network(layers, shape, np.float64)
    network.initialize(np.random.default_rng(0))
    network.parameters += 0.1 * np.random.default_rng(1).normal(size=network.parameters.shape)
    inputs = np.random.default_rng(2).normal(size=(4, *shape))
    targets = np.array([0, 2, 1, 2])
    loss = LOSSES["cross_entropy"]

    def run():
        forward, backward = network.bind(4, np.random.default_rng(3))
        return forward(inputs), backward

    expected = numerical_gradient(lambda: loss.value(run()[0], targets), network.parameters)
    outputs, backward = run()
    backward(loss_gradient(loss, outputs, targets))
    np.testing.assert_allclose(network.gradient, expected, rtol=1e-4, atol=1e-8)


def test_the_textbooks_convolutional_network():
    hyperparameters = ConvolutionalHyperparameters(
        blocks="32 max 64 average 128", hidden_sizes=(128,), dropout_rate=0.4
    )
    network = Network(convolutional_layers(hyperparameters, 10), (28, 28, 1))
    sizes = [shape[0] for shape in network.shapes]
    assert list(dict.fromkeys(sizes)) == [28, 26, 13, 11, 5, 3, 1152, 128, 10]
    assert network.parameters.size == 241_546


def test_weights_come_first_then_offsets_then_statistics():
    network = Network([Dense(4), BatchNormalization(), ReLU(), Dense(2)], (3,))
    network.initialize(np.random.default_rng(0))
    assert network.weights.size == 3 * 4 + 4 * 2
    assert network.parameters.size == network.weights.size + (4 + 4 + 4 + 2)
    assert network.values.size == network.parameters.size + 4 + 4 + 1
    assert network.weights.all()
    assert network.values[network.weights.size :].tolist() == [
        *[0] * 4,  # biases
        *[1] * 4,  # scale
        *[0] * 4,  # shift
        *[0] * 2,  # biases
        *[0] * 4,  # running mean
        *[1] * 4,  # running variance
        0,  # batches
    ]
    for part in (network.parameters, network.weights, network.statistics):
        assert np.shares_memory(part, network.values)


@pytest.mark.parametrize("rows", [1, 2, 999, 5000, 5003])
def test_chunks_predict_what_one_pass_does(rows):
    network = Network([Dense(300), ReLU(), Dense(2)], (10,))
    network.initialize(np.random.default_rng(0))
    inputs = np.random.default_rng(1).normal(size=(rows, 10)).astype(np.float32)
    expected = network.bind(rows, np.random.default_rng(2), training=False)[0](inputs)
    outputs = network.predictor(rows)(inputs)
    assert outputs.shape == (rows, 2)
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "layers",
    [
        [ReLU(), Dense(2)],
        [Flatten(), ReLU(), Dense(2)],
        [Dense(2), ReLU(), Tanh(), Dense(2)],
        [Dense(2), Sigmoid(), Dropout(), Tanh(), Dense(2)],
        [Dense(2), ReLU()],
        [],
    ],
    ids=str,
)
def test_an_activation_may_not_overwrite_what_is_needed(layers):
    with pytest.raises(ValueError, match="computes"):
        Network(layers, (3,))


def test_activations_are_those_of_inference():
    network = Network([Dense(4), ReLU(), Dropout(0.5), Dense(3), Tanh(), Dense(2)], (5,))
    network.initialize(np.random.default_rng(0))
    inputs = np.random.default_rng(1).normal(size=(6, 5)).astype(np.float32)
    (relu, first), (tanh, second) = network.activations(inputs)
    assert (relu, tanh) == (ReLU(), Tanh())
    weights, biases = network.weights[:20].reshape(5, 4), 0
    np.testing.assert_allclose(first, np.maximum(inputs @ weights + biases, 0), rtol=1e-5)
    assert second.shape == (6, 3)


def test_rows_are_a_view_in_the_shape_of_the_network():
    inputs = np.zeros((7, 4, 4), np.float32)
    for shape in ((16,), (4, 4, 1)):
        layers = [Dense(2)] if len(shape) == 1 else [Flatten(), Dense(2)]
        rows = Network(layers, shape).rows(inputs)
        assert rows.shape == (7, *shape)
        assert np.shares_memory(rows, inputs)
        assert math.prod(rows.shape) == inputs.size


def test_gradients_of_weights_are_views_layer_by_layer():
    network = Network([Dense(4), BatchNormalization(), ReLU(), Dense(2)], (3,))
    network.gradient[...] = np.arange(network.gradient.size)
    first, second = network.weights_gradients()
    assert (first.shape, second.shape) == ((3, 4), (4, 2))
    assert [*first.reshape(-1), *second.reshape(-1)] == list(range(20))
