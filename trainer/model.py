"""A model is a trained network that predicts, and that is saved to one file."""

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from trainer.arrays import Array
from trainer.layers.layer import Layer
from trainer.losses import LOSSES
from trainer.networks import LAYERS, Network

_ARRAYS = ("architecture", "values")


@dataclasses.dataclass(frozen=True)
class Model:
    """A network, and the loss (a name of LOSSES) that gives its outputs their meaning."""

    network: Network
    loss: str
    loader: ClassVar[str] = "trainer.model:load"

    def predict(self, inputs: Array) -> NDArray[np.float32]:
        """Return class probabilities (rows, classes), or standardized values (rows, 1).

        Inputs are (rows, …), scaled as in training.
        """
        rows = self.network.rows(inputs)
        with np.errstate(all="ignore"):
            outputs = self.network.predictor(len(rows))(rows)
            return LOSSES[self.loss].predictions(outputs).astype(np.float32, copy=False)

    def save(self, path: Path) -> None:
        """Write the model to one .npz file: no pickle, the architecture as JSON.

        Raises ValueError for a layer that is not one of LAYERS, because `load` would not know it.
        """
        architecture = {
            "input_shape": self.network.shapes[0],
            "layers": [
                {"layer": _name(layer, path), **dataclasses.asdict(layer)}
                for layer in self.network.layers
            ],
            "loss": self.loss,
        }
        with Path(path).open("wb") as file:
            np.savez(file, architecture=json.dumps(architecture), values=self.network.values)


def load(path: Path) -> Model:
    """Return the model that `save` wrote; it predicts the same, bit for bit.

    Raises ValueError, one line with the file and what is wrong, if it is not a model.
    """
    arrays = _arrays(path)
    if missing := [name for name in _ARRAYS if name not in arrays]:
        raise ValueError(f"{path} is not a model: it has no array {_listed(missing)}")
    if unknown := [name for name in arrays if name not in _ARRAYS]:
        raise ValueError(f"{path} is not a model: unknown array {_listed(unknown)}")
    values = arrays["values"]
    if values.dtype not in (np.float32, np.float64):
        raise ValueError(f"{path} is not a model: its values are {values.dtype}, not float32")
    try:
        architecture = json.loads(str(arrays["architecture"]))
        described, shape = architecture["layers"], tuple(architecture["input_shape"])
        loss = architecture["loss"]
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(
            f"{path} is not a model: its architecture cannot be read ({_reason(error)})"
        ) from error
    if loss not in LOSSES:
        raise ValueError(f"{path}: unknown loss {loss!r}; valid losses: {_listed(LOSSES)}")
    layers = [_layer(layer, f"{path}: layer {i}") for i, layer in enumerate(described, start=1)]
    try:
        network = Network(layers, shape, values.dtype)
    except (ValueError, LookupError, TypeError, ArithmeticError, MemoryError) as error:
        raise ValueError(f"{path}: its layers do not form a network ({_reason(error)})") from error
    if values.shape != network.values.shape:
        raise ValueError(
            f"{path}: its layers have {network.values.size} values, but the file has an array of "
            f"shape {values.shape}"
        )
    network.values[...] = values
    return Model(network, loss)


def _name(layer: Layer, path: Path) -> str:
    """Return the name that `load` knows a layer by."""
    for name, kind in LAYERS.items():
        if type(layer) is kind:
            return name
    raise ValueError(
        f"{path}: the layer {type(layer).__name__} cannot be saved; layers that can: "
        f"{_listed(LAYERS)}"
    )


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        # Opened here: NumPy leaves open what it opened and found to be no archive.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except OSError:
        raise  # it says which file, and why it cannot be read
    except Exception as error:  # of NumPy and zipfile, which raise many for a file that is none
        raise ValueError(f"{path} is not a model ({_reason(error)})") from error


def _layer(described: Any, where: str) -> Layer:
    """Return a layer from what `save` wrote of it."""
    if not isinstance(described, dict) or "layer" not in described:
        raise ValueError(f"{where} has no name")
    fields = dict(described)
    name = fields.pop("layer")
    if name not in LAYERS:
        raise ValueError(f"{where}: unknown layer {name!r}; valid layers: {_listed(LAYERS)}")
    try:
        return LAYERS[name](**fields)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}, {name}: {_reason(error)}") from error


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
