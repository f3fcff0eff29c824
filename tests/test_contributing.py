"""What contributors are told is there, and what is checked before a commit is what CI checks."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from hpo.cli.commands import hpo
from tests.processes import ROOT

CHANGES = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
FILES = re.findall(r"`([\w./]+/[\w.-]*|[\w-]+\.(?:py|toml))`", PAGE)


def test_the_hooks_before_a_commit_run_what_make_lint_runs() -> None:
    configured = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    (local,) = configured["repos"]
    assert local["repo"] == "local"  # another one would be fetched
    for hook in local["hooks"]:
        assert (hook["language"], hook["pass_filenames"]) == ("system", False)
    # Whether the environment is up to date or not, make prints the two commands alone.
    planned = subprocess.run(
        ["make", "--dry-run", "--silent", "--old-file=.venv/installed-test", "lint"],
        cwd=ROOT, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert [hook["entry"] for hook in local["hooks"]] == planned.stdout.splitlines()


@pytest.mark.parametrize("name", sorted(set(FILES)))
def test_a_file_that_contributors_are_sent_to_is_there(name: str) -> None:
    folders = (ROOT, ROOT / "hpo", ROOT / "tests" / "crashes")
    assert any((folder / name).exists() for folder in folders)


def test_a_name_in_a_file_is_there() -> None:
    said = re.findall(r"`@?(\w+)(?:\(\))?` in\s+`([\w/]+\.py)`", PAGE)
    assert len(said) > 12
    for name, file in said:
        assert re.search(rf"\b{name}\b", Path(ROOT, file).read_text(encoding="utf-8")), (name, file)


def test_the_packages_drawn_are_those_there_are() -> None:
    drawn = set(re.findall(r"\b(\w+)/", PAGE.partition("```text")[2].partition("```")[0]))
    there = {path.parent.name for path in (ROOT / "hpo").glob("*/__init__.py")}
    assert there - drawn == {"checkpoints"}  # named below the drawing
    assert drawn - there == {"hpo", "trainer", "studies"}


def test_the_changelog_has_the_version_and_names_commands_there_are() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"\n## [{project['version']}]" in CHANGES
    assert set(re.findall(r"`hpo ([a-z]+)", CHANGES)) < set(hpo.commands)
