"""An objective trains one network with given hyperparameters and yields metrics each epoch."""

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, fields
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

from trainer.layers.activations import ACTIVATIONS
from trainer.layers.dense import Dense
from trainer.layers.layer import Array, Layer
from trainer.losses import LOSSES
from trainer.metrics import METRICS
from trainer.model import Model
from trainer.networks import Network
from trainer.optimizers import OPTIMIZERS
from trainer.regularizers import REGULARIZERS
from trainer.training import Step, Training

F = TypeVar("F", bound=Callable[..., Any])
Allowed: TypeAlias = tuple[Callable[[Any], bool], str]

# Losses and metrics on the training rows are measured on at most about so many of them.
_MEASURED_ROWS = 10_000


class Part(Protocol):
    """Rows: inputs (rows, …), float32, and targets (rows,), class indices or numbers."""

    @property
    def inputs(self) -> Array: ...  # noqa: D102
    @property
    def targets(self) -> Array: ...  # noqa: D102


class Data(Protocol):
    """What an objective trains on. `validation` is None where a model is trained for good."""

    @property
    def training(self) -> Part: ...  # noqa: D102
    @property
    def validation(self) -> Part | None: ...  # noqa: D102
    @property
    def task(self) -> Literal["classification", "regression"]: ...  # noqa: D102
    @property
    def classes(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def target_scale(self) -> float: ...  # noqa: D102


@dataclass(frozen=True)
class Task:
    """What a kind of target is trained with and judged by: names of LOSSES and METRICS."""

    loss: str
    metrics: tuple[str, ...]


TASKS: Mapping[str, Task] = {
    "classification": Task("cross_entropy", ("accuracy",)),
    "regression": Task("squared_error", ("r2", "rmse")),
}

_POSITIVE: Allowed = (lambda value: 0 < value < math.inf, "be above 0")
_NOT_NEGATIVE: Allowed = (lambda value: 0 <= value < math.inf, "be 0 or above")
_SHARE: Allowed = (lambda value: 0 <= value < 1, "lie in [0, 1)")
_COUNT: Allowed = (lambda value: value >= 1, "be at least 1")
_SIZES: Allowed = (lambda value: min(value, default=1) >= 1, "hold sizes of at least 1")

ALLOWED: Mapping[str, Allowed] = {
    "learning_rate": _POSITIVE,
    "momentum": _SHARE,
    "weight_decay": _NOT_NEGATIVE,
    "batch_size": _COUNT,
    "epochs": _COUNT,
    "hidden_sizes": _SIZES,
    "initial_std": _NOT_NEGATIVE,
}


@dataclass(frozen=True, kw_only=True)
class TrainingHyperparameters:
    """What every objective here takes: how the network is trained."""

    activation: Literal["relu"] = "relu"
    initializer: Literal["auto", "zeros", "normal", "xavier", "glorot", "he"] = "auto"
    initial_std: float = 0.01  # of the initializer "normal"
    optimizer: Literal["sgd", "momentum"] = "sgd"
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 0.0
    batch_size: int = 100
    epochs: int = 50

    def __post_init__(self) -> None:
        """Raise ValueError, in one line, where a value is not allowed."""
        for name, kind in get_type_hints(type(self)).items():
            value = getattr(self, name)
            if get_origin(kind) is Literal and value not in get_args(kind):
                raise ValueError(f"{name} must be one of {', '.join(get_args(kind))}, not {value}")
            holds, rule = ALLOWED.get(name, (lambda value: True, ""))
            if not holds(value):
                raise ValueError(f"{name} must {rule}, not {value}")


@dataclass(frozen=True, kw_only=True)
class PerceptronHyperparameters(TrainingHyperparameters):
    """The hyperparameters of a multilayer perceptron."""

    hidden_sizes: tuple[int, ...] = (100,)


def _objective(function: F) -> F:
    """Add the attribute `metrics`: what the function yields for each task."""
    vars(function)["metrics"] = {
        name: tuple(
            f"{part}_{metric}"
            for metric in ("loss", *task.metrics)
            for part in ("training", "validation")
        )
        for name, task in TASKS.items()
    }
    return function


@_objective
def perceptron(
    hyperparameters: PerceptronHyperparameters, data: Data, *, seed: int
) -> Generator[Mapping[str, float], None, Model]:
    """Train a multilayer perceptron: dense layers of `hidden_sizes` units, then the outputs.

    Inputs of any shape are flattened.
    """
    layers: list[Layer] = []
    for units in hyperparameters.hidden_sizes:
        layers += [_dense(units, hyperparameters), ACTIVATIONS[hyperparameters.activation]()]
    features = math.prod(data.training.inputs.shape[1:])
    return (yield from _train(layers, (features,), hyperparameters, data, seed))


def _train(
    layers: Sequence[Layer],
    input_shape: tuple[int, ...],
    hyperparameters: TrainingHyperparameters,
    data: Data,
    seed: int,
) -> Generator[Mapping[str, float], None, Model]:
    """Add the output layer, train, and yield metrics by epoch.

    Every metric is measured at the end of the epoch, as the network would predict then, on the
    validation rows and, if there are more than 10,000 training rows, on every second, third, …
    of these. Losses leave penalties on weights out, so that they can be compared.
    When the loss becomes non-finite, training ends with an epoch whose metrics are NaN.
    """
    task = TASKS[data.task]
    loss = LOSSES[task.loss]
    initialization, shuffling, disturbing = (
        np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(3)
    )
    outputs = len(data.classes) if data.task == "classification" else 1
    network = Network([*layers, _dense(outputs, hyperparameters)], input_shape)
    network.initialize(initialization)
    training = Training(
        network,
        loss,
        _steps(network, hyperparameters),
        network.rows(data.training.inputs),
        data.training.targets,
        hyperparameters.batch_size,
        shuffling,
        disturbing,
    )
    every = -(-len(data.training.inputs) // _MEASURED_ROWS)
    parts = {"training": (data.training.inputs[::every], data.training.targets[::every])}
    if data.validation is not None:
        parts["validation"] = (data.validation.inputs, data.validation.targets)
    measured = {
        part: (network.rows(inputs), targets, network.predictor(len(inputs)))
        for part, (inputs, targets) in parts.items()
    }

    def measure() -> dict[str, float]:
        metrics = {}
        for part, (inputs, targets, predict) in measured.items():
            predicted = predict(inputs)
            metrics[f"{part}_loss"] = loss.value(predicted, targets)
            for name in task.metrics:
                metrics[f"{part}_{name}"] = METRICS[name](predicted, targets, data.target_scale)
        return metrics

    for _epoch in range(1, hyperparameters.epochs + 1):
        with np.errstate(all="ignore"):
            finite = training.epoch(hyperparameters.learning_rate)
            metrics = measure() if finite else dict.fromkeys(measure(), math.nan)
        yield metrics
        if not all(map(math.isfinite, metrics.values())):
            break
    return Model(network, task.loss)


def _dense(units: int, hyperparameters: TrainingHyperparameters) -> Dense:
    initializer = hyperparameters.initializer
    if initializer == "auto":
        initializer = "he"
    return Dense(units, initializer, hyperparameters.initial_std)


def _steps(network: Network, hyperparameters: TrainingHyperparameters) -> list[Step]:
    """Return what is done with each gradient, in order: penalties, then the update."""
    steps: list[Step] = []
    for name, regularizer in REGULARIZERS.items():
        strength = getattr(hyperparameters, name, 0.0)
        if strength:
            steps.append(regularizer(network.weights, network.weights_gradient, strength))
    kind = OPTIMIZERS[hyperparameters.optimizer]
    optimizer = kind(**{f.name: getattr(hyperparameters, f.name) for f in fields(kind)})
    steps.append(optimizer.bind(network.parameters, network.gradient, network.weights))
    return steps
