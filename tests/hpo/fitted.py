"""Rows that models of frameworks are fitted to, and how one comes back from its file."""

from pathlib import Path
from typing import Any

import numpy as np

from hpo import framework_models, frameworks

RANDOM = np.random.default_rng(0)
INPUTS = RANDOM.normal(size=(90, 4)).astype(np.float32)
CLASSES = (INPUTS[:, 0] > 0).astype(np.int64) + (INPUTS[:, 1] > 0)
VALUES = (INPUTS @ np.array([1.0, -2.0, 0.5, 0.0])).astype(np.float32)


def adapted(model: Any, targets: Any, classes: int = 0) -> Any:
    return frameworks.adapted(model.fit(INPUTS, targets), classes, INPUTS)


def reloaded(model: Any, path: Path) -> Any:
    model.save(path)
    return framework_models.LOADERS[model.loader](path, **model.loader_details)
