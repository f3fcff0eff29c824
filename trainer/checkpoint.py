"""A checkpoint has everything a training needs to resume as if it had never stopped."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trainer.arrays import Array

FILE = "training.npz"


class Checkpoint:
    """The file of a training in a folder: its arrays, its generators, and a few numbers.

    The arrays are changed in place, and so are the generators.
    """

    def __init__(
        self, folder: Path, arrays: Sequence[Array], generators: Sequence[np.random.Generator]
    ) -> None:
        self._path, self._arrays, self._generators = folder / FILE, arrays, generators

    def save(self, *numbers: float) -> None:
        """Write the checkpoint, all of it or nothing."""
        states = [generator.bit_generator.state for generator in self._generators]
        written = self._path.with_suffix(".part")
        with written.open("wb") as file:
            np.savez(file, np.array(numbers), np.array(json.dumps(states)), *self._arrays)
        os.replace(written, self._path)

    def load(self) -> list[float] | None:
        """Restore the saved state, and return its numbers, or None if there is no file.

        Raises ValueError if the file belongs to another training.
        """
        if not self._path.exists():
            return None
        with self._path.open("rb") as file, np.load(file, allow_pickle=False) as saved:
            numbers, states, *arrays = (saved[name] for name in saved.files)
        for array, content in zip(self._arrays, arrays, strict=True):
            if array.shape != content.shape or array.dtype != content.dtype:
                raise ValueError(f"{self._path} belongs to another training; remove it")
            array[...] = content
        for generator, state in zip(self._generators, json.loads(str(states)), strict=True):
            generator.bit_generator.state = state
        return list(numbers.tolist())
