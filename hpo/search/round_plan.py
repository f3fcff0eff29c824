"""A round from its sampler's view: the ranges, the known results, and the feasible points."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hpo.distributions import Value
from hpo.errors import InputError
from hpo.search_space import SearchSpace, active, readable
from hpo.trial import Direction, TrialResult

MOST_DRAWS = 1000  # points that are tried until one is feasible


@dataclass(frozen=True)
class RoundPlan:
    """What a sampler knows of its round before the first trial.

    `earlier` are the results of earlier rounds, in order of round and number. Each of `others`
    holds the trials of another study, of which only the order counts. `accepts` says whether a
    point is feasible; one that it rejects is never proposed. If values are `rounded`, they have no
    more digits than a person reads.
    """

    search_space: SearchSpace
    direction: Direction
    study_seed: int
    round: int
    trials: int
    earlier: Sequence[TrialResult] = ()
    accepts: Callable[[Mapping[str, Value]], bool] | None = None
    rounded: bool = True
    others: Sequence[Sequence[TrialResult]] = ()

    def point(
        self, units: Mapping[str, float], given: Mapping[str, Value] | None = None
    ) -> dict[str, Value]:
        """Return the hyperparameters at `units` of the ranges, one number in [0, 1] each.

        Values that are `given` take the place of those.
        """
        values = {name: d.from_unit(units[name]) for name, d in self.search_space.items()}
        return active(self.search_space, {**self.shown(values), **(given or {})})

    def shown(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """Return values rounded as they are proposed."""
        return readable(self.search_space, values) if self.rounded else dict(values)

    def is_feasible(self, values: Mapping[str, Value]) -> bool:
        """Return whether a point is feasible."""
        return self.accepts is None or self.accepts(values)

    def feasible(
        self, propose: Callable[[int], dict[str, Value]]
    ) -> tuple[int, dict[str, Value]]:
        """Return the first of the draws 0, 1, … whose point is feasible, and the point.

        Raises InputError if none of the first `MOST_DRAWS` is.
        """
        for draw in range(MOST_DRAWS):
            values = propose(draw)
            if self.is_feasible(values):
                return draw, values
        raise InputError(
            f"none of {MOST_DRAWS} points sampled from the ranges is feasible; widen the ranges, "
            "or relax the constraints"
        )


class Sampler(Protocol):
    """Proposes the trials of one round, in order of number.

    Each number is either proposed (`propose`) or already has a point (`replay`). If the sampler
    `learns`, it is told results in order of number, and a proposal depends on nothing but the plan,
    its seed, and the calls before it.
    """

    learns: bool

    def propose(self, number: int, seed: int) -> dict[str, Value]:
        """Return the hyperparameters of trial `number`, from a seed below 2**32."""
        ...

    def replay(self, number: int, hyperparameters: Mapping[str, Value]) -> None:
        """Note that trial `number` has these hyperparameters."""
        ...

    def skip(self, number: int) -> None:
        """Note that a person chose the point of trial `number`, before it is replayed."""
        ...

    def tell(self, result: TrialResult) -> None:
        """Note a result."""
        ...


def another_seed(seed: int, draw: int) -> int:
    """Return the 32-bit seed of a draw: `seed` itself for draw 0, usually the only one."""
    return seed if draw == 0 else int(np.random.SeedSequence((seed, draw)).generate_state(1)[0])
