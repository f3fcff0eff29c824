"""Measure the idle worker time that counting results in order costs.

Trials sleep for lengths that are equal, vary by a factor of 3 or 10 (uniform in the logarithm), or
have a heavy tail (log-normal, sigma 1); TPE proposes, everything is recorded. `parallel` is equal
to the workers or twice that. Idle is what is left of workers x seconds when all training is taken
away, from the moment that each worker has a trial to the moment that the last trial begins: at the
end of a round workers have nothing to do in whatever order results count.

    python benchmarks/waiting.py [--trials 160] [--workers 4] [--seconds 0.5] [--json]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
from overhead import EPOCHS, Hyperparameters, metrics, run_study

LENGTHS: dict[str, Callable[[np.random.Generator], float]] = {
    "equal": lambda rng: 1.0,
    "factor of 3": lambda rng: float(3 ** rng.uniform(-0.5, 0.5)),
    "factor of 10": lambda rng: float(10 ** rng.uniform(-0.5, 0.5)),
    "heavy tail": lambda rng: float(np.exp(rng.normal(0.0, 1.0))),
}


def sleeping(hyperparameters: Hyperparameters, data: object = None, *, seed: int) -> Generator[Any]:
    """Sleep for a length that follows from the seed and the environment."""
    length = LENGTHS[os.environ["LENGTHS"]](np.random.default_rng(seed))
    for epoch in range(1, EPOCHS + 1):
        time.sleep(float(os.environ["SECONDS"]) * length / EPOCHS)
        yield metrics(hyperparameters.learning_rate, hyperparameters.weight_decay, epoch)


sleeping.metrics = ("accuracy", "loss", "training_loss")  # type: ignore[attr-defined]


def idle_share(trials: int, workers: int, parallel: int) -> float:
    """Run a study; return the share of worker time without training."""
    results = run_study("waiting:sleeping", trials, workers, parallel)["results"]
    first: dict[str, float] = {}
    for r in sorted(results, key=lambda r: r.started):
        first.setdefault(r.place, r.started)
    began, ended = max(first.values()), max(r.started for r in results)
    busy = sum(
        max(0.0, min(r.started + r.seconds, ended) - max(r.started, began)) for r in results
    )
    return float(1 - busy / (workers * (ended - began)))


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=160)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=0.5, help="of a trial of length 1")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--parallel", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.parallel:
        print(json.dumps(idle_share(options.trials, options.workers, options.parallel)))
        return
    table: dict[str, dict[str, float]] = {}
    for name in LENGTHS:
        for times in (1, 2):
            print(f"measuring {name}, parallel = {times} x workers …", file=sys.stderr)
            environment = {**os.environ, "LENGTHS": name, "SECONDS": str(options.seconds),
                           "PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}
            with tempfile.TemporaryDirectory() as folder:
                printed = subprocess.run(
                    [sys.executable, os.path.abspath(__file__), "--parallel",
                     str(times * options.workers), "--trials", str(options.trials),
                     "--workers", str(options.workers)],
                    cwd=folder, env=environment, capture_output=True, text=True, check=True,
                ).stdout
            table.setdefault(name, {})[f"{times}x"] = json.loads(printed.splitlines()[-1])
    if options.json:
        print(json.dumps({"trials": options.trials, "workers": options.workers,
                          "idle_share": table}, indent=2))
        return
    print(f"{options.trials} trials on {options.workers} workers: share of worker time idle")
    print(f"{'lengths':16}{'parallel = workers':>20}{'= twice the workers':>22}")
    for name, row in table.items():
        print(f"{name:16}{row['1x']:20.1%}{row['2x']:22.1%}")


if __name__ == "__main__":
    main()
