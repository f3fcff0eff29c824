"""Measure the overhead per trial of hpo, Optuna and Ray Tune, each recording to MLflow.

A trial only yields ten epochs of three metrics. Wall milliseconds a trial, from the first proposal
to the last delivered record; start-up stands beside it. Each system runs in a process of its own,
in turns, all in one run; peers that are not installed are left out with a note.

    python benchmarks/overhead.py [--trials 300] [--systems NAME …] [--growth] [--json]
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

EPOCHS = 10
SPACE = {"learning_rate": (1e-6, 1e-2), "weight_decay": (1e-8, 1e-4)}


@dataclass(frozen=True)
class Hyperparameters:
    learning_rate: float = 1e-3
    weight_decay: float = 1e-6


def nothing(hyperparameters: Hyperparameters, data: object = None, *, seed: int) -> Generator[Any]:
    for epoch in range(1, EPOCHS + 1):
        yield metrics(hyperparameters.learning_rate, hyperparameters.weight_decay, epoch)


def metrics(learning_rate: float, weight_decay: float, epoch: int) -> dict[str, float]:
    value = 1 / (1 + abs(learning_rate - 1e-3) + weight_decay) * epoch / EPOCHS
    return {"accuracy": value, "loss": 1 - value, "training_loss": 1 - value}


nothing.metrics = ("accuracy", "loss", "training_loss")  # type: ignore[attr-defined]


def run_study(
    objective: str, trials: int, workers: int, parallel: int, earlier: int = 0
) -> dict[str, Any]:
    """Run a study on a Ray of its own in the working directory; return what was measured.

    With `earlier` trials in the study already. "began", the first trial sent out, and "ended",
    the last result on record, are on the clock of `time.perf_counter`; "results" are those of
    this run.
    """
    import numpy as np

    from hpo.objective import Data, Part
    from hpo.record.delivery import Delivery
    from hpo.record.outbox import Outbox
    from hpo.record.process import RecordProcess, StudyElsewhere
    from hpo.record.writing import Finished, Lanes, Outcomes
    from hpo.service.job import job_of
    from hpo.service.rounds import Goal, Rounds
    from hpo.service.running import Running
    from hpo.study import read
    from hpo.workers.ray import RayWorkers

    edges = "\n".join(
        f"{name} = {{ low = {low}, high = {high}, log = true }}"
        for name, (low, high) in SPACE.items()
    )
    file = Path("study.toml")
    file.write_text(
        f'objective = "{objective}"\nmetric = "accuracy"\ndirection = "maximize"\n'
        f"[search_space]\n{edges}\n"
        f'[round]\ntrials = {earlier + trials}\nsampler = "tpe"\nparallel = {parallel}\n'
    )
    study = read(file)

    class Clocked(StudyElsewhere):
        ended = 0.0

        def write(self, metric: str, lanes: Lanes) -> Outcomes:
            outcomes = super().write(metric, lanes)
            if any(isinstance(entry, Finished) for lane in lanes for entry in lane):
                self.ended = time.perf_counter()
            return outcomes

    process = RecordProcess(f"sqlite:///{os.getcwd()}/mlflow.db")
    record = Clocked(process, study.name)
    if earlier:
        fill(record, study, earlier)
    opened = time.perf_counter()
    recorded = record.read()
    read_seconds = time.perf_counter() - opened
    watch = Watch()
    delivery = Delivery(Outbox(Path("outbox.jsonl")), record, "accuracy", print)
    delivery.start()
    part = Part(np.zeros((1, 1), np.float32), np.zeros(1, np.int64))
    pool = RayWorkers(job_of(study), Data(part, part, "classification"), workers=workers)
    service = Rounds(Running(study, record, delivery, None, lambda repeat: pool, watch))
    service.run(Goal(1), recorded)
    delivery.close()
    search, writer = map(highest_megabytes, (os.getpid(), process.number))
    process.close()
    return {"began": watch.began, "ended": record.ended, "read_seconds": read_seconds,
            "search_megabytes": search, "record_megabytes": writer,
            "results": watch.results[earlier:]}


def highest_megabytes(process: int) -> float:
    """Return the most resident memory a process had so far."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return float(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1000


def time_hpo(trials: int, workers: int, earlier: int = 0) -> dict[str, float]:
    """Return seconds and memory of `trials` trials, with `earlier` ones in the study already."""
    began = time.perf_counter()
    run = run_study("overhead:nothing", trials, workers, 2 * workers, earlier)
    return {
        "milliseconds": (run["ended"] - run["began"]) / trials * 1000,
        "startup_seconds": run["began"] - began,
        "memory_megabytes": run["search_megabytes"] + run["record_megabytes"],
        "search_megabytes": run["search_megabytes"],
        "record_megabytes": run["record_megabytes"],
        "read_seconds": run["read_seconds"],
    }


class Watch:
    """Notes when the first trial is sent out, and what comes back."""

    def __init__(self) -> None:
        self.began = 0.0
        self.results: list[Any] = []

    def trial_started(self, trial: object) -> None:
        self.began = self.began or time.perf_counter()

    def round_started(self, *_: object) -> None: ...
    def round_ended(self, *_: object) -> None: ...
    def trial_progressed(self, progress: object) -> None: ...

    def trial_ended(self, result: object) -> None:
        self.results.append(result)

    def note(self, text: str) -> None: ...


def fill(record: Any, study: Any, count: int) -> None:
    """Put `count` finished trials on record, through the same door but for one transaction."""
    import random

    from hpo.record.values import RoundStart, Shown
    from hpo.record.writing import Finished
    from hpo.service.comparability import settings_of
    from hpo.trial import State, Trial, TrialResult, trial_seed

    record.create("", {}, Shown((), study.metric, study.direction))
    settings = settings_of(study, None)
    record.start_round(RoundStart(1, study.search_space, settings))
    generator = random.Random(0)
    for number in range(1, count + 1):
        values = {name: d.from_unit(generator.random()) for name, d in study.search_space.items()}
        epochs = [metrics(*values.values(), epoch) for epoch in range(1, EPOCHS + 1)]
        trial = Trial(1, number, values, trial_seed(0, 1, number))
        result = TrialResult(trial, State.COMPLETE, epochs[-1]["accuracy"], EPOCHS, epochs, 1,
                             time.time(), 0.001, "here")
        record.write("accuracy", [[Finished(result)]])


def time_optuna(trials: int, workers: int, epochs: bool = True) -> dict[str, float]:
    """Optuna with SQLite storage and its MLflow callback, which records final values only.

    With `epochs` a trial reports its value after each one, as Optuna's pruners need it.
    """
    began = time.perf_counter()
    import optuna
    from optuna_integration import MLflowCallback

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        storage="sqlite:///optuna.db", sampler=optuna.samplers.TPESampler(seed=0),
        direction="maximize",
    )
    callback = MLflowCallback("sqlite:///mlflow.db", metric_name="accuracy")

    def objective(trial: Any) -> float:
        values = {n: trial.suggest_float(n, *edges, log=True) for n, edges in SPACE.items()}
        for epoch in range(1, EPOCHS + 1):
            value = metrics(**values, epoch=epoch)["accuracy"]
            if epochs:
                trial.report(value, epoch)
        return value

    study.optimize(objective, n_trials=1, callbacks=[callback])  # makes MLflow's tables
    started = time.perf_counter()
    study.optimize(objective, n_trials=trials, n_jobs=workers, callbacks=[callback])
    return {
        "milliseconds": (time.perf_counter() - started) / trials * 1000,
        "startup_seconds": started - began,
        "memory_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
    }


def time_ray_tune(trials: int, workers: int) -> dict[str, float]:
    """Ray Tune with OptunaSearch and its MLflow callback."""
    began = time.perf_counter()
    import ray
    from ray import tune
    from ray.air.integrations.mlflow import MLflowLoggerCallback
    from ray.tune.search.optuna import OptunaSearch

    ray.init("local", num_cpus=workers, include_dashboard=False, log_to_driver=False,
             logging_level="error", object_store_memory=100_000_000)

    def trainable(config: dict[str, float]) -> None:
        for epoch in range(1, EPOCHS + 1):
            tune.report(metrics(**config, epoch=epoch))

    callback = MLflowLoggerCallback(
        tracking_uri=f"sqlite:///{os.getcwd()}/mlflow.db", experiment_name="tune"
    )
    tuner = tune.Tuner(
        trainable,
        param_space={n: tune.loguniform(*edges) for n, edges in SPACE.items()},
        tune_config=tune.TuneConfig(
            metric="accuracy", mode="max", num_samples=trials, search_alg=OptunaSearch(seed=0),
            max_concurrent_trials=workers,
        ),
        run_config=tune.RunConfig(
            storage_path=os.getcwd(), verbose=0, callbacks=[callback]
        ),
    )
    started = time.perf_counter()
    tuner.fit()
    seconds = time.perf_counter() - started
    ray.shutdown()
    return {
        "milliseconds": seconds / trials * 1000,
        "startup_seconds": started - began,
        "memory_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
    }


SYSTEMS: dict[str, Callable[..., dict[str, float]]] = {
    "hpo": time_hpo,
    "optuna": time_optuna,
    "optuna, final values only": partial(time_optuna, epochs=False),
    "ray tune": time_ray_tune,
}


def measure(system: str, trials: int, workers: int, earlier: int = 0) -> dict[str, float] | str:
    """Return what one system needs in a process and a folder of its own, or why not."""
    arguments = [sys.executable, os.path.abspath(__file__), "--measure", system, "--trials",
                 str(trials), "--workers", str(workers), "--earlier", str(earlier)]
    environment = {
        **os.environ, "PYTHONPATH": str(Path(__file__).parent), "RAY_AUTH_MODE": "token",
        "RAY_USAGE_STATS_ENABLED": "0", "MLFLOW_DISABLE_TELEMETRY": "true",
        "OMP_NUM_THREADS": "1", "MLFLOW_LOGGING_LEVEL": "ERROR",
        "RAY_AIR_NEW_OUTPUT": "0", "MPLBACKEND": "agg",
    }
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True,
                              text=True, check=False)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["failed"])[-1]
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--growth", action="store_true", help="hpo with 100 to 10,000 trials")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--measure", choices=SYSTEMS, help=argparse.SUPPRESS)
    parser.add_argument("--earlier", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        extra = {"earlier": options.earlier} if options.measure == "hpo" else {}
        print(json.dumps(SYSTEMS[options.measure](options.trials, options.workers, **extra)))
        return
    cases = (
        {f"hpo, {n:,} trials before": ("hpo", n) for n in (100, 1_000, 10_000)}
        if options.growth else {name: (name, 0) for name in options.systems}
    )
    found: dict[str, list[dict[str, float]]] = {name: [] for name in cases}
    missing: dict[str, str] = {}
    for _ in range(options.turns):
        for name, (system, earlier) in cases.items():
            if name in missing:
                continue
            print(f"measuring {name} …", file=sys.stderr)
            one = measure(system, options.trials, options.workers, earlier)
            if isinstance(one, str):
                missing[name] = one
            else:
                found[name].append(one)
    table = {
        name: {key: statistics.median(r[key] for r in rows) for key in rows[0]}
        for name, rows in found.items() if rows
    }
    if options.json:
        print(json.dumps({"trials": options.trials, "workers": options.workers,
                          "systems": table, "missing": missing}, indent=2))
        return
    first = next(iter(table.values()))["milliseconds"]
    print(f"{options.trials} trials, {options.workers} workers, medians of {options.turns} turns")
    print(f"{'':28}{'ms a trial':>12}{'ratio':>8}{'start-up s':>12}{'memory MB':>11}{'read s':>8}")
    for name, row in table.items():
        read = f"{row['read_seconds']:8.2f}" if "read_seconds" in row else ""
        print(f"{name:28}{row['milliseconds']:12.1f}{row['milliseconds'] / first:8.1f}"
              f"{row['startup_seconds']:12.1f}{row['memory_megabytes']:11.0f}{read}")
    for name, reason in missing.items():
        print(f"{name}: not measured ({reason})")


if __name__ == "__main__":
    main()
