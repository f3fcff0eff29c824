"""The examples of docs/objectives.md run as the page says, with fewer trials."""

import re
from pathlib import Path

import pytest

from tests.fixtures import hpo, table
from tests.processes import ROOT

EXAMPLES = sorted((ROOT / "studies" / "examples").glob("*.toml"))
PAGE = (ROOT / "docs" / "objectives.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda path: path.stem)
@pytest.mark.usefixtures("folder")  # for the record; the study stays where it is
def test_an_example_runs(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(file.parent)  # and not for the tests after this one
    hpo("run", file, "--trials", 3, "--inline")
    rows = table(file.stem)
    metric = re.search(r'^metric = "(\w+)"', file.read_text(), re.MULTILINE)
    assert metric is not None
    assert [row["state"] for row in rows] == ["complete"] * 3
    assert all(float(row[metric[1]]) == float(row["value"]) for row in rows)


def test_every_example_is_on_the_page() -> None:
    assert {path.name for path in EXAMPLES} >= {"branin.toml", "script.toml"}
    for path in EXAMPLES:
        assert f"hpo run studies/examples/{path.name}" in PAGE
