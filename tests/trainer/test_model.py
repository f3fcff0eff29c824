import numpy as np
import pytest

from trainer.layers.activations import ReLU, Tanh
from trainer.layers.batch_normalization import BatchNormalization
from trainer.layers.convolution import Convolution
from trainer.layers.dense import Dense
from trainer.layers.dropout import Dropout
from trainer.layers.flatten import Flatten
from trainer.layers.noise import Noise
from trainer.layers.pooling import AveragePooling, MaxPooling
from trainer.model import Model, load
from trainer.networks import LAYERS, Network

LAYERS_OF_ALL_KINDS = [
    Noise(0.2),
    Convolution(3, padding=1),
    BatchNormalization(momentum=0.7),
    MaxPooling(),
    ReLU(),
    AveragePooling(),
    Flatten(),
    Dense(5, "normal", 0.3),
    Tanh(),
    Dropout(0.25),
    Dense(4),
]


@pytest.fixture
def model():
    network = Network(LAYERS_OF_ALL_KINDS, (8, 8, 1))
    network.initialize(np.random.default_rng(0))
    network.statistics[...] = np.random.default_rng(1).random(network.statistics.size)
    return Model(network, "cross_entropy")


def test_a_loaded_model_predicts_the_same_bit_for_bit(model, tmp_path):
    assert {type(layer) for layer in LAYERS_OF_ALL_KINDS} | {LAYERS["sigmoid"]} == set(
        LAYERS.values()
    )
    path = tmp_path / "a model"
    model.save(path)
    loaded = load(path)
    assert loaded.network.layers == model.network.layers
    inputs = np.random.default_rng(2).random((300, 8, 8), dtype=np.float32)
    np.testing.assert_array_equal(loaded.predict(inputs), model.predict(inputs))


def test_predictions_are_probabilities(model):
    inputs = np.random.default_rng(2).random((30, 8, 8), dtype=np.float32)
    probabilities = model.predict(inputs)
    assert (probabilities.shape, probabilities.dtype) == ((30, 4), np.float32)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert model.predict(inputs[:0]).shape == (0, 4)


def test_predictions_of_a_regression_are_values():
    network = Network([Dense(1)], (2,))
    network.parameters[...] = 2.0, 3.0, 0.5
    inputs = np.array([[1, 1], [0, -1]], np.float32)
    assert Model(network, "squared_error").predict(inputs).tolist() == [[5.5], [-2.5]]


def test_a_file_of_something_else_is_no_model(tmp_path):
    np.savez(tmp_path / "other.npz", values=np.zeros(3))
    with pytest.raises(ValueError, match="holds no model"):
        load(tmp_path / "other.npz")


def test_a_model_file_with_a_pickle_is_refused(tmp_path):
    np.savez(tmp_path / "bad.npz", architecture="{}", values=np.array([object()]))
    with pytest.raises(ValueError, match="allow_pickle"):
        load(tmp_path / "bad.npz")
