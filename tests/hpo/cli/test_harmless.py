"""Nothing in names, choices or messages is obeyed by a terminal or run by a spreadsheet."""

import csv
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from tests.fixtures import Outcome, client_of, hpo, preparing
from tests.processes import start

Command = Callable[..., Outcome]
OBJECTIVE = r'''
from dataclasses import dataclass


@dataclass(frozen=True)
class Hyperparameters:
    prompt: str = ""
    shift: float = 0.0


def train(hyperparameters: Hyperparameters, data=None, *, seed: int):
    print("\x1b]0;owned\x07\x1b[31mred\x1b[0m")
    if hyperparameters.prompt.startswith("@"):
        raise ValueError("one\n=\x1b[2J\x08\x9b\u202egone")
    yield {"loss": hyperparameters.shift, "-x": -0.5}


train.metrics = ("loss", "-x")
'''
STUDY = r'''
name = "[red]a[/red]"
objective = "mine:train"
metric = "loss"
direction = "minimize"
[search_space]
prompt = { choices = ["=1+\u001b[2J\u0007", "@\u202e\u009b\b", "-1", "\ttab\r\n:smile:"] }
shift = { low = -1.0, high = -0.5 }
[round]
trials = 12
sampler = "grid"
parallel = 1
'''
OBEYED = set("\x00\x07\x08\r\x0b\x1b\x7f\x9b\u202e")
PROMPTS = ["=1+\x1b[2J\x07", "@\u202e\x9b\b", "-1", "\ttab\r\n:smile:"]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    """Run a study whose texts are meant to do harm; return its folder."""
    home = tmp_path_factory.mktemp("odd")
    (home / "mine.py").write_text(OBJECTIVE)
    (home / "odd.toml").write_text(STUDY)
    with preparing(home, empty_database):
        process = start("run", "odd.toml", "--inline")
        printed, _ = process.communicate()
    assert process.returncode == 0
    assert "best trials" in printed
    assert not set(printed) & OBEYED
    return home


@pytest.fixture
def study(recorded: Path, folder: Path) -> Iterator[str]:
    """Give a copy of that study; return its name."""
    shutil.copytree(recorded, folder, dirs_exist_ok=True)
    yield "[red]a[/red]"
    sys.modules.pop("mine", None)


def test_a_terminal_obeys_nothing(study: str, command: Command) -> None:
    shown = command("show", study)
    assert "[red]a[/red]: minimize loss" in shown.out
    assert r"=1+\x1b[2J\x07" in shown.out
    assert ":smile:" in shown.out
    assert r"=\x1b[2J\x08\x9b\u202egone" in shown.out  # the message of a failed trial
    outcomes = [
        shown, *(command(c, "odd.toml") for c in ("check", "narrow")), command("list"),
        command("show", study, "--json"), command("run", "odd.toml", "--inline"),
        command("run", "odd.toml", "--inline", "--range", "prompt=\x1b[2J"),
        command("show", "\x1b[2J\x9b"), command("check", "\x1b[2J.toml"),
        command("show", "--\x1b[2J"),
    ]  # fmt: skip
    assert [outcome.code for outcome in outcomes] == [0] * 6 + [2] * 4
    for outcome in outcomes:
        assert not set(outcome.out + outcome.err) & OBEYED


def test_the_name_of_a_file_is_shown_and_not_obeyed(study: str, command: Command) -> None:
    exported = command("export", study, "\x1b[2J\x9b.csv")
    assert exported.out == "wrote \\x1b[2J\\x9b.csv: 12 trials\n"


def test_what_to_type_next_names_a_study_file_as_it_is(
    study: str, folder: Path, command: Command
) -> None:
    (folder / "odd.toml").rename(folder / "[red]odd.toml")
    ran = command("run", "[red]odd.toml", "--inline")
    assert "next: hpo narrow '[red]odd.toml'" in ran.out
    assert "hpo ui '[red]odd.toml'" in ran.out


def test_a_study_that_was_renamed_on_record_does_no_harm_either(
    study: str, folder: Path, command: Command
) -> None:
    client = client_of(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(study)
    client.rename_experiment(experiment.experiment_id, "[/x]\x1b[2J\nother: 3 rounds")
    listed = command("list")
    assert len(listed.out.splitlines()) == 2
    for outcome in (listed, command("show", "[/x]\x1b[2J\nother: 3 rounds"), command("show", "x")):
        assert outcome.code in (0, 2)
        assert not set(outcome.out + outcome.err) & OBEYED


def test_a_spreadsheet_runs_nothing_and_numbers_stay(study: str, folder: Path) -> None:
    hpo("export", study, "trials.csv")
    assert not set((folder / "trials.csv").read_text(encoding="utf-8")) & OBEYED
    with (folder / "trials.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    prompts = {r"'=1+\x1b[2J\x07", r"'@\u202e\x9b\x08", "-1", "'\ttab\\r\n:smile:"}
    assert {row["prompt"] for row in rows} == prompts
    complete = [row for row in rows if row["state"] == "complete"]
    assert {float(row["'-x"]) for row in complete} == {-0.5}
    assert all(-1 <= float(row["shift"]) <= -0.5 for row in rows)
    failed = [row["message"] for row in rows if row["state"] == "failed"]
    assert set(failed) == {r"'=\x1b[2J\x08\x9b\u202egone"}


def test_the_other_formats_keep_choices_as_they_are(study: str, folder: Path) -> None:
    hpo("export", study, "trials.parquet")
    hpo("export", study, "trials.json")
    assert set(pd.read_parquet("trials.parquet")["prompt"]) == set(PROMPTS)
    rows = json.loads((folder / "trials.json").read_text(encoding="utf-8"))
    assert {row["prompt"] for row in rows} == set(PROMPTS)
