"""Models of Keras 3 are judged, kept without pickle, and predict as they did."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_wine

from hpo import framework_models, frameworks
from tests.fixtures import evaluate, hpo
from tests.hpo.fitted import CLASSES, INPUTS, VALUES, reloaded

BACKEND = next((name for name in ("torch", "jax", "tensorflow") if find_spec(name)), "")
OBJECTIVE = '''
import keras


def train(units: int, *, data, seed):
    keras.utils.set_random_seed(seed)
    inputs, targets = data.training.inputs, data.training.targets
    network = keras.Sequential([
        keras.layers.Input(inputs.shape[1:]), keras.layers.Dense(units, "relu"),
        keras.layers.Dense(len(data.classes)),
    ])
    network.compile(keras.optimizers.Adam(0.05), own_loss)
    rows = data.validation or data.training
    for _ in range(3):
        network.fit(inputs, targets, batch_size=30, verbose=0)
        labels = network.predict(rows.inputs, verbose=0).argmax(axis=1)
        yield {"accuracy": float((labels == rows.targets).mean())}
    return network


def own_loss(targets, outputs):
    return keras.losses.sparse_categorical_crossentropy(targets, outputs, from_logits=True)
'''


@pytest.fixture
def keras(monkeypatch: pytest.MonkeyPatch) -> Any:
    if not BACKEND:
        pytest.skip("nothing that Keras computes with is installed")
    monkeypatch.setenv("KERAS_BACKEND", os.environ.get("KERAS_BACKEND", BACKEND))
    return pytest.importorskip("keras", reason="Keras is not installed")


@pytest.fixture
def objective(folder: Path, keras: Any) -> Iterator[None]:
    (folder / "neural.py").write_text(OBJECTIVE)
    yield
    sys.modules.pop("neural", None)


def network_of(keras: Any, *layers: Any) -> Any:
    return keras.Sequential([keras.layers.Input((4,)), *layers])


def test_a_classifier_comes_back_as_it_was_and_gives_probabilities(
    keras: Any, tmp_path: Path
) -> None:
    network = network_of(keras, keras.layers.BatchNormalization(), keras.layers.Dropout(0.5),
                         keras.layers.Dense(3))
    network.compile("adam", lambda targets, outputs: (outputs - targets) ** 2)
    network.fit(INPUTS, np.eye(3)[CLASSES].astype(np.float32), verbose=0)  # leaves statistics
    model = frameworks.adapted(network, 3, INPUTS)
    assert model.logits
    outputs = model.predict(INPUTS)
    assert outputs == pytest.approx(
        framework_models.softmax(network.predict(INPUTS, verbose=0)), abs=1e-6
    )
    again = reloaded(model, tmp_path / "model.keras")
    assert again.predict(INPUTS) == pytest.approx(outputs, abs=1e-6)
    assert again.predict(np.concatenate([INPUTS] * 30)).shape == (2700, 3)
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        assert b"lambda" not in archive.read("config.json")


def test_probabilities_and_values_stay_as_they_are(keras: Any, tmp_path: Path) -> None:
    shares = network_of(keras, keras.layers.Dense(3, "softmax"))
    model = frameworks.adapted(shares, 3, INPUTS)
    assert not model.logits
    assert model.predict(INPUTS) == pytest.approx(shares.predict(INPUTS, verbose=0), abs=1e-6)
    inputs = keras.layers.Input((4,))
    doubled = keras.layers.Dense(2)(keras.layers.concatenate([inputs, inputs]))
    values = keras.Model(inputs, keras.layers.Dense(1)(doubled))
    found = frameworks.adapted(values, 0, INPUTS).predict(INPUTS)
    again = reloaded(frameworks.adapted(values, 0, INPUTS), tmp_path / "model.keras")
    assert again.predict(INPUTS) == pytest.approx(found, abs=1e-6)
    with pytest.raises(ValueError, match=r"^Sequential: expected predictions of shape \(90, 2\)"):
        frameworks.adapted(shares, 2, INPUTS)
    assert len(VALUES) == len(found)


def test_what_would_need_code_is_refused_when_it_is_written_and_when_it_is_read(
    keras: Any, tmp_path: Path
) -> None:
    class Doubled(keras.layers.Layer):  # type: ignore[misc,name-defined]
        def call(self, inputs: Any) -> Any:
            return inputs * 2

    class Network(keras.Model):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.dense = keras.layers.Dense(1)

        def call(self, inputs: Any) -> Any:
            return self.dense(inputs)

    def squared(inputs: Any) -> Any:
        return inputs**2

    path = tmp_path / "model.keras"
    for network, name in (
        (network_of(keras, Doubled(), keras.layers.Dense(1)), "Doubled"),
        (network_of(keras, keras.layers.Lambda(lambda x: 2 * x), keras.layers.Dense(1)), "Lambda"),
        (network_of(keras, keras.layers.Dense(1, activation=squared)), "squared"),
        (Network(), "Network"),
    ):
        model = frameworks.adapted(network, 0, INPUTS)
        with pytest.raises(ValueError, match=f"it holds .*{name}.*, but only Keras's own la"):
            model.save(path)
        if name != "Network":
            network.save(path)
            with pytest.raises(ValueError, match="only Keras's own layers can be loaded"):
                framework_models.load_keras(path, **model.loader_details)


def test_an_older_keras_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    older = type(sys)("keras")
    older.__version__ = "2.15.0"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keras", older)
    kind = type("Sequential", (), {"__module__": "keras.src.models.sequential"})
    with pytest.raises(ValueError, match=r"^Sequential: a Keras 2\.15\.0 model can.*Keras 3"):
        frameworks.adapted(kind(), 0, INPUTS)


def test_a_network_is_judged_and_predicts_where_neither_backend_nor_objective_are_named(
    objective: None, folder: Path, make_study: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    file = make_study(
        "neural", objective="neural:train", metric="accuracy", data={"source": "sklearn:wine"},
        search_space={"units": {"low": 8, "high": 16}}, round={"trials": 2},
    )
    hpo("run", file, "--inline")
    assert evaluate(capsys, file)["metrics"]["accuracy"]["value"] > 0.6
    wine = load_wine(as_frame=True)
    wine.data.to_csv(folder / "rows.csv", index=False)
    (folder / "neural.py").unlink()
    environment = {name: v for name, v in os.environ.items() if name != "KERAS_BACKEND"}
    done = subprocess.run(
        [sys.executable, "-m", "hpo", "predict", "neural", "rows.csv"], env=environment,
        cwd=folder, capture_output=True, text=True, check=False,
    )
    assert done.returncode == 0, done.stderr
    labels = [line.partition(",")[0] for line in done.stdout.splitlines()[1:]]
    assert np.mean(np.array(labels) == wine.target_names[wine.target]) > 0.6
