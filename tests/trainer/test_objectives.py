import dataclasses
import itertools
import math
import random
from dataclasses import dataclass
from typing import get_args, get_type_hints

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_digits

from trainer.initializers import INITIALIZERS
from trainer.layers.activations import ACTIVATIONS, ReLU, Tanh
from trainer.layers.batch_normalization import BatchNormalization
from trainer.layers.convolution import Convolution
from trainer.layers.dense import Dense
from trainer.layers.dropout import Dropout
from trainer.layers.flatten import Flatten
from trainer.layers.noise import Noise
from trainer.layers.pooling import AveragePooling, MaxPooling
from trainer.model import load
from trainer.networks import Network
from trainer.objectives import (
    ALLOWED,
    ConvolutionalHyperparameters,
    PerceptronHyperparameters,
    convolutional,
    convolutional_layers,
    perceptron,
    perceptron_layers,
)
from trainer.optimizers import OPTIMIZERS
from trainer.schedules import SCHEDULES

# Nothing that training does may end up on a terminal.
pytestmark = pytest.mark.filterwarnings("error")


@dataclass(frozen=True)
class Rows:
    inputs: np.ndarray
    targets: np.ndarray

    def __post_init__(self):
        self.inputs.flags.writeable = self.targets.flags.writeable = False


@dataclass(frozen=True)
class Data:
    training: Rows
    validation: Rows | None
    task: str = "classification"
    classes: tuple[str, ...] = tuple("0123456789")
    target_scale: float = 1.0


@pytest.fixture(scope="module")
def digits():
    inputs, targets = load_digits(return_X_y=True)
    inputs = (inputs / 16).astype(np.float32).reshape(-1, 8, 8)
    order = np.random.default_rng(0).permutation(len(inputs))
    inputs, targets = inputs[order], targets[order]
    return Data(Rows(inputs[:1437], targets[:1437]), Rows(inputs[1437:], targets[1437:]))


@pytest.fixture(scope="module")
def few_digits(digits):
    part = digits.training
    return Data(
        Rows(part.inputs[:300].copy(), part.targets[:300].copy()),
        Rows(part.inputs[300:500].copy(), part.targets[300:500].copy()),
    )


@pytest.fixture(scope="module")
def diabetes():
    inputs, targets = load_diabetes(return_X_y=True)
    inputs = (inputs / inputs.std(axis=0)).astype(np.float32)
    scale = float(targets.std())
    targets = ((targets - targets.mean()) / scale).astype(np.float32)
    return Data(
        Rows(inputs[:350].copy(), targets[:350].copy()),
        Rows(inputs[350:].copy(), targets[350:].copy()),
        task="regression",
        classes=(),
        target_scale=scale,
    )


def train(objective, hyperparameters, data, seed=0):
    """Return all epochs and the model."""
    epochs, generator = [], objective(hyperparameters, data, seed=seed)
    while True:
        try:
            epochs.append(next(generator))
        except StopIteration as end:
            return epochs, end.value


def test_a_perceptron_learns_to_read_digits(digits):
    hyperparameters = PerceptronHyperparameters(learning_rate=0.1, optimizer="momentum")
    *_, last = perceptron(hyperparameters, digits, seed=0)
    assert set(last) == set(perceptron.metrics["classification"])
    assert last["validation_accuracy"] > 0.95
    assert last["training_loss"] < 0.1


def test_a_convolutional_network_learns_to_read_digits(digits):
    hyperparameters = ConvolutionalHyperparameters(
        blocks="8 max 16", padding=1, hidden_sizes=(32,), optimizer="adam", epochs=5, batch_size=50
    )
    (*_, last), model = train(convolutional, hyperparameters, digits)
    assert set(last) == set(convolutional.metrics["classification"])
    assert last["validation_accuracy"] > 0.93
    predicted = model.predict(digits.validation.inputs).argmax(axis=1)
    assert np.mean(predicted == digits.validation.targets) == last["validation_accuracy"]


def test_a_perceptron_learns_a_regression(diabetes):
    hyperparameters = PerceptronHyperparameters(learning_rate=0.05, epochs=30, hidden_sizes=(10,))
    (first, *_, last), model = train(perceptron, hyperparameters, diabetes)
    assert set(last) == set(perceptron.metrics["regression"])
    assert last["validation_r2"] > 0.35 > first["validation_r2"]
    part = diabetes.validation
    error = np.sqrt(np.mean((model.predict(part.inputs)[:, 0] - part.targets) ** 2))
    assert last["validation_rmse"] == pytest.approx(error * diabetes.target_scale)
    assert last["validation_loss"] == pytest.approx(error**2, rel=1e-5)


def test_divergence_ends_with_one_epoch_that_is_not_a_number(digits):
    hyperparameters = PerceptronHyperparameters(learning_rate=1e20, epochs=1000)
    epochs = list(perceptron(hyperparameters, digits, seed=0))
    assert math.isnan(epochs[-1]["training_loss"])
    assert len(epochs) < 10


def test_the_seed_alone_decides_every_bit(digits):
    hyperparameters = PerceptronHyperparameters(dropout_rate=0.2, noise=0.1, learning_rate=0.1)

    def first_epochs(seed):
        return list(itertools.islice(perceptron(hyperparameters, digits, seed=seed), 3))

    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    found = first_epochs(1)
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    assert first_epochs(1) == found
    assert first_epochs(2) != found


@pytest.mark.parametrize(
    "changes",
    [
        *({"optimizer": name, "learning_rate": 0.01} for name in OPTIMIZERS),
        *({"activation": name, "learning_rate": 0.5} for name in ACTIVATIONS),
        *({"initializer": name, "learning_rate": 0.1} for name in INITIALIZERS if name != "zeros"),
        *({"schedule": name, "learning_rate": 0.2} for name in SCHEDULES),
        {"batch_normalization": "before", "learning_rate": 0.1},
        {"batch_normalization": "after", "learning_rate": 0.1},
        {"dropout_rate": 0.2, "noise": 0.1, "learning_rate": 0.1},
        {"gradient_clip": 1.0, "weight_decay": 1e-4, "l1": 1e-5, "learning_rate": 0.1},
        {"hidden_sizes": (), "learning_rate": 0.1},
        {"batch_size": 7, "learning_rate": 0.05},
        {"batch_size": 1000, "learning_rate": 0.5},
    ],
    ids=str,
)
def test_every_choice_learns(few_digits, changes):
    hyperparameters = PerceptronHyperparameters(**{"epochs": 20, "batch_size": 20, **changes})
    epochs, _ = train(perceptron, hyperparameters, few_digits)
    assert len(epochs) == 20
    assert epochs[-1]["training_loss"] < 0.8 * epochs[0]["training_loss"]
    assert epochs == train(perceptron, hyperparameters, few_digits)[0]


@pytest.mark.parametrize("batch_normalization", ["before", "after"])
def test_convolutions_can_be_normalized(few_digits, batch_normalization):
    hyperparameters = ConvolutionalHyperparameters(
        blocks="4 max",
        hidden_sizes=(),
        epochs=8,
        learning_rate=0.1,
        batch_normalization=batch_normalization,
    )
    epochs, _ = train(convolutional, hyperparameters, few_digits)
    assert epochs[-1]["training_loss"] < 0.8 * epochs[0]["training_loss"]


def test_zeros_learn_nothing_but_how_frequent_classes_are(few_digits):
    hyperparameters = PerceptronHyperparameters(initializer="zeros", learning_rate=0.1)
    (*_, last), _ = train(perceptron, hyperparameters, few_digits)
    assert last["training_loss"] > 2.2


def test_weight_decay_keeps_weights_small_and_the_loss_leaves_it_out(few_digits):
    lengths, losses = {}, {}
    for name in ("weight_decay", "l1"):
        for strength in (0.0, 1e-2):
            hyperparameters = PerceptronHyperparameters(**{name: strength}, learning_rate=0.1)
            (*_, last), model = train(perceptron, hyperparameters, few_digits)
            lengths[name, strength] = np.abs(model.network.weights).sum()
            probabilities = model.predict(few_digits.training.inputs)
            true = probabilities[np.arange(300), few_digits.training.targets]
            losses[name, strength] = last["training_loss"]
            assert last["training_loss"] == pytest.approx(-np.log(true).mean(), rel=1e-4)
        assert lengths[name, 1e-2] < 0.9 * lengths[name, 0.0]
        assert losses[name, 1e-2] > losses[name, 0.0]


def test_training_for_good_needs_no_validation_rows(few_digits):
    alone = dataclasses.replace(few_digits, validation=None)
    hyperparameters = PerceptronHyperparameters(epochs=9, early_stopping=1, learning_rate=0.3)
    epochs, model = train(perceptron, hyperparameters, alone)
    assert [set(epoch) for epoch in epochs] == [{"training_loss", "training_accuracy"}] * 9
    together, same = train(
        perceptron, dataclasses.replace(hyperparameters, early_stopping=0), few_digits
    )
    assert [e["training_loss"] for e in together] == [e["training_loss"] for e in epochs]
    np.testing.assert_array_equal(model.network.values, same.network.values)


def test_early_stopping_waits_for_as_many_epochs_as_told(few_digits):
    hyperparameters = PerceptronHyperparameters(
        epochs=2000, early_stopping=5, learning_rate=0.3, hidden_sizes=(200,)
    )
    epochs, _ = train(perceptron, hyperparameters, few_digits)
    losses = [epoch["validation_loss"] for epoch in epochs]
    assert len(epochs) < 2000
    assert len(epochs) - 1 - int(np.argmin(losses)) == 5


def test_metrics_of_many_rows_are_measured_on_an_even_part():
    inputs = np.zeros((20_001, 1), np.float32)
    targets = np.zeros(20_001, np.int64)
    targets[::3] = 1  # every third row, of which every third is measured
    data = Data(Rows(inputs, targets), None, classes=("no", "yes"))
    [epoch], _ = train(perceptron, PerceptronHyperparameters(epochs=1, hidden_sizes=()), data)
    assert epoch["training_accuracy"] == 0.0


def test_diagnostics_are_yielded_on_request_and_change_nothing(few_digits):
    hyperparameters = PerceptronHyperparameters(
        epochs=3, hidden_sizes=(20, 20), dropout_rate=0.3, batch_normalization="before"
    )
    plain, _ = train(perceptron, hyperparameters, few_digits)
    diagnosed, _ = train(
        perceptron, dataclasses.replace(hyperparameters, diagnostics=True), few_digits
    )
    assert [{name: epoch[name] for name in plain[0]} for epoch in diagnosed] == plain
    assert diagnosed[0]["gradient_norm_3"] > 0
    assert 0 < diagnosed[0]["dead_share_2"] < 1
    assert all(type(value) is float for value in diagnosed[0].values())


def test_a_trained_model_survives_its_file(few_digits, tmp_path):
    hyperparameters = PerceptronHyperparameters(epochs=2, batch_normalization="after")
    _, model = train(perceptron, hyperparameters, few_digits)
    model.save(tmp_path / "model.npz")
    inputs = few_digits.validation.inputs
    np.testing.assert_array_equal(
        load(tmp_path / "model.npz").predict(inputs), model.predict(inputs)
    )


def test_choices_are_the_names_of_what_can_be_chosen():
    kinds = get_type_hints(PerceptronHyperparameters)
    assert set(get_args(kinds["optimizer"])) == set(OPTIMIZERS)
    assert set(get_args(kinds["activation"])) == set(ACTIVATIONS)
    assert set(get_args(kinds["initializer"])) == {"auto", *INITIALIZERS}
    assert set(get_args(kinds["schedule"])) == set(SCHEDULES)
    assert set(ALLOWED) < set(kinds) | set(get_type_hints(ConvolutionalHyperparameters))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"momentum": 1.2}, r"momentum must be at least 0 and below 1, got 1.2"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0, got 0.0"),
        ({"learning_rate": math.nan}, "learning_rate must be finite, got nan"),
        ({"learning_rate": math.inf}, "learning_rate must be finite, got inf"),
        ({"weight_decay": -1.0}, "weight_decay must be at least 0, got -1.0"),
        ({"dropout_rate": 1.0}, r"dropout_rate must be at least 0 and below 1, got 1.0"),
        ({"hidden_sizes": (10, 0)},
         "hidden_sizes must only have numbers of at least 1, got .10, 0."),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"optimizer": "sdg"}, "optimizer must be one of sgd, momentum, .*, got sdg"),
        ({"schedule_end": 0.0}, r"schedule_end must be above 0 and at most 1, got 0.0"),
        ({"blocks": "max 32"}, 'blocks must look like "32 max 64 average 128": .*, got max 32'),
        ({"blocks": "32 mox"}, "blocks must look like .*, got 32 mox"),
        ({"stride": 0}, "stride must be at least 1, got 0"),
        *(({name: bad}, f"{name} must {rule if math.isfinite(bad) else 'be finite'}, got {bad}")
          for names, bads, rule in (
            ("kernel_size stride batch_size epochs", (0, -1), "be at least 1"),
            ("initial_std noise weight_decay l1 gradient_clip", (-0.5, math.inf), "be at least 0"),
            ("padding early_stopping", (-1,), "be at least 0"),
            ("learning_rate epsilon", (0.0, -1.0, math.inf), "be above 0"),
            ("dropout_rate momentum rho beta1 beta2", (-0.1, 1.0), "be at least 0 and below 1"),
            ("schedule_end", (0.0, 1.5), "be above 0 and at most 1"),
        ) for name in names.split() for bad in bads),
    ],
    ids=str,
)
def test_a_wrong_value_is_an_error_of_one_line(changes, message):
    kind = PerceptronHyperparameters
    if set(changes) - {field.name for field in dataclasses.fields(kind)}:
        kind = ConvolutionalHyperparameters
    with pytest.raises(ValueError, match=f"^{message}$"):
        kind(**changes)


def test_the_bounds_of_what_is_allowed_are():
    shares = dict.fromkeys(("dropout_rate", "momentum", "rho", "beta1", "beta2"), 0.0)
    none = dict.fromkeys(("initial_std", "noise", "weight_decay", "l1", "gradient_clip"), 0.0)
    one = dict.fromkeys(("kernel_size", "stride", "batch_size", "epochs"), 1)
    ConvolutionalHyperparameters(
        **shares, **none, **one, padding=0, early_stopping=0, schedule_end=1.0, hidden_sizes=(),
        blocks="1 average max 20",
    )


def test_what_is_not_said_is_that_of_the_textbook():
    assert dataclasses.asdict(PerceptronHyperparameters()) == {
        "activation": "relu", "initializer": "auto", "initial_std": 0.01,
        "batch_normalization": "none", "dropout_rate": 0.0, "noise": 0.0, "weight_decay": 0.0,
        "l1": 0.0, "optimizer": "sgd", "learning_rate": 0.01, "momentum": 0.9, "rho": 0.99,
        "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "schedule": "constant",
        "schedule_end": 0.01, "gradient_clip": 0.0, "batch_size": 100, "epochs": 50,
        "early_stopping": 0, "diagnostics": False, "hidden_sizes": (100,),
    }
    own = dataclasses.asdict(ConvolutionalHyperparameters())
    assert {name: own[name] for name in ("blocks", "kernel_size", "stride", "padding")} == {
        "blocks": "32 max 64 average 128", "kernel_size": 3, "stride": 1, "padding": 0,
    }
    assert own["hidden_sizes"] == (128,)


def test_a_convolutional_network_takes_images(few_digits):
    flat = dataclasses.replace(
        few_digits, training=Rows(np.zeros((9, 64), np.float32), np.zeros(9, np.int64))
    )
    with pytest.raises(ValueError, match="needs images"):
        next(convolutional(ConvolutionalHyperparameters(), flat, seed=0))
    with pytest.raises(ValueError, match="does not fit"):
        next(convolutional(ConvolutionalHyperparameters(), few_digits, seed=0))


def test_hyperparameters_become_layers():
    choices = {"initializer": "normal", "initial_std": 0.2}
    assert perceptron_layers(
        PerceptronHyperparameters(
            hidden_sizes=(7, 5),
            dropout_rate=0.3,
            noise=0.1,
            batch_normalization="before",
            **choices,
        ),
        3,
    ) == [
        *(Noise(0.1), Dense(7, "normal", 0.2), BatchNormalization(), ReLU(), Dropout(0.3)),
        *(Dense(5, "normal", 0.2), BatchNormalization(), ReLU(), Dropout(0.3)),
        Dense(3, "normal", 0.2),
    ]
    assert convolutional_layers(
        ConvolutionalHyperparameters(
            blocks="4 max 6 average",
            kernel_size=5,
            stride=2,
            padding=1,
            hidden_sizes=(),
            activation="tanh",
            batch_normalization="after",
            **choices,
        ),
        3,
    ) == [
        *(Convolution(4, 5, 2, 1, "normal", 0.2), Tanh(), BatchNormalization(), MaxPooling()),
        *(Convolution(6, 5, 2, 1, "normal", 0.2), Tanh(), BatchNormalization(), AveragePooling()),
        *(Flatten(), Dense(3, "normal", 0.2)),
    ]


@pytest.mark.parametrize(
    ("activation", "initializer"), [("relu", "he"), ("sigmoid", "xavier"), ("tanh", "xavier")]
)
def test_the_initializer_suits_the_activation(activation, initializer):
    layers = perceptron_layers(PerceptronHyperparameters(activation=activation), 3)
    assert [layer.initializer for layer in layers if isinstance(layer, Dense)] == [initializer] * 2


def test_the_largest_is_found_before_or_after_an_activation_alike():
    hyperparameters = ConvolutionalHyperparameters(blocks="4 max", hidden_sizes=())
    first = convolutional_layers(hyperparameters, 3)
    assert [type(layer) for layer in first[1:3]] == [MaxPooling, ReLU]
    inputs = np.random.default_rng(0).normal(size=(5, 8, 8, 1)).astype(np.float32)
    outputs = []
    for layers in (first, [first[0], first[2], first[1], *first[3:]]):
        network = Network(layers, (8, 8, 1))
        network.initialize(np.random.default_rng(1))
        outputs.append(network.predictor(5)(inputs))
    np.testing.assert_array_equal(*outputs)


def weights_after_one_step(data, **choices):
    """Return the weights after one step of all rows at once."""
    hyperparameters = PerceptronHyperparameters(epochs=1, batch_size=len(data.training.inputs))
    _, model = train(perceptron, dataclasses.replace(hyperparameters, **choices), data)
    return model.network.weights


def test_a_clipped_gradient_moves_no_further_than_told(few_digits):
    start = weights_after_one_step(few_digits, learning_rate=1e-30)
    moved = weights_after_one_step(few_digits, learning_rate=0.5, gradient_clip=0.01)
    assert 0.004 < np.linalg.norm(moved - start) < 0.0051


def test_penalties_are_added_once(few_digits):
    choices = {"learning_rate": 0.5, "batch_size": 300}
    start = weights_after_one_step(few_digits, learning_rate=1e-30)
    plain = weights_after_one_step(few_digits, **choices)
    decayed = weights_after_one_step(few_digits, **choices, weight_decay=0.1)
    np.testing.assert_allclose(plain - decayed, 0.5 * 0.1 * start, atol=1e-6)
    sparse = weights_after_one_step(few_digits, **choices, l1=0.1)
    np.testing.assert_allclose(plain - sparse, 0.5 * 0.1 * np.sign(start), atol=1e-6)


def test_adamw_decays_weights_beside_the_gradient(few_digits):
    start = weights_after_one_step(few_digits, learning_rate=1e-30)
    plain = weights_after_one_step(few_digits, optimizer="adam")
    decayed = weights_after_one_step(few_digits, optimizer="adamw", weight_decay=0.5)
    np.testing.assert_allclose(plain - decayed, 0.01 * 0.5 * start, atol=1e-6)


def test_a_schedule_lowers_the_learning_rate(few_digits):
    hyperparameters = PerceptronHyperparameters(
        schedule="exponential", schedule_end=1e-20, epochs=5, learning_rate=0.1
    )
    epochs, _ = train(perceptron, hyperparameters, few_digits)
    assert epochs[0]["training_loss"] > epochs[1]["training_loss"]
    assert epochs[-1] == epochs[-2]
