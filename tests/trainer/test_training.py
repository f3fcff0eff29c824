from dataclasses import dataclass, field

import numpy as np
import pytest

from trainer.layers.activations import ReLU, Sigmoid
from trainer.layers.batch_normalization import BatchNormalization
from trainer.layers.dense import Dense
from trainer.layers.dropout import Dropout
from trainer.layers.layer import Layer
from trainer.losses import LOSSES
from trainer.networks import Network
from trainer.optimizers import SGD
from trainer.training import Diagnostics, Training, histograms
from trainer.transformations import Transformation

RANDOM = np.random.default_rng


@dataclass(frozen=True)
class Recorder(Layer):
    """Notes the batches that it sees."""

    batches: list = field(default_factory=list)

    def bind(self, place):
        def forward(x):
            self.batches.append(x[:, 0].tolist())
            return x

        return forward, lambda gradient: gradient


@dataclass(frozen=True)
class Noting(Transformation):
    """Notes the learning rate of each step."""

    calls: list

    def bind(self, parameters, gradient, weights, memory=None):
        return self.calls.append


def start(layers, inputs, targets, transformations=(), batch_size=10):
    network = Network(layers, inputs.shape[1:])
    network.initialize(RANDOM(0))
    loss = LOSSES["squared_error"]
    return network, Training(
        network, loss, transformations, (inputs, targets), batch_size, (RANDOM(1), RANDOM(2))
    )


def rows(count):
    return np.arange(count, dtype=np.float32)[:, None], np.zeros(count, np.float32)


@pytest.mark.parametrize(
    ("count", "sizes"), [(30, [10, 10, 10]), (25, [10, 10, 5]), (7, [7]), (1, [1])]
)
def test_an_epoch_sees_every_row_once_in_a_new_order(count, sizes):
    recorder = Recorder()
    _, training = start([recorder, Dense(1)], *rows(count))
    orders = []
    for _ in range(2):
        recorder.batches.clear()
        assert training.epoch(0.1)
        assert [len(batch) for batch in recorder.batches] == sizes
        orders.append([row for batch in recorder.batches for row in batch])
        assert sorted(orders[-1]) == list(range(count))
    assert (orders[0] != orders[1]) == (count > 1)


def test_a_target_travels_with_its_row():
    inputs, _ = rows(50)
    network, training = start([Dense(1)], inputs / 50, inputs[:, 0] / 25, [SGD()])
    for _ in range(300):
        training.epoch(0.3)
    np.testing.assert_allclose(network.parameters, [2.0, 0.0], atol=1e-3)


@pytest.mark.parametrize("bad", [0, 57, 99])
@pytest.mark.parametrize("features", [1, 10_000])  # gathered all at once, or batch by batch
def test_training_stops_when_the_loss_is_non_finite(bad, features):
    inputs, targets = np.full((100, features), 1e-3, np.float32), rows(100)[1]
    inputs[bad] = np.nan
    calls = []
    _, training = start([Dense(1)], inputs, targets, [SGD(), Noting(calls)])
    order = RANDOM(1).permutation(100).tolist()
    with np.errstate(all="ignore"):
        assert not training.epoch(0.1)
    batch = order.index(bad) // 10
    assert len(calls) == (10 if features == 1 else batch + 1)
    assert set(calls) == {0.1}


def test_each_batch_goes_through_the_transformations_in_their_order():
    class Named(Noting):
        """Notes its name."""

        def bind(self, parameters, gradient, weights, memory=None):
            return lambda learning_rate: self.calls.append((type(self).__name__, learning_rate))

    calls = []
    _, training = start([Dense(1)], *rows(20), [Named(calls), Noting(calls), Named(calls)])
    assert training.epoch(0.5)
    assert calls == [("Named", 0.5), 0.5, ("Named", 0.5)] * 2


def test_diagnostics_name_what_happens_in_each_layer():
    layers = [Dense(5), Sigmoid(), Dense(4), ReLU(), Dense(1)]
    inputs = RANDOM(3).normal(size=(20, 3)).astype(np.float32)
    network, _ = start(layers, inputs, rows(20)[1])
    network.weights[15:35] = 0  # of the second layer: its ReLUs stay off
    metrics = Diagnostics(
        network, LOSSES["squared_error"], inputs, rows(20)[0][:, 0], RANDOM(4)
    ).measure()
    assert metrics["dead_share_2"] == 1.0
    assert metrics["dead_share_1"] < 0.2
    assert metrics["activation_mean_2"] == metrics["activation_std_2"] == 0.0
    assert 0.3 < metrics["activation_mean_1"] < 0.7
    assert metrics["gradient_norm_1"] == 0.0
    assert set(metrics) == {
        f"{name}_{number}"
        for name, numbers in {
            "activation_mean": (1, 2),
            "activation_std": (1, 2),
            "dead_share": (1, 2),
            "gradient_norm": (1, 2, 3),
        }.items()
        for number in numbers
    }


def test_diagnostics_leave_the_training_alone():
    layers = [Dense(5), BatchNormalization(), ReLU(), Dropout(0.5), Dense(1)]
    inputs = RANDOM(3).normal(size=(20, 3)).astype(np.float32)
    targets = rows(20)[1]

    def train(diagnose):
        network, training = start(layers, inputs, targets, [SGD()])
        loss = LOSSES["squared_error"]
        diagnostics = Diagnostics(network, loss, inputs, targets, RANDOM(4))
        for _ in range(3):
            training.epoch(0.1)
            if diagnose:
                diagnostics.measure()
        return network.values

    np.testing.assert_array_equal(train(diagnose=True), train(diagnose=False))


def test_histograms_count_every_number():
    inputs = RANDOM(3).normal(size=(20, 3)).astype(np.float32)
    network, _ = start([Dense(5), Sigmoid(), Dense(1)], inputs, rows(20)[1])
    [(counts, edges)] = histograms(network, inputs, bins=7)
    assert (counts.sum(), len(edges)) == (100, 8)
    assert edges[0] > 0
    assert edges[-1] < 1
