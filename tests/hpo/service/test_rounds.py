"""What a round shows of itself in the record while it runs."""

from pathlib import Path

import pytest

from hpo.record.tracking import Tracking
from tests.fixtures import client_of, hpo, write_study

WATCHER = '''
"""Trial 4 ends when it sees in the record what the trials before it reached."""
import sqlite3
import time


def objective(x: float, *, folder) -> float:
    if x < 4:
        return x
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with sqlite3.connect("file:mlflow.db?mode=ro", uri=True, timeout=10) as database:
            seen = database.execute(
                "select m.step, m.value from metrics m join runs r using (run_uuid)"
                " where m.key = 'best_value' and r.status = 'RUNNING' order by m.step"
            ).fetchall()
        if seen == [(1, 1.0), (2, 2.0), (3, 3.0)]:
            return x
        time.sleep(0.1)
    raise RuntimeError(f"saw {seen}")
'''


def test_the_best_so_far_is_on_record_while_the_round_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    (folder / "watcher.py").write_text(WATCHER, encoding="utf-8")
    file = write_study(
        folder, "watched", objective="watcher:objective", metric="value",
        search_space={"x": {"low": 0.0, "high": 9.0}}, round={"trials": 5, "parallel": 1},
        start=[{"x": x} for x in (1.0, 2.0, 3.0, 4.0, 2.0)],
    )
    hpo("run", file, "--inline")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    recorded = Tracking(uri).study("watched").read()
    assert recorded is not None
    assert [(r.state.value, r.value) for r in recorded.results] == [
        ("complete", value) for value in (1.0, 2.0, 3.0, 4.0, 2.0)
    ]
    history = client_of(uri).get_metric_history(recorded.rounds[0].run_id, "best_value")
    assert [(m.step, m.value) for m in history] == [(1, 1), (2, 2), (3, 3), (4, 4), (5, 4)]
