import numpy as np
import pytest
from sklearn.metrics import accuracy_score, r2_score, root_mean_squared_error

from trainer.metrics import METRICS

VALUES = np.random.default_rng(0).normal(size=(2, 50))
OUTPUTS, TARGETS = VALUES[0][:, None], VALUES[1]


def test_accuracy_is_that_of_scikit_learn():
    outputs = np.random.default_rng(1).normal(size=(50, 4))
    targets = np.random.default_rng(2).integers(0, 4, 50)
    expected = accuracy_score(targets, outputs.argmax(axis=1))
    assert 0 < expected < 1
    assert METRICS["accuracy"](outputs, targets, 1.0) == expected


def test_r2_is_that_of_scikit_learn():
    assert METRICS["r2"](OUTPUTS, TARGETS, 3.0) == pytest.approx(r2_score(TARGETS, OUTPUTS))
    assert METRICS["r2"](OUTPUTS, np.ones(50), 3.0) == 0.0


def test_rmse_is_that_of_scikit_learn_in_units_of_the_source():
    expected = root_mean_squared_error(TARGETS * 3 + 10, OUTPUTS[:, 0] * 3 + 10)
    assert METRICS["rmse"](OUTPUTS, TARGETS, 3.0) == pytest.approx(expected)
