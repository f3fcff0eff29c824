"""Measure whether moving the ranges between rounds pays off, on tabulated training results.

Learning rate and L2 penalty of multilayer perceptrons (HPOBench, Eggensperger et al. 2021), every
pair measured with five seeds. A search has 60 trials: one round of 60 in the first ranges, or
three rounds of 20 with the ranges moved in between. Its score is the regret of the pick, the
trial with the best observed value: (best mean - true mean at the pick) / (best mean - median).
Beside it stands the regret of the recommended trial, which takes no extra evaluations.

With --exact a trial's value is the mean of the seeds: what remains without noise.

    python -m benchmarks.narrowing [--data DIR] [--repetitions N] [--exact] [--json]
"""

import json
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TypeAlias

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one search a process

import numpy as np

from benchmarks.measured import NAMES, Array, Task, arguments, parsed, read_tasks, starts
from hpo.distributions import FloatDistribution
from hpo.search.confirmation import ranked, repeats_of
from hpo.search.narrowing import narrow
from hpo.search.recommendation import recommend
from hpo.search.round_plan import RoundPlan
from hpo.search.samplers import SAMPLERS
from hpo.search_space import SearchSpace
from hpo.trial import State, Trial, TrialResult, trial_seed

try:
    from bayes_opt import SequentialDomainReductionTransformer  # type: ignore[import-not-found]
    from bayes_opt.target_space import TargetSpace  # type: ignore[import-not-found]
except ImportError:
    SequentialDomainReductionTransformer = None

TRIALS, ROUNDS = 60, 3
CONFIRMED, REPEATS = 5, 3


# --- how the ranges of the next round follow from the trials so far ---

Mover: TypeAlias = Callable[[SearchSpace, Sequence[TrialResult]], SearchSpace]


def this_project(space: SearchSpace, results: Sequence[TrialResult]) -> SearchSpace:
    return {move.name: move.new for move in narrow(space, results, "maximize")}


def plain_box(space: SearchSpace, results: Sequence[TrialResult]) -> SearchSpace:
    """Return the box of the best fifth of all trials, without margin or widening."""
    top = sorted(results, key=lambda r: -(r.value or 0.0))[: math.ceil(len(results) / 5)]
    return {
        name: FloatDistribution(
            float(min(r.trial.hyperparameters[name] for r in top)),  # type: ignore[arg-type]
            float(max(r.trial.hyperparameters[name] for r in top)),  # type: ignore[arg-type]
            log=True,
        )
        for name in space
    }


def domain_reduction() -> Mover:
    """Return bayes_opt's sequential domain reduction (Stander and Craig 2002), on the log scale."""
    transformer = SequentialDomainReductionTransformer()
    first: list[TargetSpace] = []

    def move(space: SearchSpace, results: Sequence[TrialResult]) -> SearchSpace:
        if not first:
            bounds = {n: (math.log10(d.low), math.log10(d.high)) for n, d in _floats(space)}
            first.append(TargetSpace(None, bounds, allow_duplicate_points=True))
            transformer.initialize(first[0])
        target = first[0]
        for result in results[len(target) :]:
            values = [math.log10(result.trial.hyperparameters[n]) for n in target.keys]  # type: ignore[arg-type]
            target.register(np.array(values), result.value)
        moved = transformer.transform(target)
        return {
            name: FloatDistribution(float(10**low), float(10**high), log=True)
            for name, (low, high) in moved.items()
        }

    return move


def movers() -> dict[str, Callable[[], Mover] | None]:
    """Return the ways to move ranges, by name; None where the ranges stay flat."""
    ways: dict[str, Callable[[], Mover] | None] = {"flat": None, "narrowed": lambda: this_project}
    if SequentialDomainReductionTransformer is not None:
        ways["reduction"] = domain_reduction
    return {**ways, "plain box": lambda: plain_box}


def _floats(space: SearchSpace) -> list[tuple[str, FloatDistribution]]:
    return [(n, d) for n, d in space.items() if isinstance(d, FloatDistribution)]


# --- one search ---


Evaluate: TypeAlias = Callable[[Array], Array]


def random_round(space: SearchSpace, units: Array, evaluate: Evaluate) -> tuple[Array, Array]:
    edges = np.array([(math.log10(d.low), math.log10(d.high)) for _, d in _floats(space)])
    points = edges[:, 0] + units * (edges[:, 1] - edges[:, 0])
    return points, evaluate(points)


def tpe_round(plan: RoundPlan, evaluate: Evaluate) -> tuple[Array, Array]:
    """Propose and tell the trials one after another."""
    sampler = SAMPLERS["tpe"](plan)
    points, values = np.empty((plan.trials, len(NAMES))), np.empty(plan.trials)
    for i in range(plan.trials):
        seed = trial_seed(plan.study_seed, plan.round, i + 1)
        hyperparameters = sampler.propose(i + 1, seed)
        points[i] = [math.log10(float(hyperparameters[name])) for name in NAMES]  # type: ignore[arg-type]
        values[i] = evaluate(points[i : i + 1])[0]
        trial = Trial(plan.round, i + 1, hyperparameters, seed)
        sampler.tell(TrialResult(trial, State.COMPLETE, float(values[i])))
    return points, values


@dataclass(frozen=True)
class Searched:
    """What came of one search: the ranges of its last round, and all trials, in order."""

    space: SearchSpace
    results: Sequence[TrialResult]
    points: Array  # log10
    values: Array


def search(
    task: Task,
    space: SearchSpace,
    sampler: str,
    mover: Mover | None,
    seed: tuple[int, ...],
    trials: int = TRIALS,
) -> Searched:
    """Search with values of one seed each, drawn at random.

    Searches with the same `seed` draw the same units and seeds of evaluation.
    """
    units = np.random.default_rng((*seed, 1)).random((trials, len(NAMES)))
    seeds = np.random.default_rng((*seed, 2)).integers(task.table.shape[2], size=trials)
    study_seed = int(np.random.default_rng((*seed, 3)).integers(2**31))
    points, values = np.empty((0, len(NAMES))), np.empty(0)
    results: list[TrialResult] = []
    rounds = 1 if mover is None else ROUNDS
    size = trials // rounds

    columns = iter(seeds)

    def evaluate(some: Array) -> Array:
        chosen = [next(columns) for _ in some]
        return np.asarray(task.values(some)[np.arange(len(some)), chosen])

    for number in range(1, rounds + 1):
        if sampler == "random":
            new = random_round(space, units[len(points) : len(points) + size], evaluate)
        else:
            plan = RoundPlan(space, "maximize", study_seed, number, size, tuple(results))
            new = tpe_round(plan, evaluate)
        points, values = np.concatenate([points, new[0]]), np.concatenate([values, new[1]])
        for i, (point, value) in enumerate(zip(*new, strict=True), start=1):
            hyperparameters = {n: float(10**x) for n, x in zip(NAMES, point, strict=True)}
            trial = Trial(number, i, hyperparameters, seed=0)
            results.append(TrialResult(trial, State.COMPLETE, float(value)))
        if mover is not None and number < rounds:
            space = mover(space, results)
    return Searched(space, results, points, values)


def repeats(task: Task, searched: Searched, seed: tuple[int, ...]) -> list[TrialResult]:
    """Return the results of the best trials evaluated again."""
    top = np.argsort(-searched.values, kind="stable")[:CONFIRMED]
    seeds = np.random.default_rng((*seed, 4)).integers(
        task.table.shape[2], size=(len(top), REPEATS)
    )
    again = np.take_along_axis(task.values(searched.points[top]), seeds, axis=1)
    trials = repeats_of([searched.results[i] for i in top], 0, REPEATS, resplit=False)
    return [
        TrialResult(trial, State.COMPLETE, float(value))
        for trial, value in zip(trials, again.T.flat, strict=True)
    ]


# --- all searches, and the table ---


@dataclass(frozen=True)
class Row:
    """Mean regrets of one way to search from one start, and its ratio to flat ranges.

    `recommended` is the regret of the recommended trial, `share` what part it is of `regret`.
    """

    sampler: str
    start: str
    ranges: str
    regret: float
    recommended: float
    share: float
    share_low: float  # of its 95 % interval
    share_high: float
    ratio: float | None = None
    low: float | None = None  # of the 95 % interval
    high: float | None = None
    worst_task: str = ""
    worst: float | None = None  # regret more than with flat ranges, on that task


@dataclass(frozen=True)
class Way:
    """How to search: by name, so that other processes can be told."""

    sampler: str
    start: str
    ranges: str
    trials: int = TRIALS
    confirm: bool = False

    def regrets(self, tasks: Sequence[Task], repetition: int) -> list[tuple[float, float]]:
        """Return the regrets of each task's picks in one repetition: observed, recommended.

        Where trials are confirmed, the best mean stands in for the best observed value.
        """
        space, make = starts(tasks)[self.start], movers()[self.ranges]
        both = []
        for t, task in enumerate(tasks):
            mover, seed = make() if make else None, (repetition, t)
            searched = search(task, space, self.sampler, mover, seed, self.trials)
            again = repeats(task, searched, seed) if self.confirm else []
            best = ranked(searched.results, again, "maximize")[0]
            recommendation = recommend(searched.space, searched.results, again, "maximize")
            assert recommendation is not None
            places = {r.trial.id: i for i, r in enumerate(searched.results)}
            observed, recommended = (
                task.regret(searched.points[places[pick.trial.id]])
                for pick in (best, recommendation.trial)
            )
            both.append((observed, recommended))
        return both


def row(way: Way, tasks: Sequence[Task], regrets: Array, first: Array | None,
        name: str = "") -> Row:
    """Return the summary of `regrets` (repetition, task, pick), the observed pick first."""
    observed, recommended = regrets[..., 0], regrets[..., 1]
    share = ratio(recommended, observed)
    given = Row(way.sampler, way.start, name or way.ranges, float(observed.mean()),
                float(recommended.mean()), *share)
    if first is None:
        return given
    of_first = ratio(observed, first[..., 0])
    more = (observed - first[..., 0]).mean(axis=0)
    return replace(given, ratio=of_first[0], low=of_first[1], high=of_first[2],
                   worst_task=tasks[int(more.argmax())].name, worst=float(more.max()))


def ratio(regrets: Array, first: Array) -> tuple[float, float, float]:
    """Return the ratio of mean regrets (repetition, task), and its 95 % interval.

    The interval resamples repetitions.
    """
    drawn = np.random.default_rng(0).integers(len(first), size=(2000, len(first)))
    ratios = regrets.mean(axis=1)[drawn].mean(axis=1) / first.mean(axis=1)[drawn].mean(axis=1)
    low, high = np.quantile(ratios, [0.025, 0.975])
    return float(regrets.mean() / first.mean()), float(low), float(high)


def repeated(way: Way, tasks: Sequence[Task], pool: Executor, repetitions: int) -> Array:
    """Return the regrets (repetition, task, pick)."""
    return np.array(list(pool.map(partial(way.regrets, tasks), range(repetitions), chunksize=5)))


def measure(
    tasks: Sequence[Task], samplers: Sequence[str], repetitions: int, pool: Executor
) -> list[Row]:
    rows = []
    for sampler in samplers:
        for start in starts(tasks):
            flat: Array | None = None
            for ranges in movers():
                way = Way(sampler, start, ranges)
                regrets = repeated(way, tasks, pool, repetitions)
                rows.append(row(way, tasks, regrets, flat))
                flat = regrets if flat is None else flat
                print(".", end="", file=sys.stderr, flush=True)
    return rows


def measure_confirmation(
    tasks: Sequence[Task], repetitions: int, pool: Executor
) -> list[Row]:
    """Return what 15 more evaluations buy: none, 15 more trials, or repeats of the best 5."""
    extra = CONFIRMED * REPEATS
    first_way = Way("random", "full", "narrowed")
    kinds = {
        f"{TRIALS} trials": first_way,
        f"{TRIALS + extra} trials": replace(first_way, trials=TRIALS + extra),
        f"{TRIALS} trials + {CONFIRMED} x {REPEATS} repeats": replace(first_way, confirm=True),
    }
    rows, first = [], None
    for kind, way in kinds.items():
        regrets = repeated(way, tasks, pool, repetitions)
        rows.append(row(way, tasks, regrets, first, kind))
        first = regrets if first is None else first
    return rows


def table(rows: Sequence[Row]) -> str:
    lines = [f"{'sampler':8} {'start':6} {'ranges':29} {'regret':>6}  {'recommended':31}"
             f"ratio to the first      worst task (regret more)"]
    for r in rows:
        line = f"{r.sampler:8} {r.start:6} {r.ranges:29} {r.regret:6.3f}  {r.recommended:.3f}: "
        line += f"{r.share:.3f} ({r.share_low:.2f} to {r.share_high:.2f})    "
        if r.ratio is not None:
            line += f"  {r.ratio:.2f} ({r.low:.2f} to {r.high:.2f})    "
            line += f"{r.worst_task} ({r.worst:+.3f})"
        lines.append(line)
    return "\n".join(lines)


def main() -> None:
    parser = arguments(__doc__, repetitions=200)
    parser.add_argument("--samplers", nargs="+", default=["random", "tpe"])
    parser.add_argument("--exact", action="store_true", help="the mean of the seeds, no noise")
    options = parsed(parser)
    started = time.monotonic()
    tasks = read_tasks(options.data)
    tasks = [task.exact() for task in tasks] if options.exact else tasks
    with ProcessPoolExecutor(options.processes) as pool:
        rows = measure(tasks, options.samplers, options.repetitions, pool)
        confirmation = measure_confirmation(tasks, options.repetitions, pool)
    seconds = time.monotonic() - started
    if options.json:
        print(json.dumps({
            "tasks": [task.name for task in tasks],
            "repetitions": options.repetitions,
            "exact": options.exact,
            "seconds": seconds,
            "ranges": [asdict(r) for r in rows],
            "confirmation": [asdict(r) for r in confirmation],
        }, indent=1))
        return
    print(f"{len(tasks)} tasks, {options.repetitions} repetitions, {seconds:.0f} s\n")
    print(table(rows))
    if SequentialDomainReductionTransformer is None:
        print("(reduction left out: the package bayesian-optimization is not installed)")
    print(f"\n{CONFIRMED * REPEATS} more evaluations\n")
    print(table(confirmation))


if __name__ == "__main__":
    main()
