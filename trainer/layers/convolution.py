"""A convolution looks at every part of an image through the same small filters."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy import add, matmul

from trainer.arrays import Array
from trainer.initializers import INITIALIZERS
from trainer.layers.layer import Backward, Forward, Layer, Parameter, Place, Shape
from trainer.layers.windows import pixels, stops
from trainer.layers.winograd import outputs_at_once, transforms

# So many numbers of what the filters see are laid out at a time: two megabytes.
_COLUMNS = 2**19
# Winograd's method pays from so many channels and filters on, and rows of its matrices.
_CHANNELS = 8
_TALL = 16


@dataclass(frozen=True)
class Convolution(Layer):
    """Square filters over images (height, width, channels) with a border of zeros (LeCun, 1989).

    The windows are laid out as the rows of one matrix, so that the convolution is one matrix
    product (im2col: Chellapilla et al., 2006). Channels come last, so the product is already the
    output. A large matrix is built for a few images at a time, and again for the backward pass,
    because building one that fits into a cache is faster than reading a larger one.

    Between many channels the products outweigh all else, and Winograd's method needs about half
    of them. It is used down the image only, where its sums are of whole lines; across the image,
    the pixels that a filter sees are side by side in memory anyway, with all their channels.
    """

    filters: int
    size: int = 3
    stride: int = 1
    padding: int = 0
    initializer: str = "he"
    initial_std: float = 0.01

    def output_shape(self, shape: Shape) -> Shape:
        """Return (height, width, filters) of the output."""
        return (*stops(self._padded(shape), self.size, self.stride), self.filters)

    def parameters(self, shape: Shape) -> tuple[Parameter, ...]:
        """Return weights (size * size * channels, filters) and biases (filters,)."""
        area = self.size**2
        fan_in, fan_out = area * shape[-1], area * self.filters
        std = INITIALIZERS[self.initializer](fan_in, fan_out, self.initial_std)
        return (
            Parameter("weight", (fan_in, self.filters), std=std),
            Parameter("offset", (self.filters,)),
        )

    def bind(self, place: Place) -> tuple[Forward, Backward]:
        """Return the passes."""
        down = self.output_shape(place.shape)[0]
        lines = outputs_at_once(down, self.size)
        many = min(place.shape[-1], self.filters) >= _CHANNELS
        tall = place.rows * down >= _TALL * lines
        if self.stride == 1 and lines > 1 and many and tall:
            return self._bind_lines(place, lines)
        return self._bind_columns(place)

    def _bind_columns(self, place: Place) -> tuple[Forward, Backward]:
        """Return the passes that lay windows out as the rows of a matrix."""
        weights, biases = place.values
        weights_gradient, biases_gradient = place.gradients
        padded_shape, inside = self._padded(place.shape), self._inside(place.shape)
        windows = pixels(padded_shape, self.size, self.stride)
        height, width, filters = self.output_shape(place.shape)
        stops, channels = height * width, place.shape[-1]
        padded = np.zeros((place.rows, *padded_shape), place.dtype)
        outputs = place.empty(height, width, filters)
        # The biases are weights of a column of ones: to add them would be a pass over all outputs.
        all_weights, share = np.empty((2, len(weights) + 1, filters), place.dtype)

        at_once = min(place.rows, max(1, _COLUMNS // (stops * len(weights))))
        blocks = [slice(i, i + at_once) for i in range(0, place.rows, at_once)]
        # Few channels are laid out one after the other: these are longer loops.
        order: Literal["C", "F"] = "F" if channels < _CHANNELS else "C"
        columns = np.ones((at_once * stops, len(all_weights)), place.dtype, order)
        looks = columns[:, :-1].reshape(at_once, height, width, len(windows), channels)
        images = padded

        def look(block: slice) -> Array:
            """Return what the filters see of a block of images, and ones: (stops, numbers + 1)."""
            part = images[block]
            for number, window in enumerate(windows):
                looks[: len(part), :, :, number] = part[window]
            return columns[: len(part) * stops]

        def forward(x: Array) -> Array:
            nonlocal images
            images = x
            if self.padding:
                padded[inside] = x
                images = padded
            all_weights[:-1], all_weights[-1] = weights, biases
            for block in blocks:
                look(block).dot(all_weights, outputs[block].reshape(-1, filters))
            return outputs

        def learn(gradient: Array) -> Array:
            weights_gradient.fill(0)
            biases_gradient.fill(0)
            for block in blocks:
                seen = look(block) if len(blocks) > 1 else columns  # as the forward pass left it
                seen.T.dot(gradient[block].reshape(-1, filters), share)
                add(weights_gradient, share[:-1], weights_gradient)
                add(biases_gradient, share[-1], biases_gradient)
            return gradient

        inputs_gradient = np.empty_like(padded)
        pixel = np.empty((at_once, height, width, channels), place.dtype)
        weights_by_pixel = weights.reshape(len(windows), channels, filters).transpose(0, 2, 1)

        def backward(gradient: Array) -> Array:
            learn(gradient)
            inputs_gradient.fill(0)
            for block in blocks:
                flat = gradient[block].reshape(-1, filters)
                through = pixel[: len(gradient[block])]
                for window, its_weights in zip(windows, weights_by_pixel, strict=True):
                    flat.dot(its_weights, through.reshape(-1, channels))
                    part = inputs_gradient[block][window]
                    add(part, through, part)
            return inputs_gradient[inside]

        return forward, learn if place.first else backward

    def _bind_lines(self, place: Place, lines: int) -> tuple[Forward, Backward]:
        """Return the passes by Winograd's method, which make so many lines of output at a time."""
        weights, biases = place.values
        weights_gradient, biases_gradient = place.gradients
        padded_shape, inside = self._padded(place.shape), self._inside(place.shape)
        down, across, filters = self.output_shape(place.shape)
        rows, size, (height, width, channels) = place.rows, self.size, padded_shape
        left, middle, right = transforms(lines, size, place.dtype)
        points, starts = len(right), range(0, down, lines)
        # The lines that each tile of the image sees and makes, fewer at the bottom.
        sees = [slice(start, min(start + points, height)) for start in starts]
        makes = [slice(start, min(start + lines, down)) for start in starts]

        padded = np.zeros((rows if self.padding else 0, *padded_shape), place.dtype)
        outputs = place.empty(down, across, filters)
        repeated = np.empty((across, filters), place.dtype)
        ones = np.ones(rows * down * across, place.dtype)
        # Sums of these lines, one for each point; in the backward pass, their gradients.
        seen = place.empty(len(starts), points, width * channels)
        made = place.empty(len(starts), points, across * filters)
        # Sums of weights, the same with the order that the backward pass needs, and gradients.
        sums = np.empty((points, size, channels, filters), place.dtype)
        turned = np.empty((points, channels, size, filters), place.dtype)
        sums_gradient, share = np.empty_like(sums), np.empty_like(sums[0]).reshape(-1, filters)

        # What a filter sees at a place across the image is a part of `seen`, not copied.
        products, back_products = [], []
        for point in range(points):
            x = seen[:, :, point].reshape(-1, width * channels)
            y = made[:, :, point].reshape(-1, across * filters)
            its_sums = sums[point].reshape(-1, filters)
            its_gradient = sums_gradient[point].reshape(-1, filters)
            its_turned = turned[point].reshape(channels, -1)
            for at in range(across):
                window = x[:, at * channels : (at + size) * channels]
                out = y[:, at * filters : (at + 1) * filters]
                products.append((window, its_sums, out, its_gradient, at == 0))
            for at in range(width):
                first, stop = max(0, at - size + 1), min(at + 1, across)
                start = first - (at - size + 1)
                back_products.append((
                    y[:, first * filters : stop * filters],
                    its_turned[:, start * filters : (start + stop - first) * filters].T,
                    x[:, at * channels : (at + 1) * channels],
                ))

        def transform(matrix: Array, images: Array, parts: list[slice], results: Array) -> None:
            """Multiply the lines of each tile by the matrix."""
            all_lines = images.reshape(rows, images.shape[1], -1)
            for tile, part in enumerate(parts):
                its_lines = all_lines[:, part]
                matmul(matrix[:, : its_lines.shape[1]], its_lines, results[:, tile])

        def forward(x: Array) -> Array:
            if self.padding:
                padded[inside] = x
                x = padded
            transform(right, x, sees, seen)
            middle.dot(weights.reshape(size, -1), sums.reshape(points, -1))
            for window, its_sums, out, _, _ in products:
                matmul(window, its_sums, out)
            # At point 1, a number counts for every line.
            repeated[...] = biases
            add(made[:, :, 1], repeated.reshape(-1), made[:, :, 1])
            output_lines = outputs.reshape(rows, down, -1)
            for tile, part in enumerate(makes):
                out = output_lines[:, part]
                matmul(left[: out.shape[1]], made[:, tile], out)
            return outputs

        def learn(gradient: Array) -> Array:
            ones.dot(gradient.reshape(-1, filters), biases_gradient)
            transform(left.T, gradient, makes, made)
            for window, _, its_made, its_gradient, first in products:
                if first:
                    matmul(window.T, its_made, its_gradient)
                else:
                    matmul(window.T, its_made, share)
                    add(its_gradient, share, its_gradient)
            middle.T.dot(sums_gradient.reshape(points, -1), weights_gradient.reshape(size, -1))
            return gradient

        if place.first:
            return forward, learn
        inputs_gradient = place.empty(*padded_shape)
        through = place.empty(points, width * channels)

        def backward(gradient: Array) -> Array:
            learn(gradient)
            turned[...] = sums[:, ::-1].transpose(0, 2, 1, 3)
            for its_made, its_turned, out in back_products:
                matmul(its_made, its_turned, out)
            inputs_gradient.fill(0)
            gradient_lines = inputs_gradient.reshape(rows, height, -1)
            for tile, part in enumerate(sees):
                its_lines = gradient_lines[:, part]
                out = through[:, : its_lines.shape[1]]
                matmul(right[:, : its_lines.shape[1]].T, seen[:, tile], out)
                add(its_lines, out, its_lines)
            return inputs_gradient[inside]

        return forward, backward

    def _padded(self, shape: Shape) -> Shape:
        return (*(length + 2 * self.padding for length in shape[:2]), *shape[2:])

    def _inside(self, shape: Shape) -> tuple[slice, slice, slice]:
        """Return where the image is within its border."""
        return (
            slice(None),
            slice(self.padding, self.padding + shape[0]),
            slice(self.padding, self.padding + shape[1]),
        )
