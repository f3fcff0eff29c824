"""Compare searches on few rows: one split, five folds, and one split with confirmation.

Of the bundled digits 200 rows train and validate a perceptron, so that a value says as much of the
40 validation rows as of the hyperparameters. Three searches train as many networks: 100 trials on
one split, 20 trials on five folds, or 75 trials of which the best five are repeated five times on
fresh splits. Two more have folds and the median pruner, or folds for as many trials as one split.
Each search ends as a user's would: `hpo evaluate` trains its recommended trial on all 200 rows. Its
score is the accuracy on 1,078 rows that no search has seen; `found` is the accuracy that the search
itself promised, and `epochs` is how many it trained on average.

    python -m benchmarks.folds [--repetitions N] [--trainings N] [--json]
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

FOLDS = 5
STUDY = """
objective = "trainer.objectives:perceptron"
metric = "validation_accuracy"
direction = "maximize"
seed = {seed}

[data]
source = "digits"
rows = 200
test = 0.6

[fixed]
epochs = 15
batch_size = 20
optimizer = "adam"

[search_space]
learning_rate = {{ low = 1e-5, high = 1e-1, log = true }}
weight_decay = {{ low = 1e-6, high = 1.0, log = true }}
dropout_rate = {{ low = 0.0, high = 0.7 }}
hidden_sizes = {{ choices = [[8], [32], [128], [32, 32]] }}

[round]
trials = {trials}
"""


@dataclass(frozen=True)
class Outcome:
    """How accurate the chosen trial seemed, and how accurate it is on rows that nobody has seen."""

    found: float
    true: float
    epochs: int


def searches(trainings: int) -> dict[str, tuple[int, str]]:
    """Return the trials of each search, and what its study file has besides."""
    repeats = trainings // 4
    return {
        "one split": (trainings, ""),
        "five folds": (trainings // FOLDS, f"[trial]\nfolds = {FOLDS}\n"),
        "one split, confirmed": (
            trainings - repeats,
            f"[confirm]\ntop = {FOLDS}\nrepeats = {repeats // FOLDS}\nresplit = true\n",
        ),
        "five folds, pruned": (
            2 * trainings // FOLDS,
            f'pruner = {{ name = "median", warmup_epochs = 2 }}\n[trial]\nfolds = {FOLDS}\n',
        ),
        "five folds, as many trials": (trainings, f"[trial]\nfolds = {FOLDS}\n"),
    }


def outcome(seed: int, trials: int, more: str) -> Outcome:
    """Run one search, and spend its test set."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "study.toml").write_text(STUDY.format(seed=seed, trials=trials) + more)

        def hpo(*arguments: str) -> str:
            command = [sys.executable, "-m", "hpo", *arguments]
            return subprocess.run(
                command, cwd=folder, check=True, capture_output=True, text=True
            ).stdout

        hpo("run", "study.toml", "--inline")
        hpo("export", "study", "trials.csv", "--parts", "--repeats")
        with (folder / "trials.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        in_parts = any("part" in row for row in rows)
        epochs = sum(int(row["epochs"]) for row in rows if not in_parts or row["part"] != "0")
        member = json.loads(hpo("evaluate", "study.toml", "--json"))["members"][0]
        return Outcome(member["value"], member["accuracy"], epochs)


def main() -> None:
    """Run the searches, and print what they came to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--trainings", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    kinds = searches(options.trainings)
    seeds = range(options.repetitions)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = {
            name: [pool.submit(outcome, seed, trials, more) for seed in seeds]
            for name, (trials, more) in kinds.items()
        }
        outcomes = {name: [run.result() for run in each] for name, each in runs.items()}
    if options.json:
        print(json.dumps({n: [vars(o) for o in each] for n, each in outcomes.items()}, indent=1))
        return
    base = np.array([o.true for o in outcomes["one split"]])
    print("| search | trials | epochs | found | true | better than one split |")
    print("|---|---|---|---|---|---|")
    for name, each in outcomes.items():
        true = np.array([o.true for o in each])
        found, epochs = (float(np.mean([getattr(o, n) for o in each])) for n in ("found", "epochs"))
        gain = true - base
        error = gain.std(ddof=1) / np.sqrt(len(gain))
        better = f"{gain.mean():+.4f} ± {error:.4f}" if name != "one split" else ""
        print(
            f"| {name} | {kinds[name][0]} | {epochs:,.0f} | {found:.4f} | {true.mean():.4f} "
            f"| {better} |"
        )


if __name__ == "__main__":
    main()
