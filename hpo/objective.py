"""Objectives: they train with given hyperparameters and yield metrics, epoch by epoch."""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hpo.distributions import Value
from hpo.objective_code import Code
from hpo.search_space import packed
from hpo.trial import TrialId

Task: TypeAlias = Literal["classification", "regression"]
MISSING: Any = object()  # stands for the default of a hyperparameter without one


@dataclass(frozen=True)
class Part:
    """Rows of a data set: `inputs` float32 (rows, …); `targets` (rows,).

    Targets are class indices (int64) or numbers (float32).
    """

    inputs: NDArray[np.float32]
    targets: NDArray[Any]


@dataclass(frozen=True)
class Data:
    """The data an objective trains on, never the test set.

    `validation` is None when the final model is trained. `classes` holds the label of each class
    index, and is empty for regression. Regression targets are standardized; `target_scale` is the
    size of one standardized unit in the units of the source.
    """

    training: Part
    validation: Part | None
    task: Task
    classes: tuple[str, ...] = ()
    target_scale: float = 1.0


class Model(Protocol):
    """A model that an objective may return: it can predict and be saved.

    Fitted models of frameworks are converted to one: see `hpo.frameworks`.
    """

    @property
    def loader(self) -> str:
        """The name "package.module:name" of the function that loads what `save` wrote.

        The function accepts the path of the file. It is imported where the model is used, so
        everything its package imports must be installed there. A class attribute is enough:
        `loader = "trainer.model:load"`.
        """
        ...

    def predict(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return class probabilities (rows, classes), or standardized values (rows, 1)."""
        ...

    def save(self, path: Path) -> None:
        """Write the model to one .npz file."""
        ...


@dataclass(frozen=True)
class Given:
    """What a training receives besides its hyperparameters, if it asks for it.

    `folder` belongs to the trial and is deleted after it: it starts out empty, or as it was after
    `done` epochs if the trial resumes there. `metric` is the name of a bare number that the
    objective yields. `evaluates` asks a program to report test metrics, too.
    """

    metric: str
    seed: int
    data: Data | None = None
    folder: Path | None = None
    trial: TrialId | None = None
    evaluates: bool = False
    done: int = 0
    is_kept: bool = False  # whether checkpoints of the folder are made
    had_ended: bool = False  # whether the trial had ended after the epochs that are done


Epochs: TypeAlias = Generator[dict[str, float], None, Any]  # returns the model, or None


@dataclass(frozen=True)
class Parameter:
    """A hyperparameter of an objective: its type, and its default if it has one."""

    hint: Any
    default: Any = MISSING


@dataclass(frozen=True)
class Objective:
    """An objective of any form, as the rest of hpo sees it.

    `parameters` are its hyperparameters by name. `asks` names what else it receives: "data",
    "seed", "folder"; `needs_data` means that it cannot run without data, and `needs_folder` that
    it uses a folder even if no checkpoints are kept. `metrics` names what it reports for each
    task, and is None if it does not declare that. `files` are its source files by path, and
    `packages` the versions of the packages they import.

    `start` returns a generator of epochs, and the training starts with the first of them: it
    yields the metrics of each epoch by name, and returns a model or None. Exceptions of the
    objective come out of it. `check` raises whatever the objective itself raises for invalid
    hyperparameters. `evaluate` scores the returned model on the objective's own data, or is None.
    To save a model of a study without [data], `example` returns a few rows of input for it, and
    `classes` are the labels by the index of its outputs; both are optional. `depends_on_epochs`
    returns, for given hyperparameters, whether training depends on the total number of epochs from
    the first epoch on, as it does with a schedule over all epochs; None if that is unknown.
    """

    name: str
    parameters: Mapping[str, Parameter]
    asks: frozenset[str]
    needs_data: bool
    metrics: Mapping[str, tuple[str, ...]] | None
    code: Code
    files: Callable[[], dict[str, Path]]
    packages: Callable[[], dict[str, str]]
    start: Callable[[Mapping[str, Value], Given], Epochs] = field(repr=False)
    check: Callable[[Mapping[str, Value]], object] = field(repr=False)
    evaluate: Callable[[Any], Any] | None = field(default=None, repr=False)
    example: Callable[[], Any] | None = field(default=None, repr=False)
    classes: tuple[str, ...] = ()
    needs_folder: bool = False
    depends_on_epochs: Callable[[Mapping[str, Value]], bool] | None = field(
        default=None, repr=False
    )

    def types(self) -> dict[str, Any]:
        """Return the type of each hyperparameter, by name."""
        return {name: parameter.hint for name, parameter in self.parameters.items()}

    def taken(self, hyperparameters: Mapping[str, Value]) -> dict[str, Value]:
        """Return hyperparameters as the objective accepts them: repeated ones as one tuple.

        Those that only count the items of another one are left out. A program does not declare
        what it accepts, so it gets all of them.
        """
        values = packed(hyperparameters)
        if not self.parameters:
            return values
        return {name: value for name, value in values.items() if name in self.parameters}

    def required(self) -> tuple[str, ...]:
        """Return the names of the hyperparameters without a default."""
        return tuple(n for n, p in self.parameters.items() if p.default is MISSING)
