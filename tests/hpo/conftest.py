"""Objectives that study files name, and a study of a small table to evaluate."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.fixtures import Make, hpo
from tests.hpo.evaluating import SHOP
from tests.hpo.study_files import OBJECTIVE


@pytest.fixture(scope="session")
def objective_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with objectives that can be imported, and with some that cannot."""
    folder = tmp_path_factory.mktemp("objective")
    (folder / "objectives_of_test_study.py").write_text(OBJECTIVE, encoding="utf-8")
    (folder / "raises_on_import.py").write_text("raise OSError('disk\\nfull')\n")
    (folder / "exits_on_import.py").write_text("import sys\nsys.exit(0)\n")
    (folder / "is_no_python.py").write_text("def train(:\n")
    (folder / "needs_another.py").write_text("import not_there_at_all\n")
    return folder


@pytest.fixture
def on_search_path(objective_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let that folder be searched for modules."""
    monkeypatch.setattr(sys, "path", [str(objective_folder), *sys.path])


@pytest.fixture
def shop(folder: Path, make_study: Make) -> Iterator[Callable[..., Path]]:
    """Return a function that writes a study of a small table, and runs its six trials."""
    (folder / "shop.py").write_text(SHOP)
    random = np.random.default_rng(0)
    bought = random.random(120) < 0.5
    pd.DataFrame(
        {
            "age": (40 + 8 * bought + random.normal(0, 8, 120)).round(1),
            "visits": random.integers(1, 9, 120) + 2 * bought,
            "city": random.choice(["Bonn", "Kiel"], 120),
            "bought": np.where(bought, "yes", "no"),
        }
    ).to_csv(folder / "shop.csv", index=False)

    def run(**changes: Any) -> Path:
        tables: dict[str, Any] = {
            "objective": "shop:centers", "value": "best",
            "data": {"source": "shop.csv", "target": "bought"},
            "search_space": {"learning_rate": {"low": 1e-3, "high": 1e-1, "log": True}},
            "round": {"trials": 6},
        }
        file = make_study("shop", **(tables | changes))
        hpo("run", file, "--inline")
        return file

    yield run
    for name in [n for n in sys.modules if n.partition(".")[0] == "shop"]:
        del sys.modules[name]
