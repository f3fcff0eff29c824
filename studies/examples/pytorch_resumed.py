"""A smaller network than in pytorch_mnist.py, trained so that an interrupted run resumes."""

from pathlib import Path

import torch
from pytorch_mnist import FILES, Images, accuracy
from torch import nn
from torch.utils.data import DataLoader, Subset, random_split


def train(
    learning_rate: float, weight_decay: float, *, epochs: int = 10, rows: int = 10_000, seed,
    folder: Path,
):
    """Resume from the state in the folder, and save the state after each epoch."""
    assert FILES.is_dir(), f"{FILES} has to hold the files of MNIST"
    training, validation = random_split(
        Subset(Images("train"), range(rows)), [0.8, 0.2], torch.Generator().manual_seed(0)
    )
    torch.manual_seed(seed)
    batches = DataLoader(training, batch_size=100, shuffle=True)
    network = nn.Sequential(
        nn.Conv2d(1, 16, 3), nn.ReLU(), nn.MaxPool2d(4), nn.Flatten(), nn.Dropout(0.2),
        nn.Linear(16 * 6 * 6, 10),
    )
    optimizer = torch.optim.AdamW(network.parameters(), learning_rate, weight_decay=weight_decay)
    file, done = folder / "state.pt", 0
    if file.exists():
        state = torch.load(file, weights_only=True)
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"])  # last: creating the network above drew numbers
        done = state["epoch"]
    for epoch in range(done + 1, epochs + 1):
        network.train()
        for images, labels in batches:
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(images), labels).backward()
            optimizer.step()
        metrics = {"validation_accuracy": accuracy(network, validation)}
        torch.save({
            "network": network.state_dict(), "optimizer": optimizer.state_dict(),
            "random": torch.get_rng_state(), "epoch": epoch,
        }, file)
        yield metrics
    return network
