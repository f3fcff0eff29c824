"""Whatever is edited in MLflow's UI gives a result or one line, which names run and tag."""

import contextlib
import json
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.fixtures import Outcome, client_of, hpo, preparing, write_study
from tests.fuzzing import examples

if TYPE_CHECKING:
    from mlflow import MlflowClient

Make = Callable[..., Path]


@pytest.fixture(scope="module")
def recorded(
    tmp_path_factory: pytest.TempPathFactory, empty_database: Path
) -> Path:
    """Make a folder with a study of two rounds, the second of which is open, and a sound one."""
    home = tmp_path_factory.mktemp("recorded")
    with preparing(home, empty_database):
        search_space = {
            "learning_rate": {"low": 1e-4, "high": 1e1, "log": True, "limits": [1e-5, 1e2]},
            "epochs": {"choices": [3, 4, 5]},
        }
        study = {
            "objective": "toy:cliff", "search_space": search_space, "confirm": {"top": 2},
            "round": {"trials": 6, "sampler": "tpe"},
        }
        hpo("run", write_study(home, "sound", round={"trials": 3}), "--inline")
        hpo("run", write_study(home, "edited", rounds=2, **study), "--inline")
        client = client_of(f"sqlite:///{home / 'mlflow.db'}")
        last = max(runs(client, "round"), key=lambda run: int(run.data.tags["round"]))
        trial = next(
            run for run in runs(client, "trial")
            if run.data.tags["mlflow.parentRunId"] == last.info.run_id
        )
        client.set_terminated(last.info.run_id, "RUNNING")
        client.set_tag(trial.info.run_id, "superseded", "true")
        client.delete_run(trial.info.run_id)  # so that one is missing
    return home


def runs(client: "MlflowClient", kind: str = "") -> list[Any]:
    """Return the runs of the study that is edited, in an order that is always the same."""
    experiment = client.get_experiment_by_name("edited")
    found = client.search_runs([experiment.experiment_id], f"tags.kind LIKE '{kind or '%'}'")
    return sorted(found, key=lambda run: (run.info.run_name, run.info.start_time))


@pytest.fixture
def copied(recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to a copy of that folder."""
    home = tmp_path / "home"
    shutil.copytree(recorded, home)
    monkeypatch.chdir(home)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return home


@pytest.fixture(scope="module")
def reused(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make one copy of that folder for many tests."""
    home = tmp_path_factory.mktemp("reused") / "home"
    shutil.copytree(recorded, home)
    return home


@pytest.fixture
def restored(
    recorded: Path, reused: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Go to that copy, with the record as it was: MLflow opens another one much later."""
    with (
        contextlib.closing(sqlite3.connect(recorded / "mlflow.db")) as source,
        contextlib.closing(sqlite3.connect(reused / "mlflow.db")) as target,
    ):
        source.backup(target)
    monkeypatch.chdir(reused)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return reused


def complaint(outcome: Outcome) -> str:
    """Return the one line that a command which could not go on printed."""
    assert outcome.code in (1, 2), outcome
    (line,) = outcome.err.splitlines()
    assert line.startswith("hpo: ")
    return line


@pytest.mark.parametrize(
    ("kind", "tag", "value"),
    [
        ("trial", "value", "great"), ("trial", "value", "nan"), ("trial", "value", None),
        ("trial", "state", "done"), ("trial", "state", None), ("trial", "epoch", "99"),
        ("trial", "epoch", "0"), ("trial", "number", ""), ("trial", "round", "2"),
        ("trial", "seed", "-1"), ("trial", "attempt", "one"), ("trial", "started", "inf"),
        ("trial", "seconds", None), ("trial", "curve", "[1, "), ("trial", "curve", "[[1]]"),
        ("trial", "curve", "[" * 7000), ("trial", "curve", None), ("repeat", "repeat", None),
        ("repeat", "resplit", "perhaps"), ("round", "round", "0"), ("round", "settings", "{}}"),
        ("round", "settings", "[]"), ("round", "settings", '{"metric": 5}'),
        ("round", "settings", '{"metric": "loss", "direction": "up"}'),
        ("round", "search_space", "{}"), ("round", "search_space", '{"learning_rate": {}}'),
        ("round", "search_space", '{"learning_rate": {"low": 2, "high": 1}}'),
        ("round", "search_space", '{"learning_rate": {"low": 0, "high": 1, "log": true}}'),
        ("round", "search_space", '{"x": {"low": 0, "high": 1}}'),
        ("round", "search_space", '{"epochs": {"choices": 5}}'), ("round", "search_space", None),
        ("round", "proposal", '[{"name": 5}]'),
        ("round", "accepted_code", "[]"), ("round", "accepted_code", '{"code": 5}'),
        ("round", "accepted_code", '{"code": "a", "syntax": "b", "since": "1"}'),
    ],
)  # fmt: skip
def test_an_edited_tag_is_named_with_its_run_and_the_remedy(
    restored: Path, command: Callable[..., Outcome], kind: str, tag: str, value: str | None
) -> None:
    client = client_of(f"sqlite:///{restored / 'mlflow.db'}")
    run = next(run for run in runs(client, kind) if run.data.tags.get("state") != "failed")
    edit(client, run, tag, value)
    line = complaint(command("show", "edited"))
    assert "the study 'edited' cannot be read: the " in line
    assert f"of the run {run.info.run_name!r} ({run.info.run_id})" in line
    assert line.endswith("so that it no longer counts")
    assert f"the tag {tag!r} of the run" in line
    listed = command("list")
    assert listed.code == 0
    assert listed.out.splitlines()[1].split()[0] == "sound"
    assert listed.err.splitlines() == [line]
    client.delete_run(run.info.run_id)  # as the line says
    assert command("show", "edited").code == 0


def edit(client: "MlflowClient", run: Any, tag: str, value: str | None) -> None:
    """Set a tag of a run, or take it off."""
    if value is None:
        client.delete_tag(run.info.run_id, tag)
    else:
        client.set_tag(run.info.run_id, tag, value)


VALUES = [
    None, "", " ", "0", "-1", "1", "2", "99", "1e999", "nan", "inf", "1.5", "true", "null", "[]",
    "{}", "[1]", '{"a": 1}', "[[[[", "한국어", "\x1b[2J", "'", "9" * 5000, "x" * 7999, "complete",
    "failed", "round", "trial", "\u202e", "[null]", '""',
]  # fmt: skip


def another(text: str, chance: random.Random) -> str | None:
    """Return another value for a tag: any, or what JSON it holds with something changed."""
    if chance.random() < 0.5:
        return chance.choice(VALUES)
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    if isinstance(value, dict | list) and value:
        holder: Any = value
        while True:
            key = chance.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
            if not isinstance(holder[key], dict | list) or not holder[key] or chance.random() < 0.3:
                break
            holder = holder[key]
        if chance.random() < 0.3:
            del holder[key]
        else:
            holder[key] = chance.choice([None, True, -1, 0, 1.5, 1e999, 2**80, "", "x", [], {}])
        return json.dumps(value)
    at = chance.randrange(len(text) + 1)
    return text[:at] + chance.choice("0-9x.e[]{}\",\n\x1b") + text[at + chance.randrange(3) :]


@pytest.mark.parametrize("seed", range(examples(6, 500)))
def test_any_edit_gives_a_result_or_one_line(
    copied: Path, command: Callable[..., Outcome], seed: int
) -> None:
    chance = random.Random(seed)
    client = client_of(f"sqlite:///{copied / 'mlflow.db'}")
    run = chance.choice(runs(client))
    tag = chance.choice(sorted(run.data.tags))
    edit(client, run, tag, another(run.data.tags[tag], chance))
    drawn = () if seed % 8 else ("--figures", "figures")  # which takes a while
    for arguments in (
        ("list",), ("show", "edited", *drawn), ("narrow", "edited", "--json", *drawn),
        ("export", "edited", "table.csv"), ("run", "edited.toml", "--inline"),
    ):  # fmt: skip
        outcome = command(*arguments)
        assert outcome.code in (0, 1, 2), (tag, arguments, outcome)
        assert "Traceback" not in outcome.out + outcome.err, (tag, arguments, outcome)
        if outcome.code:
            complaint(outcome)
        shown = outcome.out + outcome.err
        assert not set(shown) & set("\x1b\x07\x9b\u202e"), (tag, arguments, outcome)
        if arguments == ("list",):
            assert "\nsound  " in outcome.out
