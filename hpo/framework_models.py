"""Fitted models of frameworks: how they predict, and how they are saved and loaded.

MLflow stores a copy of this file with each such model, so that it can be served where this package
is not installed: it imports only numpy and the framework that a model comes from. It never writes
or reads pickle.
"""

import json
import os
import sys
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

_TRUSTED = ("sklearn.", "numpy.", "scipy.")  # whose types may be in the file of an estimator
OWN = "return a model with its own `predict`, `save`, and `loader` (docs/models.md)"
_TOLERANCE = 1e-3  # of a sum of probabilities in float32
_WITHOUT_PICKLE = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"  # else torch.export.load falls back to pickle
_TENSOR_CONFIGS = ("_weights_config.json", "_constants_config.json")  # in a file of torch.export
_TENSORS = ("weight_", "tensor_")  # prefixes of the names of tensors there
_BATCH = 1000  # rows that a PyTorch module or a Keras model gets at once
_CODE = ("Lambda", "function", "__lambda__")  # classes in a file of Keras that are code


@dataclass(frozen=True)
class ScikitLearnModel:
    """A fitted scikit-learn estimator; `classes` is the number of classes, 0 for regression.

    With `own_labels` the classes are the estimator's own, in its order.
    """

    estimator: Any
    classes: int
    own_labels: bool = False
    loader: ClassVar[str] = "hpo.framework_models:load_scikit_learn"
    file_suffix: ClassVar[str] = ".skops"
    packages: ClassVar[tuple[str, ...]] = ("sklearn", "skops")

    @property
    def loader_details(self) -> dict[str, Any]:
        """What the loader is told besides the file."""
        return {"classes": self.classes, "own_labels": self.own_labels}

    def predict(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return class probabilities (rows, classes), or standardized values (rows, 1).

        A classifier without probabilities gives 1 to the class that it predicts.
        """
        rows = _flat(inputs)
        with warnings.catch_warnings():  # that rows have no names, where it was fitted to a table
            warnings.filterwarnings("ignore", "X does not have valid feature names")
            if not self.classes:
                return _column(self.estimator.predict(rows))
            if not hasattr(self.estimator, "predict_proba"):
                found = np.asarray(self.estimator.predict(rows))
                if self.own_labels:
                    found = np.searchsorted(self.estimator.classes_, found)
                return np.eye(self.classes, dtype=np.float32)[found.astype(np.intp)]
            labels = (
                tuple(range(self.classes)) if self.own_labels
                else class_indices(self.estimator.classes_, self.classes)
            )
            return _in_order(self.estimator.predict_proba(rows), labels, self.classes)

    def save(self, path: Path) -> None:
        """Write the estimator to a skops file.

        Raises ValueError if the file would hold a third-party type.
        """
        import skops.io

        skops.io.dump(self.estimator, path)
        foreign = [t for t in skops.io.get_untrusted_types(file=path) if not _is_trusted(t)]
        if foreign:
            raise ValueError(
                f"it holds {', '.join(sorted(foreign))}, but only types of scikit-learn, NumPy, "
                f"and SciPy can be saved without pickle; use those, or {OWN}"
            )


def load_scikit_learn(path: Path, classes: int, own_labels: bool = False) -> ScikitLearnModel:
    """Return the model that `save` wrote; raise a skops error for third-party types."""
    import skops.io

    trusted = [t for t in skops.io.get_untrusted_types(file=path) if _is_trusted(t)]
    return ScikitLearnModel(skops.io.load(path, trusted=trusted), classes, own_labels)


@dataclass(frozen=True)
class LightGBMModel:
    """A LightGBM booster; `labels` holds the class of each of its outputs."""

    booster: Any
    labels: tuple[int, ...]
    classes: int
    loader: ClassVar[str] = "hpo.framework_models:load_lightgbm"
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
    """An XGBoost booster; `labels` holds the class of each of its outputs.

    Only the first `iterations` trees predict, or all of them if that is 0. `margins` means that
    its outputs are not yet probabilities.
    """

    booster: Any
    labels: tuple[int, ...]
    classes: int
    iterations: int = 0
    margins: bool = False
    loader: ClassVar[str] = "hpo.framework_models:load_xgboost"
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
    """A PyTorch module for inputs of a `shape` and a NumPy type.

    `logits` means that its outputs are not probabilities.
    """

    module: Any
    shape: tuple[int, ...]
    classes: int
    logits: bool = False
    dtype: str = "float32"
    loader: ClassVar[str] = "hpo.framework_models:load_torch"
    file_suffix: ClassVar[str] = ".pt2"
    packages: ClassVar[tuple[str, ...]] = ("torch",)

    @property
    def loader_details(self) -> dict[str, Any]:
        """What the loader is told besides the file."""
        return {name: getattr(self, name) for name in ("shape", "classes", "logits", "dtype")}

    def predict(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return class probabilities (rows, classes), or standardized values (rows, 1)."""
        import torch

        parts = (inputs[i : i + _BATCH] for i in range(0, len(inputs), _BATCH))
        with torch.no_grad():
            outputs = _column(np.concatenate([self.module(torch.tensor(p)).numpy() for p in parts]))
        return softmax(outputs) if self.logits else outputs

    def save(self, path: Path) -> None:
        """Write the module as exported by torch.export, which does not need the code of its class.

        Raises ValueError if torch.export does not support it.
        """
        import torch

        example = torch.tensor(np.zeros((2, *self.shape), self.dtype))
        rows = torch.export.Dim("rows")
        try:
            program = torch.export.export(self.module, (example,), dynamic_shapes=({0: rows},))
            torch.export.save(program, path)
        except Exception as error:  # of many kinds, with pages of advice
            why = next(iter(str(error).strip().splitlines()), "")
            raise ValueError(
                f"torch.export does not support it ({type(error).__name__}: {why}); make its "
                "forward run the same code for all values and any number of rows, or "
                f"{OWN}"
            ) from error
        _refuse_pickle(path)


def load_torch(path: Path, shape: Sequence[int], **details: Any) -> TorchModel:
    """Return the model that `save` wrote; raise an error if only pickle could read it."""
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
    """Raise ValueError if a torch.export file has parts that pickle would read."""
    with zipfile.ZipFile(path) as archive:
        configs = [n for n in archive.namelist() if n.endswith(_TENSOR_CONFIGS)]
        parts = [part for n in configs for part in json.loads(archive.read(n))["config"].values()]
    if any(p["use_pickle"] or not p["path_name"].startswith(_TENSORS) for p in parts):
        raise ValueError(f"it holds more than tensors, which only pickle could save; {OWN}")


@dataclass(frozen=True)
class KerasModel:
    """A Keras 3 model; `logits` means that its outputs are not probabilities.

    `backend` is the framework it runs on.
    """

    model: Any
    classes: int
    backend: str
    logits: bool = False
    loader: ClassVar[str] = "hpo.framework_models:load_keras"
    file_suffix: ClassVar[str] = ".keras"

    @property
    def packages(self) -> tuple[str, ...]:
        """The packages it needs."""
        return ("keras", self.backend)

    @property
    def loader_details(self) -> dict[str, Any]:
        """What the loader is told besides the file."""
        return {name: getattr(self, name) for name in ("classes", "backend", "logits")}

    def predict(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return class probabilities (rows, classes), or standardized values (rows, 1)."""
        from keras import ops

        parts = (inputs[i : i + _BATCH] for i in range(0, len(inputs), _BATCH))
        outputs = _column(np.concatenate(
            [ops.convert_to_numpy(self.model(part, training=False)) for part in parts]
        ))
        return softmax(outputs) if self.logits else outputs

    def save(self, path: Path) -> None:
        """Write a Keras file of the model, not compiled.

        Raises ValueError if reading it would need code that is not part of Keras.
        """
        _refuse_foreign_layers(self.model.get_config(), type(self.model))
        plain = type(self.model).from_config(self.model.get_config())  # and not compiled
        if not plain.built:
            plain.build(self.model.input_shape)
        plain.set_weights(self.model.get_weights())
        plain.save(path)
        _refuse_foreign_layers(_keras_config(path))


def load_keras(path: Path, backend: str, **details: Any) -> KerasModel:
    """Return the model that `save` wrote; raise ValueError for third-party layers."""
    _refuse_foreign_layers(_keras_config(path))
    if "keras" not in sys.modules:
        os.environ.setdefault("KERAS_BACKEND", backend)
    import keras

    model = keras.saving.load_model(path, compile=False, safe_mode=True)
    return KerasModel(model, backend=backend, **details)


def _keras_config(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("config.json"))


def _refuse_foreign_layers(config: Any, kind: type | None = None) -> None:
    """Raise ValueError if a configuration names anything that is not part of Keras, or code."""
    foreign, parts = set(), [config]
    if kind is not None and not kind.__module__.startswith("keras."):
        foreign.add(kind.__name__)
    while parts:
        part = parts.pop()
        if isinstance(part, dict):
            parts += part.values()
            name, module = part.get("class_name"), part.get("module", "keras")
            theirs = module == "keras" or str(module).startswith("keras.")
            if name in _CODE or (name and not theirs):
                foreign.add(str(part["config"] if name == "function" else name))
        elif isinstance(part, list | tuple):
            parts += part
    if foreign:
        raise ValueError(
            f"it holds {', '.join(sorted(foreign))}, but only Keras's own layers can be loaded "
            "without code; build it from those, with Sequential or the functional API, or "
            f"{OWN}"
        )


# The function that loads a model, by its `loader`.
LOADERS: Mapping[str, Callable[..., Any]] = {
    ScikitLearnModel.loader: load_scikit_learn,
    LightGBMModel.loader: load_lightgbm,
    XGBoostModel.loader: load_xgboost,
    TorchModel.loader: load_torch,
    KerasModel.loader: load_keras,
}


def are_probabilities(outputs: NDArray[Any]) -> bool:
    """Return whether each row holds probabilities."""
    return bool((outputs >= 0).all() and (abs(outputs.sum(axis=1) - 1) < _TOLERANCE).all())


def softmax(outputs: NDArray[Any]) -> NDArray[Any]:
    """Return the softmax of each row: logits as probabilities."""
    powers = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    shares: NDArray[Any] = powers / powers.sum(axis=1, keepdims=True)
    return shares


def class_indices(classes: Any, count: int) -> tuple[int, ...]:
    """Return a classifier's classes as indices of the classes of the data."""
    known = np.asarray(classes)
    if known.ndim != 1 or known.dtype.kind not in "iubf" or not set(known) <= set(range(count)):
        raise ValueError(
            f"its classes must be indices from 0 to {count - 1}, got {known.tolist()}; "
            "train it on data.training.targets"
        )
    return tuple(int(label) for label in known)


def _is_trusted(name: str) -> bool:
    return name.startswith(_TRUSTED)


def _flat(inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    return inputs.reshape(len(inputs), -1)


def _column(values: Any) -> NDArray[np.float32]:
    array = np.asarray(values, np.float32)
    return array.reshape(-1, 1) if array.ndim == 1 else array


def _in_order(outputs: Any, labels: tuple[int, ...], classes: int) -> NDArray[np.float32]:
    """Return probabilities with a column for each class of the data; regression is unchanged.

    `labels` holds the class of each column; a class without one was never seen. A single column
    is the probability of the second of two classes.
    """
    shares = _column(outputs)
    if not classes:
        return shares
    if shares.shape[1] == 1 and len(labels) == 2:
        shares = np.concatenate([1 - shares, shares], axis=1)
    if shares.shape[1] != len(labels) or max(labels) >= classes:
        raise ValueError(f"expected {len(labels)} outputs, one per class, got {shares.shape[1]}")
    ordered = np.zeros((len(shares), classes), np.float32)
    ordered[:, labels] = shares
    return ordered
