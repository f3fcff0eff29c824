"""Models of LightGBM and XGBoost predict as before, by their best iteration."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpo import frameworks
from tests.hpo.fitted import CLASSES, INPUTS, VALUES, adapted, reloaded


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
    with pytest.raises(ValueError, match="Booster: its predictions are not probabilities"):
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
        with pytest.raises(ValueError, match="is not a classifier, but the task is classif"):
            adapted(kind, CLASSES, 3)


def test_a_class_derived_from_one_of_a_library_is_refused(lightgbm: Any, tmp_path: Path) -> None:
    class Other(lightgbm.LGBMRegressor):  # type: ignore[misc]
        def predict(self, *arguments: Any, **options: Any) -> Any:
            return -super().predict(*arguments, **options)

    model = adapted(Other(n_estimators=2, verbose=-1), VALUES)
    with pytest.raises(ValueError, match=r"^it holds .*Other, but only types of scikit-l"):
        model.save(tmp_path / "model.skops")
