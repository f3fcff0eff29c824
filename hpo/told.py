"""An objective whose results are told by a program that asks for trials."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Never

from hpo import objective_code
from hpo.distributions import Value
from hpo.errors import InputError
from hpo.objective import Epochs, Given, Objective, Parameter

TOLD = "told"  # its name in a study file


def objective(parameters: Mapping[str, Parameter]) -> Objective:
    """Return the objective of a study whose trials somebody else trains."""
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
    """Raise InputError, of a study file where that is known: there is nothing to call."""
    where = f"{file}: " if file is not None else ""
    raise InputError(
        f'{where}objective: the results of "{TOLD}" come from a program that asks for trials, by '
        "`hpo.open` in Python; run that, or name an objective"
    )


def _start(hyperparameters: Mapping[str, Value], given: Given) -> Epochs:
    refuse_to_train()
