"""The command that writes a first study, to run as it is and then to change."""

import importlib.util
import keyword
import os
import shlex
import sys
from pathlib import Path

import click

from hpo.cli.options import examples, hpo, say
from hpo.errors import InputError

OBJECTIVE = """\
from sklearn import datasets, model_selection, svm

def accuracy(C: float, gamma: float) -> float:
    rows, labels = datasets.load_digits(return_X_y=True)
    return model_selection.cross_val_score(svm.SVC(C=C, gamma=gamma), rows, labels).mean()
"""
STUDY = """\
objective = "{name}:accuracy"
metric = "accuracy"
direction = "maximize"
[search_space]
C = {{ low = 1e-2, high = 1e3, log = true }}
gamma = {{ low = 1e-5, high = 1.0, log = true }}
"""


@hpo.command(epilog=examples(
    "hpo init                      mine.py and mine.toml, here",
    "hpo init studies/forest       forest.py and forest.toml, in studies",
))
@click.argument("name", type=click.Path(path_type=Path), default=Path("mine"))
def init(name: Path) -> None:
    """Write a first study, NAME.py and NAME.toml.

    NAME.py is the objective and NAME.toml the study file. The study tunes a support vector
    machine on handwritten digits, and runs as it is. Existing files are never overwritten.
    """
    from hpo.forms import is_name  # here, since it would slow every command down

    module = name.name
    if keyword.iskeyword(module) or not is_name(f"{module}:accuracy") or "." in module:
        raise InputError(f"NAME: {module!r} is not a valid module name; choose another, e.g. mine")
    files = tuple(name.with_name(f"{module}.{suffix}") for suffix in ("py", "toml"))
    for file in (*files, name / "__init__.py"):  # a package hides a module of the same name
        if os.path.lexists(file):
            raise InputError(f"{file} already exists; choose another name")
    if module in sys.modules or importlib.util.find_spec(module) is not None:
        raise InputError(f"NAME: a module {module!r} is already installed; choose another name")
    name.parent.mkdir(parents=True, exist_ok=True)
    for file, text in zip(files, (OBJECTIVE, STUDY.format(name=module)), strict=True):
        try:
            with file.open("x", encoding="utf-8") as opened:
                opened.write(text)
        except FileExistsError as error:  # since then
            raise InputError(f"{file} already exists; choose another name") from error
        say(f"wrote {file}")
    study = shlex.quote(str(files[1]))
    say(f"\nnext: hpo check {study} --try   check it and train one trial")
    say(f"      hpo run {study}           run 40 trials; run it again to resume")
