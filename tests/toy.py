"""Objectives that cost nothing, fail on demand, or hang: copied beside the study files of tests."""

import ctypes
import math
import os
import random
import signal
import sys
import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import hpo

Epochs = Generator[dict[str, float]]


@dataclass(frozen=True)
class Toy:
    """Hyperparameters of the toy objectives; `folder` is where they leave marks."""

    learning_rate: float = 0.1
    weight_decay: float = 1e-6
    epochs: int = 5
    sleep: float = 0.0  # seconds a trial takes at most; how much of it depends on the seed
    steady: bool = False  # all of `sleep`, every time
    folder: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.learning_rate < 1000:
            raise ValueError(f"learning_rate must lie in (0, 1000), not {self.learning_rate}")


def quadratic(hyperparameters: Toy, data: object = None, *, seed: int) -> Epochs:
    """Be best at learning_rate 0.1; a little noise from the seed; weight_decay does nothing."""
    generator = np.random.default_rng(seed)
    noise = generator.normal(0, 0.02)
    seconds = hyperparameters.sleep * (1.0 if hyperparameters.steady else generator.random())
    distance = np.log10(hyperparameters.learning_rate) + 1
    _mark(hyperparameters, seed)
    for epoch in range(1, hyperparameters.epochs + 1):
        time.sleep(seconds / hyperparameters.epochs)
        yield {
            "accuracy": float(1 - 0.05 * distance**2 + noise) * epoch / hyperparameters.epochs,
            "loss": float(distance**2 + 1 / epoch),
        }


def cliff(hyperparameters: Toy, data: object = None, *, seed: int) -> Epochs:
    """Do as quadratic, but diverge above learning_rate 0.5 and fail below 1e-5."""
    if hyperparameters.learning_rate < 1e-5:
        print("about to fail")
        raise RuntimeError("too small a learning rate")
    for metrics in quadratic(hyperparameters, data, seed=seed):
        if hyperparameters.learning_rate > 0.5:
            metrics["loss"] = float("nan")
        yield metrics


def failing(hyperparameters: Toy, data: object = None, *, seed: int) -> Epochs:
    """Fail always."""
    raise RuntimeError("broken on purpose")
    yield {}


def hanging(hyperparameters: Toy, data: object = None, *, seed: int) -> Epochs:
    """Hang in C code, deaf to signals, where the learning rate is above 0.01."""
    yield {"accuracy": 0.5, "loss": 1.0}
    _mark(hyperparameters, seed)
    if hyperparameters.learning_rate > 0.01:
        ctypes.PyDLL(None).sleep(600)
    yield {"accuracy": 0.6, "loss": 0.9}


def killed(hyperparameters: Toy, data: object = None, *, seed: int) -> Epochs:
    """Kill its own process on the first attempt at every third trial."""
    mark = Path(hyperparameters.folder) / f"killed-{seed}"
    if seed % 3 == 0 and not mark.exists():
        mark.touch()
        yield {"accuracy": 0.0, "loss": 1.0}
        os.kill(os.getpid(), signal.SIGKILL)
    yield from quadratic(hyperparameters, data, seed=seed)


def hungry(hyperparameters: Toy, data: object = None, *, seed: int) -> Epochs:
    """Take more and more memory where the learning rate is above 0.01."""
    yield {"accuracy": 0.5, "loss": 1.0}
    hoard = []
    while hyperparameters.learning_rate > 0.01:
        hoard.append(np.ones(8_000_000))
        time.sleep(0.01)
    yield {"accuracy": 0.6, "loss": float(len(hoard))}


def leaking(hyperparameters: Toy, data: object = None, *, seed: int) -> Epochs:
    """Yield what a trial finds in its process, and leave all of it changed."""
    found = {
        "accuracy": random.random(),
        "loss": float(np.random.rand()),  # noqa: NPY002
        "at_home": float(Path("toy.py").exists()),
        "leaks": float(os.environ.pop("PATH", None) is None) + float("LEAK" in os.environ)
        + float(sys.argv != ["toy"]),
    }
    os.chdir("/")
    os.environ["LEAK"] = "1"
    sys.path.insert(0, "/nowhere")
    yield found
    yield {**found, "accuracy": random.random(), "at_home": float(os.getcwd() != "/")}


def quitting(hyperparameters: Toy, data: object = None, *, seed: int) -> Epochs:
    """End the process as a script does, where the learning rate is above 0.01."""
    if hyperparameters.learning_rate > 0.01:
        print("usage: script [-h]")
        sys.exit(2 if hyperparameters.learning_rate > 0.1 else 0)
    yield {"accuracy": 0.5, "loss": 1.0}


def stopping(hyperparameters: Toy, data: object = None, *, seed: int) -> Epochs:
    """Interrupt the eighth trial, until a file says to go on; else do as quadratic."""
    folder = Path(hyperparameters.folder)
    _mark(hyperparameters, seed)
    if len((folder / "trained").read_text().splitlines()) == 8 and not (folder / "go").exists():
        raise KeyboardInterrupt
    yield from quadratic(replace(hyperparameters, folder=""), data, seed=seed)


def held(hyperparameters: Toy, data: object = None, *, seed: int) -> Epochs:
    """Do as quadratic, but after as many trials as the file "hold" says wait for a file "go"."""
    folder = Path(hyperparameters.folder)
    yield from quadratic(hyperparameters, data, seed=seed)
    begun = len((folder / "trained").read_text().split())
    while begun > int((folder / "hold").read_text()) and not (folder / "go").exists():
        time.sleep(0.01)


def placed(hyperparameters: Toy, data: object = None, *, seed: int) -> Epochs:
    """Yield the number of the process, and the hash of a text."""
    yield {"accuracy": float(os.getpid()), "loss": float(hash("text"))}


def _mark(hyperparameters: Toy, seed: int) -> None:
    """Leave a line for each time a trial is trained."""
    if hyperparameters.folder:
        with (Path(hyperparameters.folder) / "trained").open("a") as file:
            file.write(f"{seed}\n")


for _objective in (
    quadratic, cliff, failing, hanging, killed, hungry, leaking, quitting, stopping, held,
    placed,
):
    _objective.metrics = ("accuracy", "loss")  # type: ignore[attr-defined]


@dataclass(frozen=True)
class OfOptimizer:
    learning_rate: float = 0.1
    optimizer: str = "sgd"
    momentum: float = -1.0  # where it is not searched
    layers: int = 1
    width: tuple[int, ...] = ()
    batch_size: int = 32
    dropout: float = 0.0
    sleep: float = 0.0
    folder: str = ""

    def __post_init__(self) -> None:
        if self.layers * self.batch_size > 256:
            raise ValueError("layers * batch_size must be at most 256")


def optimizers(hyperparameters: OfOptimizer, *, seed: int) -> Epochs:
    """Reach what its optimizer reaches: Adam at small rates, the others with momentum."""
    h = hyperparameters
    if h.folder:
        with open(f"{h.folder}/trained", "a") as marks:
            marks.write(f"{seed}\n")
    if (h.optimizer == "adam") != (h.momentum == -1.0):
        raise AssertionError("momentum where there is none, or none where there is")
    if len(h.width) != h.layers:
        raise AssertionError("a width of a layer that is not there, or none where it is")
    time.sleep(h.sleep)
    if sum(h.width) > 700:
        raise hpo.Infeasible("too wide")
    noise = random.Random(seed).gauss(0, 0.01)
    best = -3 if h.optimizer == "adam" else -1
    loss = (math.log10(h.learning_rate) - best) ** 2 / 9 + (h.dropout - 0.2) ** 2
    yield {"accuracy": 1 - loss / 2}
    yield {"accuracy": 1 - loss - (0.8 - max(h.momentum, 0)) ** 2 / 9 + noise}
