import copy
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpo.cli.ranges import parse_range
from hpo.errors import InputError
from hpo.search.pruning import MedianPruner, PercentilePruner, SuccessiveHalvingPruner
from hpo.search_space import (
    CategoricalDistribution,
    Distribution,
    FloatDistribution,
    IntegerDistribution,
)
from hpo.study import Study, read
from tests.fixtures import Outcome, hpo, table
from tests.fuzzing import examples
from tests.processes import ROOT
from tests.study_mutants import WHOLE, mutant

# An objective with every kind of hyperparameter; it costs nothing to import.
OBJECTIVE = '''
from collections.abc import Generator
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Hyperparameters:
    rate: float = 0.1
    rate_end: float = 0.01
    units: int = 10
    deep: bool = False
    kind: Literal["plain", "fancy", "odd"] = "plain"
    sizes: tuple[int, ...] = (100,)
    bound: float | None = None
    label: str = ""
    दरी: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.rate < 1000:
            raise ValueError(f"rate must lie in (0, 1000), not {self.rate}")
        if self.label == "refused":
            raise ValueError("label must be another one")
        if 0 in self.sizes:
            raise ValueError("sizes must not hold 0")
        1 / (self.units - 13)


class Odd:
    pass


@dataclass(frozen=True)
class Needy:
    rate: float
    width: float = 1.0
    odd: Odd | None = None


def train(hyperparameters: Hyperparameters, data: object = None, *, seed: int) -> Generator[dict]:
    yield {"validation_loss": hyperparameters.rate, "validation_accuracy": 0.5}


def needy(hyperparameters: Needy, data: object = None, *, seed: int) -> Generator[dict]:
    yield {"validation_loss": hyperparameters.rate}


def hungry(hyperparameters: Hyperparameters, data: object, *, seed: int) -> Generator[dict]:
    yield {"validation_loss": 1.0}


def dataless(hyperparameters: Hyperparameters, *, seed: int) -> Generator[dict]:
    yield {"validation_loss": 1.0}


def wrong(hyperparameters: Hyperparameters, data: object = None, *, seed: int) -> Generator[dict]:
    yield {}


number, wrong.metrics = 3, ()
train.metrics = {
    "classification": ("validation_loss", "validation_accuracy"),
    "regression": ("validation_loss", "validation_r2"),
}
needy.metrics = hungry.metrics = dataless.metrics = ("validation_loss",)


def ranking(hyperparameters: Hyperparameters, data: object = None, *, seed: int) -> Generator[dict]:
    yield {"validation_loss": hyperparameters.rate, "MAP@5": 0.5}


ranking.metrics = ("validation_loss", "MAP@5")
'''
HEAD = 'objective = "objectives_of_test_study:train"\nmetric = "validation_loss"\n'
HEAD += 'direction = "minimize"\n'
SPACE = "[search_space]\nrate = { low = 1e-3, high = 1.0, log = true }\n"
GOOD = HEAD + SPACE


@pytest.fixture(scope="module")
def objective_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("objective")
    (folder / "objectives_of_test_study.py").write_text(OBJECTIVE, encoding="utf-8")
    (folder / "raises_on_import.py").write_text("raise OSError('disk\\nfull')\n")
    (folder / "exits_on_import.py").write_text("import sys\nsys.exit(0)\n")
    (folder / "is_no_python.py").write_text("def train(:\n")
    (folder / "needs_another.py").write_text("import not_there_at_all\n")
    return folder


@pytest.fixture(autouse=True)
def _search_path(objective_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(objective_folder), *sys.path])


def parse(folder: Path, text: str | bytes, name: str = "study.toml") -> Study:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read(path)


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


def searched(rows: str) -> str:
    return f"{HEAD}[search_space]\n{rows}\n"


# What is wrong: the file, how the message begins (the key), and what else it says (the remedy).
BAD: dict[str, tuple[str, str, str]] = {
    "not TOML": ("a = ", "not TOML: ", "at end of document"),
    "not TOML, later": (GOOD + "a b\n", "not TOML: ", "line 6"),
    "key twice": (HEAD + HEAD, "not TOML: ", "line 4"),
    "a number of 5000 digits": (f"seed = {'1' * 5000}\n{GOOD}", "not TOML: ", "4300 digits"),
    "nested arrays": (f"{GOOD}[fixed]\nlabel = {'[' * 9000}{']' * 9000}", "nested", "flatter"),
    "nested tables": (f"{GOOD}[data.source.{'.'.join('a' * 5000)}]\n", "nested", "flatter"),
    "a hexadecimal number": (f"seed = 0x{'f' * 5000}\n{GOOD}", "not TOML: ", "4300 digits"),
    "empty file": ("", "objective: ", "missing; add it"),
    # Keys
    "top key": ("sede = 1\n" + GOOD, "sede: ", "did you mean 'seed'?"),
    "top key, nothing near": ("zzz = 1\n" + GOOD, "zzz: ", "it has name, objective"),
    "misspelled needed key": (GOOD.replace("objective =", "objektive ="), "objektive: ",
                              "did you mean 'objective'?"),
    "reserved key": ("path = 1\n" + GOOD, "path: ", "take it out"),
    "key in [data]": (GOOD + "[data]\nsorce = 'digits'", "data.sorce: ", "'source'"),
    "key in [round]": (GOOD + "[round]\ntrails = 3", "round.trails: ", "'trials'"),
    "key in [budget]": (GOOD + "[budget]\nhour = 3", "budget.hour: ", "'hours'"),
    "key in [resources]": (GOOD + "[resources]\ncpu = 3", "resources.cpu: ", "'cpus'"),
    "key in a range": (searched("rate = { low = 1, hihg = 2 }"), "search_space.rate.hihg: ",
                       "'high'"),
    "key with a command": (f'"\\u001b[31m\\n" = 1\n{GOOD}', "\\x1b[31m : ", "unknown key"),
    "empty key": (f'"" = 1\n{GOOD}', '"": ', "unknown key; it has"),
    "dotted key in quotes": (f'"round.trials" = 1\n{GOOD}', '"round.trials": ', "unknown key"),
    "key of another table": (f"trials = 1\n{GOOD}", "trials: ", "move it to [round]"),
    "key declared twice": (f"{GOOD}[a.b]\n[a.b]\n", "not TOML: ", "declare 'a.b' twice"),
    "long hyperparameter": (f"{GOOD}[fixed]\n{'k' * 9000} = 1", "fixed.kkk", "unknown"),
    "long sampler": (
        f"{GOOD}[round]\nsampler = '{'k' * 9000}'", "round.sampler: ", "it has random"
    ),
    "long objective": (
        GOOD.replace("objectives_of", "k" * 9000), "objective: ", "write a shorter one"
    ),
    "long label refused": (
        f"{GOOD}[fixed]\nsizes = [{'0, ' * 20_000}]", "fixed.sizes: ", "put the value into a file"
    ),
    "date": (f"seed = 1979-05-27\n{GOOD}", "seed: ", "not 1979-05-27"),
    "edges that differ late": (
        searched("rate = { low = 1.00000012, high = 1.00000011 }"), "search_space.rate.low: ",
        "1.00000012 is not below high = 1.00000011; swap",
    ),
    "key of 9000 characters": (f"{'k' * 9000} = 1\n{GOOD}", "kkk", "unknown key"),
    # Types and values at the top
    "seed of text": ("seed = '1'\n" + GOOD, "seed: ", "integer"),
    "seed of truth": ("seed = true\n" + GOOD, "seed: ", "integer"),
    "seed below zero": ("seed = -1\n" + GOOD, "seed: ", "greater than or equal to 0"),
    "rounds of a float": ("rounds = 2.0\n" + GOOD, "rounds: ", "integer"),
    "no round": ("rounds = 0\n" + GOOD, "rounds: ", "greater than or equal to 1"),
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
    "objective's module": (GOOD.replace("objectives_of", "nothing_of"), "objective: ",
                           "put it beside the study file or install it"),
    "objective's function": (GOOD.replace(":train", ":trian"), "objective: ",
                             "it has dataless, hungry, needy, ranking, train, wrong"),
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
        "take the table out",
    ),
    "no data for who needs them": (GOOD.replace(":train", ":hungry"), "data: ", "add one"),
    "data a value": ("data = 3\n" + GOOD, "data: ", "table [data]"),
    "validation of text": (GOOD + "[data]\nvalidation = 'x'", "data.validation: ", "number"),
    "drop no list": (GOOD + "[data]\ndrop = 'id'", "data.drop: ", "list"),
    "drop of numbers": (GOOD + "[data]\ndrop = [1]", "data.drop: ", "string"),
    "task": (GOOD + "[data]\ntask = 'ranking'", "data.task: ", "'regression'"),
    "decimal": (GOOD + "[data]\ndecimal = ';'", "data.decimal: ", "','"),
    "thousands": (GOOD + "[data]\nthousands = 'x'", "data.thousands: ", "use one of ','"),
    "thousands as decimal": (GOOD + "[data]\nthousands = '.'", "data.thousands: ", "decimal mark"),
    "unit with a bracket": (GOOD + "[data]\nunits = ['(']", "data.units: ", "brackets"),
    "unit with a digit": (GOOD + "[data]\nunits = ['m2']", "data.units: ", "digits"),
    "impute": (GOOD + "[data]\nimpute = 'mean'", "data.impute: ", "'drop_rows'"),
    "missing no text": (GOOD + "[data]\nmissing = [-999]", "data.missing", "string"),
    "rows of a float": (GOOD + "[data]\nrows = 1.5", "data.rows: ", "integer"),
    # Fixed values
    "unknown fixed": (GOOD + "[fixed]\nunit = 1", "fixed.unit: ", "did you mean 'units'?"),
    "fixed of another type": (GOOD + "[fixed]\nunits = 1.5", "fixed.units: ", "integer"),
    "fixed truth for a number": (GOOD + "[fixed]\nunits = true", "fixed.units: ", "integer"),
    "fixed number for a truth": (GOOD + "[fixed]\ndeep = 1", "fixed.deep: ", "boolean"),
    "fixed word": (GOOD + "[fixed]\nkind = 'fancier'", "fixed.kind: ", "'fancy'"),
    "fixed list": (GOOD + "[fixed]\nsizes = [1, 'a']", "fixed.sizes: ", "integer"),
    "fixed date": (GOOD + "[fixed]\nlabel = 1979-05-27", "fixed.label: ", "string"),
    "fixed table": (GOOD + "[fixed.units]\nlow = 1", "fixed.units: ", "integer"),
    "fixed NaN": (GOOD + "[fixed]\nrate_end = nan", "fixed.rate_end: ", "write a number"),
    "fixed, refused": (GOOD + "[fixed]\nlabel = 'refused'", "fixed.label: ", "change it"),
    "fixed, refused by accident": (GOOD + "[fixed]\nunits = 13", "fixed: ", "ZeroDivisionError"),
    "fixed and searched": (GOOD + "[fixed]\nrate = 0.1", "search_space.rate: ", "take it out"),
    "fixed a value": ("fixed = 3\n" + GOOD, "fixed: ", "table"),
    # Ranges
    "no search space": (HEAD, "search_space: ", "add it"),
    "empty search space": (searched(""), "search_space: ", "name at least one"),
    "unknown hyperparameter": (searched("rat = { low = 1, high = 2 }"), "search_space.rat: ",
                               "did you mean 'rate'?"),
    "range of a value": (searched("rate = 3"), "search_space.rate: ", "[fixed]"),
    "low above high": (searched("rate = { low = 2, high = 1 }"), "search_space.rate.low: ",
                       "2 is not below high = 1"),
    "low is high": (searched("rate = { low = 1, high = 1 }"), "search_space.rate.low: ", "swap"),
    "low missing": (searched("rate = { high = 1 }"), "search_space.rate.low: ", "add it"),
    "log from zero": (searched("rate = { low = 0, high = 1, log = true }"),
                      "search_space.rate.low: ", "raise it or drop `log`"),
    "log from below zero": (searched("rate = { low = -1, high = 1, log = true }"),
                            "search_space.rate.low: ", "raise it or drop `log`"),
    "log too narrow": (searched("rate = { low = 1e99, high = 1.0000000000000002e99, log = true }"),
                       "search_space.rate.low: ", "part them"),
    "low infinite": (searched("rate = { low = -inf, high = 1 }"), "search_space.rate.low: ",
                     "finite"),
    "high infinite": (searched("rate = { low = 1, high = inf }"), "search_space.rate.high: ",
                      "finite"),
    "low NaN": (searched("rate = { low = nan, high = 1 }"), "search_space.rate.low: ", "finite"),
    "too wide": (searched("rate = { low = -1e308, high = 1e308 }"), "search_space.rate.high: ",
                 "smaller range"),
    "high beyond floats": (searched(f"rate = {{ low = 1, high = 1{'0' * 400} }}"),
                           "search_space.rate.high: ", "valid number"),
    "log of text": (searched("rate = { low = 1, high = 2, log = 'yes' }"),
                    "search_space.rate.log: ", "boolean"),
    "step zero": (searched("rate = { low = 1, high = 2, step = 0 }"), "search_space.rate.step: ",
                  "greater than 0"),
    "step infinite": (searched("rate = { low = 1, high = 2, step = inf }"),
                      "search_space.rate.step: ", "finite"),
    "step too long": (searched("rate = { low = 1, high = 2, step = 5 }"),
                      "search_space.rate.step: ", "move an edge"),
    "step that does not fit": (searched("rate = { low = 1, high = 2, step = 0.3 }"),
                               "search_space.rate.step: ", "move an edge"),
    "step too small": (searched("rate = { low = 1, high = 2, step = 1e-300 }"),
                       "search_space.rate.step: ", "move an edge"),
    "log with a step": (searched("rate = { low = 1, high = 2, step = 0.5, log = true }"),
                        "search_space.rate.step: ", "drop one"),
    "limits inside": (searched("rate = { low = 1, high = 2, limits = [1.5, 3] }"),
                      "search_space.rate.limits: ", "widen the limits"),
    "limits to zero": (searched("rate = { low = 1, high = 2, log = true, limits = [0, 3] }"),
                       "search_space.rate.limits: ", "raise the lower limit"),
    "limits infinite": (searched("rate = { low = 1, high = 2, limits = [1, inf] }"),
                        "search_space.rate.limits.1: ", "finite"),
    "one limit": (searched("rate = { low = 1, high = 2, limits = [1] }"),
                  "search_space.rate.limits.1: ", "add it"),
    "limits a number": (searched("rate = { low = 1, high = 2, limits = 1 }"),
                        "search_space.rate.limits: ", "list"),
    "fraction of units": (searched("units = { low = 1.5, high = 4 }"), "search_space.units: ",
                          "whole numbers"),
    "infinite units": (searched("units = { low = 1, high = inf }"), "search_space.units.high: ",
                       "finite"),
    "units beyond floats": (searched("units = { low = 9007199254740993, high = 9007199254740995 }"),
                            "search_space.units: ", "smaller"),
    "step of units": (searched("units = { low = 1, high = 10, step = 2 }"),
                      "search_space.units.step: ", "move an edge"),
    "range of a word": (searched("kind = { low = 1, high = 2 }"), "search_space.kind.low: ",
                        "it has choices"),
    "low of truth": (searched("rate = { low = true, high = 2 }"), "search_space.rate.low: ",
                     "number"),
    # Choices
    "no choices": (searched("rate = { choices = [] }"), "search_space.rate.choices: ",
                   "more in it"),
    "choices no list": (searched("rate = { choices = 1 }"), "search_space.rate.choices: ", "list"),
    "choices and a range": (searched("rate = { low = 1, high = 2, choices = [1] }"),
                            "search_space.rate.low: ", "it has choices"),
    "choice twice": (searched("rate = { choices = [1, 2, 1.0] }"), "search_space.rate.choices: ",
                     "name each once"),
    "list twice": (searched("sizes = { choices = [[1, 2], [1, 2]] }"),
                   "search_space.sizes.choices: ", "name each once"),
    "choice of another type": (searched("units = { choices = [1, 'a'] }"),
                               "search_space.units.choices: ", "integer"),
    "unknown choice": (searched("kind = { choices = ['plain', 'fncy'] }"),
                       "search_space.kind.choices: ", "'fancy'"),
    "choice NaN": (searched("bound = { choices = [1.0, nan] }"), "search_space.bound.choices: ",
                   "write a number"),
    # What the objective refuses
    "low refused": (searched("rate = { low = 0, high = 1 }"), "search_space.rate: ",
                    "rate must lie in (0, 1000), not 0"),
    "high refused": (searched("rate = { low = 1, high = 1000 }"), "search_space.rate: ",
                     "not 1000.0; change it"),
    "metric MLflow lacks": (GOOD.replace(":train", ":ranking"),
                            "objective: objectives_of_test_study:ranking declares a metric 'MAP@5'",
                            "rename it there"),
    "choice with NUL": (searched(r'label = { choices = ["a", "b\u0000"] }'),
                        "search_space.label.choices: ", "take it out"),
    "long choice": (searched(f"label = {{ choices = ['a', '{'b' * 5999}'] }}"),
                    "search_space.label.choices: takes 6001", "put the value into a file"),
    "fixed with NUL": (GOOD + r'[fixed]' + '\nlabel = "a\\u0000"', "fixed.label: ", "take it out"),
    "long fixed": (f"{GOOD}[fixed]\nlabel = '{'한' * 6000}'", "fixed.label: takes 6002",
                   "put the value into a file"),
    "long fixed list": (f"{GOOD}[fixed]\nsizes = {[1] * 2001}", "fixed.sizes: takes 6003", "file"),
    "source with NUL": (GOOD + '[data]\nsource = "a\\u0000"', "data.source: ", "take it out"),
    "name with a mark": (searched('"\u0926\u0930\u0940" = { low = 0.0, high = 1.0 }'),
                         "search_space.", "rename it in the objective"),
    "middle choice refused": (searched("label = { choices = ['a', 'refused', 'b'] }"),
                              "search_space.label: ", "change it"),
    "middle list refused": (searched("sizes = { choices = [[1], [0], [2]] }"),
                            "search_space.sizes: ", "must not hold 0"),
    "no default": (searched("width = { choices = [1] }").replace(":train", ":needy"),
                   "fixed.rate: ", "add it, or a range in [search_space]"),
    "type without a form": (GOOD.replace(":train", ":needy") + "[fixed]\nodd = 1",
                            "fixed.odd: ", "give it a plain type"),
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
                              "it has random, tpe, grid, qmc"),
    "sampler of a number": (GOOD + "[round]\nsampler = 1", "round.sampler: ", "string"),
    "pruner": (GOOD + "[round]\npruner = 'medain'", "round.pruner: ", "did you mean 'median'?"),
    "pruner of a number": (GOOD + "[round]\npruner = 1", "round.pruner: ", "write a name"),
    "pruner without a name": (GOOD + "[round]\npruner = {}", "round.pruner: ", "write a name"),
    "pruner's key": (GOOD + "[round]\npruner = { name = 'median', warmup = 1 }",
                     "round.pruner.warmup: ", "'warmup_epochs'"),
    "pruner's type": (GOOD + "[round]\npruner = { name = 'median', interval = 1.5 }",
                      "round.pruner.interval: ", "integer"),
    "pruner's value": (GOOD + "[round]\npruner = { name = 'median', interval = 0 }",
                       "round.pruner.interval: ", "must lie between 1"),
    "percentile": (GOOD + "[round]\npruner = { name = 'percentile', percentile = 101.0 }",
                   "round.pruner.percentile: ", "between 0 and 100"),
    "reduction factor": (
        GOOD + "[round]\npruner = { name = 'successive_halving', reduction_factor = 1 }",
        "round.pruner.reduction_factor: ", "at least 2",
    ),
    "settings of no pruner": (GOOD + "[round]\npruner = { name = 'none', interval = 1 }",
                              "round.pruner.interval: ", "take it out"),
    "no trials": (GOOD + "[round]\ntrials = 0", "round.trials: ", "greater than or equal to 1"),
    "trials without end": (GOOD + "[round]\ntrials = 1_000_000_000_000", "round.trials: ",
                           "less than or equal to"),
    "parallel": (GOOD + "[round]\nparallel = 0", "round.parallel: ", "greater than or equal to 1"),
    "round a value": ("round = 3\n" + GOOD, "round: ", "write a table"),
    "no CPU": (GOOD + "[resources]\ncpus = 0", "resources.cpus: ", "greater than or equal to 1"),
    "patience": (GOOD + "[budget]\npatience = 0", "budget.patience: ", "greater than or equal"),
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
}


@pytest.mark.parametrize("case", BAD)
def test_bad_file_gives_one_line_with_file_key_and_remedy(case: str, tmp_path: Path) -> None:
    text, key, remedy = BAD[case]
    said = complaint(tmp_path, text)
    assert said.startswith(key)
    assert remedy in said


def test_what_is_no_text_or_no_file(tmp_path: Path) -> None:
    assert complaint(tmp_path, b"\xff\xfe" + GOOD.encode()).startswith("cannot be read: ")
    assert complaint(tmp_path, b"\x00").startswith("not TOML: ")
    with pytest.raises(InputError, match=r"nothing\.toml: no such file; name a study file"):
        read(tmp_path / "nothing.toml")
    with pytest.raises(InputError, match=r"cannot be read: .*; name a text file"):
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


def test_an_objective_beside_the_study_file_is_found(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "mine", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    (folder / "very_own.py").write_text(OBJECTIVE, encoding="utf-8")
    (folder / "study.toml").write_text(GOOD.replace("objectives_of_test_study", "very_own"))
    ended = subprocess.run(
        [Path(sys.executable).with_name("hpo"), "check", "../mine/study.toml"],
        cwd=elsewhere, capture_output=True, text=True, timeout=60, check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "very_own:train" in ended.stdout


def test_a_full_file_becomes_values(tmp_path: Path) -> None:
    study = parse(tmp_path, '''
        name = "모두/all"
        objective = "objectives_of_test_study:train"
        metric = "validation_accuracy"
        direction = "maximize"
        value = "best"
        seed = 7
        rounds = 3
        [data]
        source = "table.csv"
        drop = ["id"]
        [fixed]
        rate_end = 1
        sizes = [3, 4]
        deep = true
        bound = 2
        [search_space]
        rate = { low = 1, high = 10, log = true, limits = [0.1, 100] }
        units = { low = 1, high = 9, step = 2 }
        kind = { choices = ["plain", "odd"] }
        [round]
        trials = 8
        sampler = "grid"
        pruner = { name = "percentile", percentile = 30, warmup_epochs = 2 }
        parallel = 2
        [[start]]
        rate = 2
        [[start]]
        units = 3
        kind = "odd"
        [budget]
        patience = 5
        [resources]
        cpus = 2
    ''')
    assert (study.name, study.seed, study.rounds, study.value) == ("모두/all", 7, 3, "best")
    assert (study.data.source, study.data.drop) == ("table.csv", ("id",))
    assert study.data.validation == 0.2
    assert study.fixed == {"rate_end": 1.0, "sizes": (3, 4), "deep": True, "bound": 2.0}
    assert [type(v) for v in study.fixed.values()] == [float, tuple, bool, float]
    assert study.search_space == {
        "rate": FloatDistribution(1.0, 10.0, log=True, limits=(0.1, 100.0)),
        "units": IntegerDistribution(1, 9, step=2),
        "kind": CategoricalDistribution(("plain", "odd")),
    }
    assert study.round.pruner == PercentilePruner(30.0, warmup_epochs=2)
    assert study.start == ({"rate": 2.0}, {"units": 3, "kind": "odd"})
    assert isinstance(study.start[0]["rate"], float)
    assert (study.round.trials, study.round.parallel, study.resources.cpus) == (8, 2, 2)
    assert study.budget.patience == 5
    assert study.with_trials(5).round.trials == 5
    assert study.round.trials == 8


def test_what_a_short_file_leaves_out(tmp_path: Path) -> None:
    study = parse(tmp_path, GOOD, "my study.toml")
    assert study.name == "my study"
    assert (study.seed, study.rounds, study.value) == (0, 1, "last")
    assert (study.data, study.fixed, study.start) == (None, {}, ())
    assert (study.round.trials, study.round.sampler) == (40, "tpe")
    assert study.round.pruner is None


@pytest.mark.parametrize(
    "name", ["a/b", "../a", "it's", "한국어 연구", "x" * 200, "[/bold]", "%s {0}", "a\u0301"]
)
def test_odd_names_are_kept_as_they_are(name: str, tmp_path: Path) -> None:
    assert parse(tmp_path, f'name = "{name}"\n{GOOD}').name == name


def test_odd_names_are_recorded_as_they_are(
    make_study: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["한국어/연구", "it's \"one\" \\ `two` % [/bold] {0}", "x" * 200]
    for index, name in enumerate(names):
        file = make_study(f"odd{index}", round={"trials": 1})
        file.write_text(f"name = {_key(name)}\n{file.read_text()}", encoding="utf-8")
        hpo("run", file, "--inline")
        assert len(table(name)) == 1
    capsys.readouterr()
    hpo("list", "--json")
    listed = json.loads(capsys.readouterr().out)
    assert sorted(study["study"] for study in listed) == sorted(names)


def test_a_file_as_windows_writes_it(tmp_path: Path) -> None:
    assert parse(tmp_path, b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode()).seed == 0


@pytest.mark.parametrize(
    ("row", "distribution"),
    [
        ("rate = { low = 1, high = 2 }", FloatDistribution(1.0, 2.0)),
        ("rate = { low = 0.1, high = 0.7, step = 0.1 }", FloatDistribution(0.1, 0.7, step=0.1)),
        ("bound = { low = -1, high = 1 }", FloatDistribution(-1.0, 1.0)),
        ("rate = { choices = [1, 0.5] }", CategoricalDistribution((1.0, 0.5))),
        ("units = { low = 1, high = 9, log = true }", IntegerDistribution(1, 9, log=True)),
        ("units = { low = 1.0, high = 9.0 }", IntegerDistribution(1, 9)),
        ("units = { choices = [4, 2] }", CategoricalDistribution((4, 2))),
        ("deep = { choices = [false, true] }", CategoricalDistribution((False, True))),
        ("sizes = { choices = [[], [1], [1, 2]] }", CategoricalDistribution(((), (1,), (1, 2)))),
    ],
)
def test_a_range_takes_the_type_of_its_hyperparameter(
    row: str, distribution: Distribution, tmp_path: Path
) -> None:
    (parsed,) = parse(tmp_path, searched(row)).search_space.values()
    assert parsed == distribution
    assert repr(parsed) == repr(distribution)  # 1 is not 1.0 here


@pytest.mark.parametrize(
    ("text", "pruner"),
    [
        ("'none'", None),
        ("{ name = 'none' }", None),
        ("'median'", MedianPruner()),
        ("{ name = 'median', startup_trials = 0, interval = 3 }", MedianPruner(0, 5, 3)),
        ("'successive_halving'", SuccessiveHalvingPruner()),
        ("{ name = 'successive_halving', min_resource = 2 }", SuccessiveHalvingPruner(2)),
    ],
)
def test_pruners_by_name_or_table(text: str, pruner: object, tmp_path: Path) -> None:
    assert parse(tmp_path, GOOD + f"[round]\npruner = {text}").round.pruner == pruner


OPEN = {
    "rate": FloatDistribution(1e-3, 1.0, log=True, limits=(1e-4, 10.0)),
    "share": FloatDistribution(0.0, 1.0, step=0.1),
    "units": IntegerDistribution(1, 64, log=True),
    "even": IntegerDistribution(2, 8, step=2),
    "kind": CategoricalDistribution(("plain", "odd")),
    "sizes": CategoricalDistribution(((1, 2), (3,))),
    "deep": CategoricalDistribution((False, True)),
    "count": CategoricalDistribution((1, 2.5)),
}


@pytest.mark.parametrize(
    ("text", "distribution"),
    [
        ("rate=1e-4:2", FloatDistribution(1e-4, 2.0, log=True, limits=(1e-4, 10.0))),
        ("share=0.2:0.4", FloatDistribution(0.2, 0.4, step=0.1)),
        ("units=2:50", IntegerDistribution(2, 50, log=True)),
        ("even=0:4", IntegerDistribution(0, 4, step=2)),
        ("kind=odd", CategoricalDistribution(("odd",))),
        ("kind=odd,plain", CategoricalDistribution(("odd", "plain"))),
        ("sizes=[1, 2]", CategoricalDistribution(((1, 2),))),
        ("sizes=[3],[1,2]", CategoricalDistribution(((3,), (1, 2)))),
        ("deep=true", CategoricalDistribution((True,))),
        ("count=2.50", CategoricalDistribution((2.5,))),
    ],
)
def test_a_range_on_the_command_line(text: str, distribution: Distribution) -> None:
    assert parse_range(text, OPEN) == (text.partition("=")[0], distribution)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("rate", "NAME=LOW:HIGH"),
        ("rate=", "LOW:HIGH"),
        ("rate=1", "LOW:HIGH"),
        ("rate=1:2:3", "LOW:HIGH"),
        ("rate=a:b", "LOW:HIGH"),
        ("rate=2:1", "swap"),
        ("rate=0:1", "drop `log`"),
        ("rate=1:inf", "finite"),
        ("rate=nan:1", "finite"),
        ("rate=1:100", "widen the limits"),
        ("rat=1:2", "did you mean 'rate'?"),
        ("share=0.05:0.5", "move an edge"),
        ("share=-1e308:1e308", "smaller range"),
        ("units=1.5:3", "LOW:HIGH"),
        ("units=1:inf", "LOW:HIGH"),
        ("even=2:5", "move an edge"),
        ("kind=", "there are plain, odd"),
        ("kind=even", "there are plain, odd"),
        ("kind=odd,odd", "name each once"),
        ("sizes=[1]", "there are [1, 2], [3]"),
    ],
)
def test_a_bad_range_on_the_command_line(text: str, remedy: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_range(text, OPEN)
    assert str(caught.value).startswith(f"--range {text}: ")
    assert remedy in str(caught.value)


SEED: dict[str, Any] = {
    "name": "fuzz",
    "objective": "objectives_of_test_study:train",
    "metric": "validation_loss",
    "direction": "minimize",
    "value": "best",
    "seed": 0,
    "rounds": 2,
    "data": {"source": "digits", "validation": 0.2, "drop": ["id"]},
    "fixed": {"rate_end": 0.1, "sizes": [1, 2], "deep": True},
    "search_space": {
        "rate": {"low": 1e-3, "high": 1.0, "log": True, "limits": [1e-4, 10.0]},
        "units": {"low": 1, "high": 9, "step": 2},
        "kind": {"choices": ["plain", "odd"]},
    },
    "round": {"trials": 5, "sampler": "tpe", "pruner": {"name": "median", "interval": 2}},
    "start": [{"rate": 0.1}, {"units": 3}],
    "resources": {"cpus": 1},
}
SCALARS = st.one_of(
    st.sampled_from([
        0, 1, -1, 2**53, 10**30, 0.0, -0.0, 0.5, 1e308, -1e308, 5e-324, float("inf"),
        float("nan"), True, False, "", "none", "tpe", "median", "os:path", "this is no module:f",
        "\x00", "\x1b[2J", "a\nb", "\u2028", "한국어", "x" * 999,
    ]),
    st.integers(), st.floats(), st.text(max_size=5),
)
NAMES = st.one_of(
    st.sampled_from([
        "low", "high", "log", "step", "limits", "choices", "rate", "units", "kind", "sizes",
        "label", "bound", "name", "path", "text", "seed", "interval", "percentile", "task",
    ]),
    st.text(max_size=5),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.slow
@settings(max_examples=examples(150, 700), deadline=None, derandomize=True,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.sampled_from(range(60)), st.sampled_from(range(60)), NAMES,
                                  VALUES, st.sampled_from(["set", "add", "drop", "swap"])),
                        min_size=1, max_size=2))
def test_any_change_of_a_good_file_gives_a_study_or_one_line(
    changes: list[Any], tmp_path: Path
) -> None:
    table = copy.deepcopy(SEED)
    for place, other_place, name, value, kind in changes:
        places = list(_places(table))
        holder, key = places[place % len(places)]
        if kind == "set":
            holder[key] = value
        elif kind == "add" and isinstance(holder, dict):
            holder[name] = value
        elif kind == "drop":
            del holder[key]
        else:
            other, other_key = places[other_place % len(places)]
            holder[key], other[other_key] = copy.deepcopy((other[other_key], holder[key]))
    _study_or_one_line(tmp_path, "".join(f"{_key(k)} = {_toml(v)}\n" for k, v in table.items()))


@pytest.mark.slow
@settings(max_examples=examples(80, 300), deadline=None, derandomize=True,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.integers(0, len(GOOD)), length=st.integers(0, 10),
       text=st.text(max_size=10) | st.sampled_from(["[", "]", "{", "=", '"""', "\r", "#"]))
def test_any_text_gives_a_study_or_one_line(
    start: int, length: int, text: str, tmp_path: Path
) -> None:
    _study_or_one_line(tmp_path, GOOD[:start] + text + GOOD[start + length :])


@pytest.mark.slow
def test_many_changes_of_whole_files_give_a_study_or_one_line(tmp_path: Path) -> None:
    shipped = ROOT / "studies"
    texts = [WHOLE, *(path.read_text(encoding="utf-8") for path in sorted(shipped.glob("*.toml")))]
    for text in texts:
        _study_or_one_line(tmp_path, text)
        assert parse(tmp_path, text).metric == "validation_accuracy"
    random = Random(0)
    for _ in range(examples(100, 5_000)):
        _study_or_one_line(tmp_path, mutant(random.choice(texts), random))


def _study_or_one_line(folder: Path, text: str | bytes) -> None:
    path = folder / "study.toml"
    path.write_bytes(text.encode("utf-8", "replace") if isinstance(text, str) else text)
    before = time.process_time()
    try:
        study = read(path)
    except InputError as error:
        said = str(error)
        assert said.startswith(f"{path}: ")
        assert said.isprintable()
        assert len(said) < 600  # nothing was cut off its end
        key, _, remedy = said.removeprefix(f"{path}: ").partition(": ")
        assert key.strip()
        assert re.search(r"; \w|write |should be |must ", remedy or key), said
        return
    finally:
        assert time.process_time() - before < 5
    for unit in (0.0, 0.3, 1.0):
        for distribution in study.search_space.values():
            assert distribution.contains(distribution.from_unit(unit))
    study.objective.check(
        {**study.fixed, **{name: d.from_unit(0.0) for name, d in study.search_space.items()}}
    )


def _places(value: Any) -> Any:
    """Yield where the values of a nest of tables and lists are: what holds each, and its key."""
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(inside):
        yield value, key
        if isinstance(inner, dict | list):
            yield from _places(inner)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(k)} = {_toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return _key(value) if isinstance(value, str) else repr(value)


def _key(text: str) -> str:
    """Return `text` as TOML quotes it."""
    escaped = (
        c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}"
        for c in text
        if not 0xD800 <= ord(c) < 0xE000
    )
    return f'"{"".join(escaped)}"'
