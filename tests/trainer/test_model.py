import gc
import json
from dataclasses import dataclass

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
    with pytest.raises(ValueError, match="is not a model"):
        load(tmp_path / "other.npz")


def test_a_model_file_with_a_pickle_is_refused(tmp_path):
    np.savez(tmp_path / "bad.npz", architecture="{}", values=np.array([object()]))
    with pytest.raises(ValueError, match="allow_pickle"):
        load(tmp_path / "bad.npz")


@dataclass(frozen=True)
class Doubling(Dense):
    """A layer that is not one of the trainer's."""


def test_a_layer_that_cannot_come_back_is_not_dropped_in_silence(tmp_path):
    network = Network([Dense(3), ReLU(), Doubling(3)], (2,))
    with pytest.raises(ValueError, match=r"model\.npz: the layer Doubling cannot be saved"):
        Model(network, "squared_error").save(tmp_path / "model.npz")
    assert not list(tmp_path.iterdir())


def changed(architecture, **changes):
    return json.dumps({**architecture, **changes})


@pytest.mark.parametrize(("change", "message"), [
    (lambda a, v: {"values": v}, "is not a model: it has no array 'architecture'"),
    (lambda a, v: {"architecture": json.dumps(a), "values": v, "more": v}, "unknown array 'more'"),
    (lambda a, v: {"architecture": "{", "values": v}, "its architecture cannot be read"),
    (lambda a, v: {"architecture": "3", "values": v}, "its architecture cannot be read"),
    (lambda a, v: {"architecture": "{}", "values": v}, "cannot be read .*'layers'"),
    (lambda a, v: {"architecture": changed(a, loss="x"), "values": v}, "unknown loss 'x'"),
    (lambda a, v: {"architecture": changed(a, layers=[*a["layers"], {"layer": "gelu"}]),
                   "values": v}, "layer 3: unknown layer 'gelu'; valid layers: 'dense', "),
    (lambda a, v: {"architecture": changed(a, layers=[{"units": 3}]), "values": v},
     "layer 1 has no name"),
    (lambda a, v: {"architecture": changed(a, layers=["dense"]), "values": v},
     "layer 1 has no name"),
    (lambda a, v: {"architecture": changed(a, layers=[{"layer": "dense", "width": 3}]),
                   "values": v}, "layer 1, dense: TypeError: .*width"),
    (lambda a, v: {"architecture": changed(a, layers=[
        {"layer": "dense", "units": 1, "initializer": "x"}]), "values": v}, "do not form"),
    (lambda a, v: {"architecture": changed(a, input_shape=[2, 2]), "values": v},
     "do not form a network .*a dense layer needs flat rows"),
    (lambda a, v: {"architecture": json.dumps(a), "values": v[:-1]},
     r"its layers have 5 values, but the file has an array of shape \(4,\)"),
    (lambda a, v: {"architecture": json.dumps(a), "values": v[:1]}, "shape"),
    (lambda a, v: {"architecture": json.dumps(a), "values": np.float32(1)}, "shape"),
    (lambda a, v: {"architecture": json.dumps(a), "values": np.ones(5, int)}, "are int64, not"),
])  # fmt: skip
def test_a_file_that_holds_no_whole_model_is_told_in_one_line(tmp_path, change, message):
    layers = [{"layer": "dense", "units": 1}, {"layer": "dense", "units": 1}]
    architecture = {"input_shape": [2], "loss": "squared_error", "layers": layers}
    path = tmp_path / "model.npz"
    np.savez(path, architecture=json.dumps(architecture), values=np.ones(5, np.float32))
    assert load(path).predict(np.ones((1, 2), np.float32)).tolist() == [[4.0]]
    np.savez(path, **change(architecture, np.ones(5, np.float32)))
    with pytest.raises(ValueError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(str(path))
    assert len(str(caught.value).splitlines()) == 1


def test_bytes_that_are_no_arrays_hold_no_model(model, tmp_path):
    path = tmp_path / "model.npz"
    model.save(path)
    whole = path.read_bytes()
    np.save(tmp_path / "one.npy", np.ones(3))
    one = (tmp_path / "one.npy").read_bytes()
    for broken in (b"", b"text", one, whole[:100], whole[: len(whole) // 2], whole[:-1]):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match="is not a model") as caught:
            load(path)
        assert str(path) in str(caught.value)
    del caught
    gc.collect()  # a file that is left open is an error here
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.npz")
