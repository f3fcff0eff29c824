"""The page of a study is written by a command, and kept with each round's run."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hpo.record.tracking import Tracking
from tests.fixtures import Command, Make, client_of, hpo

NARROW = {"trials": 6, "sampler": "random", "parallel": 2}


def embedded(page: str) -> Mapping[str, Any]:
    """Return the data of a page."""
    found = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page)
    data: Mapping[str, Any] = json.loads(found[0])
    return data


def test_a_page_and_its_data_are_written(
    make_study: Make, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = make_study(objective="toy:cliff")
    hpo("run", file, "--inline")
    capsys.readouterr()
    hpo("report", "toy", "toy.html")
    assert capsys.readouterr().out == "wrote toy.html: 12 trials\n"
    hpo("report", file, "again.html")
    hpo("report", "toy", "toy.json")
    page = (folder / "toy.html").read_bytes()
    assert page == (folder / "again.html").read_bytes()
    data = json.loads((folder / "toy.json").read_text())
    assert embedded(page.decode()) == data
    assert (data["study"], data["summary"]["trials"]) == ("toy", 12)


def test_what_cannot_be_written_is_said_in_one_line(make_study: Make, command: Command) -> None:
    hpo("run", make_study(), "--inline")
    for arguments, said in (
        (("toy", "toy.pdf"), "toy.pdf: must end in .html, or in .json"),
        (("toy", "no/toy.html"), "no/toy.html: No such file or directory; choose another file"),
        (("other", "toy.html"), "no study named 'other' is recorded; studies: toy"),
    ):
        told = command("report", *arguments)
        assert (told.code, told.out, told.err.count("\n")) == (2, "", 1)
        assert said in told.err


@pytest.mark.figures
def test_each_round_keeps_its_page_and_what_follows_renews_the_last(
    make_study: Make, folder: Path
) -> None:
    file = make_study(
        objective="trainer.objectives:perceptron", metric="validation_accuracy", rounds=2,
        data={"source": "digits", "rows": 150}, round=NARROW,
        fixed={"hidden_sizes": [10], "epochs": 2, "batch_size": 50},
        search_space={"learning_rate": {"low": 1e-4, "high": 1.0, "log": True}},
    )
    uri = f"sqlite:///{folder / 'mlflow.db'}"

    def kept(number: int) -> bytes:
        recorded = Tracking(uri).study("toy").read()
        assert recorded is not None
        run_id = recorded.rounds[number - 1].run_id
        path = client_of(uri).download_artifacts(run_id, "report.html", str(folder))
        return Path(path).read_bytes()

    hpo("run", file, "--inline")
    hpo("report", "toy", "now.html")
    assert kept(2) == (folder / "now.html").read_bytes()
    assert embedded(kept(1).decode())["summary"]["trials"] == 6
    hpo("confirm", file, "--inline", "--top", 1, "--repeats", 2)
    assert embedded(kept(2).decode())["summary"]["confirmed"]["values"] == 2
    hpo("evaluate", file)
    assert embedded(kept(2).decode())["summary"]["test"]["result"].startswith("accuracy ")
    assert embedded(kept(1).decode())["summary"]["confirmed"] is None
