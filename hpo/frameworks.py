"""A fitted model of a framework becomes what the rest knows: it predicts, and it can be kept.

MLflow keeps a copy of this file with each such model, so that it can be served where this package
is not: it imports nothing but numpy, and of frameworks only the one that a model comes from. No
pickle is written or read.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

_TRUSTED = ("sklearn.", "numpy.", "scipy.")  # whose types may be in the file of an estimator
_OWN = "return a model with `predict`, `save` and `loader` of its own (docs/objectives.md)"
_TOLERANCE = 1e-3  # of a sum of probabilities in float32


@dataclass(frozen=True)
class ScikitLearnModel:
    """A fitted estimator of scikit-learn; `classes` counts those of the data, 0 for regression."""

    estimator: Any
    classes: int
    loader: ClassVar[str] = "hpo.frameworks:load_scikit_learn"
    file_suffix: ClassVar[str] = ".skops"

    @property
    def loader_details(self) -> dict[str, Any]:
        """What the loader is told besides the file."""
        return {"classes": self.classes}

    @property
    def packages(self) -> set[str]:
        """The packages that the estimator and those inside it come from, and what reads it."""
        inside = (self.estimator, *self.estimator.get_params(deep=True).values())
        return {"sklearn", "skops", *(_top(type(part)) for part in inside)}

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


# What reads the file of a model, by its `loader`.
LOADERS: Mapping[str, Callable[..., Any]] = {
    ScikitLearnModel.loader: load_scikit_learn,
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
    try:
        outputs = fitting.predict(inputs)
    except Exception as error:
        raise ValueError(
            f"{type(model).__name__} does not predict rows of the shape {inputs.shape[1:]}: "
            f"{type(error).__name__}: {error}; train it on data.training.inputs as they are"
        ) from error
    if wrong := fault(outputs, len(inputs), classes):
        raise ValueError(f"{type(model).__name__}: {wrong}")
    return fitting


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
    tops = {_top(kind) for kind in type(model).__mro__}
    if "sklearn" in tops and hasattr(model, "predict"):
        return _of_scikit_learn
    return None


def _of_scikit_learn(model: Any, classes: int) -> ScikitLearnModel:
    from sklearn.base import is_classifier, is_regressor

    if is_regressor(model) if classes else is_classifier(model):
        task, kind = ("classification", "classifier") if classes else ("regression", "regressor")
        raise ValueError(
            f"{type(model).__name__} is no {kind}, and the task is {task}; return a {kind}, or "
            "set task in [data]"
        )
    if classes and hasattr(model, "classes_"):
        class_indices(model.classes_, classes)
    return ScikitLearnModel(model, classes)


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
    """Return probabilities with a column for each class of the data.

    `labels` has the class of each column; a class without one was never seen. A single column is
    the probability of the second of two classes.
    """
    shares = _column(outputs)
    if shares.shape[1] == 1 and len(labels) == 2:
        shares = np.concatenate([1 - shares, shares], axis=1)
    if shares.shape[1] != len(labels):
        raise ValueError(f"{shares.shape[1]} outputs for {len(labels)} classes")
    ordered = np.zeros((len(shares), classes), np.float32)
    ordered[:, labels] = shares
    return ordered
