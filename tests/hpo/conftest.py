"""What tests of a study file import its objective from."""

import sys
from pathlib import Path

import pytest

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
