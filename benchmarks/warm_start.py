"""Measure the gain of a warm start: searches that start with 40 random trials of another study.

Two hyperparameters and a hill of known top, drawn anew for each seed, with a noise of a fiftieth of
its height. The other study is about the same hill (*same*), about one whose values are 50 times as
large and lie elsewhere, so that only their order counts (*other scale*), or about such a hill whose
top is half a range away (*elsewhere*). TPE searches for 60 trials, each told at once. The score is
the regret of the best trial so far, by its value without noise: 0 is the top, 1 the foot. In
brackets: the standard error of the mean difference to the cold start, seed by seed.

Then the ranges that narrowing proposes after 20 random trials, with and without 40 of another study
on another scale: their area, of the first ranges, how often the top lies inside, and how often that
study is left out since the trials contradict it.

    python -m benchmarks.warm_start [--seeds N]
"""

import argparse
import os
from concurrent.futures import ProcessPoolExecutor

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from hpo.distributions import FloatDistribution
from hpo.search.narrowing import narrow
from hpo.search.round_plan import RoundPlan
from hpo.search.tpe import TPESampler
from hpo.search_space import SearchSpace
from hpo.trial import State, Trial, TrialResult, trial_seed

SPACE: SearchSpace = {
    "learning_rate": FloatDistribution(1e-5, 1.0, log=True),
    "dropout_rate": FloatDistribution(0.0, 0.8),
}
STARTS = ("cold", "same", "other scale", "elsewhere")
TRIALS, SOURCE, NOISE = 60, 40, 0.02
AT = (5, 15, 60)


def regret(units: np.ndarray, top: np.ndarray) -> float:
    """Return how far below the top a point of the unit square lies."""
    return float(1 - np.exp(-8 * np.sum((units - top) ** 2)))


def search(seed: int, start: str) -> list[float]:
    """Return the best regret after each trial."""
    generator = np.random.default_rng(seed)
    top, noise = generator.uniform(0.1, 0.9, 2), np.random.default_rng((seed, 1))

    def result(trial: Trial, around: np.ndarray, scale: float = 1.0) -> tuple[TrialResult, float]:
        units = np.array([d.to_unit(trial.hyperparameters[n]) for n, d in SPACE.items()])  # type: ignore[arg-type]
        true = regret(units, around)
        value = scale * (true + noise.normal(0, NOISE)) + (scale - 1)
        return TrialResult(trial, State.COMPLETE, value, 1, ({"loss": value},)), true

    source = []
    for number, units in enumerate(generator.random((SOURCE, 2)).tolist(), start=1):
        values = {n: d.from_unit(u) for (n, d), u in zip(SPACE.items(), units, strict=True)}
        around = np.mod(top + 0.5, 1.0) if start == "elsewhere" else top
        scale = 1.0 if start == "same" else 50.0
        source.append(result(Trial(0, number, values, 0), around, scale)[0])
    plan = RoundPlan(
        SPACE, "minimize", seed, 1, TRIALS, source if start == "same" else (),
        others=[source] if start in ("other scale", "elsewhere") else (),
    )
    sampler, best = TPESampler(plan), []
    for number in range(1, TRIALS + 1):
        own = trial_seed(seed, 1, number)
        told, true = result(Trial(1, number, sampler.propose(number, own), own), top)
        sampler.tell(told)
        best.append(min(true, best[-1] if best else 1.0))
    return best


def narrowed(seed: int, start: str) -> tuple[float, float, float]:
    """Return the area of the next ranges, and whether they hold the top and leave the other out."""
    generator = np.random.default_rng(seed)
    top = generator.uniform(0.1, 0.9, 2)

    def trials(count: int, around: np.ndarray, scale: float) -> list[TrialResult]:
        found = []
        for number, units in enumerate(generator.random((count, 2)), start=1):
            pairs = zip(SPACE.items(), units.tolist(), strict=True)
            values = {n: d.from_unit(unit) for (n, d), unit in pairs}
            value = scale * (regret(units, around) + generator.normal(0, NOISE))
            trial = Trial(1, number, values, 0)
            found.append(TrialResult(trial, State.COMPLETE, value, 1, ({"loss": value},)))
        return found

    own = trials(20, top, 1.0)
    around = np.mod(top + 0.5, 1.0) if start == "elsewhere" else top
    others = [] if start == "cold" else [trials(SOURCE, around, 50.0)]
    moves = narrow(SPACE, own, "minimize", others=others)
    area, inside = 1.0, True
    for move, place in zip(moves, top, strict=True):
        old, new = SPACE[move.name], move.new
        low, high = old.to_unit(new.low), old.to_unit(new.high)  # type: ignore[union-attr]
        area, inside = area * (high - low), inside and low <= place <= high
    return area, inside, "left out" in moves[0].reason


def main() -> None:
    """Run the searches, and print their regret."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=60)
    options = parser.parse_args()
    with ProcessPoolExecutor() as pool:
        curves = {
            start: np.array(list(pool.map(search, range(options.seeds), [start] * options.seeds)))
            for start in STARTS
        }
    print("| start | " + " | ".join(f"after {at} trials" for at in AT) + " |")
    print("|---|" + "---|" * len(AT))
    for start, each in curves.items():
        cells = []
        for at in AT:
            values, cold = each[:, at - 1], curves["cold"][:, at - 1]
            error = (values - cold).std(ddof=1) / np.sqrt(len(values))
            cells.append(f"{values.mean():.4f}" + (f" ({error:.4f})" if start != "cold" else ""))
        print(f"| {start} | " + " | ".join(cells) + " |")
    print("\n| next ranges | area | hold the top | other study left out |\n|---|---|---|---|")
    with ProcessPoolExecutor() as pool:
        for start in ("cold", "other scale", "elsewhere"):
            kinds = [start] * options.seeds
            found = np.mean(list(pool.map(narrowed, range(options.seeds), kinds)), axis=0)
            print(f"| {start} | {found[0]:.3f} | {found[1]:.0%} | {found[2]:.0%} |")


if __name__ == "__main__":
    main()
