"""What pruning saves on the textbook's search: MNIST, 100 random trials of 50 epochs, 20 seeds.

Every trial is trained to its end once; each pruner then decides on the same curves, in order of
number with four trials in flight, as a study does. Prints for each pruner the share of epochs it
saves and the best validation accuracy it is left with, beside that of no pruner.

    python benchmarks/pruning.py [--data FOLDER] [--seeds 20] [--trials 100] [--json]
"""

import argparse
import json
import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[0] = str(ROOT)

from hpo import study, threads  # noqa: E402
from hpo.data import loading as data  # noqa: E402
from hpo.data.settings import DataSettings  # noqa: E402
from hpo.distributions import FloatDistribution  # noqa: E402
from hpo.search.by_number import RandomSampler  # noqa: E402
from hpo.search.order import ResultsInOrder  # noqa: E402
from hpo.search.pruning import (  # noqa: E402
    MedianPruner,
    PercentilePruner,
    Pruner,
    SuccessiveHalvingPruner,
)
from hpo.search.round_plan import RoundPlan  # noqa: E402
from hpo.trial import State, Trial, TrialResult, read_value, trial_seed  # noqa: E402
from hpo.workers import attempt  # noqa: E402

PARALLEL = 4
PRUNERS: dict[str, Pruner | None] = {
    "none": None,
    "median": MedianPruner(),
    "percentile 25": PercentilePruner(),
    "successive halving": SuccessiveHalvingPruner(),
}


def curves(
    folder: Path, seed: int, trials: int, epochs: int, validation_rows: int = 100
) -> list[TrialResult]:
    """Train all trials of one seed to their end, on 400 rows."""
    rows = 400 + validation_rows
    settings = DataSettings(source=str(folder), rows=rows, validation=validation_rows / rows)
    split = data.load(settings, seed=seed, folder=ROOT)
    space = {
        "learning_rate": FloatDistribution(1e-6, 1e0, log=True),
        "weight_decay": FloatDistribution(1e-8, 1e-4, log=True),
    }
    book = study.read(ROOT / "studies" / "mnist_book.toml")
    fixed = {**book.fixed, "epochs": epochs}
    job = attempt.Job(book.objective.name, book.metric, book.direction, "last", fixed)
    sampler = RandomSampler(RoundPlan(space, book.direction, seed, 1, trials))
    results = []
    for number in range(1, trials + 1):
        of_trial = trial_seed(seed, 1, number)
        trial = Trial(1, number, sampler.propose(number, of_trial), of_trial)
        *_, result = attempt.attempt_trial(job, split.data, trial, 1)
        assert isinstance(result, TrialResult)
        results.append(result)
    return results


def pruned(
    results: list[TrialResult], pruner: Pruner | None, job: attempt.Job
) -> list[TrialResult]:
    """Return the results as they are where `pruner` stops trials, decided in order of number."""
    decided = ResultsInOrder(PARALLEL)
    for number, result in enumerate(results, start=1):
        assert decided.are_ready_for(number)
        known = decided.known_to(number)
        cut = pruner.cut_offs(known, job.metric, job.direction) if pruner else None
        kept = result
        for epoch in range(1, result.epochs + 1):
            so_far = result.metrics[:epoch]
            over = epoch == result.epochs and result.state is State.DIVERGED
            if cut and not over and attempt.falls_behind(so_far, job, cut):
                value, at = read_value([m[job.metric] for m in so_far], "last", job.direction)
                kept = TrialResult(result.trial, State.PRUNED, value, at, so_far)
                break
        decided.add(kept)
    return decided.all()


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "mnist")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not options.data.is_dir():
        print(f"skipped: no folder {options.data} with the files of MNIST; pass it with --data")
        return
    threads.limit_threads(1)
    perceptron = "trainer.objectives:perceptron"
    job = attempt.Job(perceptron, "validation_accuracy", "maximize", "last", {})
    epochs: dict[str, list[float]] = {pruner: [] for pruner in PRUNERS}
    best: dict[str, list[float]] = {pruner: [] for pruner in PRUNERS}
    for seed in range(options.seeds):
        print(f"seed {seed + 1} of {options.seeds} …", file=sys.stderr)
        results = curves(options.data, seed, options.trials, options.epochs)
        whole = sum(r.epochs for r in results)
        for pruner, rule in PRUNERS.items():
            decided = pruned(results, rule, job)
            epochs[pruner].append(1 - sum(r.epochs for r in decided) / whole)
            best[pruner].append(
                max(r.value for r in decided if r.state is State.COMPLETE and r.value is not None)
            )
    error = statistics.stdev(best["none"]) / options.seeds**0.5 if options.seeds > 1 else 0.0
    table = {
        pruner: {
            "epochs_saved": statistics.mean(epochs[pruner]),
            "best": statistics.mean(best[pruner]),
            "best_lost": statistics.mean(best["none"]) - statistics.mean(best[pruner]),
        }
        for pruner in PRUNERS
    }
    if options.json:
        print(json.dumps({"seeds": options.seeds, "trials": options.trials,
                          "standard_error_of_best": error, "pruners": table}, indent=2))
        return
    print(f"{options.seeds} seeds of {options.trials} trials x {options.epochs} epochs; "
          f"standard error of the best without pruning {error:.4f}")
    print(f"{'pruner':20}{'epochs saved':>14}{'best accuracy':>15}{'lost':>9}")
    for pruner, row in table.items():
        print(f"{pruner:20}{row['epochs_saved']:14.1%}{row['best']:15.4f}{row['best_lost']:9.4f}")


if __name__ == "__main__":
    main()
