"""Each row is in one part, and each class in every part by its share."""

import math
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo.data.loading import load
from hpo.data.settings import DataSettings
from hpo.errors import InputError
from tests.fuzzing import examples
from tests.hpo.data.writing import NUMBERS, Write, csv, message, npz, parts, sizes, split


def test_no_row_is_in_two_parts_and_none_is_lost(write: Write) -> None:
    result = split(replace(write("t.csv", csv(**NUMBERS)), scale="none"))
    ids = [set(part.inputs[:, 0]) for part in parts(result)]
    assert [len(each) for each in ids] == [64, 16, 20]
    assert set.union(*ids) == set(range(100))
    for part in parts(result):  # and every row keeps its label
        np.testing.assert_array_equal(part.inputs[:, 0] % 5, part.targets)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_rows_changes_no_test_row(write: Write, task: Any) -> None:
    whole = replace(write("t.csv", csv(**NUMBERS)), scale="none", task=task)
    all_rows, few = split(whole), split(replace(whole, rows=40))
    assert sizes(few) == [32, 8, 20]
    np.testing.assert_array_equal(few.test.inputs, all_rows.test.inputs)
    before = {*all_rows.data.training.inputs[:, 0], *parts(all_rows)[1].inputs[:, 0]}
    after = {*few.data.training.inputs[:, 0], *parts(few)[1].inputs[:, 0]}
    assert after < before
    assert sizes(split(replace(whole, rows=80))) == [64, 16, 20]


@given(
    counts=st.lists(st.integers(3, 60), min_size=2, max_size=6),
    validation=st.floats(0.05, 0.95),
    test=st.floats(0.05, 0.95),
    seed=st.integers(0, 2**70),
)
@settings(max_examples=examples(40, 150), deadline=None)
def test_every_part_has_its_share_of_every_class(
    counts: list[int], validation: float, test: float, seed: int
) -> None:
    targets = np.repeat(np.arange(len(counts)), counts)
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder, "t.npz"), inputs=np.arange(len(targets))[:, None], targets=targets)
        chosen = DataSettings(
            source="t.npz", task="classification", validation=validation, test=test
        )
        try:
            result = load(chosen, seed=seed, folder=Path(folder))
        except InputError as error:
            assert "(possible: " in str(error)  # noqa: PT017
            return
    total = len(targets)
    assert sizes(result)[2] == math.ceil(round(test * total, 6))
    rest = total - sizes(result)[2]
    assert sizes(result)[1] == math.ceil(round(validation * rest, 6))
    for label, count in enumerate(counts):
        training, validated, tested = result.description.classes[str(label)]
        assert training + validated + tested == count
        assert min(training, validated, tested) >= 1
        if min(counts) > 20 and 0.1 < test < 0.8:
            assert abs(tested - count * sizes(result)[2] / total) < 1


@pytest.mark.parametrize(
    ("counts", "own_test", "rows"),
    [((40, 2), False, None), ((40, 1), True, None), ((40, 1), True, 20)],
)
def test_a_class_too_small_is_named(
    write: Write, counts: tuple[int, int], own_test: bool, rows: int | None
) -> None:
    targets = np.repeat(["many", "few"], counts)
    arrays = {"inputs": np.random.default_rng(0).random((len(targets), 2)), "targets": targets}
    if own_test:
        arrays |= {"test_inputs": np.zeros((1, 2)), "test_targets": np.array(["few"])}
    key = "test" if not own_test else "rows" if rows else "validation"
    text = message(replace(write("t.npz", npz(**arrays)), rows=rows), key)
    assert f"class 'few' has {counts[1]} row" in text
    assert f", but needs {3 - own_test} to be in every part" in text
    assert "remove the class" in text
    arrays["targets"] = np.repeat(["many", "few"], [len(targets) - 3 + own_test, 3 - own_test])
    assert min(split(write("t.npz", npz(**arrays))).description.classes["few"]) == 1


def test_a_regression_part_cannot_be_empty(write: Write) -> None:
    table = write("t.csv", csv(x=[1.0, 2.0, 4.0], y=[0.5, 1.5, 2.5]))
    assert "is constant" in message(table, "target")  # one training row
    assert "would leave a part empty" in message(replace(table, test=0.9), "test")
    assert "leave a part empty" in message(replace(table, test=0.3, validation=0.6), "validation")


@pytest.mark.parametrize(
    ("settings", "labels", "said"),
    [
        ({"rows": 90}, [0, 1] * 50,
         "rows: must be at most 80, the number of training rows, got 90"),
        ({"test": 0.99}, [0, 1] * 50, "test: 99 of 100 rows cannot give each of 2 classes enough "
         "rows in every part (possible: 2 to 96); change test or add rows"),
        ({}, [0] * 98 + [1] * 2, "test: class '1' has 2 rows, but needs 3 to be in every "
         "part; remove the class, add rows of it, or, if the labels are amounts, set task = "
         '"regression"'),
        ({"validation": 0.999}, [k / 7 for k in range(100)],
         "validation: 80 of 80 rows would leave a part empty; change validation or add rows"),
    ],
)
def test_a_split_that_cannot_be_is_said_with_the_remedy(
    write: Write, settings: dict[str, Any], labels: list[float], said: str
) -> None:
    table = write("t.csv", csv(x=range(100), y=labels))
    key = said.partition(":")[0]
    assert message(replace(table, **settings), key) == f"[data] {said}"
