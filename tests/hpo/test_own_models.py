"""A model of a study without data of hpo's is kept, and predicts rows of a file."""

import csv
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_wine
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from hpo import forms, own_models
from hpo.errors import InputError
from hpo.objective import Objective
from tests.fixtures import Outcome, evaluate, hpo
from tests.hpo.fitted import INPUTS, VALUES

OBJECTIVE = '''
import pandas as pd
{imports}

def rows():
    table = pd.read_csv("wine.csv")
    return table.drop(columns="label"), table["label"]


def train(C: float = 1.0, *, seed):
    inputs, labels = rows()
    model = {model}
    model.fit(inputs{values}, labels)
    yield {{"score": -C}}
    return model


def judge(model):
    return {{"test_score": 0.5}}


train.evaluate = judge
{more}
'''
WINE = load_wine(as_frame=True)
LABELS = np.array(["red", "white", "rosé"])[WINE.target]
Make = Callable[..., Path]


@pytest.fixture
def own(folder: Path, make_study: Make) -> Iterator[Make]:
    """Return a function that writes an objective with a table of its own, and runs a study."""
    WINE.data.assign(label=LABELS).to_csv(folder / "wine.csv", index=False)

    def run(model: str, imports: str, more: str = "", values: str = "") -> Path:
        text = OBJECTIVE.format(model=model, imports=imports, more=more, values=values)
        (folder / "winery.py").write_text(text)
        sys.modules.pop("winery", None)
        file = make_study(
            "winery", objective="winery:train", metric="score",
            search_space={"C": {"low": 0.1, "high": 1.0}}, round={"trials": 2},
        )
        hpo("run", file, "--inline")
        return file

    yield run
    sys.modules.pop("winery", None)


FOREST = ("RandomForestClassifier(n_estimators=9, max_depth=4, random_state=seed)",
          "from sklearn.ensemble import RandomForestClassifier")


def predicted(folder: Path) -> list[dict[str, str]]:
    """Return what `hpo predict` says of the rows, in a process that has no objective."""
    (folder / "winery.py").unlink()
    done = subprocess.run(
        [sys.executable, "-m", "hpo", "predict", "winery", "wine.csv", "--output", "out.csv"],
        cwd=folder, capture_output=True, text=True, check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    with (folder / "out.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_classifier_of_a_table_predicts_rows_by_its_own_columns_and_labels(
    own: Make, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = evaluate(capsys, own(*FOREST))
    assert shown["metrics"] == {"test_score": 0.5}
    assert shown["model"].startswith("models:/")
    table = pd.read_csv(folder / "wine.csv")
    table[table.columns[::-1]].to_csv(folder / "wine.csv", index=False)  # found by their names
    rows = predicted(folder)
    assert set(rows[0]) == {"label", *(f"probability_{label}" for label in set(LABELS))}
    assert np.mean([row["label"] for row in rows] == LABELS) > 0.95
    assert float(rows[0]["probability_red"]) > 0.5


def test_boosters_are_kept_with_the_names_of_their_columns(
    own: Make, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("lightgbm")
    own("LGBMClassifier(n_estimators=20, verbose=-1)", "from lightgbm import LGBMClassifier")
    evaluate(capsys, folder / "winery.toml")
    rows = predicted(folder)
    assert np.mean([row["label"] for row in rows] == LABELS) > 0.95


def test_what_comes_next_is_shown_and_a_model_of_arrays_takes_columns_in_their_order(
    own: Make, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = own(*FOREST, values=".to_numpy()")
    capsys.readouterr()
    hpo("evaluate", file)
    assert "hpo predict winery rows.csv" in capsys.readouterr().out
    rows = predicted(folder)
    assert np.mean([row["label"] for row in rows] == LABELS) > 0.95


def test_a_model_of_its_own_class_is_kept_with_the_code_of_the_objective(
    own: Make, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = '''
import numpy as np

class Means:
    loader = "winery:load"

    def __init__(self, means=None):
        self.means = means

    def fit(self, inputs, labels):
        self.means = np.stack([inputs[labels == label].mean() for label in train.classes])
        return self

    def predict(self, inputs):
        distances = ((inputs[:, None] - self.means) ** 2).mean(axis=2)
        return np.eye(3)[distances.argmin(axis=1)]

    def save(self, path):
        np.save(path.open("wb"), self.means)


def load(path):
    return Means(np.load(path))


train.classes = ("red", "white", "rosé")
train.example = lambda: rows()[0].head()
'''
    evaluate(capsys, own("Means()", "", more))
    rows = predicted(folder)
    assert {row["label"] for row in rows} == {"red", "white", "rosé"}
    assert np.mean([row["label"] for row in rows] == LABELS) > 0.6


@pytest.mark.parametrize(("model", "more", "said"), [
    ("Held()", "class Held:\n    def fit(self, *_): return self",
     "winery:train returned a value of type Held; return a model: one from scikit-l"),
    ("Held()", "class Held:\n    loader = predict = save = fit = lambda self, *_: self",
     "the shape of the rows that Held accepts is unknown; add a function `train.example`"),
    ("LogisticRegression(max_iter=9)", "train.example = lambda: 1 / 0",
     "train.example failed: ZeroDivisionError: division by zero (at winery.py, line "),
    ("LogisticRegression(max_iter=9)", "train.example = lambda: [['a']]",
     "train.example returned an array of shape (1, 1) and type <U1; return a few rows"),
    ("LogisticRegression(max_iter=9)", "train.example = lambda: [[1.0]]",
     "LogisticRegression cannot predict rows of shape (1,): ValueError: X has 1 features"),
    ("LogisticRegression(max_iter=9)", "train.classes = ('a', 'b')",
     "train.classes names 2 classes, but LogisticRegression has 3; name each of them"),
])  # fmt: skip
def test_what_is_not_kept_is_judged_and_why_is_one_line(
    own: Make, command: Callable[..., Outcome], model: str, more: str, said: str
) -> None:
    file = own(model, "from sklearn.linear_model import LogisticRegression", more)
    tried = command("check", file, "--try")
    assert tried.code == 0
    (line,) = (line for line in tried.out.splitlines() if line.startswith("  warning: "))
    assert f", which `hpo evaluate` could not save, so `hpo predict` would not work: {said}" in line
    judged = command("evaluate", file, "--json")
    assert judged.code == 0
    assert json.loads(judged.out)["model"] is None
    assert f"the model is not saved: {said}" in judged.err
    asked = command("predict", "winery", "wine.csv")
    assert (asked.code, asked.err.count("\n")) == (2, 1)
    assert f"'winery' has no model yet; its last evaluation did not keep one: {said}" in asked.err


def test_a_try_says_what_would_be_predicted(own: Make, command: Callable[..., Outcome]) -> None:
    tried = command("check", own(*FOREST), "--try")
    assert tried.out.splitlines()[-2].strip() == (
        "model: RandomForestClassifier, saved and loaded, predicts the same: label, "
        "probability_red, probability_rosé, probability_white; `evaluate` was not called, "
        "because that would count as an evaluation"
    )


def objective(**changes: Any) -> Objective:
    values: dict[str, Any] = dict.fromkeys(("parameters", "asks", "needs_data", "metrics", "code"))
    functions = dict.fromkeys(("files", "packages", "start", "check"), lambda *_: None)
    return Objective(name="some:train", **values, **functions, **changes)


def test_classes_without_probabilities_keep_their_labels() -> None:
    labels = np.where(VALUES > 0, "yes", "no")
    kept = own_models.own_model(objective(), LinearSVC().fit(INPUTS, labels))
    predictions = kept.predictor.predict(INPUTS)
    assert np.mean(predictions["label"] == labels) > 0.9
    assert set(predictions["probability_yes"]) == {0.0, 1.0}
    renamed = own_models.own_model(
        objective(classes=("a", "b")), LinearSVC().fit(INPUTS, labels)
    ).predictor.predict(INPUTS)
    assert np.array_equal(renamed["label"] == "b", predictions["label"] == "yes")


def test_values_are_in_the_units_of_the_model_and_numbers_keep_their_digits() -> None:
    rows = INPUTS.astype(np.float64) + 1e9  # of which float32 keeps no fraction
    values = rows @ np.array([1.0, -2.0, 0.5, 0.0])
    model = LinearRegression().fit(rows, values)
    kept = own_models.own_model(objective(), model)
    assert kept.inputs.dtype == np.float64
    found = kept.predictor.predict(rows)["value"]
    assert found == pytest.approx(model.predict(rows), rel=1e-6)
    assert not np.array_equal(rows, rows.astype(np.float32))


@pytest.mark.parametrize(("model", "said"), [
    (LinearRegression().fit(INPUTS, np.stack([VALUES, VALUES], 1)),
     r"shape \(100, 1\), got .*; make it predict one value .*; for a classifier, name the "),
    (make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(["one two", "three"], [0, 1]),
     r"the rows that Pipeline accepts is unknown; add a function `train\.example`"),
    ({"weights": 3}, "some:train returned a value of type dict; return a model: one from"),
])  # fmt: skip
def test_what_cannot_be_kept(model: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        own_models.own_model(objective(), model)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("classes", ["abc", (), ("a",), ("a", "a"), (1.5, 2.5), 3])
def test_classes_that_name_nothing_are_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, classes: Any
) -> None:
    monkeypatch.syspath_prepend(folder)
    name = f"naming_{abs(hash(str(classes)))}"
    text = f"def train(rate: float): ...\ntrain.classes = {classes!r}\n"
    (folder / f"{name}.py").write_text(text)
    with pytest.raises(InputError, match=r"`classes` of .* must hold at least two different"):
        forms.find(f"{name}:train")


def test_a_network_is_kept_by_an_example_of_its_rows(
    folder: Path, tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3))
    images = INPUTS.reshape(-1, 2, 2)
    kept = own_models.own_model(
        objective(example=lambda: torch.tensor(images), classes=("x", "y", "z")), network
    )
    kept.predictor.save(tmp_path)
    again = kept.predictor.load(tmp_path)
    shares = torch.softmax(network(torch.tensor(images)), 1).detach().numpy()
    table = again.predict(pd.DataFrame(INPUTS))
    assert table["probability_y"] == pytest.approx(shares[:, 1], abs=1e-6)
    words = torch.nn.Sequential(torch.nn.Embedding(5, 3), torch.nn.Flatten(), torch.nn.Linear(6, 1))
    numbers = np.random.default_rng(0).integers(0, 5, (20, 2))
    kept = own_models.own_model(objective(example=lambda: numbers), words)
    kept.predictor.save(tmp_path)
    values = kept.predictor.load(tmp_path).predict(numbers)["value"]
    assert values == pytest.approx(words(torch.tensor(numbers)).detach().numpy()[:, 0], abs=1e-6)


def test_an_example_of_a_network_may_have_another_type_of_float(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    network = torch.nn.Linear(4, 1)
    rows = INPUTS.astype(np.float64)
    kept = own_models.own_model(objective(example=lambda: rows), network)
    assert kept.inputs.dtype == np.float32
    kept.predictor.save(tmp_path)
    values = kept.predictor.load(tmp_path).predict(pd.DataFrame(rows))["value"]
    own = network(torch.tensor(INPUTS)).detach().numpy()[:, 0]
    assert values == pytest.approx(own, abs=1e-6)
    kept = own_models.own_model(objective(example=lambda: INPUTS), network.double())
    assert kept.inputs.dtype == np.float64
