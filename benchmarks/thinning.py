"""Measure whether TPE does worse when it sees fewer trials, on the tasks of narrowing.py.

Optuna's TPE takes longer with each trial it is shown, so a study shows it at most so many: the
best, and of the others every second one again and again. Each search has flat, full ranges; its
score is the regret of the true mean at its pick, as in narrowing.py. Beside it what a proposal
costs at the end.

    python -m benchmarks.thinning [--trials 400] [--shown 100] [--repetitions 20] [--json]
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np

from benchmarks.measured import DATA, Array, Task, read_tasks, starts
from benchmarks.narrowing import search
from hpo.search import optuna_sampler


def one(
    tasks: Sequence[Task], trials: int, shown: int, job: tuple[int, int]
) -> tuple[float, float]:
    """Return the regret of one search, and its seconds."""
    optuna_sampler.OptunaSampler.most_shown = shown
    optuna_sampler.BEST_SHOWN = min(optuna_sampler.BEST_SHOWN, shown // 4)
    repetition, number = job
    began = time.process_time()
    points, values = search(
        tasks[number], starts(tasks)["full"], "tpe", None, (repetition, number), trials
    )
    return tasks[number].regret(points[int(values.argmax())]), time.process_time() - began


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--shown", type=int, default=100)
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not (DATA / "grid.json").exists():
        print(f"skipped: no data in {DATA}")
        return
    tasks = read_tasks(DATA)
    jobs = [(r, t) for r in range(options.repetitions) for t in range(len(tasks))]
    regrets: dict[str, Array] = {}
    seconds: dict[str, float] = {}
    with ProcessPoolExecutor() as pool:
        for name, shown in {"all": sys.maxsize, f"at most {options.shown}": options.shown}.items():
            found = np.array(
                list(pool.map(partial(one, tasks, options.trials, shown), jobs, chunksize=4))
            )
            regrets[name], seconds[name] = found[:, 0], float(found[:, 1].mean())
    whole, thinned = regrets.values()
    differences = (thinned - whole).reshape(options.repetitions, len(tasks)).mean(axis=1)
    drawn = np.random.default_rng(0).choice(differences, (2000, len(differences))).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    if options.json:
        print(json.dumps({
            "trials": options.trials, "repetitions": options.repetitions,
            "regret": {name: float(r.mean()) for name, r in regrets.items()},
            "difference": [float(differences.mean()), float(low), float(high)],
            "seconds_a_search": seconds,
        }, indent=2))
        return
    print(f"{len(tasks)} tasks, {options.repetitions} repetitions of {options.trials} trials")
    print(f"{'shown':16}{'regret':>8}{'s a search':>12}")
    for name, values in regrets.items():
        print(f"{name:16}{values.mean():8.4f}{seconds[name]:12.1f}")
    print(f"difference {differences.mean():+.4f} (95 %: {low:+.4f} to {high:+.4f})")


if __name__ == "__main__":
    main()
