"""A study of a small table to evaluate, and what is read of it."""

from pathlib import Path

from hpo.data.loading import Split, load
from hpo.record.tracking import Tracking
from hpo.study import StudyFile, read
from hpo.trial import Trial

# An objective that is best in its second epoch, and keeps the rows that it was given.
SHOP = '''
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Shop:
    learning_rate: float = 0.1
    epochs: int = 3
    seen: str = ""
    diverges_alone: float = 9.0
    forgets: bool = False


class Centers:
    loader = "shop:load"

    def __init__(self, centers, forgets=False):
        self.centers, self.forgets = centers, forgets

    def predict(self, inputs):
        distances = ((inputs[:, np.newaxis] - self.centers) ** 2).sum(axis=2)
        shares = np.exp(distances.min(axis=1, keepdims=True) - distances)
        return (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)

    def save(self, path):
        np.savez(path, centers=self.centers * (0 if self.forgets else 1))


def load(path):
    with np.load(path) as file:
        return Centers(file["centers"])


def centers(hyperparameters: Shop, data=None, *, seed, folder):
    assert not list(folder.iterdir())
    (folder / "left").touch()
    random = np.random.default_rng(seed)
    rows = data.training
    if hyperparameters.seen:
        inputs = [rows.inputs] + ([data.validation.inputs] if data.validation else [])
        name = f"{seed}-{'trial' if data.validation else 'end'}-{hyperparameters.epochs}"
        np.save(Path(hyperparameters.seen) / name, np.concatenate(inputs))
    means = np.stack([rows.inputs[rows.targets == i].mean(axis=0) for i in range(2)])
    model = Centers(
        means + random.normal(0, 10 * hyperparameters.learning_rate, means.shape),
        hyperparameters.forgets,
    )
    judged = data.validation or rows
    accuracy = (model.predict(judged.inputs).argmax(axis=1) == judged.targets).mean()
    for epoch in range(1, hyperparameters.epochs + 1):
        print("training")
        broken = data.validation is None and hyperparameters.learning_rate > (
            hyperparameters.diverges_alone)
        yield {"accuracy": float("nan") if broken else accuracy - 0.001 * abs(epoch - 2)}
    return model


centers.metrics = ("accuracy",)
'''


class Quiet:
    """A listener that keeps the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def trained(self, trial: Trial, epoch: int, epochs: int) -> None:
        assert 1 <= epoch <= epochs


def split_of(file: Path) -> tuple[StudyFile, Split]:
    study = read(file)
    return study, load(study.data, seed=study.seed, folder=file.parent)


def record_of(file: Path) -> Tracking:
    return Tracking(f"sqlite:///{file.parent / 'mlflow.db'}")
