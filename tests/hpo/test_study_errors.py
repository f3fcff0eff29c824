"""A bad study file gives one line, which names the file, the key and the remedy."""

import datetime
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hpo.errors import InputError
from hpo.study import read
from hpo.study_errors import clipped, deepest_line, key_text, nearest, one_line, short_text
from tests.fixtures import Outcome
from tests.hpo.bad_spaces import BAD_SPACES
from tests.hpo.study_files import GOOD, HEAD, parse, searched

pytestmark = pytest.mark.usefixtures("on_search_path")


def complaint(folder: Path, text: str | bytes) -> str:
    """Return what is said of a bad study file, without the file, having checked its form."""
    with pytest.raises(InputError) as caught:
        parse(folder, text)
    said = str(caught.value)
    file = f"{folder / 'study.toml'}: "
    assert said.startswith(file)
    assert said.isprintable()  # neither a second line nor a command to the terminal
    assert len(said) <= 700
    return said.removeprefix(file)


# What is wrong: the file, how the message begins (the key), and what else it says (the remedy).
BAD: dict[str, tuple[str, str, str]] = {
    "not TOML": ("a = ", "not valid TOML: ", "at end of document"),
    "not TOML, later": (GOOD + "a b\n", "not valid TOML: ", "line 6"),
    "True": ("deep = [1,\n  True]\n", "not valid TOML: ", "TOML writes true in lower case"),
    "False in a range": (searched("rate = { low = 1, high = 2, log = False }"),
                         "not valid TOML: ", "TOML writes false in lower case"),
    "key twice": (HEAD + HEAD, "not valid TOML: ", "line 4"),
    "a number of 5000 digits": (f"seed = {'1' * 5000}\n{GOOD}", "not valid TOML: ", "4300 digits"),
    "nested arrays": (f"{GOOD}[fixed]\nlabel = {'[' * 9000}{']' * 9000}", "nested", "fewer levels"),
    "nested tables": (f"{GOOD}[data.source.{'.'.join('a' * 5000)}]\n", "nested", "fewer levels"),
    "a hexadecimal number": (f"seed = 0x{'f' * 5000}\n{GOOD}", "not valid TOML: ", "4300 digits"),
    "empty file": ("", "objective: ", "missing; add it"),
    # Keys
    "top key": ("sede = 1\n" + GOOD, "sede: ", "did you mean 'seed'?"),
    "top key, nothing near": ("zzz = 1\n" + GOOD, "zzz: ", "valid keys: name, objective"),
    "misspelled needed key": (GOOD.replace("objective =", "objektive ="), "objektive: ",
                              "did you mean 'objective'?"),
    "reserved key": ("path = 1\n" + GOOD, "path: ", "remove it"),
    "key in [data]": (GOOD + "[data]\nsorce = 'digits'", "data.sorce: ", "'source'"),
    "key in [round]": (GOOD + "[round]\ntrails = 3", "round.trails: ", "'trials'"),
    "key in [budget]": (GOOD + "[budget]\nhour = 3", "budget.hour: ", "'hours'"),
    "key in [resources]": (GOOD + "[resources]\ncpu = 3", "resources.cpu: ", "'cpus'"),
    "key in a range": (searched("rate = { low = 1, hihg = 2 }"), "search_space.rate.hihg: ",
                       "'high'"),
    "min of a range": (searched("rate = { min = 1, max = 2 }"), "search_space.rate.min: ",
                       "did you mean low and high?"),
    "values of a choice": (searched("kind = { values = ['a', 'b'] }"),
                           "search_space.kind.values: ", "did you mean 'choices'?"),
    "key with a command": (f'"\\u001b[31m\\n" = 1\n{GOOD}', "\\x1b[31m : ", "unknown key"),
    "empty key": (f'"" = 1\n{GOOD}', '"": ', "unknown key; valid keys: "),
    "dotted key in quotes": (f'"round.trials" = 1\n{GOOD}', '"round.trials": ', "unknown key"),
    "key of another table": (f"trials = 1\n{GOOD}", "trials: ", "move it to [round]"),
    "key declared twice": (f"{GOOD}[a.b]\n[a.b]\n", "not valid TOML: ", "declare 'a.b' twice"),
    "long hyperparameter": (f"{GOOD}[fixed]\n{'k' * 9000} = 1", "fixed.kkk", "unknown"),
    "long sampler": (
        f"{GOOD}[round]\nsampler = '{'k' * 9000}'", "round.sampler: ", "valid samplers: random"
    ),
    "long objective": (
        GOOD.replace("objectives_of", "k" * 9000), "objective: ", "use at most 200"
    ),
    "long label refused": (
        f"{GOOD}[fixed]\nsizes = [{'0, ' * 20_000}]", "fixed.sizes: ", "put the value in a file"
    ),
    "date": (f"seed = 1979-05-27\n{GOOD}", "seed: ", "got 1979-05-27"),
    "edges that differ late": (
        searched("rate = { low = 1.00000012, high = 1.00000011 }"), "search_space.rate.low: ",
        "low = 1.00000012 must be below high = 1.00000011",
    ),
    "key of 9000 characters": (f"{'k' * 9000} = 1\n{GOOD}", "kkk", "unknown key"),
    # Types and values at the top
    "seed of text": ("seed = '1'\n" + GOOD, "seed: ", "integer"),
    "seed of truth": ("seed = true\n" + GOOD, "seed: ", "integer"),
    "seed below zero": ("seed = -1\n" + GOOD, "seed: ", "at least 0"),
    "rounds of a float": ("rounds = 2.0\n" + GOOD, "rounds: ", "integer"),
    "rounds as a table": (GOOD + "[rounds]\ntrials = 10", "rounds: ", "is called [round]"),
    "no round": ("rounds = 0\n" + GOOD, "rounds: ", "at least 1"),
    "direction": (GOOD.replace("minimize", "min"), "direction: ", "'minimize' or 'maximize'"),
    "value": ("value = 'first'\n" + GOOD, "value: ", "'last' or 'best'"),
    "table for a value": (GOOD + "[seed]\n", "seed: ", "integer"),
    # Objective and metric
    "objective of a number": (GOOD.replace('"objectives_of_test_study:train"', "3"), "objective: ",
                              '"package.module:name"'),
    "objective without a colon": (GOOD.replace("study:train", "study.train"), "objective: ",
                                  '"package.module:name"'),
    "objective as a path": (GOOD.replace("objectives_of", "../objectives_of"), "objective: ",
                            '"package.module:name"'),
    "objective as a file": (GOOD.replace("study:", "study.py:"), "objective: ",
                            'use "objectives_of_test_study:train"'),
    "objective as a file elsewhere": (GOOD.replace("objectives_of", "./a/objectives_of").replace(
        "study:", "study.py:"), "objective: ", 'use "a.objectives_of_test_study:train"'),
    "objective's module": (GOOD.replace("objectives_of", "nothing_of"), "objective: ",
                           "put it next to the study file, or install it"),
    "objective's function": (GOOD.replace(":train", ":trian"), "objective: ",
                             "it defines dataless, hungry, needy, ranking, train, wrong"),
    "objective no function": (GOOD.replace(":train", ":number"), "objective: ", "no function"),
    "metrics that are no names": (GOOD.replace(":train", ":wrong"), "objective: ", "`metrics`"),
    "module that raises": (GOOD.replace("objectives_of_test_study", "raises_on_import"),
                           "objective: ", "OSError: disk full"),
    "module that exits": (GOOD.replace("objectives_of_test_study", "exits_on_import"),
                          "objective: ", "SystemExit"),
    "module that is no Python": (GOOD.replace("objectives_of_test_study", "is_no_python"),
                                 "objective: ", "SyntaxError"),
    "module that lacks another": (GOOD.replace("objectives_of_test_study", "needs_another"),
                                  "objective: ", "no module 'not_there_at_all'"),
    "metric": (GOOD.replace("_loss", "_lost"), "metric: ", "'validation_loss'"),
    "metric of a number": (GOOD.replace('"validation_loss"', "1"), "metric: ", "string"),
    "metric of another task": (
        GOOD.replace("_loss", "_accuracy")
        + "[data]\nsource = 'digits'\ntask = 'regression'", "metric: ",
        "for regression",
    ),
    # Data
    "data without a source": (GOOD + "[data]\nvalidation = 0.2", "data.source: ", "digits"),
    "data for none": (
        GOOD.replace(":train", ":dataless") + "[data]\nsource = 'digits'", "data: ",
        "remove the table [data]",
    ),
    "no data for who needs them": (GOOD.replace(":train", ":hungry"), "data: ", "add one"),
    "data a value": ("data = 3\n" + GOOD, "data: ", "expected a table"),
    "validation of text": (GOOD + "[data]\nvalidation = 'x'", "data.validation: ", "number"),
    "drop no list": (GOOD + "[data]\ndrop = 'id'", "data.drop: ", "list"),
    "drop of numbers": (GOOD + "[data]\ndrop = [1]", "data.drop: ", "string"),
    "task": (GOOD + "[data]\ntask = 'ranking'", "data.task: ", "'regression'"),
    "decimal": (GOOD + "[data]\ndecimal = ';'", "data.decimal: ", "','"),
    "thousands": (GOOD + "[data]\nthousands = 'x'", "data.thousands: ", "must be one of ','"),
    "thousands as decimal": (GOOD + "[data]\nthousands = '.'", "data.thousands: ", "decimal mark"),
    "unit with a bracket": (GOOD + "[data]\nunits = ['(']", "data.units: ", "parentheses"),
    "unit with a digit": (GOOD + "[data]\nunits = ['m2']", "data.units: ", "digits"),
    "impute": (GOOD + "[data]\nimpute = 'mean'", "data.impute: ", "'drop_rows'"),
    "missing no text": (GOOD + "[data]\nmissing = [-999]", "data.missing", "string"),
    "rows of a float": (GOOD + "[data]\nrows = 1.5", "data.rows: ", "integer"),
    # Fixed values
    "unknown fixed": (GOOD + "[fixed]\nunit = 1", "fixed.unit: ", "did you mean 'units'?"),
    "fixed of another type": (GOOD + "[fixed]\nunits = 1.5", "fixed.units: ", "integer"),
    "fixed truth for a number": (GOOD + "[fixed]\nunits = true", "fixed.units: ", "integer"),
    "fixed number for a truth": (GOOD + "[fixed]\ndeep = 1", "fixed.deep: ", "true or false"),
    "fixed word": (GOOD + "[fixed]\nkind = 'fancier'", "fixed.kind: ", "'fancy'"),
    "fixed list": (GOOD + "[fixed]\nsizes = [1, 'a']", "fixed.sizes: ", "integer"),
    "fixed date": (GOOD + "[fixed]\nlabel = 1979-05-27", "fixed.label: ", "string"),
    "fixed table": (GOOD + "[fixed.units]\nlow = 1", "fixed.units: ", "integer"),
    "fixed NaN": (GOOD + "[fixed]\nrate_end = nan", "fixed.rate_end: ", "use a number"),
    "fixed, refused": (GOOD + "[fixed]\nlabel = 'refused'", "fixed.label: ", "change it"),
    "fixed, refused by accident": (GOOD + "[fixed]\nunits = 13", "fixed: ", "ZeroDivisionError"),
    "fixed and searched": (GOOD + "[fixed]\nrate = 0.1", "search_space.rate: ", "remove it"),
    "fixed a value": ("fixed = 3\n" + GOOD, "fixed: ", "table"),
    **BAD_SPACES,
    # Start points
    "start outside": (GOOD + "[[start]]\nrate = 0.01\n[[start]]\nrate = 5.0", "start.2.rate: ",
                      "move the point or widen the range"),
    "start of another type": (GOOD + "[[start]]\nrate = 'a'", "start.1.rate: ", "number"),
    "start not searched": (GOOD + "[[start]]\nunits = 1", "start.1.units: ", "[search_space]"),
    "start unknown": (GOOD + "[[start]]\nrte = 1", "start.1.rte: ", "did you mean 'rate'?"),
    "start no list": (GOOD + "[start]\nrate = 1", "start: ", "[[start]]"),
    "start of numbers": ("start = [1]\n" + GOOD, "start: ", "[[start]]"),
    # The round
    "sampler": (GOOD + "[round]\nsampler = 'tep'", "round.sampler: ", "did you mean 'tpe'?"),
    "sampler, nothing near": (GOOD + "[round]\nsampler = 'xx'", "round.sampler: ",
                              "valid samplers: random, tpe, gp, grid, qmc"),
    "sampler of a number": (GOOD + "[round]\nsampler = 1", "round.sampler: ", "string"),
    "pruner": (GOOD + "[round]\npruner = 'medain'", "round.pruner: ", "did you mean 'median'?"),
    "pruner of a number": (GOOD + "[round]\npruner = 1", "round.pruner: ", "expected a name"),
    "pruner without a name": (GOOD + "[round]\npruner = {}", "round.pruner: ", "expected a name"),
    "pruner's key": (GOOD + "[round]\npruner = { name = 'median', warmup = 1 }",
                     "round.pruner.warmup: ", "'warmup_epochs'"),
    "pruner's type": (GOOD + "[round]\npruner = { name = 'median', interval = 1.5 }",
                      "round.pruner.interval: ", "integer"),
    "pruner's value": (GOOD + "[round]\npruner = { name = 'median', interval = 0 }",
                       "round.pruner.interval: ", "must be at least 1"),
    "percentile": (GOOD + "[round]\npruner = { name = 'percentile', percentile = 101.0 }",
                   "round.pruner.percentile: ", "between 0 and 100"),
    "reduction factor": (
        GOOD + "[round]\npruner = { name = 'successive_halving', reduction_factor = 1 }",
        "round.pruner.reduction_factor: ", "at least 2",
    ),
    "settings of no pruner": (GOOD + "[round]\npruner = { name = 'none', interval = 1 }",
                              "round.pruner.interval: ", "remove it"),
    "no trials": (GOOD + "[round]\ntrials = 0", "round.trials: ", "at least 1"),
    "trials without end": (GOOD + "[round]\ntrials = 1_000_000_000_000", "round.trials: ",
                           "at most 1000000"),
    "parallel": (GOOD + "[round]\nparallel = 0", "round.parallel: ", "at least 1"),
    "round a value": ("round = 3\n" + GOOD, "round: ", "expected a table"),
    # Parts of trials
    "key in [trial]": (GOOD + "[trial]\nfold = 3", "trial.fold: ", "'folds'"),
    "one seed": (GOOD + "[trial]\nseeds = 1", "trial.seeds: ", "at least 2"),
    "seeds and folds": (GOOD + "[trial]\nseeds = 2\nfolds = 2", "trial.folds: ", "one of the two"),
    "folds and a share": (GOOD + "[data]\nsource = 'digits'\nvalidation = 0.2\n[trial]\nfolds = 2",
                          "data.validation: ", "trial.folds = 2"),
    "folds without data": (GOOD.replace(":train", ":dataless") + "[trial]\nfolds = 2",
                           "trial.folds: ", "use trial.seeds instead"),
    "no CPU": (GOOD + "[resources]\ncpus = 0", "resources.cpus: ", "at least 1"),
    "patience": (GOOD + "[budget]\npatience = 0", "budget.patience: ", "at least 1"),
    "target NaN": (GOOD + "[budget]\ntarget = nan", "budget.target: ", "finite"),
    # Names
    "no name": ("name = ''\n" + GOOD, "name: ", "choose another name"),
    "name of blanks": ("name = '  '\n" + GOOD, "name: ", "choose another name"),
    "padded name": ("name = ' a'\n" + GOOD, "name: ", "choose another name"),
    "name of two lines": ('name = "a\\nb"\n' + GOOD, "name: ", "choose another name"),
    "name with a command": ('name = "a\\u001b[2J"\n' + GOOD, "name: ", "choose another name"),
    "name with a zero": ('name = "a\\u0000"\n' + GOOD, "name: ", "choose another name"),
    "name that turns the line": ('name = "a\\u202e"\n' + GOOD, "name: ", "choose another name"),
    "name of 300 characters": (f"name = '{'x' * 300}'\n" + GOOD, "name: ", "at most 200"),
    "name of a number": ("name = 3\n" + GOOD, "name: ", "string"),
    # Programs and files
    "files no list": (GOOD + "[data]\nfiles = 'x'", "data.files: ", "expected a list of paths"),
    "no files": (GOOD + "[data]\nfiles = []", "data.files: ", "expected a list of paths"),
    "files of numbers": (GOOD + "[data]\nfiles = [1]", "data.files: ", "expected a list of paths"),
    "reserved files": ("data_files = 1\n" + GOOD, "data_files: ", "remove it"),
    "command and objective": ("command = 'x'\n" + GOOD, "command: ", "remove one of the two"),
    "pattern without a command": (
        "metrics_pattern = 'x'\n" + GOOD.partition("\n")[2], "metrics_pattern: ", "add command"
    ),
}


# What is said of each, to the letter: a case on one line, and what is said of it on the next.
_LINES = Path(__file__).with_name("complaints.txt").read_text(encoding="utf-8").splitlines()
WHOLE = dict(zip(_LINES[::2], (line.removeprefix("    ") for line in _LINES[1::2]), strict=True))


@pytest.mark.parametrize("case", BAD)
def test_bad_file_gives_one_line_with_file_key_and_remedy(case: str, tmp_path: Path) -> None:
    text, key, remedy = BAD[case]
    said = complaint(tmp_path, text)
    assert said.startswith(key)
    assert remedy in said
    if "SyntaxError" not in said:  # which each Python says in its own words
        assert said == WHOLE[case]


def test_what_is_no_text_or_no_file(tmp_path: Path) -> None:
    assert complaint(tmp_path, b"\xff\xfe" + GOOD.encode()).startswith("cannot be read: ")
    assert complaint(tmp_path, b"\x00").startswith("not valid TOML: ")
    with pytest.raises(InputError, match=r"nothing\.toml: no such file; give the path of"):
        read(tmp_path / "nothing.toml")
    with pytest.raises(InputError, match=r"cannot be read: .*; give a text file"):
        read(tmp_path)


def test_a_file_name_of_two_lines_still_gives_one(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        parse(tmp_path, GOOD, "a\nb\x1b.toml")
    assert str(caught.value).isprintable()
    assert "a b\\x1b.toml: name: " in str(caught.value)


BY_COMMAND = (
    "not TOML", "a number of 5000 digits", "nested tables", "misspelled needed key",
    "key with a command", "module that exits", "module that raises", "metric",
    "unknown hyperparameter", "low above high", "log from zero", "fixed and searched",
    "infinite units", "no default", "start outside", "pruner's value", "name of 300 characters",
)


@pytest.mark.parametrize("case", BY_COMMAND)
def test_the_command_says_one_line_and_leaves_nothing(
    case: str, tmp_path: Path, command: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # Half of them through `run`: it must not open a record, nor start anything, before it knows.
    name = "run" if BY_COMMAND.index(case) % 2 else "check"
    (tmp_path / "study.toml").write_text(BAD[case][0])
    ended = command(name, "study.toml")
    check_complaint(case, ended.code, ended.out, ended.err)
    assert os.listdir(tmp_path) == ["study.toml"]


@pytest.mark.parametrize("case", ["nested tables", "module that exits", "metric"])
def test_so_does_the_command_of_a_shell(
    case: str, tmp_path: Path, objective_folder: Path
) -> None:
    (tmp_path / "study.toml").write_text(BAD[case][0])
    ended = subprocess.run(
        [Path(sys.executable).with_name("hpo"), "run", "study.toml"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": str(objective_folder)},
    )
    check_complaint(case, ended.returncode, ended.stdout, ended.stderr)
    assert os.listdir(tmp_path) == ["study.toml"]


def check_complaint(case: str, code: int, out: str, err: str) -> None:
    assert (code, out) == (2, "")
    assert err.startswith(f"hpo: study.toml: {BAD[case][1]}")
    assert err.endswith("\n")
    assert err[:-1].isprintable()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"), (1e-7, "1e-07"), ("it's", '"it\'s"'), ((1, False), "[1, false]"),
        ([1, ["a"], {"b": 2}], "[1, ['a'], { b = 2 }]"), ({"b.c": [True]}, '{ "b.c" = [true] }'),
        (datetime.date(2020, 1, 2), "2020-01-02"), (datetime.time(10, 5), "10:05:00"),
        ("x" * 70, f"'{'x' * 29}…{'x' * 28}'"),
        ([0] * 31, f"[{'0, ' * 9}0,…{'0, ' * 8} 0, …]".replace("  ", " ")),
    ],
)
def test_values_are_shown_as_a_study_file_writes_them(value: object, text: str) -> None:
    assert short_text(value) == text


def test_what_is_shown_is_short() -> None:
    assert [clipped("abcdefgh", letters) for letters in (8, 7, 6)] == [
        "abcdefgh", "abc…fgh", "abc…gh"
    ]
    assert [key_text(key) for key in ("a", "", " ", "a.b")] == ["a", '""', '" "', '"a.b"']
    assert len(key_text("k" * 61)) == 60
    assert one_line("a\nb\x1b[2J\t") == r"a b\x1b[2J "
    assert one_line("x" * 600) == "x" * 600
    assert one_line("x" * 601) == "x" * 599 + "…"
    assert nearest("x", []) == ""
    assert nearest("q", ["n" * 200] * 3) == f"; valid names: {'n' * 150}…{'n' * 149}"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\nb\n", 1), ("a\n[[[\nb", 2), ("a.b.c\n[", 1), ("a\n{\n", 2), ("{{\n}}\n{{{\n", 3),
        ("[\n[\n[\n]\n]\n]\n[[", 3), ("a=[\n[\n1.2.3.4.5", 3),
    ],
)
def test_the_deepest_line(text: str, line: int) -> None:
    assert deepest_line(text) == line
