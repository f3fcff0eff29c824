"""Measure what checkpoints of a trial's folder cost.

A perceptron on the bundled digits, 100 epochs, trained in turn without a folder, with one in which
it keeps each epoch, and with each of these copied as `[checkpoints] every = 0` does. Then a folder
of 1 GB is copied, and the memory of the process is looked at meanwhile.

    python -m benchmarks.checkpoints [--repetitions N] [--json]
"""

import argparse
import json
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from hpo.checkpoints.folders import FolderStore
from hpo.checkpoints.trials import Checkpoints, Snapshot
from hpo.data.loading import load
from hpo.data.settings import DataSettings
from hpo.trial import Trial
from trainer.objectives import PerceptronHyperparameters, perceptron

EPOCHS, TRIAL = 100, Trial(1, 1, {}, 0)


def train(optimizer: str, kept: bool, copied: bool) -> float:
    """Return the milliseconds of an epoch."""
    data = load(DataSettings(source="digits"), seed=0, folder=Path()).data
    chosen = PerceptronHyperparameters(epochs=EPOCHS, optimizer=optimizer)  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as name:
        folder, metrics = Path(name) / "folder", []
        folder.mkdir()
        copies = Checkpoints(FolderStore(str(Path(name) / "kept")), "", 0.0).of(TRIAL, {})
        begun = time.perf_counter()
        for epoch in perceptron(chosen, data, seed=0, folder=folder if kept else None):
            metrics.append(dict(epoch))
            if copied:
                copies.save(folder, Snapshot(tuple(metrics), {}))
        return (time.perf_counter() - begun) / EPOCHS * 1000


def large(megabytes: int) -> tuple[float, float]:
    """Return the seconds in which such a folder is copied, and the megabytes of memory for it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "folder"
        folder.mkdir()
        with (folder / "model").open("wb") as file:
            for _ in range(megabytes):
                file.write(np.random.default_rng(0).bytes(1 << 20))
        copies = Checkpoints(FolderStore(str(Path(name) / "kept")), "", 0.0).of(TRIAL, {})
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        begun = time.perf_counter()
        copies.save(folder, Snapshot(({"loss": 1.0},), {}))
        seconds = time.perf_counter() - begun
        return seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def main() -> None:
    """Measure in turn, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    kinds: dict[str, Callable[[str], float]] = {
        "no folder": lambda optimizer: train(optimizer, False, False),
        "each epoch kept in it": lambda optimizer: train(optimizer, True, False),
        "and copied": lambda optimizer: train(optimizer, True, True),
    }
    found: dict[str, dict[str, float]] = {}
    for optimizer in ("sgd", "adam"):
        times: dict[str, list[float]] = {kind: [] for kind in kinds}
        for _ in range(options.repetitions):
            for kind, measure in kinds.items():
                times[kind].append(measure(optimizer))
        found[optimizer] = {kind: float(np.median(each)) for kind, each in times.items()}
    seconds, memory = large(1024)
    if options.json:
        print(json.dumps({"epoch_ms": found, "gigabyte": [seconds, memory]}, indent=1))
        return
    print("| ms an epoch | " + " | ".join(kinds) + " |\n|---|" + "---|" * len(kinds))
    for optimizer, each in found.items():
        print(f"| {optimizer} | " + " | ".join(f"{ms:.2f}" for ms in each.values()) + " |")
    print(f"\n1 GB is copied in {seconds:.1f} s, using {memory:.0f} MB of extra memory.")


if __name__ == "__main__":
    main()
