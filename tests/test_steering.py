"""People add points to a study and stop its trials while it runs, and the record replays that."""

import json
import shutil
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from hpo.api.points import parse_point
from hpo.distributions import (
    CategoricalDistribution,
    Distribution,
    FloatDistribution,
    IntegerDistribution,
    OrderedDistribution,
)
from hpo.errors import InputError
from hpo.record.tracking import Tracking
from hpo.record.values import Recorded
from tests.fixtures import Command, Make, client_of, hpo, table
from tests.processes import start, wait_for

# A rate of 10 and more, beyond the range, makes a trial that goes on for a minute, unless a file
# says otherwise.
TRAIN = """
import os, time
def train(rate: float, *, seed):
    for epoch in range(1, 4 if rate < 10 or os.path.exists("short") else 601):
        time.sleep(0.1)
        yield {"loss": (rate - 0.1) ** 2 + 1 / epoch}
"""
RATE = {"rate": {"low": 1e-3, "high": 1.0, "log": True}}


@pytest.fixture
def file(make_study: Make, folder: Path) -> Path:
    (folder / "slowly.py").write_text(TRAIN)
    return make_study(
        objective="slowly:train", metric="loss", direction="minimize", search_space=RATE,
        rounds=2, round={"trials": 8, "sampler": "tpe", "parallel": 2},
    )


def recorded() -> Recorded:
    with closing(Tracking(f"sqlite:///{Path('mlflow.db').absolute()}")) as record:
        return record.study("toy").read() or Recorded("")


def in_round(number: int, trials: int) -> bool:
    """Say whether a round has so many results."""
    known = recorded()
    return len(known.rounds) == number and len(known.numbers(number)) >= trials


def placed() -> int:
    """Return the number of the point that was added; 0 until it has one."""
    rounds = recorded().rounds
    return next(iter(rounds[-1].placed), 0) if rounds else 0


def test_a_point_is_added_and_stopped_while_two_workers_run_and_trials_are_raised_after(
    file: Path, ray_address: str, command: Command
) -> None:
    process = start("run", file, "--ray-address", ray_address)
    wait_for(lambda: in_round(2, 2), 60)
    added = command("add", "toy", "rate=30")
    assert (added.code, added.err) == (0, "")
    assert added.out == "added to toy: rate = 30.0; it will be one of the next trials\n"
    wait_for(lambda: placed() > 0, 30)
    number = placed()
    wait_for(lambda: len(recorded().attempts) > 0, 30)  # it is seen to run
    said = command("stop", file, f"2/{number}", "--reason", "diverges | anyway")
    assert (said.code, said.err) == (0, "")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert f"trial {number} is a point added by hand" in output
    rows = table()
    assert [row["added"] for row in rows] == [
        str((row["round"], row["number"]) == ("2", str(number))) for row in rows
    ]
    (row,) = (row for row in rows if row["added"] == "True")
    assert (row["state"], row["rate"]) == ("stopped", "30.0")
    assert row["message"] == "stopped by hand: diverges | anyway"
    assert 0 < int(row["epochs"]) < 600
    assert len(rows) == 17
    assert command("run", file, "--inline").out.startswith("toy: all 2 rounds are done")
    file.write_text(file.read_text().replace("trials = 8", "trials = 10"))
    hpo("run", file, "--inline")
    more = table()
    assert more[:17] == rows
    assert [(row["round"], row["number"]) for row in more[17:]] == [("2", "10"), ("2", "11")]
    (run,) = client_of(f"sqlite:///{Path('mlflow.db').absolute()}").search_runs(
        [recorded().experiment_id], "tags.added = 'true'"
    )
    assert run.info.status == "KILLED"
    assert "a point added by hand: stopped after epoch" in run.data.tags["mlflow.note.content"]


def test_a_round_that_was_killed_after_a_point_was_added_is_replayed_from_the_record(
    file: Path, ray_address: str, folder: Path
) -> None:
    process = start("run", file, "--inline")
    wait_for(lambda: in_round(2, 2), 60)
    hpo("add", "toy", "rate=20")
    wait_for(lambda: placed() > 0, 30)
    process.kill()
    process.communicate()
    (folder / "short").touch()
    shutil.copytree(".", "../copy", dirs_exist_ok=True)
    hpo("run", file, "--inline")
    once = table()
    for path in ("mlflow.db", ".hpo"):
        copy = Path("../copy") / path
        if copy.is_dir():
            shutil.rmtree(path)
            shutil.copytree(copy, path)
        else:
            shutil.copy(copy, path)
    hpo("run", file, "--ray-address", ray_address)
    assert table() == once
    assert [row["rate"] for row in once if row["added"] == "True"] == ["20.0"]
    assert len(once) == 17


def test_a_trial_of_this_process_stops_at_its_next_epoch(file: Path) -> None:
    file.write_text(file.read_text() + "[[start]]\nrate = 0.01\n")
    process = start("run", file, "--inline", "--rounds", "1")
    wait_for(lambda: in_round(1, 2), 60)
    hpo("add", file, "rate=10")
    wait_for(lambda: placed() > 0, 30)
    hpo("stop", "toy", f"1/{placed()}")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    (row,) = (row for row in table() if row["added"] == "True")
    assert (row["state"], row["message"]) == ("stopped", "stopped by hand")
    assert 0 < int(row["epochs"]) < 600


def test_a_request_to_stop_what_does_not_run_is_told_and_stops_nothing_later(file: Path) -> None:
    file.write_text(file.read_text().replace("trials = 8", "trials = 4"))
    hpo("run", file, "--inline", "--rounds", "1")
    with closing(Tracking(f"sqlite:///{Path('mlflow.db').absolute()}")) as record:
        study, (round_,) = record.study("toy"), recorded().rounds
        study.stop(round_.run_id, 5, "before it runs")
    hpo("add", "toy", "rate=20")
    Path("short").touch()
    process = start("run", file, "--inline", "--rounds", "1")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert [row["state"] for row in table()] == ["complete"] * 5
    Path("short").unlink()
    hpo("add", "toy", "rate=20")
    process = start("run", file, "--inline", "--rounds", "1")
    wait_for(lambda: len(recorded().attempts) > 0, 30)
    with closing(Tracking(f"sqlite:///{Path('mlflow.db').absolute()}")) as record:
        record.study("toy").stop(round_.run_id, 7, "too early")
        time.sleep(3)
        record.study("toy").stop(round_.run_id, 6, "now")
    output, _ = process.communicate(timeout=60)
    assert "trial 7 is not running, so it was not stopped" in output
    assert [row["state"] for row in table()] == ["complete"] * 5 + ["stopped"]


def test_a_value_far_away_leaves_a_study_that_can_be_looked_at(
    make_study: Make, command: Command
) -> None:
    space = {"learning_rate": {"low": 1e-4, "high": 1.0, "log": True},
             "weight_decay": {"low": 0.0, "high": 0.5}}
    file = make_study(search_space=space, rounds=2, round={"trials": 12, "sampler": "tpe"})
    hpo("run", file, "--inline", "--rounds", "1")
    for value in ("-1e300", "1e200", "1e9"):
        hpo("add", "toy", f"weight_decay={value}")
    assert json.loads(command("show", "toy", "--json").out)["state"] == (
        "ended, 3 added points waiting"
    )
    hpo("run", file, "--inline")
    for arguments in (("show", "toy"), ("narrow", file), ("report", "toy", "page.html"),
                      ("show", "toy", "--figures", "figures")):
        outcome = command(*arguments)
        assert (outcome.code, "DLASCL" in outcome.err) == (0, False), arguments
    assert len(table()) == 27


def test_points_are_those_that_a_study_with_conditions_and_parts_can_have() -> None:
    kinds = CategoricalDistribution(("sgd", "adam"))
    whole = IntegerDistribution(1, 3)
    width = IntegerDistribution(4, 64, part_of="width")
    space: dict[str, Distribution] = {
        "kind": kinds, "momentum": FloatDistribution(0.0, 1.0, when=(("kind", ("sgd",)),)),
        "layers": whole, "width.1": width,
        "width.2": replace(width, when=(("layers", (2, 3)),)),
        "width.3": replace(width, when=(("layers", (3,)),)),
        "batch": OrderedDistribution.of((16, 32, 64)),
    }
    assert parse_point(["width=[8,16]", "layers=2", "batch=64"], space) == {
        "layers": 2, "width.1": 8, "width.2": 16, "batch": 64,
    }
    assert parse_point(["momentum=0.5", "kind=sgd"], space) == {"kind": "sgd", "momentum": 0.5}
    for texts, said in (
        (["layers=4"], "layers=4: must be an integer from 1 to 3, the possible numbers of "
         "width"),
        (["layers=0"], "layers=0: must be an integer from 1 to 3, the possible numbers of "
         "width"),
        (["kind=adam", "momentum=0.5"], "momentum: only searched when kind is sgd, but kind "
         "is 'adam' here; change one of the two"),
        (["momentum=0.5"], "momentum: only searched when kind is sgd; add kind to the "
         "point, or remove momentum"),
        (["width=[1,2,3,4]"], "width=[1,2,3,4]: expected a list of at most 3 values, for "
         "example width=[1,2]"),
        (["width=8"], "width=8: expected a list of at most 3 values, for example "
         "width=[1,2]"),
        (["layers=two"], "layers=two: expected an integer, got 'two'"),
        (["batch=48"], "batch=48: '48' is not a choice; valid choices: 16, 32, 64"),
    ):
        with pytest.raises(InputError) as caught:
            parse_point(texts, space)
        assert str(caught.value) == said


def test_a_point_of_a_study_that_ended_and_one_more_to_start_with_are_the_next_trials(
    make_study: Make, command: Command
) -> None:
    start_of = "[[start]]\nlearning_rate = 0.5\n"
    file = make_study(round={"trials": 4, "sampler": "grid"})
    file.write_text(file.read_text() + start_of)
    hpo("run", file, "--inline")
    before = table()
    waits = command("add", file, "learning_rate=0.25", "weight_decay=0")
    assert waits.out == (
        f"added to toy: learning_rate = 0.25, weight_decay = 0.0; `hpo run {file}` will "
        "train it\n"
    )
    file.write_text(file.read_text() + "[[start]]\nlearning_rate = 0.75\n")
    hpo("run", file, "--inline")
    after = table()
    assert [{k: v for k, v in row.items() if k != "added"} for row in after[:4]] == before
    assert [row["learning_rate"] for row in after[4:]] == ["0.25", "0.75"]
    assert [row["weight_decay"] == "0.0" for row in after[4:]] == [True, False]
    assert command("run", file, "--inline").out.startswith("toy: 1 round is done, nothing")
    shown = json.loads(command("show", "toy", "--json").out)
    assert (shown["state"], shown["rounds"][0]["trials"]) == ("ended", 6)
    hpo("copy", "toy", "twin")
    assert table("twin") == after


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("add", "toy", "learning_rat=1"), "learning_rat=1: 'learning_rat' is not searched; did "
         "you mean 'learning_rate'?"),
        (("add", "toy", "learning_rate"), "learning_rate: expected NAME=VALUE, for example "
         "learning_rate=0.01"),
        (("add", "toy", "learning_rate=fast"), "learning_rate=fast: expected a number, got "
         "'fast'"),
        (("add", "toy", "learning_rate=nan"), "learning_rate=nan: 'nan' is out of bounds; choose "
         "a number from -1e+308 to 1e+308"),
        (("add", "toy", "learning_rate=1", "learning_rate=2"), "learning_rate=2: learning_rate "
         "is given twice; give it once"),
        (("add", "toy", "learning_rate=-1"), "the point is infeasible: learning_rate "
         "must lie in (0, 1000), not -1.0; choose another"),
        (("add", "nothing", "learning_rate=1"), "no study named 'nothing' is recorded; "
         "studies: toy"),
        (("stop", "toy", "17"), "not a trial: '17'; use the form ROUND/TRIAL, for example 2/17"),
        (("stop", "toy", "2/1"), "2/1: round 2 is not running; no round is"),
        (("stop", "toy", "1/1"), "1/1: round 1 is not running; no round is"),
    ],
)
def test_what_cannot_be_added_or_stopped_is_said(
    make_study: Make, command: Command, arguments: tuple[str, ...], said: str
) -> None:
    file = make_study(round={"trials": 1})
    hpo("run", file, "--inline")
    outcome = command(*arguments)
    assert (outcome.code, outcome.out, outcome.err) == (2, "", f"hpo: {said}\n")


def test_nothing_is_stopped_where_nothing_runs(
    make_study: Make, folder: Path, command: Command
) -> None:
    file = make_study(fixed={"sleep": 0.5, "steady": True}, round={"trials": 4})
    process = start("run", file, "--inline")
    wait_for(lambda: in_round(1, 1), 60)
    process.kill()
    process.communicate()
    assert command("stop", "toy", "1/1").err == (
        "hpo: 1/1: this trial has already ended; choose a running one\n"
    )
    assert command("stop", "toy", "1/9").err == (
        "hpo: 1/9: round 1 has no such trial yet; choose a running one\n"
    )
    outcome = command("stop", "toy", "1/4")
    assert (outcome.code, outcome.err) == (
        2, "hpo: toy is not running, so neither is trial 1/4\n"
    )
