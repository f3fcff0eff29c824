"""An objective trains with given hyperparameters and yields its metrics, epoch by epoch."""

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
MISSING: Any = object()  # the default of a hyperparameter that has none


@dataclass(frozen=True)
class Part:
    """Rows of a data set: `inputs` float32 (rows, …); `targets` (rows,).

    Targets are class indices (int64) or numbers (float32).
    """

    inputs: NDArray[np.float32]
    targets: NDArray[Any]


@dataclass(frozen=True)
class Data:
    """What an objective trains on: never the test set.

    `validation` is None where a model is trained for good. `classes` holds the label of each
    class index, and is empty for regression. Targets of a regression are standardized;
    `target_scale` is what one unit of them measures in the units of the source.
    """

    training: Part
    validation: Part | None
    task: Task
    classes: tuple[str, ...] = ()
    target_scale: float = 1.0


class Model(Protocol):
    """What an objective may return: something that predicts and can be kept.

    A fitted model of a framework is made one: see `hpo.frameworks`.
    """

    @property
    def loader(self) -> str:
        """The function "package.module:name" that, given its path, reads the file of `save`.

        It is imported where the model is used: what its package imports has to be there, too.
        An attribute of the class will do: `loader = "trainer.model:load"`.
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
    """What a training is given besides its hyperparameters, where it asks for it.

    `folder` is one of its own, which is gone after the trial: an empty one, or one with what it
    held after `done` epochs, where the trial goes on from there. `metric` is what a plain number
    that the objective yields is called. `evaluates` asks a program to judge, too.
    """

    metric: str
    seed: int
    data: Data | None = None
    folder: Path | None = None
    trial: TrialId | None = None
    evaluates: bool = False
    done: int = 0
    is_kept: bool = False  # the folder, now and then
    had_ended: bool = False  # the trial, after the epochs that are done


Epochs: TypeAlias = Generator[dict[str, float], None, Any]  # the model in the end, or None


@dataclass(frozen=True)
class Parameter:
    """A hyperparameter of an objective: its type, and its default where it has one."""

    hint: Any
    default: Any = MISSING


@dataclass(frozen=True)
class Objective:
    """An objective of any form, as all else knows it.

    `parameters` are its hyperparameters by name. `asks` names what it is given besides: "data",
    "seed", "folder"; `needs_data` says that it cannot do without data, and `needs_folder` that it
    has use for a folder even where none is kept. `metrics` names what it
    yields for each task, and is None where it does not declare that. `files` are its code by
    their path, and `packages` the versions of what these import.

    `start` returns the epochs of a training, which begins with the first of them: metrics of each
    epoch by name, and a model in the end, or None. Whatever the objective raises comes out of
    there. `check` raises what the objective itself has against hyperparameters. `evaluate` says
    how good what was returned in the end is, on data of the objective's own, or is None. For a
    model that is to be kept without data of ours `example` returns a few rows as it takes them,
    and `classes` are the labels by the index of its outputs; both may be left out.
    `depends_on_epochs` says of hyperparameters whether a training depends, from its first epoch, on
    how many there are in all, as a schedule over all of them does; None where that is not known.
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
        """Return hyperparameters as the objective takes them: parts as one tuple.

        What only counts the parts of another one is left out. A program, where it runs, does not
        say what it takes, and gets all.
        """
        values = packed(hyperparameters)
        if not self.parameters:
            return values
        return {name: value for name, value in values.items() if name in self.parameters}

    def required(self) -> tuple[str, ...]:
        """Return the names of the hyperparameters without a default."""
        return tuple(n for n, p in self.parameters.items() if p.default is MISSING)
