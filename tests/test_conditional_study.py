"""A study whose hyperparameters depend on each other, in rounds, under every sampler."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hpo.search.samplers import SAMPLERS
from tests.fixtures import Make, hpo, table, trainings
from tests.processes import start
from tests.test_reproducible import OutOfOrder

SPACE: dict[str, Any] = {
    "learning_rate": {"low": 1e-5, "high": 1.0, "log": True},
    "optimizer": {"choices": ["sgd", "nesterov", "adam"]},
    "momentum": {"low": 0.0, "high": 0.99, "when": {"optimizer": ["sgd", "nesterov"]}},
    "layers": {"low": 1, "high": 4},
    "width": {"low": 16, "high": 512, "log": True, "repeat": "layers"},
    "batch_size": {"choices": [16, 64, 128], "ordered": True},
    "dropout": {"low": 0.0, "high": 0.5},
}
STUDY: dict[str, Any] = {
    "objective": "toy:optimizers", "rounds": 3, "search_space": SPACE,
    "constraints": ["learning_rate * layers <= 2"],
}


def check(rows: list[dict[str, str]], trials: int) -> None:
    assert len(rows) == 3 * trials
    assert {row["state"] for row in rows} <= {"complete", "infeasible"}  # none fails
    assert {row["optimizer"] for row in rows[:trials]} == {"sgd", "nesterov", "adam"}
    for row in rows:
        assert (row["momentum"] == "") == (row["optimizer"] == "adam")
        widths = [row[f"width.{n}"] != "" for n in range(1, 5)]
        assert widths == [n < int(row["layers"]) for n in range(4)]
        assert float(row["learning_rate"]) * int(row["layers"]) <= 2
        assert int(row["layers"]) * int(row["batch_size"]) <= 256
        assert row["learning_rate"] == repr(float(f"{float(row['learning_rate']):.4g}"))


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name != "gp"])  # for minutes
def test_any_order_in_which_trials_end_gives_the_same_table(
    sampler: str, make_study: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = {**STUDY, "round": {"trials": 16, "parallel": 4, "sampler": sampler}}
    hpo("run", make_study("expected", **study), "--inline")
    expected = table("expected")
    check(expected, 16)
    for slots in (2, 4):
        monkeypatch.setattr("hpo.workers.inline.InlineWorkers", partial(OutOfOrder, slots=slots))
        hpo("run", make_study(f"with{slots}", **study), "--inline")
        assert table(f"with{slots}") == expected


def test_on_ray_and_killed_it_is_the_same_table(
    make_study: Make, folder: Path, near_ray: str
) -> None:
    study = {**STUDY, "round": {"trials": 12, "parallel": 4, "sampler": "tpe"}}
    hpo("run", make_study("expected", **study), "--inline")
    expected = table("expected")
    hpo("run", make_study("near", **study, resources={"cpus": 2}), "--ray-address", near_ray)
    assert table("near") == expected
    killed = make_study("killed", **study, fixed={"sleep": 0.1, "folder": str(folder)})
    process = start("run", killed, "--inline")
    while process.poll() is None and len(trainings(folder)) < 20:
        pass
    assert process.poll() is None
    process.kill()
    process.communicate()
    hpo("run", killed, "--inline")
    assert table("killed") == expected
    assert sum(trainings(folder).values()) <= 37
