"""Decide which points of a search space can be trained: constraints and objective allow them."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from hpo.constraints import Constraint
from hpo.distributions import CategoricalDistribution, Value
from hpo.search_space import SearchSpace, active
from hpo.study_errors import clipped

DRAWS = 1000  # points among which there has to be one that can be trained with
TRIES = 64  # points that a value is tried with
INSIDE = 1 / 16  # of a range: where an end of it is tried


class Feasibility:
    """Checks whether a point can be trained, and how much of the search space can.

    `refused` returns why the objective rejects hyperparameters, or None.
    """

    def __init__(
        self,
        search_space: SearchSpace,
        fixed: Mapping[str, Value],
        constraints: Sequence[Constraint],
        refused: Callable[[Mapping[str, Value]], str | None],
    ) -> None:
        self._space, self._fixed = search_space, fixed
        self._constraints, self._refused = constraints, refused

    def reason(self, point: Mapping[str, Value]) -> str | None:
        """Return why a point cannot be trained, or None."""
        values = {**self._fixed, **point}
        for constraint in self._constraints:
            try:
                if not constraint.holds(values):
                    return f"the constraint {constraint.text!r} does not hold"
            except ValueError as error:
                return f"the constraint {error}"
        return self._refused(values)

    def accepts(self, point: Mapping[str, Value]) -> bool:
        """Return whether a point can be trained."""
        return self.reason(point) is None

    def with_space(self, search_space: SearchSpace) -> "Feasibility":
        """Return the same check for other ranges."""
        return Feasibility(search_space, self._fixed, self._constraints, self._refused)

    def drawn(self, count: int, given: Mapping[str, Value] | None = None) -> Iterator[
        dict[str, Value]
    ]:
        """Yield random points, always the same ones, with the values `given`."""
        generator = np.random.default_rng(0)
        for _ in range(count):
            units = generator.random(len(self._space)).tolist()
            values = {
                name: d.from_unit(unit)
                for (name, d), unit in zip(self._space.items(), units, strict=True)
            }
            yield active(self._space, {**values, **(given or {})})

    def is_empty(self) -> bool:
        """Return whether no random point can be trained."""
        return not any(map(self.accepts, self.drawn(DRAWS)))

    def share(self) -> tuple[float, dict[str, int]]:
        """Return the share of random points that can be trained, 0 to 1, and why others cannot.

        The reasons come with their counts, the most common first; of reasons that differ only in
        their numbers, the first one stands for all.
        """
        counts: dict[str, tuple[str, int]] = {}
        points = list(self.drawn(DRAWS))
        for point in points:
            reason = self.reason(point)
            if reason is not None:
                kind = re.sub(r"\d[\d.e+-]*", "", reason)
                first, count = counts.get(kind, (reason, 0))
                counts[kind] = first, count + 1
        reasons = dict(sorted(counts.values(), key=lambda reason: -reason[1]))
        return 1 - sum(reasons.values()) / len(points), reasons

    def allows(self, name: str, value: Value) -> bool:
        """Return whether a point with this value can be trained."""
        points = (point for point in self.drawn(TRIES, {name: value}) if name in point)
        first = next(points, None)  # none where its conditions are hardly ever met
        return first is None or self.accepts(first) or any(map(self.accepts, points))

    def reason_against_start(self, given: Mapping[str, Value]) -> str | None:
        """Return why no point with these values can be trained, or None."""
        reason = None
        for point in self.drawn(TRIES, given):
            reason = self.reason(point)
            if reason is None:
                return None
        return reason

    def fault(self) -> tuple[str, str, str] | None:
        """Return the key of a study file, what is wrong there, and the remedy, or None.

        A choice, or a value near the end of a range, is at fault if the objective rejects it in
        all combinations; it may reject some points, but not all.
        """
        for name, distribution in self._space.items():
            ends: tuple[Value, ...]
            if isinstance(distribution, CategoricalDistribution):
                ends = distribution.choices
            else:
                ends = (distribution.from_unit(INSIDE), distribution.from_unit(1 - INSIDE))
            for value in ends:
                points = self.drawn(TRIES, {name: value})
                refusal = self._refusal_of_all(point for point in points if name in point)
                if refusal is not None:
                    return self._named(refusal, name)
        if self.is_empty():
            _, reasons = self.share()
            return (
                "constraints" if self._constraints else "search_space",
                f"none of {DRAWS} points sampled from the ranges can be trained, mostly because "
                f"{clipped(next(iter(reasons)), 200)}",
                "widen the ranges, or relax that rule",
            )
        return None

    def _refusal_of_all(self, points: Iterable[Mapping[str, Value]]) -> str | None:
        """Return why the objective refuses the last of the points, None where not all of them."""
        refusal = None
        for point in points:
            refusal = self._refused({**self._fixed, **point})
            if refusal is None:
                return None
        return refusal

    def _named(self, refusal: str, name: str) -> tuple[str, str, str]:
        """Return the key that a refusal of all values of `name` is about, itself, and the remedy.

        It is that of the hyperparameter it begins with. Else, where no other value of `name` is
        accepted either, what is fixed is as likely to blame.
        """
        word = re.match(r"\w*", refusal)
        about = word[0] if word else ""
        all_are = self._refusal_of_all(self.drawn(TRIES)) is not None
        key = f"search_space.{name}"
        if about in self._space:
            key = f"search_space.{about}"
        elif all_are and about in self._fixed:
            key = f"fixed.{about}"
        elif all_are:
            key = "fixed" if self._fixed else "search_space"
        return key, clipped(refusal, 300), "change it"
