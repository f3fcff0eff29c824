"""Fitted models of frameworks are judged, kept without pickle, and predict as they did."""

import contextlib
import io
import json
import pickle
import subprocess
import sys
import zipfile
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

from hpo import frameworks
from hpo.errors import InputError
from tests.fixtures import hpo

RANDOM = np.random.default_rng(0)
INPUTS = RANDOM.normal(size=(90, 4)).astype(np.float32)
CLASSES = (INPUTS[:, 0] > 0).astype(np.int64) + (INPUTS[:, 1] > 0)
VALUES = (INPUTS @ np.array([1.0, -2.0, 0.5, 0.0])).astype(np.float32)

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


def evaluated(capsys: pytest.CaptureFixture[str], file: Path, *options: object) -> dict[str, Any]:
    capsys.readouterr()
    hpo("evaluate", file, "--json", *options)
    shown: dict[str, Any] = json.loads(capsys.readouterr().out)
    return shown


def adapted(model: Any, targets: Any, classes: int = 0) -> Any:
    return frameworks.adapted(model.fit(INPUTS, targets), classes, INPUTS)


def reloaded(model: Any, path: Path) -> Any:
    model.save(path)
    return frameworks.LOADERS[model.loader](path, **model.loader_details)


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
    (Ridge(), CLASSES, 3, "Ridge is no classifier, and the task is classification"),
    (LogisticRegression(), CLASSES, 0, "LogisticRegression is no regressor, and the task is regr"),
    (LogisticRegression(), CLASSES + 1, 3, r"its classes are \[1, 2, 3\], not indices from 0 to 2"),
    (LogisticRegression(), np.array(["a", "b", "c"])[CLASSES], 3, r"'c'\], not indices"),
    (Ridge(), np.stack([VALUES, VALUES], axis=1), 0, r"shape \(90, 2\), not \(90, 1\)"),
])  # fmt: skip
def test_a_model_that_does_not_fit_the_data_is_refused(
    estimator: Any, targets: Any, classes: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        adapted(estimator, targets, classes)
    assert "\n" not in str(caught.value)


def test_what_is_not_fitted_says_so() -> None:
    with pytest.raises(ValueError, match=r"^Ridge does not predict rows of the shape \(4,\): NotF"):
        frameworks.adapted(Ridge(), 0, INPUTS)


def test_a_model_of_its_own_stays_as_it_is() -> None:
    class Own(Ridge):
        loader = "mine:load"

    for model in (Own(), object(), None):
        assert frameworks.adapted(model, 0, INPUTS) is model


# LightGBM and XGBoost.


@pytest.fixture
def lightgbm() -> Any:
    """Return LightGBM."""
    return pytest.importorskip("lightgbm", reason="LightGBM is not installed")


@pytest.fixture
def xgboost() -> Any:
    """Return XGBoost."""
    return pytest.importorskip("xgboost", reason="XGBoost is not installed")


@pytest.mark.parametrize("targets", [
    CLASSES, np.where(CLASSES == 1, 4, CLASSES), np.where(CLASSES == 2, 3, 0)
], ids=["three classes", "three of five", "two of five"])  # fmt: skip
def test_a_classifier_of_lightgbm_gives_its_probabilities(
    lightgbm: Any, targets: Any, tmp_path: Path
) -> None:
    fitted = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1).fit(INPUTS, targets)
    model = frameworks.adapted(fitted, 5, INPUTS)
    outputs = model.predict(INPUTS)
    assert outputs[:, fitted.classes_] == pytest.approx(fitted.predict_proba(INPUTS))
    assert outputs.sum() == pytest.approx(90)
    assert np.array_equal(reloaded(model, tmp_path / "model.txt").predict(INPUTS), outputs)
    assert (tmp_path / "model.txt").read_text().startswith("tree\n")


@pytest.mark.parametrize(("settings", "targets", "classes"), [
    ({"objective": "multiclass", "num_class": 3}, CLASSES, 3),
    ({"objective": "binary"}, CLASSES > 0, 2),
    ({"objective": "regression"}, VALUES, 0),
])  # fmt: skip
def test_a_booster_of_lightgbm_predicts_as_before(
    lightgbm: Any, settings: dict[str, Any], targets: Any, classes: int, tmp_path: Path
) -> None:
    data = lightgbm.Dataset(INPUTS, targets)
    booster = lightgbm.train({**settings, "verbose": -1}, data, 5)
    model = reloaded(frameworks.adapted(booster, classes, INPUTS), tmp_path / "model.txt")
    raw = booster.predict(INPUTS)
    assert model.predict(INPUTS).shape == (90, classes or 1)
    assert model.predict(INPUTS)[:, -1] == pytest.approx(raw if raw.ndim == 1 else raw[:, -1])


def test_a_regressor_of_lightgbm_keeps_its_best_iteration(lightgbm: Any, tmp_path: Path) -> None:
    regressor = lightgbm.LGBMRegressor(n_estimators=80, verbose=-1, min_child_samples=2)
    stopping = lightgbm.early_stopping(2, verbose=False)
    noise = VALUES + np.random.default_rng(1).normal(0, 2, 90)
    regressor.fit(INPUTS[:60], noise[:60], eval_set=[(INPUTS[60:], noise[60:])],
                  callbacks=[stopping])
    model = reloaded(frameworks.adapted(regressor, 0, INPUTS), tmp_path / "model.txt")
    assert model.booster.num_trees() == regressor.best_iteration_ < 80
    assert model.predict(INPUTS)[:, 0] == pytest.approx(regressor.predict(INPUTS), rel=1e-6)


def test_an_objective_of_its_own_gives_no_probabilities(lightgbm: Any) -> None:
    def logistic(scores: Any, data: Any) -> Any:
        shares = 1 / (1 + np.exp(-scores))
        return shares - data.get_label(), shares * (1 - shares)

    data = lightgbm.Dataset(INPUTS, CLASSES > 0)
    booster = lightgbm.train({"objective": logistic, "verbose": -1}, data, 5)
    with pytest.raises(ValueError, match="Booster: what it predicts are no probabilities"):
        frameworks.adapted(booster, 2, INPUTS)


@pytest.mark.parametrize(("settings", "targets", "classes"), [
    ({"objective": "multi:softprob"}, CLASSES, 3), ({"objective": "multi:softmax"}, CLASSES, 3),
    ({}, CLASSES, 4), ({}, (CLASSES > 0).astype(int), 2),
])  # fmt: skip
def test_a_classifier_of_xgboost_gives_its_probabilities(
    xgboost: Any, settings: dict[str, Any], targets: Any, classes: int, tmp_path: Path
) -> None:
    fitted = xgboost.XGBClassifier(n_estimators=5, **settings).fit(INPUTS, targets)
    model = frameworks.adapted(fitted, classes, INPUTS)
    outputs = model.predict(INPUTS)
    assert outputs.shape == (90, classes)
    assert outputs[:, : fitted.n_classes_] == pytest.approx(fitted.predict_proba(INPUTS), abs=1e-6)
    assert np.array_equal(reloaded(model, tmp_path / "model.json").predict(INPUTS), outputs)
    assert json.loads((tmp_path / "model.json").read_text())["learner"]


@pytest.mark.parametrize(("settings", "targets", "classes"), [
    ({"objective": "multi:softmax", "num_class": 3}, CLASSES, 3),
    ({"objective": "binary:logistic"}, CLASSES > 0, 2),
    ({"objective": "reg:squarederror"}, VALUES, 0),
])  # fmt: skip
def test_a_booster_of_xgboost_predicts_as_before(
    xgboost: Any, settings: dict[str, Any], targets: Any, classes: int, tmp_path: Path
) -> None:
    data = xgboost.DMatrix(INPUTS, targets)
    booster = xgboost.train(settings, data, 5)
    model = reloaded(frameworks.adapted(booster, classes, INPUTS), tmp_path / "model.json")
    outputs, raw = model.predict(INPUTS), booster.predict(data)
    assert outputs.shape == (90, classes or 1)
    if classes == 3:
        assert np.array_equal(outputs.argmax(axis=1), raw)
    else:
        assert outputs[:, -1] == pytest.approx(raw)


def test_a_regressor_of_xgboost_predicts_by_its_best_iteration(
    xgboost: Any, tmp_path: Path
) -> None:
    noise = VALUES + np.random.default_rng(1).normal(0, 2, 90)
    regressor = xgboost.XGBRegressor(n_estimators=80, early_stopping_rounds=3)
    regressor.fit(INPUTS[:60], noise[:60], eval_set=[(INPUTS[60:], noise[60:])], verbose=False)
    assert regressor.best_iteration < regressor.get_booster().num_boosted_rounds() - 1
    model = reloaded(frameworks.adapted(regressor, 0, INPUTS), tmp_path / "model.json")
    assert np.array_equal(model.predict(INPUTS)[:, 0], regressor.predict(INPUTS))


def test_a_regressor_of_a_library_is_no_classifier(lightgbm: Any, xgboost: Any) -> None:
    for kind in (lightgbm.LGBMRegressor(verbose=-1), xgboost.XGBRegressor(n_estimators=2)):
        with pytest.raises(ValueError, match="is no classifier, and the task is classification"):
            adapted(kind, CLASSES, 3)


def test_a_class_derived_from_one_of_a_library_is_refused(lightgbm: Any, tmp_path: Path) -> None:
    class Other(lightgbm.LGBMRegressor):  # type: ignore[misc]
        def predict(self, *arguments: Any, **options: Any) -> Any:
            return -super().predict(*arguments, **options)

    model = adapted(Other(n_estimators=2, verbose=-1), VALUES)
    with pytest.raises(ValueError, match=r"^it holds .*Other, and only what is scikit-l"):
        model.save(tmp_path / "model.skops")


# PyTorch.


@pytest.fixture
def torch() -> Any:
    """Return PyTorch."""
    return pytest.importorskip("torch", reason="PyTorch is not installed")


def test_a_module_comes_back_without_its_class(torch: Any, tmp_path: Path) -> None:
    class Network(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.convolution = torch.nn.Conv2d(1, 3, 2)
            self.normalization = torch.nn.BatchNorm1d(3)
            self.dropout = torch.nn.Dropout(0.5)
            self.dense = torch.nn.Linear(3, 3)

        def forward(self, images: Any) -> Any:
            flat = self.convolution(images[:, None]).flatten(1)
            return self.dense(self.dropout(torch.relu(self.normalization(flat))))

    network = Network()
    network(torch.tensor(INPUTS.reshape(90, 2, 2)))  # leaves statistics
    images = INPUTS.reshape(90, 2, 2)
    model = frameworks.adapted(network, 3, images)
    outputs = model.predict(images)
    assert model.logits
    with torch.no_grad():
        expected = torch.softmax(network.eval()(torch.tensor(images)), 1).numpy()
    assert outputs == pytest.approx(expected, abs=1e-6)
    again = reloaded(model, tmp_path / "model.pt2")
    assert again.predict(images) == pytest.approx(outputs, abs=1e-6)
    assert again.predict(images[:1]) == pytest.approx(outputs[:1], abs=1e-6)
    many = np.concatenate([images] * 30)
    assert again.predict(many).shape == (2700, 3)


def test_probabilities_of_a_module_stay_as_they_are(torch: Any) -> None:
    network = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Softmax(1))
    model = frameworks.adapted(network, 3, INPUTS)
    assert not model.logits
    assert np.array_equal(model.predict(INPUTS), network(torch.tensor(INPUTS)).detach().numpy())


def test_a_module_for_values_may_give_them_flat(torch: Any, tmp_path: Path) -> None:
    network = torch.nn.Sequential(torch.nn.Linear(4, 1), torch.nn.Flatten(0))
    model = reloaded(frameworks.adapted(network, 0, INPUTS), tmp_path / "model.pt2")
    assert model.predict(INPUTS).shape == (90, 1)


def test_one_output_for_two_classes_is_refused(torch: Any) -> None:
    with pytest.raises(ValueError, match=r"shape \(90, 1\), not \(90, 2\)"):
        frameworks.adapted(torch.nn.Linear(4, 1), 2, INPUTS)


def test_a_module_that_cannot_be_exported_is_refused(torch: Any, tmp_path: Path) -> None:
    class Network(torch.nn.Linear):  # type: ignore[misc]
        def forward(self, inputs: Any) -> Any:
            outputs = super().forward(inputs)
            return outputs if float(outputs.sum()) > 0 else 2 * outputs

    model = frameworks.adapted(Network(4, 1), 0, INPUTS)
    with pytest.raises(ValueError, match=r"^torch\.export does not take it .*`loader`") as caught:
        model.save(tmp_path / "model.pt2")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("changed", ["config", "sample_inputs"])
def test_no_pickle_in_a_file_is_read(torch: Any, tmp_path: Path, changed: str) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "touched",)

    model = frameworks.adapted(torch.nn.Linear(4, 1), 0, INPUTS)
    model.save(tmp_path / "model.pt2")
    payload = io.BytesIO()
    torch.save((Evil(),), payload)
    with (
        zipfile.ZipFile(tmp_path / "model.pt2") as sound,
        zipfile.ZipFile(tmp_path / "changed.pt2", "w") as written,
    ):
        for name in sound.namelist():
            text = sound.read(name)
            if changed == "config" and name.endswith("model_constants_config.json"):
                meta = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True,
                        "tensor_meta": None}
                text = json.dumps({"config": {"evil": meta}}).encode()
                folder = name.rpartition("/")[0]
                written.writestr(f"{folder}/opaque_obj_0", pickle.dumps(Evil()))
            if changed == "sample_inputs" and name.endswith("sample_inputs/model.pt"):
                text = payload.getvalue()
            written.writestr(name, text)
    reloaded(model, tmp_path / "sound.pt2")
    with pytest.raises(Exception, match=r"pickle|[Ww]eights.only"):
        frameworks.load_torch(tmp_path / "changed.pt2", **model.loader_details)
    assert not (tmp_path / "touched").exists()
    # As torch.export itself reads it, it does run.
    with contextlib.suppress(Exception):
        torch.export.load(tmp_path / "changed.pt2")
    assert (tmp_path / "touched").exists()


def test_a_module_for_other_inputs_is_refused(torch: Any) -> None:
    with pytest.raises(ValueError, match=r"does not predict rows of the shape \(4,\).*as they are"):
        frameworks.adapted(torch.nn.Linear(5, 1), 0, INPUTS)


def test_a_model_of_keras_is_refused() -> None:
    kind = type("Sequential", (), {"__module__": "keras.src.models.sequential"})
    with pytest.raises(ValueError, match=r"^Sequential: a model of Keras cannot be kept.*`loader`"):
        frameworks.adapted(kind(), 0, INPUTS)


def test_an_estimator_is_judged_kept_and_predicts_elsewhere(
    study: Callable[..., Path], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = study("make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=50))",
                 "from sklearn.preprocessing import StandardScaler")
    shown = evaluated(capsys, file, "--top", 2)
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
    message = r"it holds fitting\.Doubled, and only what .*`loader`"
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
    assert evaluated(capsys, file)["metrics"]["r2"]["value"] > 0.99
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
    shown = evaluated(capsys, file)
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
