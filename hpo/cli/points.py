"""Points that stand on the command line, as NAME=VALUE for each hyperparameter."""

import json
import math
from collections.abc import Sequence

from hpo.distributions import (
    CategoricalDistribution,
    Distribution,
    IntegerDistribution,
    OrderedDistribution,
    Value,
    describe_conditions,
)
from hpo.errors import InputError
from hpo.search_space import SearchSpace, parts_of, wholes
from hpo.study_errors import WrongKeyError, nearest, short_text
from hpo.study_values import read_choices


def parse_point(texts: Sequence[str], search_space: SearchSpace) -> dict[str, Value]:
    """Read several "NAME=VALUE" as values of searched hyperparameters, in ranges or outside.

    Of one in parts the value is a list, or one part is named, such as width.2. Raises InputError
    where a text has another form, or names what is not searched or twice.
    """
    point: dict[str, Value] = {}
    for text in texts:
        name, equals, rest = text.partition("=")
        if not equals or not name:
            raise InputError(f"{text}: write it as NAME=VALUE, such as learning_rate=0.01")
        try:
            values = _values(name, rest, search_space)
        except WrongKeyError as error:
            raise InputError(f"{text}: {error}") from None
        for part, value in values.items():
            if part in point:
                raise InputError(f"{text}: {part} stands there twice; name it once")
            point[part] = value
    for name in point:
        for other, values_of in search_space[name].when:
            if other not in point or point[other] not in values_of:
                said = describe_conditions(((other, values_of),))
                raise InputError(
                    f"{name}: it is searched only {said}; add {other} to the point, or take "
                    f"{name} out"
                )
    return {name: point[name] for name in search_space if name in point}


def _values(name: str, text: str, search_space: SearchSpace) -> dict[str, Value]:
    """Return the value of a hyperparameter, or those of its parts."""
    if name in search_space:
        return {name: _value(text, search_space[name])}
    parts = parts_of(name, search_space)
    if not parts:
        known = [*search_space, *wholes(search_space)]
        raise WrongKeyError(name, f"{name!r} is not searched{nearest(name, known)}")
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, list) or not 0 < len(values) <= len(parts):
        raise WrongKeyError(name, f"write a list of at most {len(parts)} values, such as "
                            f"{name}=[1,2]")
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
        raise WrongKeyError("", f"{short_text(text)} is no {'whole ' * whole}number; write one"
                            ) from None
    if not math.isfinite(number) or abs(number) > 2**53 * (1 if whole else 1e292):
        raise WrongKeyError("", f"{short_text(text)} cannot be counted with; write another number")
    return number


def _choice(text: str, choices: tuple[Value, ...]) -> Value:
    chosen = read_choices(text, choices)
    if len(chosen) != 1:
        raise WrongKeyError("", "write one of the choices")
    return chosen[0]
