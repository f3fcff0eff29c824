"""A window slides over images (rows, height, width, channels) and stops every few pixels."""

from typing import TypeAlias

from trainer.layers.layer import Shape

Index: TypeAlias = tuple[slice, slice, slice]


def stops(shape: Shape, size: int, stride: int) -> tuple[int, int]:
    """Return how often the window stops, down and across an image (height, width, channels).

    Raises ValueError if the image is smaller than the window, or not an image.
    """
    if len(shape) != 3 or min(shape[:2]) < size:
        raise ValueError(f"a {size} x {size} window does not fit into an input of shape {shape}")
    return (shape[0] - size) // stride + 1, (shape[1] - size) // stride + 1


def pixels(shape: Shape, size: int, stride: int) -> list[Index]:
    """Return for each pixel of the window, row by row, where it is at all stops of the window."""
    down, across = stops(shape, size, stride)
    return [
        (
            slice(None),
            slice(i, i + stride * (down - 1) + 1, stride),
            slice(j, j + stride * (across - 1) + 1, stride),
        )
        for i in range(size)
        for j in range(size)
    ]
