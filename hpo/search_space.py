"""Handle search spaces: the hyperparameters, and which of them have values together."""

from collections.abc import Mapping
from typing import TypeAlias

from hpo.distributions import Conditions, Distribution, FloatDistribution, Value

SearchSpace: TypeAlias = Mapping[str, Distribution]


def is_met(when: Conditions, hyperparameters: Mapping[str, Value]) -> bool:
    """Return whether the conditions hold; those on an absent name do not."""
    return all(
        name in hyperparameters and hyperparameters[name] in values for name, values in when
    )


def is_absent(
    name: str, distribution: Distribution, hyperparameters: Mapping[str, Value]
) -> bool:
    """Return whether a trial correctly has no value for a hyperparameter."""
    return name not in hyperparameters and not is_met(distribution.when, hyperparameters)


def active(search_space: SearchSpace, values: Mapping[str, Value]) -> dict[str, Value]:
    """Return the values without those of hyperparameters whose conditions are not met.

    A condition on an absent hyperparameter is not met. `values` must have a value for each name of
    the search space.
    """
    kept = dict(values)
    while True:
        left_out = [n for n, d in search_space.items() if n in kept and not is_met(d.when, kept)]
        if not left_out:
            return kept
        for name in left_out:
            del kept[name]


def parents_first(search_space: SearchSpace) -> list[str]:
    """Return the names, each after the names in its conditions."""
    order: list[str] = []

    def add(name: str) -> None:
        if name not in order:
            for other, _ in search_space[name].when:
                add(other)
            order.append(name)

    for name in search_space:
        add(name)
    return order


def contains(search_space: SearchSpace, hyperparameters: Mapping[str, Value]) -> bool:
    """Return whether every searched hyperparameter is in its range, or correctly absent."""
    return all(
        is_absent(name, distribution, hyperparameters) or (
            name in hyperparameters
            and is_met(distribution.when, hyperparameters)
            and distribution.contains(hyperparameters[name])
        )
        for name, distribution in search_space.items()
    )


def backfilled(
    hyperparameters: Mapping[str, Value], before: SearchSpace, after: SearchSpace
) -> dict[str, Value]:
    """Return a trial's hyperparameters, filled in for those that are searched only `after` it.

    `before` is the search space of its round. Those whose conditions are not met stay absent.
    """
    filled = dict(hyperparameters)
    for name in parents_first(after):
        value = after[name].backfill
        if value is not None and name not in before and is_met(after[name].when, filled):
            filled.setdefault(name, value)
    return filled


def point(search_space: SearchSpace, units: Mapping[str, float]) -> dict[str, Value]:
    """Return the hyperparameters at `units`, one number in [0, 1] for each name.

    Those whose conditions are not met are absent.
    """
    values = {name: d.from_unit(units[name]) for name, d in search_space.items()}
    return active(search_space, values)


def readable(search_space: SearchSpace, values: Mapping[str, Value]) -> dict[str, Value]:
    """Return the values with as many digits as a person reads; see `FloatDistribution`."""
    return {
        name: d.readable(value)  # type: ignore[arg-type]
        if isinstance(d := search_space.get(name), FloatDistribution) else value
        for name, value in values.items()
    }


def middle(search_space: SearchSpace) -> dict[str, Value]:
    """Return the point in the middle of all ranges."""
    return point(search_space, dict.fromkeys(search_space, 0.5))


def part_name(name: str, number: int) -> str:
    """Return the name of a part of a hyperparameter; the first has number 1."""
    return f"{name}.{number}"


def whole_name(name: str) -> str:
    """Return the hyperparameter that a part belongs to; other names are returned unchanged."""
    whole, dot, number = name.rpartition(".")
    return whole if dot and number.isdigit() else name


def packed(hyperparameters: Mapping[str, Value]) -> dict[str, Value]:
    """Return hyperparameters as an objective accepts them: parts, such as width.1, as one tuple.

    The parts may be in any order: a record has width.10 before width.2.
    """
    found: dict[str, Value] = {}
    for name, value in hyperparameters.items():
        whole = whole_name(name)
        if whole == name:
            found[name] = value
        elif whole not in found:
            parts = [part for part in hyperparameters if whole_name(part) == whole != part]
            parts.sort(key=lambda part: int(part.rpartition(".")[2]))
            found[whole] = tuple(hyperparameters[part] for part in parts)
    return found


def wholes(search_space: SearchSpace) -> dict[str, Distribution]:
    """Return the ranges of the objective's hyperparameters: once for those in parts."""
    found: dict[str, Distribution] = {}
    for name, distribution in search_space.items():
        found.setdefault(distribution.part_of or name, distribution)
    return found


def parts_of(name: str, search_space: SearchSpace) -> list[str]:
    """Return the names of the parts of a hyperparameter."""
    return [part for part, d in search_space.items() if d.part_of == name]
