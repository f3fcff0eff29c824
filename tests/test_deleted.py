"""What is deleted in MLflow while a study runs counts no more, and the study goes on."""

from collections.abc import Callable
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run

from tests.fixtures import hpo, table
from tests.processes import start, wait_for
from tests.test_crashes import trainings

Make = Callable[..., Path]


def runs(folder: Path, kind: str, status: str = "RUNNING") -> list[Run]:
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name("toy")
    if experiment is None:
        return []
    query = f"tags.kind = '{kind}' and attributes.status = '{status}'"
    found: list[Run] = client.search_runs([experiment.experiment_id], query)
    return found


def delete(folder: Path, run: Run) -> None:
    MlflowClient(f"sqlite:///{folder}/mlflow.db").delete_run(run.info.run_id)


def slow(make_study: Make, folder: Path, seconds: float, **changes: object) -> Path:
    """Make a study of slow trials, whose runs are there as soon as they begin."""
    mark = {"folder": str(folder), "sleep": seconds, "steady": True}
    few = {"trials": 3, "parallel": 1, "trial_timeout": 600}
    return make_study(fixed=mark, round=few, **changes)


def test_a_trial_that_runs(make_study: Make, folder: Path) -> None:
    file = slow(make_study, folder, 1.0)
    process = start("run", file, "--inline")
    wait_for(lambda: runs(folder, "trial"), seconds=150)
    [run] = runs(folder, "trial")
    delete(folder, run)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert "was set aside in" in output
    left = table()
    assert len(left) == 2
    assert run.data.tags["number"] not in [row["number"] for row in left]
    hpo("run", file, "--inline")
    assert sum(trainings(folder).values()) == 3  # its number stays spent
    assert table() == left


def test_a_repeat_that_runs(make_study: Make, folder: Path) -> None:
    file = slow(make_study, folder, 1.0)
    hpo("run", file, "--inline")
    command = ["confirm", str(file), "--inline", "--top", "2", "--repeats", "2"]
    process = start(*command)
    wait_for(lambda: runs(folder, "repeat"), seconds=150)
    delete(folder, runs(folder, "repeat")[0])
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert "was set aside in" in output
    assert len(runs(folder, "repeat", "FINISHED")) == 3
    hpo(*command)
    assert len(runs(folder, "repeat", "FINISHED")) == 4


def test_the_only_repeat(make_study: Make, folder: Path) -> None:
    file = slow(make_study, folder, 1.0)
    hpo("run", file, "--inline")
    for top, code in ((2, 0), (1, 1)):
        process = start("confirm", file, "--inline", "--top", top, "--repeats", 1)
        wait_for(lambda: runs(folder, "repeat"), seconds=150)
        delete(folder, runs(folder, "repeat")[0])
        output, _ = process.communicate(timeout=120)
        assert process.returncode == code, output
        assert "Traceback" not in output
    assert "every repeat was deleted" in output


def test_a_round_that_runs(make_study: Make, folder: Path) -> None:
    file = slow(make_study, folder, 1.0)
    process = start("run", file, "--inline")
    wait_for(lambda: runs(folder, "trial"), seconds=150)
    delete(folder, runs(folder, "round")[0])
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1, output
    assert "round 1 was deleted in MLflow while it ran" in output
    assert "Traceback" not in output
    process = start("run", file, "--inline")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert len(table()) == 3


def test_an_earlier_round(make_study: Make, folder: Path) -> None:
    file = slow(make_study, folder, 1.0, rounds=2)
    process = start("run", file, "--inline")
    wait_for(lambda: len(runs(folder, "round", "FINISHED")) == 1, seconds=150)
    delete(folder, runs(folder, "round", "FINISHED")[0])  # which holds the claim
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert {row["round"] for row in table()} == {"2"}
    [second] = runs(folder, "round", "FINISHED")
    assert "owner 1" in second.data.params
