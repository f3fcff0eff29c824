"""Measure how long a user waits: for help, a check, the first trial, and a whole small study.

Each is a command in a process of its own, `hpo run` in an empty folder: it starts Ray, makes the
record and its figures, and ends Ray.

    python benchmarks/start.py [--turns 5] [--workers 2] [--trials 20] [--json]
"""

import argparse
import datetime
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STUDY = Path(__file__).parents[1] / "studies" / "digits.toml"
HPO = Path(sys.executable).with_name("hpo")


def seconds(*arguments: str, folder: str = ".") -> float:
    """Return how long a command takes."""
    started = time.perf_counter()
    subprocess.run([HPO, *arguments], cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - started


def small_study(trials: int, workers: int) -> tuple[float, float]:
    """Return the seconds until the first trial starts in a worker, and in all."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.time()
        whole = seconds(
            "run", str(STUDY), "--rounds", "1", "--trials", str(trials), "--workers", str(workers),
            folder=folder,
        )
        seconds("export", "digits", "trials.json", folder=folder)
        table = json.loads((Path(folder) / "trials.json").read_text())
    started = min(datetime.datetime.fromisoformat(trial["started"]) for trial in table)
    return started.timestamp() - began, whole


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found: dict[str, list[float]] = {}
    for _ in range(options.turns):
        first, whole = small_study(options.trials, options.workers)
        for name, value in {
            "hpo --help": seconds("--help"),
            "hpo check": seconds("check", str(STUDY)),
            "hpo run, to the first trial": first,
            f"hpo run, {options.trials} trials on digits": whole,
        }.items():
            found.setdefault(name, []).append(value)
        print(".", end="", file=sys.stderr, flush=True)
    medians = {name: statistics.median(values) for name, values in found.items()}
    if options.json:
        print(json.dumps({"workers": options.workers, "seconds": found, "medians": medians},
                         indent=2))
        return
    print(f"{options.workers} workers, medians of {options.turns} turns, seconds")
    for name, value in medians.items():
        print(f"{name:32}{value:8.2f}")


if __name__ == "__main__":
    main()
