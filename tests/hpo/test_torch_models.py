"""Modules of PyTorch come back without their class, and no pickle is read."""

import contextlib
import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpo import framework_models, frameworks
from tests.hpo.fitted import INPUTS, reloaded


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
    with pytest.raises(ValueError, match=r"shape \(90, 2\), got shape \(90, 1\)"):
        frameworks.adapted(torch.nn.Linear(4, 1), 2, INPUTS)


def test_a_module_that_cannot_be_exported_is_refused(torch: Any, tmp_path: Path) -> None:
    class Network(torch.nn.Linear):  # type: ignore[misc]
        def forward(self, inputs: Any) -> Any:
            outputs = super().forward(inputs)
            return outputs if float(outputs.sum()) > 0 else 2 * outputs

    model = frameworks.adapted(Network(4, 1), 0, INPUTS)
    with pytest.raises(ValueError, match=r"^torch\.export does not support .*`loader`") as caught:
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
        framework_models.load_torch(tmp_path / "changed.pt2", **model.loader_details)
    assert not (tmp_path / "touched").exists()
    # As torch.export itself reads it, it does run.
    with contextlib.suppress(Exception):
        torch.export.load(tmp_path / "changed.pt2")
    assert (tmp_path / "touched").exists()


def test_a_module_for_other_inputs_is_refused(torch: Any) -> None:
    with pytest.raises(ValueError, match=r"cannot predict rows of shape \(4,\).*unchanged"):
        frameworks.adapted(torch.nn.Linear(5, 1), 0, INPUTS)
