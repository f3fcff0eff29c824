"""Parse a study file into a value, checked once and for all."""

import json
import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import (
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from hpo import constraints as constraints_of
from hpo import forms, objective_code
from hpo.constraints import Constraint
from hpo.data.settings import DataSettings
from hpo.distributions import (
    CategoricalDistribution,
    Distribution,
    OrderedDistribution,
    Value,
)
from hpo.errors import InputError
from hpo.feasibility import Feasibility
from hpo.objective import Objective
from hpo.search_space import SearchSpace, parts_of, wholes
from hpo.study_errors import (
    WrongKeyError,
    clipped,
    deepest_line,
    first_error,
    key_text,
    nearest,
    one_line,
    one_of,
    short_text,
    study_name_fault,
)
from hpo.study_fields import RESERVED, StudyFields
from hpo.study_objective import with_data_files, with_program, with_told
from hpo.study_overrides import override
from hpo.study_parts import in_parts, more_types
from hpo.study_tables import (
    MOST_TRIALS,
    Budget,
    CheckpointSettings,
    ConfirmSettings,
    Environment,
    NotifySettings,
    Resources,
    RoundSettings,
    TrialSettings,
)
from hpo.study_values import fill, read_space, typed_value, unmet_condition
from hpo.text import name_fault
from hpo.trial import Limit

_NAME_LENGTH = 200  # of an objective


class StudyFile(StudyFields):
    """The contents of a study file, checked against what its objective declares."""

    @field_validator("name")
    @classmethod
    def _recordable_name(cls, name: str) -> str:
        fault = study_name_fault(name)
        if fault:
            raise ValueError(fault)
        return name

    @field_validator("objective", mode="before")
    @classmethod
    def _find_objective(cls, name: object) -> Objective:
        if isinstance(name, Objective):  # of a program
            return name
        if not isinstance(name, str):
            raise ValueError('must be a string of the form "package.module:name"')
        if len(name) > _NAME_LENGTH:
            raise ValueError(f"{short_text(name)} has {len(name)} characters; "
                             f"use at most {_NAME_LENGTH}")
        try:
            return forms.find(name)
        except InputError as error:
            raise ValueError(str(error)) from error

    @field_validator("data", mode="before")
    @classmethod
    def _fill_data(cls, table: object, info: ValidationInfo) -> DataSettings:
        if not isinstance(table, dict):
            raise ValueError(f"expected a table, got {short_text(table)}")
        settings = fill(DataSettings, table)
        if "source" not in table:
            raise WrongKeyError("source", 'required but missing; add it, for example "digits" or '
                                "the path of a .csv file")
        trial = info.data.get("trial")
        if trial is not None and trial.folds and "validation" in table:
            raise WrongKeyError("validation", f"not allowed with trial.folds = {trial.folds}, "
                                "which decides which rows validate; remove one of the two")
        return settings

    @field_validator("metric")
    @classmethod
    def _yielded_metric(cls, metric: str, info: ValidationInfo) -> str:
        if fault := name_fault(metric):
            raise ValueError(
                f"MLflow does not accept the name {short_text(metric)}: {fault}; "
                "rename it in the objective"
            )
        objective = info.data.get("objective")
        if objective is None or objective.metrics is None:
            return metric
        known = dict.fromkeys(name for names in objective.metrics.values() for name in names)
        if metric not in known:
            raise ValueError(
                f"{objective.name} does not report {short_text(metric)}"
                f"{nearest(metric, known, 'it reports')}"
            )
        return metric

    @field_validator("constraint_metrics", mode="before")
    @classmethod
    def _limits(cls, tables: object, info: ValidationInfo) -> dict[str, Limit]:
        if not isinstance(tables, dict):
            raise ValueError("expected a table such as { model_megabytes = { at_most = 5 } }")
        limits = {}
        for name, table in tables.items():
            key = key_text(name)
            if name == info.data.get("metric"):
                raise WrongKeyError(key, "is the metric that the study optimizes; limit another")
            if not isinstance(table, dict):
                raise WrongKeyError(key, "expected a table such as { at_most = 5 }")
            cls._yielded_metric(name, info)
            try:
                limits[name] = fill(Limit, table)
            except WrongKeyError as error:
                raise WrongKeyError(f"{key}.{error.key}", str(error)) from None
            if not str(limits[name]):
                raise WrongKeyError(key, "sets neither at_most nor at_least; add one")
            low, high = limits[name].at_least, limits[name].at_most
            if low is not None and high is not None and low > high:
                raise WrongKeyError(key, "at_least must not be above at_most; swap them")
        return limits

    @field_validator("fixed")
    @classmethod
    def _typed_fixed(cls, fixed: dict[str, Any], info: ValidationInfo) -> dict[str, Value]:
        hints = _hints(info)
        if hints is None:
            return fixed
        return {name: typed_value(name, value, hints) for name, value in fixed.items()}

    @field_validator("search_space")
    @classmethod
    def _typed_space(cls, space: dict[str, Any], info: ValidationInfo) -> dict[str, Distribution]:
        hints = _hints(info)
        if hints is None:
            return space
        if not space:
            raise ValueError("is empty; add at least one hyperparameter and its range")
        fixed = info.data.get("fixed", {})
        for name in space:
            if name in fixed:
                raise WrongKeyError(name, "is also in [fixed]; remove it from one of the two")
        required = info.data["objective"].required() if not info.data.get("program") else ()
        return read_space(space, hints, fixed, required)

    @field_validator("constraints", mode="before")
    @classmethod
    def _known_names(cls, texts: object, info: ValidationInfo) -> tuple[Constraint, ...]:
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise ValueError('expected a list of strings, for example '
                             '["batch_size * accumulate <= 512"]')
        constraints = []
        known = {**info.data.get("fixed", {}), **(info.data.get("search_space") or {})}
        for index, text in enumerate(texts, start=1):
            try:
                constraint = constraints_of.parse(text)
            except ValueError as error:
                raise WrongKeyError(str(index), str(error)) from None
            for name in sorted(constraint.names - known.keys()):
                if parts_of(name, info.data.get("search_space") or {}):
                    raise WrongKeyError(str(index), f"{name} is repeated, so it has no single "
                                        "value; remove it from the constraint")
                raise WrongKeyError(str(index), f"{name} is not in [search_space] or [fixed]"
                                    f"{nearest(name, known)}")
            for name, text in constraint.texts:
                if isinstance(d := known[name], CategoricalDistribution | OrderedDistribution):
                    one_of(text, [c for c in d.choices if isinstance(c, str)], f"choice of {name}")
            constraints.append(constraint)
        return tuple(constraints)

    @field_validator("start", mode="before")
    @classmethod
    def _inside(cls, start: Any, info: ValidationInfo) -> tuple[dict[str, Value], ...]:
        hints, space = _hints(info), info.data.get("search_space")
        if not isinstance(start, list) or not all(isinstance(p, dict) for p in start):
            raise ValueError("expected tables [[start]], one for each point")
        if hints is None or space is None:
            return tuple(start)
        points = []
        for index, given in enumerate(start, start=1):
            given = in_parts(index, given, space)
            for name in given:
                if name in hints and name not in space:
                    raise WrongKeyError(
                        f"{index}.{name}", "is not searched; add it to [search_space]"
                    )
            typed = {
                name: typed_value(name, value, {**hints, **more_types(space, hints)}, f"{index}.")
                for name, value in given.items()
            }
            for name, value in typed.items():
                if not space[name].contains(value):
                    raise WrongKeyError(
                        f"{index}.{name}",
                        f"{short_text(value)} is outside its range; "
                        "move the point or widen the range",
                    )
                fault = unmet_condition(name, typed, space)
                if fault:
                    raise WrongKeyError(f"{index}.{name}", fault)
            points.append(typed)
        return tuple(points)

    @model_validator(mode="after")
    def _data_for_who_takes_them(self) -> "StudyFile":
        """Refuse an objective without the data it needs, and data that no objective would see."""
        if self.checkpoints is not None and "folder" not in self.objective.asks:
            raise WrongKeyError("checkpoints", f"{self.objective.name} does not use a folder, so "
                                "there is nothing to keep; give the function a parameter `folder`")
        if self.confirm is not None and self.confirm.resplit and self.trial.folds:
            raise WrongKeyError("confirm.resplit", "not needed with trial.folds, where every row "
                                "validates already; remove it")
        if self.data is None and self.trial.folds:
            raise WrongKeyError("trial.folds", "there is no table [data] to split into folds; "
                                "use trial.seeds instead, or add the table")
        if self.data is None and self.objective.needs_data:
            raise WrongKeyError("data", f"{self.objective.name} needs data, but there is no table "
                                 '[data]; add one, for example with source = "digits"')
        if self.data is not None and "data" not in self.objective.asks:
            raise WrongKeyError("data", f"{self.objective.name} takes no data; remove the table "
                                 "[data], or give the function a parameter `data`")
        return self

    @model_validator(mode="after")
    def _yielded_for_task(self) -> "StudyFile":
        """Refuse a metric of classification where the file says regression, and vice versa."""
        task = self.data.task if self.data is not None else None
        declared = self.objective.metrics
        yielded = declared.get(task, ()) if declared and task else (self.metric,)
        if self.metric not in yielded:
            raise WrongKeyError("metric", f"{self.objective.name} does not report {self.metric!r} "
                                 f"for {task}{nearest(self.metric, yielded, 'it reports')}")
        return self

    @model_validator(mode="after")
    def _accepted(self) -> "StudyFile":
        """Let the objective check the corners of the space before anything runs."""
        for name in self.objective.required():
            if name not in self.fixed and name not in wholes(self.search_space):
                raise WrongKeyError(f"fixed.{name}", "required but missing (it has no default); "
                                     "add it here, or add its range to [search_space]")
        feasibility = self.feasibility()
        fault = feasibility.fault()
        if fault is not None:
            where, why, remedy = fault
            raise WrongKeyError(where, f"{why}; {remedy}")
        for index, point in enumerate(self.start, start=1):
            reason = feasibility.reason_against_start(point)
            if reason is not None:
                raise WrongKeyError(f"start.{index}", f"{reason}; move the point")
        return self

    def feasibility(self) -> Feasibility:
        """Return a check of which points of the search space can be trained."""
        texts = [constraint.text for constraint in self.constraints]
        return self.feasibility_of(self.search_space, texts)

    def feasibility_of(self, space: SearchSpace, constraints: Sequence[str]) -> Feasibility:
        """Return the same check for other ranges and constraints."""
        parsed = tuple(map(constraints_of.parse, constraints))
        return Feasibility(space, self.fixed, parsed, partial(refused, self.objective))

    def search_path(self) -> tuple[str, ...]:
        """Return the folders where a worker must look for the objective."""
        folder = self.path.absolute().parent
        if not forms.is_name(self.objective.name):  # a program
            return (str(folder),)
        return objective_code.search_path(self.objective.name, folder)

    def with_trials(self, trials: int) -> "StudyFile":
        """Return the study with another number of trials per round.

        Raises InputError if there are too many.
        """
        if trials > MOST_TRIALS:
            raise InputError(f"{self.path}: --trials: must be at most {MOST_TRIALS}, got {trials}")
        return self.model_copy(
            update={"round": self.round.model_copy(update={"trials": trials})}
        )


def refused(objective: Objective, hyperparameters: Mapping[str, Value]) -> str | None:
    """Return why the objective rejects these hyperparameters, or None."""
    try:
        objective.check(objective.taken(hyperparameters))
    except Exception as error:  # a check of the user's own may fail in any way
        plain = isinstance(error, ValueError | TypeError) and str(error)
        return str(error) if plain else f"{type(error).__name__}: {error}"
    return None


def read(path: Path, overrides: Sequence[str] = ()) -> StudyFile:
    """Read and check a study file, with `overrides` such as "round.trials=20" applied.

    For the rest of this process, its folder is searched first for the objective's module: a
    study file is code. Raises InputError for the first error, one line with file, key and remedy.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(
            one_line(f"{path}: no such file; give the path of a study file (.toml)")
        ) from None
    except (OSError, ValueError) as error:
        said = clipped(str(error), 200)
        raise InputError(
            one_line(f"{path}: cannot be read: {said}; give a text file in UTF-8")
        ) from None
    return parse(text, path, overrides)


def parse(text: str, path: Path, overrides: Sequence[str] = ()) -> StudyFile:
    """Check the text of a study file as `read` does; `path` is where the file is, or would be."""
    try:
        return _parse(text, path, overrides)
    except InputError as error:
        raise InputError(one_line(f"{path}: {error}")) from None
    except RecursionError:
        raise InputError(
            one_line(
                f"{path}: nested too deeply (at line {deepest_line(text)}); use fewer levels"
            )
        ) from None


def table_of(text: str, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Return the table of a study file, with overrides applied."""
    try:
        table = tomllib.loads(text)
        json.dumps(table, default=str)  # a hexadecimal number may have too many digits for that
    except tomllib.TOMLDecodeError as error:
        said = re.sub(  # it names nested keys as Python's tuples
            r"\(('[^()]*'),?\)", lambda keys: keys[1].replace("', '", "."), str(error)
        )
        raise InputError(
            f"not valid TOML: {clipped(said, 300)}; {_toml_remedy(text, said)}"
        ) from None
    except ValueError:  # of Python, for a number of thousands of digits
        digits = sys.get_int_max_str_digits()
        found = re.search(rf"[\da-fA-F_]{{{digits * 3 // 4},}}", text)
        line = text.count("\n", 0, found.start()) + 1 if found else "?"
        raise InputError(
            f"not valid TOML: a number has more than {digits} digits (at line {line}); "
            "shorten it"
        ) from None
    override(table, overrides)
    return table


def _toml_remedy(text: str, said: str) -> str:
    """Return what to do about an error of TOML, from the place in the text that it names."""
    place = re.search(r"at line (\d+), column (\d+)", said)
    lines = text.split("\n")
    if place is None or int(place[1]) > len(lines):
        return "fix it"
    found = re.match(r"True\b|False\b", lines[int(place[1]) - 1][int(place[2]) - 1 :])
    return f"TOML writes {found[0].lower()} in lower case" if found else "fix it"


def _parse(text: str, path: Path, overrides: Sequence[str]) -> StudyFile:
    table = table_of(text, overrides)
    for reserved in RESERVED:
        if reserved in table:
            raise InputError(f"{reserved}: unknown key; remove it")
    if "name" not in table:
        table["name"] = path.stem
    folder = path.absolute().parent
    forms.refuse_hiding(folder)
    is_of_notebook = objective_code.is_of_notebook(str(table.get("objective")))
    for place in (*([folder / objective_code.CODE_FOLDER] if is_of_notebook else []), folder):
        if str(place) not in sys.path:
            sys.path.insert(0, str(place))  # a user's own objective lies beside the study file
    table = with_data_files(with_told(with_program(table, folder)))
    try:
        return StudyFile.model_validate(
            {**table, "path": path, "text": text, "overrides": tuple(overrides)}
        )
    except ValidationError as error:
        key, message = first_error(error, _KNOWN_KEYS)
        raise InputError(f"{key}: {message}{_mixed_up(key, table)}") from None


def _mixed_up(key: str, table: Mapping[str, Any]) -> str:
    """Return the end of an error about the number of rounds, or the table of one, if meant."""
    if key == "rounds" and isinstance(table["rounds"], dict):
        return "; the table for a round is called [round]"
    if key == "round" and type(table["round"]) is int:
        return "; the number of rounds is called rounds"
    return ""


_KNOWN_KEYS: dict[tuple[str, ...], list[str]] = {
    (): [
        *(key for key in StudyFile.model_fields if key not in (*RESERVED, "environment")),
        "environment", "command", "metrics_pattern",
    ],
    ("round",): list(RoundSettings.model_fields),
    ("trial",): list(TrialSettings.model_fields),
    ("budget",): list(Budget.model_fields),
    ("environment",): list(Environment.model_fields),
    ("resources",): list(Resources.model_fields),
    ("warm_start",): ["from"],
    ("checkpoints",): list(CheckpointSettings.model_fields),
    ("confirm",): list(ConfirmSettings.model_fields),
    ("notify",): list(NotifySettings.model_fields),
}


def _hints(info: ValidationInfo) -> dict[str, Any] | None:
    """Return the types of the objective's hyperparameters; None where it was not found."""
    objective = info.data.get("objective")
    return None if objective is None else objective.types()
