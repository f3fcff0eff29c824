"""What is deleted in MLflow while a study runs counts no more, and the study goes on."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.fixtures import Make, client_of, hpo, table, trainings
from tests.processes import set_seconds, start, wait_for

if TYPE_CHECKING:
    from mlflow.entities import Run


def runs(folder: Path, kind: str, status: str = "RUNNING") -> "list[Run]":
    client = client_of(f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name("toy")
    if experiment is None:
        return []
    query = f"tags.kind = '{kind}' and attributes.status = '{status}'"
    found: list[Run] = client.search_runs([experiment.experiment_id], query)
    return found


def delete(folder: Path, run: "Run") -> None:
    client_of(f"sqlite:///{folder}/mlflow.db").delete_run(run.info.run_id)


def held(make_study: Make, folder: Path, after: int, **changes: object) -> Path:
    """Make a study whose trials, after so many, wait for `go`; each has a run as it begins."""
    (folder / "hold").write_text(str(after))
    few = {"trials": 3, "parallel": 1, "trial_timeout": 600}
    return make_study(objective="toy:held", fixed={"folder": str(folder)}, round=few, **changes)


def go(folder: Path) -> None:
    (folder / "go").touch()


def test_a_trial_that_runs(make_study: Make, folder: Path) -> None:
    file = held(make_study, folder, 0)
    process = start("run", file, "--inline")
    wait_for(lambda: runs(folder, "trial"), seconds=150)
    [run] = runs(folder, "trial")
    delete(folder, run)
    go(folder)
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
    file = held(make_study, folder, 3)
    hpo("run", file, "--inline")
    command = ["confirm", str(file), "--inline", "--top", "2", "--repeats", "2"]
    process = start(*command)
    wait_for(lambda: runs(folder, "repeat"), seconds=150)
    delete(folder, runs(folder, "repeat")[0])
    go(folder)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert "was set aside in" in output
    assert len(runs(folder, "repeat", "FINISHED")) == 3
    hpo(*command)
    assert len(runs(folder, "repeat", "FINISHED")) == 4


def test_the_only_repeat(make_study: Make, folder: Path) -> None:
    file = held(make_study, folder, 3)
    hpo("run", file, "--inline")
    for top, code in ((2, 0), (1, 1)):
        (folder / "go").unlink(missing_ok=True)
        process = start("confirm", file, "--inline", "--top", top, "--repeats", 1)
        wait_for(lambda: runs(folder, "repeat"), seconds=150)
        delete(folder, runs(folder, "repeat")[0])
        go(folder)
        output, _ = process.communicate(timeout=120)
        assert process.returncode == code, output
        assert "Traceback" not in output
    assert "every repeat was deleted" in output


def test_a_round_that_runs(make_study: Make, folder: Path) -> None:
    file = held(make_study, folder, 0)
    process = start("run", file, "--inline")
    wait_for(lambda: runs(folder, "trial"), seconds=150)
    delete(folder, runs(folder, "round")[0])
    go(folder)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1, output
    assert "round 1 was deleted in MLflow while it ran" in output
    assert "Traceback" not in output
    process = start("run", file, "--inline")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert len(table()) == 3


def test_an_earlier_round(make_study: Make, folder: Path) -> None:
    file = held(make_study, folder, 3, rounds=2)
    beating = partial(set_seconds, "hpo.record.delivery", HEARTBEAT_SECONDS=0.2)
    process = start("run", file, "--inline", first=beating)
    wait_for(lambda: sum(trainings(folder).values()) == 4, seconds=150)
    delete(folder, runs(folder, "round", "FINISHED")[0])  # which holds the claim
    wait_for(lambda: any("owner 1" in run.data.params for run in runs(folder, "round")))
    go(folder)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert {row["round"] for row in table()} == {"2"}
    [second] = runs(folder, "round", "FINISHED")
    assert "owner 1" in second.data.params
