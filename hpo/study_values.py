"""Convert the values and ranges of a study file to those that a search works with."""

import json
import math
import re
import types
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PydanticUserError,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from hpo import wording
from hpo.distributions import (
    CategoricalDistribution,
    Conditions,
    Distribution,
    FloatDistribution,
    IntegerDistribution,
    OrderedDistribution,
    Value,
    as_tuples,
    describe,
    describe_conditions,
    is_value,
    to_text,
)
from hpo.study_errors import WrongKeyError, first_error, key_text, nearest, short_text
from hpo.study_parts import element_of, read_parts
from hpo.text import VALUE_CHARACTERS, name_fault, text_fault

STRICT = ConfigDict(
    extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True, allow_inf_nan=False,
    defer_build=True,  # most commands read no study file
)
T = TypeVar("T")
LARGEST_INTEGER = 2**53  # above it floats, and so scales, skip whole numbers


class Range(BaseModel):
    """A range in [search_space], before its type of number is known."""

    model_config = STRICT
    low: float
    """The smallest value, included."""
    high: float
    """The largest value, included."""
    log: bool = False
    """Sample on a logarithmic scale."""
    step: float | None = Field(default=None, gt=0)
    """Only the values low, low + step, low + 2 step, ... are sampled."""
    repeat: str | None = None
    """The hyperparameter that counts the parts: one value per part, e.g. a width per layer."""
    when: dict[str, Any] = Field(default_factory=dict)
    """Search this hyperparameter only if others have these values: one value or a list for each."""
    backfill: Any = None
    """The value that trials had before this hyperparameter was searched."""
    limits: Annotated[tuple[float, float] | None, BeforeValidator(as_tuples)] = None
    """The edges that the range never passes when it moves between rounds."""

    @model_validator(mode="after")
    def _ordered(self) -> "Range":
        low, high, step = (wording.whole(n) for n in (self.low, self.high, self.step or 1))
        if not self.low < self.high:
            raise WrongKeyError(
                "low", f"low = {low} must be below high = {high}"
            )
        if not math.isfinite(self.high - self.low):
            raise WrongKeyError("high", f"high = {high} is too far from low = {low} for "
                                 "floating point; choose a smaller range")
        if self.log and self.low <= 0:
            raise WrongKeyError("low", f"a log range must be above 0, but low is {low}; "
                                "raise low or remove `log`")
        if self.log and not math.log(self.low) < math.log(self.high):
            raise WrongKeyError("low", f"low = {low} and high = {high} are the same on a "
                                 "log scale; move them apart")
        if self.log and self.step is not None:
            raise WrongKeyError("step", "a log range cannot have a step; remove one of the two")
        steps = (self.high - self.low) / self.step if self.step is not None else 1
        if not 0.5 < steps < 2**53 or abs(steps - round(steps)) > 1e-6:
            raise WrongKeyError("step", f"step = {step} does not divide the range from {low} "
                                f"to {high} into whole steps; change low, high, or step")
        if self.limits is not None and not (
            self.limits[0] <= self.low and self.high <= self.limits[1]
        ):
            raise WrongKeyError("limits", f"{list(self.limits)} does not contain the range from "
                                   f"{low} to {high}; widen the limits")
        if self.log and self.limits is not None and self.limits[0] <= 0:
            raise WrongKeyError("limits", "a log range must be above 0; raise the lower limit")
        return self


class Choices(BaseModel):
    """Choices in [search_space], before it is known of what type they are."""

    model_config = STRICT
    choices: tuple[Any, ...] = Field(min_length=1)
    """The values to choose from."""
    ordered: bool = False
    """The choices are in order, so that they can move like a range."""
    repeat: str | None = None
    """The hyperparameter that counts the parts, for one choice per part."""
    when: dict[str, Any] = Field(default_factory=dict)
    """Search this hyperparameter only if others have these values: one value or a list for each."""
    backfill: Any = None
    """The value that trials had before this hyperparameter was searched."""


def fill(kind: Callable[..., T], table: Mapping[str, object]) -> T:
    """Return a dataclass with the values of a table; errors name the key."""
    hints = get_type_hints(kind)
    values = {name: typed_value(name, value, hints, kind="key") for name, value in table.items()}
    try:
        return kind(**values)
    except ValueError as error:  # its own checks begin with the name of the field
        name = next((name for name in hints if str(error).startswith(name)), "")
        message = str(error).removeprefix(f"{name}: ").removeprefix(f"{name} ")
        raise WrongKeyError(name, message) from None


def typed_value(
    name: str, value: object, hints: Mapping[str, Any], prefix: str = "",
    kind: str = "hyperparameter",
) -> Value:
    """Return `value` as the type that `hints` has for `name`: lists as tuples, 1 as 1.0."""
    key = prefix + key_text(name)
    if name not in hints:
        raise WrongKeyError(key, f"unknown {kind}{nearest(name, hints, f'valid {kind}s')}")
    try:
        typed: Value = TypeAdapter(hints[name]).validate_python(as_tuples(value), strict=True)
    except ValidationError as error:
        raise WrongKeyError(key, first_error(error, {})[1]) from None
    except PydanticUserError:
        raise WrongKeyError(key, f"a study file cannot express its type, {hints[name]}; "
                             "remove it, or give it a plain type in the objective") from None
    if not is_value(typed):
        raise WrongKeyError(key, f"{short_text(typed)} cannot be recorded; "
                             "use a number, a string, true, false, or a list of these")
    fault = text_fault_of(typed)
    if kind == "hyperparameter":
        fault = fault or hyperparameter_fault(name, typed)
    if fault:
        raise WrongKeyError(key, fault)
    return typed


def hyperparameter_fault(name: str, value: Value) -> str:
    """Return why a hyperparameter cannot be recorded, and the remedy, or ""."""
    length = len(to_text(value))
    if length > VALUE_CHARACTERS:
        return (
            f"takes {length} characters in the record, but at most {VALUE_CHARACTERS} are allowed; "
            "put the value in a file, and set the name of the file here"
        )
    fault = name_fault(name)
    return f"this name cannot be recorded: {fault}; rename it in the objective" if fault else ""


def text_fault_of(value: Value) -> str:
    """Return why a string in a value cannot be recorded, or ""."""
    if isinstance(value, tuple):
        return next(filter(None, map(text_fault_of, value)), "")
    return text_fault(value) if isinstance(value, str) else ""


def _number_type(hint: Any) -> type | None:
    """Return float or int for such a hint, optional or not; None for all others."""
    if get_origin(hint) in (Union, types.UnionType):
        inner = [arg for arg in get_args(hint) if arg is not type(None)]
        return _number_type(inner[0]) if len(inner) == 1 else None
    if get_origin(hint) is Annotated:
        return _number_type(get_args(hint)[0])
    return hint if hint in (int, float) else None


def read_space(
    tables: Mapping[str, Any],
    hints: Mapping[str, Any],
    fixed: Mapping[str, Value],
    required: Collection[str],
) -> dict[str, Distribution]:
    """Return the ranges of [search_space], each with its conditions.

    A repeated hyperparameter is returned in parts. `required` are those that the objective has
    no defaults for.
    """
    for name in tables:
        if re.fullmatch(r".*\.\d+", name, re.DOTALL):
            raise WrongKeyError(name, "a name that ends in a number is one of several parts; give "
                                'all of them one range with repeat = "NAME", where NAME is the '
                                "hyperparameter that counts them")
    repeats = {
        name: table["repeat"] for name, table in tables.items()
        if isinstance(table, dict) and table.get("repeat")
    }
    # What counts parts need not be a hyperparameter of the objective, which sees how many it gets.
    hints = {**{n: int for n in repeats.values() if isinstance(n, str)}, **hints}
    for name, count in repeats.items():
        if count in repeats:
            raise WrongKeyError(f"{name}.repeat", f"{short_text(count)} is itself repeated; name "
                                "an integer that counts the parts")
    space = {
        name: _with_backfill(name, read_distribution(name, table, hints), table, hints)
        for name, table in tables.items()
    }
    for count in repeats.values():
        if isinstance(counted := space.get(count), IntegerDistribution) and not counted.limits:
            # There are as many parts as it may ever count.
            space[count] = replace(counted, limits=(min(counted.low, 1), counted.high))
    conditional: dict[str, Distribution] = {}
    for name, d in space.items():
        given = tables[name].get("when", {})
        for other in given:
            if other in repeats and other != name:
                raise WrongKeyError(f"{name}.when.{other}", "is repeated, so it has no single "
                                    f"value; use {repeats[other]}, which counts its parts")
        if _hold_of_fixed(name, given, fixed, hints):  # else it is as if it was not there
            searched = {other: values for other, values in given.items() if other not in fixed}
            when = _read_conditions(name, searched, space, hints)
            conditional[name] = replace(d, when=when)
    found: dict[str, Distribution] = {}
    for name, d in conditional.items():
        if name not in repeats:
            found[name] = d
        elif repeats[name] in conditional or repeats[name] not in space:
            found |= read_parts(name, d, repeats[name], conditional, fixed)
    if not found:
        raise WrongKeyError("", "nothing is searched, because [fixed] meets none of the "
                            "conditions; change one of the two")
    for name, d in found.items():
        chain = _cycle(name, found)
        if chain:
            raise WrongKeyError(f"{name}.when", f"depends on itself: {' on '.join(chain)}; "
                                "remove one of the conditions")
        if d.when and name in required:
            raise WrongKeyError(f"{name}.when", "has no value when it is not searched, because the "
                                "objective has no default for it; give it a default there")
    return found


def _with_backfill(
    name: str, distribution: Distribution, table: Mapping[str, Any], hints: Mapping[str, Any]
) -> Distribution:
    """Return the distribution with what trials had before the hyperparameter was searched."""
    if "backfill" not in table:
        return distribution
    key = f"{key_text(name)}.backfill"
    if table.get("repeat"):
        raise WrongKeyError(key, "not allowed with repeat, which has no single value; remove it")
    given = table["backfill"]
    is_meant = isinstance(given, dict) and given.keys() == {"outside"}
    try:
        value = typed_value(name, given["outside"] if is_meant else given, hints)
    except WrongKeyError as error:
        raise WrongKeyError(key, str(error)) from None
    if not is_meant and not distribution.contains(value):
        raise WrongKeyError(key, f"{short_text(value)} is outside the range; widen the range "
                            "to include the value of the earlier trials, or, to search without "
                            f"them, write {{ outside = {short_text(value)} }}")
    return replace(distribution, backfill=value)


def _hold_of_fixed(
    name: str, given: Mapping[str, Any], fixed: Mapping[str, Value], hints: Mapping[str, Any]
) -> bool:
    """Say whether the conditions of a hyperparameter on what is fixed are met."""
    for other in given.keys() & fixed.keys():
        values = as_tuples(given[other]) if isinstance(given[other], list) else (given[other],)
        if fixed[other] not in [typed_value(other, v, hints, f"{name}.when.") for v in values]:
            return False
    return True


def _read_conditions(
    name: str, table: Mapping[str, Any], space: Mapping[str, Distribution],
    hints: Mapping[str, Any],
) -> Conditions:
    """Return the conditions of a hyperparameter; WrongKeyError where one can never be met."""
    conditions = []
    for other, given in table.items():
        key = f"{name}.when.{key_text(other)}"
        if other == name or other not in space:
            known = [o for o in space if o != name]
            raise WrongKeyError(key, f"is not in [search_space]{nearest(other, known)}"
                                if other != name else "depends on itself; remove it")
        distribution = space[other]
        if isinstance(distribution, FloatDistribution):
            raise WrongKeyError(key, "is a continuous range, but a condition needs exact values; "
                                "use a hyperparameter with choices or integers")
        values = as_tuples(given) if isinstance(given, list) else (given,)
        if not values:
            raise WrongKeyError(key, "must not be empty; add at least one value")
        typed = tuple(typed_value(other, v, hints, f"{name}.when.") for v in values)
        for value in typed:
            if not _is_reachable(distribution, value):
                raise WrongKeyError(key, f"{short_text(value)} is not a value of {other}; valid "
                                    f"values: {describe(distribution)}")
        conditions.append((other, typed))
    return tuple(conditions)


def _is_reachable(distribution: Distribution, value: Value) -> bool:
    """Say whether a distribution has a value, or may have it once it has moved."""
    if isinstance(distribution, IntegerDistribution) and isinstance(value, int):
        low, high = distribution.limits or (-LARGEST_INTEGER, LARGEST_INTEGER)
        return low <= value <= high and (value - distribution.low) % distribution.step == 0
    return distribution.contains(value)


def unmet_condition(
    name: str, point: Mapping[str, Value], space: Mapping[str, Distribution]
) -> str:
    """Return why a point cannot have a value for a hyperparameter, and the remedy, or ""."""
    for other, values in space[name].when:
        said = describe_conditions(((other, values),))
        if other not in point:
            return f"only searched {said}; add {other} to the point, or remove {name}"
        if point[other] not in values:
            return (f"only searched {said}, but {other} is {short_text(point[other])} here; "
                    "change one of the two")
    return ""


def _cycle(name: str, space: Mapping[str, Distribution]) -> list[str]:
    """Return the names that lead from one by its conditions back to it, or none."""
    chains = [[name]]
    while chains:
        chain = chains.pop()
        for other, _ in space[chain[-1]].when:
            if other == name:
                return [*chain, name]
            if other not in chain:
                chains.append([*chain, other])
    return []


def read_distribution(name: str, table: Any, hints: Mapping[str, Any]) -> Distribution:
    """Return the range that a table of [search_space] sets for a hyperparameter.

    Its conditions are ignored.
    """
    if name not in hints:
        raise WrongKeyError(key_text(name), "unknown hyperparameter"
                            f"{nearest(name, hints, 'valid hyperparameters')}")
    if isinstance(table, list):
        raise WrongKeyError(name, f"expected a range, got {short_text(table)}; for choices, use "
                            f"{{ choices = {short_text(table)} }}")
    if not isinstance(table, dict):
        raise WrongKeyError(name, "expected a range such as { low = 1e-6, high = 1e-2, log "
                            f"= true }}, got {short_text(table)}; put a single value in [fixed]")
    fault = hyperparameter_fault(name, 0)
    if fault:
        raise WrongKeyError(name, fault)
    if table.get("repeat"):
        element = element_of(hints[name])
        if element is None:
            raise WrongKeyError(f"{name}.repeat", f"repeat needs a tuple, but {name} is not one; "
                                "annotate it as tuple[int, ...] or similar in the objective")
        if element is Any:  # of a program, which is given texts
            whole = all(type(table.get(key, 0)) is int for key in ("low", "high", "step"))
            element = Any if "choices" in table else int if whole else float
        hints = {**hints, name: element}
    elif "choices" not in table and "low" in table and element_of(hints[name]) not in (None, Any):
        raise WrongKeyError(name, "accepts a list; use choices, each a list, or one range with "
                            'repeat = "NAME", where NAME counts the values')
    number = _number_type(hints[name])
    model: type[BaseModel] = Choices if "choices" in table or number is None else Range
    try:
        checked = model.model_validate({key: as_tuples(value) for key, value in table.items()})
    except ValidationError as error:
        key, message = first_error(error, {(): list(model.model_fields)})
        raise WrongKeyError(f"{name}.{key}".rstrip("."), message) from None
    if isinstance(checked, Choices):
        try:
            values = tuple(typed_value(name, value, hints) for value in checked.choices)
        except WrongKeyError as error:
            raise WrongKeyError(f"{name}.choices", str(error)) from None
        if len(set(values)) < len(values):
            raise WrongKeyError(f"{name}.choices", "a choice is listed twice; list each once")
        if checked.ordered and len(values) > 1:
            return OrderedDistribution.of(values)
        return CategoricalDistribution(values)
    assert isinstance(checked, Range)
    if number is float:
        return FloatDistribution(checked.low, checked.high, checked.log, checked.step,
                                 checked.limits)
    edges = [checked.low, checked.high, checked.step or 1, *(checked.limits or ())]
    if any(edge != int(edge) for edge in edges):
        raise WrongKeyError(name, "accepts only integers; use integers for its range")
    if any(abs(edge) > LARGEST_INTEGER for edge in edges):
        raise WrongKeyError(name, f"integers above {LARGEST_INTEGER} cannot be told apart; "
                             "choose smaller ones")
    limits = checked.limits and (int(checked.limits[0]), int(checked.limits[1]))
    return IntegerDistribution(int(checked.low), int(checked.high), checked.log,
                               int(checked.step or 1), limits)


def read_choices(text: str, choices: tuple[Value, ...]) -> tuple[Value, ...]:
    """Return the choices named in "a,b" or "[1, 2],[3]"."""
    try:
        given = as_tuples(json.loads(f"[{text}]"))
    except (ValueError, RecursionError):
        given = ()
    if not given or not all(value in choices for value in given):
        given = tuple(text.split(","))
    by_text = {c if isinstance(c, str) else json.dumps(c): c for c in choices}
    chosen = tuple(value if value in choices else by_text.get(value) for value in given)
    for value, choice in zip(given, chosen, strict=True):
        if choice is None:
            raise WrongKeyError("choices", f"{value!r} is not a choice; valid choices: "
                                 f"{', '.join(by_text)}")
    if len(set(chosen)) < len(chosen):
        raise WrongKeyError("choices", "a choice is listed twice; list each once")
    return tuple(choice for choice in chosen if choice is not None)
