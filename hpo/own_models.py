"""The model of a study without [data], with the shape of its rows, so that it can be used later.

An estimator knows how many numbers a row has, and often their names and its classes. For other
models the objective provides that: `example` returns a few rows, `classes` names the outputs.
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo import frameworks
from hpo.data.predictor import Column, Predictor, Preprocessing
from hpo.failures import reason
from hpo.objective import Objective

ROWS = 100  # of an example that are used
_NAMELESS = re.compile(r"Column_\d+")  # LightGBM's names for the columns of an array


@dataclass(frozen=True)
class OwnModel:
    """A model as a predictor, and a few rows to try it with."""

    predictor: Predictor
    inputs: NDArray[Any]


def own_model(objective: Objective, model: Any) -> OwnModel:
    """Return what an objective returned as a model that can be saved.

    Raises ValueError, one line with the remedy, if it is not a model or its rows are unknown.
    """
    function, kind = objective.name.partition(":")[2], type(model).__name__
    if not frameworks.is_model(model):
        raise ValueError(
            f"{objective.name} returned a value of type {kind}; return a model: "
            f"{frameworks.ANY_MODEL}"
        )
    names, inputs = _rows(objective, model)
    labels, of_model = _labels(objective, model)
    rows = f"the rows that `{function}.example` returns"
    try:
        try:
            fitting = frameworks.adapted(
                model, len(labels), inputs, rows=rows, own_labels=of_model
            )
        except ValueError:
            given, inputs = inputs, frameworks.in_type_of(model, inputs)
            if inputs.dtype == given.dtype:
                raise
            fitting = frameworks.adapted(model, len(labels), inputs, rows=rows)
        outputs = frameworks.tried(fitting, kind, inputs, rows)
        if wrong := frameworks.fault(outputs, len(inputs), len(labels)):
            raise ValueError(f"{kind}: {wrong}")
    except ValueError as error:
        more = "" if labels else f"; for a classifier, name the classes in `{function}.classes`"
        raise ValueError(f"{error}{more}") from error
    preprocessing = Preprocessing(
        shape=inputs.shape[1:], columns=tuple(map(Column, names)), classes=labels,
        dtype=inputs.dtype.name,
    )
    return OwnModel(Predictor(preprocessing, (fitting,)), inputs)


def _rows(objective: Objective, model: Any) -> tuple[tuple[str, ...], NDArray[Any]]:
    """Return the names of columns, if there are any, and a few rows."""
    function = objective.name.partition(":")[2]
    if objective.example is None:
        width, names = _width(model)
        if not width:
            raise ValueError(
                f"the shape of the rows that {type(model).__name__} accepts is unknown; add a "
                f"function `{function}.example` that returns a few of them"
            )
        return names, np.random.default_rng(0).standard_normal((ROWS, width))
    try:
        found: Any = objective.example()
        names = tuple(map(str, getattr(found, "columns", ())))
        found = found.detach().cpu().numpy() if hasattr(found, "detach") else np.asarray(found)
    except Exception as error:  # of the objective's own
        raise ValueError(
            f"{function}.example failed: {reason(error, objective.files())}; fix it"
        ) from error
    if found.ndim < 2 or not found.size or found.dtype.kind not in "fiub":
        raise ValueError(
            f"{function}.example returned an array of shape {found.shape} and type {found.dtype}; "
            "return a few rows of numbers, with shape (rows, …), or let hpo read the table with "
            "[data]"
        )
    if found.dtype.kind == "b" or found.dtype.itemsize == 2:  # float16 is no type for a table
        found = found.astype(np.float32)
    return names, found[:ROWS]


def _width(model: Any) -> tuple[int, tuple[str, ...]]:
    """Return how many numbers a row of a model has, 0 if it does not say, and their names."""
    for count, names in (
        ("n_features_in_", "feature_names_in_"),
        ("num_feature", "feature_name"), ("num_features", "feature_names"),  # of boosters
    ):
        width = _value(model, count)
        if isinstance(width, int | np.integer):
            known = _value(model, names)
            texts = tuple(map(str, known if known is not None else ()))
            return int(width), () if any(map(_NAMELESS.fullmatch, texts)) else texts
    return 0, ()


def _value(model: Any, name: str) -> Any:
    value = getattr(model, name, None)
    return value() if callable(value) else value


def _labels(objective: Objective, model: Any) -> tuple[tuple[str, ...], bool]:
    """Return the labels of the classes, and whether the model defines them and their order."""
    declared, known = objective.classes, getattr(model, "classes_", None)
    if known is None:
        return declared, False
    if np.ndim(known) != 1:
        raise ValueError(
            f"{type(model).__name__} predicts several labels per row; return a model that "
            "predicts one"
        )
    if declared and len(declared) != len(known):
        function = objective.name.partition(":")[2]
        raise ValueError(
            f"{function}.classes names {len(declared)} classes, but {type(model).__name__} has "
            f"{len(known)}; name each of them"
        )
    return declared or tuple(str(label) for label in known), True
