"""A study file as a value: parsed once, so that a wrong file gets no further than here."""

import datetime
import difflib
import json
import math
import re
import sys
import tomllib
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PydanticUserError,
    SkipValidation,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from hpo import objective as objectives
from hpo import wording
from hpo.data.settings import DataSettings
from hpo.errors import InputError
from hpo.objective import Objective
from hpo.search.pruning import PRUNERS, Pruner
from hpo.search.samplers import SAMPLERS
from hpo.search_space import (
    CategoricalDistribution,
    Distribution,
    FloatDistribution,
    IntegerDistribution,
    Value,
    as_tuples,
    is_value,
    to_text,
    with_range,
)
from hpo.text import VALUE_CHARACTERS, name_fault, text_fault
from hpo.trial import Direction

_STRICT = ConfigDict(
    extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True, allow_inf_nan=False
)
T = TypeVar("T")
_NAME_LENGTH = 200  # of a study: an experiment name is refused by some databases above 256
_MESSAGE_LENGTH = 600  # a file may hold a key as long as itself
_MOST_TRIALS = 1_000_000  # of a round: far more than a record holds, and few enough to count to
_LARGEST_INTEGER = 2**53  # above it floats, and so scales, skip whole numbers


class _WrongKeyError(ValueError):
    """A value is wrong at `key`, relative to the field that is being validated."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


class RoundSettings(BaseModel):
    """The table [round]: how many trials, chosen and stopped how, how many at once."""

    model_config = _STRICT
    trials: int = Field(default=40, ge=1, le=_MOST_TRIALS)
    sampler: str = "tpe"
    pruner: SkipValidation[Pruner | None] = None
    parallel: int = Field(default=4, ge=1)
    trial_timeout: float | None = Field(default=None, gt=0)  # seconds
    max_failures: int | None = Field(default=None, ge=1)
    fresh_process: bool = False  # for each trial, by Ray

    @field_validator("sampler")
    @classmethod
    def _known_sampler(cls, name: str) -> str:
        return _one_of(name, SAMPLERS, "sampler")

    @field_validator("pruner", mode="before")
    @classmethod
    def _make_pruner(cls, given: object) -> Pruner | None:
        table = given if isinstance(given, dict) else {"name": given}
        name = table.get("name")
        if not isinstance(name, str):
            raise ValueError('write a name, or a table such as { name = "median", … }')
        settings = {key: value for key, value in table.items() if key != "name"}
        if name == "none":
            for key in settings:
                raise _WrongKeyError(
                    _key_text(key), 'is of no use to the pruner "none"; take it out'
                )
            return None
        return _filled(PRUNERS[_one_of(name, ["none", *PRUNERS], "pruner")], settings)


class Budget(BaseModel):
    """The table [budget]: what ends the study before its rounds are full."""

    model_config = _STRICT
    hours: float | None = Field(default=None, gt=0)
    target: float | None = None  # of the metric
    patience: int | None = Field(default=None, ge=1)  # trials without a better one


class Resources(BaseModel):
    """The table [resources]: what one trial takes."""

    model_config = _STRICT
    cpus: int = Field(default=1, ge=1)


class ConfirmSettings(BaseModel):
    """The table [confirm]: how many of the best trials are trained again, and how often."""

    model_config = _STRICT
    top: int = Field(default=5, ge=1)
    repeats: int = Field(default=3, ge=1)
    resplit: bool = False  # on training and validation rows that are drawn anew each time


class _Range(BaseModel):
    """A range in [search_space], before it is known what kind of number it holds."""

    model_config = _STRICT
    low: float
    high: float
    log: bool = False
    step: float | None = Field(default=None, gt=0)
    limits: Annotated[tuple[float, float] | None, BeforeValidator(as_tuples)] = None

    @model_validator(mode="after")
    def _ordered(self) -> "_Range":
        low, high, step = (wording.whole(n) for n in (self.low, self.high, self.step or 1))
        if not self.low < self.high:
            raise _WrongKeyError(
                "low", f"{low} is not below high = {high}; swap or part them"
            )
        if not math.isfinite(self.high - self.low):
            raise _WrongKeyError("high", f"{high} is too far from low = {low} to "
                                 "count in floats; choose a smaller range")
        if self.log and self.low <= 0:
            raise _WrongKeyError("low", f"a log range cannot touch zero, and low is {low}; "
                                "raise it or drop `log`")
        if self.log and not math.log(self.low) < math.log(self.high):
            raise _WrongKeyError("low", f"{low} and high = {high} are the same on a "
                                 "log scale; part them")
        if self.log and self.step is not None:
            raise _WrongKeyError("step", "a log range takes no step; drop one of the two")
        steps = (self.high - self.low) / self.step if self.step is not None else 1
        if not 0.5 < steps < 2**53 or abs(steps - round(steps)) > 1e-6:
            raise _WrongKeyError("step", f"{step} does not lead from {low} to "
                                 f"{high} in whole steps; move an edge")
        if self.limits is not None and not (
            self.limits[0] <= self.low and self.high <= self.limits[1]
        ):
            raise _WrongKeyError("limits", f"{list(self.limits)} does not hold the range from "
                                   f"{low} to {high}; widen the limits")
        if self.log and self.limits is not None and self.limits[0] <= 0:
            raise _WrongKeyError("limits", "a log range cannot touch zero; raise the lower limit")
        return self


class _Choices(BaseModel):
    model_config = _STRICT
    choices: tuple[Any, ...] = Field(min_length=1)


class Study(BaseModel):
    """What a study file says, checked against what its objective declares."""

    model_config = _STRICT
    path: Path
    text: str = Field(repr=False)
    name: str = ""
    objective: SkipValidation[Objective]
    metric: str
    direction: Direction
    value: Literal["last", "best"] = "last"
    seed: int = Field(default=0, ge=0)
    rounds: int = Field(default=1, ge=1)
    data: SkipValidation[DataSettings | None] = None
    fixed: dict[str, Any] = Field(default_factory=dict)
    search_space: dict[str, Any]
    round: RoundSettings = RoundSettings()
    start: tuple[dict[str, Any], ...] = ()
    budget: Budget = Budget()
    resources: Resources = Resources()
    confirm: ConfirmSettings | None = None

    @field_validator("name")
    @classmethod
    def _recordable_name(cls, name: str) -> str:
        if not name.strip() or name != name.strip() or not name.isprintable():
            raise ValueError(
                f"{_short(name)} is empty, padded or not printable; choose another name"
            )
        if len(name) > _NAME_LENGTH:
            raise ValueError(f"{len(name)} characters; use at most {_NAME_LENGTH}")
        return name

    @field_validator("objective", mode="before")
    @classmethod
    def _find_objective(cls, name: object) -> Objective:
        if not isinstance(name, str):
            raise ValueError('write it as "package.module:name"')
        if len(name) > _NAME_LENGTH:
            raise ValueError(f"{_short(name)} has {len(name)} characters; write a shorter one")
        try:
            return objectives.find(name)
        except InputError as error:
            raise ValueError(str(error)) from error

    @field_validator("data", mode="before")
    @classmethod
    def _fill_data(cls, table: object) -> DataSettings:
        if not isinstance(table, dict):
            raise ValueError("write it as a table [data]")
        settings = _filled(DataSettings, table)
        if "source" not in table:
            raise _WrongKeyError("source", 'is missing; name one, such as "digits" or a .csv file')
        return settings

    @field_validator("metric")
    @classmethod
    def _yielded_metric(cls, metric: str, info: ValidationInfo) -> str:
        objective = info.data.get("objective")
        if objective is None:
            return metric
        known = dict.fromkeys(name for names in objective.metrics.values() for name in names)
        if metric not in known:
            raise ValueError(
                f"{objective.name} yields no {_short(metric)}{_nearest(metric, known)}"
            )
        return metric

    @field_validator("fixed")
    @classmethod
    def _typed_fixed(cls, fixed: dict[str, Any], info: ValidationInfo) -> dict[str, Value]:
        hints = _hints(info)
        if hints is None:
            return fixed
        return {name: _typed(name, value, hints) for name, value in fixed.items()}

    @field_validator("search_space")
    @classmethod
    def _typed_space(cls, space: dict[str, Any], info: ValidationInfo) -> dict[str, Distribution]:
        hints = _hints(info)
        if hints is None:
            return space
        if not space:
            raise ValueError("it is empty; name at least one hyperparameter and its range")
        fixed = info.data.get("fixed", {})
        for name in space:
            if name in fixed:
                raise _WrongKeyError(name, "is in [fixed] as well; take it out of one of them")
        return {name: _distribution(name, table, hints) for name, table in space.items()}

    @field_validator("start", mode="before")
    @classmethod
    def _inside(cls, start: Any, info: ValidationInfo) -> tuple[dict[str, Value], ...]:
        hints, space = _hints(info), info.data.get("search_space")
        if not isinstance(start, list) or not all(isinstance(p, dict) for p in start):
            raise ValueError("write each point as a table [[start]]")
        if hints is None or space is None:
            return tuple(start)
        points = []
        for index, given in enumerate(start, start=1):
            for name in given:
                if name in hints and name not in space:
                    raise _WrongKeyError(
                        f"{index}.{name}", "is not searched; add it to [search_space]"
                    )
            typed = {name: _typed(name, value, hints, f"{index}.") for name, value in given.items()}
            for name, value in typed.items():
                if not space[name].contains(value):
                    raise _WrongKeyError(
                        f"{index}.{name}",
                        f"{_short(value)} lies outside its range; "
                        "move the point or widen the range",
                    )
            points.append(typed)
        return tuple(points)

    @model_validator(mode="after")
    def _data_for_who_takes_them(self) -> "Study":
        """Refuse an objective without the data it needs, and data that no objective would see."""
        if self.data is None and self.objective.needs_data:
            raise _WrongKeyError("data", f"{self.objective.name} takes data, and there is no table "
                                 '[data]; add one, such as source = "digits"')
        if self.data is not None and not self.objective.takes_data:
            raise _WrongKeyError("data", f"{self.objective.name} takes no data; take the table "
                                 "out, or give the function a second parameter for them")
        return self

    @model_validator(mode="after")
    def _yielded_for_task(self) -> "Study":
        """Refuse a metric of classification where the file says regression, and vice versa."""
        task = self.data.task if self.data is not None else None
        yielded = self.objective.metrics.get(task, ()) if task else (self.metric,)
        if self.metric not in yielded:
            raise _WrongKeyError("metric", f"{self.objective.name} yields no {self.metric!r} for "
                                 f"{task}{_nearest(self.metric, yielded)}")
        return self

    @model_validator(mode="after")
    def _accepted(self) -> "Study":
        """Let the objective check the corners of the space before anything runs."""
        for name in self.objective.required():
            if name not in self.fixed and name not in self.search_space:
                raise _WrongKeyError(f"fixed.{name}", "is missing, and has no default; "
                                     "add it, or a range in [search_space]")
        for values in _corners(self.search_space):
            refusal = refused(self.objective, {**self.fixed, **values})
            if refusal is not None:
                word = re.match(r"\w*", refusal)
                name = word[0] if word and word[0] in {**self.fixed, **values} else ""
                table = "search_space" if name in values else "fixed"
                said = _clipped(refusal, 300)
                raise _WrongKeyError(f"{table}.{name}".rstrip("."), f"{said}; change it")
        return self

    def with_trials(self, trials: int) -> "Study":
        """Return the study with another number of trials a round."""
        return self.model_copy(
            update={"round": self.round.model_copy(update={"trials": trials})}
        )


def refused(objective: Objective, hyperparameters: Mapping[str, Value]) -> str | None:
    """Return why the objective does not accept these hyperparameters, or None."""
    try:
        objective.hyperparameters(**hyperparameters)
    except Exception as error:  # a check of the user's own may fail in any way
        plain = isinstance(error, ValueError | TypeError) and str(error)
        return str(error) if plain else f"{type(error).__name__}: {error}"
    return None


def read(path: Path) -> Study:
    """Read and check a study file.

    Its folder is searched first for the objective's module, for the rest of this process: a
    study file is code. Raises InputError, one line with file, key and remedy, for the first
    thing wrong.
    """
    try:
        return _read(path)
    except InputError as error:
        raise InputError(_one_line(f"{path}: {error}")) from None
    except RecursionError:
        line = _deepest_line(path.read_text(encoding="utf-8-sig"))
        raise InputError(
            _one_line(f"{path}: nested too deeply (at line {line}); make it flatter")
        ) from None


def _read(path: Path) -> Study:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError("no such file; name a study file (.toml)") from None
    except (OSError, ValueError) as error:
        said = _clipped(str(error), 200)
        raise InputError(f"cannot be read: {said}; name a text file in UTF-8") from None
    try:
        table = tomllib.loads(text)
        json.dumps(table, default=str)  # a hexadecimal number may have too many digits for that
    except tomllib.TOMLDecodeError as error:
        said = re.sub(  # it names nested keys as Python's tuples
            r"\(('[^()]*'),?\)", lambda keys: keys[1].replace("', '", "."), str(error)
        )
        raise InputError(f"not TOML: {_clipped(said, 300)}; correct this place") from None
    except ValueError:  # of Python, for a number of thousands of digits
        digits = sys.get_int_max_str_digits()
        found = re.search(rf"[\da-fA-F_]{{{digits * 3 // 4},}}", text)
        line = text.count("\n", 0, found.start()) + 1 if found else "?"
        raise InputError(
            f"not TOML: a number of more than {digits} digits (at line {line}); "
            "correct this place"
        ) from None
    for reserved in ("path", "text"):
        if reserved in table:
            raise InputError(f"{reserved}: unknown key; take it out")
    if "name" not in table:
        table["name"] = path.stem
    folder = str(path.absolute().parent)
    objectives.refuse_hiding(Path(folder))
    if folder not in sys.path:
        sys.path.insert(0, folder)  # a user's own objective lies beside the study file
    try:
        return Study.model_validate({**table, "path": path, "text": text})
    except ValidationError as error:
        key, message = _first(error, _KNOWN_KEYS)
        raise InputError(f"{key}: {message}") from None


def parse_range(text: str, search_space: Mapping[str, Distribution]) -> tuple[str, Distribution]:
    """Read "NAME=LOW:HIGH", or "NAME=a,b" for choices, as a new range of a searched name.

    Raises InputError where the text has another form or names no searched hyperparameter.
    """
    name, equals, rest = text.partition("=")
    if not equals:
        raise InputError(f"--range {text}: write it as NAME=LOW:HIGH")
    if name not in search_space:
        hint = _nearest(name, search_space)
        raise InputError(f"--range {text}: {name!r} is not searched{hint}")
    old = search_space[name]
    try:
        if isinstance(old, CategoricalDistribution):
            return name, CategoricalDistribution(_chosen(rest, old.choices))
        low, high = rest.split(":")
        number = int if isinstance(old, IntegerDistribution) else float
        table = {**vars(old), "low": number(low), "high": number(high)}
        if isinstance(old, IntegerDistribution) and old.log:
            del table["step"]  # it is 1: only a log range of real numbers can say that it has none
        checked = _Range.model_validate(table)
        new = with_range(old, checked.low, checked.high)
    except _WrongKeyError as error:
        raise InputError(f"--range {text}: {error}") from None
    except ValidationError as error:
        key, message = _first(error, {})
        raise InputError(f"--range {text}: {key}: {message}") from None
    except ValueError:
        raise InputError(f"--range {text}: write two numbers as LOW:HIGH") from None
    return name, new


def parse_ranges(texts: Sequence[str], study: Study) -> dict[str, Distribution]:
    """Read several ranges as `parse_range` does, and let the objective check their edges."""
    ranges = dict(parse_range(text, study.search_space) for text in texts)
    for corner in (0.0, 1.0):
        space = {**study.search_space, **ranges}
        values = {name: d.from_unit(corner) for name, d in space.items()}
        refusal = refused(study.objective, {**study.fixed, **values})
        if refusal is not None:
            raise InputError(f"--range: {refusal}; choose another range")
    return ranges


_KNOWN_KEYS: dict[tuple[str, ...], list[str]] = {
    (): [key for key in Study.model_fields if key not in ("path", "text")],
    ("round",): list(RoundSettings.model_fields),
    ("budget",): list(Budget.model_fields),
    ("resources",): list(Resources.model_fields),
    ("confirm",): list(ConfirmSettings.model_fields),
}


def _first(error: ValidationError, known: Mapping[tuple[str, ...], list[str]]) -> tuple[str, str]:
    """Return the key and the message of the first error, in the words of a study file."""
    found = error.errors()
    unknown = [d for d in found if d["type"] in ("extra_forbidden", "unexpected_keyword_argument")]
    details = (unknown or found)[0]  # a misspelled key is why another is missing
    location = tuple(str(part) for part in details["loc"])
    key = ".".join(map(_key_text, location))
    kind, message = details["type"], details["msg"]
    if unknown:
        names = known.get(location[:-1], [])
        table = next((table for table, keys in known.items() if table and location[-1] in keys), ())
        if table:
            return key, f"unknown key; move it to [{'.'.join(table)}]"
        return key, f"unknown key{_nearest(location[-1], names) or '; take it out'}"
    if kind in ("missing", "missing_argument"):
        return key, "is missing; add it"
    cause = details.get("ctx", {}).get("error")
    if isinstance(cause, _WrongKeyError):
        return ".".join(part for part in (key, cause.key) if part), str(cause)
    if isinstance(cause, ValueError):
        return key, str(cause)
    shown = _short(details.get("input"))
    if kind in _TOML_WORDS:
        return key, f"{_TOML_WORDS[kind]}, not {shown}"
    if kind == "literal_error":
        return key, f"write {message.removeprefix('Input should be ')}, not {shown}"
    return key, f"{message[0].lower()}{message[1:]}, not {shown}"


_TOML_WORDS = {
    "string_type": "write a valid string, in quotes",
    "int_type": "write a valid integer",
    "int_from_float": "write a valid integer",
    "float_type": "write a valid number",
    "finite_number": "write a finite number",
    "bool_type": "write a valid boolean, true or false",
    "tuple_type": "write a list such as [1, 2]",
    "dict_type": "write a table",
    "model_type": "write a table",
    "too_short": "write a list with more in it",
}


def _one_line(text: str) -> str:
    """Return text that neither breaks the line nor reaches the terminal as a command."""
    text = "".join(c if c.isprintable() else " " if c.isspace() else repr(c)[1:-1] for c in text)
    return text if len(text) <= _MESSAGE_LENGTH else text[: _MESSAGE_LENGTH - 1] + "…"


def _short(value: object) -> str:
    """Return a value as a study file writes it, the middle of a long one left out."""
    return _clipped(_toml_text(value), 60)


def _toml_text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        inside = list(value[:30])  # more is not shown in any case
        return f"[{', '.join(map(_toml_text, inside))}{', …' * (len(value) > len(inside))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_key_text(k)} = {_toml_text(v)}' for k, v in value.items())} }}"
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return repr(value)


def _key_text(key: object) -> str:
    """Return a key, not too long, in quotes where nothing would be seen or a dot is part of it."""
    text = str(key)
    return _clipped(text if text.strip() and "." not in text else f'"{text}"', 60)


def _clipped(text: str, letters: int) -> str:
    """Return a text of at most so many letters: what stands at its end often says the most."""
    half = letters // 2
    return text if len(text) <= letters else f"{text[:half]}…{text[half + 1 - letters:]}"


def _deepest_line(text: str) -> int:
    """Return the number of the line, from 1, where most brackets are open or most keys dotted."""
    opened, deepest, found = 0, 0, 1
    for number, line in enumerate(text.splitlines(), start=1):
        inside = max(line.count("[") + line.count("{"), line.count("."))
        if opened + inside > deepest:
            deepest, found = opened + inside, number
        opened += sum(map(line.count, "[{")) - sum(map(line.count, "]}"))
    return found


def _nearest(name: str, known: Any) -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; it has {_clipped(', '.join(known), 300)}" if known else ""


def _one_of(name: str, known: Any, kind: str) -> str:
    if name not in known:
        raise ValueError(f"unknown {kind} {_short(name)}{_nearest(name, known)}")
    return name


def _hints(info: ValidationInfo) -> dict[str, Any] | None:
    """Return the types of the objective's hyperparameters; None where it was not found."""
    objective = info.data.get("objective")
    return None if objective is None else objective.types()


def _corners(space: Mapping[str, Distribution]) -> Iterator[dict[str, Value]]:
    """Yield the lowest and the highest point, and every choice with the rest in the middle."""
    for unit in (0.0, 1.0):
        yield {name: d.from_unit(unit) for name, d in space.items()}
    for name, d in space.items():
        if isinstance(d, CategoricalDistribution):
            middle = {other: o.from_unit(0.5) for other, o in space.items()}
            yield from ({**middle, name: choice} for choice in d.choices)


def _filled(kind: Callable[..., T], table: Mapping[str, object]) -> T:
    """Return a dataclass with the values of a table; errors name the key."""
    hints = get_type_hints(kind)
    values = {name: _typed(name, value, hints, kind="key") for name, value in table.items()}
    try:
        return kind(**values)
    except ValueError as error:  # its own checks begin with the name of the field
        name = next((name for name in hints if str(error).startswith(name)), "")
        raise _WrongKeyError(name, str(error)) from None


def _typed(
    name: str, value: object, hints: Mapping[str, Any], prefix: str = "",
    kind: str = "hyperparameter",
) -> Value:
    """Return `value` as the type that `hints` gives to `name`: lists as tuples, 1 as 1.0."""
    key = prefix + _key_text(name)
    if name not in hints:
        raise _WrongKeyError(key, f"unknown {kind}{_nearest(name, hints)}")
    try:
        typed: Value = TypeAdapter(hints[name]).validate_python(as_tuples(value), strict=True)
    except ValidationError as error:
        raise _WrongKeyError(key, _first(error, {})[1]) from None
    except PydanticUserError:
        raise _WrongKeyError(key, f"its type {hints[name]} has no form in a study file; "
                             "leave it out, or give it a plain type") from None
    if not is_value(typed):
        raise _WrongKeyError(key, f"{_short(typed)} cannot be recorded; "
                             "write a number, a text, a truth value or a list of them")
    fault = _text_fault(typed)
    if kind == "hyperparameter":
        fault = fault or _hyperparameter_fault(name, typed)
    if fault:
        raise _WrongKeyError(key, fault)
    return typed


def _hyperparameter_fault(name: str, value: Value) -> str:
    """Return why the record has no room for a hyperparameter, and the remedy, or ""."""
    length = len(to_text(value))
    if length > VALUE_CHARACTERS:
        return (
            f"takes {length} characters on record, which has room for {VALUE_CHARACTERS}; "
            "put the value into a file and write its name here"
        )
    fault = name_fault(name)
    return f"a name that cannot be recorded: {fault}; rename it in the objective" if fault else ""


def _text_fault(value: Value) -> str:
    """Return what of the texts in a value cannot be recorded, or ""."""
    if isinstance(value, tuple):
        return next(filter(None, map(_text_fault, value)), "")
    return text_fault(value) if isinstance(value, str) else ""


def _number_type(hint: Any) -> type | None:
    """Return float or int for such a hint, optional or not; None for all others."""
    if get_origin(hint) in (Union, types.UnionType):
        inner = [arg for arg in get_args(hint) if arg is not type(None)]
        return _number_type(inner[0]) if len(inner) == 1 else None
    if get_origin(hint) is Annotated:
        return _number_type(get_args(hint)[0])
    return hint if hint in (int, float) else None


def _distribution(name: str, table: Any, hints: Mapping[str, Any]) -> Distribution:
    if name not in hints:
        raise _WrongKeyError(_key_text(name), f"unknown hyperparameter{_nearest(name, hints)}")
    if not isinstance(table, dict):
        raise _WrongKeyError(name, "write a range such as { low = 1e-6, high = 1e-2, log = true }, "
                           "or put a single value in [fixed]")
    fault = _hyperparameter_fault(name, 0)
    if fault:
        raise _WrongKeyError(name, fault)
    number = _number_type(hints[name])
    model: type[BaseModel] = _Choices if "choices" in table or number is None else _Range
    try:
        checked = model.model_validate({key: as_tuples(value) for key, value in table.items()})
    except ValidationError as error:
        key, message = _first(error, {(): list(model.model_fields)})
        raise _WrongKeyError(f"{name}.{key}".rstrip("."), message) from None
    if isinstance(checked, _Choices):
        try:
            values = tuple(_typed(name, value, hints) for value in checked.choices)
        except _WrongKeyError as error:
            raise _WrongKeyError(f"{name}.choices", str(error)) from None
        if len(set(values)) < len(values):
            raise _WrongKeyError(f"{name}.choices", "a choice stands there twice; name each once")
        return CategoricalDistribution(values)
    assert isinstance(checked, _Range)
    if number is float:
        return FloatDistribution(checked.low, checked.high, checked.log, checked.step,
                                 checked.limits)
    edges = [checked.low, checked.high, checked.step or 1, *(checked.limits or ())]
    if any(edge != int(edge) for edge in edges):
        raise _WrongKeyError(name, "takes whole numbers; write its range in whole numbers")
    if any(abs(edge) > _LARGEST_INTEGER for edge in edges):
        raise _WrongKeyError(name, f"whole numbers above {_LARGEST_INTEGER} are not told apart; "
                             "choose smaller ones")
    limits = checked.limits and (int(checked.limits[0]), int(checked.limits[1]))
    return IntegerDistribution(int(checked.low), int(checked.high), checked.log,
                               int(checked.step or 1), limits)


def _chosen(text: str, choices: tuple[Value, ...]) -> tuple[Value, ...]:
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
            raise _WrongKeyError("choices", f"{value!r} is no choice; there are "
                                 f"{', '.join(by_text)}")
    if len(set(chosen)) < len(chosen):
        raise _WrongKeyError("choices", "a choice stands there twice; name each once")
    return tuple(choice for choice in chosen if choice is not None)
