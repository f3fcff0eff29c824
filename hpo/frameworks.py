"""Convert a fitted model of a framework to one that can predict and be saved."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo.framework_models import (
    OWN,
    KerasModel,
    LightGBMModel,
    ScikitLearnModel,
    TorchModel,
    XGBoostModel,
    are_probabilities,
    class_indices,
)

# The models that an objective may return, for error messages.
ANY_MODEL = (
    "one from scikit-learn, LightGBM, XGBoost, Keras, or PyTorch, or a custom one "
    "(docs/models.md)"
)


def adapted(
    model: Any, classes: int, inputs: NDArray[Any], *, rows: str = "data.training.inputs",
    own_labels: bool = False,
) -> Any:
    """Return a fitted model of a framework as one with `predict`, `save` and `loader`.

    Anything else is returned unchanged. `classes` is the number of classes in the data, 0 for
    regression; `inputs` are a few rows to try it with, called `rows` in errors. With `own_labels`
    a classifier may use any class labels, in its own order. No framework is imported that has not
    been imported already.

    Raises ValueError, one line with the remedy, for a model that does not fit the data.
    """
    adapter = _adapter(model)
    if adapter is None or hasattr(model, "loader"):
        return model
    fitting = adapter(model, classes, own_labels)
    name = type(model).__name__
    outputs = tried(fitting, name, inputs, rows)
    if isinstance(fitting, TorchModel | KerasModel):
        logits = bool(classes) and not are_probabilities(outputs)
        fitting = replace(fitting, logits=logits)
        if isinstance(fitting, TorchModel):
            fitting = replace(fitting, shape=inputs.shape[1:], dtype=str(inputs.dtype))
        outputs = fitting.predict(inputs)
    if wrong := fault(outputs, len(inputs), classes):
        raise ValueError(f"{name}: {wrong}")
    return fitting


def is_model(model: Any) -> bool:
    """Return whether it is a model of a framework, or one with `predict`, `save` and `loader`."""
    own = all(hasattr(model, name) for name in ("predict", "save", "loader"))
    return own or _adapter(model) is not None


def in_type_of(model: Any, rows: NDArray[Any]) -> NDArray[Any]:
    """Return rows of floats in the type of a PyTorch module's parameters; all others unchanged."""
    if _adapter(model) is not _of_torch or rows.dtype.kind != "f":
        return rows
    kinds = {str(parameter.dtype).removeprefix("torch.") for parameter in model.parameters()}
    known = kinds & {"float32", "float64"}
    return rows.astype(known.pop()) if len(known) == 1 else rows


def tried(model: Any, name: str, inputs: NDArray[Any], rows: str) -> NDArray[np.float32]:
    """Return a model's predictions for inputs, which are called `rows` in errors.

    Raises ValueError, one line with the remedy, if predicting fails.
    """
    try:
        outputs: NDArray[np.float32] = model.predict(inputs)
    except Exception as error:
        why = next(iter(str(error).strip().splitlines()), "")
        raise ValueError(
            f"{name} cannot predict rows of shape {inputs.shape[1:]}: "
            f"{type(error).__name__}: {why}; make it accept {rows} unchanged"
        ) from error
    return outputs


def fault(outputs: Any, rows: int, classes: int) -> str:
    """Return what is wrong with a model's predictions for a number of rows, or ""."""
    shape = getattr(outputs, "shape", None)
    if shape != (rows, classes or 1):
        what = "one probability per class" if classes else "one value per row"
        got = f"shape {shape}" if shape else type(outputs).__name__
        if classes and shape in ((rows,), (rows, 1)):
            what += ', or if the target is a number to predict, set task = "regression" in [data]'
        return (
            f"expected predictions of shape {(rows, classes or 1)}, got {got}; "
            f"make it predict {what}"
        )
    if not np.isfinite(outputs).all():
        return "it predicts values that are not finite; train it with a smaller learning rate"
    if classes and not are_probabilities(outputs):
        return (
            "its predictions are not probabilities; make each row non-negative, with a sum of 1"
        )
    return ""


def _adapter(model: Any) -> Callable[[Any, int, bool], Any] | None:
    own = _OF_A_LIBRARY.get(_top(type(model)))  # a class derived from one may predict otherwise
    if own is not None and hasattr(model, "predict"):
        return own
    tops = {_top(kind) for kind in type(model).__mro__}
    if "keras" in tops:  # with PyTorch beneath it is a module of that as well
        return _of_keras
    if "torch" in tops and hasattr(model, "state_dict"):
        return _of_torch
    if "sklearn" in tops and hasattr(model, "predict"):
        return _of_scikit_learn
    return None


def _of_scikit_learn(model: Any, classes: int, own_labels: bool) -> ScikitLearnModel:
    _check_task(model, classes)
    if classes and hasattr(model, "classes_") and not own_labels:
        class_indices(model.classes_, classes)
    return ScikitLearnModel(model, classes, own_labels)


def _of_lightgbm(model: Any, classes: int, own_labels: bool) -> LightGBMModel:
    if not hasattr(model, "booster_"):
        outputs = model.num_model_per_iteration()
        return LightGBMModel(model, _first(outputs, classes), classes)
    _check_task(model, classes)
    labels = tuple(range(classes))
    if classes and not own_labels:
        labels = class_indices(model.classes_, classes)
    return LightGBMModel(model.booster_, labels, classes)


def _of_xgboost(model: Any, classes: int, own_labels: bool) -> XGBoostModel:
    booster, best = model, None
    if hasattr(model, "get_booster"):
        _check_task(model, classes)
        booster = model.get_booster()
        best = booster.attr("best_iteration")  # which it uses, other than a booster alone
    learner = json.loads(booster.save_config())["learner"]
    outputs = int(learner["learner_model_param"]["num_class"])
    labels = _first(outputs, classes)
    margins = learner["objective"]["name"] == "multi:softmax"  # gives only the likeliest class
    return XGBoostModel(booster, labels, classes, int(best) + 1 if best else 0, margins)


def _of_torch(model: Any, classes: int, own_labels: bool) -> TorchModel:
    return TorchModel(model.cpu().eval(), (), classes)


def _of_keras(model: Any, classes: int, own_labels: bool) -> KerasModel:
    import keras

    if int(keras.__version__.partition(".")[0]) < 3:
        raise ValueError(
            f"{type(model).__name__}: a Keras {keras.__version__} model cannot be saved without "
            f"pickle; use Keras 3, or {OWN}"
        )
    return KerasModel(model, classes, keras.backend.backend())


def _first(outputs: int, classes: int) -> tuple[int, ...]:
    """Return the classes of a booster's outputs: a single output is that of the second class."""
    return tuple(range(max(outputs, 2))) if classes else ()


def _check_task(model: Any, classes: int) -> None:
    from sklearn.base import is_classifier, is_regressor

    if is_regressor(model) if classes else is_classifier(model):
        task, kind = ("classification", "classifier") if classes else ("regression", "regressor")
        raise ValueError(
            f"{type(model).__name__} is not a {kind}, but the task is {task}; return a {kind}, or "
            "set task in [data]"
        )


_OF_A_LIBRARY: Mapping[str, Callable[[Any, int, bool], Any]] = {
    "lightgbm": _of_lightgbm,
    "xgboost": _of_xgboost,
}


def _top(kind: type) -> str:
    return kind.__module__.partition(".")[0]
