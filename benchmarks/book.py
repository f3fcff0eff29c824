"""Time the textbook's whole search: 100 trials of 50 epochs on MNIST, from start to finish.

`hpo run` on studies/mnist_book.toml, without pruning and with, each as a process of its own in an
empty folder: it starts Ray, makes the record and its figures, and stops Ray again. Beside it the
same networks, rows, batches and epochs in a plain loop over scikit-learn's MLPClassifier, one
process, one thread, nothing recorded.

    python benchmarks/book.py [--data FOLDER] [--turns 3] [--workers 2] [--json]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# Each library is to pick its own code for this CPU.
os.environ.pop("OPENBLAS_CORETYPE", None)

ROOT = Path(__file__).parents[1]
STUDY = ROOT / "studies" / "mnist_book.toml"
PRUNERS = ("none", "successive_halving")


def time_hpo(data: Path, pruner: str, workers: int) -> float:
    """Return the seconds of one round in an empty folder."""
    command = [
        Path(sys.executable).with_name("hpo"), "run", STUDY, "--workers", str(workers),
        "--set", f"data.source={data.resolve()}", "--set", f"round.pruner={pruner}",
    ]
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        return time.perf_counter() - started


def time_scikit_learn(data: Path) -> float:
    """Return the seconds of as many networks in a loop: imports and reading are not in it."""
    code = """
import sys, time, warnings
from pathlib import Path
import numpy as np
from sklearn.neural_network import MLPClassifier
from hpo import study
from hpo.data import loading as data
book = study.read(Path(sys.argv[1]))
settings = data.DataSettings(source=sys.argv[2], rows=500, validation=0.2)
split = data.load(settings, seed=0, folder=Path(".")).data
training, validation = split.training, split.validation
flat = training.inputs.reshape(len(training.inputs), -1)
seen = validation.inputs.reshape(len(validation.inputs), -1)
warnings.simplefilter("ignore")
random = np.random.default_rng(0)
started = time.perf_counter()
for _ in range(book.round.trials):
    points = {n: d.from_unit(random.random()) for n, d in book.search_space.items()}
    network = MLPClassifier(
        book.fixed["hidden_sizes"], solver="sgd", momentum=0.0, nesterovs_momentum=False,
        batch_size=book.fixed["batch_size"], alpha=points["weight_decay"],
        learning_rate_init=points["learning_rate"], random_state=0,
    )
    for epoch in range(book.fixed["epochs"]):
        network.partial_fit(flat, training.targets, classes=range(10))
        network.score(flat, training.targets), network.score(seen, validation.targets)
print(time.perf_counter() - started)
"""
    printed = subprocess.run(
        [sys.executable, "-c", code, str(STUDY), str(data)], check=True, capture_output=True,
        text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    ).stdout
    return float(printed)


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "mnist")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not options.data.is_dir():
        print(f"skipped: no data in {options.data}")
        return
    seconds: dict[str, list[float]] = {}
    for _ in range(options.turns):
        for pruner in PRUNERS:
            found = time_hpo(options.data, pruner, options.workers)
            seconds.setdefault(f"hpo, pruner {pruner}", []).append(found)
        seconds.setdefault("scikit-learn, a loop", []).append(time_scikit_learn(options.data))
        print(".", end="", file=sys.stderr, flush=True)
    table = {name: statistics.median(all_) for name, all_ in seconds.items()}
    if options.json:
        print(json.dumps({"workers": options.workers, "seconds": seconds, "medians": table},
                         indent=2))
        return
    print(f"100 trials of 50 epochs, {options.workers} workers, medians of {options.turns} turns")
    print(f"{'':32}{'seconds':>9}{'ratio':>8}")
    first = next(iter(table.values()))
    for name, value in table.items():
        print(f"{name:32}{value:9.1f}{value / first:8.1f}")


if __name__ == "__main__":
    main()
