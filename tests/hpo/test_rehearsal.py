"""`hpo check --try` runs all that a study needs of its objective once, and leaves nothing."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hpo import program_process
from hpo.data.loading import load
from hpo.rehearsal import first_trial
from hpo.study import read
from tests.fixtures import Outcome, hpo

OBJECTIVE = '''
import numpy as np
from sklearn.linear_model import LogisticRegression


def train(C: float, epochs: int = 1000, *, data, seed):
    rows = data.validation or data.training
    model = LogisticRegression(C=C).fit(data.training.inputs, data.training.targets)
    np.save("seen" if data.validation else "seen at the end", data.training.inputs)
    for epoch in range(epochs):
        print("not shown")
        yield {"accuracy": model.score(rows.inputs, rows.targets)}
    return model
'''

OWN = '''
from pathlib import Path

def train(C: float, *, seed):
    yield {"accuracy": C}
    return C

def judge(model):
    Path("judged").touch()

train.evaluate = judge
'''

Make = Callable[..., Path]


@pytest.fixture
def written(folder: Path, make_study: Make) -> Iterator[Make]:
    """Return a function that writes an objective, and a study of a small table."""
    random = np.random.default_rng(0)
    table = pd.DataFrame(random.normal(size=(120, 3)), columns=["a", "b", "c"])
    table["label"] = np.where(table["a"] > 0, "yes", "no")
    table.to_csv(folder / "rows.csv", index=False)

    def write(text: str = OBJECTIVE, with_data: bool = True, **changes: Any) -> Path:
        (folder / "trying.py").write_text(text)
        sys.modules.pop("trying", None)
        data = {"data": {"source": "rows.csv", "target": "label"}} if with_data else {}
        tables: dict[str, Any] = {
            "objective": "trying:train", "search_space": {"C": {"low": 0.1, "high": 1.0}}, **data,
        }
        return make_study(changes.pop("name", "trying"), **(tables | changes))

    yield write
    sys.modules.pop("trying", None)
    program_process._Connection.drop()


def tried(command: Callable[..., Outcome], file: Path) -> Outcome:
    """Return what `hpo check --try` came to; it leaves no record."""
    before = (file.parent / "mlflow.db").read_bytes()
    outcome = command("check", file, "--try")
    assert (file.parent / "mlflow.db").read_bytes() == before
    assert not (file.parent / "mlartifacts").exists()
    assert "Traceback" not in outcome.err
    return outcome


def test_all_is_tried_once_and_no_test_row_is_seen(
    written: Make, folder: Path, command: Callable[..., Outcome]
) -> None:
    file = written()
    outcome = tried(command, file)
    assert outcome.code == 0
    first, *_, last = outcome.out.splitlines()
    assert first.startswith(f"{file}: maximize accuracy of trying:train, ")
    assert last == f"{file}: OK"
    lines = [line.strip() for line in outcome.out.splitlines()[-4:-1]]
    assert lines[0].startswith("trial: 2 epochs; last: accuracy ")
    assert lines[1] == (
        "trained to the end: 2 epochs on training and validation rows (data.validation = None)"
    )
    assert lines[2] == (
        "model: LogisticRegression, saved and loaded, predicts the same for 76 training rows: "
        "label, probability_no, probability_yes"
    )
    study = read(file)
    split = load(study.data, seed=0, folder=folder)
    tested = {row.tobytes() for row in split.test.inputs}
    for name, rows in (("seen.npy", 76), ("seen at the end.npy", 96)):
        seen = {row.tobytes() for row in np.load(folder / name)}
        assert len(seen) == rows
        assert not seen & tested


def test_it_is_the_first_trial_of_the_search(
    written: Make, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for sampler in ("random", "tpe", "qmc", "grid"):
        name = f"a-{sampler}"
        file = written(OWN, with_data=False, round={"sampler": sampler, "trials": 2}, name=name)
        trial = first_trial(read(file))
        hpo("run", file, "--inline")
        capsys.readouterr()
        hpo("export", name, "trials.json")
        first = json.loads(Path("trials.json").read_text())[0]
        assert first["C"] == pytest.approx(trial.hyperparameters["C"], rel=1e-12), sampler
        assert first["seed"] == trial.seed


def test_json_has_the_lines(written: Make, capsys: pytest.CaptureFixture[str]) -> None:
    hpo("check", written(), "--try", "--json")
    shown = json.loads(capsys.readouterr().out)
    assert [line.partition(":")[0] for line in shown["try"]] == [
        "trial", "trained to the end", "model",
    ]
    assert "data" not in shown


@pytest.mark.parametrize(("old", "new", "message"), [
    ('"accuracy":', '"score":',
     "metric: trying:train does not report 'accuracy'; it reports score; choose a metric"),
    ("return model", "return {}",
     "trying:train returned a value of type dict, which has no `predict`; return a model"),
    ("data.validation or data.training", "data.validation",
     "with data.validation = None, as in `hpo evaluate`: trying:train failed: AttributeError"),
    ("data.training.targets)\n", "[str(t) for t in data.training.targets])\n",
     "the model of trying:train: its classes must be indices from 0 to 1, got ['0', '1']; train"),
    ("    for epoch", "    raise SystemExit(3)\n    for epoch",
     "trying:train failed: SystemExit: 3 (at trying.py, line 10); fix it"),
    ("    for epoch", "    __import__('pandas').read_csv('absent.csv')\n    for epoch",
     "No such file or directory: 'absent.csv' (at trying.py, line 10); fix it"),
    ("    return model", "    from sklearn.svm import SVR\n    return SVR().fit(rows.inputs, rows."
     "targets)", "the model of trying:train: SVR is not a classifier, but the task is classifi"),
])  # fmt: skip
def test_what_does_not_work_is_one_line_and_code_2(
    written: Make, command: Callable[..., Outcome], old: str, new: str, message: str
) -> None:
    assert old in OBJECTIVE
    text = OBJECTIVE.replace(old, new)
    if "str(t)" in new:
        text = text.replace("model.score(rows.inputs, rows.targets)", "0.5")
    outcome = tried(command, written(text))
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
    assert "trying.toml: " in outcome.err
    assert "OK" not in outcome.out


def test_a_model_of_its_own_that_gives_no_probabilities_is_refused(
    written: Make, command: Callable[..., Outcome]
) -> None:
    text = OBJECTIVE.replace("    return model", "    return Own()") + '''
class Own:
    loader = "trying:load"
    def predict(self, inputs):
        return 5 + inputs[:, :2]
    def save(self, path):
        path.touch()

def load(path):
    return Own()
'''
    outcome = tried(command, written(text))
    assert outcome.code == 2
    assert "the model of trying:train: its predictions are not probabilities" in outcome.err


def test_what_is_missing_but_may_be_is_said(
    written: Make, command: Callable[..., Outcome]
) -> None:
    outcome = tried(command, written(OBJECTIVE.replace("    return model", "")))
    assert (outcome.code, outcome.out.count("  warning: model: none, so `hpo evalua")) == (0, 1)
    text = OWN.replace("train.evaluate = judge", "")
    outcome = tried(command, written(text, with_data=False))
    assert outcome.code == 0
    assert "without a table [data] or a function `train.evaluate`" in outcome.out
    text = OWN.replace('"accuracy": C', '"accuracy": float("nan")')
    outcome = tried(command, written(text, with_data=False))
    assert "accuracy nan (diverged); narrow" in outcome.out


def test_a_judge_is_not_called(
    written: Make, folder: Path, command: Callable[..., Outcome]
) -> None:
    outcome = tried(command, written(OWN, with_data=False))
    assert outcome.code == 0
    assert "\n  warning: model: float, which `hpo evaluate` could not save, so " in outcome.out
    assert "so `hpo predict` would not work: trying:train returned a value of" in outcome.out
    assert "; `evaluate` was not called, because that would count as" in outcome.out
    assert not (folder / "judged").exists()
    outcome = tried(command, written(OWN.replace("return C", "return"), with_data=False))
    assert outcome.code == 2
    assert "trying:train returned no model for its `evaluate`; return it" in outcome.err


def test_a_program_runs_for_two_epochs(folder: Path, command: Callable[..., Outcome]) -> None:
    (folder / "program.py").write_text(
        "import os, time\nassert 'HPO_EVALUATE' not in os.environ\n"
        "for epoch in range(1, 1000):\n    print('{\"loss\": 0.5}')\n"
        "    open('epochs', 'a').write('.')\n    time.sleep(0.2)\n"
    )
    file = folder / "program.toml"
    file.write_text(
        'command = ["python", "program.py"]\nmetric = "loss"\ndirection = "minimize"\n'
        "[search_space]\nrate = { low = 0.0, high = 1.0 }\n"
    )
    outcome = tried(command, file)
    program_process._Connection.drop()
    assert outcome.code == 0
    assert "trial: 2 epochs; last: loss 0.5" in outcome.out
    assert "evaluation: not tried; `hpo evaluate` runs the program with HPO_E" in outcome.out
    assert len((folder / "epochs").read_text()) < 5


@pytest.mark.parametrize(("script", "message"), [
    ("echo hello; echo; bash absent.sh", "failed: RuntimeError: the program exited with code 127 "
     "(last line of output: bash: absent.sh: No such file or directory); fix it"),
    ("exit 3", "failed: RuntimeError: the program exited with code 3; fix it"),
    ("echo Epoch 1, loss: 0.5", "failed: ValueError: the program printed no line that "
     "metrics_pattern matches with 'loss' (last line of output: Epoch 1, loss: 0.5); fix it"),
])  # fmt: skip
def test_the_last_line_of_a_program_that_fails_is_shown(
    folder: Path, command: Callable[..., Outcome], script: str, message: str
) -> None:
    (folder / "train.sh").write_text(script)
    file = folder / "program.toml"
    file.write_text(
        'command = ["bash", "train.sh"]\nmetric = "loss"\ndirection = "minimize"\n'
        "metrics_pattern = 'loss = (?P<loss>.*)'\n"
        "[search_space]\nrate = { low = 0.0, high = 1.0 }\n"
    )
    outcome = tried(command, file)
    program_process._Connection.drop()
    assert outcome.code == 2
    assert outcome.err == f"hpo: {file}: bash train.sh {message}\n"
    assert "OK" not in outcome.out
