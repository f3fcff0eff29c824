"""In folds each training row is validated once, and each fold is scaled by its own rows."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hpo.data.folds import Folds, data_of, size
from hpo.data.loading import Split, load
from hpo.data.settings import DataSettings
from hpo.errors import InputError
from hpo.objective import Data
from hpo.trial import Trial
from tests.hpo.data.writing import NUMBERS, Write, csv

FOLDS = 5


def in_folds(settings: DataSettings, **options: Any) -> tuple[Split, list[Data]]:
    split = load(settings, **{"seed": 3, "folds": FOLDS, **options})
    assert isinstance(split.folds, Folds)
    return split, [split.folds.data(fold) for fold in range(1, FOLDS + 1)]


def rows(data: Data) -> tuple[list[float], list[float]]:
    assert data.validation is not None
    return data.training.inputs[:, 0].tolist(), data.validation.inputs[:, 0].tolist()


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_every_training_row_is_validated_once(write: Write, tmp_path: Any, task: Any) -> None:
    settings = replace(write("t.csv", csv(**NUMBERS)), scale="none", task=task)
    split, folds = in_folds(settings, folder=tmp_path)
    plain = load(settings, seed=3, folder=tmp_path)
    np.testing.assert_array_equal(split.test.inputs, plain.test.inputs)  # as without folds
    every = sorted(split.data.training.inputs[:, 0].tolist())
    assert len(every) == 80
    assert split.data.validation is None
    assert sorted(row for data in folds for row in rows(data)[1]) == every
    for data in folds:
        training, validation = rows(data)
        assert sorted([*training, *validation]) == every
        assert len(validation) == 16
        if task == "classification":  # its classes are the remainders by five
            counts = np.bincount(np.array(validation, int) % 5, minlength=5)
            assert counts.max() - counts.min() <= 1
            np.testing.assert_array_equal(data.training.targets, np.array(training, int) % 5)
    assert split.description.rows == {"training": 64, "validation": 16, "test": 20}
    assert split.description.folds == FOLDS


def test_folds_are_drawn_by_the_seed_and_anew_by_a_repeat(write: Write, tmp_path: Any) -> None:
    settings = replace(write("t.csv", csv(**NUMBERS)), scale="none")
    drawn = {
        options: tuple(tuple(rows(data)[1]) for data in in_folds(
            settings, folder=tmp_path, seed=options[0], repeat=options[1])[1])
        for options in ((3, 0), (3, 1), (3, 2), (4, 0))
    }
    assert len(set(drawn.values())) == 4
    again = in_folds(settings, folder=tmp_path)
    assert tuple(tuple(rows(data)[1]) for data in again[1]) == drawn[3, 0]
    digests = [
        load(settings, seed=seed, folder=tmp_path, folds=folds).description.digest
        for seed, folds in ((3, 0), (3, 5), (3, 4), (4, 5))
    ]
    assert len(set(digests)) == 4


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_fold_is_filled_and_scaled_by_its_own_training_rows(
    write: Write, tmp_path: Any, task: Any
) -> None:
    numbers = np.random.default_rng(0).normal(5, 3, 100).round(3)
    x = [None if i % 9 == 0 else value for i, value in enumerate(numbers.tolist())]
    settings = replace(
        write("t.csv", csv(x=x, y=NUMBERS["y"])), impute="median", task=task,
    )
    split, folds = in_folds(settings, folder=tmp_path)
    assert split.description.filled["x"].missing == 12
    means = set()
    for data in folds:
        assert data.validation is not None
        inputs = data.training.inputs.astype(np.float64)
        assert abs(inputs.mean()) < 1e-6
        assert inputs.std() == pytest.approx(1, abs=1e-6)
        assert np.isfinite(data.validation.inputs).all()
        means.add(float(data.validation.inputs.mean()))
        if task == "regression":
            assert abs(data.training.targets.astype(np.float64).mean()) < 1e-6
            units = data.training.targets.std() * data.target_scale
            assert units == pytest.approx(np.std(NUMBERS["y"]), rel=0.1)
    assert len(means) == FOLDS


def test_parts_are_trained_on_their_folds_and_repeats_on_one_of_them(
    write: Write, tmp_path: Any
) -> None:
    split, folds = in_folds(
        replace(write("t.csv", csv(**NUMBERS)), scale="none"), folder=tmp_path
    )
    held = split.folds
    trials = [(Trial(1, 1, {}, 0, part=3), 3), (Trial(1, 1, {}, 0, repeat=7), 2),
              (Trial(1, 1, {}, 0), 1)]
    for trial, fold in trials:
        data = data_of(held, trial)
        assert data is not None
        assert rows(data) == rows(folds[fold - 1])
    assert data_of(split.data, Trial(1, 1, {}, 0)) is split.data
    assert data_of(None, Trial(1, 1, {}, 0)) is None
    # The rows are there once, and of each fold which they are.
    assert size(held) <= held.inputs.nbytes + held.targets.nbytes + FOLDS * 80 * 8  # type: ignore[union-attr]


def test_a_class_has_to_be_in_every_fold(write: Write, tmp_path: Any) -> None:
    few = write("t.csv", csv(x=list(range(40)), y=["a"] * 35 + ["b"] * 5))
    with pytest.raises(InputError, match=r"^\[trial\] folds: class 'b' has 4 rows, fewer"):
        load(few, seed=0, folder=tmp_path, folds=FOLDS)
    with pytest.raises(InputError, match=r"^\[trial\] folds: must be at most 80, the number"):
        load(write("u.csv", csv(**NUMBERS)), seed=0, folder=tmp_path, folds=90)


def test_a_fold_that_cannot_be_scaled_is_found_when_the_data_is_read(
    write: Write, tmp_path: Any
) -> None:
    a = [1e35, *(1e-10 * np.random.default_rng(0).random(39)).tolist()]
    few = replace(write("t.csv", csv(a=a, y=[i / 7 for i in range(40)])), task="regression")
    with pytest.raises(InputError, match=r"^\[data\] scale: inputs in column 'a', scaled by the "
                       r"training rows of fold \d, do not fit float32; remove outliers"):
        load(few, seed=0, folder=tmp_path, folds=4)
