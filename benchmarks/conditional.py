"""Compare conditions in a search space with a flat space and with Optuna's `if`.

Two networks of a data set, a shallow and a deep one, each with a learning rate of its own that is
searched only where the network is that one, and an L2 penalty that both share (HPOBench,
Eggensperger et al. 2021; as in `benchmarks.narrowing`, every pair measured with five seeds).
Their best learning rates lie half a decade to a decade apart, and the best values are close. A
search has 60 trials: one round of 60, or three rounds of 20 with the ranges moved in between. Its
score is the regret of its pick, the trial with the best observed value:
(best mean - true mean at the pick) / (best mean - median). Beside it stands the recommended one.

"tpe, flat" has no conditions: it draws both learning rates for every trial, and one is of no
account. "optuna" is Optuna's own TPE as it comes, with an `if`, and once more with `group`.

    python -m benchmarks.conditional [--data DIR] [--repetitions N] [--searchers NAME ...] [--json]
"""

import json
import math
import os
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one search a process

import numpy as np
from numpy.typing import NDArray

from benchmarks import narrowing
from benchmarks.narrowing import TRIALS
from benchmarks.search import Evaluate, Found, Searcher, narrowed, paired, picks, this_project, told
from hpo.distributions import CategoricalDistribution, FloatDistribution, Value
from hpo.search_space import SearchSpace

if TYPE_CHECKING:
    import optuna

NETWORKS = {"shallow": (4, 0, 8), "deep": (1, 2, 8)}  # as narrowing.TRIPLES
OBSERVED, RECOMMENDED = 0, 1  # picks
COMPARED = {  # picks of ours, that the observed one of each searcher is compared with
    "tpe": ("tpe", OBSERVED),
    "narrowed": ("tpe, narrowed", OBSERVED),
    "narrowed, recommended": ("tpe, narrowed", RECOMMENDED),
}


@dataclass(frozen=True)
class Task:
    """The values of one data set for each network."""

    name: str
    networks: Mapping[str, narrowing.Task]

    def values(self, hyperparameters: Mapping[str, Value]) -> NDArray[np.float64]:
        """Return the values of all seeds at a point; it may have the other learning rate, too."""
        network = str(hyperparameters["network"])
        names = (f"learning_rate_{network}", "l2_penalty")
        point = [math.log10(float(hyperparameters[name])) for name in names]  # type: ignore[arg-type]
        found: NDArray[np.float64] = self.networks[network].values(np.array([point]))[0]
        return found

    def regret(self, hyperparameters: Mapping[str, Value]) -> float:
        """Return how far the true mean at a point is from the best of both networks."""
        best, median = self._ends
        return (best - float(self.values(hyperparameters).mean())) / (best - median)

    @cached_property
    def _ends(self) -> tuple[float, float]:
        means = np.array([task.table.mean(axis=2) for task in self.networks.values()])
        return float(means.max()), float(np.median(means))

    @property
    def space(self) -> SearchSpace:
        """The whole ranges, with conditions."""
        rate, penalty = narrowing.starts(list(self.networks.values()))["full"].values()
        assert isinstance(rate, FloatDistribution)
        rates = {
            f"learning_rate_{network}": replace(rate, when=(("network", (network,)),))
            for network in self.networks
        }
        return {
            "network": CategoricalDistribution(tuple(self.networks)), **rates,
            "l2_penalty": penalty,
        }


def read_tasks(directory: Path) -> list[Task]:
    tasks = narrowing.read_tasks(directory, list(NETWORKS.values()))
    size = len(NETWORKS)
    return [
        Task(tasks[i].name.split()[0], dict(zip(NETWORKS, tasks[i : i + size], strict=True)))
        for i in range(0, len(tasks), size)
    ]


def flat(space: SearchSpace, evaluate: Evaluate, seed: int) -> Found:
    """Search with this project's TPE as if nothing depended on the network."""
    unconditional = {name: replace(d, when=()) for name, d in space.items()}
    return this_project("tpe", None, TRIALS, unconditional, evaluate, seed)


def define_by_run(group: bool, space: SearchSpace, evaluate: Evaluate, seed: int) -> Found:
    """Search with Optuna's TPE, which is told of the condition by an `if` alone."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def ask(study: "optuna.Study") -> "optuna.Trial":
        trial = study.ask()
        network = trial.suggest_categorical("network", list(NETWORKS))
        for name in (f"learning_rate_{network}", "l2_penalty"):
            d = space[name]
            assert isinstance(d, FloatDistribution)
            trial.suggest_float(name, d.low, d.high, log=d.log)
        return trial

    sampler = optuna.samplers.TPESampler(seed=seed, group=group)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    return space, told(study, ask, TRIALS, evaluate)


SEARCHERS: Mapping[str, Searcher] = {
    "tpe": partial(this_project, "tpe", None, TRIALS),
    "tpe, narrowed": partial(this_project, "tpe", narrowed, TRIALS),
    "tpe, flat": flat,
    "optuna": partial(define_by_run, False),
    "optuna, group": partial(define_by_run, True),
    "random": partial(this_project, "random", None, TRIALS),
}


def regrets(tasks: Sequence[Task], searcher: str, repetition: int) -> list[tuple[float, float]]:
    """Return the regrets of each task's picks in one repetition: observed, recommended."""
    return [
        picks(task, SEARCHERS[searcher], task.space, (repetition, number))
        for number, task in enumerate(tasks)
    ]


@dataclass(frozen=True)
class Mean:
    """A mean over repetitions and tasks, and its standard error over repetitions."""

    value: float
    error: float

    @classmethod
    def of(cls, regrets: NDArray[np.float64]) -> "Mean":
        """Return the mean of regrets (repetition, task)."""
        by_repetition = regrets.mean(axis=1)
        error = np.std(by_repetition, ddof=1) / math.sqrt(len(by_repetition))
        return cls(float(by_repetition.mean()), float(error))

    def __str__(self) -> str:
        return f"{self.value:.3f} ± {self.error:.3f}"


@dataclass(frozen=True)
class Row:
    """Mean regrets of a searcher, and by how much ours are above them, with 95 % intervals."""

    searcher: str
    observed: Mean
    recommended: Mean
    by_task: Sequence[float]  # observed
    above: Mapping[str, tuple[float, float, float]]  # its observed pick, as in COMPARED


def rows_of(found: Mapping[str, NDArray[np.float64]]) -> list[Row]:
    """Return a row for each searcher, from regrets (repetition, task, pick)."""
    rows = []
    for searcher, both in found.items():
        observed, recommended = both[..., OBSERVED], both[..., RECOMMENDED]
        above = {
            name: paired(found[ours][..., pick], observed)
            for name, (ours, pick) in COMPARED.items()
            if ours in found and (ours, pick) != (searcher, OBSERVED)
        }
        rows.append(Row(searcher, Mean.of(observed), Mean.of(recommended),
                        observed.mean(axis=0).tolist(), above))
    return rows


def table(rows: Sequence[Row]) -> str:
    lines = [f"{'':44}less the observed pick of the searcher, with 95 % interval:",
             f"{'searcher':14}{'observed':15}{'recommended':15}"
             + "".join(f"{name:26}" for name in COMPARED)]
    for row in rows:
        line = f"{row.searcher:14}{row.observed!s:15}{row.recommended!s:15}"
        for name in COMPARED:
            above = row.above.get(name)
            said = "{:+.3f} ({:+.3f} to {:+.3f})".format(*above) if above else ""
            line += f"{said:26}"
        lines.append(line)
    return "\n".join(line.rstrip() for line in lines)


def main() -> None:
    parser = narrowing.arguments(__doc__, repetitions=20)
    parser.add_argument("--searchers", nargs="+", choices=SEARCHERS, default=list(SEARCHERS))
    options = narrowing.parsed(parser)
    began = time.monotonic()
    tasks = read_tasks(options.data)
    found = {}
    with ProcessPoolExecutor(options.processes) as pool:
        for searcher in options.searchers:
            one = partial(regrets, tasks, searcher)
            found[searcher] = np.array(list(pool.map(one, range(options.repetitions))))
            print(".", end="", file=sys.stderr, flush=True)
    rows, seconds = rows_of(found), time.monotonic() - began
    if options.json:
        print(json.dumps({
            "tasks": [task.name for task in tasks], "repetitions": options.repetitions,
            "trials": TRIALS, "seconds": seconds, "rows": [asdict(row) for row in rows],
        }, indent=1))
        return
    print(f"{len(tasks)} tasks, {options.repetitions} repetitions, {seconds:.0f} s\n")
    print(table(rows))


if __name__ == "__main__":
    main()
