"""Read the keys of a study file that set what is trained: a command, and its own files."""

import shutil
from pathlib import Path
from typing import Any

from hpo import told
from hpo.errors import InputError
from hpo.objective import Parameter
from hpo.program import Program, parameters_of
from hpo.study_errors import WrongKeyError, nearest
from hpo.study_values import fill


def with_data_files(table: dict[str, Any]) -> dict[str, Any]:
    """Return the table of a study file, with the files of [data] moved to `data_files`."""
    data = table.get("data")
    if not isinstance(data, dict) or "files" not in data:
        return table
    files = data["files"]
    if not isinstance(files, list) or not files or not all(isinstance(f, str) for f in files):
        raise InputError(
            'data.files: expected a list of paths, for example ["train.csv", "images/"]'
        )
    rest = {key: value for key, value in data.items() if key != "files"}
    others = {key: value for key, value in table.items() if key != "data"}
    return others | ({"data": rest} if rest else {}) | {"data_files": tuple(files)}


def with_told(table: dict[str, Any]) -> dict[str, Any]:
    """Return the table of a study file, with an objective for a program that reports results."""
    if table.get("objective") != told.TOLD:
        return table
    return {**table, "objective": told.objective(_parameters(table))}


def _parameters(table: dict[str, Any]) -> dict[str, Parameter]:
    """Return the hyperparameters that a study file itself says, with their types."""
    tables = [table.get(key) for key in ("fixed", "search_space")]
    fixed, space = (each if isinstance(each, dict) else {} for each in tables)
    points = table.get("start")
    points = [p for p in points if isinstance(p, dict)] if isinstance(points, list) else []
    return parameters_of(fixed, space, points)


def with_program(table: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the table of a study file, with its command, if any, as the objective."""
    keys = ("command", "metrics_pattern")
    given = {key: table[key] for key in keys if key in table}
    if not given:
        return table
    if "objective" in table:
        key = next(iter(given))
        raise InputError(f"{key}: not allowed together with objective; remove one of the two")
    if "command" not in table:
        raise InputError("metrics_pattern: only applies to a command; add command, or remove it")
    try:
        program = fill(Program, given)
        parameters = _parameters(table)
        for name in sorted(program.used() - parameters.keys()):
            raise WrongKeyError(
                "command", f"{{{name}}} is not a hyperparameter; add it to [search_space] or "
                f"[fixed], or write {{{{ for a literal brace{nearest(name, parameters)}"
            )
        _refuse_file_without_folder(program.command[0], folder)
        objective = program.objective(parameters, folder)
    except WrongKeyError as error:
        raise InputError(f"{error.key}: {error}") from None
    except OSError as error:
        raise InputError(
            f"command: {error.filename}: {error.strerror or error}; make it readable"
        ) from None
    rest = {key: value for key, value in table.items() if key not in keys}
    return {**rest, "objective": objective, "program": program}


def _refuse_file_without_folder(name: str, folder: Path) -> None:
    """Raise WrongKeyError for the name of a file beside the study that PATH does not have."""
    if "/" not in name and shutil.which(name) is None and (folder / name).is_file():
        raise WrongKeyError(
            "command", f"no program {name!r} is on PATH; to run the file beside the study file, "
            f'write "./{name}"'
        )
