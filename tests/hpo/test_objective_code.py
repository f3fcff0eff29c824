"""What an objective imports from beside it is its code: in the digest, and wherever it goes."""

import os
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hpo import objective_code
from hpo.cluster import pack
from hpo.errors import InputError
from hpo.forms import find
from hpo.objective import Objective
from hpo.study import read
from tests.fixtures import hpo, write_study
from tests.processes import start

Make = Callable[..., Path]


def digest(objective: Objective) -> str:
    """Return the digest of the code of an objective as its files are now."""
    return objective_code.read_code(objective.name).digest


TRAIN = """
@dataclass(frozen=True)
class H:
    rate: float = 0.1


def train(hyperparameters: H, data, *, seed):
    from lazily.inner import STEP
    yield {'accuracy': hyperparameters.rate * STEP}
    return leaf.Constant()


train.metrics = ('accuracy',)
"""
LEAF = """
import numpy as np
from parts.deep import shares


class Constant:
    loader = "leaf:load"

    def predict(self, inputs):
        return np.tile(np.float32(shares.SHARES), (len(inputs), 1))

    def save(self, path):
        np.savez(path)


def load(path):
    return Constant()
"""
FILES = {
    "root.py": f"from dataclasses import dataclass\n\nimport leaf\nimport one\n{TRAIN}",
    "leaf.py": LEAF,
    "one.py": "import json\nimport root\nimportlib = __import__('importlib')\n"
    "importlib.import_module('by_name')\n",
    "by_name.py": "",
    "parts/__init__.py": "from . import deep\n",
    "parts/deep/__init__.py": "",
    "parts/deep/shares.py": "import beyond\nSHARES = [beyond.SHARE] * 10\n",
    "parts/unused.py": "",
    "beyond.py": "SHARE = 0.1\n",
    "lazily/inner.py": "STEP = 1\n",  # of a folder without __init__
}
NO_PART = {
    "unrelated.py": "", "other/__init__.py": "", "parts/table.csv": "1",
    "parts.py": "raise RuntimeError('a package goes before a module of its name')\n",
    "json/notes.py": "", "deep.py": "", "numpy/readme.py": "",
}


@pytest.fixture
def project(folder: Path) -> Iterator[Path]:
    """Return a folder with an objective in many files, and files that are none of it."""
    project = folder / "project"
    for name, text in {**FILES, **NO_PART}.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    (project / "parts" / ".#editing.py").symlink_to("nobody@nowhere")
    names = {Path(name).parts[0].removesuffix(".py") for name in FILES}
    yield project
    for name in [n for n in sys.modules if n.partition(".")[0] in names]:
        del sys.modules[name]


def test_one_list_of_files_for_digest_cluster_and_model(project: Path) -> None:
    file = write_study(
        project, objective="root:train", data={"source": "digits"},
        search_space={"rate": {"low": 0.1, "high": 1.0}}, round={"trials": 1, "parallel": 1},
    )
    study = read(file)
    before = digest(study.objective)
    found = objective_code.files("root:train")
    assert set(found) == set(FILES)
    assert all(found[place] == project / place for place in found)
    assert set(pack(study).files) == {*FILES, "toy.toml"}
    for name, text in FILES.items():
        (project / name).write_text(text + "# a word\n")
        assert digest(study.objective) != before, name
        (project / name).write_text(text)
    for name in NO_PART:
        (project / name).write_text("# other words\n")
    assert digest(study.objective) == before

    hpo("run", file, "--inline")
    hpo("evaluate", file)
    (code,) = project.parent.glob("mlartifacts/**/code")
    kept = {str(path.relative_to(code)) for path in code.rglob("*.py")}
    assert kept == set(FILES)
    project.rename(project.parent / "moved away")
    rows = project.parent / "rows.csv"
    rows.write_text(",".join(f"p{i}" for i in range(64)) + "\n" + ",".join("1" * 64) + "\n")
    predicted, _ = start("predict", "toy", rows, cwd=project.parent).communicate(timeout=60)
    _, line = predicted.splitlines()  # and no complaint
    assert line.startswith("0,0.1")


HEAD = """from dataclasses import dataclass


@dataclass(frozen=True)
class H:
    rate: float = 0.1


def train(hyperparameters: H, data, *, seed):
    yield {'loss': 1.0}


train.metrics = ('loss',)
"""


def test_digests_that_are_on_record_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "on_record_a.py").write_text("import on_record_b\n" + HEAD)
    (tmp_path / "on_record_b.py").write_text("step = 1\n")
    package = tmp_path / "on_record_c"
    (package / "deep").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "deep" / "__init__.py").touch()
    (package / "deep" / "own.py").write_text(HEAD)
    (package / "zed.py").write_text("step = 2\n")
    assert digest(find("on_record_a:train")) == "2f87c6135be37e7b"
    assert digest(find("on_record_c.deep.own:train")) == "cdf9a07b4dd7d63b"


def test_what_a_package_imports_from_beside_it_is_its_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole" / "own.py").write_text(f"import beside_the_whole\n{HEAD}")
    (tmp_path / "beside_the_whole.py").touch()
    objective = find("whole.own:train")
    assert set(objective_code.files(objective.name)) == {"whole/own.py", "beside_the_whole.py"}


def test_ours_is_never_code_of_somebody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine_of_ours.py").write_text(f"import trainer.networks\nimport hpo\n{HEAD}")
    find("mine_of_ours:train")
    assert set(objective_code.files("mine_of_ours:train")) == {"mine_of_ours.py"}
    find("trainer.objectives:perceptron")
    places = objective_code.files("trainer.objectives:perceptron")
    assert {place.partition("/")[0] for place in places} == {"trainer"}


def test_links_that_lead_away_travel_only_by_name(project: Path) -> None:
    changes: dict[str, Any] = {
        "objective": "root:train", "search_space": {"rate": {"low": 0.1, "high": 1.0}},
        "data": {"source": "digits"},
    }
    secret, link = project.parent / "secret.txt", project / "parts" / "unused.py"
    secret.write_text("# a secret\n")
    link.unlink()
    link.symlink_to(project / "one.py")  # inside: as good as any file
    study = read(write_study(project, **changes))
    assert "parts/unused.py" in pack(study).files
    link.unlink()
    link.symlink_to(secret)
    with pytest.raises(InputError, match=r"unused\.py is a symbolic link .*secret\.txt.*--with"):
        pack(study)
    assert pack(study, [link]).files["parts/unused.py"] == link
    link.unlink()
    (project / "rows.csv").symlink_to(secret)
    study = read(write_study(project, **{**changes, "data": {"source": "rows.csv", "target": "y"}}))
    with pytest.raises(InputError, match=r"rows\.csv is a symbolic link to"):
        pack(study)
    assert "rows.csv" in pack(study, [Path(os.path.relpath(project / "rows.csv"))]).files


BEFORE = '''"""Words."""
class Net:
    """Words."""

    async def run(self, rate=0.001):
        """Words."""
        return "text", [rate,  1]
'''


@pytest.mark.parametrize(
    ("after", "same"),
    [
        (BEFORE.replace("Words", "Other words"), True),
        (BEFORE.replace('    """Words."""\n', ""), True),
        (BEFORE.replace("[rate,  1]", "[\n# a word\nrate, 1\n]").replace("0.001", "1e-3"), True),
        (BEFORE.replace('"text"', "'text'"), True),
        (BEFORE.replace("text", "txt"), False),
        (BEFORE.replace("0.001", "0.002"), False),
        (BEFORE.replace("rate,  1", "rate, 1.0"), False),
        (BEFORE.replace("async ", ""), False),
        (BEFORE.replace("Net", "Nets"), False),
        (BEFORE + "x = 1\n", False),
        (BEFORE + "x = \n", False),  # which does not parse
        (BEFORE + "x = " + "+".join(["1"] * 5000) + "\n", False),  # which no one can dump
    ],
)
def test_code_is_the_same_where_python_reads_the_same(
    tmp_path: Path, after: str, same: bool
) -> None:
    (tmp_path / "net.py").write_text(BEFORE)
    before = objective_code.digest({"net.py": tmp_path / "net.py"})
    (tmp_path / "net.py").write_text(after)
    now = objective_code.digest({"net.py": tmp_path / "net.py"})
    assert now.digest != before.digest
    assert (now.syntax == before.syntax) == same
    assert now.differing(before) == (() if same else ("net.py",))
    sent = pickle.loads(pickle.dumps(now))
    assert (sent, sent.syntax, sent.texts) == (now, now.syntax, {})
    assert sent.differing(before) == now.differing(before)


def test_bytes_that_are_the_same_are_the_same_code_to_another_python(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(BEFORE)
    code = objective_code.digest({"net.py": tmp_path / "net.py"})
    other = pickle.loads(pickle.dumps(code))
    other.syntax_files["net.py"] = "0" * 16
    assert code.differing(other) == ()
