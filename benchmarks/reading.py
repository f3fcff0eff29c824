"""Measure how long commands take that only read a study, beside what MLflow takes to be imported.

Each is a command in a process of its own, on records in an SQLite file that hpo run made before.

    python benchmarks/reading.py [--trials 200 5000] [--turns 5] [--json]
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HPO = Path(sys.executable).with_name("hpo")
OBJECTIVE = """
def train(learning_rate: float, weight_decay: float, momentum: float, width: int):
    for epoch in range(1, 11):
        distance = (learning_rate - 0.3) ** 2 + (momentum - 0.8) ** 2 + weight_decay * width / 1e4
        yield {"loss": distance + 1 / epoch}
"""
STUDY = """
objective = "instant:train"
metric = "loss"
direction = "minimize"
rounds = 2

[search_space]
learning_rate = { low = 1e-4, high = 1.0, log = true }
weight_decay = { low = 1e-8, high = 1e-2, log = true }
momentum = { low = 0.0, high = 0.99 }
width = { low = 8, high = 512, log = true }
"""
COMMANDS = (
    ("list",), ("show", "instant"), ("best", "instant"), ("export", "instant", "all.csv"),
    ("narrow", "instant.toml"), ("report", "instant", "all.html"), ("run", "instant.toml"),
)
PEERS = {"python": "pass", "import mlflow": "import mlflow"}


def seconds(command: list[str], folder: Path) -> float:
    """Return how long a command takes."""
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - started


def make_record(folder: Path, trials: int) -> None:
    """Run a study of two rounds whose training takes no time."""
    (folder / "instant.py").write_text(OBJECTIVE, encoding="utf-8")
    text = f"{STUDY}\n[round]\ntrials = {trials // 2}\nsampler = \"random\"\n"
    (folder / "instant.toml").write_text(text, encoding="utf-8")
    seconds([str(HPO), "run", "instant.toml", "--inline"], folder)


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, nargs="+", default=[200, 5_000])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        places = {trials: Path(folder, str(trials)) for trials in options.trials}
        for trials, place in places.items():
            place.mkdir()
            print(f"running {trials:,} trials …", file=sys.stderr)
            make_record(place, trials)
        for _ in range(options.turns):
            for trials, place in places.items():
                times = {f"hpo {command[0]}": [str(HPO), *command] for command in COMMANDS}
                times |= {name: [sys.executable, "-c", code] for name, code in PEERS.items()}
                column = found.setdefault(f"{trials:,} trials", {})
                for name, command in times.items():
                    column.setdefault(name, []).append(seconds(command, place))
    medians = {
        column: {name: statistics.median(values) for name, values in rows.items()}
        for column, rows in found.items()
    }
    if options.json:
        print(json.dumps({"seconds": found, "medians": medians}, indent=2))
        return
    print(f"medians of {options.turns} turns, seconds, and how many times that of import mlflow")
    print(f"{'':16}" + "".join(f"{column:>16}" for column in medians))
    for name in next(iter(medians.values())):
        cells = (
            f"{rows[name]:8.2f}{rows[name] / rows['import mlflow']:7.2f}x"
            for rows in medians.values()
        )
        print(f"{name:16}" + "".join(cells))


if __name__ == "__main__":
    main()
