"""A study comes to search one hyperparameter more, and its earlier trials still count."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures import Command, Make, client_of, hpo, table

RATE = {"low": 1e-4, "high": 1.0, "log": True}
DECAY = {"low": 1e-8, "high": 1e-4, "log": True}
FILLED = {**DECAY, "backfill": 1e-6}


def study(make_study: Make, searched: dict[str, Any], **changes: Any) -> Path:
    settings = {"trials": 12, "sampler": "tpe", "parallel": 2}
    return make_study(
        search_space={"learning_rate": RATE, **searched},
        round=settings | changes.pop("round", {}), **changes,
    )


def test_earlier_trials_stay_in_the_search_with_what_they_had(
    make_study: Make, folder: Path, command: Command
) -> None:
    file = study(make_study, {}, fixed={"weight_decay": 1e-6})
    hpo("run", file, "--inline")
    hpo("confirm", file, "--inline", "--top", 2, "--repeats", 1)
    study(make_study, {"weight_decay": FILLED}, rounds=2)
    outcome = command("run", file, "--inline")
    assert outcome.code == 0
    assert ("[search_space] weight_decay: 1e-08 to 0.0001, from round 2 on; earlier trials count "
            "as having 1e-06") in " ".join(outcome.out.split())
    rows = table("toy", "--repeats")
    assert len([row for row in rows if row["repeat"] == "1"]) == 2  # they are not lost
    assert {row["weight_decay"] for row in rows if row["round"] == "1"} == {"1e-06"}
    second = {row["weight_decay"] for row in rows if row["round"] == "2"}
    assert len(second) == 12
    assert all(1e-8 <= float(value) <= 1e-4 for value in second)
    moves = json.loads(command("narrow", file, "--json").out)["moves"]
    assert [move["name"] for move in moves] == ["learning_rate", "weight_decay"]
    assert "24 trials" in moves[0]["reason"] or "of 24" in moves[0]["reason"]
    for arguments in (("show", "toy"), ("show", "toy", "--figures", "figures"),
                      ("report", "toy", "report.html"), ("best", "toy"),
                      ("confirm", file, "--inline", "--top", 3, "--repeats", 1)):
        assert command(*arguments).code == 0, arguments
    experiment = client_of(f"sqlite:///{folder / 'mlflow.db'}").get_experiment_by_name("toy")
    views = [text for name, text in experiment.tags.items() if "sharedViewState" in name]
    assert any("weight_decay" in text for text in views)
    hpo("run", file, "--inline", "--rounds", 3)
    assert len(table()) == 36


def test_a_round_is_the_same_whether_its_study_went_on_at_once_or_from_the_record(
    make_study: Make
) -> None:
    file = study(make_study, {}, fixed={"weight_decay": 1e-6})
    hpo("run", file, "--inline")
    study(make_study, {"weight_decay": FILLED}, rounds=3)
    hpo("run", file, "--inline")
    at_once = table()
    study(make_study, {}, name="again", fixed={"weight_decay": 1e-6})
    hpo("run", "again.toml", "--inline")
    study(make_study, {"weight_decay": FILLED}, name="again", rounds=2, round={"parallel": 2})
    hpo("run", "again.toml", "--inline")
    hpo("run", "again.toml", "--inline", "--rounds", 3)
    assert table("again") == at_once


@pytest.mark.parametrize(
    ("searched", "fixed", "said"),
    [
        (DECAY, {"weight_decay": 1e-6}, "[fixed] and the set of searched hyperparameters changed "
         "since round 1, so its trials cannot be compared; change it back, or give the study "
         "another name"),
        (DECAY, {}, "the set of searched hyperparameters changed since round 1, so its trials "
         "cannot be compared; set search_space.weight_decay.backfill to the value that the earlier "
         "trials had, or give the study another name"),
        ({**FILLED, "backfill": 1e-7}, {"weight_decay": 1e-6}, "search_space.weight_decay.backfill:"
         " the earlier trials had 1e-06, from [fixed]; use that value"),
        ({**FILLED, "backfill": 1.0}, {}, "search_space.weight_decay.backfill: 1.0 is outside "
         "the range; widen the range to include the value of the earlier trials"),
        ({**FILLED, "backfill": "no"}, {}, "search_space.weight_decay.backfill: expected a "
         "number, got 'no'"),
    ],
)
def test_what_is_wrong_is_said(
    make_study: Make, command: Command, searched: dict[str, Any], fixed: dict[str, Any], said: str
) -> None:
    file = study(make_study, {}, fixed=fixed, round={"trials": 2})
    hpo("run", file, "--inline")
    study(make_study, {"weight_decay": searched}, rounds=2, round={"trials": 2})
    outcome = command("run", file, "--inline")
    assert outcome.code == 2
    assert outcome.err.startswith(f"hpo: {file}: {said}")


def test_a_value_outside_the_range_is_taken_where_it_is_meant(
    make_study: Make, command: Command
) -> None:
    file = study(make_study, {}, fixed={"weight_decay": 0.0})
    hpo("run", file, "--inline")
    study(make_study, {"weight_decay": {**DECAY, "backfill": {"outside": 0.0}}}, rounds=2)
    outcome = command("run", file, "--inline")
    assert outcome.code == 0
    assert ("weight_decay: 1e-08 to 0.0001, from round 2 on; earlier trials had 0.0, outside it, "
            "so proposals ignore them") in " ".join(outcome.out.split())
    rows = table()
    assert {row["weight_decay"] for row in rows if row["round"] == "1"} == {"0.0"}
    # A log scale has no place for 0: the moves are those of the twelve trials of round 2.
    moves = json.loads(command("narrow", file, "--json").out)["moves"]
    assert all("12 trials" in move["reason"] for move in moves)


def test_what_is_open_goes_on_without_it(make_study: Make, command: Command) -> None:
    file = study(make_study, {}, round={"trials": 2})
    hpo("run", file, "--inline")
    more = study(make_study, {"weight_decay": FILLED}, round={"trials": 4})
    for arguments in (("run", more), ("confirm", more)):
        outcome = command(*arguments, "--inline")
        assert (outcome.code, outcome.err) == (
            2, f"hpo: {file}: search_space.weight_decay: is new, and the trials of round "
            "1 do not have it; start a new round with --rounds 2, or remove it for now\n"
        )
    assert len(table()) == 2
    hpo("run", more, "--inline", "--rounds", 2)
    assert [row["weight_decay"] for row in table()][:2] == ["1e-06", "1e-06"]
