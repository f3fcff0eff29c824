"""A file is locked by one process at a time, and where no file can be a line says so."""

import os
import subprocess
import sys
from pathlib import Path

from hpo import locks
from tests.fixtures import Make

WITHOUT = """
import sys
sys.modules["fcntl"] = None  # as on Windows: to import it fails
from hpo.cli.commands import main
sys.argv = ["hpo", *sys.argv[1:]]
main()
"""


def test_a_lock_is_taken_once(tmp_path: Path) -> None:
    first, second = (os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT) for _ in range(2))
    assert locks.take(first)
    assert locks.take(first)
    assert not locks.take(second)
    os.close(first)
    assert locks.take(second)
    os.close(second)


def test_without_locks_a_study_is_refused_in_one_line(make_study: Make) -> None:
    file = make_study(round={"trials": 2})
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT, "run", str(file), "--inline"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == 2, ended.stderr
    assert "run it in WSL" in ended.stderr
    assert "Traceback" not in ended.stderr
