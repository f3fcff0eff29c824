"""studies/examples/pytorch_mnist with Optuna."""

import gzip
from pathlib import Path

import optuna
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, Subset, random_split

FILES = Path(__file__).parents[2] / "studies" / "examples" / "mnist"


class Images(Dataset):
    def __init__(self, part: str) -> None:
        images = gzip.decompress((FILES / f"{part}-images-idx3-ubyte.gz").read_bytes())
        labels = gzip.decompress((FILES / f"{part}-labels-idx1-ubyte.gz").read_bytes())
        self.images = torch.frombuffer(bytearray(images[16:]), dtype=torch.uint8)
        self.images = self.images.view(-1, 1, 28, 28)
        self.labels = torch.tensor(list(labels[8:]))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int):
        return self.images[row] / 255, self.labels[row]


def train(
    learning_rate: float, weight_decay: float, dropout: float, trial: optuna.Trial | None = None,
    epochs: int = 3, rows: int = 10_000,
) -> tuple[nn.Module, float]:
    training, validation = random_split(
        Subset(Images("train"), range(rows)), [0.8, 0.2], torch.Generator().manual_seed(0)
    )
    torch.manual_seed(0)
    batches = DataLoader(training, batch_size=100, shuffle=True)
    network = nn.Sequential(
        nn.Conv2d(1, 16, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(dropout), nn.Linear(32 * 5 * 5, 10),
    )
    optimizer = torch.optim.AdamW(network.parameters(), learning_rate, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, learning_rate, total_steps=epochs * len(batches)
    )
    for epoch in range(epochs):
        network.train()
        for images, labels in batches:
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(images), labels).backward()
            optimizer.step()
            schedule.step()
        found = accuracy(network, validation)
        if trial is not None:
            trial.report(found, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
    return network, found


@torch.no_grad()
def accuracy(network: nn.Module, rows: Dataset) -> float:
    network.eval()
    batches = DataLoader(rows, batch_size=1000)
    right = sum((network(images).argmax(1) == labels).sum() for images, labels in batches)
    return float(right) / len(rows)


def search(trial: optuna.Trial) -> float:
    learning_rate = trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True)
    weight_decay = trial.suggest_float("weight_decay", 1e-5, 1e0, log=True)
    dropout = trial.suggest_float("dropout", 0.0, 0.8)
    return train(learning_rate, weight_decay, dropout, trial)[1]


study = optuna.create_study(
    study_name="pytorch_mnist",
    storage="sqlite:///optuna.db",
    load_if_exists=True,
    direction="maximize",
    sampler=optuna.samplers.TPESampler(seed=0),
    pruner=optuna.pruners.MedianPruner(),
)
study.optimize(search, n_trials=10)
print(study.best_trial)
network, _ = train(**study.best_params)
print(accuracy(network, Images("t10k")))
