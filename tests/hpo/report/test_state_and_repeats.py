"""How far a study is, when it last had a result, and the repeats of its trials, as exported."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from hpo.record.values import Look, Recorded
from hpo.report.results import summarize, table, write
from hpo.trial import State, TrialResult
from tests.hpo.report.drawn import RATES, study


def repeat(result: TrialResult, number: int, resplit: bool = False) -> TrialResult:
    trial = replace(result.trial, repeat=number, resplit=resplit, seed=number)
    return replace(result, trial=trial)


def test_repeats_follow_their_trial(tmp_path: Path) -> None:
    trials = list(study([RATES], 3).results)
    repeats = [repeat(trials[1], 2), repeat(trials[1], 1), repeat(trials[2], 1, resplit=True)]
    write([*trials, *repeats], tmp_path / "all.csv")
    frame = pd.read_csv(tmp_path / "all.csv")
    rows = frame[["number", "repeat", "resplit"]].itertuples(index=False, name=None)
    assert list(rows) == [
        (1, 0, False), (2, 0, False), (2, 1, False), (2, 2, False), (3, 0, False), (3, 1, True),
    ]
    assert frame["resplit"].dtype == bool
    assert "repeat" not in table(trials).columns


def test_every_metric_of_any_trial_has_a_column() -> None:
    first, second = study([RATES], 2).results
    odd = replace(second, metrics=[{"loss": 1.0}, {"loss": 0.5, "validation_accuracy": 0.7}])
    frame = table([first, odd])
    assert frame["loss"].isna().tolist() == [True, False]
    assert frame["loss"][1] == 0.5
    assert frame["validation_accuracy"].tolist() == [first.metrics[-1]["validation_accuracy"], 0.7]


WHOLE = study([RATES, RATES], 4)
OPEN = replace(WHOLE, rounds=[WHOLE.rounds[0], replace(WHOLE.rounds[1], ended=False)])
REPEATED = replace(WHOLE, repeats=[repeat(WHOLE.results[0], 1)])
LOOKED = replace(REPEATED, looks=(Look(1, "2026-01-02T03:04:05+00:00", "0.9"),))


@pytest.mark.parametrize(("recorded", "state"), [
    (WHOLE, "ended"), (REPEATED, "confirmed"), (LOOKED, "evaluated"),
    (replace(OPEN, results=OPEN.results[:-1]), "round 2 open, 3 of 40"),
    (replace(WHOLE, rounds=(), results=()), "no round yet"),
])  # fmt: skip
def test_a_study_says_how_far_it_is(recorded: Recorded, state: str) -> None:
    if "open" in state:
        last = recorded.rounds[-1]
        last = replace(last, settings=replace(last.settings, trials=40))
        recorded = replace(recorded, rounds=[*recorded.rounds[:-1], last])
    assert summarize("toy", recorded)["state"] == state


def test_a_study_says_when_it_last_had_a_result() -> None:
    def timed(result: TrialResult, started: float) -> TrialResult:
        return replace(result, started=started, seconds=1.5)

    one, two, *_ = WHOLE.results
    failed = replace(one, state=State.FAILED, started=0.0)  # by a worker that died at once
    for recorded, last in (
        (replace(WHOLE, results=[timed(one, 100.0), timed(two, 60.0)]),
         "1970-01-01T00:01:41+00:00"),
        (replace(WHOLE, results=[timed(one, 0.5)], repeats=[timed(repeat(one, 1), 3.0)]),
         "1970-01-01T00:00:04+00:00"),
        (replace(WHOLE, results=[failed]), None),
        (replace(LOOKED, results=[timed(one, 3.0)], repeats=()), "2026-01-02T03:04:05+00:00"),
    ):
        assert summarize("toy", recorded)["last"] == last
