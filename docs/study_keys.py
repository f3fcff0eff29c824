"""The keys of a study file as they are defined: types in the words of TOML, defaults, bounds."""

import ast
import inspect
import textwrap
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from dataclasses import Field as DataclassField
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, MinLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from hpo.data.settings import DataSettings
from hpo.program import Program
from hpo.search.pruning import PRUNERS
from hpo.search.samplers import SAMPLERS
from hpo.study_errors import short_text
from hpo.study_fields import RESERVED, StudyFields
from hpo.study_tables import (
    Budget,
    CheckpointSettings,
    ConfirmSettings,
    Environment,
    NotifySettings,
    Resources,
    RoundSettings,
    TrialSettings,
    WarmStart,
)
from hpo.study_values import Choices, Range
from hpo.trial import Limit


def _quoted(value: str) -> str:
    return f'"{value}"'


def _either(values: Iterable[str]) -> str:
    """Return the values in quotes, as alternatives."""
    *first, last = map(_quoted, values)
    return f"{', '.join(first)}{',' * (len(first) > 1)} or {last}"


_WORDS = {int: "integer", float: "number", str: "string", bool: "true or false", Any: "any value"}
_PLURALS = {int: "integers", float: "numbers", str: "strings", Any: "values"}
# What a type does not say.
_TYPES = {
    "objective": "string",
    "constraints": "list of strings",
    "round.sampler": _either(SAMPLERS),
    "round.pruner": ", ".join(f'"{name}"' for name in ("none", *PRUNERS)) + ", or a table",
    "[search_space].when": "table",
    "[search_space].backfill": "a value, or { outside = VALUE } for one outside the range",
    "data.files": "list of strings",
}
_DEFAULTS = {"name": "the name of the file", "round.pruner": '`"none"`'}


@dataclass(frozen=True)
class Key:
    """One key: its full name, how it is written, its type, its default and what it does.

    `default` is Markdown; it is "" where the key is required, and "none" where it may be absent.
    """

    name: str
    type: str
    default: str
    description: str


@dataclass(frozen=True)
class Table:
    """A table of the file with its keys; `header` is how it is written, "" for the top."""

    header: str
    description: str
    keys: tuple[Key, ...]


def tables() -> list[Table]:
    """Return everything that a study file may hold, the top first."""
    inside = {
        "data": DataSettings, "round": RoundSettings, "trial": TrialSettings,
        "warm_start": WarmStart, "budget": Budget, "resources": Resources,
        "checkpoints": CheckpointSettings, "confirm": ConfirmSettings,
        "environment": Environment, "notify": NotifySettings,
    }
    described = docstrings(StudyFields)
    elsewhere = {*inside, *RESERVED, "fixed", "search_space", "constraint_metrics", "start"}
    top = [key for key in keys_of(StudyFields) if key.name not in elsewhere]
    first = [key.name for key in top].index("objective") + 1
    found = [Table("", "", (*top[:first], *keys_of(Program), *top[first:]))]
    for name in ("data", "fixed", "search_space", "constraint_metrics", "round", "trial", "start",
                 "warm_start", "budget", "resources", "checkpoints", "confirm", "environment",
                 "notify"):
        header = f"[[{name}]]" if name == "start" else f"[{name}]"
        keys: tuple[Key, ...] = ()
        if name == "search_space":
            by_name = {k.name: k for kind in (Choices, Range) for k in keys_of(kind, f"{header}.")}
            order = ("low", "high", "log", "step", "limits", "choices", "ordered", "when", "repeat")
            rest = [name for name in by_name if name.rpartition(".")[2] not in order]
            keys = tuple(by_name[n] for n in [*(f"{header}.{short}" for short in order), *rest])
        elif name == "fixed":
            keys = (Key("[fixed].NAME", "number, string, true or false, or a list of these", "none",
                        "The value of the hyperparameter NAME."),)
        elif name == "start":
            keys = (Key("[[start]].NAME", "a value in the range of NAME", "sampled",
                        "The value of the hyperparameter NAME at this point."),)
        elif name == "constraint_metrics":
            keys = keys_of(Limit, f"{header}.")
        elif name in inside:
            keys = keys_of(inside[name], f"{name}.")
        if name == "data":
            of_files = described["data_files"]
            keys = (*keys, Key("data.files", _TYPES["data.files"], "none", of_files))
        found.append(Table(header, described[name], keys))
        if name == "round":
            for pruner, kind in PRUNERS.items():
                described_as = (inspect.getdoc(kind) or "").partition("\n")[0]
                found.append(Table(
                    f'pruner = {{ name = "{pruner}" }}', described_as,
                    keys_of(kind, f"round.pruner {pruner}."),
                ))
    return found


def keys_of(kind: type[Any], prefix: str = "") -> tuple[Key, ...]:
    """Return the keys of a table that a model or a dataclass defines, in order."""
    made = _model_keys if issubclass(kind, BaseModel) else _dataclass_keys
    return tuple(made(kind, prefix))


def _model_keys(kind: type[BaseModel], prefix: str) -> Iterator[Key]:
    documented = docstrings(kind)
    for field_name, field in kind.model_fields.items():
        name = prefix + (field.alias or field_name)
        default = "" if field.is_required() else _default(name, _default_of(field))
        type_text = _TYPES.get(name) or described(field.annotation, field.metadata)
        yield Key(name, type_text, default, documented.get(field_name, ""))


def _default_of(field: FieldInfo) -> object:
    made = field.get_default(call_default_factory=True)
    return None if made is PydanticUndefined else made


def _dataclass_keys(kind: type[Any], prefix: str) -> Iterator[Key]:
    hints, documented = get_type_hints(kind), docstrings(kind)
    given: DataclassField[Any]
    for given in fields(kind):
        name = prefix + given.name
        is_required = given.default is MISSING or name == "data.source"
        default = "" if is_required else _default(name, given.default)
        type_text = _TYPES.get(name) or described(hints[given.name])
        yield Key(name, type_text, default, documented.get(given.name, ""))


def _default(name: str, value: object) -> str:
    if name in _DEFAULTS:
        return _DEFAULTS[name]
    is_none = value is None or value in ((), "") or (isinstance(value, Mapping) and not value)
    return "none" if is_none else f"`{short_text(value)}`".replace("'", '"')


def docstrings(kind: type[Any]) -> dict[str, str]:
    """Return the texts that stand below the fields of a class."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for field, below in zip(body.body[:-1], body.body[1:], strict=True):
        if (
            isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
            and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
        ):
            found[field.target.id] = inspect.cleandoc(str(below.value.value))
    return found


def described(hint: Any, metadata: list[Any] | tuple[Any, ...] = ()) -> str:
    """Return a type in the words of TOML, with its bounds."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return described(arguments[0], arguments[1:])
    if origin in (Union, types.UnionType):
        return described(next(a for a in arguments if a is not type(None)), metadata)
    if origin is Literal:
        return _either(arguments)
    if origin is tuple:
        return _list(arguments, metadata)
    if origin in (dict, Mapping) or hint is dict:
        inner = f" of {_WORDS[float]}s" if _is_number(arguments[-1]) else ""
        return f"table{inner}"
    return f"{_WORDS.get(hint, 'table')}{_bounds(metadata)}"


def _list(arguments: tuple[Any, ...], metadata: list[Any] | tuple[Any, ...]) -> str:
    inner = arguments[0]
    several = _PLURALS.get(inner) or "any of " + ", ".join(map(_quoted, get_args(inner)))
    if len(arguments) == 2 and arguments[1] is not Ellipsis:
        return f"list of two {several}"
    least = next((m.min_length for m in metadata if isinstance(m, MinLen)), 0)
    return f"list of {several}" + (", not empty" if least else "")


def _is_number(hint: Any) -> bool:
    return hint is float or (get_origin(hint) is Annotated and get_args(hint)[0] is float)


def _bounds(metadata: list[Any] | tuple[Any, ...]) -> str:
    low = next((m.ge for m in metadata if isinstance(m, Ge)), None)
    above = next((m.gt for m in metadata if isinstance(m, Gt)), None)
    high = next((m.le for m in metadata if isinstance(m, Le)), None)
    if low is not None and high is not None:
        return f" from {low} to {high:,}"
    if low is not None:
        return f", at least {low}"
    return "" if above is None else f", above {above}"
