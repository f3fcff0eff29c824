"""Commands that look at a study say what is on record."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from hpo import wording
from hpo.cli.looking import _runs
from hpo.errors import InputError
from tests.fixtures import Make, hpo, show, table


def test_narrow_proposes_what_the_next_round_takes(
    make_study: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    file = make_study(round={"trials": 20})
    hpo("run", file, "--inline")
    capsys.readouterr()
    hpo("narrow", "toy", "--json")
    proposal = json.loads(capsys.readouterr().out)
    assert (proposal["study"], proposal["round"]) == ("toy", 2)
    moves = {move["name"]: move for move in proposal["moves"]}
    assert moves["learning_rate"]["kind"] == "narrowed"
    assert moves["weight_decay"]["kind"] == "kept"
    assert all(move["reason"] for move in moves.values())
    hpo("narrow", file)
    printed = capsys.readouterr().out
    assert moves["learning_rate"]["reason"] in printed.replace("\n", " ")
    assert f"use it:   hpo run {file} --rounds 2\n" in printed
    hpo("narrow", "toy")
    assert "use it:   hpo run FILE --rounds 2\n" in capsys.readouterr().out
    hpo("run", file, "--inline", "--rounds", 2)
    ranges = show(capsys, "toy")["rounds"][1]["ranges"]
    for name, move in moves.items():
        assert ranges[name] == {key: move["new"][key] for key in ("low", "high")}


def test_a_study_recorded_on_a_server_may_run_on_a_cluster() -> None:
    assert _runs("https://there:5000") == "hpo run (or hpo submit)"
    assert _runs("sqlite:///mlflow.db") == "hpo run"


def test_an_edge_that_the_objective_refuses_does_not_move(
    make_study: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    file = make_study(  # the toy refuses 1000 and more; minimized, accuracy is best far away
        direction="minimize", round={"trials": 30},
        search_space={"learning_rate": {"low": 1.0, "high": 999.0, "log": True}},
    )
    hpo("run", file, "--inline")
    capsys.readouterr()
    hpo("narrow", "toy", "--json")
    (move,) = json.loads(capsys.readouterr().out)["moves"]
    assert move["new"]["high"] == 999.0
    assert move["kind"] == ("narrowed" if move["new"]["low"] > 1.0 else "kept")
    assert move["factor"] <= 1.0
    assert "does not accept values outside this range" in move["reason"]


@pytest.mark.parametrize("ending", ["csv", "parquet", "json"])
def test_export_writes_one_row_a_trial(make_study: Make, folder: Path, ending: str) -> None:
    hpo("run", make_study(objective="toy:cliff"), "--inline")
    hpo("export", "toy", f"trials.{ending}")
    readers = {"csv": pd.read_csv, "parquet": pd.read_parquet, "json": pd.read_json}
    frame = readers[ending](f"trials.{ending}")
    assert len(frame) == 12
    assert {"complete", "diverged"} <= set(frame["state"])
    assert list(frame.columns[-4:]) == ["attempt", "started", "seconds", "place"]
    started = pd.to_datetime(frame["started"], utc=True)
    assert ((pd.Timestamp.now("UTC") - started).dt.total_seconds().between(0, 600)).all()
    if ending == "parquet":
        assert isinstance(frame["started"].dtype, pd.DatetimeTZDtype)
    assert frame["epoch"].dtype.kind in "if"
    assert all(frame[name].dtype.kind == "f" for name in ("value", "accuracy", "seconds"))
    complete = frame[frame["state"] == "complete"]
    assert (complete["value"] == complete["accuracy"]).all()
    with pytest.raises(InputError, match=r"trials.xlsx: must end in .csv"):
        hpo("export", "toy", "trials.xlsx")


def test_list_names_the_studies(make_study: Make, capsys: pytest.CaptureFixture[str]) -> None:
    hpo("list")
    assert "no studies yet" in capsys.readouterr().out
    for name in ("one", "한글 / '두'"):
        file = make_study("file", seed=len(name))
        file.write_text(f'name = "{name}"\n' + file.read_text(), encoding="utf-8")
        hpo("run", file, "--inline")
    capsys.readouterr()
    hpo("list", "--json")
    studies = json.loads(capsys.readouterr().out)
    assert {s["study"] for s in studies} == {"one", "한글 / '두'"}
    assert all(s["rounds"] == 1 and s["best"]["value"] > 0.5 for s in studies)
    assert len(table("한글 / '두'")) == 12
    ended = [datetime.fromisoformat(s["last"]) for s in studies]
    assert all(timedelta(0) <= datetime.now(UTC) - end < timedelta(minutes=10) for end in ended)
    capsys.readouterr()
    hpo("list")
    heading, *lines = capsys.readouterr().out.splitlines()
    assert " ".join(heading.split()) == "study last result state trials best goal"
    for line, s, end in zip(lines, studies, ended, strict=True):
        assert line.split("  ")[0] == s["study"]
        best = wording.four_digits(s["best"]["value"])
        assert line.rstrip().endswith(
            f"{end.astimezone():%Y-%m-%d %H:%M}  ended      12  {best:>6}  maximize accuracy"
        )


def test_failed_trials_are_shown_with_their_traceback(
    make_study: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    space = {"learning_rate": {"low": 1e-7, "high": 1e-1, "log": True}}
    hpo("run", make_study(objective="toy:cliff", search_space=space), "--inline")
    capsys.readouterr()
    hpo("show", "toy")
    printed = capsys.readouterr().out
    assert "RuntimeError: too small a learning rate" in printed
    assert "about to fail" in printed
