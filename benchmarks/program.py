"""Measure the overhead of a program's supervisor, compared to starting the program directly.

python benchmarks/program.py [--json]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from hpo.program_process import run

PROGRAMS = {
    "a program that does nothing": ["true"],
    "Python that does nothing": [sys.executable, "-c", ""],
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--times", type=int, default=50)
    options.add_argument("--json", action="store_true")
    chosen = options.parse_args()
    results = {name: measure(command, chosen.times) for name, command in PROGRAMS.items()}
    if chosen.json:
        print(json.dumps(results, indent=2))
        return
    print(f"{'medians, ms':30} {'plain':>8} {'supervised':>11} {'more':>6}")
    for name, (plain, supervised) in results.items():
        print(f"{name:30} {plain:8.1f} {supervised:11.1f} {supervised - plain:6.1f}")


def measure(command: list[str], times: int) -> tuple[float, float]:
    """Return milliseconds of both, taken in turns; the supervisor has been started before."""
    def plainly() -> None:
        subprocess.run(command, check=True, capture_output=True)

    def supervised() -> None:
        list(run(command, dict(os.environ), os.getcwd()))

    supervised()
    taken: dict[Callable[[], None], list[float]] = {plainly: [], supervised: []}
    for _ in range(times):
        for call, seconds in taken.items():
            begun = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - begun)
    plain, watched = (1000 * statistics.median(seconds) for seconds in taken.values())
    return plain, watched


if __name__ == "__main__":
    main()
