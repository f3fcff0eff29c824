"""Read hyperparameters in parts, such as the widths of layers, from a study file."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, get_args, get_origin

from hpo import wording
from hpo.distributions import Distribution, IntegerDistribution, Value
from hpo.search_space import part_name, parts_of
from hpo.study_errors import WrongKeyError, nearest, short_text

MOST_PARTS = 64  # of one hyperparameter


def read_parts(
    name: str,
    whole: Distribution,
    count: object,
    space: Mapping[str, Distribution],
    fixed: Mapping[str, Value],
) -> dict[str, Distribution]:
    """Return the parts of a hyperparameter; another hyperparameter, `count`, counts them."""
    key = f"{name}.repeat"
    most = least = fixed.get(count) if isinstance(count, str) else None
    counted = space.get(count) if isinstance(count, str) else None
    if isinstance(counted, IntegerDistribution):
        least, most = counted.limits or (counted.low, counted.high)
        if counted.step != 1:
            raise WrongKeyError(key, f"{count} counts the parts, so it cannot have a step; "
                                "remove its step")
    elif counted is not None or isinstance(most, bool) or not isinstance(most, int):
        known = [n for n, d in space.items() if isinstance(d, IntegerDistribution) and n != name]
        raise WrongKeyError(key, f"{short_text(count)} is not an integer in [search_space] or "
                            f"[fixed]{nearest(str(count), known)}")
    assert isinstance(most, int)
    assert isinstance(least, int)
    if most < 1 or most > MOST_PARTS or least < 0:
        span = f"goes from {least} to {most}" if most != least else f"is {most}"
        remedy = "change its range or its limits" if counted is not None else "change it"
        raise WrongKeyError(key, f"{count} {span}, but there must be 1 to {MOST_PARTS} parts; "
                            f"{remedy}")
    above = counted.when if counted is not None else ()
    return {
        part_name(name, number): replace(
            whole, part_of=name, when=whole.when if number <= least and not above else
            (*whole.when, (str(count), tuple(range(number, most + 1)))),
        )
        for number in range(1, most + 1)
    }




def more_types(space: Mapping[str, Distribution], hints: Mapping[str, Any]) -> dict[str, Any]:
    """Return the types of searched names that are not hyperparameters: parts and counts."""
    return {
        name: element_of(hints[d.part_of]) if d.part_of else int
        for name, d in space.items() if name not in hints
    }


def in_parts(
    index: int, point: Mapping[str, Any], space: Mapping[str, Distribution]
) -> dict[str, Any]:
    """Return a point of [[start]], with lists for hyperparameters in parts split into parts."""
    found: dict[str, Any] = {}
    for name, value in point.items():
        parts = parts_of(name, space)
        if not parts:
            found[name] = value
            continue
        if not isinstance(value, list) or len(value) > len(parts):
            raise WrongKeyError(f"{index}.{name}", "expected a list of at most "
                                f"{wording.count(len(parts), 'value')}, got {short_text(value)}")
        counts = {other for part in parts for other, _ in space[part].when}
        for count in counts & point.keys():
            if isinstance(space[count], IntegerDistribution) and point[count] != len(value):
                raise WrongKeyError(f"{index}.{name}", f"has {wording.count(len(value), 'value')}, "
                                    f"but {count} is {short_text(point[count])}; make them match")
        found |= dict(zip(parts, value, strict=False))
    return found


def element_of(hint: Any) -> Any:
    """Return the type of the elements of a tuple of any length, or None."""
    if get_origin(hint) is Annotated:
        return element_of(get_args(hint)[0])
    arguments = get_args(hint)
    if get_origin(hint) is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return arguments[0]
    return hint if hint is Any else None
