"""The objective of a study whose results come from a program that asks for trials."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Never

from hpo import objective_code
from hpo.distributions import Value
from hpo.errors import InputError
from hpo.objective import Epochs, Given, Objective, Parameter

TOLD = "told"  # the value of `objective` in a study file


def objective(parameters: Mapping[str, Parameter]) -> Objective:
    """Return the objective of a study whose trials are trained by someone else."""
    return Objective(
        name=TOLD,
        parameters={name: replace(p, default=None) for name, p in parameters.items()},
        asks=frozenset(),
        needs_data=False,
        metrics=None,
        code=objective_code.digest({}),
        files=dict,
        packages=dict,
        start=_start,
        check=lambda values: None,
    )


def refuse_to_train(file: Path | None = None) -> Never:
    """Raise InputError, with the name of the study file if known: there is nothing to call."""
    where = f"{file}: " if file is not None else ""
    raise InputError(
        f'{where}objective: the results of "{TOLD}" come from a program that asks for trials with '
        "`hpo.open` in Python; run that program, or name an objective"
    )


def _start(hyperparameters: Mapping[str, Value], given: Given) -> Epochs:
    refuse_to_train()
