"""A convolutional network in PyTorch, with its own Dataset that reads the MNIST files."""

import gzip
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, Subset, random_split

FILES = Path(__file__).parent / "mnist"


class Images(Dataset):
    """The images and labels of "train" or "t10k"."""

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
    learning_rate: float, weight_decay: float, dropout: float, *, epochs: int = 3,
    rows: int = 10_000, seed,
):
    """Train on four fifths of the training rows, reshuffled each epoch."""
    training, validation = random_split(
        Subset(Images("train"), range(rows)), [0.8, 0.2], torch.Generator().manual_seed(0)
    )
    torch.manual_seed(seed)
    batches = DataLoader(training, batch_size=100, shuffle=True)
    network = nn.Sequential(
        nn.Conv2d(1, 16, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(dropout), nn.Linear(32 * 5 * 5, 10),
    )
    optimizer = torch.optim.AdamW(network.parameters(), learning_rate, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, learning_rate, total_steps=epochs * len(batches)
    )
    for _ in range(epochs):
        network.train()
        for images, labels in batches:
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(images), labels).backward()
            optimizer.step()
            schedule.step()
        yield {"validation_accuracy": accuracy(network, validation)}
    return network


@torch.no_grad()
def accuracy(network: nn.Module, rows: Dataset) -> float:
    """Return the share of rows whose label the network predicts correctly."""
    network.eval()
    batches = DataLoader(rows, batch_size=1000)
    right = sum((network(images).argmax(1) == labels).sum() for images, labels in batches)
    return float(right) / len(rows)


def judge(network: nn.Module) -> dict[str, float]:
    """Return the accuracy on the test images, which no trial uses."""
    return {"test_accuracy": accuracy(network, Images("t10k"))}


train.evaluate = judge
train.example = lambda: Images("train").images[:5] / 255
train.classes = range(10)
