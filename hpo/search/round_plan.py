"""A round as its sampler sees it: what is searched, what is known, what may be proposed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hpo.distributions import Value
from hpo.errors import InputError
from hpo.search_space import SearchSpace, active, readable
from hpo.trial import Direction, TrialResult

MOST_DRAWS = 1000  # points that are tried until one can be trained with


@dataclass(frozen=True)
class RoundPlan:
    """What a sampler knows of its round before the first trial.

    `earlier` are the results of earlier rounds, in order of round and number; of `others`, each the
    trials of another study, only the order counts. `accepts` says
    whether a point can be trained with; one that it refuses is never proposed. Where values are
    `rounded` they have no more digits than a person reads.
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
        """Return values with the digits that they are proposed with."""
        return readable(self.search_space, values) if self.rounded else dict(values)

    def is_feasible(self, values: Mapping[str, Value]) -> bool:
        """Say whether a point can be trained with."""
        return self.accepts is None or self.accepts(values)

    def feasible(
        self, propose: Callable[[int], dict[str, Value]]
    ) -> tuple[int, dict[str, Value]]:
        """Return the first of the draws 0, 1, … whose point can be trained with, and the point.

        Raises InputError where there is none among the first `MOST_DRAWS`.
        """
        for draw in range(MOST_DRAWS):
            values = propose(draw)
            if self.is_feasible(values):
                return draw, values
        raise InputError(
            f"none of {MOST_DRAWS} points drawn from the ranges can be trained with; "
            "widen the ranges, or relax the constraints"
        )


class Sampler(Protocol):
    """Proposes the trials of one round, in order of number.

    For a number it is either asked (`propose`) or shown what the number was given (`replay`).
    Where it `learns`, results are told in order of number, and a proposal depends on nothing but
    the plan, its seed, and the calls before it.
    """

    learns: bool

    def propose(self, number: int, seed: int) -> dict[str, Value]:
        """Return the hyperparameters of trial `number`, from a seed below 2**32."""
        ...

    def replay(self, number: int, hyperparameters: Mapping[str, Value]) -> None:
        """Take note that trial `number` was given these hyperparameters."""
        ...

    def skip(self, number: int) -> None:
        """Take note that a person chose the point of `number`, before it is replayed."""
        ...

    def tell(self, result: TrialResult) -> None:
        """Take note of a result."""
        ...


def another_seed(seed: int, draw: int) -> int:
    """Return the 32-bit seed of a draw: `seed` itself for draw 0, of which there mostly is one."""
    return seed if draw == 0 else int(np.random.SeedSequence((seed, draw)).generate_state(1)[0])
