"""Programs as objectives: what they are given, what is read of them, and a study of one."""

import json
import math
import os
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo import program, program_process
from hpo.errors import NotResumed
from hpo.objective import Given, Parameter
from hpo.program import Program, _epochs
from hpo.program_process import run
from hpo.text import name_fault
from hpo.trial import TrialId
from tests.fixtures import Outcome, hpo, table
from tests.fuzzing import examples
from tests.hpo.programs import PYTHON, STUDY, write

Lines = Callable[..., list[dict[str, float]]]
TOLD = 'print(json.dumps({"epoch": %s, "loss": %s}))'


@pytest.fixture
def train(folder: Path) -> Iterator[Lines]:
    """Return a function that runs Python code as a program and returns its epochs."""

    def train(code: str, pattern: str | None = None, *arguments: str, **values: Any) -> Any:
        (folder / "program.py").write_text("import json, os, sys\n" + textwrap.dedent(code))
        program = Program((PYTHON, "program.py", *arguments), pattern)
        objective = program.objective({name: Parameter(Any) for name in values}, folder)
        return list(objective.start(values, Given("loss", 7, folder=folder, trial=TrialId(2, 17))))

    yield train
    program_process._Connection.drop()


# What it is told.


def test_hyperparameters_stand_in_its_arguments(train: Lines, folder: Path) -> None:
    code = 'open("told", "w").write(repr(sys.argv[1:])); print(json.dumps({"loss": 1}))'
    arguments = ("--lr={rate}", "{rate:.2f}", "{{rate}}", "{layers}", "{name}", "{deep}", "{sizes}",
                 "{sizes}x", "a b")
    train(code, None, *arguments,
          rate=1e-3, layers=2, name="s g'd", deep=True, sizes=(1, 2))
    assert eval((folder / "told").read_text()) == [
        "--lr=0.001", "0.00", "{rate}", "2", "s g'd", "true", "[1, 2]", "[1, 2]x", "a b",
    ]


def test_its_environment_has_what_it_needs_and_no_secrets(
    train: Lines, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MLFLOW_TRACKING_URI", "RAY_AUTH_TOKEN", "HPO_TRIAL", "HPO_OTHER"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("MINE", "kept")
    code = 'json.dump(dict(os.environ), open("told", "w")); print(json.dumps({"loss": 1}))'
    train(code, rate=0.5, sizes=(1, 2))
    told = json.loads((folder / "told").read_text())
    assert {name: told[name] for name in told if name.startswith(("HPO_", "MLFLOW_", "RAY_"))} == {
        "HPO_SEED": "7", "HPO_TRIAL": "2/17", "HPO_FOLDER": str(folder),
        "HPO_PARAM_RATE": "0.5", "HPO_PARAM_SIZES": "[1, 2]",
    }  # fmt: skip
    assert (told["MINE"], told["PYTHONUNBUFFERED"]) == ("kept", "1")
    assert told["PATH"].split(":")[0] == str(Path(PYTHON).parent)


def test_it_has_no_input_and_the_folder_of_the_study(train: Lines, folder: Path) -> None:
    code = 'print(json.dumps({"loss": len(sys.stdin.read()), "same": os.getcwd() == %r}))'
    assert train(code % str(folder)) == [{"loss": 0.0}]


# What it tells.


@pytest.mark.parametrize(
    ("code", "pattern", "expected"),
    [
        ('print(json.dumps({"loss": 1, "text": "x", "flag": True, "more": 2}))', None,
         [{"loss": 1.0, "more": 2.0}]),
        ('print("{not json\\n[1]"); print(json.dumps({"other": 1})); print(\'{"loss": 2}\')', None,
         [{"loss": 2.0}]),
        ('for e in range(3): print(json.dumps({"epoch": e, "loss": e}))', None,
         [{"loss": 0.0}, {"loss": 1.0}, {"loss": 2.0}]),
        ('for e in (1, 1, 2, 2, 2): print(json.dumps({"epoch": e, "loss": os.times().elapsed}))',
         None, 2),
        ('print(json.dumps({"loss": float("nan")}))', None, math.nan),
        ('print(json.dumps({"loss": 10**400}))', None, [{"loss": math.inf}]),
        ('print("epoch 1 loss=0.5 (1e-3)\\nnoise\\nepoch 2 loss=.25")',
         r"epoch (?P<epoch>\d+) loss=(?P<loss>\S+)( \((?P<rate>\S+)\))?",
         [{"loss": 0.5, "rate": 0.001}, {"loss": 0.25}]),
        ('print("loss: nan")', "loss: (?P<loss>.*)", math.nan),
        ('print("10%\\r20%\\rloss: 3\\r\\n", end="")', "^loss: (?P<loss>.*)$", [{"loss": 3.0}]),
        ('print("loss: 1", file=sys.stderr)', "loss: (?P<loss>.*)", [{"loss": 1.0}]),
        ('print("loss: 1", end="")', "loss: (?P<loss>.*)", [{"loss": 1.0}]),
    ],
)  # fmt: skip
def test_epochs_are_read_from_its_lines(
    train: Lines, code: str, pattern: str | None, expected: Any
) -> None:
    found = train(code, pattern)
    if isinstance(expected, int):
        assert len(found) == expected
    elif isinstance(expected, float):
        assert math.isnan(found[0]["loss"])
    else:
        assert found == expected


@pytest.mark.parametrize(
    ("code", "pattern", "said"),
    [
        ("sys.exit(3)", None, "exited with code 3"),
        ('print(json.dumps({"loss": 1})); os.kill(os.getpid(), 9)', None, "killed by SIGKILL"),
        ("print('nothing')", None, "printed no JSON object with 'loss'"),
        ('print(json.dumps({"lost": 1}))', None, "with 'loss'; it reports lost"),
        ("print('nothing')", "(?P<loss>x)", "no line that metrics_pattern matches with 'loss'"),
        ('print("loss low")', r"loss (?P<loss>\w+)", "matches 'low' as loss, which is not a"),
        ('for e in (1, 3): print(json.dumps({"epoch": e, "loss": 1}))', None, "from epoch 1 to 3"),
        ('for e in (2, 1): print(json.dumps({"epoch": e, "loss": 1}))', None,
         "starts with epoch 2; count from 0 or 1"),
        ('print(json.dumps({"epoch": 1.5, "loss": 1}))', None, "must be whole numbers"),
        ('print(json.dumps({"a\\nb": 1, "loss": 1}))', None, "the metric name"),
    ],
)
def test_what_is_wrong_with_it_is_said(
    train: Lines, code: str, pattern: str | None, said: str
) -> None:
    with pytest.raises((RuntimeError, ValueError)) as caught:
        train(code, pattern)
    assert said in str(caught.value)


def test_what_cannot_be_started_is_said(folder: Path) -> None:
    with pytest.raises(RuntimeError, match="'no-such-program' cannot be started: No such file"):
        list(run(["no-such-program"], dict(os.environ), str(folder)))
    assert list(run(["echo", "after it"], dict(os.environ), str(folder))) == ["after it"]


@given(st.lists(st.sampled_from([None, 0, 1, 1, 2, 2, 3, 4]), max_size=6))
@settings(max_examples=examples(200, 2_000))
def test_the_last_word_on_each_epoch_counts_and_none_is_missing(told: list[int | None]) -> None:
    lines = [(epoch, {"loss": float(line)}) for line, epoch in enumerate(told)]
    numbers: list[int] = []
    right = True
    for line, epoch in enumerate(told):
        before = numbers[-1] if numbers else None
        number = epoch if epoch is not None else (before or 0) + 1
        again = before == number and any(e is not None for e in told[:line])
        right = right and (number in (0, 1) if before is None else again or number == before + 1)
        numbers.append(number)
    if right:
        expected = dict(zip(numbers, (metrics for _, metrics in lines), strict=True))
        assert list(_epochs(iter(lines))) == list(expected.values())
    else:
        with pytest.raises(ValueError, match=r"count from 0 or 1|report every epoch"):
            list(_epochs(iter(lines)))


# In a study.


def test_a_study_of_a_program_is_the_same_everywhere(
    folder: Path, ray_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = []
    for place in ("inline", "ray"):
        (folder / place).mkdir()
        monkeypatch.chdir(folder / place)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / place}/mlflow.db")
        where = ("--inline",) if place == "inline" else ("--ray-address", ray_address)
        hpo("run", write(folder / place), *where)
        tables.append(table())
    assert len(tables[0]) == 6
    assert tables[0] == tables[1]
    assert {row["epochs"] for row in tables[0]} == {"3"}


def test_a_program_that_fails_is_a_failed_trial_with_its_last_lines(
    folder: Path, command: Callable[..., Outcome]
) -> None:
    ran = command("run", write(folder, "import sys; print('cause'); sys.exit(4)"), "--inline")
    assert "4 of 4 trials failed, the last with: RuntimeError: the program exited" in ran.err
    shown = command("show", "toy").out
    assert "\ncause\n" in shown
    assert "RuntimeError: the program exited with code 4" in shown
    assert "Traceback" not in shown


def test_changed_code_of_a_program_is_refused_once_a_trial_is_complete(
    folder: Path, command: Callable[..., Outcome]
) -> None:
    (folder / "part.py").write_text("LOSS = 1")
    file = write(folder, "import json, part\nprint(json.dumps({'loss': part.LOSS}))")
    assert command("run", file, "--inline").code == 0
    (folder / "part.py").write_text("LOSS = 1  # the same")
    assert command("run", file, "--inline", "--rounds", "2").code == 0
    (folder / "part.py").write_text("LOSS = 2")
    ran = command("run", file, "--inline", "--rounds", "3")
    assert ran.code == 2
    assert "the code of the objective changed since round 2" in ran.err


@pytest.mark.parametrize("way", ["", "inside/.."])
def test_files_that_are_not_python_change_with_every_byte(
    folder: Path, command: Callable[..., Outcome], way: str
) -> None:
    (folder / "inside").mkdir()
    (folder / "train.sh").write_text("# a word\necho '{\"loss\": 1}'\n")
    study = STUDY.replace('["python", "program.py", "--rate", "{rate}"]',
                          '["sh", "train.sh", "{rate}"]')
    file = folder / way / write(folder, study=study).name
    assert command("run", file, "--inline").code == 0
    (folder / "train.sh").write_text("# words\necho '{\"loss\": 1}'\n")
    ran = command("run", file, "--inline", "--rounds", "2")
    assert "the code of the objective changed since round 1" in ran.err


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("{rate}", "{rat}", "command: {rat} is not a hyperparameter; add it to [search_space] or "
         "[fixed], or write {{ for a literal brace; did you mean 'rate'?"),
        ('["python", "program.py"', '["program.py"', "command: no program 'program.py' is on PATH; "
         'to run the file beside the study file, write "./program.py"'),
        ("{rate}", "{0}", "command: has {0}, which is not the name of a"),
        ("{rate}", "{rate.real}", "is not the name of a"),
        ("{rate}", "{rate", "write {{ for a literal brace"),
        ('["python", "program.py", "--rate", "{rate}"]', "[]", "command: must not be empty"),
        ('["python", "program.py", "--rate", "{rate}"]', "'python program.py'", "command: "),
        ("metric =", "metrics_pattern = '('\nmetric =", "metrics_pattern: is not a valid"),
        ("metric =", "metrics_pattern = 'x'\nmetric =", "metrics_pattern: names no metric"),
        ("metric =", "metrics_pattern = '(?P<los>x)'\nmetric =", "metric: "),
        ("metric =", "objective = 'a:b'\nmetric =", "command: not allowed together with objective"),
        ("[round]", "[data]\nsource = 'digits'\n[round]", "data: "),
        ("command =", "commands =", "commands: unknown key; did you mean 'command'?"),
        ("low = 1, high = 4", "low = 1, high = 4.5", None),
        ("trials = 6", "trials = 6\n[fixed]\nname = 'x'\nsizes = [1, 2]", None),
        ("{ low = 1, high = 4 }", "{ choices = ['a', 2, true, [1]] }", None),
    ],
)
def test_a_study_file_with_a_command(
    folder: Path, command: Callable[..., Outcome], before: str, after: str, said: str | None
) -> None:
    assert before in STUDY
    ran = command("check", write(folder, study=STUDY.replace(before, after, 1)))
    if said is None:
        assert ran.code == 0, ran.err
        return
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert said in ran.err


def told(lines: list[str], pattern: str | None = None, **asked: Any) -> list[dict[str, float]]:
    """Return the epochs that lines tell."""
    run = program.Program(("x",), pattern)
    return list(program._epochs(program._told(run, iter(lines), Given("loss", 0), **asked)))


@pytest.mark.parametrize(
    ("lines", "pattern", "said"),
    [
        (["nothing"], None, "the program printed no JSON object with 'loss'"),
        (['{"lost": 1, "less": 2}'], None,
         "the program printed no JSON object with 'loss'; it reports less, lost"),
        (["nothing"], "(?P<loss>x)",
         "the program printed no line that metrics_pattern matches with 'loss'"),
        (["loss low"], r"loss (?P<loss>\w+)",
         "metrics_pattern matches 'low' as loss, which is not a number"),
        (['{"epoch": 2, "loss": 1}'], None,
         "the program starts with epoch 2; count from 0 or 1"),
        (['{"epoch": 1, "loss": 1}', '{"epoch": 3, "loss": 1}'], None,
         "the program jumps from epoch 1 to 3; report every epoch"),
        (['{"epoch": 1, "loss": 1}', '{"epoch": 0, "loss": 1}'], None,
         "the program jumps from epoch 1 to 0; report every epoch"),
        (['{"epoch": 1.5, "loss": 1}'], None,
         "the program reports epoch 1.5; epochs must be whole numbers"),
        (['{"loss": 1, "MAP@5": 1}'], None,
         f"the metric name 'MAP@5' of the program cannot be recorded: {name_fault('MAP@5')}"),
    ],
)
def test_what_lines_do_not_tell_is_said(
    lines: list[str], pattern: str | None, said: str
) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(said) + "$"):
        told(lines, pattern)


@pytest.mark.parametrize(
    ("lines", "losses"),
    [
        (['{"loss": 1}', '{"loss": 2}'], [1, 2]),
        (['  {"loss": 1}', "noise", '{"loss": true}', '{"loss": "2"}', "[1]"], [1]),
        (['{"epoch": 0, "loss": 1}', '{"epoch": 0, "loss": 2}', '{"epoch": 1, "loss": 3}'], [2, 3]),
        (['{"loss": 1}', '{"epoch": 2, "loss": 2}', '{"loss": 3}', '{"epoch": 4, "loss": 4}'],
         [1, 2, 3, 4]),
        (['{"epoch": 1, "loss": 1}', '{"more": 1}', '{"epoch": 1, "loss": 5}'], [5]),
        (['{"loss": -' + "9" * 400 + "}"], [-math.inf]),
    ],
)
def test_an_epoch_is_told_by_its_last_line(lines: list[str], losses: list[float]) -> None:
    assert [metrics["loss"] for metrics in told(lines)] == losses


@pytest.mark.parametrize("pattern", [None, "loss (?P<loss>.*)"])
def test_a_program_says_that_its_hyperparameters_cannot_be_trained_with(
    folder: Path, pattern: str | None
) -> None:
    code = """
    import json, os, sys, time
    print(json.dumps({"loss": 1.0}), "loss 1.0", sep="\\n", flush=True)
    if float(sys.argv[2]) > 0.5:
        print('{"infeasible": "too wide: 9 GB"}', flush=True)
        time.sleep(60)  # it is killed
    """
    study = STUDY if pattern is None else f"metrics_pattern = '{pattern}'\n{STUDY}"
    hpo("run", write(folder, textwrap.dedent(code), study), "--inline")
    rows = table()
    assert {(float(row["rate"]) > 0.5, row["state"], row["message"]) for row in rows} == {
        (True, "infeasible", "too wide: 9 GB"), (False, "complete", ""),
    }
    assert {row["epochs"] for row in rows} == {"1"}
    number = "{\"infeasible\": 1}"  # a metric of that name
    assert list(program._told(Program(("x",)), iter([number, "{\"loss\": 2}"]), Given("loss", 0)))


def test_metrics_of_a_test_are_apart_where_they_are_asked_for() -> None:
    tested: dict[str, float] = {}
    lines = ['{"loss": 1, "test_loss": 2}', '{"test_more": 3, "rows": 4}', '{"MAP@5": 1}']
    assert told(lines, tested=tested) == [{"loss": 1.0, "test_loss": 2.0}]
    assert tested == {"test_loss": 2.0, "test_more": 3.0}
    assert told(['{"test_loss": 1}'], tested={}) == []
    with pytest.raises(ValueError, match="the metric name 'test_@' of the program cannot"):
        told(['{"test_@": 1}'], tested={})


def test_the_environment_of_a_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HPO_X", "MLFLOW_X", "RAY_X", "MINE"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("PATH", "/bin")
    trial = TrialId(2, 7)
    found = program._environment({"rate": "0.5"}, Given("loss", 3, None, tmp_path, trial))
    assert {n: v for n, v in found.items() if n.startswith(("HPO", "MLFLOW", "RAY", "MINE"))} == {
        "MINE": "x", "HPO_SEED": "3", "HPO_TRIAL": "2/7", "HPO_FOLDER": str(tmp_path),
        "HPO_PARAM_RATE": "0.5",
    }
    assert found["PATH"] == f"{Path(sys.executable).parent}:/bin"
    assert found["PYTHONUNBUFFERED"] == "1"
    monkeypatch.delenv("PATH")
    bare = program._environment({}, Given("loss", 3))
    assert (bare["HPO_TRIAL"], bare["HPO_FOLDER"], bare["PATH"]) == (
        "", "", str(Path(sys.executable).parent)
    )
    judging = program._environment({}, replace(Given("loss", 3), evaluates=True))
    assert judging["HPO_EVALUATE"] == "1"
    assert "HPO_EVALUATE" not in bare


def test_types_of_a_program_are_those_of_its_file() -> None:
    space = {"a": {"low": 1, "high": 4}, "b": {"low": 1, "high": 4.5}, "c": {"choices": [1]},
             "d": {"low": 1, "high": 2, "step": 0.5}, "e": {"low": 1, "high": 4}, "f": 3}
    found = program.parameters_of({"x": 1, "y": [1], "z": "t"}, space, [{"e": 1.5}, {"a": 2}])
    assert {name: parameter.hint for name, parameter in found.items()} == {
        "x": int, "y": Any, "z": str, "a": int, "b": float, "c": Any, "d": float, "e": float,
        "f": Any,
    }


@pytest.mark.parametrize(
    ("command", "pattern", "said"),
    [
        ((), None, 'command must not be empty; name a program, for example ["python", '
         '"train.py"]'),
        (("{rate",), None, "command has an invalid argument '{rate': expected '}' before end of "
         "string; write {{ for a literal brace"),
        (("{0}",), None, "command has {0}, which is not the name of a hyperparameter; use a name, "
         "or write {{ for a literal brace"),
        (("x",), "(", "metrics_pattern is not a valid regular expression: missing ), unterminated "
         "subpattern at position 0; fix it"),
        (("x",), "(?P<epoch>x)", "metrics_pattern names no metric; add a named group such as "
         "(?P<loss>\\S+)"),
    ],
)
def test_a_command_that_cannot_be_is_refused_with_a_remedy(
    command: tuple[str, ...], pattern: str | None, said: str
) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(said) + "$"):
        program.Program(command, pattern)


def test_a_program_names_what_it_uses_and_tells() -> None:
    run = program.Program(("a b", "{rate}", "{{x}}", "--n={n:03d}"), r"(?P<epoch>\d) (?P<loss>x)")
    assert (run.name, run.used(), run.metrics) == (
        "'a b' '{rate}' '{{x}}' '--n={n:03d}'", {"rate", "n"}, ("loss",)
    )
    assert [program.as_argument(v) for v in ("x", 0.5, True, (1, 2))] == [
        "x", "0.5", "true", "[1, 2]"
    ]
    values = program._Values({"n": 7, "rate": 0.5, "deep": True, "name": "x"})
    assert "{n:03d} {rate:.2f} {deep} {name}".format_map(values) == "007 0.50 true x"


def test_with_checkpoints_each_line_is_an_epoch_after_those_done() -> None:
    def told(*numbers: int | None, done: int = 0, had_ended: bool = False) -> list[float]:
        epochs = ((number, {"loss": float(number or 0)}) for number in numbers)
        given = Given("loss", 0, done=done, had_ended=had_ended)
        return [metrics["loss"] for metrics in program._epochs_after(given, epochs)]

    assert told(1, 2, 3) == [1, 2, 3]
    assert told(5, 6, done=4) == [5, 6]
    assert told(done=4, had_ended=True) == []
    for numbers, done in (((4, 5), 4), ((6,), 4), ((1,), 4), ((), 4)):
        with pytest.raises(NotResumed):
            told(*numbers, done=done)
    for wrong in ((0, 1), (1, 1), (1, 3), (2,), (5, 5)):
        with pytest.raises(ValueError, match="report each epoch once, counting from 1"):
            told(*wrong, done=4 if wrong[0] == 5 else 0)
    with pytest.raises(ValueError, match="each line needs one, counting from 1"):
        told(None)
