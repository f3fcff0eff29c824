"""Check on thirty synthetic studies whether proposed ranges keep the optimum, and why they move.

Each has an optimum that is known: a V, a bowl, a plateau, a cliff or two optima along the first
hyperparameter, one to eight hyperparameters, up to nine tenths of the trials pruned and up to half
of them diverged. Prints for each in how many repetitions the ranges after one round hold the
optimum, and of the first repetition what each range does and why, to be read.

    python -m benchmarks.synthetic [--repetitions 20] [--json]
"""

import argparse
import json
import math
import os
import sys
from array import array
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one study a process

import numpy as np

from hpo.distributions import (
    CategoricalDistribution,
    Distribution,
    FloatDistribution,
    IntegerDistribution,
    Value,
    describe,
)
from hpo.moves import Move
from hpo.search.narrowing import narrow
from hpo.search_space import SearchSpace
from hpo.trial import Curve, State, Trial, TrialResult

EPOCHS, RUNGS, FIRST_JUDGED, NOISE = 20, (1, 2, 4, 8, 16), 5, 0.02
SPACE: SearchSpace = {
    "learning_rate": FloatDistribution(1e-6, 1e-2, log=True),
    "weight_decay": FloatDistribution(1e-8, 1e-2, log=True),
    "layers": IntegerDistribution(1, 6),
    "units": IntegerDistribution(16, 256, log=True),
    "dropout": FloatDistribution(0.0, 0.5),
    "optimizer": CategoricalDistribution(("sgd", "momentum", "adam")),
    "momentum": FloatDistribution(0.5, 0.99),
    "batch_size": CategoricalDistribution((16, 32, 64, 128)),
}
# Best units along the first hyperparameter: what lies between them is as good.
BEST = {"v": (0.3, 0.3), "bowl": (0.6, 0.6), "plateau": (0.5, 1.0), "cliff": (0.7, 0.7),
        "two": (0.2, 0.2), "beyond": (1.2, 1.2)}


@dataclass(frozen=True)
class Case:
    """A study: its shape, how many hyperparameters and trials, what is pruned and diverges."""

    shape: str
    hyperparameters: int
    trials: int
    pruned: float = 0.0  # share of the trials at a rung that stop there
    diverged: float = 0.0  # share of all trials: those of the highest learning rates

    def __str__(self) -> str:
        said = f"{self.shape}, {self.hyperparameters} hyperparameters, {self.trials} trials"
        said += f", pruned below {self.pruned:.0%}" if self.pruned else ""
        return said + (f", {self.diverged:.0%} diverged" if self.diverged else "")

    @property
    def best(self) -> tuple[float, float]:
        """Between which units of the first hyperparameter the best value lies."""
        low, high = BEST[self.shape]
        if self.diverged:
            low, high = min(low, 1 - self.diverged), min(high, 1 - self.diverged)
        return low, high

    def quality(self, units: Sequence[float]) -> float:
        """Return the value of a trial that is trained to its end, without noise."""
        x = units[0]
        value = {
            "v": 1 - 1.6 * abs(x - 0.3),
            "bowl": 1 - 3 * (x - 0.6) ** 2,
            "plateau": min(1.0, 2 * x),
            "cliff": 0.5 + 0.5 * x / 0.7 if x <= 0.7 else 0.0,
            "two": max(1 - 10 * (x - 0.2) ** 2, 0.95 - 10 * (x - 0.8) ** 2),
            "beyond": 1 - 0.8 * abs(x - 1.2),
        }[self.shape]
        return value - (0.25 * abs(units[2] - 0.4) if len(units) > 2 else 0.0)


# Few trials for few hyperparameters, and pruning that leaves only the best of many.
CASES = [
    *(Case(shape, 1, 30) for shape in BEST),
    *(Case(shape, 2, 60, pruned=0.5) for shape in BEST),
    *(Case(shape, 2, 100, pruned=0.75, diverged=0.5) for shape in BEST),
    *(Case(shape, 4, 100, diverged=0.2) for shape in BEST),
    *(Case(shape, 8, 300, pruned=0.6, diverged=0.1) for shape in BEST),
]


def study(case: Case, seed: int) -> tuple[SearchSpace, list[TrialResult]]:
    """Return a round of random trials, pruned by their standing at rungs of their epochs."""
    names = list(SPACE)[: case.hyperparameters]
    space = {name: SPACE[name] for name in names}
    generator = np.random.default_rng((CASES.index(case), seed))
    results: list[TrialResult] = []
    reached: list[list[float]] = []
    for number in range(1, case.trials + 1):
        drawn = generator.random(len(names))
        values = {n: space[n].from_unit(u) for n, u in zip(names, drawn, strict=True)}
        units = [_unit(space[n], values[n], u) for n, u in zip(names, drawn, strict=True)]
        last = case.quality(units) + generator.normal(0, NOISE)
        pace = generator.uniform(2, 8)
        curve = [
            last * (1 - 0.9 * math.exp(-epoch / pace)) + generator.normal(0, NOISE / 2)
            for epoch in range(1, EPOCHS + 1)
        ]
        trial, state, epochs = Trial(1, number, values, number), State.COMPLETE, EPOCHS
        if units[0] > 1 - case.diverged:
            state, epochs = State.DIVERGED, int(generator.integers(1, EPOCHS))
        else:
            epochs = next((r for r in RUNGS if _falls_behind(curve, r, reached, case)), EPOCHS)
            state = State.COMPLETE if epochs == EPOCHS else State.PRUNED
            reached.append(curve[:epochs])
        shown = Curve("accuracy", array("d", curve[:epochs]), {"accuracy": curve[epochs - 1]})
        value = None if state is State.DIVERGED else curve[epochs - 1]
        results.append(TrialResult(trial, state, value, epochs, shown))
    return space, results


def _unit(distribution: Distribution, value: Value, drawn: float) -> float:
    if isinstance(distribution, CategoricalDistribution):
        return drawn
    return distribution.to_unit(float(value))  # type: ignore[arg-type]


def _falls_behind(
    curve: Sequence[float], epoch: int, reached: Sequence[Sequence[float]], case: Case
) -> bool:
    others = [other[epoch - 1] for other in reached if len(other) >= epoch]
    if not case.pruned or len(others) < FIRST_JUDGED:
        return False
    return curve[epoch - 1] < float(np.quantile(others, case.pruned))


def keeps_the_optimum(case: Case, moves: Sequence[Move]) -> bool:
    """Say whether the ranges hold a best value of all that matters."""
    low, high = case.best
    new = moves[0].new
    assert isinstance(new, FloatDistribution)
    ends = [moves[0].old.to_unit(edge) for edge in (new.low, new.high)]
    kept = ends[0] <= high + 1e-9 and ends[1] >= low - 1e-9
    if low > 1:  # it is enough to come nearer: one round does not see it
        kept = ends[1] > 1
    if case.hyperparameters > 2:
        kept = kept and moves[2].new.contains(3)  # layers
    return kept


def repetition(case: Case, seed: int) -> tuple[bool, float, tuple[Move, ...]]:
    """Return whether the optimum was kept, the share of the trials pruned, and the moves."""
    space, results = study(case, seed)
    moves = narrow(space, results, "maximize")
    pruned = sum(r.state is State.PRUNED for r in results) / len(results)
    return keeps_the_optimum(case, moves), pruned, moves


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows, kept_in_all = [], 0
    with ProcessPoolExecutor() as pool:
        for case in CASES:
            runs = list(pool.map(partial(repetition, case), range(options.repetitions)))
            kept = sum(run[0] for run in runs)
            kept_in_all += kept
            rows.append({"study": str(case), "kept": kept, "pruned": runs[0][1],
                         "moves": [move.to_table() for move in runs[0][2]]})
            if not options.json:
                print(f"{case}; of the first {runs[0][1]:.0%} pruned: "
                      f"kept in {kept} of {options.repetitions}")
                for move in runs[0][2]:
                    print(f"  {move.name}: {describe(move.old)} -> {describe(move.new)}, "
                          f"{move.kind}: {move.reason}")
            print(".", end="", file=sys.stderr, flush=True)
    total = len(CASES) * options.repetitions
    if options.json:
        print(json.dumps({"repetitions": options.repetitions, "studies": rows}, indent=1))
    else:
        print(f"\nkept in {kept_in_all} of {total}, {kept_in_all / total:.1%}")


if __name__ == "__main__":
    main()
