"""Trials of several trainings: runs under their trial, and gone on with part by part."""

import csv
import json
import math
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpo.search import confirmation
from tests.fixtures import Command, Make, client_of, hpo, table, trainings, undisturbed
from tests.processes import start, wait_for
from tests.test_steering import recorded

SEEDS = {"trial": {"seeds": 3}, "round": {"trials": 8, "sampler": "tpe", "parallel": 2}}
# What it scores depends on nothing but which rows validate, so that a fold is known by its score.
FOLDS = """
import time
def train(data, *, rate: float, sleep: float = 0.0):
    for epoch in range(3):
        time.sleep(sleep)
        level = float(abs(data.validation.inputs).mean())
        yield {"loss": level * (1 + abs(rate - 0.3)) / (epoch + 1)}
    yield {"loss": float(len(data.validation.targets)) / 100}
"""


@pytest.fixture
def folds(make_study: Make, folder: Path) -> Path:
    (folder / "folded.py").write_text(FOLDS)
    return make_study(
        objective="folded:train", metric="loss", direction="minimize", value="best",
        data={"source": "digits"}, trial={"folds": 5}, fixed={"sleep": 0.0},
        search_space={"rate": {"low": 0.0, "high": 1.0}},
        round={"trials": 4, "sampler": "random", "parallel": 2},
    )


def by_trial(rows: list[dict[str, str]]) -> dict[tuple[str, str], list[dict[str, str]]]:
    """Return the rows of each trial: its own, then those of its parts."""
    trials: dict[tuple[str, str], list[dict[str, str]]] = {}
    for row in rows:
        trials.setdefault((row["round"], row["number"]), []).append(row)
    return trials


def test_the_value_is_the_mean_of_other_seeds_whatever_the_workers(
    make_study: Make, ray_address: str, command: Command
) -> None:
    file = make_study(**SEEDS, rounds=2)
    hpo("run", file, "--ray-address", ray_address)
    rows = table("toy", "--parts")
    for whole, *parts in by_trial(rows).values():
        assert [part["part"] for part in parts] == ["1", "2", "3"]
        assert len({part["seed"] for part in parts}) == 3
        assert whole["seed"] == parts[0]["seed"]
        values = [float(part["value"]) for part in parts]
        assert float(whole["value"]) == pytest.approx(np.mean(values), rel=1e-12)
        error = np.std(values, ddof=1) / math.sqrt(3)
        assert float(whole["standard_error"]) == pytest.approx(error, rel=1e-9)
        assert {part["learning_rate"] for part in parts} == {whole["learning_rate"]}
    assert table() == undisturbed(make_study, **SEEDS, rounds=2)
    assert command("run", file, "--inline").out.startswith("toy: all 2 rounds are done")
    shown = command("show", "toy").out
    assert "std error" in shown
    assert command("logs", "toy", "1/2/3").code == 0
    assert "no part 4 of trial 2" in command("logs", "toy", "1/2/4").err
    make_study(**{**SEEDS, "trial": {"seeds": 4}}, rounds=3)
    outcome = command("run", file, "--inline")
    assert outcome.code == 2
    assert "trial.seeds changed since round 2" in outcome.err
    assert command("confirm", make_study(**SEEDS, rounds=2), "--inline", "--top", 2).code == 0
    assert len(table("toy", "--repeats", "--parts")) == 16 + 48 + 6
    for arguments in (("narrow", "toy"), ("report", "toy", "page.html"), ("best", "toy"),
                      ("show", "toy", "--figures", "figures")):
        assert command(*arguments).code == 0, arguments


def test_after_a_kill_only_the_missing_folds_run(folds: Path, command: Command) -> None:
    first = folds.with_name("first.toml")
    shutil.copy(folds, first)
    hpo("run", first, "--inline")
    before = table("first")
    assert len({row["value"] for row in before}) == 4
    folds.write_text(folds.read_text().replace("sleep = 0.0", "sleep = 0.2"))
    process = start("run", folds, "--inline")
    wait_for(lambda: len(recorded().parts) == 8, 60)  # three of the second trial, or one of another
    process.kill()
    process.communicate()
    known = recorded()
    assert len(known.results) < 4
    hpo("run", folds, "--inline")
    assert [
        {name: value for name, value in row.items() if name != "sleep"} for row in table()
    ] == before
    after = recorded()
    attempts = Counter(part.attempt for part in after.parts)
    assert len(after.parts) == 20
    assert attempts[1] >= 19  # but for the one that ran
    assert {p.trial.id for p in known.parts if p.attempt == 1} <= {
        p.trial.id for p in after.parts if p.attempt == 1
    }


def test_a_trial_on_folds_is_as_its_parts_on_the_record(folds: Path, command: Command) -> None:
    hpo("run", folds, "--inline")
    client, study = client_of(f"sqlite:///{Path('mlflow.db').absolute()}"), recorded()
    everything = client.search_runs([study.experiment_id], max_results=1000)
    kinds = Counter(run.data.tags["kind"] for run in everything)
    assert kinds == {"round": 1, "trial": 4, "part": 20}
    by_id = {run.info.run_id: run for run in everything}
    for run in everything:
        if run.data.tags["kind"] != "part":
            continue
        parent = by_id[run.data.tags["mlflow.parentRunId"]]
        assert parent.data.tags["kind"] == "trial"
        assert parent.data.tags["number"] == run.data.tags["number"]
        assert parent.data.params == run.data.params
        assert run.info.status == parent.info.status == "FINISHED"
    for result in study.results:
        assert result.parts is not None
        run = by_id[study.runs[result.trial.id]]
        assert run.data.metrics["standard_error"] == pytest.approx(result.standard_error)
        assert "the mean of 5 parts (standard error" in run.data.tags["mlflow.note.content"]
        parts = [p for p in study.parts if p.trial.original == result.trial.id]
        curves = np.array([part.curve("loss") for part in parts])
        np.testing.assert_allclose(result.curve("loss"), curves.mean(axis=0), rtol=1e-12)
        assert client.get_metric_history(run.info.run_id, "loss")[-1].value == pytest.approx(
            curves.mean(axis=0)[-1]
        )
        # Each of 1437 rows is validated once.
        assert sum(round(curve[-1] * 100) for curve in curves) == 1437
        assert result.value == min(result.curve("loss"))
    assert command("copy", "toy", "other").code == 0
    assert table("other", "--parts") == table("toy", "--parts")
    page = Path("page.json")
    hpo("report", "toy", page)
    assert page.read_text().count('"part"') == 1


def test_what_was_deleted_or_not_yet_written_is_told_from_the_parts(
    make_study: Make, command: Command
) -> None:
    file = make_study(**SEEDS)
    hpo("run", file, "--inline")
    rows = table()
    client, study = client_of(f"sqlite:///{Path('mlflow.db').absolute()}"), recorded()
    by_number = {r.trial.number: study.runs[r.trial.id] for r in study.results}
    # The process was killed before the run of a trial, and the end of its round, were written.
    client.update_run(by_number[2], status="RUNNING")
    client.update_run(study.rounds[0].run_id, status="RUNNING")
    assert [r.trial.number for r in recorded().unwritten] == [2]
    hpo("run", file, "--inline")
    assert client.get_run(by_number[2]).info.status == "FINISHED"
    assert table() == rows
    # One part is deleted, of another trial all there is.
    part = next(p for p in study.parts if p.trial.number == 3 and p.trial.part == 2)
    client.delete_run(study.runs[part.trial.id])
    client.delete_run(by_number[5])
    left = recorded()
    assert {r.trial.number for r in left.deleted} == {3, 5}
    assert table() == [row for row in rows if row["number"] not in ("3", "5")]
    assert command("run", file, "--inline").out.startswith("toy: 1 round is done")


def test_a_trial_that_is_pruned_costs_one_part(make_study: Make, folder: Path) -> None:
    make = {"round": {"trials": 12, "sampler": "random", "parallel": 2, "pruner": {
        "name": "median", "startup_trials": 3, "warmup_epochs": 1}},
        "trial": {"seeds": 3}, "fixed": {"folder": str(folder)}}
    hpo("run", make_study(**make), "--inline")
    rows = by_trial(table("toy", "--parts"))
    states = Counter(whole["state"] for whole, *_ in rows.values())
    assert states["pruned"] > 1
    for whole, *parts in rows.values():
        assert len(parts) == (1 if whole["state"] == "pruned" else 3)
        assert whole["standard_error"] == "" or whole["state"] == "complete"
    assert sum(trainings(folder).values()) == states["pruned"] + 3 * states["complete"]


def test_a_trial_in_parts_is_stopped_with_all_of_them(
    make_study: Make, folder: Path, command: Command, ray_address: str
) -> None:
    file = make_study(
        trial={"seeds": 3}, fixed={"sleep": 12.0, "steady": True, "epochs": 60},
        round={"trials": 1, "sampler": "random"},
    )
    process = start("run", file, "--ray-address", ray_address)
    wait_for(lambda: any(attempt for attempt in recorded().attempts), 60)
    assert command("stop", "toy", "1/1", "--reason", "enough").code == 0
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    (row,) = table()
    assert (row["state"], row["message"]) == ("stopped", "stopped by hand: enough")
    assert 0 < int(row["epochs"]) < 60
    hpo("export", "toy", "all.csv", "--parts")
    with open("all.csv", newline="") as text:
        assert len(list(csv.DictReader(text))) == 2


def test_the_test_set_is_spent_by_a_model_of_all_training_rows(
    make_study: Make, command: Command
) -> None:
    file = make_study(
        objective="trainer.objectives:perceptron", metric="validation_accuracy",
        data={"source": "digits", "rows": 300}, trial={"folds": 3}, fixed={"epochs": 3},
        search_space={"learning_rate": {"low": 1e-3, "high": 1e-1, "log": True}},
        round={"trials": 3, "sampler": "random"},
    )
    tried = command("check", file, "--data", "--try")
    assert tried.code == 0
    assert "validation (the first of 3 folds), 360 test" in tried.out
    hpo("run", file, "--inline")
    outcome: Any = command("evaluate", file)
    assert outcome.code == 0, outcome.err
    assert "on 360 rows" in " ".join(outcome.out.split())


def as_if_killed(number: int, parts: int) -> None:
    """Let the record be as if the study was killed when a trial had so many parts, the last one."""
    study, client = recorded(), client_of(f"sqlite:///{Path('mlflow.db').absolute()}")
    for part in study.parts:
        if part.trial.number > number or (part.trial.number == number and part.trial.part > parts):
            client.set_tag(study.runs[part.trial.id], "superseded", "true")
            client.delete_run(study.runs[part.trial.id])
    for result in study.results:
        run_id = study.runs[result.trial.id]
        if result.trial.number > number:
            client.set_tag(run_id, "superseded", "true")
            client.delete_run(run_id)
        elif result.trial.number == number:
            client.update_run(run_id, status="RUNNING")
    client.update_run(study.rounds[-1].run_id, status="RUNNING")


@pytest.mark.parametrize("parts", [0, 1, 2])
def test_a_point_that_is_added_after_a_kill_is_tried(make_study: Make, parts: int) -> None:
    file = make_study(**{**SEEDS, "round": {"trials": 4, "sampler": "random", "parallel": 1}})
    hpo("run", file, "--inline")
    before = table()
    as_if_killed(2, parts)
    hpo("add", "toy", "learning_rate=0.1", "weight_decay=1e-6")
    hpo("run", file, "--inline")
    rows = table()
    assert len(rows) == 5
    (added,) = (row for row in rows if row["added"] == "True")
    assert (added["learning_rate"], added["weight_decay"]) == ("0.1", "1e-06")
    # What had begun goes on, and keeps its number.
    assert added["number"] == ("3" if parts else "2")
    values = {row["learning_rate"]: row["value"] for row in before}
    if parts:
        assert [row["value"] for row in rows[:2]] == [row["value"] for row in before[:2]]
    assert sum(values.get(row["learning_rate"]) == row["value"] for row in rows) >= 1
    assert len(recorded().parts) == 15


def test_parts_that_ended_are_no_false_start(make_study: Make, command: Command) -> None:
    hpo("run", make_study(**SEEDS), "--inline")
    as_if_killed(1, 2)
    other = make_study(**{**SEEDS, "trial": {"seeds": 4}})
    outcome = command("run", other, "--inline")
    assert outcome.code == 2
    assert "trial.seeds changed since round 1, so its trials cannot be compared" in outcome.err
    assert len(recorded().parts) == 2


# The first fold has a row more than the others, and is hard, whatever it is trained with.
HARD = """
def train(data, *, x: float, seed):
    hard = 1.0 if len(data.validation.targets) == 288 else 0.0
    for epoch in range(3):
        yield {"loss": hard + (x - 0.5) ** 2 + abs(epoch - 1) / 10}
"""


@pytest.mark.parametrize("value", ["last", "best"])
def test_repeats_on_a_hard_fold_change_no_order(
    make_study: Make, folder: Path, command: Command, value: str
) -> None:
    (folder / "uneven.py").write_text(HARD)
    file = make_study(
        objective="uneven:train", metric="loss", direction="minimize", value=value,
        data={"source": "digits"}, trial={"folds": 5},
        search_space={"x": {"low": 0.0, "high": 1.0}},
        round={"trials": 20, "sampler": "random", "parallel": 2},
    )
    hpo("run", file, "--inline")
    before = [json.loads(command(what, "toy", "--json").out) for what in ("best", "narrow")]
    hpo("confirm", file, "--inline", "--top", 3, "--repeats", 2)
    study = recorded()
    for repeated in confirmation.confirmed(study.results, study.repeats).values():
        assert repeated.mean == pytest.approx(repeated.found.value)
        assert repeated.standard_error == pytest.approx(0, abs=1e-12)
    after = [json.loads(command(what, "toy", "--json").out) for what in ("best", "narrow")]
    assert before[0]["number"] == after[0]["number"]
    edges = [[moves["moves"][0]["new"][end] for end in ("low", "high")]
             for _, moves in (before, after)]
    assert np.allclose(*edges, atol=0.05)
    refused = command("confirm", file, "--resplit", "--inline").err
    assert "confirm.resplit: with trial.folds, every row is already used" in refused
