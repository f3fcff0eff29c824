"""Fitted models, those of scikit-learn above all, are judged, kept, and predict as they did."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from hpo import framework_models, frameworks
from hpo.errors import InputError
from tests.fixtures import evaluate, hpo
from tests.hpo.fitted import CLASSES, INPUTS, RANDOM, VALUES, adapted, reloaded

OBJECTIVE = '''
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
{imports}

class Doubled(TransformerMixin, BaseEstimator):
    def fit(self, inputs, targets=None):
        return self

    def transform(self, inputs):
        return 2 * inputs


def train(C: float = 1.0, {more}*, data, seed):
    inputs, targets = data.training.inputs, data.training.targets
    rows = data.validation or data.training
    model = {model}
    model.fit(inputs.reshape(len(inputs), -1), targets)
    yield {{"score": model.score(rows.inputs.reshape(len(rows.inputs), -1), rows.targets)}}
    return model
'''


@pytest.fixture
def study(folder: Path, make_study: Callable[..., Path]) -> Iterator[Callable[..., Path]]:
    """Return a function that writes an objective and a study of two trials, and runs it."""

    def run(model: str, imports: str = "", more: str = "", **changes: Any) -> Path:
        text = OBJECTIVE.format(model=model, imports=imports, more=more)
        (folder / "fitting.py").write_text(text)
        sys.modules.pop("fitting", None)
        tables: dict[str, Any] = {
            "objective": "fitting:train", "metric": "score", "data": {"source": "digits"},
            "search_space": {"C": {"low": 1e-3, "high": 1e1, "log": True}},
            "round": {"trials": 2},
        }
        file = make_study("fitting", **(tables | changes))
        hpo("run", file, "--inline")
        return file

    yield run
    sys.modules.pop("fitting", None)


@pytest.mark.parametrize("estimator", [
    LogisticRegression(), RandomForestClassifier(5), HistGradientBoostingClassifier(max_iter=3),
    MLPClassifier(max_iter=5), make_pipeline(StandardScaler(), LogisticRegression()),
], ids=lambda e: type(e).__name__)  # fmt: skip
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_classifier_gives_its_probabilities_and_comes_back(
    estimator: Any, tmp_path: Path
) -> None:
    fitted = clone(estimator).fit(INPUTS, CLASSES)
    model = frameworks.adapted(fitted, 3, INPUTS)
    outputs = model.predict(INPUTS)
    assert outputs.dtype == np.float32
    assert np.array_equal(outputs, fitted.predict_proba(INPUTS).astype(np.float32))
    again = reloaded(model, tmp_path / "model.skops")
    assert np.array_equal(again.predict(INPUTS), outputs)


@pytest.mark.parametrize("estimator", [
    Ridge(), KNeighborsRegressor(),
    TransformedTargetRegressor(Ridge(), transformer=StandardScaler()),
], ids=lambda e: type(e).__name__)  # fmt: skip
def test_a_regressor_gives_one_value_for_each_row(estimator: Any, tmp_path: Path) -> None:
    fitted = clone(estimator).fit(INPUTS, VALUES)
    model = reloaded(frameworks.adapted(fitted, 0, INPUTS), tmp_path / "model.skops")
    assert model.predict(INPUTS).shape == (90, 1)
    assert model.predict(INPUTS)[:, 0] == pytest.approx(fitted.predict(INPUTS))


def test_a_class_that_was_never_seen_has_the_probability_0() -> None:
    seen = np.where(CLASSES == 1, 3, CLASSES)  # of the classes 0 to 4
    model = adapted(LogisticRegression(), seen, 5)
    outputs = model.predict(INPUTS)
    assert outputs.shape == (90, 5)
    assert not outputs[:, [1, 4]].any()
    assert np.array_equal(outputs.argmax(axis=1), model.estimator.predict(INPUTS))


def test_a_classifier_without_probabilities_gives_1_to_its_class(tmp_path: Path) -> None:
    model = reloaded(adapted(LinearSVC(), CLASSES, 3), tmp_path / "model.skops")
    outputs = model.predict(INPUTS)
    assert outputs.tolist() == np.eye(3)[model.estimator.predict(INPUTS)].tolist()


def test_images_are_flat_to_scikit_learn() -> None:
    model = adapted(Ridge(), VALUES)
    assert np.array_equal(model.predict(INPUTS.reshape(90, 2, 2)), model.predict(INPUTS))


@pytest.mark.parametrize(("estimator", "targets", "classes", "message"), [
    (Ridge(), CLASSES, 3, "Ridge is not a classifier, but the task is classification"),
    (LogisticRegression(), CLASSES, 0, "LogisticRegression is not a regressor, but the task is r"),
    (LogisticRegression(), CLASSES + 1, 3, r"must be indices from 0 to 2, got \[1, 2, 3\]"),
    (LogisticRegression(), np.array(["a", "b", "c"])[CLASSES], 3, r"got \['a', 'b', 'c'\]"),
    (Ridge(), np.stack([VALUES, VALUES], axis=1), 0, r"of shape \(90, 1\), got shape \(90, 2\)"),
])  # fmt: skip
def test_a_model_that_does_not_fit_the_data_is_refused(
    estimator: Any, targets: Any, classes: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        adapted(estimator, targets, classes)
    assert "\n" not in str(caught.value)


def test_what_is_not_fitted_says_so() -> None:
    with pytest.raises(ValueError, match=r"^Ridge cannot predict rows of shape \(4,\): NotF"):
        frameworks.adapted(Ridge(), 0, INPUTS)


def test_a_model_of_its_own_stays_as_it_is() -> None:
    class Own(Ridge):
        loader = "mine:load"

    for model in (Own(), object(), None):
        assert frameworks.adapted(model, 0, INPUTS) is model



def test_an_estimator_is_judged_kept_and_predicts_elsewhere(
    study: Callable[..., Path], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = study("make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=50))",
                 "from sklearn.preprocessing import StandardScaler")
    shown = evaluate(capsys, file, "--top", 2)
    assert shown["metrics"]["accuracy"]["value"] > 0.8
    kept = next(folder.glob("mlartifacts/**/MLmodel")).parent
    assert not list(folder.glob("mlartifacts/**/*.pkl"))
    assert {f.name for f in kept.rglob("member-*")} == {"member-1.skops", "member-2.skops"}
    needed = {line.partition("==")[0] for line in (kept / "requirements.txt").read_text().split()}
    assert {"numpy", "pandas", "scikit-learn", "skops"} <= needed

    pixels = np.random.default_rng(0).integers(0, 17, (5, 64))
    pd.DataFrame(pixels).to_csv("rows.csv", index=False)
    hpo("predict", file, "rows.csv")
    predicted = capsys.readouterr().out
    # Served where neither hpo nor the objective is: a finder refuses them.
    script = f"""
import sys
class Refusal:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("hpo", "trainer"):
            raise ImportError(name)
sys.meta_path.insert(0, Refusal())
import mlflow, pandas, numpy
model = mlflow.pyfunc.load_model({str(kept)!r})
rows = pandas.read_csv("rows.csv").to_numpy(float).reshape(-1, 8, 8)
model.predict(rows).to_csv(sys.stdout, index=False)
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True,
                          text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == predicted.splitlines()[0]
    served, ours = (
        [line.split(",") for line in text.splitlines()[1:]] for text in (done.stdout, predicted)
    )
    assert [line[0] for line in served] == [line[0] for line in ours]
    for one, other in zip(served, ours, strict=True):
        assert [float(x) for x in one[1:]] == pytest.approx([float(x) for x in other[1:]])


def test_an_estimator_with_a_type_of_its_own_is_refused_before_the_test_set_is_used(
    study: Callable[..., Path]
) -> None:
    file = study("make_pipeline(Doubled(), LogisticRegression(C=C))")
    message = r"it holds fitting\.Doubled, but only types .*`loader`"
    with pytest.raises(InputError, match=message) as caught:
        hpo("evaluate", file)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"it holds fitting\.Doubled"):  # so it is not spent
        hpo("evaluate", file)


def test_a_regressor_predicts_in_the_units_of_the_source(
    study: Callable[..., Path], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pd.DataFrame(RANDOM.normal(3, 2, (150, 3)), columns=["a", "b", "c"])
    table["price"] = 1000 + 50 * table["a"] - 20 * table["b"]
    table.to_csv(folder / "prices.csv", index=False)
    file = study("Ridge(alpha=C)", "from sklearn.linear_model import Ridge",
                 data={"source": "prices.csv", "target": "price"})
    assert evaluate(capsys, file)["metrics"]["r2"]["value"] > 0.99
    hpo("predict", file, "prices.csv")
    values = [float(line) for line in capsys.readouterr().out.splitlines()[1:]]
    assert values == pytest.approx(table["price"].tolist(), rel=0.02)


@pytest.mark.parametrize(("library", "model", "file_name"), [
    ("lightgbm", "lightgbm.LGBMRegressor(reg_lambda=C, n_estimators=20, verbose=-1)", "1.txt"),
    ("xgboost", "xgboost.XGBRegressor(reg_lambda=C, n_estimators=20)", "1.json"),
    ("torch", "Linear()", "1.pt2"),
])  # fmt: skip
def test_a_model_of_a_library_is_judged_kept_and_predicts(
    study: Callable[..., Path], folder: Path, capsys: pytest.CaptureFixture[str],
    library: str, model: str, file_name: str,
) -> None:
    pytest.importorskip(library, reason=f"{library} is not installed")
    table = pd.DataFrame(RANDOM.normal(3, 2, (300, 2)), columns=["a", "b"])
    table["price"] = 1000 + 50 * table["a"] - 20 * table["b"]
    table.to_csv(folder / "prices.csv", index=False)
    imports = f"import {library}" if library != "torch" else MODULE
    file = study(model, imports, data={"source": "prices.csv", "target": "price"})
    shown = evaluate(capsys, file)
    assert shown["metrics"]["r2"]["value"] > 0.8
    kept = next(folder.glob("mlartifacts/**/MLmodel")).parent
    assert [f.name for f in kept.rglob("member-*")] == [f"member-{file_name}"]
    needed = {line.partition("==")[0] for line in (kept / "requirements.txt").read_text().split()}
    assert library in needed
    hpo("predict", file, "prices.csv")
    values = [float(line) for line in capsys.readouterr().out.splitlines()[1:]]
    assert np.corrcoef(values, table["price"])[0, 1] > 0.9


MODULE = '''
import torch

class Linear(torch.nn.Linear):
    def __init__(self):
        super().__init__(2, 1)

    def fit(self, inputs, targets):
        solution = torch.linalg.lstsq(torch.tensor(inputs), torch.tensor(targets)[:, None])
        with torch.no_grad():
            self.weight[:] = solution.solution.T
            self.bias[:] = 0

    def score(self, inputs, targets):
        return -float(((self(torch.tensor(inputs))[:, 0] - torch.tensor(targets)) ** 2).mean())
'''


SHARES = np.array([[0.25, 0.75], [1.0, 0.0]], np.float32)


@pytest.mark.parametrize(
    ("outputs", "classes", "said"),
    [
        (SHARES, 2, ""), (SHARES[:, :1], 0, ""),
        (SHARES, 3, "expected predictions of shape (2, 3), got shape (2, 2); make it predict one "
         "probability per class"),
        (SHARES[:, :1], 3, "expected predictions of shape (2, 3), got shape (2, 1); make it "
         "predict one probability per class, or if the target is a number to predict, set task = "
         '"regression" in [data]'),
        (SHARES[0], 0, "expected predictions of shape (2, 1), got shape (2,); make it predict one "
         "value per row"),
        ([0.5], 0, "expected predictions of shape (2, 1), got list; make it predict one value per "
         "row"),
        (SHARES * np.nan, 2, "it predicts values that are not finite; train it with a smaller "
         "learning rate"),
        (SHARES * 2, 2, "its predictions are not probabilities; make each row non-negative, with "
         "a sum of 1"),
        (SHARES - [[0.5, -0.5]], 2, "its predictions are not probabilities; make each row "
         "non-negative, with a sum of 1"),
        (SHARES * 2, 0, None),
    ],
)
def test_what_a_model_predicts_is_looked_at(outputs: Any, classes: int, said: str | None) -> None:
    found = frameworks.fault(outputs, 2, classes)
    assert found == said or (said is None and found.startswith("expected predictions of shape"))


def test_outputs_are_put_in_the_order_of_the_classes() -> None:
    ordered = framework_models._in_order(SHARES, (2, 0), 3)
    assert ordered.tolist() == [[0.75, 0.0, 0.25], [0.0, 0.0, 1.0]]
    assert framework_models._in_order(np.array([0.25, 1.0]), (0, 1), 2).tolist() == [
        [0.75, 0.25], [0.0, 1.0]
    ]
    assert framework_models._in_order(np.array([3.0, 4.0]), (), 0).tolist() == [[3.0], [4.0]]
    for labels, classes in (((0, 1, 2), 3), ((0, 5), 3)):
        with pytest.raises(ValueError, match=f"^expected {len(labels)} outputs, one per class, "):
            framework_models._in_order(SHARES, labels, classes)
    assert frameworks._first(0, 2) == (0, 1)
    assert (frameworks._first(3, 3), frameworks._first(1, 0)) == ((0, 1, 2), ())
    shares = framework_models.softmax(np.array([[1000.0, 1000.0], [0.0, np.log(3)]]))
    np.testing.assert_allclose(shares, [[0.5, 0.5], [0.25, 0.75]])


def test_classes_that_are_no_indices_are_refused() -> None:
    assert frameworks.class_indices([2.0, 0.0], 3) == (2, 0)
    for classes in (["a", "b"], [0, 3], [[0, 1]]):
        with pytest.raises(ValueError, match=r"train it on data\.training\.targets$") as caught:
            frameworks.class_indices(classes, 3)
        assert str(caught.value).startswith(
            f"its classes must be indices from 0 to 2, got {classes};"
        )


def test_a_model_of_the_other_task_is_refused() -> None:
    for model, classes, said in (
        (Ridge(), 2, "Ridge is not a classifier, but the task is classification; return a "
         "classifier, or set task in [data]"),
        (LogisticRegression(), 0, "LogisticRegression is not a regressor, but the task is "
         "regression; return a regressor, or set task in [data]"),
    ):
        with pytest.raises(ValueError, match="is no") as caught:
            frameworks._check_task(model, classes)
        assert str(caught.value) == said


def test_what_reads_a_model_is_named_as_it_is_found() -> None:
    assert {name: load.__name__ for name, load in framework_models.LOADERS.items()} == {
        f"hpo.framework_models:load_{library}": f"load_{library}"
        for library in ("scikit_learn", "lightgbm", "xgboost", "torch", "keras")
    }
    kinds = (
        framework_models.LightGBMModel, framework_models.XGBoostModel,
        framework_models.TorchModel,
    )
    assert [(kind.file_suffix, kind.packages) for kind in kinds] == [
        (".txt", ("lightgbm",)), (".json", ("xgboost",)), (".pt2", ("torch",))
    ]
    assert framework_models.XGBoostModel(None, (0, 1), 2).loader_details == {
        "labels": (0, 1), "classes": 2, "iterations": 0, "margins": False
    }
    assert framework_models.TorchModel(None, (3,), 2).loader_details == {
        "shape": (3,), "classes": 2, "logits": False, "dtype": "float32"
    }
