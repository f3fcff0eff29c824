"""A command hears of the events of a study, and whatever it does stops nothing."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from hpo.errors import InputError
from hpo.service import notifying
from hpo.service.notifying import Notifying
from hpo.study import read
from hpo.trial import State, Trial, TrialResult
from tests.fixtures import TOY, Command, Make, hpo, write_study

HOOK = """
import sys
with open("heard.jsonl", "a") as file:
    file.write(sys.argv[1] + " " + sys.stdin.read())
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "toy.py").write_text(TOY.read_text())
    (tmp_path / "hook.py").write_text(HOOK)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def heard(folder: Path) -> list[dict[str, Any]]:
    """Return the events that the command was told, each named by its argument as well."""
    lines = [line.split(" ", 1) for line in (folder / "heard.jsonl").read_text().splitlines()]
    events = [json.loads(text) for _, text in lines]
    assert [name for name, _ in lines] == [event["event"] for event in events]
    return events


def watching(folder: Path, *command: str, **keys: Any) -> tuple[Notifying, list[str]]:
    """Return what watches a study with such a command, and the lines that it says."""
    said: list[str] = []
    file = write_study(folder, notify={"command": list(command), **keys})
    return Notifying(read(file), said.append), said


def ended(number: int, value: float | None, state: State = State.COMPLETE) -> TrialResult:
    return TrialResult(Trial(1, number, {}, number), state, value, 1, message="it broke")


def test_the_best_is_told_when_it_changes_and_the_first_failure_of_a_round(home: Path) -> None:
    hooks, said = watching(home, sys.executable, "hook.py", "{event}")
    results = [
        ended(1, 0.5), ended(2, 0.4), ended(3, None, State.FAILED), ended(4, 0.75),
        ended(5, None, State.FAILED), ended(6, 0.9, State.PRUNED),
    ]
    for result in results:
        hooks.trial_ended(result)
    hooks.failed("two\nlines")
    hooks.close()
    assert said == []
    assert [(e["event"], e["trial"], e["value"], e["message"]) for e in heard(home)] == [
        ("best", 1, 0.5, "trial 1 of round 1 is the best so far: accuracy 0.5000"),
        ("failure", 3, None, "trial 3 of round 1 failed: it broke"),
        ("best", 4, 0.75, "trial 4 of round 1 is the best so far: accuracy 0.7500"),
        ("failure", None, None, "stopped: two lines"),
    ]
    assert heard(home)[0] | {"time": ""} == {
        "event": "best", "study": "toy", "round": 1, "trial": 1, "value": 0.5, "time": "",
        "metric": "accuracy", "message": "trial 1 of round 1 is the best so far: accuracy 0.5000",
    }


def test_only_what_is_asked_for_is_told(home: Path) -> None:
    hooks, _ = watching(home, sys.executable, "hook.py", "{event}", on=["failure"])
    hooks.trial_ended(ended(1, 0.5))
    hooks.trial_ended(ended(2, None, State.FAILED))
    hooks.close()
    assert [event["event"] for event in heard(home)] == ["failure"]


@pytest.mark.parametrize(("program", "said"), [
    (["no-such-program"], "no-such-program cannot be run: No such file or directory"),
    ([sys.executable, "-c", "raise SystemExit(3 * \"no \")"], "exited with 1: no no no"),
    ([sys.executable, "-c", "import time; time.sleep(60)"], "took longer than 1 s and was killed"),
], ids=["absent", "failing", "hanging"])
def test_a_command_that_fails_or_hangs_is_complained_of_once(
    home: Path, program: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifying, "SECONDS", 1.0)
    hooks, lines = watching(home, *program)
    begun = time.monotonic()
    for number in range(1, 4):
        hooks.trial_ended(ended(number, number / 10))
    assert time.monotonic() - begun < 1, "nobody waits for it"
    while not lines:
        time.sleep(0.05)
    hooks.close()
    (line,) = lines
    assert line.startswith(f"{home}/toy.toml: notify.command: ")
    assert said in line
    assert line.endswith("; the study continues, and this is reported only once")


@pytest.mark.parametrize(("table", "said"), [
    ({"command": []}, "notify.command: must not be empty"),
    ({"command": ["echo", "{events}"]},
     "notify.command: unknown name in braces '{events}'; did you mean 'event'?"),
    ({"command": ["echo", "{event"]},
     "notify.command: '{event': expected '}' before end of string; write {{ for a literal brace"),
    ({"command": ["echo"], "on": ["end"]}, "notify.on.1: must be 'best', 'round', 'study', or"),
    ({}, "notify.command: required but missing; add it"),
], ids=["empty", "a name", "a brace", "an event", "nothing"])
def test_a_wrong_table_is_refused(home: Path, table: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        read(write_study(home, notify=table))
    assert said.replace("'{events}'", "'events'") in str(caught.value)


@pytest.mark.slow
def test_a_study_tells_of_its_rounds_and_its_end_once(make_study: Make, folder: Path) -> None:
    (folder / "hook.py").write_text(HOOK)
    file = make_study(notify={
        "command": [sys.executable, "hook.py", "{event}"], "on": ["round", "study", "failure"],
    })
    hpo("run", file, "--rounds", 2, "--inline")
    hpo("run", file, "--rounds", 2, "--inline")
    events = heard(folder)
    assert [event["round"] for event in events[:2]] == [1, 2]
    assert [event["event"] for event in events] == ["round", "round", "study"]
    assert events[0]["message"].startswith("round 1 ended: 12 complete; best accuracy ")
    assert events[2]["message"].startswith("ended after 24 trials; best accuracy ")


@pytest.mark.slow
def test_a_study_that_stops_tells_why(
    make_study: Make, folder: Path, command: Command
) -> None:
    (folder / "hook.py").write_text(HOOK)
    file = make_study(objective="toy:failing", notify={
        "command": [sys.executable, "hook.py", "{event}"],
    })
    stopped = command("run", file, "--inline")
    assert stopped.code == 1
    first, last = heard(folder)
    assert first["trial"] == 1
    assert last["event"] == "failure"
    assert last["message"] == f"stopped: {stopped.err.removeprefix('hpo: ').strip()}"


