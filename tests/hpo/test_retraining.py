"""The best are trained once more, on all training rows, for the epochs that led to their value."""

import ast
import csv
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix

from hpo import evaluation, retraining
from hpo.errors import HPOError, InputError
from hpo.objective import Data, Part
from hpo.study import read
from hpo.trial import State, Trial, TrialResult
from tests.fixtures import Make, evaluate, hpo, write_study
from tests.hpo.evaluating import Quiet, record_of, split_of


def test_an_ensemble_averages_and_is_the_model_in_mlflow(
    shop: Make, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = shop()
    study, split = split_of(file)
    shown = evaluate(capsys, file, "--top", 3)
    record = record_of(file)
    recorded = record.study("shop").read()
    assert recorded is not None
    best = evaluation.best(study, recorded, 3)
    assert [m["number"] for m in shown["members"]] == [r.trial.number for r in best]

    # By hand: the same three models, and the mean of their probabilities.
    data = retraining.joined(split.data)
    models = []
    for result in best:
        model, epochs = retraining.retrain(study, result, data, Quiet(), folder)
        assert model is not None
        assert epochs == 2
        models.append(model)
    each = [model.predict(split.test.inputs) for model in models]
    hits = [(one.argmax(axis=1) == split.test.targets).mean() for one in each]
    assert [m["accuracy"] for m in shown["members"]] == pytest.approx(hits)
    mean = np.mean(each, axis=0, dtype=np.float64)
    accuracy = (mean.argmax(axis=1) == split.test.targets).mean()
    assert shown["metrics"]["accuracy"]["value"] == pytest.approx(accuracy)
    assert shown["mean_of_members"] == pytest.approx(np.mean(hits))
    assert shown["beats_members"] == bool(accuracy > np.mean(hits))
    confusion = confusion_matrix(split.test.targets, mean.argmax(axis=1))
    assert shown["confusion"] == confusion.tolist()

    # The model in MLflow, `hpo predict` and the three models by hand agree, bit for bit.
    rows = pd.read_csv(folder / "shop.csv").iloc[:9]
    rows.to_csv("rows.csv", index=False)  # with the target, which is left aside
    hpo("predict", "shop", "rows.csv", "--output", "predicted.csv")
    with open("predicted.csv", newline="") as lines:
        predicted = list(csv.DictReader(lines))
    assert "MLFLOW_TRACKING_URI" not in os.environ  # or the next study would be written there
    monkeypatch.setenv("MLFLOW_TRACKING_URI", record.uri)
    import mlflow

    served = mlflow.pyfunc.load_model(shown["model"]).predict(rows)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    inputs = split.preprocessing.transform(rows)
    expected = np.mean([m.predict(inputs) for m in models], axis=0, dtype=np.float64)
    for index, name in enumerate(("no", "yes")):
        column = f"probability_{name}"
        assert served[column].tolist() == expected[:, index].tolist()
        assert [float(row[column]) for row in predicted] == expected[:, index].tolist()
    labels = [split.data.classes[i] for i in expected.argmax(axis=1)]
    assert served["label"].tolist() == [row["label"] for row in predicted] == labels
    capsys.readouterr()
    hpo("predict", file, "rows.csv")
    assert capsys.readouterr().out == Path("predicted.csv").read_text()

    # What is served stands alone: the code of the objective, and a file that imports no hpo.
    folders = list(folder.glob("mlartifacts/**/MLmodel"))
    assert len(folders) == 1
    assert [f.name for f in (folders[0].parent / "code").rglob("*.py")] == ["shop.py"]
    tree = ast.parse((folders[0].parent / "model.py").read_text(encoding="utf-8"))
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert imported - sys.stdlib_module_names == {"numpy", "mlflow", "pandas"}
    assert not list(folder.glob("mlartifacts/**/*.pkl"))

    for text, message in (
        ("age,visits\n1,2\n", r"rows.csv: no column 'city'; the columns are 'age', 'visits'"),
        ("age,visits,city\n1,2,Kiel\n1,x,Kiel\n", r"rows.csv: column 'visits', row 2: 'x' is no"),
        ("age,visits,city\n1,2,Rome\n", r"rows.csv: column 'city', row 1: 'Rome' is not one of"),
        ("age,visits,city\n", r"rows.csv: there are no rows"),
        ("", r"rows.csv is empty; add a line of column names"),
    ):
        Path("rows.csv").write_text(text)
        with pytest.raises(InputError, match=message) as caught:
            hpo("predict", "shop", "rows.csv")
        assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(InputError, match=r"none\.csv cannot be read"):
        hpo("predict", "shop", "none.csv")


def test_members_that_diverge_are_left_out(
    shop: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    rates = {"learning_rate": {"choices": [0.001, 0.05]}}
    file = shop(search_space=rates, fixed={"diverges_alone": 0.01}, round={"trials": 8})
    study, split = split_of(file)
    record = record_of(file)
    recorded = record.study("shop").read()
    assert recorded is not None
    listener = Quiet()
    result = evaluation.evaluate(
        study, split, recorded, record.study(study.name), listener, evaluation.Request(8)
    )
    assert 0 < len(result.members) < 8
    assert all(m.trial.hyperparameters == {"learning_rate": 0.001} for m in result.members)
    assert sum("diverged" in note for note in listener.notes) == 8 - len(result.members)


def test_a_regression_of_the_trainer_in_its_own_units(
    make_study: Make, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(0)
    table = pd.DataFrame(random.normal(3, 2, (200, 3)), columns=["a", "b", "c"]).round(4)
    table["price"] = 1000 + 50 * table["a"] - 20 * table["b"] + random.normal(0, 10, 200)
    table["c"] = table["c"].astype(object)
    table.loc[::9, "c"] = "?"
    table.to_csv(folder / "prices.csv")
    file = make_study(
        "prices", objective="trainer.objectives:perceptron", metric="validation_r2",
        data={"source": "prices.csv", "target": "price", "missing": ["?"], "impute": "median"},
        fixed={"hidden_sizes": [8], "epochs": 20, "batch_size": 16, "schedule": "cosine"},
        search_space={"learning_rate": {"low": 1e-2, "high": 5e-2, "log": True}},
        round={"trials": 3},
    )
    notes = ("ignored as a saved index", "(impute = 'median'): 'c': 23 with ")
    for command in (("check", file, "--data"), ("run", file, "--inline")):
        hpo(*command)
        printed = capsys.readouterr().out
        assert all(note in printed for note in notes)
    hpo("evaluate", file, "--json", "--top", 2)
    captured = capsys.readouterr()
    assert all(note in captured.err for note in notes)
    assert "squeezed" not in captured.err  # all epochs were wanted: nothing is changed
    shown = json.loads(captured.out)
    _, split = split_of(file)
    tested = {row.tobytes() for row in split.test.inputs}
    inputs = split.preprocessing.transform(table)
    rows = table[[row.tobytes() in tested for row in inputs]]
    assert len(rows) == shown["rows"] == 40
    rows.drop(columns="price").to_csv("rows.csv", index=False)
    hpo("predict", "prices", "rows.csv")
    predicted = capsys.readouterr()
    filled = (rows["c"] == "?").sum()
    assert predicted.err.startswith(f"rows.csv: {filled} missing values in column 'c' filled")
    lines = predicted.out.splitlines()
    assert lines[0] == "value"
    errors = np.array([float(line) for line in lines[1:]]) - rows["price"]
    rmse, r2 = shown["metrics"]["rmse"], shown["metrics"]["r2"]
    assert rmse["value"] == pytest.approx(np.sqrt(np.mean(errors**2)), rel=1e-4)
    assert r2["value"] == pytest.approx(1 - np.mean(errors**2) / rows["price"].var(ddof=0))
    assert rmse["low"] < rmse["value"] < rmse["high"]
    assert 0.8 < r2["low"] < r2["value"] < r2["high"] < 1
    assert (shown["classes"], shown["confusion"]) == ([], [])
    code = next(folder.glob("mlartifacts/**/MLmodel")).parent / "code"
    assert (code / "trainer" / "layers" / "dense.py").is_file()


def test_epochs_are_those_that_led_to_the_value(shop: Make, folder: Path) -> None:
    file = shop(value="last", round={"trials": 1})
    study, split = split_of(file)
    recorded = record_of(file).study("shop").read()
    assert recorded is not None
    (result,) = recorded.results
    data = retraining.joined(split.data)
    listener = Quiet()
    assert retraining.retrain(study, result, data, listener, folder)[1] == 3
    assert not listener.notes
    as_best = study.model_copy(update={"value": "best"})
    again = replace(result, epoch=2)
    assert retraining.retrain(as_best, again, data, listener, folder)[1] == 2
    assert "epochs = 2 instead of 3" in listener.notes[0]


def test_training_and_validation_rows_are_joined_in_order() -> None:
    a, b = (Part(np.full((n, 2), n, np.float32), np.arange(n)) for n in (3, 2))
    joined = retraining.joined(Data(a, b, "classification", ("x", "y", "z")))
    assert joined.validation is None
    assert joined.training.inputs[:, 0].tolist() == [3, 3, 3, 2, 2]
    assert joined.training.targets.tolist() == [0, 1, 2, 0, 1]


OBJECTIVE = """
def train(rate: float, {parameters}*, data=None, seed):
    print("not shown")
    for epoch in range({count}):
        yield {{"accuracy": rate, "loss": float({loss})}}
    return {model}
def judge(model): return 1.0
"""


@pytest.fixture
def retrained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., tuple[Any, list[str]]]]:
    """Return a function that trains a trial of three epochs once more; its model, and notes."""
    monkeypatch.syspath_prepend(tmp_path)

    def run(
        parameters: str = "", model: str = "None", loss: str = "1", best: bool = False,
        data: Data | None = None,
    ) -> tuple[Any, list[str]]:
        count = "epochs" if parameters else "3"
        text = OBJECTIVE.format(parameters=parameters, model=model, loss=loss, count=count)
        (tmp_path / "again.py").write_text(text)
        sys.modules.pop("again", None)
        study = read(write_study(
            tmp_path, objective="again:train", value="best" if best else "last",
            search_space={"rate": {"low": 0.0, "high": 1.0}},
            **({"data": {"source": "digits"}} if data else {}),
        ))
        metrics = [{"accuracy": 0.5}] * 3
        result = TrialResult(Trial(1, 7, {"rate": 0.5}, 3), State.COMPLETE, 0.5, 2, metrics)
        listener = Quiet()
        trained = retraining.retrain(study, result, data, listener)
        return trained, listener.notes

    yield run
    sys.modules.pop("again", None)


ROWS = Part(np.zeros((4, 2), np.float32), np.zeros(4, np.int64))
TWO = Data(ROWS, None, "classification", ("a", "b"))


@pytest.mark.parametrize(
    ("options", "epochs", "notes"),
    [
        ({}, 3, []),
        ({"best": True}, 3, ["trial 7 of round 1: 3 epochs, although its value is that of epoch "
                             "2, because the objective has no hyperparameter epochs"]),
        ({"parameters": "epochs: int = 3, "}, 3, []),
        ({"parameters": "epochs: int = 9, "}, 3, [
            "trial 7 of round 1: epochs = 3 instead of 9, because its value is that of epoch 3; a "
            "schedule over all epochs is compressed into these"]),
        ({"parameters": "epochs: int = 9, ", "best": True}, 2, [
            "trial 7 of round 1: epochs = 2 instead of 9, because its value is that of epoch 2; a "
            "schedule over all epochs is compressed into these"]),
    ],
)
def test_what_is_trained_otherwise_is_noted(
    retrained: Callable[..., Any], options: dict[str, Any], epochs: int, notes: list[str]
) -> None:
    assert retrained(model="{'a': 1}", **options) == (({"a": 1}, epochs), notes)


def test_a_trial_that_diverges_is_left_out(retrained: Callable[..., Any]) -> None:
    trained, notes = retrained(loss="'inf' if epoch == 1 else 1", model="{'a': 1}")
    assert trained == (None, 2)
    assert notes == ["trial 7 of round 1 diverged in epoch 2 and is ignored"]


MODELS = (
    "one from scikit-learn, LightGBM, XGBoost, Keras, or PyTorch, or a custom one "
    "(docs/models.md)"
)


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({}, InputError, "again:train returned no model for its `evaluate`; yield the metrics, "
         "then return the model"),
        ({"data": TWO}, InputError, "again:train returned no model, so there is nothing to "
         f"evaluate; return a model: {MODELS}"),
        ({"data": TWO, "model": "3"}, InputError, "again:train returned a value of type int, which "
         f"has no `predict`; return a model: {MODELS}"),
        ({"loss": "'x'"}, HPOError, "trial 7 of round 1 failed when retrained: "
         "ValueError: could not convert string to float: 'x' (at again.py, line 5)"),
        ({"loss": "'x'", "data": TWO}, HPOError, "trial 7 of round 1 failed when retrained on all "
         "training rows: ValueError: could not convert string to float: 'x' (at again.py, line 5); "
         "the objective must also train with data.validation = None"),
        ({"loss": "__import__('sys').exit(3)"}, HPOError, "trial 7 of round 1 failed when "
         "retrained: SystemExit: 3 (at again.py, line 5)"),
    ],
)
def test_without_a_model_the_remedy_is_said(
    retrained: Callable[..., Any], options: dict[str, Any], kind: type[HPOError], said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(kind) as caught:
        retrained(**options)
    assert (type(caught.value), str(caught.value)) == (kind, said)
    assert capsys.readouterr() == ("", "")
