"""What it costs that TPE learns of results late, beside what it costs to wait for them.

With `parallel` = p, trial n knows the results of the trials up to n - p, and waits for them. A
large p learns less from as many trials; a small one leaves workers idle. Searches over the tables
of `benchmarks.search` are timed by a simulated clock: trial lengths vary by a factor of 3 or 10
(uniform in the logarithm), or have a heavy tail (log-normal, sigma 1), independent of the values.
Each worker has 10 trials on average. Regrets are those of the best observed value: after all
trials, and among the trials that have ended by the time in which workers without any waiting would
have completed 6 trials each.

    python -m benchmarks.parallel [--data DIR] [--repetitions N] [--workers N ...] [--json]
"""

import heapq
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np

from benchmarks.measured import arguments, parsed
from benchmarks.search import Task, paired, read_tasks
from hpo.search.order import ResultsInOrder
from hpo.search.round_plan import RoundPlan
from hpo.search.samplers import SAMPLERS
from hpo.trial import State, Trial, TrialResult, rank, trial_seed

TIMES = (1.0, 1.25, 1.5, 2.0, 3.0, 4.0)  # parallel, over the number of workers
TRIALS, BY = 10, 6  # a worker: in all, and by the time that regrets are compared
LENGTHS: Mapping[str, Callable[[np.random.Generator], float]] = {
    "factor of 3": lambda rng: float(3 ** rng.uniform(-0.5, 0.5)),
    "factor of 10": lambda rng: float(10 ** rng.uniform(-0.5, 0.5)),
    "heavy tail": lambda rng: float(np.exp(rng.normal(0.0, 1.0))),
}


def search(task: Task, parallel: int, trials: int, seed: int) -> list[TrialResult]:
    """Return the results of one round of TPE; they depend on `parallel`, not on a clock."""
    sampler = SAMPLERS["tpe"](RoundPlan(task.space("full"), "maximize", seed, 1, trials))
    generator = np.random.default_rng(seed)
    results = ResultsInOrder(parallel)
    told = 0
    for number in range(1, trials + 1):
        for result in results.known_to(number, after=told):
            sampler.tell(result)
            told += 1
        own_seed = trial_seed(seed, 1, number)
        trial = Trial(1, number, sampler.propose(number, own_seed), own_seed)
        values = task.values(trial.hyperparameters)
        value = float(values[generator.integers(len(values))])
        results.add(TrialResult(trial, State.COMPLETE, value))
        results.in_order()
    return results.all()


def ends(lengths: Sequence[float], workers: int, parallel: int) -> list[float]:
    """Return when each trial ends, if each begins as soon as order and workers allow."""
    running: list[tuple[float, int]] = []
    ended: dict[int, float] = {}
    now, prefix = 0.0, 0
    for number in range(1, len(lengths) + 1):
        while len(running) == workers or prefix < number - parallel:
            now, first = heapq.heappop(running)
            ended[first] = now
            while prefix + 1 in ended:
                prefix += 1
        heapq.heappush(running, (now + lengths[number - 1], number))
    ended |= {number: end for end, number in running}
    return [ended[number] for number in range(1, len(lengths) + 1)]


def measure(
    tasks: Sequence[Task], workers: int, repetition: int
) -> list[list[list[tuple[float, float, float]]]]:
    """Return (idle share, regret after all trials, regret by then) of each task, times, lengths.

    Idle is what is left of workers x seconds until the last trial begins.
    """
    trials = TRIALS * workers
    table = []
    for at, task in enumerate(tasks):
        rows = []
        for times in TIMES:
            parallel = round(times * workers)
            results = search(task, parallel, trials, 1000 * repetition + at)
            best = task.regret(rank(results, "maximize")[0].trial.hyperparameters)
            row = []
            for number, draw in enumerate(LENGTHS.values()):
                rng = np.random.default_rng((repetition, at, number))
                lengths = [draw(rng) for _ in range(trials)]
                then = ends(lengths, workers, parallel)
                starts = [end - length for end, length in zip(then, lengths, strict=True)]
                last = max(starts)
                busy = sum(min(end, last) - start for end, start in zip(then, starts, strict=True))
                clock = BY * sum(lengths) / trials
                done = [r for r, end in zip(results, then, strict=True) if end <= clock]
                so_far = task.regret(rank(done, "maximize")[0].trial.hyperparameters)
                row.append((1 - busy / (workers * last), best, so_far))
            rows.append(row)
        table.append(rows)
    return table


def main() -> None:
    parser = arguments(__doc__, repetitions=20)
    parser.add_argument("--workers", type=int, nargs="+", default=[4, 16, 64])
    options = parsed(parser)
    tasks = read_tasks(options.data)
    rows = []
    with ProcessPoolExecutor(options.processes) as pool:
        for workers in options.workers:
            one = partial(measure, tasks, workers)
            # (repetition, task, times, lengths, figure)
            found = np.array(list(pool.map(one, range(options.repetitions))))
            print(".", end="", file=sys.stderr, flush=True)
            for t, times in enumerate(TIMES):
                more, low, high = paired(found[:, :, t, 0, 1], found[:, :, 0, 0, 1])
                row = {
                    "workers": workers, "times": times, "regret": found[:, :, t, 0, 1].mean(),
                    "more": more, "low": low, "high": high,
                }
                for i, name in enumerate(LENGTHS):
                    row[f"idle, {name}"] = found[:, :, t, i, 0].mean()
                    row[f"by then, {name}"] = found[:, :, t, i, 2].mean()
                    then = paired(found[:, :, t, i, 2], found[:, :, 0, i, 2])
                    row[f"more by then, {name}"] = then
                rows.append(row)
    if options.json:
        print(json.dumps({"repetitions": options.repetitions, "rows": rows}, indent=1))
        return
    print(f"{len(tasks)} tasks, {options.repetitions} repetitions, {TRIALS} trials a worker; "
          f"regret after all trials, less that of parallel = workers;\n"
          f"then idle share, and regret at the same time less that of parallel = workers")
    print(f"{'workers':>7} {'parallel':>8} {'regret':>7} {'':22}" +
          "".join(f"{name:>35}" for name in LENGTHS))
    for row in rows:
        line = (f"{row['workers']:7} {row['times']:7.2f}x {row['regret']:7.4f} "
                f"{row['more']:+.4f} ({row['low']:+.4f} to {row['high']:+.4f})")
        for name in LENGTHS:
            more, low, high = row[f"more by then, {name}"]
            line += f"{row[f'idle, {name}']:8.1%} {more:+.4f} ({low:+.4f} to {high:+.4f})"
        print(line)


if __name__ == "__main__":
    main()
