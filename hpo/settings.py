"""Define the settings that a round starts with and keeps, and how they are recorded."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from hpo.constraints import parse
from hpo.distributions import Value, as_tuples, from_table, is_value, to_table
from hpo.errors import InputError
from hpo.search import pruning
from hpo.search.pruning import Pruner
from hpo.search.samplers import SAMPLERS
from hpo.search_space import SearchSpace
from hpo.text import name_fault
from hpo.trial import MOST_TRIALS, Direction, Limit

FORMAT = 4  # of what is written; `_upgraded` reads all before it


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings that a round starts with and keeps, even if the study file changes.

    `code` and `syntax` are digests of the objective's files: of their bytes, and of what Python
    parses in them ("" if an early record lacks it). `data` is the digest of the split data (""
    without data). `environment` has the versions that the last bits of a result depend on.
    `start` are the points tried first, None if an early record lacks them. Every point must meet
    the `constraints`. With `rounded`, proposed values have only as many digits as a person reads.
    A trial is trained with this many `seeds`, or on this many `folds` (0: on one split).
    """

    objective: str
    code: str
    syntax: str = ""
    data: str
    fixed: Mapping[str, Value]
    metric: str
    direction: Direction
    value: Literal["last", "best"]
    seed: int
    sampler: str
    pruner: Pruner | None
    parallel: int
    trials: int
    search_space: SearchSpace
    start: Sequence[Mapping[str, Value]] | None
    constraints: Sequence[str] = ()
    limits: Mapping[str, Limit] = field(default_factory=dict)  # of other metrics, by name
    rounded: bool = True
    seeds: int = 1
    folds: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def parts(self) -> int:
        """The number of trainings in a trial."""
        return self.folds or self.seeds

    def to_table(self) -> dict[str, Any]:
        """Return the settings as plain values for JSON."""
        return {
            "format": FORMAT,
            **vars(self),
            "pruner": pruning.to_table(self.pruner),
            "search_space": {name: to_table(d) for name, d in self.search_space.items()},
            "limits": {name: asdict(limit) for name, limit in self.limits.items()},
        }


def settings_from(table: Mapping[str, Any]) -> Settings:
    """Return the settings that `to_table` wrote, in this version or an earlier one.

    Raises ValueError, TypeError or LookupError, with the reason, if the table is not one of
    these, and InputError if a newer version wrote it.
    """
    upgraded = _upgraded(table)
    read = {}
    for name, reader in _READERS.items():
        if name not in upgraded:
            raise ValueError(f"it has no {name!r}")
        try:
            read[name] = reader(upgraded[name])
        except (ValueError, TypeError, LookupError, AttributeError, SyntaxError) as error:
            text = json.dumps(upgraded[name])
            raise ValueError(f"its {name!r} cannot be {text[:60]}") from error
    return Settings(**read)


def fingerprint(table: Mapping[str, Any]) -> str:
    """Return a digest that identifies recorded settings."""
    return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()[:16]


def _upgraded(table: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return settings of any format in the newest format."""
    written_in = table.get("format", 0)
    if not isinstance(written_in, int):
        raise TypeError(f"its 'format' cannot be {written_in!r}")
    if written_in > FORMAT:
        raise InputError(
            f"this round was written by a newer version of hpo, in format {written_in}, but this "
            f"one reads formats up to {FORMAT}; upgrade hpo"
        )
    if written_in == 0:
        pruner = table.get("pruner")
        if isinstance(pruner, str):
            pruner = pruning.to_table(pruning.from_representation(pruner))
        table = {"start": None, "environment": {}, **table, "pruner": pruner}
    if written_in < 2:
        table = {**table, "syntax": ""}
    if written_in < 3:
        table = {**table, "constraints": [], "limits": {}, "rounded": False}
    if written_in < 4:
        table = {**table, "seeds": 1, "folds": 0}
    return table


def _one_of(*allowed: str) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if not isinstance(value, str) or value not in allowed:
            raise ValueError(value)
        return value

    return read


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _metric(value: Any) -> str:
    if name_fault(_text(value)):
        raise ValueError(value)
    return _text(value)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(value)
    return value


def _count(value: Any) -> int:
    if not 1 <= _whole(value) < MOST_TRIALS:
        raise ValueError(value)
    return _whole(value)


def _values(table: Any) -> dict[str, Value]:
    values = {name: as_tuples(value) for name, value in table.items()}
    if not all(map(is_value, values.values())):
        raise ValueError(table)
    return values


def _space(table: Any) -> SearchSpace:
    return {name: from_table(distribution) for name, distribution in table.items()}


def _points(table: Any) -> Sequence[Mapping[str, Value]] | None:
    return None if table is None else tuple(map(_values, table))


def _constraints(texts: Any) -> tuple[str, ...]:
    if not isinstance(texts, list | tuple):
        raise TypeError(texts)
    for text in texts:
        parse(_text(text))
    return tuple(texts)


def _limits(table: Any) -> dict[str, Limit]:
    limits = {_metric(name): Limit(**ends) for name, ends in table.items()}
    for limit in limits.values():
        ends = [end for end in (limit.at_least, limit.at_most) if end is not None]
        if not ends or any(isinstance(n, bool) or not isinstance(n, int | float) for n in ends):
            raise ValueError(table)
    return limits


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(value)
    return value


def _texts(table: Any) -> dict[str, str]:
    return {name: _text(value) for name, value in table.items()}


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "objective": _text,
    "code": _text,
    "syntax": _text,
    "data": _text,
    "fixed": _values,
    "metric": _metric,
    "direction": _one_of(*get_args(Direction)),
    "value": _one_of("last", "best"),
    "seed": _whole,
    "sampler": _one_of(*SAMPLERS),
    "pruner": pruning.from_table,
    "parallel": _count,
    "trials": _count,
    "search_space": _space,
    "start": _points,
    "constraints": _constraints,
    "limits": _limits,
    "rounded": _flag,
    "seeds": _count,
    "folds": _whole,
    "environment": _texts,
}
