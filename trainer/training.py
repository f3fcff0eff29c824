"""Training goes over the rows in small batches, in a new order each epoch."""

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from trainer.layers.layer import Array
from trainer.losses import Loss
from trainer.networks import Network

Step: TypeAlias = Callable[[float], None]


class Training:
    """A network in training: its loss, its rows, and what is done with each gradient."""

    def __init__(
        self,
        network: Network,
        loss: Loss,
        steps: Sequence[Step],
        inputs: Array,
        targets: Array,
        batch_size: int,
        shuffling: np.random.Generator,
        disturbing: np.random.Generator,
    ) -> None:
        """Make the buffers. `steps` are called with the learning rate after each backward pass."""
        self._rows = len(inputs)
        self._shuffling = shuffling
        self._steps = tuple(steps)
        self._inputs, self._targets = inputs, targets
        size = min(batch_size, self._rows)
        self._batches = {
            rows: self._bind(network, loss, rows, disturbing)
            for rows in {size, self._rows % size} - {0}
        }
        self._size = size

    def epoch(self, learning_rate: float) -> bool:
        """Train on every row once; say False, at once, when the loss becomes non-finite."""
        order = self._shuffling.permutation(self._rows)
        for start in range(0, self._rows, self._size):
            index = order[start : start + self._size]
            if not math.isfinite(self._batches[len(index)](index)):
                return False
            for step in self._steps:
                step(learning_rate)
        return True

    def _bind(
        self, network: Network, loss: Loss, rows: int, disturbing: np.random.Generator
    ) -> Callable[[Array], float]:
        """Return a function that fills the gradient from rows at an index.

        It returns the squared length of the gradient of the loss by the outputs, which costs
        nothing to speak of and is finite as long as the outputs are.
        """
        all_inputs, all_targets = self._inputs, self._targets
        inputs = np.empty((rows, *all_inputs.shape[1:]), all_inputs.dtype)
        targets = np.empty(rows, all_targets.dtype)
        bound = network.bind(rows, disturbing)
        loss_gradient = loss.bind(rows, math.prod(network.shapes[-1]), network.values.dtype)

        def fill(index: Array) -> float:
            all_inputs.take(index, 0, inputs, "clip")  # the other modes copy twice
            all_targets.take(index, 0, targets, "clip")
            gradient = loss_gradient(bound.forward(inputs), targets)
            flat = gradient.reshape(-1)
            length = float(flat.dot(flat))
            bound.backward(gradient)
            return length

        return fill
