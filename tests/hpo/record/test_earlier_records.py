"""Records that an earlier version made are shown, continued, narrowed, confirmed and evaluated."""

import csv
import gzip
import json
import math
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpo.errors import InputError
from tests.fixtures import hpo
from tests.processes import ROOT

RECORDS = ROOT / "tests" / "records"
STUDIES = ("open", "ended", "confirmed", "evaluated")


@pytest.fixture(params=["version_1"])
def earlier(request: pytest.FixtureRequest, folder: Path) -> Iterator[Path]:
    """Fill the record with what an earlier version left of four studies of the same objective."""
    rows = gzip.decompress((RECORDS / f"{request.param}.sql.gz").read_bytes()).decode()
    with sqlite3.connect(folder / "mlflow.db") as database:
        database.executescript(rows.replace("{folder}", str(folder)))
    shutil.copy(RECORDS / "shop.py", folder)
    for name in STUDIES:
        text = (RECORDS / "shop.toml").read_text()
        (folder / f"{name}.toml").write_text(f'name = "{name}"\n{text}')
    yield folder
    sys.modules.pop("shop", None)


def shown(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict:  # type: ignore[type-arg]
    capsys.readouterr()
    hpo(*arguments, "--json")
    found: dict = json.loads(capsys.readouterr().out)  # type: ignore[type-arg]
    return found


def rows(study: str) -> list[dict[str, str]]:
    hpo("export", study, "rows.csv")
    with open("rows.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_they_are_listed_and_shown(earlier: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counts = {}
    for name in STUDIES:
        study = shown(capsys, "show", name)
        counts[name] = [round_["trials"] for round_ in study["rounds"]]
        assert study["best"]["value"] > 0.5
    assert counts == {"open": [8], "ended": [14, 14], "confirmed": [14, 14], "evaluated": [14, 14]}
    capsys.readouterr()
    hpo("list")
    assert len(capsys.readouterr().out.splitlines()) == 1 + 4
    hpo("show", "evaluated")
    assert "test set" in capsys.readouterr().out


def test_an_open_round_goes_on_to_what_it_would_have_been(
    earlier: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hpo("run", "open.toml", "--inline")
    capsys.readouterr()
    ours, undisturbed = rows("open"), rows("ended")[:14]
    different = {"attempt", "started", "seconds", "place"}
    for row, expected in zip(ours, undisturbed, strict=True):
        assert row.keys() == expected.keys()
        for name in row.keys() - different:
            assert same(row[name], expected[name]), name


def same(text: str, expected: str) -> bool:
    """Say whether two cells are the same but for digits that another kind of CPU may change."""
    try:
        return math.isclose(float(text), float(expected), rel_tol=1e-9)
    except ValueError:
        return text == expected


def test_code_with_another_comment_goes_on_once_its_syntax_is_on_record(earlier: Path) -> None:
    code = earlier / "shop.py"
    hpo("run", "ended.toml", "--inline", "--rounds", 3)
    code.write_text(code.read_text() + "# a word\n")
    sys.modules.pop("shop")  # as in a new process
    hpo("run", "ended.toml", "--inline", "--rounds", 4)
    with pytest.raises(InputError, match="the code of the objective changed since round 1"):
        hpo("run", "open.toml", "--inline")


def test_an_ended_study_is_narrowed_and_continued(
    earlier: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hpo("run", "ended.toml", "--inline", "--rounds", 2)
    assert "all 2 rounds are done" in capsys.readouterr().out
    proposal = shown(capsys, "narrow", "ended")
    assert {move["name"] for move in proposal["moves"]} == {"rate", "color", "shape"}
    hpo("run", "ended.toml", "--inline", "--rounds", 3)
    ranges = shown(capsys, "show", "ended")["rounds"][2]["ranges"]
    for move in proposal["moves"]:
        assert ranges[move["name"]] == {
            key: value for key, value in move["new"].items() if key in ("low", "high", "choices")
        }


def test_a_confirmed_study_is_confirmed(
    earlier: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hpo("confirm", "confirmed.toml", "--inline", "--top", 2, "--repeats", 2)
    assert "all repeats are done" in capsys.readouterr().out
    hpo("confirm", "ended.toml", "--inline", "--top", 1, "--repeats", 1)
    assert "1 repeat of the best trial" in capsys.readouterr().out


def test_a_test_set_that_is_spent_stays_spent(earlier: Path) -> None:
    with pytest.raises(InputError, match="was spent on"):
        hpo("evaluate", "evaluated.toml")
    hpo("evaluate", "ended.toml")
    with pytest.raises(InputError, match="was spent on"):
        hpo("evaluate", "ended.toml")
