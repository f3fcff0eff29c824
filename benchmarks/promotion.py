"""Compare stopping bad trials early with resuming the good ones from checkpoints.

The textbook's search on MNIST, with 2,500 rows to validate on, so that good is told from better. Of
each seed many random trials are trained to their end once; then each rule decides on the same
curves, taken in order of number, until it has spent as many epochs as the others.

Stopping is what studies do: a trial that falls behind ends, with four trials in flight. Promotion
is synchronous successive halving (Li et al. 2018, Hyperband): of a bracket of trials the best go on
to the next rung, from their copies, once all have come to this one.

Prints the accuracy of the best complete trial after so many epochs, how much better that is than
under successive halving as it is in studies (paired, 95 % interval), and after how many epochs on
average a trial is found that is within a hundredth of the best of all.

    python -m benchmarks.promotion [--data FOLDER] [--seeds 20] [--trials 160] [--json]
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from benchmarks.pruning import ROOT, curves, pruned
from hpo import threads
from hpo.search.pruning import MedianPruner, Pruner, SuccessiveHalvingPruner
from hpo.trial import State, TrialResult
from hpo.workers import attempt

METRIC = "validation_accuracy"
EPOCHS = 50
SPENT = (500, 1000, 1500)  # epochs after which the rules are compared
NEAR = 0.01  # of the best of all, which counts as found
Found = list[tuple[int, float]]  # epochs spent when a trial was complete, and its value


def stopping(results: Sequence[TrialResult], pruner: Pruner | None) -> Found:
    """Return what is found where trials are stopped, or none is."""
    job = attempt.Job("", METRIC, "maximize", "last", {})
    found, spent = [], 0
    for result in pruned(list(results), pruner, job):
        spent += result.epochs
        if result.state is State.COMPLETE:
            found.append((spent, result.value or 0.0))
    return found


def promotion(results: Sequence[TrialResult], rungs: Sequence[int], factor: int) -> Found:
    """Return what is found where the best of each bracket go on; the last rung is the end."""
    found: Found = []
    spent, size = 0, factor ** (len(rungs) - 1)
    for first in range(0, len(results) - size + 1, size):
        bracket = list(results[first : first + size])
        before = 0
        for rung in rungs:
            for result in bracket:
                spent += min(result.epochs, rung) - min(result.epochs, before)
                if rung == rungs[-1] and result.state is State.COMPLETE:
                    found.append((spent, result.value or 0.0))
            alive = [r for r in bracket if r.epochs >= rung and r.state is State.COMPLETE]
            alive.sort(key=lambda r, rung=rung: (-r.metrics[rung - 1][METRIC], r.trial.id))
            bracket, before = alive[: max(len(bracket) // factor, 1)], rung
    return found


RULES: dict[str, Callable[[Sequence[TrialResult]], Found]] = {
    "no stopping": partial(stopping, pruner=None),
    "median": partial(stopping, pruner=MedianPruner()),
    "successive halving": partial(stopping, pruner=SuccessiveHalvingPruner()),
    "promotion, 16 trials, best of 4": partial(promotion, rungs=(7, 28, 50), factor=4),
    "promotion, 9 trials, best of 3": partial(promotion, rungs=(6, 17, 50), factor=3),
    "promotion, 8 trials, best of 2": partial(promotion, rungs=(6, 12, 25, 50), factor=2),
}


def measured(folder: Path, trials: int, seed: int) -> tuple[float, dict[str, Found]]:
    """Return the best value of all trials of a seed, and what each rule finds."""
    threads.limit_threads(1)
    results = curves(folder, seed, trials, EPOCHS, 2500)
    best = max(r.value or 0.0 for r in results if r.state is State.COMPLETE)
    return best, {name: rule(results) for name, rule in RULES.items()}


def best_after(found: Found, spent: int) -> float:
    """Return the best value found with so many epochs; 0 without any."""
    return max((value for epochs, value in found if epochs <= spent), default=0.0)


def epochs_to(found: Found, value: float) -> float:
    """Return the epochs until a trial is found that is so good, at most the last of SPENT."""
    return min([SPENT[-1], *(epochs for epochs, reached in found if reached >= value)])


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "mnist")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=160)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not options.data.is_dir():
        print(f"skipped: no folder {options.data} with the files of MNIST; pass it with --data")
        return
    with ProcessPoolExecutor() as pool:
        seeds = list(pool.map(
            partial(measured, options.data, options.trials), range(options.seeds)
        ))
    rows = []
    for name in RULES:
        values = np.array([
            [best_after(found[name], spent) for spent in SPENT] for _, found in seeds
        ])
        others = np.array([
            [best_after(found["successive halving"], spent) for spent in SPENT]
            for _, found in seeds
        ])
        bound = 1.96 * np.std(values - others, axis=0, ddof=1) / len(seeds) ** 0.5
        needed = [epochs_to(found[name], best - NEAR) for best, found in seeds]
        rows.append({
            "rule": name, "best": values.mean(axis=0).tolist(),
            "better": (values - others).mean(axis=0).tolist(), "bound": bound.tolist(),
            "epochs_needed": float(np.mean(needed)),
        })
    if options.json:
        print(json.dumps({"seeds": options.seeds, "trials": options.trials, "spent": SPENT,
                          "rules": rows}, indent=2))
        return
    print(f"{options.seeds} seeds; best after {', '.join(map(str, SPENT))} epochs, less that of "
          f"successive halving; epochs until one within {NEAR} of the best (at most {SPENT[-1]})")
    for row in rows:
        cells = [
            f"{best:.4f} {better:+.4f} ±{bound:.4f}"
            for best, better, bound in zip(row["best"], row["better"], row["bound"], strict=True)
        ]
        print(f"{row['rule']:33}{'   '.join(cells)}   {row['epochs_needed']:6.0f}")


if __name__ == "__main__":
    main()
