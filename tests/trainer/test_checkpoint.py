"""A training that stopped goes on to the bit as if it had not."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpo.objective import Data, Part
from trainer.checkpoint import FILE, Checkpoint
from trainer.objectives import (
    ConvolutionalHyperparameters,
    PerceptronHyperparameters,
    convolutional,
    perceptron,
)
from trainer.optimizers import OPTIMIZERS

EVERYTHING = {
    "batch_normalization": "before", "dropout_rate": 0.3, "noise": 0.1, "schedule": "cosine",
    "weight_decay": 1e-3, "gradient_clip": 1.0, "diagnostics": True,
}


def data(images: bool = False) -> Data:
    generator = np.random.default_rng(0)
    shape = (6, 6) if images else (5,)

    def part(rows: int) -> Part:
        inputs = generator.normal(size=(rows, *shape)).astype(np.float32)
        return Part(inputs, (inputs.reshape(rows, -1)[:, 0] > 0).astype(np.int64))

    return Data(part(60), part(20), "classification", ("0", "1"))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("more", [{}, EVERYTHING], ids=["plain", "everything"])
def test_the_epochs_after_it_are_the_same_to_the_bit(
    tmp_path: Path, optimizer: Any, more: dict[str, Any]
) -> None:
    hyperparameters = PerceptronHyperparameters(
        epochs=9, optimizer=optimizer, hidden_sizes=(7,), batch_size=16, **more
    )
    whole = list(perceptron(hyperparameters, data(), seed=3))
    parts = []
    for epochs in (1, 3, 5):  # stopped, and stopped again; the last time it comes to its end
        training = perceptron(hyperparameters, data(), seed=3, folder=tmp_path)
        parts += [next(training) for _ in range(epochs)]
        training.close()
    assert parts == whole
    assert list(perceptron(hyperparameters, data(), seed=3, folder=tmp_path)) == []


def test_a_convolutional_network_goes_on_too(tmp_path: Path) -> None:
    hyperparameters = ConvolutionalHyperparameters(
        epochs=4, blocks="2 max", hidden_sizes=(5,), optimizer="adam", batch_size=16
    )
    whole = list(convolutional(hyperparameters, data(images=True), seed=1))
    training = convolutional(hyperparameters, data(images=True), seed=1, folder=tmp_path)
    first = [next(training), next(training)]
    rest = list(convolutional(hyperparameters, data(images=True), seed=1, folder=tmp_path))
    assert first + rest == whole


def test_early_stopping_goes_on_counting(tmp_path: Path) -> None:
    hyperparameters = PerceptronHyperparameters(
        epochs=60, early_stopping=3, learning_rate=0.5, hidden_sizes=(30,), batch_size=10
    )
    whole = list(perceptron(hyperparameters, data(), seed=0))
    assert 5 < len(whole) < 60
    trained = 0
    while True:  # it stops after each epoch, also after the last one
        training = perceptron(hyperparameters, data(), seed=0, folder=tmp_path)
        epoch = next(training, None)
        training.close()
        if epoch is None:
            break
        assert epoch == whole[trained]
        trained += 1
    assert trained == len(whole)


def test_the_file_of_another_training_is_refused(tmp_path: Path) -> None:
    hyperparameters = PerceptronHyperparameters(epochs=2, hidden_sizes=(7,))
    list(perceptron(hyperparameters, data(), seed=3, folder=tmp_path))
    other = dataclasses.replace(hyperparameters, hidden_sizes=(8,))
    with pytest.raises(ValueError, match=f"{FILE} belongs to another training"):
        next(perceptron(other, data(), seed=3, folder=tmp_path))


def test_nothing_is_written_in_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array, generator = np.arange(3.0), np.random.default_rng(0)
    kept = Checkpoint(tmp_path, [array], [generator])
    assert kept.load() is None
    kept.save(1, 0.5)
    drawn = generator.random()
    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", lambda file, *_: file.write(b"half") and 1 / 0)
        with pytest.raises(ZeroDivisionError):
            kept.save(2, 0.25)
    array[:] = 7
    assert kept.load() == [1, 0.5]
    assert array.tolist() == [0, 1, 2]
    assert generator.random() == drawn
