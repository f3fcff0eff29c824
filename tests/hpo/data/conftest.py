"""Write what a test reads, and return the settings that read it."""

from pathlib import Path

import pandas as pd
import pytest

from hpo.data.settings import DataSettings
from tests.hpo.data.writing import Save, Write


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes a file and returns settings that read it, scaled."""
    def write(name: str, content: bytes) -> DataSettings:
        (tmp_path / name).write_bytes(content)
        target = "y" if name.endswith((".csv", ".parquet")) else None
        return DataSettings(source=str(tmp_path / name), target=target)

    return write


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Return a function that writes a file or a table, and settings that read it, unscaled."""
    def save(content: bytes | str | pd.DataFrame, name: str = "t.csv") -> DataSettings:
        path = tmp_path / name
        if isinstance(content, pd.DataFrame):
            content.to_parquet(path)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        target = None if name.endswith(".npz") else "y"
        return DataSettings(source=str(path), target=target, scale="none")

    return save
