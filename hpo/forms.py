"""The forms an objective can have, and how each becomes an `Objective`."""

import dataclasses
import importlib
import inspect
import math
import re
import sys
import types
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints
from weakref import WeakKeyDictionary

from hpo import objective_code, stale
from hpo.distributions import Value
from hpo.errors import InputError
from hpo.failures import reason
from hpo.objective import MISSING, Epochs, Given, Objective, Parameter, Task
from hpo.objective_code import Code, read_code
from hpo.text import name_fault, one_line, shortened

_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
_NEEDED = {
    "click", "hpo", "matplotlib", "mlflow", "numpy", "optuna", "pandas", "pydantic", "ray", "rich",
    "scipy", "sklearn", "threadpoolctl", "trainer",
}  # fmt: skip
_UNUSED = {"antigravity", "idlelib", "test", "this", "turtle", "turtledemo"}  # by any package
GIVEN = ("data", "seed", "folder")  # parameters that are not hyperparameters


def is_name(text: str) -> bool:
    """Return whether text has the form "package.module:name", which a command does not."""
    return _NAME.fullmatch(text) is not None


def find(name: str) -> Objective:
    """Import the objective called "package.module:name".

    Raises InputError if there is none, or if it does not declare its hyperparameters properly.
    """
    meant = _without_path(name)
    if not is_name(name):
        use = f'"{meant}"' if meant else 'the form "package.module:name"'
        raise InputError(f"not a valid objective: {name!r}; use {use}")
    module_name, _, attribute = name.partition(":")
    try:
        module, code = _import(module_name)
    except ModuleNotFoundError as error:
        if meant and f"{module_name}.".startswith(f"{error.name}."):
            raise InputError(
                f'not a valid objective: {name!r}; use "{meant}"'
            ) from error
        missing = error.name or str(error)
        is_own = missing.partition(".")[0] == module_name.partition(".")[0]
        where = "put it next to the study file" if is_own else "add it to [environment] packages"
        raise InputError(
            f"no module {missing!r} found for the objective {name!r}; {where}, or install it"
        ) from error
    except InputError:
        raise
    except (Exception, SystemExit) as error:  # a script may end the process when imported
        files = objective_code.files(module_name)
        raise InputError(
            f"importing {module_name!r} failed: {reason(error, files)}; fix it"
        ) from error
    function = getattr(module, attribute, None)
    if not callable(function) or isinstance(function, type):
        known = sorted(
            k for k, v in vars(module).items()
            if inspect.isfunction(v) and v.__module__ == module_name and not k.startswith("_")
        )
        hint = f"; it defines {', '.join(known)}" if known else "; define one there"
        raise InputError(f"{module_name} has no function {attribute!r}{hint}")
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise InputError(f"{name} is asynchronous; define it with a plain def")
    return _reduced(name, function, code)


def _without_path(name: str) -> str:
    """Return the objective that "folder/file.py:name" means, or ""."""
    path, colon, attribute = name.removeprefix("./").partition(":")
    meant = f"{path.removesuffix('.py').replace('/', '.')}{colon}{attribute}"
    return meant if path.endswith(".py") and is_name(meant) else ""


_importing: list[str] = []


def imported_now() -> str:
    """Return the module that is being imported for its objective right now, or ""."""
    return _importing[-1] if _importing else ""


_imported_code: "WeakKeyDictionary[ModuleType, Code]" = WeakKeyDictionary()


def _import(module_name: str) -> tuple[ModuleType, Code]:
    """Import a module; return it with its code as it was when this process imported it.

    Raises InputError if the code changed during the import.
    """
    module = sys.modules.get(module_name)
    if module not in _imported_code:
        _refuse_stale(module_name)
    before = None
    if module is None:
        stale.remove_stale_bytecode(objective_code.files(module_name).values())
        before = read_code(module_name)
    _importing.append(module_name)
    try:
        module = importlib.import_module(module_name)
    finally:
        _importing.pop()
    code = _imported_code.get(module)
    if code is None:
        code = _imported_code[module] = read_code(module_name)
        changed = code.differing(before) if before is not None else ()
        if changed:
            del sys.modules[module_name], _imported_code[module]
            raise InputError(
                f"{', '.join(changed)} changed during the import; run the same command again"
            )
    return module, code


def _refuse_stale(module_name: str) -> None:
    """Raise InputError if this process imported a file of an objective before it was edited.

    It would train with the old code and record the new code.
    """
    for file in objective_code.files(module_name).values():
        for module in list(sys.modules.values()):
            if getattr(module, "__file__", None) == str(file) and stale.is_stale(module, file):
                raise InputError(
                    f"{file} has changed since this process imported it; restart the process, or "
                    f"call importlib.reload({module.__name__})"
                )


def refuse_hiding(folder: Path) -> None:
    """Raise InputError if a module in a folder would hide one that hpo itself needs.

    Once the folder is searched first, whatever imports a module of that name fails.
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
                f"{path} hides the module {path.stem!r}, which Python or hpo needs; rename it"
            )


def _reduced(name: str, function: Callable[..., Any], code: Code) -> Objective:
    """Return a function of any form as an objective."""
    try:
        signature = inspect.signature(function)
        hints = get_type_hints(function if inspect.isroutine(function) else type(function).__call__)
        first = next(iter(signature.parameters), "")
        kind = hints.get(first)
        is_record = isinstance(kind, type) and dataclasses.is_dataclass(kind)
        if is_record:
            hints |= get_type_hints(kind)
    except Exception as error:  # of an annotation in quotes, which only now is looked up
        raise InputError(
            f"an annotation of {name} cannot be resolved: {type(error).__name__}: {error}; "
            "import the name at run time, not only under TYPE_CHECKING"
        ) from error
    form = _with_dataclass if is_record else _with_parameters
    return form(name, function, signature, hints)(
        name=name, metrics=_metrics(function, name), code=code,
        evaluate=_function_of(function, "evaluate", name, "accepts the model and returns metrics"),
        example=_function_of(function, "example", name, "returns a few rows for the model"),
        classes=_classes(function, name),
        depends_on_epochs=_function_of(
            function, "depends_on_epochs", name, "returns whether a schedule spans all epochs"
        ),
        files=partial(objective_code.files, name), packages=partial(objective_code.packages, name),
    )


def _with_dataclass(
    name: str, function: Callable[..., Any], signature: inspect.Signature, hints: Mapping[str, Any]
) -> Callable[..., Objective]:
    """Return the maker of an objective whose first parameter holds all hyperparameters."""
    first, *others = signature.parameters.values()
    kind = hints[first.name]
    positional = [p for p in others if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    data = next((p for p in positional[:1] if p.name not in GIVEN), None)
    by_name = [p for p in others if p is not data]
    for parameter in by_name:
        needed = parameter.default is parameter.empty and parameter.kind not in (
            parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD,
        )
        if parameter.name not in GIVEN and needed:
            raise InputError(
                f"unknown parameter {parameter.name!r} of {name}: besides its dataclass, it may "
                f"have {', '.join(GIVEN)}; make it a hyperparameter"
            )
    asks = {p.name for p in by_name if p.name in GIVEN} | ({"data"} if data else set())
    asked = data or signature.parameters.get("data")

    def call(hyperparameters: Mapping[str, Value], given: Given) -> Any:
        arguments = [kind(**hyperparameters)]
        named = _named(asks, given)
        if data is not None and "data" in named:
            arguments.append(named.pop("data"))
        return function(*arguments, **named)

    fields = {
        p.name: Parameter(hints[p.name], MISSING if p.default is p.empty else p.default)
        for p in inspect.signature(kind).parameters.values()
    }
    return partial(
        Objective, parameters=fields, asks=frozenset(asks),
        needs_data=asked is not None and asked.default is asked.empty,
        needs_folder=_needs_folder(signature),
        start=partial(_epochs, call), check=lambda values: kind(**values),
    )


def _with_parameters(
    name: str, function: Callable[..., Any], signature: inspect.Signature, hints: Mapping[str, Any]
) -> Callable[..., Objective]:
    """Return the maker of an objective whose parameters are its hyperparameters."""
    parameters: dict[str, Parameter] = {}
    for parameter in signature.parameters.values():
        if parameter.name in GIVEN:
            continue
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise InputError(
                f"*{parameter.name} of {name} hides the names of its hyperparameters; declare each "
                "as a parameter, for example learning_rate: float"
            )
        parameters[parameter.name] = _hyperparameter(parameter, hints, name)
    if not parameters:
        raise InputError(
            f"{name} has no hyperparameters; declare each as a parameter, for example "
            "learning_rate: float"
        )
    asked = signature.parameters.get("data")
    asks = {given for given in GIVEN if given in signature.parameters}
    first = [p.name for p in signature.parameters.values() if p.kind is p.POSITIONAL_ONLY]

    def call(hyperparameters: Mapping[str, Value], given: Given) -> Any:
        values = {**hyperparameters, **_named(asks, given)}
        by_position = [values.pop(n) for n in first if n in values]
        return function(*by_position, **values)

    return partial(
        Objective, parameters=parameters, asks=frozenset(asks),
        needs_data=asked is not None and asked.default is asked.empty,
        needs_folder=_needs_folder(signature),
        start=partial(_epochs, call), check=lambda values: None,
    )


def _hyperparameter(
    parameter: inspect.Parameter, hints: Mapping[str, Any], objective: str
) -> Parameter:
    """Return a parameter's type, from its annotation or its default, and that."""
    what = f"the parameter {parameter.name!r} of {objective}"
    default = MISSING if parameter.default is parameter.empty else parameter.default
    hint = hints.get(parameter.name)
    if hint is None:
        if default is MISSING or default is None:
            raise InputError(
                f"{what} has no type; annotate it, for example {parameter.name}: float, or "
                "declare all hyperparameters in one frozen dataclass"
            )
        hint = type(default)
        if hint is tuple:
            hint = tuple[tuple(type(value) for value in default)]  # type: ignore[misc]
    if not _is_value_type(hint):
        raise InputError(
            f"{what} has the type {getattr(hint, '__name__', None) or hint}; a hyperparameter must "
            "be a float, int, bool, str, Literal, or a tuple of these; or declare all of them in "
            "one frozen dataclass"
        )
    return Parameter(hint, default)


def _is_value_type(hint: Any) -> bool:
    if hint in (float, int, bool, str, type(None), Ellipsis):
        return True
    origin, inside = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _is_value_type(inside[0])
    if origin is Literal:
        return all(_is_value_type(type(value)) for value in inside)
    return origin in (tuple, Union, types.UnionType) and all(map(_is_value_type, inside))


def _named(asks: Collection[str], given: Given) -> dict[str, Any]:
    """Return the arguments passed by name; missing data or a missing folder keeps its default."""
    named = {name: getattr(given, name) for name in asks}
    for name in ("data", "folder"):
        if getattr(given, name) is None:
            named.pop(name, None)
    return named


def _needs_folder(signature: inspect.Signature) -> bool:
    """Return whether a function asks for a folder without a default."""
    folder = signature.parameters.get("folder")
    return folder is not None and folder.default is folder.empty


def _epochs(
    call: Callable[[Mapping[str, Value], Given], Any],
    hyperparameters: Mapping[str, Value],
    given: Given,
) -> Epochs:
    """Yield the metrics of each epoch, or of the only one; return the model, if any."""
    yielded = _ended_by_nobody(call, hyperparameters, given)
    if not isinstance(yielded, Iterator):
        yield as_metrics(yielded, given.metric)
        return None
    try:
        while True:
            try:
                epoch = _ended_by_nobody(next, yielded)
            except StopIteration as end:
                return end.value
            yield as_metrics(epoch, given.metric)
    finally:
        close = getattr(yielded, "close", None)
        if close is not None:
            close()


def _ended_by_nobody(call: Callable[..., Any], *arguments: Any) -> Any:
    """Return the result of a call; a GeneratorExit that the objective raises ends only it."""
    try:
        return call(*arguments)
    except GeneratorExit as error:
        raise RuntimeError("the objective raised GeneratorExit") from error


def as_metrics(yielded: Any, metric: str) -> dict[str, float]:
    """Return what an objective yielded as names and floats; a bare number is the study's `metric`.

    Raises TypeError or ValueError if that is not possible.
    """
    if not hasattr(yielded, "items"):
        if isinstance(yielded, str | bytes) or not hasattr(yielded, "__float__"):
            raise TypeError(
                f"expected a number or a mapping such as {{{metric!r}: 0.5}}, "
                f"got {_short(yielded)}"
            )
        return {metric: _as_float(metric, yielded)}
    metrics = {}
    for name, value in yielded.items():
        if not isinstance(name, str):
            raise TypeError(f"the name of a metric must be a string, got {_short(name)}")
        fault = name_fault(name)
        if fault:
            raise ValueError(
                f"the metric name {_short(name)} cannot be recorded: {fault}"
            )
        metrics[str(name)] = _as_float(name, value)
    return metrics


def _as_float(name: str, value: Any) -> float:
    """Return the value of a metric as a float, infinite if it is too large for one."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"the metric {name!r} must be a number, got {_short(value)} ({error})"
        ) from error


def _short(value: object) -> str:
    return shortened(repr(value), 60)


def _metrics(function: Any, name: str) -> Mapping[str, tuple[str, ...]] | None:
    """Return the names of the metrics for each task, even if they are the same for all.

    None if the function does not declare them.
    """
    metrics: Any = getattr(function, "metrics", None)
    if metrics is None:
        return None
    if not isinstance(metrics, Mapping):
        metrics = dict.fromkeys(get_args(Task), metrics)
    if not all(_is_names(names) for names in metrics.values()):
        raise InputError(
            f"the attribute `metrics` of {name} must name the metrics it reports, for example "
            '("validation_loss",); fix it, or remove it'
        )
    for metric in (metric for names in metrics.values() for metric in names):
        fault = name_fault(metric)
        if fault:
            raise InputError(
                f"{name} declares the metric name {one_line(metric[:60])!r}, which cannot be "
                f"recorded: {fault}; rename it"
            )
    return {task: tuple(names) for task, names in metrics.items()}


def _function_of(
    function: Any, attribute: str, name: str, what: str
) -> Callable[..., Any] | None:
    """Return a function that is an attribute of an objective, or None."""
    found: Callable[..., Any] | None = getattr(function, attribute, None)
    if found is not None and not callable(found):
        raise InputError(
            f"the attribute `{attribute}` of {name} must be a function that {what}; fix it, or "
            "remove it"
        )
    return found


def _classes(function: Any, name: str) -> tuple[str, ...]:
    """Return the labels of the classes that an objective declares, if any."""
    classes: Any = getattr(function, "classes", None)
    if classes is None:
        return ()
    labels = [] if isinstance(classes, str) or not isinstance(classes, Collection) else [
        str(label) for label in classes if isinstance(label, str | int)
    ]
    if len(set(labels)) < 2 or len(set(labels)) < len(classes):
        raise InputError(
            f"the attribute `classes` of {name} must hold at least two different labels, for "
            'example ("no", "yes"); fix it, or remove it'
        )
    return tuple(labels)


def _is_names(names: object) -> bool:
    if isinstance(names, str) or not isinstance(names, Collection):
        return False
    return bool(names) and all(isinstance(name, str) for name in names)
