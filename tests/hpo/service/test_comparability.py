"""What becomes of an edit of a study file whose rounds have begun: taken, kept for later, said."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest

from hpo.errors import HPOError, InputError
from hpo.record.tracking import Tracking
from hpo.record.values import AcceptedCode, Added, Recorded, Round
from hpo.service.comparability import (
    CODE,
    edits,
    incomparable,
    new_code,
    new_points,
    refuse_changes,
    settings_of,
)
from hpo.study import StudyFile, read
from tests.fixtures import hpo, table, undisturbed

Make = Callable[..., Path]


def begun(study: StudyFile, ended: bool) -> Round:
    return Round(1, "run", study.search_space, settings_of(study, None), "", ended)


@pytest.mark.parametrize(
    ("changes", "while_open", "for_later", "at_the_next"),
    [
        ({"round": {"sampler": "qmc"}},
         "[round] sampler = qmc: round 1 started with random and keeps it",
         "[round] sampler = qmc: applies to the next round, which --rounds 2 starts",
         "[round] sampler = qmc from round 2 on; round 1 had random"),
        ({"round": {"pruner": "median"}},
         "[round] pruner = median(startup_trials=5, warmup_epochs=5, interval=1): round 1 "
         "started with none and keeps it",
         "interval=1): applies to the next round, which --rounds 2 starts",
         "interval=1) from round 2 on; round 1 had none"),
        ({"round": {"parallel": 2}},
         "[round] parallel = 2: round 1 started with 4 and keeps it",
         "[round] parallel = 2: applies to the next round", "[round] parallel = 2 from round 2 on"),
        ({"round": {"trials": 20}},
         "[round] trials = 20: round 1 continues to 20; it started with 12",
         "[round] trials = 20: round 1 continues to 20; it started with 12",
         "[round] trials = 20 from round 2 on; round 1 had 12"),
        ({"search_space": {"learning_rate": {"low": 0.01, "high": 1.0, "log": True},
                           "weight_decay": {"low": 1e-8, "high": 1e-4, "log": True}}},
         "[search_space] learning_rate = 0.01 to 1: round 1 started with 0.0001 to 10 and keeps it",
         "[search_space] learning_rate = 0.01 to 1: applies to the next round, which --rounds 2 "
         "starts", None),
    ],
)
def test_an_edit_is_taken_or_kept_for_later_and_said(
    make_study: Make, changes: dict[str, Any], while_open: str, for_later: str,
    at_the_next: str | None,
) -> None:
    before, now = read(make_study()), read(make_study(**changes))
    for ended, goal, expected in (
        (False, 1, while_open), (True, 1, for_later), (True, 2, at_the_next),
    ):
        lines = edits(now, [begun(before, ended)], goal)
        assert len(lines) == (expected is not None)
        assert all(expected in line for line in lines if expected is not None)
        assert edits(before, [begun(before, ended)], goal) == []


def test_the_last_round_is_not_said_to_grow_when_fewer_rounds_are_asked_for(
    make_study: Make
) -> None:
    first = begun(read(make_study()), True)
    rounds = [first, replace(first, number=2)]
    now = read(make_study(round={"trials": 20}))
    assert edits(now, rounds, 2) == ["[round] trials = 20: round 2 continues to 20; it started "
                                     "with 12"]
    assert edits(now, rounds, 1) == ["[round] trials = 20: applies to the next round, which "
                                     "--rounds 3 starts"]


def test_points_to_start_with_that_came_later_are_told_from_those_on_record(
    make_study: Make
) -> None:
    file = make_study()
    text, point = file.read_text(), "[[start]]\nlearning_rate = {}\n"
    file.write_text(text + point.format(0.1))
    round_ = begun(read(file), False)
    file.write_text(text + point.format(0.1) + point.format(0.2) + point.format(0.3))
    now = read(file)
    assert edits(now, [round_], 1) == []
    assert new_points(now, Recorded("1", [round_])) == [
        {"learning_rate": 0.2}, {"learning_rate": 0.3}
    ]
    added = [Added("1", {"learning_rate": 0.3})]
    assert new_points(now, Recorded("1", [round_], added=added)) == [{"learning_rate": 0.2}]
    settings = replace(round_.settings, start=None)  # an early record, which does not say
    assert new_points(now, Recorded("1", [replace(round_, settings=settings)])) == []


@pytest.mark.parametrize("edit", ["pruner", "sampler", "parallel"])
def test_a_round_goes_on_as_it_began_whatever_is_edited(
    edit: str, make_study: Make, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"trials": 20, "sampler": "tpe", "parallel": 2}
    whole = undisturbed(make_study, round=settings)
    with pytest.raises(click.Abort):
        hpo("run", make_study("toy", objective="toy:stopping", round=settings,
                              fixed={"folder": str(folder)}), "--inline")
    (folder / "go").touch()
    changed: dict[str, Any] = {
        "pruner": {"pruner": {"name": "median", "startup_trials": 1, "warmup_epochs": 0}},
        "sampler": {"sampler": "random"}, "parallel": {"parallel": 7},
    }[edit]
    file = make_study("toy", objective="toy:stopping", round={**settings, **changed},
                      fixed={"folder": str(folder)})
    capsys.readouterr()
    hpo("run", file, "--inline")
    assert "round 1" in capsys.readouterr().out.splitlines()[0]
    rows = table()
    assert len(rows) == 20
    assert {row["state"] for row in rows} == {"complete"}
    for row, expected in zip(rows, whole, strict=True):
        assert row == expected


def test_limits_and_choices_move_from_round_to_round(make_study: Make, folder: Path) -> None:
    """A range with limits came back from the record with a list where the file has a tuple."""
    (folder / "colors.py").write_text(
        "from dataclasses import dataclass\n"
        "import math\n"
        "@dataclass(frozen=True)\n"
        "class Hyperparameters:\n"
        "    rate: float = 0.1\n"
        "    color: str = 'red'\n"
        "    shape: tuple[int, ...] = (1,)\n"
        "def train(hyperparameters: Hyperparameters, *, seed):\n"
        "    far = abs(math.log10(hyperparameters.rate) + 1)\n"
        "    yield {'loss': far + 3.0 * (hyperparameters.color == 'red')}\n"
        "train.metrics = ('loss',)\n"
    )
    file = make_study(
        objective="colors:train", metric="loss", direction="minimize", rounds=2,
        round={"trials": 40, "sampler": "random"},
        search_space={
            "rate": {"low": 1e-4, "high": 1e1, "log": True, "limits": [1e-6, 1e2]},
            "color": {"choices": ["red", "blue", "green"]},
            "shape": {"choices": [[1], [2, 3]]},
        },
    )
    hpo("run", file, "--inline")
    recorded = Tracking(f"sqlite:///{folder}/mlflow.db").study("toy").read()
    assert recorded is not None
    decisions = {decision.move.name: decision.why for decision in recorded.rounds[1].decisions}
    assert decisions == {"rate": "taken", "color": "taken", "shape": "taken"}
    space = recorded.rounds[1].search_space
    assert "red" not in space["color"].choices  # type: ignore[union-attr]
    assert 1e-4 < space["rate"].low < 0.1 < space["rate"].high < 1e1  # type: ignore[union-attr]


def test_too_many_failures_are_too_many_the_second_time_as_well(
    make_study: Make, folder: Path
) -> None:
    file = make_study(objective="toy:failing", fixed={"folder": str(folder)})
    for _ in range(2):
        with pytest.raises(HPOError, match="5 of 5 trials failed, the last with: RuntimeError"):
            hpo("run", file, "--inline")
    assert len(table()) == 5
    file = make_study(objective="toy:failing", round={"max_failures": 12},
                      fixed={"folder": str(folder)})
    hpo("run", file, "--inline")
    assert len(table()) == 12


def test_what_changed_is_said_where_nothing_is_left_to_run(
    make_study: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    hpo("run", make_study(), "--inline")
    capsys.readouterr()
    hpo("run", make_study(fixed={"epochs": 3}), "--inline")
    assert (
        "[fixed] changed since round 1, but nothing is left to run; change it back, or give the "
        "study another name"
    ) in " ".join(capsys.readouterr().out.split())


def test_a_study_without_data_has_none(
    make_study: Make, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = make_study()
    hpo("run", file, "--inline")
    record = Tracking(f"sqlite:///{folder}/mlflow.db")
    recorded = record.study("toy").read()
    assert recorded is not None
    assert recorded.rounds[0].settings.data == ""
    run = record._connection.client.get_run(recorded.rounds[0].run_id)
    assert run.inputs.dataset_inputs == []
    with pytest.raises(InputError, match="evaluate` needs a table \\[data\\]"):
        hpo("evaluate", file)
    with pytest.raises(InputError, match="no rows to split"):
        hpo("confirm", file, "--resplit", "--inline")
    with pytest.raises(InputError, match="there is no table \\[data\\]"):
        hpo("check", file, "--data")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"objective": "toy:cliff"}, "the objective"), ({"code": "x", "syntax": "x"}, CODE),
        ({"data": "x"}, "the data or its split"), ({"fixed": {"epochs": 3}}, "[fixed]"),
        ({"metric": "loss"}, "metric"), ({"direction": "minimize"}, "direction"),
        ({"value": "best"}, "value"), ({"seed": 1}, "seed"),
        ({"search_space": {}}, "the set of searched hyperparameters"),
        ({"seed": 1, "code": "x", "syntax": "x"}, f"{CODE} and seed"),
    ],
)
def test_what_makes_trials_others_is_named(
    make_study: Make, changes: dict[str, Any], said: str
) -> None:
    study = read(make_study())
    round_ = begun(study, True)
    notes = list[str]()
    refuse_changes(study, round_, None, notes.append)
    assert notes == []
    assert incomparable(study, round_, None) == ""
    other = replace(round_, settings=replace(round_.settings, **changes))
    assert incomparable(study, other, None) == said
    with pytest.raises(InputError) as caught:
        refuse_changes(study, other, None, notes.append)
    accept = ","
    if said == CODE:
        accept = ", accept it with --accept-code (run, confirm, extend, or evaluate),"
    assert str(caught.value) == (
        f"{study.path}: {said} changed since round 1, so its trials cannot be compared; change it "
        f"back{accept} or give the study another name"
    )
    if said == CODE:
        refuse_changes(study, other, None, notes.append, accept_code=True)
    else:
        with pytest.raises(InputError, match="its trials cannot be compared; change it back, or"):
            refuse_changes(study, other, None, notes.append, accept_code=True)


def test_one_digest_of_the_code_is_enough_and_an_accepted_one_counts(make_study: Make) -> None:
    study = read(make_study())
    round_ = begun(study, True)
    code = study.objective.code
    for changes in ({"code": "x"}, {"syntax": "x"}):
        same = replace(round_, settings=replace(round_.settings, **changes))
        assert new_code(study, same) is None
        assert incomparable(study, same, None) == ""
    other = replace(round_, settings=replace(round_.settings, code="x", syntax="x"))
    assert new_code(study, other) == AcceptedCode(code.digest, code.syntax, since=1)
    accepted = AcceptedCode(code.digest, code.syntax, since=1)
    assert new_code(study, replace(other, accepted=accepted)) is None


def test_another_environment_is_noted(make_study: Make) -> None:
    study = read(make_study())
    round_ = begun(study, True)
    now = round_.settings.environment
    assert set(now) == {"hpo", "numpy", "optuna", "scipy", "python", "machine", "blas"}
    assert now["python"] == f"{sys.version_info[0]}.{sys.version_info[1]}"
    before = replace(round_.settings, environment={**now, "numpy": "1.0", "torch": "2.0"})
    notes = list[str]()
    refuse_changes(study, replace(round_, settings=before), None, notes.append)
    assert notes == [
        f"numpy is {now['numpy']}, but was 1.0 in round 1; results may differ in the last digits",
        "torch is missing, but was 2.0 in round 1; results may differ in the last digits",
    ]


def test_more_trials_are_those_of_a_round_that_had_them_from_the_start(
    make_study: Make,
) -> None:
    expected = undisturbed(make_study, round={"trials": 17, "sampler": "tpe", "parallel": 3})
    for trials in (12, 17):
        file = make_study(round={"trials": trials, "sampler": "tpe", "parallel": 3})
        hpo("run", file, "--inline")
    assert table() == expected


def test_only_the_last_round_grows(
    make_study: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"sampler": "tpe", "parallel": 3}
    hpo("run", make_study("whole", rounds=2, round={"trials": 12, **settings}), "--inline")
    file = make_study("grown", rounds=2, round={"trials": 12, **settings})
    hpo("run", file, "--inline")
    make_study("grown", rounds=2, round={"trials": 17, **settings})
    capsys.readouterr()
    hpo("run", file, "--inline")
    shown = capsys.readouterr().out
    assert "[round] trials = 17: round 2 continues to 17; it started with 12" in shown
    rows = table("grown")
    assert [row["round"] for row in rows] == ["1"] * 12 + ["2"] * 17
    assert [r for r in rows if int(r["number"]) <= 12] == table("whole")
    hpo("run", file, "--inline")
    assert "trials = 17" not in capsys.readouterr().out
    assert table("grown") == rows
    hpo("run", make_study("grown", rounds=2, round={"trials": 5, **settings}), "--inline")
    said = "[round] trials = 5: applies to the next round, which --rounds 3 starts"
    assert said in capsys.readouterr().out
    assert table("grown") == rows  # fewer take none away


def test_a_grid_has_the_points_that_it_began_with(make_study: Make) -> None:
    file = make_study(round={"trials": 4, "sampler": "grid"})
    hpo("run", file, "--inline")
    make_study(round={"trials": 9, "sampler": "grid"})
    hpo("run", file, "--inline")
    assert len(table()) == 4
