"""An objective trains one network with given hyperparameters and yields metrics each epoch.

Every metric is measured at the end of the epoch, as the network would predict then: on the
validation rows, and on the training rows (every second, third, … if there are more than 10,000).
Losses exclude penalties on weights, so that they can be compared. Without validation rows there
are only training metrics, and no early stopping. When the loss becomes non-finite, training ends
at once, with NaN for all metrics if that is in the middle of an epoch. The objective returns the
network of the last epoch.
"""

import functools
import math
import re
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import (
    Any,
    Literal,
    Protocol,
    TypeAlias,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)

import numpy as np

from trainer.arrays import Array
from trainer.checkpoint import Checkpoint
from trainer.layers.activations import ACTIVATIONS, Activation
from trainer.layers.batch_normalization import BatchNormalization
from trainer.layers.convolution import Convolution
from trainer.layers.dense import Dense
from trainer.layers.dropout import Dropout
from trainer.layers.flatten import Flatten
from trainer.layers.layer import Layer, Shape
from trainer.layers.noise import Noise
from trainer.layers.pooling import AveragePooling, MaxPooling
from trainer.losses import LOSSES
from trainer.metrics import METRICS
from trainer.model import Model
from trainer.networks import Network
from trainer.optimizers import OPTIMIZERS
from trainer.regularizers import REGULARIZERS
from trainer.schedules import SCHEDULES
from trainer.training import Diagnostics, Training
from trainer.transformations import Clip, Transformation

F = TypeVar("F", bound=Callable[..., Any])
Allowed: TypeAlias = tuple[Callable[[Any], bool], str]

# Losses and metrics on the training rows are measured on at most about so many of them.
_MEASURED_ROWS = 10_000
# Diagnostics look at so many rows.
_DIAGNOSED_ROWS = 1_000


class Part(Protocol):
    """Rows of a data set."""

    @property
    def inputs(self) -> Array:
        """Numbers (rows, …), float32, scaled."""

    @property
    def targets(self) -> Array:
        """Class indices (rows,), int64, or standardized values (rows,), float32."""


class Data(Protocol):
    """The data that an objective trains on."""

    @property
    def training(self) -> Part:
        """The rows to learn from."""

    @property
    def validation(self) -> Part | None:
        """The rows to validate on, or None when the final model is trained."""

    @property
    def task(self) -> Literal["classification", "regression"]:
        """The kind of the targets."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The label of each class index; empty for a regression."""

    @property
    def target_scale(self) -> float:
        """The size of one unit of a regression's targets in the units of the source."""


@dataclass(frozen=True)
class Task:
    """The loss and metrics for a kind of target: names of LOSSES and METRICS."""

    loss: str
    metrics: tuple[str, ...]


TASKS: Mapping[str, Task] = {
    "classification": Task("cross_entropy", ("accuracy",)),
    "regression": Task("squared_error", ("r2", "rmse")),
}

_POSITIVE: Allowed = (lambda value: 0 < value < math.inf, "be above 0")
_NOT_NEGATIVE: Allowed = (lambda value: 0 <= value < math.inf, "be at least 0")
_SHARE: Allowed = (lambda value: 0 <= value < 1, "be at least 0 and below 1")
_COUNT: Allowed = (lambda value: value >= 1, "be at least 1")
_SIZES: Allowed = (lambda value: min(value, default=1) >= 1, "only have numbers of at least 1")

# What each hyperparameter must fulfill, beside its type.
ALLOWED: Mapping[str, Allowed] = {
    "hidden_sizes": _SIZES,
    "blocks": (
        lambda value: re.fullmatch(r"[1-9]\d*( ([1-9]\d*|max|average))*", value) is not None,
        'look like "32 max 64 average 128": filters of convolutions, and pooling',
    ),
    "kernel_size": _COUNT,
    "stride": _COUNT,
    "padding": _NOT_NEGATIVE,
    "initial_std": _NOT_NEGATIVE,
    "dropout_rate": _SHARE,
    "noise": _NOT_NEGATIVE,
    "weight_decay": _NOT_NEGATIVE,
    "l1": _NOT_NEGATIVE,
    "learning_rate": _POSITIVE,
    "momentum": _SHARE,
    "rho": _SHARE,
    "beta1": _SHARE,
    "beta2": _SHARE,
    "epsilon": _POSITIVE,
    "schedule_end": (lambda value: 0 < value <= 1, "be above 0 and at most 1"),
    "gradient_clip": _NOT_NEGATIVE,
    "batch_size": _COUNT,
    "epochs": _COUNT,
    "early_stopping": _NOT_NEGATIVE,
}


@functools.cache
def _types(kind: type) -> dict[str, Any]:
    """Return the types of the fields of a dataclass, worked out once."""
    return get_type_hints(kind)


@dataclass(frozen=True, kw_only=True)
class TrainingHyperparameters:
    """The hyperparameters of all objectives: the kind of units, and how the network is trained."""

    activation: Literal["relu", "sigmoid", "tanh"] = "relu"
    initializer: Literal["auto", "zeros", "normal", "xavier", "glorot", "he"] = "auto"
    initial_std: float = 0.01  # of the initializer "normal"
    batch_normalization: Literal["none", "before", "after"] = "none"  # … the activation
    dropout_rate: float = 0.0  # share of the hidden units of dense layers that are dropped
    noise: float = 0.0  # standard deviation of what is added to the inputs
    weight_decay: float = 0.0  # L2; decoupled where the optimizer is "adamw"
    l1: float = 0.0
    optimizer: Literal["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"] = "sgd"
    learning_rate: float = 0.01
    momentum: float = 0.9  # of "momentum" and "nesterov"
    rho: float = 0.99  # of "rmsprop"
    beta1: float = 0.9  # of "adam" and "adamw", as beta2
    beta2: float = 0.999
    epsilon: float = 1e-8  # of "adagrad", "rmsprop", "adam" and "adamw"
    schedule: Literal["constant", "step", "exponential", "cosine"] = "constant"
    schedule_end: float = 0.01  # share of learning_rate that a schedule leaves in the last epoch
    gradient_clip: float = 0.0  # length at which a gradient is cut; 0: never
    batch_size: int = 100
    epochs: int = 50
    early_stopping: int = 0  # stop after so many epochs without a lower validation_loss; 0: never
    diagnostics: bool = False  # yield statistics of activations and gradients, layer by layer

    def __post_init__(self) -> None:
        """Raise ValueError, with one line, if a value is not allowed."""
        for name, kind in _types(type(self)).items():  # type: ignore[arg-type]
            value = getattr(self, name)
            if get_origin(kind) is Literal and value not in get_args(kind):
                raise ValueError(f"{name} must be one of {', '.join(get_args(kind))}, got {value}")
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{name} must be finite, got {value}")
            if name in ALLOWED:
                holds, rule = ALLOWED[name]
                if not holds(value):
                    raise ValueError(f"{name} must {rule}, got {value}")


@dataclass(frozen=True, kw_only=True)
class PerceptronHyperparameters(TrainingHyperparameters):
    """The hyperparameters of a multilayer perceptron."""

    hidden_sizes: tuple[int, ...] = (100,)


@dataclass(frozen=True, kw_only=True)
class ConvolutionalHyperparameters(TrainingHyperparameters):
    """The hyperparameters of a convolutional network.

    `blocks` starts at the input: a number is a convolution with that many filters; `max` and
    `average` halve height and width.
    """

    blocks: str = "32 max 64 average 128"
    kernel_size: int = 3
    stride: int = 1
    padding: int = 0
    hidden_sizes: tuple[int, ...] = (128,)  # of the dense layers that follow


def _objective(function: F) -> F:
    """Add what the function says of itself.

    That is `metrics`, which it always yields, for each task, and `depends_on_epochs`, whether a
    training with some hyperparameters depends on how many epochs there are in all.
    """
    parts = ("training", "validation")
    vars(function)["metrics"] = {name: _names(task, parts) for name, task in TASKS.items()}
    vars(function)["depends_on_epochs"] = _has_schedule
    return function


def _has_schedule(hyperparameters: Mapping[str, object]) -> bool:
    return hyperparameters.get("schedule", "constant") != "constant"


def _names(task: Task, parts: Iterable[str]) -> tuple[str, ...]:
    """Return the names of the metrics of these parts of the data."""
    return tuple(f"{part}_{metric}" for part in parts for metric in ("loss", *task.metrics))


@_objective
def perceptron(
    hyperparameters: PerceptronHyperparameters, data: Data, *, seed: int,
    folder: Path | None = None,
) -> Generator[Mapping[str, float], None, Model]:
    """Train a multilayer perceptron. Inputs of any shape are flattened."""
    layers = perceptron_layers(hyperparameters, _outputs(data))
    features = math.prod(data.training.inputs.shape[1:])
    return (yield from _train(layers, (features,), hyperparameters, data, (seed, folder)))


@_objective
def convolutional(
    hyperparameters: ConvolutionalHyperparameters, data: Data, *, seed: int,
    folder: Path | None = None,
) -> Generator[Mapping[str, float], None, Model]:
    """Train a convolutional network on (rows, height, width) or (rows, height, width, channels).

    Raises ValueError if the inputs are not images, or are too small for the blocks.
    """
    shape = data.training.inputs.shape[1:]
    if len(shape) not in (2, 3):
        raise ValueError(f"a convolutional network needs images, got inputs of shape {shape}")
    layers = convolutional_layers(hyperparameters, _outputs(data))
    return (yield from _train(layers, (*shape, 1)[:3], hyperparameters, data, (seed, folder)))


def perceptron_layers(hyperparameters: PerceptronHyperparameters, outputs: int) -> list[Layer]:
    """Return noise, if any, then dense layers of `hidden_sizes` units, then the outputs."""
    return [*_noise(hyperparameters), *_dense_layers(hyperparameters, outputs)]


def convolutional_layers(
    hyperparameters: ConvolutionalHyperparameters, outputs: int
) -> list[Layer]:
    """Return noise, if any, then the blocks, then dense layers, then the outputs."""
    layers = _noise(hyperparameters)
    for word in hyperparameters.blocks.split():
        if word == "average":
            layers.append(AveragePooling())
        elif word == "max":
            # An activation never falls, so the largest may as well be found before it: the
            # same result, and only a quarter of the numbers is left to the activation.
            place = len(layers) - isinstance(layers[-1], Activation)
            layers.insert(place, MaxPooling())
        else:
            convolution = Convolution(
                int(word),
                hyperparameters.kernel_size,
                hyperparameters.stride,
                hyperparameters.padding,
                _initializer(hyperparameters),
                hyperparameters.initial_std,
            )
            layers += _activated(convolution, hyperparameters)
    return [*layers, Flatten(), *_dense_layers(hyperparameters, outputs)]


def transformations(hyperparameters: TrainingHyperparameters) -> list[Transformation]:
    """Return what is done with each gradient, in order: clipping, penalties, the optimizer."""
    chosen: list[Transformation] = []
    if hyperparameters.gradient_clip:
        chosen.append(Clip(hyperparameters.gradient_clip))
    kind = OPTIMIZERS[hyperparameters.optimizer]
    own = {field.name: getattr(hyperparameters, field.name) for field in fields(kind)}
    for name, regularizer in REGULARIZERS.items():
        strength = getattr(hyperparameters, name)
        if strength and name not in own:  # AdamW does its weight decay itself
            chosen.append(regularizer(strength))
    return [*chosen, kind(**own)]


def _noise(hyperparameters: TrainingHyperparameters) -> list[Layer]:
    return [Noise(hyperparameters.noise)] if hyperparameters.noise else []


def _dense_layers(
    hyperparameters: PerceptronHyperparameters | ConvolutionalHyperparameters, outputs: int
) -> list[Layer]:
    layers: list[Layer] = []
    for units in hyperparameters.hidden_sizes:
        layers += _activated(_dense(units, hyperparameters), hyperparameters)
        if hyperparameters.dropout_rate:
            layers.append(Dropout(hyperparameters.dropout_rate))
    return [*layers, _dense(outputs, hyperparameters)]


def _activated(layer: Layer, hyperparameters: TrainingHyperparameters) -> list[Layer]:
    """Return the layer and its activation, with batch normalization where it is asked for."""
    activation = ACTIVATIONS[hyperparameters.activation]()
    match hyperparameters.batch_normalization:
        case "before":
            return [layer, BatchNormalization(), activation]
        case "after":
            return [layer, activation, BatchNormalization()]
    return [layer, activation]


def _dense(units: int, hyperparameters: TrainingHyperparameters) -> Dense:
    return Dense(units, _initializer(hyperparameters), hyperparameters.initial_std)


def _initializer(hyperparameters: TrainingHyperparameters) -> str:
    """Return the name of the initializer: by default, what suits the activation."""
    if hyperparameters.initializer != "auto":
        return hyperparameters.initializer
    return "he" if hyperparameters.activation == "relu" else "xavier"


def _outputs(data: Data) -> int:
    return len(data.classes) if data.task == "classification" else 1


def _train(
    layers: Sequence[Layer],
    input_shape: Shape,
    hyperparameters: TrainingHyperparameters,
    data: Data,
    given: tuple[int, Path | None],
) -> Generator[Mapping[str, float], None, Model]:
    """Train, and yield metrics by epoch: what both objectives have in common.

    They are `given` a seed, and may be a folder, from which the training goes on where it holds
    one, and in which it is kept after each epoch.
    """
    seed, folder = given
    task = TASKS[data.task]
    initializing, shuffling, disturbing, diagnosing = (
        np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(4)
    )
    network = Network(layers, input_shape)
    network.initialize(initializing)
    training = Training(
        network,
        LOSSES[task.loss],
        transformations(hyperparameters),
        (network.rows(data.training.inputs), data.training.targets),
        hyperparameters.batch_size,
        (shuffling, disturbing),
    )
    every = -(-len(data.training.inputs) // _MEASURED_ROWS)
    parts = {"training": (data.training.inputs[::every], data.training.targets[::every])}
    if data.validation is not None:
        parts["validation"] = (data.validation.inputs, data.validation.targets)
    measures = [
        _measure(network, task, data.target_scale, part, *rows) for part, rows in parts.items()
    ]
    if hyperparameters.diagnostics:
        rows = slice(_DIAGNOSED_ROWS)
        inputs, targets = network.rows(data.training.inputs[rows]), data.training.targets[rows]
        measures.append(
            Diagnostics(network, LOSSES[task.loss], inputs, targets, diagnosing).measure
        )
    schedule = SCHEDULES[hyperparameters.schedule]
    begun, lowest, lowest_epoch = 0.0, math.inf, 0.0
    checkpoint = None
    if folder is not None:
        checkpoint = Checkpoint(folder, training.state, (shuffling, disturbing, diagnosing))
        begun, lowest, lowest_epoch = checkpoint.load() or (begun, lowest, lowest_epoch)

    for epoch in range(int(begun) + 1, hyperparameters.epochs + 1):
        if hyperparameters.early_stopping and lowest_epoch and (
            epoch - 1 - lowest_epoch >= hyperparameters.early_stopping
        ):
            break
        progress = (epoch - 1) / max(hyperparameters.epochs - 1, 1)
        share = schedule(progress, hyperparameters.schedule_end)
        with np.errstate(all="ignore"):
            finite = training.epoch(share * hyperparameters.learning_rate)
            if finite:
                metrics = {name: value for measure in measures for name, value in measure().items()}
            else:
                metrics = dict.fromkeys(_names(task, parts), math.nan)
        if metrics.get("validation_loss", math.inf) < lowest:
            lowest, lowest_epoch = metrics["validation_loss"], epoch
        if checkpoint is not None:
            checkpoint.save(epoch, lowest, lowest_epoch)
        yield metrics
        if not all(map(math.isfinite, metrics.values())):
            break
    return Model(network, task.loss)


def _measure(
    network: Network, task: Task, target_scale: float, part: str, inputs: Array, targets: Array
) -> Callable[[], dict[str, float]]:
    """Return a function that measures the loss and the metrics of a part of the data."""
    loss, names = LOSSES[task.loss], _names(task, [part])
    inputs, predict = network.rows(inputs), network.predictor(len(inputs))

    def measure() -> dict[str, float]:
        outputs = predict(inputs)
        values = [METRICS[name](outputs, targets, target_scale) for name in task.metrics]
        return dict(zip(names, [loss.value(outputs, targets), *values], strict=True))

    return measure
