"""What tests of data write, what they read of it, and what is refused."""

import io
import json
import re
import struct
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hpo.data.loading import Split, load
from hpo.data.predictor import Preprocessing
from hpo.data.settings import DataSettings
from hpo.errors import InputError
from tests.processes import ROOT

SHARED = ROOT.parent / "shared" / "data"
Write = Callable[[str, bytes], DataSettings]
Save = Callable[..., DataSettings]


def split(settings: DataSettings, seed: int = 0) -> Split:
    return load(settings, seed=seed, folder=Path())


def message(settings: DataSettings, key: str) -> str:
    """Return the error of loading, having checked its form."""
    with pytest.raises(InputError) as caught:
        split(settings)
    text = str(caught.value)
    assert text.startswith(f"[data] {key}: "), text
    assert len(text.splitlines()) == 1
    assert text.isprintable()
    assert len(text) < 1500
    return text


def parts(result: Split) -> list[Any]:
    assert result.data.validation is not None
    return [result.data.training, result.data.validation, result.test]


def sizes(result: Split) -> list[int]:
    return [len(part.targets) for part in parts(result)]


def csv(separator: str = ",", /, **columns: Any) -> bytes:
    return pd.DataFrame(columns).to_csv(index=False, sep=separator).encode()


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def parquet(table: pd.DataFrame, **options: Any) -> bytes:
    file = io.BytesIO()
    table.to_parquet(file, **options)
    return file.getvalue()


def idx(array: np.ndarray[Any, Any]) -> bytes:
    start = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return start + array.astype(np.uint8).tobytes()


def write_idx(folder: Path, **changed: bytes | None) -> DataSettings:
    """Write 60 training and 20 test images of 4 x 3; None leaves a file out."""
    rng = np.random.default_rng(0)
    files: dict[str, bytes | None] = {
        "train-images-idx3-ubyte": idx(rng.integers(0, 200, (60, 4, 3))),
        "train-labels-idx1-ubyte": idx(np.arange(60) % 3),
        "t10k-images-idx3-ubyte": idx(rng.integers(0, 256, (20, 4, 3))),
        "t10k-labels-idx1-ubyte": idx(np.arange(20) % 3),
    }
    files |= {name.replace("_", "-"): content for name, content in changed.items()}
    for name, content in files.items():
        if content is not None:
            (folder / name).write_bytes(content)
    return DataSettings(source=str(folder))


NUMBERS = {"id": range(100), "x": np.linspace(5, 9, 100), "y": [0, 1, 2, 3, 4] * 20}
TWO = {"inputs": np.zeros((4, 2)), "targets": np.array([0, 1, 0, 1])}
IMAGES = idx(np.zeros((60, 4, 3)))
ROWS = 100
KEYS = "missing|decimal|thousands|units|impute|categories"


def refusal(settings: DataSettings) -> str:
    with pytest.raises(InputError) as caught:
        split(settings)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    assert text.startswith("[data] ")
    return text


def everything(result: Split) -> np.ndarray[Any, Any]:
    """Return the inputs of all parts, sorted."""
    assert result.data.validation is not None
    parts = (result.data.training, result.data.validation, result.test)
    inputs = np.concatenate([part.inputs for part in parts])
    return inputs[np.lexsort(inputs.T[::-1])]


def settings_in(text: str) -> dict[str, Any]:
    """Return the settings that an error tells to say, each the first of its key."""
    found: dict[str, Any] = {}
    for match in re.finditer(rf'\b({KEYS}) = (\[[^\]]*\]|"[^"]*")', text):
        value = tomllib.loads(match[0])[match[1]]
        found.setdefault(match[1], tuple(value) if isinstance(value, list) else value)
    return found


AMOUNTS = [1234.5 + 3711.25 * k for k in range(ROWS)]


def json_round(preprocessing: Preprocessing) -> Preprocessing:
    return Preprocessing.from_table(json.loads(json.dumps(preprocessing.to_table())))
