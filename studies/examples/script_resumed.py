"""A training script that resumes where it was stopped: its whole state is in one file."""

import argparse
import json
import os
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--momentum", type=float, default=0.9)
parser.add_argument("--epochs", type=int, default=20)
options = parser.parse_args()

inputs, labels = load_digits(return_X_y=True)
parts = train_test_split(inputs / 16, np.eye(10)[labels], test_size=0.2, random_state=0)
(training, validation, targets, truth), done = parts, 0
generator = np.random.default_rng(int(os.environ.get("HPO_SEED", "0")))
weights, velocity = np.zeros((64, 10)), np.zeros((64, 10))

state = Path(os.environ.get("HPO_FOLDER", ".")) / "state.npz"
if state.exists():
    saved = np.load(state)
    weights, velocity, done = saved["weights"], saved["velocity"], int(saved["epoch"])
    generator.bit_generator.state = json.loads(str(saved["generator"]))

for epoch in range(done + 1, options.epochs + 1):
    for rows in np.array_split(generator.permutation(len(training)), 10):
        outputs = np.exp(training[rows] @ weights)
        outputs /= outputs.sum(axis=1, keepdims=True)
        gradient = training[rows].T @ (outputs - targets[rows]) / len(rows)
        velocity = options.momentum * velocity - options.lr * gradient
        weights = weights + velocity
    written = state.with_suffix(".part.npz")
    np.savez(
        written, weights=weights, velocity=velocity, epoch=epoch,
        generator=json.dumps(generator.bit_generator.state),
    )
    os.replace(written, state)  # complete before the epoch is reported
    right = (validation @ weights).argmax(axis=1) == truth.argmax(axis=1)
    print(json.dumps({"epoch": epoch, "validation_accuracy": float(right.mean())}), flush=True)
