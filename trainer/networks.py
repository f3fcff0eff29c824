"""A network is a sequence of layers, and one array with all their parameters."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import DTypeLike

from trainer.arrays import Array
from trainer.layers.activations import ACTIVATIONS, Activation
from trainer.layers.batch_normalization import BatchNormalization
from trainer.layers.convolution import Convolution
from trainer.layers.dense import Dense
from trainer.layers.dropout import Dropout
from trainer.layers.flatten import Flatten
from trainer.layers.layer import Backward, Forward, Layer, Place, Shape
from trainer.layers.noise import Noise
from trainer.layers.pooling import AveragePooling, MaxPooling

# Rows are predicted in chunks with so many intermediate results: four megabytes.
_CHUNK = 2**20
_NO_RANDOM = np.random.default_rng(0)  # inference draws nothing
_KINDS = ("weight", "offset", "statistic")

LAYERS: Mapping[str, type[Layer]] = {
    "dense": Dense,
    "convolution": Convolution,
    "max_pooling": MaxPooling,
    "average_pooling": AveragePooling,
    "flatten": Flatten,
    "batch_normalization": BatchNormalization,
    "dropout": Dropout,
    "noise": Noise,
    **ACTIVATIONS,
}


class Network:
    """Layers, and their parameters side by side in one array, weights first.

    `values` holds weights, offsets (biases and the like) and statistics, in this order. Views of
    it are `parameters`, what is learned, `weights`, what is regularized, and `statistics`. So an
    optimizer's step is a few operations on `parameters` and `gradient`, however deep the network.
    """

    def __init__(
        self, layers: Sequence[Layer], input_shape: Shape, dtype: DTypeLike = np.float32
    ) -> None:
        """Arrange the parameters, all zero; raise ValueError if two layers do not fit."""
        self.layers = tuple(layers)
        _check_overwriting(self.layers)
        self.shapes = [tuple(input_shape)]  # of one row: the input, then after each layer
        for layer in self.layers:
            self.shapes.append(layer.output_shape(self.shapes[-1]))
        self._asked = [
            layer.parameters(shape) for layer, shape in zip(self.layers, self.shapes, strict=False)
        ]
        sizes = {
            kind: sum(math.prod(p.shape) for ps in self._asked for p in ps if p.kind == kind)
            for kind in _KINDS
        }
        learned = sizes["weight"] + sizes["offset"]
        self.values = np.zeros(sum(sizes.values()), dtype)
        self.parameters = self.values[:learned]
        self.gradient = np.zeros(learned, dtype)
        self.statistics = self.values[learned:]
        self.weights = self.values[: sizes["weight"]]
        self._views = self._arrange(self.values)
        self._gradients = self._arrange(self.gradient)

    def initialize(self, random: np.random.Generator) -> None:
        """Sample all parameters again."""
        for asked, views in zip(self._asked, self._views, strict=True):
            for parameter, view in zip(asked, views, strict=True):
                view[...] = parameter.mean
                if parameter.std:
                    view += parameter.std * random.standard_normal(view.shape, view.dtype.type)

    def rows(self, inputs: Array) -> Array:
        """Return a view of inputs (rows, …) in the shape that the first layer expects."""
        return inputs.reshape(len(inputs), *self.shapes[0])

    def bind(
        self, rows: int, random: np.random.Generator, training: bool = True
    ) -> tuple[Forward, Backward]:
        """Return both passes of the network, bound to buffers for `rows` rows, as of a layer.

        The backward pass takes the gradient of the loss by the outputs, and fills `gradient`.
        The outputs are overwritten by the next forward pass.
        """
        passes = self._bind_layers(rows, random, training)
        forwards, backwards = [f for f, _ in passes], [b for _, b in reversed(passes)]

        def forward(x: Array) -> Array:
            for layer_forward in forwards:
                x = layer_forward(x)
            return x

        def backward(gradient: Array) -> Array:
            for layer_backward in backwards:
                gradient = layer_backward(gradient)
            return gradient

        return forward, backward

    def predictor(self, rows: int) -> Callable[[Array], Array]:
        """Return a function from inputs of exactly `rows` rows to outputs, for inference.

        What it returns is overwritten by the next call.
        """
        numbers = sum(math.prod(shape) for shape in self.shapes)
        chunks = max(1, -(-rows * numbers // _CHUNK))
        size = max(1, -(-rows // chunks))
        forward, _ = self.bind(size, _NO_RANDOM, training=False)
        outputs = np.empty((rows, *self.shapes[-1]), self.values.dtype)

        def predict(inputs: Array) -> Array:
            for start in range(0, rows, size):
                start = min(start, rows - size)  # the last chunk overlaps the one before
                stop = start + size
                outputs[start:stop] = forward(inputs[start:stop])
            return outputs

        return predict

    def activations(self, inputs: Array) -> list[tuple[Activation, Array]]:
        """Return the activations of the network and their outputs for inputs, in inference."""
        passes = self._bind_layers(len(inputs), _NO_RANDOM, training=False)
        found = []
        with np.errstate(all="ignore"):
            for layer, (forward, _) in zip(self.layers, passes, strict=True):
                inputs = forward(inputs)
                if isinstance(layer, Activation):
                    found.append((layer, inputs.copy()))
        return found

    def weights_gradients(self) -> list[Array]:
        """Return for each layer that has weights a view of their gradient."""
        return [
            gradient
            for asked, gradients in zip(self._asked, self._gradients, strict=True)
            for parameter, gradient in zip(asked, gradients, strict=True)
            if parameter.kind == "weight"
        ]

    def _bind_layers(
        self, rows: int, random: np.random.Generator, training: bool
    ) -> list[tuple[Forward, Backward]]:
        return [
            layer.bind(
                Place(
                    shape=self.shapes[number],
                    rows=rows,
                    dtype=self.values.dtype,
                    values=self._views[number],
                    gradients=self._gradients[number],
                    random=random,
                    training=training,
                    first=number == 0,
                )
            )
            for number, layer in enumerate(self.layers)
        ]

    def _arrange(self, flat: Array) -> list[tuple[Array, ...]]:
        """Return views of `flat` for each parameter of each layer, empty beyond its end."""
        places: dict[tuple[int, int], Array] = {}
        start = 0
        for kind in _KINDS:
            for number, asked in enumerate(self._asked):
                for index, parameter in enumerate(asked):
                    if parameter.kind == kind:
                        stop = start + math.prod(parameter.shape)
                        part = flat[start:stop]
                        places[number, index] = part.reshape(parameter.shape if part.size else (0,))
                        start = stop
        return [
            tuple(places[number, index] for index in range(len(asked)))
            for number, asked in enumerate(self._asked)
        ]


def _check_overwriting(layers: Sequence[Layer]) -> None:
    """Raise ValueError where an activation, or the loss, would overwrite what is still needed."""
    free = False  # what comes out of the layers so far is theirs, and is needed by none of them
    for layer in layers:
        if isinstance(layer, Activation):
            if not free:
                raise ValueError(f"{layer} must follow a layer that computes, such as a dense one")
            free = False
        elif not layer.passes_on:
            free = True
    if not free:
        raise ValueError("the last layer must be one that computes, such as a dense one")
