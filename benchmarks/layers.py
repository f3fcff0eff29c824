"""Where a training step spends its time: each layer of each network, and how fast it computes.

The share of the peak is that of a large product of matrices by the same BLAS, on one thread. A
layer with weights is to compute one product forward and two backward (one if it is the first);
what it does besides, and what layers without weights do, is time without products.

    python -m benchmarks.layers [--rounds 40] [--kernel Haswell|SkylakeX] [--json]
"""

from benchmarks import training  # sets the threads, and the kernel, before NumPy is imported

# ruff: noqa: I001
import argparse
import json
import math
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from trainer.layers.layer import Backward, Forward, Layer
from trainer.losses import LOSSES
from trainer.networks import Network
from trainer.optimizers import SGD, Adam
from trainer.training import Training

SHOWN = ("784-50-10", "784-100x5-10", "CNN")


@dataclass
class Spent:
    """Microseconds of a layer in one step, and its floating-point operations in millions."""

    layer: str
    forward: float = 0.0
    backward: float = 0.0
    megaflops: float = 0.0
    share_of_peak: float = 0.0


class Timed(Network):
    """A network that measures the passes of its layers, in seconds."""

    def __init__(self, layers: list[Layer], shape: tuple[int, ...]) -> None:
        self.seconds: list[list[float]] = [[0.0, 0.0] for _ in layers]
        super().__init__(layers, shape)

    def _bind_layers(self, *given: Any) -> list[tuple[Forward, Backward]]:
        return [
            (self._timed(forward, spent, 0), self._timed(backward, spent, 1))
            for (forward, backward), spent in zip(
                super()._bind_layers(*given), self.seconds, strict=True
            )
        ]

    @staticmethod
    def _timed(call: Any, spent: list[float], side: int) -> Any:
        def timed(x: Any) -> Any:
            began = time.perf_counter()
            x = call(x)
            spent[side] += time.perf_counter() - began
            return x

        return timed


def peak() -> float:
    """Return the floating-point operations a second of a large product."""
    product = training.sgemm()
    seconds = []
    for _ in range(10):
        began = time.perf_counter()
        product()
        seconds.append(time.perf_counter() - began)
    return 2 * training.SIDE**3 / min(seconds)


def of(case: training.Case, rounds: int) -> list[Spent]:
    """Return what each layer of a network takes in a step, and last what is left of the step."""
    inputs, targets = training.rows(case)
    network = Timed(
        training.layers(case), (28, 28, 1) if case.convolutional else (case.features,)
    )
    network.initialize(np.random.default_rng(0))
    trained = Training(
        network, LOSSES["cross_entropy"], [Adam() if case.adam else SGD()],
        (network.rows(inputs), targets), case.batch_size,
        (np.random.default_rng(1), np.random.default_rng(2)),
    )
    trained.epoch(0.001)
    for spent in network.seconds:
        spent[:] = 0.0, 0.0
    fastest, began = peak(), time.perf_counter()
    for _ in range(rounds):
        trained.epoch(0.001)
    steps = rounds * case.batches
    whole = 1e6 * (time.perf_counter() - began) / steps
    found, first = [], True
    for layer, before, after, spent in zip(
        network.layers, network.shapes[:-1], network.shapes[1:], network.seconds, strict=True
    ):
        row = Spent(f"{type(layer).__name__} to {'x'.join(map(str, after))}",
                    *(1e6 * seconds / steps for seconds in spent))
        weights = [math.prod(p.shape) for p in layer.parameters(before) if p.kind == "weight"]
        if weights:
            products = 2 if first else 3
            stops = math.prod(after) // after[-1]
            row.megaflops = products * 2e-6 * case.batch_size * stops * weights[0]
            row.share_of_peak = row.megaflops * 1e12 / (row.forward + row.backward) / fastest
            first = False
        found.append(row)
    left = whole - sum(row.forward + row.backward for row in found)
    return [*found, Spent("rows, loss, optimizer", forward=left)]


def main() -> None:
    """Measure and print one table for each network."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--kernel", choices=training.KERNELS, help="code for another CPU")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = {
        case.name: of(case, options.rounds) for case in training.NETS if case.name in SHOWN
    }
    if options.json:
        print(json.dumps(
            {name: [asdict(row) for row in rows] for name, rows in found.items()}, indent=1
        ))
        return
    for name, rows in found.items():
        whole = sum(row.forward + row.backward for row in rows)
        print(f"\n{name}: {whole:,.0f} µs a step\n")
        print("| layer | forward, µs | backward, µs | share of the step | share of the peak |")
        print("|---|---|---|---|---|")
        for row in rows:
            share = f"{row.share_of_peak:.0%}" if row.megaflops else ""
            print(f"| {row.layer} | {row.forward:,.0f} | {row.backward:,.0f} "
                  f"| {(row.forward + row.backward) / whole:.0%} | {share} |")


if __name__ == "__main__":
    main()
