"""Learning rates and L2 penalties measured with five seeds (HPOBench), as tasks to search.

HPOBench: Eggensperger et al. 2021, the tables of multilayer perceptrons.
"""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from hpo.distributions import FloatDistribution
from hpo.search_space import SearchSpace

Array: TypeAlias = NDArray[np.float64]
DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "hpobench-nn"
TRIPLES = ((4, 1, 4), (6, 0, 2), (2, 2, 6))  # of batch_size, depth, width: indices into the grid
NAMES = ("learning_rate", "l2_penalty")


@dataclass(frozen=True)
class Task:
    """A table of values over the two axes, both evenly spaced in the logarithm."""

    name: str
    table: Array  # (learning rate, l2 penalty, seed)
    axes: tuple[tuple[float, float], tuple[float, float]]  # log10 of the ends

    def values(self, points: Array) -> Array:
        """Return the value of every seed at `points` (n, 2; log10), bilinear in between."""
        cells, shares = [], []
        for column, (low, high), size in zip(points.T, self.axes, self.table.shape, strict=False):
            position = np.clip((column - low) / (high - low), 0, 1) * (size - 1)
            cell = np.minimum(position.astype(int), size - 2)
            cells.append(cell)
            shares.append((position - cell)[:, None])
        (i, j), (s, t), table = cells, shares, self.table
        below = table[i, j] * (1 - t) + table[i, j + 1] * t
        above = table[i + 1, j] * (1 - t) + table[i + 1, j + 1] * t
        result: Array = below * (1 - s) + above * s
        return result

    def exact(self) -> "Task":
        """Return this task without noise: every seed has the mean of all."""
        means = self.table.mean(axis=2, keepdims=True)
        return replace(self, table=np.broadcast_to(means, self.table.shape))

    def regret(self, point: Array) -> float:
        means = self.table.mean(axis=2)
        best = float(means.max())
        return (best - float(self.values(point[None]).mean())) / (best - float(np.median(means)))


def read_tasks(
    directory: Path, triples: Sequence[tuple[int, int, int]] = TRIPLES
) -> list[Task]:
    """Return a task of each data set and triple, those of one data set next to each other."""
    grid = json.loads((directory / "grid.json").read_text())
    rate, penalty = (
        (math.log10(grid[axis][0]), math.log10(grid[axis][-1]))
        for axis in ("learning_rate_init", "alpha")
    )
    arrays = np.load(directory / "validation_balanced_accuracy.npz")
    return [
        Task(f"{name} {triple}", arrays[name][:, b, d, :, w, :].swapaxes(0, 1), (rate, penalty))
        for name in arrays.files
        for triple in triples
        for b, d, w in [triple]
    ]


def starts(tasks: Sequence[Task]) -> dict[str, SearchSpace]:
    """Return the first ranges to try; their limits are the whole grid."""
    rate, penalty = tasks[0].axes
    edges = {
        "full": ((10 ** rate[0], 10 ** rate[1]), (10 ** penalty[0], 10 ** penalty[1])),
        "low": ((1e-5, 5e-4), (1e-8, 1e-2)),
        "high": ((1.6e-2, 1.0), (1e-8, 1e-2)),
    }
    return {
        start: {
            name: FloatDistribution(*pair, log=True, limits=limits)
            for name, pair, limits in zip(NAMES, pairs, edges["full"], strict=True)
        }
        for start, pairs in edges.items()
    }


def arguments(description: str | None, repetitions: int) -> argparse.ArgumentParser:
    """Return a parser of what the benchmarks on these tables have in common."""
    parser = argparse.ArgumentParser(description=(description or "").split("\n")[0])
    parser.add_argument("--data", type=Path, default=DATA, help="a folder of the same format")
    parser.add_argument("--repetitions", type=int, default=repetitions)
    parser.add_argument("--processes", type=int, help="that search at the same time  [all CPUs]")
    parser.add_argument("--json", action="store_true")
    return parser


def parsed(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Return the options, or exit with a note if there is no data."""
    options = parser.parse_args()
    if not (options.data / "grid.json").exists():
        print(f"skipped: no data in {options.data}")
        sys.exit()
    return options
