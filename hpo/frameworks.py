"""A fitted model of a framework becomes what the rest knows: it predicts, and it can be kept.

MLflow keeps a copy of this file with each such model, so that it can be served where this package
is not: it imports nothing but numpy, and of frameworks only the one that a model comes from. No
pickle is written or read.
"""

import json
import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

_TRUSTED = ("sklearn.", "numpy.", "scipy.")  # whose types may be in the file of an estimator
_OWN = "return a model with `predict`, `save` and `loader` of its own (docs/objectives.md)"
_TOLERANCE = 1e-3  # of a sum of probabilities in float32
_WITHOUT_PICKLE = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"  # else torch.export.load falls back to pickle
_TENSOR_CONFIGS = ("_weights_config.json", "_constants_config.json")  # in a file of torch.export
_TENSORS = ("weight_", "tensor_")  # what the names of tensors begin with there
_BATCH = 1000  # rows that a module of PyTorch is given at once


@dataclass(frozen=True)
class ScikitLearnModel:
    """A fitted estimator of scikit-learn; `classes` counts those of the data, 0 for regression."""

    estimator: Any
    classes: int
    loader: ClassVar[str] = "hpo.frameworks:load_scikit_learn"
    file_suffix: ClassVar[str] = ".skops"
    packages: ClassVar[tuple[str, ...]] = ("sklearn", "skops")

    @property
    def loader_details(self) -> dict[str, Any]:
        """What the loader is told besides the file."""
        return {"classes": self.classes}

    def predict(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return class probabilities (rows, classes), or standardized values (rows, 1).

        A classifier that knows no probabilities gives 1 to the class that it predicts.
        """
        rows = _flat(inputs)
        if not self.classes:
            return _column(self.estimator.predict(rows))
        if hasattr(self.estimator, "predict_proba"):
            labels = class_indices(self.estimator.classes_, self.classes)
            return _in_order(self.estimator.predict_proba(rows), labels, self.classes)
        predicted = np.asarray(self.estimator.predict(rows)).astype(np.intp)
        return np.eye(self.classes, dtype=np.float32)[predicted]

    def save(self, path: Path) -> None:
        """Write the estimator to a file of skops.

        Raises ValueError where that would hold a type of anybody else.
        """
        import skops.io

        skops.io.dump(self.estimator, path)
        foreign = [t for t in skops.io.get_untrusted_types(file=path) if not _is_trusted(t)]
        if foreign:
            raise ValueError(
                f"it holds {', '.join(sorted(foreign))}, and only what is scikit-learn's, NumPy's "
                f"and SciPy's own is kept without pickle; use that, or {_OWN}"
            )


def load_scikit_learn(path: Path, classes: int) -> ScikitLearnModel:
    """Return the model that `save` wrote; raise an error of skops for types of anybody else."""
    import skops.io

    trusted = [t for t in skops.io.get_untrusted_types(file=path) if _is_trusted(t)]
    return ScikitLearnModel(skops.io.load(path, trusted=trusted), classes)


@dataclass(frozen=True)
class LightGBMModel:
    """A booster of LightGBM; `labels` has the class of each of its outputs."""

    booster: Any
    labels: tuple[int, ...]
    classes: int
    loader: ClassVar[str] = "hpo.frameworks:load_lightgbm"
    file_suffix: ClassVar[str] = ".txt"
    packages: ClassVar[tuple[str, ...]] = ("lightgbm",)

    @property
    def loader_details(self) -> dict[str, Any]:
        """What the loader is told besides the file."""
        return {"labels": self.labels, "classes": self.classes}

    def predict(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return class probabilities (rows, classes), or standardized values (rows, 1)."""
        return _in_order(self.booster.predict(_flat(inputs)), self.labels, self.classes)

    def save(self, path: Path) -> None:
        """Write the trees, up to the best iteration, in LightGBM's own text."""
        path.write_text(self.booster.model_to_string(), encoding="utf-8")


def load_lightgbm(path: Path, labels: Sequence[int], classes: int) -> LightGBMModel:
    """Return the model that `save` wrote."""
    import lightgbm

    booster = lightgbm.Booster(model_str=path.read_text(encoding="utf-8"))
    return LightGBMModel(booster, tuple(labels), classes)


@dataclass(frozen=True)
class XGBoostModel:
    """A booster of XGBoost; `labels` has the class of each of its outputs.

    Of its trees the first `iterations` predict, or all where that is 0. `margins` says that its
    outputs are not yet probabilities.
    """

    booster: Any
    labels: tuple[int, ...]
    classes: int
    iterations: int = 0
    margins: bool = False
    loader: ClassVar[str] = "hpo.frameworks:load_xgboost"
    file_suffix: ClassVar[str] = ".json"
    packages: ClassVar[tuple[str, ...]] = ("xgboost",)

    @property
    def loader_details(self) -> dict[str, Any]:
        """What the loader is told besides the file."""
        names = ("labels", "classes", "iterations", "margins")
        return {name: getattr(self, name) for name in names}

    def predict(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return class probabilities (rows, classes), or standardized values (rows, 1)."""
        import xgboost

        outputs = self.booster.predict(
            xgboost.DMatrix(_flat(inputs)), output_margin=self.margins, validate_features=False,
            iteration_range=(0, self.iterations),
        )
        outputs = softmax(outputs) if self.margins else outputs
        return _in_order(outputs, self.labels, self.classes)

    def save(self, path: Path) -> None:
        """Write the trees in XGBoost's own JSON."""
        path.write_bytes(self.booster.save_raw("json"))


def load_xgboost(path: Path, labels: Sequence[int], **details: Any) -> XGBoostModel:
    """Return the model that `save` wrote."""
    import xgboost

    return XGBoostModel(xgboost.Booster(model_file=path), tuple(labels), **details)


@dataclass(frozen=True)
class TorchModel:
    """A module of PyTorch for inputs of a `shape`; `logits` says that it gives no probabilities."""

    module: Any
    shape: tuple[int, ...]
    classes: int
    logits: bool = False
    loader: ClassVar[str] = "hpo.frameworks:load_torch"
    file_suffix: ClassVar[str] = ".pt2"
    packages: ClassVar[tuple[str, ...]] = ("torch",)

    @property
    def loader_details(self) -> dict[str, Any]:
        """What the loader is told besides the file."""
        return {name: getattr(self, name) for name in ("shape", "classes", "logits")}

    def predict(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return class probabilities (rows, classes), or standardized values (rows, 1)."""
        import torch

        parts = (inputs[i : i + _BATCH] for i in range(0, len(inputs), _BATCH))
        with torch.no_grad():
            outputs = _column(np.concatenate([self.module(torch.tensor(p)).numpy() for p in parts]))
        return softmax(outputs) if self.logits else outputs

    def save(self, path: Path) -> None:
        """Write what torch.export makes of the module, which needs no code of its class.

        Raises ValueError where that does not understand it.
        """
        import torch

        example, rows = torch.zeros((2, *self.shape)), torch.export.Dim("rows")
        try:
            program = torch.export.export(self.module, (example,), dynamic_shapes=({0: rows},))
            torch.export.save(program, path)
        except Exception as error:  # of many kinds, with pages of advice
            why = next(iter(str(error).strip().splitlines()), "")
            raise ValueError(
                f"torch.export does not take it ({type(error).__name__}: {why}); let its forward "
                f"run the same code whatever values and number of rows it is given, or {_OWN}"
            ) from error
        _refuse_pickle(path)


def load_torch(path: Path, shape: Sequence[int], **details: Any) -> TorchModel:
    """Return the model that `save` wrote; raise an error where only pickle could read it."""
    import torch

    _refuse_pickle(path)
    before = os.environ.get(_WITHOUT_PICKLE)
    os.environ[_WITHOUT_PICKLE] = "1"
    try:
        program = torch.export.load(path)
    finally:
        del os.environ[_WITHOUT_PICKLE]
        if before is not None:
            os.environ[_WITHOUT_PICKLE] = before
    return TorchModel(program.module(), tuple(shape), **details)


def _refuse_pickle(path: Path) -> None:
    """Raise ValueError where a file of torch.export has parts that pickle would read."""
    with zipfile.ZipFile(path) as archive:
        configs = [n for n in archive.namelist() if n.endswith(_TENSOR_CONFIGS)]
        parts = [part for n in configs for part in json.loads(archive.read(n))["config"].values()]
    if any(p["use_pickle"] or not p["path_name"].startswith(_TENSORS) for p in parts):
        raise ValueError(f"it holds more than tensors, which only pickle would keep; {_OWN}")


# What reads the file of a model, by its `loader`.
LOADERS: Mapping[str, Callable[..., Any]] = {
    ScikitLearnModel.loader: load_scikit_learn,
    LightGBMModel.loader: load_lightgbm,
    XGBoostModel.loader: load_xgboost,
    TorchModel.loader: load_torch,
}


def adapted(model: Any, classes: int, inputs: NDArray[np.float32]) -> Any:
    """Return a fitted model of a framework as one with `predict`, `save` and `loader`.

    Anything else is returned as it is. `classes` counts those of the data, 0 for regression;
    `inputs` are a few rows to try it with. Nothing is imported that is not there already.

    Raises ValueError, one line with the remedy, for a model that does not fit the data.
    """
    adapter = _adapter(model)
    if adapter is None or hasattr(model, "loader"):
        return model
    fitting = adapter(model, classes)
    outputs = _tried(fitting, type(model).__name__, inputs)
    if isinstance(fitting, TorchModel):
        logits = bool(classes) and not are_probabilities(outputs)
        fitting = replace(fitting, shape=inputs.shape[1:], logits=logits)
        outputs = fitting.predict(inputs)
    if wrong := fault(outputs, len(inputs), classes):
        raise ValueError(f"{type(model).__name__}: {wrong}")
    return fitting


def _tried(model: Any, name: str, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    try:
        outputs: NDArray[np.float32] = model.predict(inputs)
    except Exception as error:
        why = next(iter(str(error).strip().splitlines()), "")
        raise ValueError(
            f"{name} does not predict rows of the shape {inputs.shape[1:]}: "
            f"{type(error).__name__}: {why}; let it take data.training.inputs as they are"
        ) from error
    return outputs


def fault(outputs: Any, rows: int, classes: int) -> str:
    """Return what is wrong with what a model predicts for so many rows, with the remedy, or ""."""
    shape = getattr(outputs, "shape", None)
    if shape != (rows, classes or 1):
        what = "a probability for each class" if classes else "one value for each row"
        return (
            f"it predicts {'an array of the shape ' + str(shape) if shape else type(outputs)}, "
            f"not {(rows, classes or 1)}; let it predict {what}"
        )
    if not np.isfinite(outputs).all():
        return "it predicts values that are not finite; train it with a smaller learning rate"
    if classes and not are_probabilities(outputs):
        return "what it predicts are no probabilities; let each row be positive with the sum 1"
    return ""


def are_probabilities(outputs: NDArray[Any]) -> bool:
    """Say whether each row holds probabilities."""
    return bool((outputs >= 0).all() and (abs(outputs.sum(axis=1) - 1) < _TOLERANCE).all())


def softmax(outputs: NDArray[Any]) -> NDArray[Any]:
    """Return the probabilities that unbounded outputs stand for."""
    powers = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    shares: NDArray[Any] = powers / powers.sum(axis=1, keepdims=True)
    return shares


def class_indices(classes: Any, count: int) -> tuple[int, ...]:
    """Return the classes that a classifier knows as indices of those of the data."""
    known = np.asarray(classes)
    if known.ndim != 1 or known.dtype.kind not in "iubf" or not set(known) <= set(range(count)):
        raise ValueError(
            f"its classes are {known.tolist()}, not indices from 0 to {count - 1}; "
            "train it on data.training.targets"
        )
    return tuple(int(label) for label in known)


def _adapter(model: Any) -> Callable[[Any, int], Any] | None:
    own = _OF_A_LIBRARY.get(_top(type(model)))  # a class derived from one may predict otherwise
    if own is not None and hasattr(model, "predict"):
        return own
    tops = {_top(kind) for kind in type(model).__mro__}
    if "keras" in tops:  # with PyTorch beneath it is a module of that as well
        raise ValueError(f"{type(model).__name__}: a model of Keras cannot be kept yet; {_OWN}")
    if "torch" in tops and hasattr(model, "state_dict"):
        return _of_torch
    if "sklearn" in tops and hasattr(model, "predict"):
        return _of_scikit_learn
    return None


def _of_scikit_learn(model: Any, classes: int) -> ScikitLearnModel:
    _check_task(model, classes)
    if classes and hasattr(model, "classes_"):
        class_indices(model.classes_, classes)
    return ScikitLearnModel(model, classes)


def _of_lightgbm(model: Any, classes: int) -> LightGBMModel:
    if not hasattr(model, "booster_"):
        outputs = model.num_model_per_iteration()
        return LightGBMModel(model, _first(outputs, classes), classes)
    _check_task(model, classes)
    labels = class_indices(model.classes_, classes) if classes else ()
    return LightGBMModel(model.booster_, labels, classes)


def _of_xgboost(model: Any, classes: int) -> XGBoostModel:
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


def _of_torch(model: Any, classes: int) -> TorchModel:
    return TorchModel(model.cpu().eval(), (), classes)


def _first(outputs: int, classes: int) -> tuple[int, ...]:
    """Return the classes of a booster's outputs: one output is the probability of the second."""
    return tuple(range(max(outputs, 2))) if classes else ()


def _check_task(model: Any, classes: int) -> None:
    from sklearn.base import is_classifier, is_regressor

    if is_regressor(model) if classes else is_classifier(model):
        task, kind = ("classification", "classifier") if classes else ("regression", "regressor")
        raise ValueError(
            f"{type(model).__name__} is no {kind}, and the task is {task}; return a {kind}, or "
            "set task in [data]"
        )


_OF_A_LIBRARY: Mapping[str, Callable[[Any, int], Any]] = {
    "lightgbm": _of_lightgbm,
    "xgboost": _of_xgboost,
}


def _top(kind: type) -> str:
    return kind.__module__.partition(".")[0]


def _is_trusted(name: str) -> bool:
    return name.startswith(_TRUSTED)


def _flat(inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    return inputs.reshape(len(inputs), -1)


def _column(values: Any) -> NDArray[np.float32]:
    array = np.asarray(values, np.float32)
    return array.reshape(-1, 1) if array.ndim == 1 else array


def _in_order(outputs: Any, labels: tuple[int, ...], classes: int) -> NDArray[np.float32]:
    """Return probabilities with a column for each class of the data; of a regression as it is.

    `labels` has the class of each column; a class without one was never seen. A single column is
    the probability of the second of two classes.
    """
    shares = _column(outputs)
    if not classes:
        return shares
    if shares.shape[1] == 1 and len(labels) == 2:
        shares = np.concatenate([1 - shares, shares], axis=1)
    if shares.shape[1] != len(labels) or max(labels) >= classes:
        raise ValueError(f"{shares.shape[1]} outputs for {len(labels)} classes")
    ordered = np.zeros((len(shares), classes), np.float32)
    ordered[:, labels] = shares
    return ordered
