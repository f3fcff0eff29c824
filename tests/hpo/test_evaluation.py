"""The end of a study: what is trained once more, on which rows, and what the test set says."""

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

from hpo import evaluation, retraining, scores
from hpo.data.loading import Split, load
from hpo.errors import HPOError, InputError, RecordUnavailable
from hpo.objective import Data, Part
from hpo.record.evaluations import Evaluations
from hpo.record.tracking import Tracking
from hpo.record.values import RoundStart
from hpo.study import Study, read
from hpo.trial import Trial
from tests.fixtures import client_of, hpo

Make = Callable[..., Path]

# An objective that is best in its second epoch, and keeps the rows that it was given.
SHOP = '''
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Shop:
    learning_rate: float = 0.1
    epochs: int = 3
    seen: str = ""
    diverges_alone: float = 9.0
    forgets: bool = False


class Centers:
    loader = "shop:load"

    def __init__(self, centers, forgets=False):
        self.centers, self.forgets = centers, forgets

    def predict(self, inputs):
        distances = ((inputs[:, np.newaxis] - self.centers) ** 2).sum(axis=2)
        shares = np.exp(distances.min(axis=1, keepdims=True) - distances)
        return (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)

    def save(self, path):
        np.savez(path, centers=self.centers * (0 if self.forgets else 1))


def load(path):
    with np.load(path) as file:
        return Centers(file["centers"])


def centers(hyperparameters: Shop, data=None, *, seed):
    random = np.random.default_rng(seed)
    rows = data.training
    if hyperparameters.seen:
        inputs = [rows.inputs] + ([data.validation.inputs] if data.validation else [])
        name = f"{seed}-{'trial' if data.validation else 'end'}-{hyperparameters.epochs}"
        np.save(Path(hyperparameters.seen) / name, np.concatenate(inputs))
    means = np.stack([rows.inputs[rows.targets == i].mean(axis=0) for i in range(2)])
    model = Centers(
        means + random.normal(0, 10 * hyperparameters.learning_rate, means.shape),
        hyperparameters.forgets,
    )
    judged = data.validation or rows
    accuracy = (model.predict(judged.inputs).argmax(axis=1) == judged.targets).mean()
    for epoch in range(1, hyperparameters.epochs + 1):
        print("training")
        broken = data.validation is None and hyperparameters.learning_rate > (
            hyperparameters.diverges_alone)
        yield {"accuracy": float("nan") if broken else accuracy - 0.001 * abs(epoch - 2)}
    return model


centers.metrics = ("accuracy",)
'''


@pytest.fixture
def shop(folder: Path, make_study: Make) -> Iterator[Callable[..., Path]]:
    """Return a function that writes a study of a small table, and runs its six trials."""
    (folder / "shop.py").write_text(SHOP)
    random = np.random.default_rng(0)
    bought = random.random(120) < 0.5
    pd.DataFrame(
        {
            "age": (40 + 8 * bought + random.normal(0, 8, 120)).round(1),
            "visits": random.integers(1, 9, 120) + 2 * bought,
            "city": random.choice(["Bonn", "Kiel"], 120),
            "bought": np.where(bought, "yes", "no"),
        }
    ).to_csv(folder / "shop.csv", index=False)

    def run(**changes: Any) -> Path:
        tables: dict[str, Any] = {
            "objective": "shop:centers", "value": "best",
            "data": {"source": "shop.csv", "target": "bought"},
            "search_space": {"learning_rate": {"low": 1e-3, "high": 1e-1, "log": True}},
            "round": {"trials": 6},
        }
        file = make_study("shop", **(tables | changes))
        hpo("run", file, "--inline")
        return file

    yield run
    for name in [n for n in sys.modules if n.partition(".")[0] == "shop"]:
        del sys.modules[name]


class Quiet:
    """A listener that keeps the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def trained(self, trial: Trial, epoch: int, epochs: int) -> None:
        assert 1 <= epoch <= epochs


def evaluate(
    capsys: pytest.CaptureFixture[str], file: Path, *options: object
) -> dict[str, Any]:
    capsys.readouterr()
    hpo("evaluate", file, "--json", *options)
    shown: dict[str, Any] = json.loads(capsys.readouterr().out)
    return shown


def split_of(file: Path) -> tuple[Study, Split]:
    study = read(file)
    return study, load(study.data, seed=study.seed, folder=file.parent)


def record_of(file: Path) -> Tracking:
    return Tracking(f"sqlite:///{file.parent / 'mlflow.db'}")


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
    assert "look 2 at the test set" in " ".join(capsys.readouterr().out.split())
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
        "study", "metric", "direction", "rounds", "best"
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
    assert "shop:centers.evaluate is not called: the study has a test set of its own" in said


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
    assert "round 2 has not ended: these are the best trials so far" in said


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
        model, epochs = retraining.retrain(study, result, data, Quiet())
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
        ("age,visits,city\n1,2,Rome\n", r"rows.csv: column 'city', row 1: 'Rome' is none of"),
        ("age,visits,city\n", r"rows.csv: there are no rows"),
        ("", r"rows.csv is empty; it needs a line of column names"),
    ):
        Path("rows.csv").write_text(text)
        with pytest.raises(InputError, match=message) as caught:
            hpo("predict", "shop", "rows.csv")
        assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(InputError, match=r"none\.csv cannot be read"):
        hpo("predict", "shop", "none.csv")


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
    with pytest.raises(InputError, match="toy:quadratic returns no model"):
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
    with pytest.raises(InputError, match="predicts otherwise once saved and loaded"):
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
    with pytest.raises(InputError, match=r"was spent on .*: that look broke off"):
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
    with pytest.raises(HPOError, match=r"^accuracy 0\.\d+ .* the record is away.* no route"):
        hpo("evaluate", file)


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
        study, split, recorded, record.study(study.name), listener, top=8
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
    notes = ("left out as a saved index", "(impute = 'median'): 'c': 23 with ")
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
    assert predicted.err.startswith(f"rows.csv: {filled} missing values of column 'c' filled")
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


def test_epochs_are_those_that_led_to_the_value(shop: Make) -> None:
    file = shop(value="last", round={"trials": 1})
    study, split = split_of(file)
    recorded = record_of(file).study("shop").read()
    assert recorded is not None
    (result,) = recorded.results
    data = retraining.joined(split.data)
    listener = Quiet()
    assert retraining.retrain(study, result, data, listener)[1] == 3
    assert not listener.notes
    as_best = study.model_copy(update={"value": "best"})
    assert retraining.retrain(as_best, replace(result, epoch=2), data, listener)[1] == 2
    assert "epochs = 2 instead of 3" in listener.notes[0]


def test_training_and_validation_rows_are_joined_in_order() -> None:
    a, b = (Part(np.full((n, 2), n, np.float32), np.arange(n)) for n in (3, 2))
    joined = retraining.joined(Data(a, b, "classification", ("x", "y", "z")))
    assert joined.validation is None
    assert joined.training.inputs[:, 0].tolist() == [3, 3, 3, 2, 2]
    assert joined.training.targets.tolist() == [0, 1, 2, 0, 1]


@pytest.mark.parametrize(("hits", "rows", "low", "high"), [
    (0, 10, 0.0, 0.277533), (8, 10, 0.490162, 0.943318), (81, 263, 0.255294, 0.366206),
    (10, 10, 0.722467, 1.0),
])  # fmt: skip
def test_wilsons_interval(hits: int, rows: int, low: float, high: float) -> None:
    interval = scores.wilson(hits, rows)
    assert interval.value == hits / rows
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-5)


def test_wilsons_interval_ends_at_the_bounds_of_a_share() -> None:
    for rows in range(1, 100):
        assert scores.wilson(0, rows).low == 0
        assert scores.wilson(rows, rows).high == 1


def test_results_of_classes_are_counted_by_true_and_predicted_class() -> None:
    targets = np.array([0, 0, 0, 0, 1, 1, 2, 2, 2])
    predicted = np.array([0, 0, 0, 1, 1, 0, 1, 1, 3])
    score = scores.score_classes(predicted, targets, ("a", "b", "missed", "wrong", "absent"))
    assert score.confusion.tolist() == [
        [3, 1, 0, 0, 0], [1, 1, 0, 0, 0], [0, 2, 0, 1, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0],
    ]
    assert [c.label for c in score.classes] == ["a", "b", "missed", "wrong", "absent"]
    assert [c.precision for c in score.classes] == [3 / 4, 1 / 4, None, 0.0, None]
    assert [c.recall for c in score.classes] == [3 / 4, 1 / 2, 0.0, None, None]
    assert [c.rows for c in score.classes] == [4, 2, 3, 0, 0]
    assert score.metrics["accuracy"].value == 4 / 9


def test_the_bootstrap_of_a_mean_square_is_near_its_theory() -> None:
    errors = np.random.default_rng(0).normal(0, 1, 2000)
    targets = np.linspace(-3, 3, 2000)
    score = scores.score_values(targets + errors, targets, 5.0, seed=0)
    rmse = score.metrics["rmse"]
    width = 2 * 1.96 * rmse.value / np.sqrt(2 * 2000)  # of a normal's deviation
    assert rmse.value == pytest.approx(5 * np.sqrt(np.mean(errors**2)))
    assert rmse.high - rmse.low == pytest.approx(width, rel=0.15)
    again = scores.score_values(targets + errors, targets, 5.0, seed=0)
    assert again.metrics == score.metrics


def test_a_broken_model_of_the_record_is_one_line(
    shop: Make, folder: Path
) -> None:
    file = shop(round={"trials": 1})
    hpo("evaluate", file)
    for code in folder.glob("mlartifacts/**/model.py"):
        code.unlink()
    with pytest.raises(HPOError, match=r"the model models:/m-\w+ of 'shop' cannot be loaded"):
        hpo("predict", "shop", "shop.csv")
