"""Ranges of the next round, as NAME=LOW:HIGH on the command line and as Python values."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from hpo.api import values
from hpo.distributions import (
    CategoricalDistribution,
    Distribution,
    IntegerDistribution,
    OrderedDistribution,
    with_range,
)
from hpo.errors import InputError
from hpo.search_space import parts_of
from hpo.study import StudyFile
from hpo.study_errors import WrongKeyError, first_error, nearest
from hpo.study_values import Range, read_choices

OPTION = "--range"  # where messages say that a range comes from


def parse_range(
    text: str, search_space: Mapping[str, Distribution], option: str = OPTION
) -> tuple[str, Distribution]:
    """Parse "NAME=LOW:HIGH", or "NAME=a,b" for choices, as a new range of a hyperparameter.

    Raises InputError, which starts with `option`, if the text is malformed or names a
    hyperparameter that is not searched.
    """
    name, equals, rest = text.partition("=")
    if not equals:
        raise InputError(f"{option} {text}: expected NAME=LOW:HIGH")
    if name not in search_space:
        hint = nearest(name, search_space)
        raise InputError(f"{option} {text}: {name!r} is not searched{hint}")
    old = search_space[name]
    try:
        if isinstance(old, OrderedDistribution):
            return name, _ordered(old, rest)
        if isinstance(old, CategoricalDistribution):
            return name, replace(old, choices=read_choices(rest, old.choices))
        low, high = rest.split(":")
        number = int if isinstance(old, IntegerDistribution) else float
        kept = {name: getattr(old, name) for name in ("log", "step", "limits")}
        table = {**kept, "low": number(low), "high": number(high)}
        if isinstance(old, IntegerDistribution) and old.log:
            del table["step"]  # it is 1: only a log range of real numbers can say that it has none
        checked = Range.model_validate(table)
        new = with_range(old, checked.low, checked.high)
    except WrongKeyError as error:
        raise InputError(f"{option} {text}: {error}") from None
    except ValidationError as error:
        key, message = first_error(error, {})
        fault = message if message.startswith(key) else f"{key}: {message}"
        raise InputError(f"{option} {text}: {fault}") from None
    except ValueError:
        raise InputError(f"{option} {text}: expected two numbers, LOW:HIGH") from None
    return name, new


def range_texts(ranges: Mapping[str, Any]) -> list[str]:
    """Return ranges as the command line takes them, e.g. "learning_rate=0.01:0.1"."""
    texts = []
    for name, given in ranges.items():
        if isinstance(given, values.Range):
            given = (given.low, given.high)
        if isinstance(given, values.Choices):
            given = list(given.choices)
        if isinstance(given, tuple) and len(given) == 2:
            low, high = (values.plain(edge, name) for edge in given)
            texts.append(f"{name}={low!r}:{high!r}")
        else:
            choices = given if isinstance(given, list | tuple) else [given]
            texts.append(f"{name}={json.dumps(values.plain(choices, name))[1:-1]}")
    return texts


def parse_ranges(
    texts: Sequence[str], study: StudyFile, option: str = OPTION
) -> dict[str, Distribution]:
    """Parse several ranges like `parse_range`, and let the objective check them."""
    space = study.search_space
    whole = {d.part_of: d for d in space.values() if d.part_of}
    alone = {name: d for name, d in space.items() if not d.part_of}
    ranges: dict[str, Distribution] = {}
    for text in texts:
        name, new = parse_range(text, {**alone, **whole}, option)
        for part in parts_of(name, space) or [name]:
            ranges[part] = replace(new, when=space[part].when)
    if ranges:
        fault = study.feasibility().with_space({**study.search_space, **ranges}).fault()
        if fault is not None:
            raise InputError(f"{option.removesuffix(':')}: {fault[1]}; choose another range")
    return ranges


def _ordered(old: OrderedDistribution, text: str) -> OrderedDistribution:
    """Return the distribution from the first to the last of the choices named in "a:b" or "a,b"."""
    first, colon, last = text.partition(":")
    chosen = read_choices(f"{first},{last}" if colon else text, old.every)
    places = [old.every.index(choice) for choice in chosen]
    low, high = min(places), max(places)
    if low == high or (not colon and high - low + 1 != len(places)):
        raise WrongKeyError("choices", "name at least two neighbors of "
                            f"{', '.join(map(str, old.every))}, which are ordered")
    new = with_range(old, low, high)
    assert isinstance(new, OrderedDistribution)
    return new
