"""An objective trains with given hyperparameters and yields its metrics, epoch by epoch."""

import dataclasses
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Collection, Generator, Mapping
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, Protocol, TypeAlias, get_args, get_type_hints
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from hpo.errors import InputError
from hpo.objective_code import Code, read_code
from hpo.text import name_fault, one_line
from hpo.trial import EpochMetrics

Task: TypeAlias = Literal["classification", "regression"]
_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
_NEEDED = {
    "click", "hpo", "matplotlib", "mlflow", "numpy", "optuna", "pandas", "pydantic", "ray", "rich",
    "scipy", "sklearn", "threadpoolctl", "trainer",
}  # fmt: skip
_UNUSED = {"antigravity", "idlelib", "test", "this", "turtle", "turtledemo"}  # by any package


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
    """The form of an objective: a generator of metrics, one mapping for each epoch.

    `arguments` hold the `Data`, where the study has some. One that needs none leaves them out.
    """

    def __call__(
        self, hyperparameters: Any, /, *arguments: Any, seed: int
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
    code: Code

    def start(
        self, hyperparameters: Mapping[str, Any], data: Data | None, seed: int
    ) -> Generator[EpochMetrics, None, "Model | None"]:
        """Return the epochs of a training that begins with the first of them."""
        checked = self.hyperparameters(**hyperparameters)
        if data is None:
            return self.function(checked, seed=seed)
        return self.function(checked, data, seed=seed)

    @property
    def takes_data(self) -> bool:
        """Whether the function has a parameter for data."""
        return self._data_parameter() is not None

    @property
    def needs_data(self) -> bool:
        """Whether the function cannot be called without data."""
        parameter = self._data_parameter()
        return parameter is not None and parameter.default is parameter.empty

    def _data_parameter(self) -> inspect.Parameter | None:
        positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        parameters = inspect.signature(self.function).parameters.values()
        second = [p for p in parameters if p.kind in positional][1:2]
        return second[0] if second and second[0].name != "seed" else None

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
        module, code = _import(module_name)
    except ModuleNotFoundError as error:
        raise InputError(
            f"no module {error.name or str(error)!r} for the objective {name!r}; "
            "put it beside the study file or install it"
        ) from error
    except InputError:
        raise
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
    return Objective(name, function, hyperparameters, _metrics(function, name), code)


_imported_code: "WeakKeyDictionary[ModuleType, Code]" = WeakKeyDictionary()


def _import(module_name: str) -> tuple[ModuleType, Code]:
    """Import a module; return it with its code as it was when this process imported it.

    Raises InputError where the code changed in between.
    """
    module = sys.modules.get(module_name)
    before = read_code(module_name) if module is None else None
    module = importlib.import_module(module_name)
    code = _imported_code.get(module)
    if code is None:
        code = _imported_code[module] = read_code(module_name)
        if before is not None and before.digest != code.digest:
            del sys.modules[module_name], _imported_code[module]
            raise InputError(
                f"{', '.join(code.differing(before))} changed while it was imported; "
                "run the same command again"
            )
    return module, code


def refuse_hiding(folder: Path) -> None:
    """Raise InputError where a module in a folder would hide one that hpo itself needs.

    That is so as soon as the folder is searched first, and ends in errors of whatever comes to
    import a module of that name.
    """
    needed = (sys.stdlib_module_names | _NEEDED) - _UNUSED - set(sys.builtin_module_names)
    elsewhere = [place for place in sys.path if Path(place or ".").absolute() != folder]
    try:
        beside = sorted(path for path in folder.iterdir() if path.stem in needed)
    except OSError:
        return  # then nothing is imported from it either
    for path in beside:
        file = path / "__init__.py" if path.is_dir() else path
        if file.suffix != ".py" or not file.is_file():
            continue
        spec = PathFinder.find_spec(path.stem, elsewhere)
        hidden = getattr(sys.modules.get(path.stem), "__file__", None) or (spec and spec.origin)
        if hidden and Path(hidden).resolve() != file.resolve():
            raise InputError(
                f"{path} hides the module {path.stem!r}, which Python or hpo needs, from all that "
                "runs here; give it another name"
            )


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
    for metric in (metric for names in metrics.values() for metric in names):
        fault = name_fault(metric)
        if fault:
            raise InputError(
                f"{name} declares a metric {one_line(metric[:60])!r}, a name that cannot be "
                f"recorded: {fault}; rename it there"
            )
    return {task: tuple(names) for task, names in metrics.items()}


def _is_names(names: object) -> bool:
    if isinstance(names, str) or not isinstance(names, Collection):
        return False
    return bool(names) and all(isinstance(name, str) for name in names)
