"""A model is a trained network that predicts, and that can be kept in one file."""

import dataclasses
import json
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from trainer.arrays import Array
from trainer.losses import LOSSES
from trainer.networks import LAYERS, Network


@dataclasses.dataclass(frozen=True)
class Model:
    """A network, and the loss (a name of LOSSES) that says what its outputs mean."""

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
        """Write the model to one .npz file: no pickle, the architecture as JSON."""
        layers = [
            {"layer": name, **dataclasses.asdict(layer)}
            for layer in self.network.layers
            for name, kind in LAYERS.items()
            if type(layer) is kind
        ]
        architecture = {
            "input_shape": self.network.shapes[0],
            "layers": layers,
            "loss": self.loss,
        }
        with Path(path).open("wb") as file:
            np.savez(file, architecture=json.dumps(architecture), values=self.network.values)


def load(path: Path) -> Model:
    """Return the model that `save` wrote; it predicts the same, bit for bit.

    Raises ValueError where the file holds no model.
    """
    with np.load(path, allow_pickle=False) as file:
        if set(file.files) != {"architecture", "values"}:
            raise ValueError(f"{path} holds no model")
        architecture, values = json.loads(str(file["architecture"])), file["values"]
    layers = [LAYERS[layer.pop("layer")](**layer) for layer in architecture["layers"]]
    network = Network(layers, tuple(architecture["input_shape"]), values.dtype)
    network.values[...] = values
    return Model(network, architecture["loss"])
