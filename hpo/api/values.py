"""Ranges, choices, and other values of a study file, as Python values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypedDict

from hpo.errors import InputError
from hpo.text import text_fault


@dataclass(frozen=True)
class Range:
    """The range of a hyperparameter, from `low` to `high`, as in [search_space] of a study file.

    With `log`, it is searched on a log scale; with `step`, only in steps of that size from `low`.
    It never moves outside of `limits`. With `when`, it is searched only if other hyperparameters
    have certain values. `repeat` names the hyperparameter that says how many values it has.
    `backfill` is the value of trials that ran before it was added.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    limits: tuple[float, float] | None = None
    when: Mapping[str, Any] = field(default_factory=dict)
    repeat: str | None = None
    backfill: Any = None


@dataclass(frozen=True)
class Choices:
    """The choices of a hyperparameter, as in [search_space] of a study file.

    Choices that are `ordered`, for example batch sizes, are searched and narrowed like a range.
    `when`, `repeat`, and `backfill` are as in `hpo.Range`.
    """

    choices: Sequence[Any]
    ordered: bool = False
    when: Mapping[str, Any] = field(default_factory=dict)
    repeat: str | None = None
    backfill: Any = None


class StudyKeys(TypedDict, total=False):
    """The keys of a study file; see its reference for what they mean."""

    name: str
    objective: Any
    command: Sequence[str]
    metrics_pattern: str
    metric: str
    direction: str
    constraint_metrics: Mapping[str, Mapping[str, float]]
    value: str
    seed: int
    rounds: int
    trial: Mapping[str, Any]
    data: Mapping[str, Any]
    fixed: Mapping[str, Any]
    search_space: Mapping[str, Any]
    constraints: Sequence[str]
    round: Mapping[str, Any]
    start: Sequence[Mapping[str, Any]]
    warm_start: Mapping[str, Any]
    budget: Mapping[str, Any]
    resources: Mapping[str, Any]
    checkpoints: Mapping[str, Any]
    confirm: Mapping[str, Any]
    environment: Mapping[str, Any]
    notify: Mapping[str, Any]


def plain(value: Any, key: str) -> Any:
    """Return a value in a form that TOML can hold; None inside a table is dropped.

    Raises InputError, which names the key, if there is no such form.
    """
    if isinstance(value, Range | Choices):
        if isinstance(value, Choices) and not isinstance(value.choices, str):
            value = replace(value, choices=list(value.choices))  # also of an array
        default = {f.name: f.default for f in fields(value)}
        given = {f.name: getattr(value, f.name) for f in fields(value)}
        kept = {n: v for n, v in given.items() if v != default[n] and not (n == "when" and not v)}
        return plain(kept, key)
    if isinstance(value, Mapping):
        return {
            str(name): plain(inside, f"{key}.{name}" if key else str(name))
            for name, inside in value.items() if inside is not None
        }
    if isinstance(value, list | tuple):
        return [plain(inside, key) for inside in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item") and not hasattr(value, "__len__"):  # a number of NumPy
        return plain(value.item(), key)
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            if isinstance(value, str) and (fault := text_fault(value)):
                raise InputError(f"{key}: {fault}")
            return kind(value)
    raise InputError(
        f"{key}: a {type(value).__name__} cannot be written to a study file; use a number, a "
        "string, a list, or a mapping"
    )
