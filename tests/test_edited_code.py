"""A round holds one version of the objective's code, whatever is edited and killed meanwhile."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hpo.errors import HPOError, InputError
from tests.toys import hpo, table

EDITS_ITSELF = """
import os
import signal
from pathlib import Path

from toy import Toy, quadratic


def train(hyperparameters: Toy, *, seed):
    mark = Path(hyperparameters.folder) / "edited"
    if seed % 3 == 0 and not mark.exists():
        mark.touch()
        with open(__file__, "a") as file:
            file.write("# another version\\n")
        os.kill(os.getpid(), signal.SIGKILL)
    yield from quadratic(hyperparameters, seed=seed)


train.metrics = ("accuracy", "loss")
"""


def test_a_worker_that_comes_later_does_not_train_with_an_edited_file(
    make_study: Callable[..., Path], folder: Path, ray_address: str,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    (folder / "edits_itself.py").write_text(EDITS_ITSELF)
    file = make_study(
        objective="edits_itself:train", fixed={"folder": str(folder)}, resources={"cpus": 4},
        round={"trials": 30},
    )
    with pytest.raises(HPOError, match=r"edits_itself.py changed while the study runs"):
        hpo("run", file, "--ray-address", ray_address)
    done = table()
    assert len(done) < 30
    assert all(row["state"] == "complete" for row in done)
    monkeypatch.delitem(sys.modules, "edits_itself")  # as in a new process
    with pytest.raises(InputError, match="the code of the objective changed since round 1"):
        hpo("run", file, "--ray-address", ray_address)
    (folder / "edits_itself.py").write_text(EDITS_ITSELF)
    monkeypatch.delitem(sys.modules, "edits_itself")
    hpo("run", file, "--ray-address", ray_address)
    rows = table()
    assert len(rows) == 30
    assert rows[: len(done)] == done
