"""An objective trains with given hyperparameters and yields its metrics, epoch by epoch."""

import ast
import dataclasses
import hashlib
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Collection, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, get_args, get_type_hints

import numpy as np
from numpy.typing import NDArray

from hpo.errors import InputError
from hpo.trial import EpochMetrics

Task: TypeAlias = Literal["classification", "regression"]
_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)


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
    """What an objective may return: something that predicts and can be kept."""

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


class ObjectiveFunction(Protocol):
    """The form of an objective: a generator of metrics, one mapping for each epoch."""

    def __call__(
        self, hyperparameters: Any, data: Data, *, seed: int
    ) -> Generator[EpochMetrics, None, Model | None]:
        """Train; equal arguments give equal metrics."""
        ...


@dataclass(frozen=True)
class Objective:
    """An objective that was found, and what it declares before anything runs.

    `hyperparameters` is the frozen dataclass that its first parameter is annotated with;
    `metrics` names what it yields for each task.
    """

    name: str
    function: ObjectiveFunction
    hyperparameters: Callable[..., Any]
    metrics: Mapping[str, tuple[str, ...]]

    def types(self) -> dict[str, Any]:
        """Return the type of each hyperparameter, by name."""
        hints = get_type_hints(self.hyperparameters)
        return {name: hints[name] for name in self._parameters()}

    def required(self) -> tuple[str, ...]:
        """Return the names of the hyperparameters without a default."""
        return tuple(n for n, p in self._parameters().items() if p.default is p.empty)

    def _parameters(self) -> Mapping[str, inspect.Parameter]:
        return inspect.signature(self.hyperparameters).parameters


def find(name: str) -> Objective:
    """Import the objective called "package.module:name".

    Raises InputError where there is none, or where it does not say what it takes and yields.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f'{name!r} is no objective; write it as "package.module:name"')
    module_name, _, attribute = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise InputError(
            f"no module {error.name or str(error)!r} for the objective {name!r}; "
            "put it beside the study file or install it"
        ) from error
    except (Exception, SystemExit) as error:  # a script may end the process when imported
        raise InputError(
            f"importing {module_name!r} failed: {type(error).__name__}: {error}; correct it"
        ) from error
    function = getattr(module, attribute, None)
    if not inspect.isgeneratorfunction(function):
        known = sorted(
            k for k, v in vars(module).items()
            if inspect.isgeneratorfunction(v) and hasattr(v, "metrics")
        )
        hint = f"; it has {', '.join(known)}" if known else "; write one there"
        raise InputError(f"{module_name} has no generator function {attribute!r}{hint}")
    hyperparameters = _hyperparameters(function, name)
    return Objective(name, function, hyperparameters, _metrics(function, name))


def digest(objective: Objective) -> str:
    """Return 16 hexadecimal digits that change with the code of the objective.

    Covers every module of its package, or where it is one file that file and those beside it
    that it imports.
    """
    module = sys.modules[objective.name.partition(":")[0]]
    top = sys.modules[module.__name__.partition(".")[0]]
    if top is not module or hasattr(top, "__path__"):
        folders = [Path(folder) for folder in top.__path__]
    else:
        folders = []
    files = sorted(f for folder in folders for f in folder.rglob("*.py"))
    if not files and module.__file__:
        files = _with_imported(Path(module.__file__))
    sums = hashlib.sha256()
    for file in files:
        place = next((file.relative_to(f) for f in folders if file.is_relative_to(f)), file.name)
        sums.update(str(place).encode() + b"\0" + file.read_bytes() + b"\0")
    return sums.hexdigest()[:16]


def _with_imported(file: Path) -> list[Path]:
    """Return a file and those in its folder that it imports, or that those import."""
    found, unread = {file}, [file]
    while unread:
        try:
            tree = ast.parse(unread.pop().read_bytes())
        except SyntaxError:
            continue  # a file that is not Python cannot be imported
        names = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.partition(".")[0])
        beside = {file.with_name(f"{name}.py") for name in names}
        new = {path for path in beside if path.is_file()} - found
        found |= new
        unread += sorted(new)
    return sorted(found)


def _hyperparameters(function: Any, name: str) -> Callable[..., Any]:
    first = next(iter(inspect.signature(function).parameters), "")
    try:
        annotation = get_type_hints(function).get(first)
        if annotation is not None:
            get_type_hints(annotation)
    except Exception as error:  # of an annotation in quotes, which only now is looked up
        raise InputError(
            f"an annotation of {name} means nothing: {type(error).__name__}: {error}; "
            "import what it names, also while the program runs"
        ) from error
    if not (isinstance(annotation, type) and dataclasses.is_dataclass(annotation)):
        raise InputError(
            f"the first parameter of {name} is not annotated with a frozen dataclass "
            "of its hyperparameters"
        )
    return annotation


def _metrics(function: Any, name: str) -> Mapping[str, tuple[str, ...]]:
    """Return the names of the metrics by task, also where they are the same for all."""
    metrics: Any = getattr(function, "metrics", None)
    if not isinstance(metrics, Mapping):
        metrics = dict.fromkeys(get_args(Task), metrics)
    if not all(_is_names(names) for names in metrics.values()):
        raise InputError(
            f"{name} does not name what it yields; "
            'give it an attribute `metrics` such as ("validation_loss",)'
        )
    return {task: tuple(names) for task, names in metrics.items()}


def _is_names(names: object) -> bool:
    if isinstance(names, str) or not isinstance(names, Collection):
        return False
    return bool(names) and all(isinstance(name, str) for name in names)
