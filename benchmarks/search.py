"""Five hyperparameters at once: this project's search beside those of Optuna and bayes_opt.

Learning rate, L2 penalty, batch size, depth and width of multilayer perceptrons (HPOBench,
Eggensperger et al. 2021), every point of the grid measured with five seeds and interpolated in
between. A search has 100 trials; ranges move after each 20, or not at all. Its score is the regret
of its pick: (best mean - true mean at the pick) / (best mean - median). The pick is the trial with
the best observed value, and beside it the recommended one.

Optuna's samplers run as they come, one trial after the other: TPE, the Gaussian process (needs
torch) and CMA-ES (needs cmaes). What is not installed is left out, and the last lines say so.

The values are noisy, and so are the means of five of them. What that leaves for any search to find
is shown beside: the regret on one seed of the point that is best on the other four, over the whole
grid, smoothed or not. With --exact, a search sees means instead of single values.

    python -m benchmarks.search [--data DIR] [--repetitions N] [--searchers NAME ...] [--exact]
                                [--kept FILE] [--json]

It takes long: with --kept, each finished search is a line of FILE and is not run again.
"""

import importlib.util
import json
import math
import os
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one search a process

import numpy as np
from numpy.typing import NDArray

from benchmarks.measured import arguments, parsed
from benchmarks.narrowing import ratio
from hpo.distributions import (
    CategoricalDistribution,
    Distribution,
    FloatDistribution,
    IntegerDistribution,
    Value,
    with_range,
)
from hpo.search.narrowing import narrow
from hpo.search.optuna_sampler import optuna_distribution
from hpo.search.recommendation import recommend
from hpo.search.round_plan import RoundPlan
from hpo.search.samplers import SAMPLERS
from hpo.search_space import SearchSpace
from hpo.trial import State, Trial, TrialResult, rank, trial_seed

if TYPE_CHECKING:  # what is not asked for is not imported
    import optuna

TRIALS, ROUND = 100, 20
# As the axes of the table go; the depth alone is even on a linear scale.
AXES = ("alpha", "batch_size", "depth", "learning_rate_init", "width")
STARTS = {"full": (1e-5, 1.0), "low": (1e-5, 5e-4), "high": (1.6e-2, 1.0)}  # learning rates
WIDTHS = (0.0, 0.5, 0.7, 1.0, 1.5)  # of smoothing, in steps of the grid
NEEDS = {
    "gp": "torch", "gp, narrowed": "torch", "reduction": "bayes_opt", "optuna GP": "torch",
    "optuna CMA-ES": "cmaes",
}


@dataclass(frozen=True)
class Task:
    """The values of one data set over the grid, with the seeds along the last axis."""

    name: str
    table: NDArray[np.float64]
    grid: Mapping[str, Sequence[float]]

    def space(self, start: str) -> SearchSpace:
        """Return the first ranges; the whole grid is their limit."""
        space: dict[str, Distribution] = {}
        for axis in AXES:
            low, high = self.grid[axis][0], self.grid[axis][-1]
            if axis in ("alpha", "learning_rate_init"):
                edges = STARTS[start] if axis == "learning_rate_init" else (low, high)
                space[axis] = FloatDistribution(*edges, log=True, limits=(low, high))
            else:
                space[axis] = IntegerDistribution(
                    int(low), int(high), log=axis != "depth", limits=(int(low), int(high))
                )
        return space

    def values(self, hyperparameters: Mapping[str, Value]) -> NDArray[np.float64]:
        """Return the values of all seeds at a point, linear between the points of the grid."""
        at = [_scaled(axis, float(hyperparameters[axis])) for axis in AXES]  # type: ignore[arg-type]
        found: NDArray[np.float64] = self._interpolated(at)[0]
        return found

    @cached_property
    def _interpolated(self) -> Callable[[Sequence[float]], NDArray[np.float64]]:
        from scipy.interpolate import RegularGridInterpolator

        points = [[_scaled(axis, value) for value in self.grid[axis]] for axis in AXES]
        interpolated: Callable[[Sequence[float]], NDArray[np.float64]] = RegularGridInterpolator(
            points, self.table, bounds_error=False, fill_value=None
        )
        return interpolated

    @cached_property
    def _ends(self) -> tuple[float, float]:
        means = self.table.mean(axis=-1)
        return float(means.max()), float(np.median(means))

    def regret(self, hyperparameters: Mapping[str, Value]) -> float:
        """Return how far the true mean at a point is from the best: 1 is the median."""
        best, median = self._ends
        return (best - float(self.values(hyperparameters).mean())) / (best - median)

    def exact(self) -> "Task":
        """Return this task without noise: the means are the only values."""
        return replace(self, table=self.table.mean(axis=-1, keepdims=True))

    def unseen(self, width: float) -> float:
        """Return the mean regret on each seed of the point that is best on all others.

        Their means are smoothed over the grid by a Gaussian, with a width in steps of the grid.
        """
        from scipy.ndimage import gaussian_filter

        best, median = self._ends
        found = []
        for seed in range(self.table.shape[-1]):
            others = np.delete(self.table, seed, axis=-1).mean(axis=-1)
            smooth = gaussian_filter(others, width, mode="nearest")
            at = np.unravel_index(smooth.argmax(), smooth.shape)
            found.append((best - float(self.table[at][seed])) / (best - median))
        return float(np.mean(found))


def _scaled(axis: str, value: float) -> float:
    return value if axis == "depth" else math.log(value)


def read_tasks(directory: Path) -> list[Task]:
    grid = json.loads((directory / "grid.json").read_text())
    arrays = np.load(directory / "validation_balanced_accuracy.npz")
    return [Task(name, arrays[name], grid) for name in arrays.files]


# --- the searchers: each returns the ranges it ended in, and its trials ---

Evaluate = Callable[[Mapping[str, Value]], float]
Found = tuple[SearchSpace, list[TrialResult]]
Searcher = Callable[[SearchSpace, Evaluate, int], Found]
Mover = Callable[[SearchSpace, Sequence[TrialResult]], SearchSpace]


def this_project(
    sampler: str, mover: Mover | None, in_all: int,
    space: SearchSpace, evaluate: Evaluate, seed: int,
) -> Found:
    """Search in rounds whose ranges move, or in one round of all trials."""
    results: list[TrialResult] = []
    trials = in_all if mover is None else ROUND
    for number in range(1, in_all // trials + 1):
        asked = SAMPLERS[sampler](
            RoundPlan(space, "maximize", seed, number, trials, tuple(results))
        )
        for i in range(1, trials + 1):
            own_seed = trial_seed(seed, number, i)
            trial = Trial(number, i, asked.propose(i, own_seed), own_seed)
            result = TrialResult(trial, State.COMPLETE, evaluate(trial.hyperparameters))
            asked.tell(result)
            results.append(result)
        if mover is not None and len(results) < in_all:
            space = mover(space, results)
    return space, results


def narrowed(space: SearchSpace, results: Sequence[TrialResult]) -> SearchSpace:
    return {move.name: move.new for move in narrow(space, results, "maximize")}


def reduction(space: SearchSpace, results: Sequence[TrialResult]) -> SearchSpace:
    """Move ranges as bayes_opt's domain reduction does (Stander and Craig 2002), on their scales.

    It is told all rounds anew each time, so that it needs no memory.
    """
    from bayes_opt import SequentialDomainReductionTransformer  # type: ignore[import-not-found]
    from bayes_opt.target_space import TargetSpace  # type: ignore[import-not-found]

    first = dict.fromkeys(space, (0.0, 1.0))
    whole = {}
    for name, d in space.items():
        assert not isinstance(d, CategoricalDistribution)
        assert d.limits is not None
        whole[name] = with_range(d, *d.limits)
    transformer = SequentialDomainReductionTransformer()
    target = TargetSpace(None, first, allow_duplicate_points=True)
    transformer.initialize(target)
    moved = first
    for begin in range(0, len(results), ROUND):
        for result in results[begin : begin + ROUND]:
            point = [
                whole[name].to_unit(result.trial.hyperparameters[name])  # type: ignore[arg-type]
                for name in target.keys
            ]
            target.register(np.clip(point, 0, 1), result.value)
        moved = transformer.transform(target)
    return {
        name: whole[name].with_edges(*(float(edge) for edge in moved[name]))
        for name in space
    }


def of_optuna(kind: str, space: SearchSpace, evaluate: Evaluate, seed: int) -> Found:
    """Search by one of Optuna's samplers, as it comes."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    samplers: Mapping[str, Callable[[], optuna.samplers.BaseSampler]] = {
        "TPE": lambda: optuna.samplers.TPESampler(seed=seed),
        "GP": lambda: optuna.samplers.GPSampler(seed=seed),
        "CMA-ES": lambda: optuna.samplers.CmaEsSampler(seed=seed),
    }
    study = optuna.create_study(direction="maximize", sampler=samplers[kind]())
    distributions = {name: optuna_distribution(d) for name, d in space.items()}
    return space, told(study, lambda study: study.ask(distributions), TRIALS, evaluate)


def told(
    study: "optuna.Study", ask: Callable[["optuna.Study"], "optuna.Trial"], trials: int,
    evaluate: Evaluate,
) -> list[TrialResult]:
    """Ask an Optuna study for one trial after the other, and tell it what came of each."""
    results = []
    for number in range(1, trials + 1):
        asked = ask(study)
        value = evaluate(asked.params)
        study.tell(asked, value)
        results.append(
            TrialResult(Trial(1, number, dict(asked.params), 0), State.COMPLETE, value)
        )
    return results


SEARCHERS: Mapping[str, Searcher] = {
    "random": partial(this_project, "random", None, TRIALS),
    "random, narrowed": partial(this_project, "random", narrowed, TRIALS),
    "tpe": partial(this_project, "tpe", None, TRIALS),
    "tpe, narrowed": partial(this_project, "tpe", narrowed, TRIALS),
    "gp": partial(this_project, "gp", None, TRIALS),
    "gp, narrowed": partial(this_project, "gp", narrowed, TRIALS),
    "reduction": partial(this_project, "tpe", reduction, TRIALS),
    "optuna TPE": partial(of_optuna, "TPE"),
    "optuna GP": partial(of_optuna, "GP"),
    "optuna CMA-ES": partial(of_optuna, "CMA-ES"),
}


def regrets(
    tasks: Sequence[Task], searcher: str, start: str, repetition: int
) -> list[tuple[float, float]]:
    """Return the regrets of each task's picks in one repetition: observed, recommended."""
    return [
        picks(task, SEARCHERS[searcher], task.space(start), (repetition, number))
        for number, task in enumerate(tasks)
    ]


def all_regrets(
    one: Callable[[int], list[tuple[float, float]]], name: str, repetitions: int,
    pool: Executor, kept: Path | None,
) -> NDArray[np.float64]:
    """Return the regrets (repetition, task, pick) of a search, those kept by its name included."""
    known: dict[int, list[list[float]]] = {}
    if kept is not None and kept.exists():
        lines = map(json.loads, kept.read_text(encoding="utf-8").splitlines())
        known = {line["repetition"]: line["regrets"] for line in lines if line["search"] == name}
    missing = [number for number in range(repetitions) if number not in known]
    for number, regrets in zip(missing, pool.map(one, missing), strict=True):
        known[number] = [list(both) for both in regrets]
        if kept is not None:
            line = {"search": name, "repetition": number, "regrets": regrets}
            with kept.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
    return np.array([known[number] for number in range(repetitions)])


class Measured(Protocol):
    """What is searched: at each point the values of all seeds are known, and the regret."""

    def values(self, hyperparameters: Mapping[str, Value]) -> NDArray[np.float64]: ...

    def regret(self, hyperparameters: Mapping[str, Value]) -> float: ...


def picks(
    task: Measured, searcher: Searcher, space: SearchSpace, seed: tuple[int, ...]
) -> tuple[float, float]:
    """Return the regrets of the picks of one search: observed, recommended.

    Each evaluation sees the value of one seed, drawn at random.
    """
    generator = np.random.default_rng(seed)

    def evaluate(hyperparameters: Mapping[str, Value]) -> float:
        values = task.values(hyperparameters)
        return float(values[generator.integers(len(values))])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of experimental samplers
        space, results = searcher(space, evaluate, int(generator.integers(2**31)))
    best = rank(results, "maximize")[0]
    pick = recommend(space, results, (), "maximize")
    assert pick is not None
    return (
        task.regret(best.trial.hyperparameters),
        task.regret(pick.trial.trial.hyperparameters),
    )


@dataclass(frozen=True)
class Row:
    """Mean regrets of a searcher from one start, and of its picks over those of narrowed TPE."""

    start: str
    searcher: str
    observed: float
    recommended: float
    difference: float  # of the observed pick to the recommended one of "tpe, narrowed"
    low: float  # of its 95 % interval
    high: float
    share: float  # recommended over observed


def rows_of(start: str, found: Mapping[str, NDArray[np.float64]]) -> list[Row]:
    """Return a row for each searcher of one start, from regrets (repetition, task, pick)."""
    ours = found.get("tpe, narrowed")
    rows = []
    for searcher, both in found.items():
        observed, recommended = both[..., 0], both[..., 1]
        difference = low = high = math.nan
        if ours is not None:
            difference, low, high = paired(observed, ours[..., 1])
        rows.append(Row(start, searcher, float(observed.mean()), float(recommended.mean()),
                        difference, low, high, ratio(recommended, observed)[0]))
    return rows


def paired(
    regrets: NDArray[np.float64], others: NDArray[np.float64]
) -> tuple[float, float, float]:
    """Return by how much mean regrets (repetition, task) are above others, and its 95 % interval.

    The interval resamples repetitions.
    """
    more = (regrets - others).mean(axis=1)
    drawn = np.random.default_rng(0).integers(len(more), size=(2000, len(more)))
    low, high = np.quantile(more[drawn].mean(axis=1), [0.025, 0.975])
    return float(more.mean()), float(low), float(high)


def table(rows: Sequence[Row]) -> str:
    lines = [f"{'start':6} {'searcher':18} {'observed':>8} {'recommended':>11}  "
             "observed less the recommended of tpe, narrowed"]
    lines += [
        f"{row.start:6} {row.searcher:18} {row.observed:8.3f} {row.recommended:11.3f}  "
        f"{row.difference:+.3f} ({row.low:+.3f} to {row.high:+.3f})"
        for row in rows
    ]
    return "\n".join(lines)


def main() -> None:
    parser = arguments(__doc__, repetitions=20)
    parser.add_argument("--searchers", nargs="+", choices=SEARCHERS, default=list(SEARCHERS))
    parser.add_argument("--exact", action="store_true", help="no noise: means instead of values")
    parser.add_argument("--kept", type=Path, help="a file that keeps each finished search")
    options = parsed(parser)
    began = time.monotonic()
    measured = read_tasks(options.data)
    tasks = [task.exact() for task in measured] if options.exact else measured
    unseen = {width: float(np.mean([t.unseen(width) for t in measured])) for width in WIDTHS}
    missing = [
        f"{name}: {NEEDS[name]} is not installed" for name in options.searchers
        if name in NEEDS and importlib.util.find_spec(NEEDS[name]) is None
    ]
    searchers = [n for n in options.searchers if not any(m.startswith(f"{n}:") for m in missing)]
    rows: list[Row] = []
    with ProcessPoolExecutor(options.processes) as pool:
        for start in STARTS:
            found = {}
            for searcher in searchers:
                one = partial(regrets, tasks, searcher, start)
                name = f"{searcher}, {start}{', exact' * options.exact}"
                found[searcher] = all_regrets(
                    one, name, options.repetitions, pool, options.kept
                )
                print(".", end="", file=sys.stderr, flush=True)
            rows += rows_of(start, found)
    seconds = time.monotonic() - began
    if options.json:
        print(json.dumps({
            "tasks": [task.name for task in tasks], "repetitions": options.repetitions,
            "trials": TRIALS, "seconds": seconds, "rows": [asdict(row) for row in rows],
            "missing": missing, "exact": options.exact, "unseen": unseen,
        }, indent=1))
        return
    print(f"{len(tasks)} tasks, {options.repetitions} repetitions, {seconds:.0f} s\n")
    print(table(rows))
    print("\nbest point of the whole grid on four seeds, its regret on the fifth:")
    for width, regret in unseen.items():
        print(f"  smoothed over {width:g} steps: {regret:.3f}")
    print("\n".join(f"(left out: {line})" for line in missing))


if __name__ == "__main__":
    main()
