"""The test set is used once, and what it says is recorded."""

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpo import evaluation, retraining
from hpo.data.predictor import Predictor, Preprocessing
from hpo.errors import HPOError, InputError, RecordUnavailable
from hpo.evaluation import Evaluation, Member
from hpo.record.evaluations import Evaluations
from hpo.record.values import Look, Recorded, RoundStart
from hpo.scores import ClassResult, Interval, Score, summary
from hpo.study import read
from hpo.trial import State, Trial, TrialResult
from tests.fixtures import Make, client_of, evaluate, hpo
from tests.hpo.evaluating import SHOP, Quiet, record_of, split_of


def unique(rows: Any) -> Any:
    return np.unique(rows, axis=0)


def test_the_test_set_is_used_once_and_by_no_training(
    shop: Make, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "seen").mkdir()
    file = shop(fixed={"seen": str(folder / "seen")})
    study, split = split_of(file)
    shown = evaluate(capsys, file)
    assert (shown["look"], shown["repeated"], shown["rows"]) == (1, False, 24)
    trials = {p.name: np.load(p) for p in sorted((folder / "seen").iterdir())}
    assert len(trials) == 7
    tested = {row.tobytes() for row in split.test.inputs}
    training = retraining.joined(split.data).training.inputs
    for rows in trials.values():
        assert not tested & {row.tobytes() for row in rows}
        assert np.array_equal(unique(rows), unique(training))
    # Once more the best trial, with its seed and as many epochs as led to its value.
    recorded = record_of(file).study("shop").read()
    assert recorded is not None
    (best,) = evaluation.best(study, recorded, 1)
    assert f"{best.trial.seed}-end-2.npy" in trials
    assert shown["members"][0]["number"] == best.trial.number
    assert shown["members"][0]["epochs"] == best.epoch == 2

    with pytest.raises(InputError, match=r"was spent on 20.* UTC: accuracy .*--again"):
        hpo("evaluate", file)
    assert len(list((folder / "seen").iterdir())) == 7  # refused before anything is trained
    hpo("evaluate", file, "--again", "--top", 2)
    assert "evaluation 2 on the test set" in " ".join(capsys.readouterr().out.split())
    client = client_of(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment(recorded.experiment_id)
    told = json.loads(experiment.tags["test_set_spent"])
    assert [look["number"] for look in told] == [1, 2]
    assert told[0]["result"].startswith(f"accuracy {shown['metrics']['accuracy']['value']:.4f}")
    runs = client.search_runs([recorded.experiment_id], "tags.kind = 'evaluation'")
    assert [run.data.tags["repeated"] for run in runs] == ["true", "false"]
    (searched,) = client.search_runs([recorded.experiment_id], "tags.kind = 'round'")
    (data,) = searched.inputs.dataset_inputs
    assert data.dataset.digest == split.description.digest
    assert "Repeated" in runs[0].data.tags["mlflow.note.content"]
    first = runs[1]
    assert first.data.params["of"] == str(best.trial.id)
    assert first.data.params["chosen"] == evaluation.chosen_as(best, study, recorded) == "observed"
    assert first.data.metrics["test_accuracy"] == shown["metrics"]["accuracy"]["value"]
    assert {f.path for f in client.list_artifacts(first.info.run_id, "figures")} == {
        "figures/confusion_matrix.png"
    }
    # What is known of rounds and trials is as before, but for the looks.
    after = record_of(file).study("shop").read()
    assert after is not None
    assert replace(after, looks=()) == replace(recorded, looks=())
    capsys.readouterr()
    hpo("show", file)
    assert f"test set spent on {told[1]['when'][:10]}" in capsys.readouterr().out
    hpo("show", file, "--json")
    assert set(json.loads(capsys.readouterr().out)) == {
        "study", "metric", "direction", "state", "run_by", "last", "rounds", "best",
        "recommended"
    }
    hpo("run", file, "--inline", "--rounds", 2, "--trials", 1)  # the record is still whole


def test_whatever_runs_after_a_look_leaves_the_next_one_repeated(
    shop: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    file = shop()
    assert not evaluate(capsys, file)["repeated"]
    for command in (
        ("run", file, "--inline", "--trials", 8),  # extended
        ("run", file, "--inline", "--rounds", 2, "--trials", 4),  # searched
        ("confirm", file, "--inline", "--top", 2, "--repeats", 2),
    ):
        hpo(*command)
        with pytest.raises(InputError, match=r"was spent on .*--again"):
            hpo("evaluate", file)
        assert evaluate(capsys, file, "--again")["repeated"]


def test_a_judge_is_not_called_where_there_is_a_test_set(
    shop: Make, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "shop.py").write_text(SHOP + "\ncenters.evaluate = lambda model: 1 / 0\n")
    file = shop(round={"trials": 1})
    hpo("evaluate", file)
    said = " ".join(capsys.readouterr().out.split())
    assert "shop:centers.evaluate is not called, because the study has a test set" in said


def test_that_the_last_round_has_not_ended_is_said(
    shop: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    file = shop()
    record = record_of(file).study("shop")
    recorded = record.read()
    assert recorded is not None
    (first,) = recorded.rounds
    record.start_round(RoundStart(2, first.search_space, first.settings))
    hpo("evaluate", file)
    said = " ".join(capsys.readouterr().out.split())
    assert "round 2 has not ended: evaluating the best of its trials so far" in said


def test_what_is_refused_leaves_the_test_set_untouched(
    shop: Make, make_study: Make, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = shop()
    text = file.read_text()
    with pytest.raises(InputError, match="evaluate needs the study file"):
        hpo("evaluate", "shop")
    with pytest.raises(InputError, match="has no model yet"):
        hpo("predict", "shop", "shop.csv")
    with pytest.raises(InputError, match="has 6 complete trials, fewer than 7"):
        hpo("evaluate", file, "--top", 7)
    file.write_text(text.replace("[fixed]", "[fixed]\nepochs = 4"))
    with pytest.raises(InputError, match=r"\[fixed\] changed since round 1"):
        hpo("evaluate", file)
    file.write_text(text)
    table = (folder / "shop.csv").read_text()
    (folder / "shop.csv").write_text(table + "30.0,3,Kiel,no\n")
    with pytest.raises(InputError, match="the data or its split changed since round 1"):
        hpo("evaluate", file)
    (folder / "shop.csv").write_text(table)
    (folder / "shop.py").write_text(SHOP + "ANOTHER = 1\n")
    sys.modules.pop("shop")  # as in a new process
    with pytest.raises(InputError, match="the code of the objective changed since round 1"):
        hpo("evaluate", file)
    (folder / "shop.py").write_text(SHOP)
    sys.modules.pop("shop")
    toy = make_study(data={"source": "digits"})
    hpo("run", toy, "--inline", "--trials", 1)
    with pytest.raises(InputError, match="toy:quadratic returned no model"):
        hpo("evaluate", toy)
    for name in ("shop", "toy"):
        recorded = record_of(file).study(name).read()
        assert recorded is not None
        assert not recorded.looks
        client = client_of(f"sqlite:///{folder / 'mlflow.db'}")
        assert not client.search_runs([recorded.experiment_id], "tags.kind = 'evaluation'")
    assert evaluate(capsys, file)["look"] == 1


def test_a_model_that_does_not_come_back_is_refused(shop: Make) -> None:
    file = shop(fixed={"forgets": True})
    with pytest.raises(InputError, match="predicts differently once saved and loaded"):
        hpo("evaluate", file)


def test_of_two_at_once_the_first_has_the_look(shop: Make, folder: Path) -> None:
    file = shop()
    study, split = split_of(file)
    record = record_of(file)
    recorded = record.study("shop").read()  # what both have read
    assert recorded is not None
    first = evaluation.evaluate(study, split, recorded, record.study("shop"), Quiet())
    with pytest.raises(InputError, match="another process used the test set"):
        evaluation.evaluate(study, split, recorded, record.study("shop"), Quiet())
    after = record.study("shop").read()
    assert after is not None
    assert list(after.looks) == [first.look]
    client = client_of(record.uri)
    runs = client.search_runs([recorded.experiment_id], "tags.kind = 'evaluation'")
    assert [run.info.run_id for run in runs] == [first.run_id]
    models = client.search_logged_models([recorded.experiment_id])
    assert [f"models:/{model.model_id}" for model in models] == [first.model]


def test_a_look_that_broke_off_counts(shop: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    file = shop()

    def broken(*_: object) -> None:
        raise RuntimeError("the power is gone")

    with monkeypatch.context() as patch:
        patch.setattr(evaluation, "score", broken)
        with pytest.raises(RuntimeError, match="power"):
            hpo("evaluate", file)
    with pytest.raises(InputError, match=r"was spent on .*: that evaluation was interrupted"):
        hpo("evaluate", file)
    with pytest.raises(InputError, match="has no model yet"):
        hpo("predict", "shop", "shop.csv")


def test_a_result_is_told_where_the_record_is_away(
    shop: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = shop(round={"trials": 1})

    def away(*_: object) -> None:
        raise RecordUnavailable("no route to host")

    monkeypatch.setattr(Evaluations, "end", away)
    with pytest.raises(HPOError, match=r"^accuracy 0\.\d+ .* the record is unreach.* no route"):
        hpo("evaluate", file)


def test_a_broken_model_of_the_record_is_one_line(
    shop: Make, folder: Path
) -> None:
    file = shop(round={"trials": 1})
    hpo("evaluate", file)
    for code in folder.glob("mlartifacts/**/model.py"):
        code.unlink()
    with pytest.raises(HPOError, match=r"the model models:/m-\w+ of 'shop' cannot be loaded"):
        hpo("predict", "shop", "shop.csv")


LOOK = Look(1, "2026-01-02T03:04:05Z", "accuracy 0.9")


def evaluated(*accuracies: float, number: int = 1) -> Evaluation:
    """Return an evaluation of so many members, whose ensemble is as good as the last one."""
    def score(accuracy: float) -> Score:
        return Score({"accuracy": Interval(accuracy, 0.25, 0.75)})

    members = tuple(
        Member(Trial(2, n, {"rate": 0.5}, 1), 0.7, n + 4, score(a))
        for n, a in enumerate(accuracies, start=1)
    )
    look = replace(LOOK, number=number)
    return Evaluation("s", look, 9, score(accuracies[-1]), members, "r", "models:/m-1")


def test_what_is_recorded_of_a_look() -> None:
    first = evaluated(0.5)
    assert evaluation._metrics(first) == {
        "test_accuracy": 0.5, "test_accuracy_low": 0.25, "test_accuracy_high": 0.75
    }
    table = "| round | trial | epochs | test accuracy |\n|---|---|---|---|\n"
    table += "| 2 | 1 | 5 | 0.5000 |\n"
    assert evaluation._tags(first) == {
        "model": "models:/m-1", "when": "2026-01-02T03:04:05Z", "repeated": "false",
        "mlflow.note.content": f"accuracy 0.9\n\n{table}",
    }
    second = evaluated(0.5, 0.75, number=2)
    assert evaluation._metrics(second)["test_accuracy_members_mean"] == 0.625
    tags = evaluation._tags(second)
    assert tags["repeated"] == "true"
    assert tags["mlflow.note.content"] == (
        "accuracy 0.9\n\n**Repeated**: this is evaluation 2 on the test set. If an earlier "
        "result influenced anything, this one is too optimistic.\n\n"
        f"{table}| 2 | 2 | 6 | 0.7500 |\n"
    )


def test_what_json_says_of_an_evaluation() -> None:
    assert evaluated(0.5).to_table() == {
        "study": "s", "look": 1, "repeated": False, "when": LOOK.when, "rows": 9,
        "metrics": {"accuracy": {"value": 0.5, "low": 0.25, "high": 0.75}}, "classes": [],
        "confusion": [], "mean_of_members": 0.5, "beats_members": None, "run": "r",
        "model": "models:/m-1", "kept": False,
        "members": [{"round": 2, "number": 1, "extended_to": None,
                     "hyperparameters": {"rate": 0.5}, "value": 0.7,
                     "epochs": 5, "accuracy": 0.5}],
    }
    second = evaluated(0.5, 0.75, number=2).to_table()
    assert (second["repeated"], second["beats_members"]) == (True, True)
    assert evaluated(0.75, 0.75).to_table()["beats_members"] is False


def test_looks_are_counted_and_their_time_is_read() -> None:
    assert evaluation.shown_time("2026-01-02T03:04:05Z") == "2026-01-02 03:04 UTC"
    assert evaluation.next_look(Recorded("1")).number == 1
    looks = (replace(LOOK, number=4), replace(LOOK, number=2))
    before = datetime.now(UTC).replace(microsecond=0)
    look = evaluation.next_look(Recorded("1", looks=looks))
    assert (look.number, look.result) == (5, "")
    assert before <= datetime.fromisoformat(look.when) <= datetime.now(UTC)
    trials = [TrialResult(Trial(1, n, {}, 0), State.COMPLETE) for n in range(1, 2000)]
    assert evaluation._names(trials[:2]) == "trial 1 of round 1; trial 2 of round 1"
    assert len(evaluation._names(trials)) == 6000


def test_a_score_in_one_line() -> None:
    score = Score({"r2": Interval(0.5, 0.25, 0.75), "rmse": Interval(1.5, 1.0, 2.0)})
    assert summary(score, 1) == (
        "r2 0.5000 (95 % interval 0.2500 to 0.7500), rmse 1.500 (95 % interval 1.000 to 2.000) on "
        "1 row"
    )


class Broken:
    """A model that cannot be saved."""

    def __init__(self, error: Exception, loader: str) -> None:
        self.error, self.loader = error, loader

    def predict(self, inputs: Any) -> Any:
        return inputs

    def save(self, path: Path) -> None:
        raise self.error


@pytest.mark.parametrize(
    ("error", "loader", "why"),
    [
        (ValueError("no"), "mine:load", "ValueError: no"),
        (ValueError("no"), "hpo.framework_models:load_lightgbm", "no"),
        (OSError("no"), "hpo.framework_models:load_lightgbm", "OSError: no"),
    ],
)
def test_a_model_that_cannot_be_saved_is_refused_with_the_reason(
    make_study: Make, tmp_path: Path, error: Exception, loader: str, why: str
) -> None:
    ensemble = Predictor(Preprocessing((1,)), (Broken(error, loader),))
    with pytest.raises(InputError) as caught:
        evaluation.keep(read(make_study()), ensemble, np.zeros((1, 1), np.float32), tmp_path)
    assert str(caught.value) == f"the model of toy:quadratic cannot be saved and loaded: {why}"


def test_a_figure_that_cannot_be_drawn_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no ink")

    monkeypatch.setattr(evaluation, "draw", fail)
    listener = Quiet()
    evaluation._write_outcome(evaluated(0.5), tmp_path, listener)
    assert listener.notes == []  # of a regression there is none
    classes = (ClassResult("é", 0.5, 0.5, 3),)
    whole = evaluated(0.5)
    whole = replace(whole, score=replace(whole.score, classes=classes))
    evaluation._write_outcome(whole, tmp_path, listener)
    assert listener.notes == ["drawing the confusion matrix failed: RuntimeError: no ink"]
    text = (tmp_path / "evaluation.json").read_text(encoding="utf-8")
    assert json.loads(text) == whole.to_table()
    assert '"label": "é"' in text
