"""The same study file and seed give the same table, wherever and however trials run."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.toys import hpo, table

CASES = {
    "random": {"sampler": "random"},
    "qmc": {"sampler": "qmc"},
    "grid": {"sampler": "grid"},
    "tpe": {"sampler": "tpe"},
    "median": {
        "sampler": "tpe",
        "pruner": {"name": "median", "startup_trials": 3, "warmup_epochs": 0},
    },
    "percentile": {
        "sampler": "random",
        "pruner": {"name": "percentile", "startup_trials": 3, "warmup_epochs": 0},
    },
    "halving": {"sampler": "tpe", "pruner": {"name": "successive_halving", "min_resource": 1}},
}


@pytest.mark.parametrize("case", CASES)
def test_any_number_of_workers_gives_the_same_table(
    case: str, make_study: Callable[..., Path], ray_address: str
) -> None:
    tables = {}
    for workers in (0, 1, 2, 4) if case == "tpe" else (0, 2, 4):  # 0: inline; Ray has four CPUs
        name = f"with{workers}"
        file = make_study(
            name,
            objective="toy:cliff",
            rounds=2,
            round={"trials": 14, "parallel": 6, **CASES[case]},
            # Trials of different lengths end out of order; inline there is no order to disturb.
            fixed={"sleep": 0.15 if workers else 0.0},
            resources={"cpus": 4 // workers if workers else 1},
        )
        hpo("run", file, *(["--ray-address", ray_address] if workers else ["--inline"]))
        tables[workers] = table(name)
    assert len(tables[0]) == 28
    assert {row["state"] for row in tables[0]} > {"complete"}
    assert len({row["learning_rate"] for row in tables[0]}) > 7
    for workers in tables:
        assert tables[workers] == tables[0]


def test_another_seed_gives_another_table(make_study: Callable[..., Path]) -> None:
    hpo("run", make_study("one", seed=1), "--inline")
    hpo("run", make_study("two", seed=2), "--inline")
    assert table("one") != table("two")


def test_a_study_file_alone_decides_the_table(
    make_study: Callable[..., Path], empty_database: Path
) -> None:
    file = make_study(round={"sampler": "tpe"})
    shutil.copy(empty_database, "second.db")
    hpo("run", file, "--inline")
    hpo("run", file, "--inline", "--tracking-uri", "sqlite:///second.db")
    assert table() == table("toy", "--tracking-uri", "sqlite:///second.db")
