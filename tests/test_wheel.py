"""The wheel holds all that the two packages need, is typed, and runs a study without the tree."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.processes import ROOT

PACKAGES = ("hpo", "trainer")
CONSUMER = """
import hpo
from trainer.arrays import scalar

def peak(x: float) -> float:
    return -((x - 0.3) ** 2)

study = hpo.Study(name="peak", objective=peak, metric="peak", direction="maximize")
reveal_type(study)
reveal_type(scalar)
study.run(trials="many")
hpo.Sudy
"""


def run(*command: object, folder: Path, fails: bool = False) -> str:
    """Return the output of a command that sees neither this environment nor the tree."""
    kept = {"HOME", "LANG", "PATH", "TMPDIR"}
    environment = {name: value for name, value in os.environ.items() if name in kept}
    done = subprocess.run(
        [str(word) for word in command], cwd=folder, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert (done.returncode != 0) == fails, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy of the tree, with the build backend that is installed."""
    folder = tmp_path_factory.mktemp("wheel")
    # Setuptools builds in the tree, and would pack what an earlier build has left there.
    left_out = shutil.ignore_patterns(
        ".*", "__pycache__", "build", "*.egg-info", "demo", "mlruns", "mlartifacts", "mlflow.db*"
    )
    shutil.copytree(ROOT, folder / "tree", ignore=left_out)
    run(
        sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--no-index",
        "--wheel-dir", folder, folder / "tree", folder=folder,
    )  # fmt: skip
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_every_file_of_the_packages_and_no_other(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    files = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packed == files
    assert {f"{package}/py.typed" for package in PACKAGES} < packed
    assert "hpo/report/browser/page.js" in packed


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into an empty environment, and return the Python of that.

    It shares its dependencies with the environment of the tests, since nothing is fetched: the
    wheel's own list of them is not resolved here. A path in a .pth file comes after what is
    installed, and the .pth files of that path, which the tree is installed by, are not read.
    """
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder, folder=folder)
    python = folder / "bin" / "python"
    run(
        sys.executable, "-m", "pip", "--python", python, "install", "--no-index", "--no-deps",
        wheel, folder=folder,
    )  # fmt: skip
    own = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    shared = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    (own / "shared.pth").write_text("".join(f"{path}\n" for path in shared))
    return python


@pytest.mark.slow
def test_a_study_runs_from_the_wheel(python: Path, tmp_path: Path) -> None:
    for package in PACKAGES:
        where = run(
            python, "-c", f"import {package}; print({package}.__file__)", folder=tmp_path
        )
        assert Path(where).is_relative_to(python.parents[1])
    shutil.copy(ROOT / "studies" / "digits.toml", tmp_path)
    hpo = python.with_name("hpo")
    run(
        hpo, "run", "digits.toml", "--workers", 2, "--set", "round.trials=4", "--set",
        "round.parallel=2", "--set", "fixed.epochs=3", folder=tmp_path,
    )  # fmt: skip
    shown = json.loads(run(hpo, "show", "digits", "--json", folder=tmp_path))
    assert [round_["complete"] for round_ in shown["rounds"]] == [4, 4]
    run(hpo, "report", "digits", "digits.html", folder=tmp_path)  # its scripts are in the wheel
    assert str(ROOT) not in (tmp_path / "digits.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_what_a_consumer_imports_is_typed(python: Path, tmp_path: Path) -> None:
    (tmp_path / "consumer.py").write_text(CONSUMER)
    mypy = (
        sys.executable, "-m", "mypy", "--strict", "--python-executable", python, "consumer.py",
    )  # fmt: skip
    found = run(*mypy, folder=tmp_path, fails=True)
    assert 'Revealed type is "hpo.api.study.Study"' in found
    assert 'Revealed type is "def (value: float' in found
    assert 'Argument "trials" to "run" of "Study" has incompatible type "str"' in found
    assert 'Module has no attribute "Sudy"' in found
    assert "Found 2 errors in 1 file" in found


def test_the_documentation_names_the_versions_that_conflict() -> None:
    page = (ROOT / "docs" / "installing.md").read_text(encoding="utf-8")
    table = page.partition("| Package | Version |")[2].partition("\n\n")[0]
    said = {
        name.lower(): (lowest, not newer)
        for name, lowest, newer in re.findall(r"\| ([\w-]+) \| ([\d.]+)( or newer)? \|", table)
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {}
    for requirement in map(Requirement, project["dependencies"]):
        bounds = {each.operator: each.version for each in requirement.specifier}
        needed[requirement.name] = (bounds[">="], "<" in bounds)
    assert {name for name, (_, is_capped) in needed.items() if is_capped} <= said.keys()
    for name, (lowest, is_capped) in said.items():
        assert f"{needed[name][0]}.".startswith(f"{lowest}.")
        assert needed[name][1] == is_capped
