"""Points to try, as NAME=VALUE per hyperparameter and as values."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hpo import wording
from hpo.api.values import plain
from hpo.distributions import (
    LARGEST,
    CategoricalDistribution,
    Distribution,
    IntegerDistribution,
    OrderedDistribution,
    Value,
)
from hpo.errors import InputError
from hpo.search_space import SearchSpace, parts_of, wholes
from hpo.study_errors import WrongKeyError, nearest, short_text
from hpo.study_values import LARGEST_INTEGER, read_choices, unmet_condition


def point_texts(point: Mapping[str, Any]) -> list[str]:
    """Return a point as the command line takes it, e.g. "learning_rate=0.01"."""
    return [f"{name}={json.dumps(plain(value, name))}" for name, value in point.items()]


def parse_point(texts: Sequence[str], search_space: SearchSpace) -> dict[str, Value]:
    """Parse "NAME=VALUE" texts as values of searched hyperparameters, in their ranges or not.

    For a repeated hyperparameter, the value is a list, or the name is that of one part, e.g.
    width.2. Raises InputError if a text is malformed, or names a hyperparameter that is not
    searched or is already named.
    """
    point: dict[str, Value] = {}
    for text in texts:
        name, equals, rest = text.partition("=")
        if not equals or not name:
            raise InputError(f"{text}: expected NAME=VALUE, for example learning_rate=0.01")
        try:
            values = _values(name, rest, search_space)
        except WrongKeyError as error:
            raise InputError(f"{text}: {error}") from None
        for part, value in values.items():
            if part in point:
                raise InputError(f"{text}: {part} is given twice; give it once")
            point[part] = value
    for name, value in point.items():
        numbers, whole = _counted_by(name, search_space)
        if numbers and not (isinstance(value, int) and numbers[0] - 1 <= value <= numbers[-1]):
            raise InputError(
                f"{name}={value}: must be an integer from {numbers[0] - 1} to {numbers[-1]}, the "
                f"possible numbers of {whole}"
            )
        fault = unmet_condition(name, point, search_space)
        if fault:
            raise InputError(f"{name}: {fault}")
    return {name: point[name] for name in search_space if name in point}


def _counted_by(count: str, search_space: SearchSpace) -> tuple[list[int], str]:
    """Return the numbers of the parts that are there only for some values of a count, and of what.

    A part's last condition is on what counts it, which is its own number or more.
    """
    numbers, whole = [], ""
    for part, d in search_space.items():
        number = int(part.rpartition(".")[2]) if d.part_of else 0
        if number and d.when and d.when[-1][0] == count and d.when[-1][1][0] == number:
            numbers.append(number)
            whole = d.part_of
    return sorted(numbers), whole


def _values(name: str, text: str, search_space: SearchSpace) -> dict[str, Value]:
    """Return the value of a hyperparameter, or those of its parts."""
    if name in search_space:
        return {name: _value(text, search_space[name])}
    parts = parts_of(name, search_space)
    if not parts:
        known = dict.fromkeys([*search_space, *wholes(search_space)])
        raise WrongKeyError(name, f"{name!r} is not searched{nearest(name, known)}")
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, list) or not 0 < len(values) <= len(parts):
        most = wording.count(len(parts), "value")
        raise WrongKeyError(name, f"expected a list of at most {most}, for example {name}=[1,2]")
    texts = [value if isinstance(value, str) else json.dumps(value) for value in values]
    return {
        part: _value(each, search_space[part])
        for part, each in zip(parts, texts, strict=False)
    }


def _value(text: str, distribution: Distribution) -> Value:
    if isinstance(distribution, OrderedDistribution):
        return _choice(text, distribution.every)
    if isinstance(distribution, CategoricalDistribution):
        return _choice(text, distribution.choices)
    whole = isinstance(distribution, IntegerDistribution)
    try:
        number = int(text) if whole else float(text)
    except ValueError:
        raise WrongKeyError("", f"expected {'an integer' if whole else 'a number'}, "
                            f"got {short_text(text)}") from None
    limit = LARGEST_INTEGER if whole else LARGEST
    if not abs(number) <= limit:  # NaN is not either
        raise WrongKeyError("", f"{short_text(text)} is out of bounds; choose a number from "
                            f"{-limit:g} to {limit:g}")
    return number


def _choice(text: str, choices: tuple[Value, ...]) -> Value:
    chosen = read_choices(text, choices)
    if len(chosen) != 1:
        raise WrongKeyError("", f"must be one of {', '.join(map(str, choices))}")
    return chosen[0]
