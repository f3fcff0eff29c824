"""The trials of a study as a table, and the study as a summary."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from hpo.distributions import CategoricalDistribution, FloatDistribution, Value
from hpo.errors import InputError
from hpo.record.values import Recorded, Round
from hpo.report.results import summarize, table, write
from hpo.trial import Parts, State, Trial, TrialResult
from tests.fixtures import round_settings

SPACE = {"rate": FloatDistribution(0.1, 1.0, log=True),
         "sizes": CategoricalDistribution(((1, 2), (3,)))}
FIRST = TrialResult(
    Trial(1, 1, {"rate": 0.5, "sizes": (1, 2)}, 7), State.COMPLETE, 0.25, 2,
    [{"loss": 0.5, "b": 1.0}, {"loss": 0.25, "b": 2.0}], 2, 1e9, 2.5, "here", "",
)
FAILED = TrialResult(
    Trial(1, 2, {"rate": 0.2, "sizes": (3,)}, 8), State.FAILED, message="one\n=two"
)
LATER = replace(FIRST, trial=Trial(2, 1, {"rate": 0.7, "more": "x"}, 9), value=0.125)


def test_a_row_holds_all_of_a_trial() -> None:
    frame = table([LATER, FAILED, FIRST])
    assert list(frame.columns) == [
        "round", "number", "state", "value", "epoch", "epochs", "rate", "more", "sizes", "b",
        "loss", "seed", "message", "attempt", "started", "seconds", "place",
    ]
    rows = json.loads(frame.to_json(orient="records", date_format="iso"))
    assert [(row["round"], row["number"]) for row in rows] == [(1, 1), (1, 2), (2, 1)]
    assert rows[0] == {
        "round": 1, "number": 1, "state": "complete", "value": 0.25, "epoch": 2, "epochs": 2,
        "rate": 0.5, "more": None, "sizes": "[1, 2]", "b": 2.0, "loss": 0.25, "seed": 7,
        "message": "", "attempt": 2, "started": "2001-09-09T01:46:40.000Z", "seconds": 2.5,
        "place": "here",
    }
    assert (rows[1]["message"], rows[1]["epoch"], rows[1]["loss"]) == ("=two", None, None)
    assert list(table([]).columns) == ["round", "number", "state", "value"]


def test_a_file_is_written_as_it_ends(tmp_path: Path) -> None:
    write([FIRST, FAILED], tmp_path / "t.csv")
    lines = (tmp_path / "t.csv").read_bytes().split(b"\n")
    assert lines[0].startswith(b"round,number,state,value,epoch,epochs,rate,sizes,b,loss,seed,")
    assert b",'=two," in lines[2]
    assert lines[3] == b""
    write([FIRST], tmp_path / "t.json")
    (row,) = json.loads((tmp_path / "t.json").read_text())
    assert row["started"] == "2001-09-09T01:46:40.000Z"
    write([FIRST], tmp_path / "t.parquet")
    assert len(pd.read_parquet(tmp_path / "t.parquet")) == 1
    for name, said in (
        ("t.txt", "must end in .csv, .parquet, or .json"),
        ("no/t.csv", ""),
    ):
        with pytest.raises(InputError) as caught:
            write([FIRST], tmp_path / name)
        assert str(caught.value).startswith(f"{tmp_path / name}: {said}")
    assert str(caught.value).endswith("; choose another file")


def test_a_summary_counts_each_round() -> None:
    settings = round_settings(metric="loss", direction="minimize")
    rounds = [Round(n, "run", SPACE, settings, "", True) for n in (1, 2)]
    repeats = [replace(FIRST, trial=replace(FIRST.trial, repeat=1), value=0.0625)]
    recorded = Recorded("1", rounds=rounds, results=[FIRST, FAILED, LATER], repeats=repeats)
    first = {
        "round": 1,
        "ranges": {"rate": {"low": 0.1, "high": 1.0}, "sizes": {"choices": ((1, 2), (3,))}},
        "trials": 2, "complete": 1, "pruned": 0, "stopped": 0, "diverged": 0, "infeasible": 0,
        "failed": 1,
        "best": {"round": 1, "number": 1, "value": 0.25,
                 "hyperparameters": {"rate": 0.5, "sizes": (1, 2)}},
    }
    whole = summarize("s", recorded)
    assert whole["rounds"][0] == first
    assert (whole["study"], whole["metric"], whole["direction"]) == ("s", "loss", "minimize")
    assert whole["rounds"][1]["trials"] == whole["rounds"][1]["complete"] == 1
    assert (whole["best"]["number"], whole["best"]["value"]) == (1, 0.0625)
    only = summarize("s", recorded, 2)
    assert [r["round"] for r in only["rounds"]] == [2]
    assert only["best"]["value"] == 0.125
    assert summarize("s", Recorded("1")) == {
        "study": "s", "metric": None, "direction": None, "state": "no round yet",
        "run_by": None, "last": None, "rounds": [], "best": None
    }
    nothing = summarize("s", Recorded("1", rounds=rounds[:1]))
    assert (nothing["best"], nothing["rounds"][0]["best"]) == (None, None)


def test_what_a_trial_has_no_value_of_is_an_empty_cell(tmp_path: Path) -> None:
    points: list[dict[str, Value]] = [
        {"kind": "flat", "deep": True}, {"kind": "steep", "layers": 3, "rate": 0.5},
        {"kind": "steep", "layers": 4, "rate": 0.25, "deep": False},
    ]
    results = [
        TrialResult(Trial(1, n, point, 0), State.COMPLETE, 0.5, 1, [{"loss": 0.5}])
        for n, point in enumerate(points, start=1)
    ]
    write(results, tmp_path / "table.csv")
    with (tmp_path / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["kind"], r["layers"], r["rate"], r["deep"]) for r in rows] == [
        ("flat", "", "", "True"), ("steep", "3", "0.5", ""), ("steep", "4", "0.25", "False"),
    ]
    assert list(rows[0])[6:10] == ["kind", "deep", "layers", "rate"]
    write(results, tmp_path / "table.parquet")
    assert pd.read_parquet(tmp_path / "table.parquet")["layers"].tolist() == [pd.NA, 3, 4]


def test_no_hyperparameter_or_metric_takes_the_column_of_another() -> None:
    values: dict[str, Value] = {"epochs": 9, "rate": 0.5, "seed": 3}
    metrics = {"value": 4.0, "rate": 5.0, "standard_error": 6.0, "loss": 0.25}
    (row,) = json.loads(table([
        replace(FIRST, trial=Trial(1, 1, values, 7), metrics=[metrics],
                parts=Parts((0.2, 0.3), (0.25,))),
    ]).to_json(orient="records"))
    assert (row["value"], row["epochs"], row["seed"], row["rate"]) == (0.25, 1, 7, 0.5)
    assert (row["params.epochs"], row["params.seed"], row["loss"]) == (9, 3, 0.25)
    assert (row["metrics.value"], row["metrics.rate"]) == (4.0, 5.0)
    assert row["metrics.standard_error"] == 6.0
    assert row["standard_error"] == pytest.approx(0.05)
