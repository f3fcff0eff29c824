"""Without a table [data] the objective judges its best trial, and the record says so."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from hpo import own_evaluation, program_process
from hpo.errors import HPOError, InputError
from hpo.record.tracking import Tracking
from hpo.record.values import Look, Recorded
from hpo.study import read
from hpo.trial import Trial
from tests.fixtures import Make, evaluate, hpo
from tests.hpo.evaluating import Quiet

OBJECTIVE = '''
from pathlib import Path


def train(rate: float, epochs: int = 3, *, seed, folder):
    (folder / "model").write_text(str(rate))
    for epoch in range(epochs):
        yield {"score": -(rate - 0.3) ** 2 - 0.001 * abs(epoch - 1)}
    return {"rate": rate, "seed": seed, "folder": folder, "epochs": epochs}


def judge(model):
    print("not shown")
    assert (model["folder"] / "model").read_text() == str(model["rate"])
    with Path("judged").open("a") as file:
        file.write(f"{model['seed']} {model['epochs']}\\n")
    return {"test_score": 1 - model["rate"], "rows": 12}


train.evaluate = judge
'''

PROGRAM = '''
import json, os, sys
rate = float(sys.argv[1])
for epoch in (1, 2):
    print(json.dumps({"epoch": epoch, "score": -(rate - 0.3) ** 2}))
with open("ran", "a") as file:
    file.write(os.environ.get("HPO_EVALUATE", "") + os.environ["HPO_SEED"] + "\\n")
if os.environ.get("HPO_EVALUATE"):
    print(json.dumps({"test_score": 1 - rate, "rows": 3}))
    print(json.dumps({"test_loss": rate}))
'''


@pytest.fixture
def own(folder: Path, make_study: Make) -> Iterator[Make]:
    """Return a function that writes an objective that judges, and a study, and runs it."""

    def run(text: str = OBJECTIVE, **changes: Any) -> Path:
        (folder / "judging.py").write_text(text)
        sys.modules.pop("judging", None)
        tables: dict[str, Any] = {
            "objective": "judging:train", "metric": "score", "value": "best",
            "search_space": {"rate": {"low": 0.0, "high": 1.0}}, "round": {"trials": 4},
        }
        file = make_study("judging", **(tables | changes))
        hpo("run", file, "--inline")
        return file

    yield run
    sys.modules.pop("judging", None)


@pytest.fixture
def program(folder: Path) -> Iterator[Make]:
    """Return a function that writes a program, and a study, and runs it."""

    def run(text: str = PROGRAM, more: str = "") -> Path:
        (folder / "program.py").write_text(text)
        file = folder / "program.toml"
        file.write_text(
            'command = ["python", "program.py", "{rate}"]\n' + more +
            'metric = "score"\ndirection = "maximize"\n'
            "[search_space]\nrate = { low = 0.0, high = 1.0 }\n"
            '[round]\ntrials = 3\nsampler = "random"\n'
        )
        hpo("run", file, "--inline")
        return file

    yield run
    program_process._Connection.drop()


def recorded_of(file: Path) -> Recorded:
    recorded = Tracking(f"sqlite:///{file.parent / 'mlflow.db'}").study(file.stem).read()
    assert recorded is not None
    return recorded


def evaluations(file: Path) -> list[Any]:
    """Return the runs of evaluations, the last one first."""
    client = MlflowClient(f"sqlite:///{file.parent / 'mlflow.db'}")
    known = [recorded_of(file).experiment_id]
    return list(client.search_runs(known, "tags.kind = 'evaluation'"))


def test_the_objective_judges_its_best_trial_trained_once_more(
    own: Make, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = own()
    best = max(recorded_of(file).results, key=lambda r: r.value or -9)
    shown = evaluate(capsys, file)
    rate = best.trial.hyperparameters["rate"]
    assert shown["metrics"] == {"test_score": 1 - rate, "rows": 12.0}
    assert (shown["look"], shown["repeated"], shown["guarded"]) == (1, False, False)
    assert (shown["number"], shown["epochs"]) == (best.trial.number, 2)
    assert (folder / "judged").read_text() == f"{best.trial.seed} 2\n"
    (run,) = evaluations(file)
    assert run.data.metrics == shown["metrics"]
    assert run.info.status == "FINISHED"
    assert (run.data.tags["guarded"], run.data.tags["repeated"]) == ("false", "false")
    assert "hpo cannot know whether trials have seen" in run.data.tags["mlflow.note.content"]
    (look,) = recorded_of(file).looks
    assert look.result.startswith("test_score ")
    hpo("show", file)
    assert "hpo cannot know whether" in " ".join(capsys.readouterr().out.split())
    with pytest.raises(InputError, match="has no model yet"):
        hpo("predict", "judging", "judged")
    with pytest.raises(InputError, match=r"was spent on .*--again"):
        hpo("evaluate", file)
    with pytest.raises(InputError, match="--top: the objective scores a single model"):
        hpo("evaluate", file, "--again", "--top", 2)


def test_whatever_runs_after_a_look_leaves_the_next_one_repeated(
    own: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    file = own()
    hpo("evaluate", file)
    assert "hpo cannot know whether" in " ".join(capsys.readouterr().out.split())
    for number, command in enumerate((
        ("run", file, "--inline", "--trials", 6),  # extended
        ("run", file, "--inline", "--rounds", 2, "--trials", 4),  # searched
        ("confirm", file, "--inline", "--top", 2, "--repeats", 2),
    ), start=2):  # fmt: skip
        hpo(*command)
        with pytest.raises(InputError, match=r"was spent on .*--again"):
            hpo("evaluate", file)
        capsys.readouterr()
        hpo("evaluate", file, "--again")
        printed = " ".join(capsys.readouterr().out.split())
        assert f"repeated: this is evaluation {number}; if" in printed
    assert [run.data.tags["repeated"] for run in evaluations(file)] == [*3 * ["true"], "false"]
    assert [look.number for look in recorded_of(file).looks] == [1, 2, 3, 4]


@pytest.mark.parametrize(("body", "message"), [
    ("raise KeyError('rows')",
     r"^judging:train\.evaluate failed: KeyError: 'rows' \(at judging\.py, line \d+\); nothing"),
    ("return {'test_loss': float('inf')}", r"evaluate returned test_loss = inf; nothing was"),
    ("return {}", r"evaluate returned no metric; nothing"),
    ("return None", r"evaluate failed: TypeError: expected a number or a mapping"),
])  # fmt: skip
def test_a_judge_that_fails_spends_nothing(own: Make, body: str, message: str) -> None:
    file = own(OBJECTIVE.replace('    print("not shown")', f"    {body}"))
    with pytest.raises(InputError, match=message) as caught:
        hpo("evaluate", file)
    assert "\n" not in str(caught.value)
    assert not recorded_of(file).looks
    assert not evaluations(file)


def test_a_number_is_that_of_the_metric(own: Make, capsys: pytest.CaptureFixture[str]) -> None:
    file = own(OBJECTIVE.replace('    print("not shown")', "    return 0.5"))
    assert evaluate(capsys, file)["metrics"] == {"test_score": 0.5}


def test_without_a_judge_that_is_said(own: Make) -> None:
    file = own(OBJECTIVE.replace("train.evaluate = judge", ""))
    with pytest.raises(InputError, match=r"needs a table \[data\], .* function `train\.evaluate`"):
        hpo("evaluate", file)


def test_without_a_model_that_is_said(own: Make) -> None:
    file = own(OBJECTIVE.replace("    return {\"rate", "    return None\n    {\"rate"))
    with pytest.raises(InputError, match=r"^judging:train returned no model for its `evaluate`"):
        hpo("evaluate", file)
    (file.parent / "judging.py").write_text("def train(rate: float): ...\ntrain.evaluate = 3")
    sys.modules.pop("judging")
    with pytest.raises(InputError, match="`evaluate` of judging:train must be a function that"):
        hpo("check", file)


def test_of_two_at_once_the_first_has_the_look(own: Make) -> None:
    file = own()
    study, recorded = read(file), recorded_of(file)
    record = Tracking(f"sqlite:///{file.parent / 'mlflow.db'}").study("judging")
    record.read()
    first = own_evaluation.evaluate(study, recorded, record, Quiet())
    with pytest.raises(InputError, match="another process used the test set"):
        own_evaluation.evaluate(study, recorded, record, Quiet())
    assert [run.info.run_id for run in evaluations(file)] == [first.run_id]


def test_a_program_judges_itself_when_it_is_asked(
    program: Make, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = program()
    best = max(recorded_of(file).results, key=lambda r: r.value or -9)
    shown = evaluate(capsys, file)
    rate = best.trial.hyperparameters["rate"]
    assert shown["metrics"] == {"test_score": 1 - rate, "test_loss": rate}
    ran = (folder / "ran").read_text().split()
    assert len(ran) == 4
    assert ran[-1] == f"1{best.trial.seed}"
    (run,) = evaluations(file)
    assert run.data.tags["guarded"] == "false"


def test_groups_of_a_pattern_are_metrics_of_a_test(
    program: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    text = PROGRAM.replace('print(json.dumps({"epoch": epoch, "score": -(rate - 0.3) ** 2}))',
                           'print("score", -(rate - 0.3) ** 2)')
    text = text.replace('print(json.dumps({"test_score": 1 - rate, "rows": 3}))',
                        'print("test", 9)')
    pattern = r"metrics_pattern = 'score (?P<score>\S+)|test (?P<test_score>\S+)'" + "\n"
    assert evaluate(capsys, program(text, pattern))["metrics"] == {"test_score": 9.0}


@pytest.mark.parametrize(("more", "message"), [
    ("", r"starts with test_; this study has a metrics_pattern, so add a group to it, for example "
     r"|test loss (?P<test_loss>\S+), and print such a line when HPO_EVALUATE=1 is set"),
    (r"|test (?P<test_score>\S+)", "starts with test_; when HPO_EVALUATE=1 is set, it must print "
     "a line from which metrics_pattern takes test_score"),
])  # fmt: skip
def test_a_pattern_without_a_test_metric_is_what_to_change(
    program: Make, more: str, message: str
) -> None:
    text = PROGRAM.replace('print(json.dumps({"epoch": epoch, "score": -(rate - 0.3) ** 2}))',
                           'print("score", -(rate - 0.3) ** 2)')
    file = program(text, rf"metrics_pattern = 'score (?P<score>\S+){more}'" + "\n")
    with pytest.raises(HPOError) as caught:
        hpo("evaluate", file)
    assert str(caught.value).endswith(message)
    assert not recorded_of(file).looks


@pytest.mark.parametrize(("judging", "message"), [
    ("pass", r"program\.toml: the program reports no metric that starts with test_; when HPO_EV"),
    ("sys.exit(3)", r"failed when retrained: RuntimeError: the program exited with code 3 \(last "
     r"line of output: {"),
    ("print('{\"test_score\": NaN}')", r"evaluate returned test_score = nan"),
])  # fmt: skip
def test_a_program_that_does_not_judge_spends_nothing(
    program: Make, judging: str, message: str
) -> None:
    head = PROGRAM.partition("if os.environ.get")[0]
    file = program(f'{head}if os.environ.get("HPO_EVALUATE"):\n    {judging}\n')
    with pytest.raises(HPOError, match=message):
        hpo("evaluate", file)
    assert not recorded_of(file).looks
    assert not evaluations(file)


LOOK = Look(1, "2026-01-02T03:04:05Z", "test_score 0.5")


def test_what_is_recorded_of_a_look_of_ones_own() -> None:
    trial = Trial(2, 7, {"rate": 0.5}, 1)
    own = own_evaluation.OwnEvaluation("s", LOOK, {"test_score": 0.5}, trial, 1, "r")
    note = "Retrained: trial 7 of round 2, 1 epoch.\n"
    assert own_evaluation._tags(own) == {
        "when": LOOK.when, "repeated": "false", "guarded": "false", "not_kept": "",
        "mlflow.note.content": f"test_score 0.5\n\n{note}",
    }
    again = replace(own, look=replace(LOOK, number=3), epochs=4)
    assert own_evaluation._tags(again) == {
        "when": LOOK.when, "repeated": "true", "guarded": "false", "not_kept": "",
        "mlflow.note.content": "test_score 0.5\n\n**Repeated**: this is evaluation 3. If an "
        "earlier result influenced anything, this one is too optimistic.\n\n"
        f"{note.replace('1 epoch', '4 epochs')}",
    }
    assert own.to_table() == {
        "study": "s", "look": 1, "repeated": False, "when": LOOK.when, "guarded": False,
        "metrics": {"test_score": 0.5}, "round": 2, "number": 7, "hyperparameters": {"rate": 0.5},
        "epochs": 1, "kept": False, "run": "r", "model": None,
    }
    assert again.to_table()["repeated"] is True
    assert own_evaluation._summary({"a": 0.123456, "b": 2.0}) == "a 0.1235, b 2"


def test_a_judge_is_asked_for_in_words(make_study: Make) -> None:
    study = read(make_study())
    with pytest.raises(InputError) as caught:
        own_evaluation.refuse_without_evaluate(study)
    assert str(caught.value) == (
        f"{study.path}: `hpo evaluate` needs a table [data], from which hpo holds back a test "
        "set, or a function `quadratic.evaluate` that accepts the model and returns test "
        "metrics (docs/models.md); add one"
    )
    judged = study.model_copy(update={
        "objective": replace(study.objective, evaluate=lambda model: 1.0)
    })
    own_evaluation.refuse_without_evaluate(judged)
    with pytest.raises(InputError) as caught:
        own_evaluation.refuse_without_evaluate(judged, 2)
    assert str(caught.value) == "--top: the objective scores a single model; drop --top"
