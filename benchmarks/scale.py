"""How far one service reaches: 64 logical workers on one machine, 2,000 trials that only wait.

A trial sleeps 0.5 to 1.5 s, as its seed says, and yields ten epochs. The ideal is all this sleep,
shared by 64 workers that never wait. The workers are warm before the clock starts. `parallel` is
the number of workers, and for TPE, which waits for results, also 1.5 times as many.

    python benchmarks/scale.py [--trials 2000] [--workers 64] [--json]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

from overhead import EPOCHS, Hyperparameters


def waiting(hyperparameters: Hyperparameters, data: object = None, *, seed: int) -> Generator[Any]:
    for epoch in range(1, EPOCHS + 1):
        time.sleep(length(seed) / EPOCHS)
        value = 1 / (1 + abs(hyperparameters.learning_rate - 1e-3)) * epoch / EPOCHS
        yield {"accuracy": value, "loss": 1 - value}


def length(seed: int) -> float:
    """Return the seconds a trial takes."""
    return 0.5 + seed % 1000 / 999


waiting.metrics = ("accuracy", "loss")  # type: ignore[attr-defined]


class Watch:
    """Notes when trials begin and end, and what the process then has used."""

    def __init__(self, trials: int) -> None:
        self._left = trials
        self.began = self.ended = 0.0
        self.seconds = 0.0  # of sleep, all in all
        self.processor: list[float] = []
        self.memory: list[float] = []

    def trial_started(self, trial: Any) -> None:
        self.seconds += length(trial.seed)
        if not self.began:
            self.began = time.perf_counter()
            self._look()

    def trial_ended(self, result: Any) -> None:
        self._left -= 1
        if self._left in (0, 1000):
            self._look()
        if not self._left:
            self.ended = time.perf_counter()

    def _look(self) -> None:
        self.processor.append(time.process_time())
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        self.memory.append(pages * os.sysconf("SC_PAGE_SIZE") / 1e6)

    def round_started(self, *_: object) -> None: ...
    def round_ended(self, *_: object) -> None: ...
    def trial_progressed(self, progress: object) -> None: ...
    def note(self, text: str) -> None: ...


def run(sampler: str, trials: int, workers: int, parallel: int) -> dict[str, Any]:
    """Run one study in this process and return what it took."""
    import numpy as np

    from hpo.objective import Data, Part
    from hpo.record.delivery import Delivery
    from hpo.record.outbox import Outbox
    from hpo.record.process import RecordProcess
    from hpo.service.job import job_of
    from hpo.service.rounds import Goal, Rounds
    from hpo.service.running import Running
    from hpo.study import read
    from hpo.workers.ray import RayWorkers

    file = Path("scale.toml")
    file.write_text(
        'objective = "scale:waiting"\nmetric = "accuracy"\ndirection = "maximize"\n'
        "[search_space]\nlearning_rate = { low = 1e-6, high = 1e-2, log = true }\n"
        "weight_decay = { low = 1e-8, high = 1e-4, log = true }\n"
        f'[round]\ntrials = {trials}\nsampler = "{sampler}"\nparallel = {parallel}\n'
    )
    study = read(file)
    process = RecordProcess(f"sqlite:///{os.getcwd()}/mlflow.db")
    record = process.study(study.name)
    delivery = Delivery(Outbox(Path("outbox.jsonl")), record, "accuracy", print)
    delivery.start()
    part = Part(np.zeros((1, 1), np.float32), np.zeros(1, np.int64))
    pool = RayWorkers(job_of(study), Data(part, part, "classification"), workers=workers)
    warm_up(pool, workers)
    watch = Watch(trials)
    running = Running(study, record, delivery, None, lambda repeat: pool, watch)
    Rounds(running).run(Goal(1), None)
    complete = time.perf_counter()
    delivery.close()
    process.close()
    wall = watch.ended - watch.began
    return {
        "sampler": sampler,
        "trials": trials,
        "workers": workers,
        "parallel": parallel,
        "trials_per_second": trials / wall,
        "share_of_ideal": watch.seconds / workers / wall,
        "service_cpu_milliseconds_per_trial":
            1000 * (watch.processor[-1] - watch.processor[0]) / trials,
        "memory_megabytes": [round(megabytes) for megabytes in watch.memory],
        "seconds_until_record_complete": complete - watch.ended,
    }


def warm_up(pool: Any, workers: int) -> None:
    """Run trials until each worker has had one: starting a process takes Ray up to a second."""
    from hpo.trial import Trial, TrialResult

    places: set[str] = set()
    number = 0
    while len(places) < workers:
        for _ in range(workers):
            number += 1
            pool.submit(Trial(1, number, {"learning_rate": 1e-3, "weight_decay": 1e-6}, 0), 1)
        waiting = workers
        while waiting:
            event = pool.next_event(1.0)
            if isinstance(event, TrialResult):
                places.add(event.place)
                waiting -= 1


def measure(sampler: str, trials: int, workers: int, parallel: int) -> dict[str, Any]:
    """Run one study in a process and a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--only", sampler, "--trials", str(trials),
                   "--workers", str(workers), "--parallel", str(parallel)]
        path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
        done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True,
                              env={**os.environ, "PYTHONPATH": path})
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--parallel", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--only", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        print(json.dumps(run(options.only, options.trials, options.workers, options.parallel)))
        return
    workers = options.workers
    results = [
        measure(name, options.trials, workers, parallel)
        for name, parallel in (("random", workers), ("tpe", workers), ("tpe", workers * 3 // 2))
    ]
    if options.json:
        print(json.dumps(results, indent=2))
        return
    print(f"{options.trials} trials of 0.5 to 1.5 s, {workers} workers\n")
    print("sampler  parallel  share of ideal  trials/s  service CPU ms/trial"
          "  memory MB (start, later, end)  record complete after s")
    for r in results:
        memory = ", ".join(map(str, r["memory_megabytes"]))
        print(f"{r['sampler']:<7}  {r['parallel']:>8}  {r['share_of_ideal']:>14.2f}"
              f"  {r['trials_per_second']:>8.1f}"
              f"  {r['service_cpu_milliseconds_per_trial']:>20.1f}  {memory:>29}"
              f"  {r['seconds_until_record_complete']:>23.1f}")


if __name__ == "__main__":
    main()
