"""An ordinary training script, which knows nothing about hpo."""

import argparse

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import train_test_split

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.01)
parser.add_argument("--alpha", type=float, default=1e-4)
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--seed", type=int, default=0)
options = parser.parse_args()

inputs, targets = load_digits(return_X_y=True)
parts = train_test_split(inputs / 16, targets, test_size=0.2, random_state=0, stratify=targets)
model = SGDClassifier(
    learning_rate="constant", eta0=options.lr, alpha=options.alpha, random_state=options.seed
)
for epoch in range(1, options.epochs + 1):
    model.partial_fit(parts[0], parts[2], classes=np.unique(targets))
    print(f"epoch {epoch} validation accuracy {model.score(parts[1], parts[3]):.4f}")
