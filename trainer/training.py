"""Training goes over the rows in small batches, in a new order each epoch."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from trainer.arrays import Array
from trainer.losses import Loss
from trainer.networks import Network
from trainer.transformations import Memory, Step, Transformation

Train: TypeAlias = Callable[[Array, Sequence[Step], float], bool]

# Batches are gathered from the rows several at a time, as many as fit in this many bytes.
_GATHERED = 2**18


def bind_batches(
    network: Network,
    loss: Loss,
    inputs: Array,
    targets: Array,
    rows: int,
    batches: int,
    disturbing: np.random.Generator,
) -> Train:
    """Return a function that trains on the rows at an index: up to `batches` batches of one size.

    After the passes of each batch, which fill the network's gradient, it calls the steps with the
    learning rate. It returns whether the loss is finite.
    """
    outputs, dtype = network.shapes[-1][0], network.values.dtype
    forward, backward = network.bind(rows, disturbing)
    fill_shares, loss_gradient = loss.bind(rows, outputs, dtype)
    gathered = np.empty((batches * rows, *inputs.shape[1:]), inputs.dtype)
    shares = np.empty((batches * rows, outputs), dtype)
    parts = [slice(start, start + rows) for start in range(0, len(gathered), rows)]
    pairs = [(gathered[part], shares[part]) for part in parts]

    def train(index: Array, steps: Sequence[Step], learning_rate: float) -> bool:
        inputs.take(index, 0, gathered[: len(index)], "clip")  # other modes copy twice
        fill_shares(targets.take(index), shares[: len(index)])
        for batch, share in pairs[: len(index) // rows]:
            gradient = loss_gradient(forward(batch), share)
            backward(gradient)
            for step in steps:
                step(learning_rate)
        # The gradient of the loss by the outputs is non-finite where these are, and what is
        # learned from it once will not be finite again.
        return math.isfinite(np.vdot(gradient, gradient))

    return train


class Training:
    """A network in training: its loss, its rows, and what is done with each gradient."""

    def __init__(
        self,
        network: Network,
        loss: Loss,
        transformations: Sequence[Transformation],
        examples: tuple[Array, Array],
        batch_size: int,
        generators: tuple[np.random.Generator, np.random.Generator],
    ) -> None:
        """Make the buffers, for examples (inputs in the network's shape, targets).

        `transformations` are done after each backward pass, in their order; the first of
        the generators orders the rows, and dropout and noise are drawn from the second.
        """
        (inputs, targets), (shuffling, disturbing) = examples, generators
        rows = len(inputs)
        batch_size = min(batch_size, rows)
        batches = min(max(1, _GATHERED // (inputs[:batch_size].nbytes or 1)), rows // batch_size)

        def bind(size: int, batches: int) -> Train:
            return bind_batches(network, loss, inputs, targets, size, batches, disturbing)

        train, whole = bind(batch_size, batches), rows - rows % batch_size
        stops = [*range(0, whole, batches * batch_size), whole]
        self._parts = [(train, slice(*ends)) for ends in itertools.pairwise(stops)]
        if whole < rows:
            self._parts.append((bind(rows - whole, 1), slice(whole, rows)))
        self._rows, self._shuffling = rows, shuffling
        # All that an epoch leaves to the next, beside the states of the generators.
        self.state: Memory = [network.values]
        self._steps = tuple(
            transformation.bind(
                network.parameters, network.gradient, network.weights, self.state
            )
            for transformation in transformations
        )

    def epoch(self, learning_rate: float) -> bool:
        """Train on every row once; stop and return False if the loss becomes non-finite."""
        order = self._shuffling.permutation(self._rows)
        return all(train(order[part], self._steps, learning_rate) for train, part in self._parts)


class Diagnostics:
    """Statistics that show vanishing gradients and dead units, layer by layer."""

    def __init__(
        self,
        network: Network,
        loss: Loss,
        inputs: Array,
        targets: Array,
        disturbing: np.random.Generator,
    ) -> None:
        """Prepare to measure the network on these inputs, in the network's shape."""
        self._network, self._inputs = network, inputs
        self._train = bind_batches(network, loss, inputs, targets, len(inputs), 1, disturbing)
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
        self._train(self._all, (), 0.0)
        self._network.statistics[...] = statistics
        for number, gradient in enumerate(self._network.weights_gradients(), 1):
            metrics[f"gradient_norm_{number}"] = float(np.linalg.norm(gradient))
        return metrics


def histograms(network: Network, inputs: Array, bins: int = 30) -> list[tuple[Array, Array]]:
    """Return for each activation the counts (bins,) and edges (bins + 1,) of its outputs."""
    return [np.histogram(outputs, bins) for _, outputs in network.activations(inputs)]
