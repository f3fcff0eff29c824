"""Training goes over the rows in small batches, in a new order each epoch."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from trainer.layers.layer import Array
from trainer.losses import Loss
from trainer.networks import Network
from trainer.regularizers import Step


def bind_batch(
    network: Network,
    loss: Loss,
    inputs: Array,
    targets: Array,
    rows: int,
    disturbing: np.random.Generator,
) -> Callable[[Array], float]:
    """Return a function that fills the network's gradient from so many rows, at an index.

    It returns the squared length of the gradient of the loss by the outputs: that costs next to
    nothing, and is non-finite when the outputs, and so the loss, are.
    """
    batch_inputs = np.empty((rows, *inputs.shape[1:]), inputs.dtype)
    batch_targets = np.empty(rows, targets.dtype)
    forward, backward = network.bind(rows, disturbing)
    loss_gradient = loss.bind(rows, network.shapes[-1][0], network.values.dtype)

    def fill(index: Array) -> float:
        inputs.take(index, 0, batch_inputs, "clip")  # other modes copy twice
        targets.take(index, 0, batch_targets, "clip")
        gradient = loss_gradient(forward(batch_inputs), batch_targets)
        length = float(np.vdot(gradient, gradient))
        backward(gradient)
        return length

    return fill


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
        """Make the buffers, for inputs in the network's shape.

        `steps` are called with the learning rate after each backward pass; `shuffling` orders
        the rows, and dropout and noise are drawn from `disturbing`.
        """
        rows = len(inputs)
        self._batch_size = min(batch_size, rows)
        self._batches = {
            size: bind_batch(network, loss, inputs, targets, size, disturbing)
            for size in {self._batch_size, rows % self._batch_size} - {0}
        }
        self._rows, self._steps, self._shuffling = rows, tuple(steps), shuffling

    def epoch(self, learning_rate: float) -> bool:
        """Train on every row once; say False, at once, when the loss becomes non-finite."""
        order = self._shuffling.permutation(self._rows)
        for start in range(0, self._rows, self._batch_size):
            index = order[start : start + self._batch_size]
            if not math.isfinite(self._batches[len(index)](index)):
                return False
            for step in self._steps:
                step(learning_rate)
        return True


class Diagnostics:
    """What shows vanishing gradients and dead units at a glance, layer by layer."""

    def __init__(
        self,
        network: Network,
        loss: Loss,
        inputs: Array,
        targets: Array,
        disturbing: np.random.Generator,
    ) -> None:
        """Look at the network as it sees these inputs, in the network's shape."""
        self._network, self._inputs = network, inputs
        self._fill = bind_batch(network, loss, inputs, targets, len(inputs), disturbing)
        self._all = np.arange(len(inputs))

    def measure(self) -> dict[str, float]:
        """Return metrics of each layer, numbered from 1; the network stays as it is.

        Of the activations, as in inference: `activation_mean_1`, `activation_std_1`, and
        `dead_share_1`, the share of numbers through which hardly any gradient passes: 0 for
        ReLU, within 1 % of a bound for sigmoid and tanh. Of the weights of each layer:
        `gradient_norm_1`, the length of the gradient of the loss, as in training.
        """
        metrics = {}
        for number, (layer, outputs) in enumerate(self._network.activations(self._inputs), 1):
            metrics[f"activation_mean_{number}"] = float(outputs.mean())
            metrics[f"activation_std_{number}"] = float(outputs.std())
            metrics[f"dead_share_{number}"] = float(layer.dead(outputs).mean())
        statistics = self._network.statistics.copy()
        self._fill(self._all)
        self._network.statistics[...] = statistics
        for number, gradient in enumerate(self._network.weights_gradients(), 1):
            metrics[f"gradient_norm_{number}"] = float(np.linalg.norm(gradient))
        return metrics


def histograms(network: Network, inputs: Array, bins: int = 30) -> list[tuple[Array, Array]]:
    """Return for each activation the counts (bins,) and edges (bins + 1,) of what it puts out."""
    return [np.histogram(outputs, bins) for _, outputs in network.activations(inputs)]
