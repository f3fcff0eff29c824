"""What a person sees: no number is cut in a narrow terminal, and no sentence contradicts one."""

import io
import itertools
import json
import math
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from hpo import study, wording
from hpo.cli import console, progress
from hpo.cli.progress import Display, Retraining
from hpo.cli.tables import MovesTable, best_trials, rounds_table
from hpo.moves import Move
from hpo.record.values import Round
from hpo.search.confirmation import Confirmation
from hpo.search_space import FloatDistribution, SearchSpace, Value
from hpo.trial import State, Trial, TrialId, TrialResult
from tests.fixtures import client_of, hpo, round_settings


def begun(space: SearchSpace) -> Round:
    """Return a first round in these ranges."""
    return Round(1, "", space, round_settings(search_space=space), "", False)


Make = Callable[..., Path]
Capture = pytest.CaptureFixture[str]

TINY = """
from dataclasses import dataclass
from math import log10


@dataclass(frozen=True)
class Few:
    rate: float = 0.1
    epochs: int = 1


def train(hyperparameters: Few, data=None, *, seed):
    for epoch in range(hyperparameters.epochs):
        yield {"training_loss": 1e-6 * (1 + log10(hyperparameters.rate) ** 2) + seed % 997 * 1e-11}


train.metrics = ("training_loss",)
"""
LONG = "a_name_that_goes_on_and_on_until_nobody_wants_to_read_it_any_more"
CHOICE = "a long choice of an activation with a parameter of its own, such as 3.478e-05"


class Terminal(io.StringIO):
    """A file that is a terminal; COLUMNS says how wide."""

    def isatty(self) -> bool:
        return True


def printed(width: int, *parts: object) -> str:
    file = io.StringIO()
    console = Console(file=file, width=width, highlight=False)
    for part in parts:
        console.print(part)
    return file.getvalue()


def trials(count: int) -> list[TrialResult]:
    """Return ten trials with so many hyperparameters, the last two a long name and long choices."""
    results = []
    for number in range(101, 111):
        values: dict[str, Value] = {
            f"rate_{i}": (number - 100) * 1.2345e-5 * 7**i % 1 for i in range(count - 2)
        }
        if count > 2:
            values |= {LONG: number * 3.4567e-5, "activation": (CHOICE, "relu")[number % 2]}
        else:
            values |= {"momentum": 0.9 + number * 1e-5, "nesterov": number % 2 == 0}
        results.append(
            TrialResult(Trial(1, number, values, 1), State.COMPLETE, number * 1.2345e-9, 3)
        )
    return results


WIDTHS = (30, 40, 80, 120, 200, console.PIPE_WIDTH)


@pytest.mark.parametrize("count", [2, 8, 60])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("confirmed", [False, True])
def test_no_number_of_the_best_trials_is_cut(count: int, width: int, confirmed: bool) -> None:
    results = trials(count)
    repeats = [replace(results[0], value=1.2e-7), replace(results[0], value=1.3e-7)]
    known = {TrialId(1, 101): Confirmation(results[0], tuple(repeats))} if confirmed else {}
    output = printed(width, best_trials("a study", results, "validation_loss", known))
    assert "…" not in output
    words = re.findall(r"[^\s,=]+", output)
    assert [w for w in words if re.fullmatch(r"10[1-9]|110", w)][:10] == [
        str(r.trial.number) for r in results
    ]
    for result in results:
        assert wording.column([result.value])[0] in words
    assert not confirmed or {"1.250e-07", "5.000e-09"} <= set(words)
    joined = re.sub(r"\s", "", output)
    for name, value in results[0].trial.hyperparameters.items():
        assert all(piece in joined for piece in re.findall("[^_]+_?", name))  # of a heading
        assert re.sub(" ", "", console.shown(value)) in joined
    if "left out" in output:
        assert "all of it: `hpo export 'a study' trials.csv`" in " ".join(output.split())
    assert ("left out" in output) == ((count > 2 and width <= 200) or width <= 40)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("count", [2, 60])
def test_no_number_of_the_rounds_is_cut(count: int, width: int) -> None:
    rounds = [
        {"round": n, "trials": 1000 + n, "complete": 990, "pruned": 0, "diverged": 7, "failed": 0,
         "best": {"value": 1.2345e-7 / n} if n < 3 else None}
        for n in (1, 2, 3)
    ]
    ranges = [
        {f"rate_{i}": f"{n}.234e-06 to 0.00{i + 10}" for i in range(count)} for n in (1, 2, 3)
    ]
    output = printed(width, rounds_table("toy", rounds, ranges))
    assert "…" not in output
    words = set(re.findall(r"[^\s,=]+", output))
    assert {"1001", "1002", "1003", "990", "7", "1.235e-07", "6.173e-08"} <= words
    joined = " ".join(output.split())
    assert all(text in joined for text in ranges[-1].values())
    assert ("left out" in output) == (width <= 80 or (count == 60 and width <= 200))


@pytest.mark.parametrize("width", WIDTHS)
def test_no_number_of_the_moves_is_cut(width: int) -> None:
    old, new = FloatDistribution(1.234e-6, 1e-2, log=True), FloatDistribution(3.478e-5, 1.0)
    moves = [
        Move(name, old, new, "moved", 0.12345,
             "the best 3 of 40 trials have 0.005812 to 0.008991", p_value)
        for name, p_value in (("learning_rate", 1.2345e-9), (LONG, math.nan), ("momentum", 0.0))
    ]
    output = printed(width, MovesTable(moves))
    assert "…" not in output
    joined = " ".join(output.split())
    for text in ("1.234e-06 to 0.01", "3.478e-05 to 1", "0.1235", "1.235e-09", "< 1e-99",
                 "the best 3 of 40 trials have 0.005812 to 0.008991"):
        assert text in joined


def test_a_move_takes_one_line_where_there_is_room() -> None:
    old, new = FloatDistribution(1e-6, 1e-2, log=True), FloatDistribution(1e-5, 1e-3, log=True)
    moves = [Move(name, old, new, "narrowed", 0.5, "fit", 0.01) for name in ("rate", "decay")]
    output = printed(console.PIPE_WIDTH, MovesTable(moves))
    assert [line.split()[0] for line in output.splitlines()] == ["hyperparameter", "rate", "decay"]


@pytest.mark.parametrize("width", [26, 30, 40, 60, 80, 120])
def test_progress_is_never_cut(
    width: int, make_study: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    parsed = study.read(make_study(direction="minimize", round={"trials": 14}))
    output = Terminal()
    space = {"rate": FloatDistribution(0.1, 1.0)}
    with Display(parsed, output) as display:
        display.workers_started(2)
        display.waiting("opening it")
        display.round_started(begun(space), 14)
        for result in trials(2)[:9]:
            display.trial_started(result.trial)
        display._progress.refresh()
        assert ("2 running, 7 waiting" in output.getvalue()) == (width >= 40)
        for state, result in zip(itertools.cycle(State), trials(2)[:7], strict=False):
            display.trial_ended(replace(result, state=state))
            display._progress.refresh()
    shown = output.getvalue()
    assert "…" not in shown
    assert "..." not in shown
    assert " 7/14" in shown
    assert ("best 1.247e-07" in shown) == (width >= 40)
    assert ("2 running, best 1.247e-07 (trial 101), less than 1 s left" in shown) == (width == 80)
    assert ("2 running, 2 pruned, 2 diverged, 1 failed, best 1.247e-07 (trial 101)" in shown) == (
        width == 120
    )
    output = Terminal()
    with Retraining(output) as listener:
        listener.trained(results := trials(2)[0].trial, 3, 100)
        listener._progress.refresh()
    shown = output.getvalue()
    assert "…" not in shown
    assert f"trial {results.number}" in shown
    assert "  3/100" in shown


def test_what_waits_is_not_running(
    make_study: Make, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PLAIN_SECONDS", 0.0)
    hpo("run", make_study(round={"trials": 14, "parallel": 14}), "--inline")
    output = capsys.readouterr().out
    assert "round 1: 1 of 14 trials, 1 running, 12 waiting, best " in output
    assert not re.search(r"\b(?:[2-9]|1\d) running", output)


def test_the_time_left_is_no_longer_than_the_budget(make_study: Make) -> None:
    parsed = study.read(make_study(budget={"hours": 1e-3}, round={"trials": 1000}))
    output = io.StringIO()
    display = Display(parsed, output)
    display.round_started(begun({}), 1000)
    display._started -= 60.0  # a trial a minute
    result = trials(2)[0]
    display.trial_started(result.trial)
    display.trial_ended(result)
    (left,) = display._parts(["left"])
    assert left in ("about 3 s left", "about 4 s left")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "less than 1 s"), (1.2, "about 1 s"), (99, "about 99 s"), (101, "about 2 min"),
     (5400, "about 90 min"), (9000, "about 2.5 h")],
)
def test_durations(seconds: float, text: str) -> None:
    assert console.duration(seconds) == text


@pytest.mark.parametrize(
    ("round_", "warned"),
    [
        ({"trials": 3, "parallel": 1}, ""),
        ({"trials": 3}, ""),
        ({"trials": 16, "parallel": 4}, ""),
        ({"trials": 3, "parallel": 2}, "the first 2 of 3 trials of a round"),
        ({"trials": 2, "parallel": 4}, "all 2 trials of a round"),
    ],
)
def test_only_a_parallel_that_was_chosen_and_is_large_is_warned_about(
    round_: dict[str, int], warned: str, make_study: Make, capsys: Capture
) -> None:
    file = make_study(round={"sampler": "tpe", "parallel": 77, **round_})
    file.write_text(file.read_text().replace("parallel = 77\n", ""))
    hpo("run", file, "--inline")
    lines = [line for line in capsys.readouterr().out.splitlines() if "] parallel" in line]
    assert len(lines) == bool(warned)
    assert warned in "".join(lines)


def test_one_is_not_plural(make_study: Make, folder: Path, capsys: Capture) -> None:
    file = make_study(rounds=1, round={"trials": 1, "parallel": 1}, fixed={"epochs": 1})
    for command in (
        ["check", file], ["run", file, "--inline"], ["run", file, "--inline"], ["list"],
        ["confirm", file, "--inline", "--top", 1, "--repeats", 1], ["narrow", file],
        ["show", file], ["export", file, "trials.csv"],
    ):
        hpo(*command)
    output = capsys.readouterr().out
    assert re.findall(r"\b1 \w+s\b", output.replace("1 repeats", "")) == []
    for text in (
        "1 round of 1 trial (random)", "round 1: 1 trial\n", "round 1: 1 of 1 trial, best",
        "toy has 1 round already: nothing to run", "toy: 1 round, 1 trial, best accuracy",
        "confirmation: 1 repeat of the best trial\n", "confirmation: 1 of 1 repeat\n",
        "only 1 trial has a result; at least 10 are needed", "trials.csv: 1 trial\n",
    ):
        assert text in output, text


def test_a_loss_of_a_millionth_is_seen(
    folder: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "tiny.py").write_text(TINY)
    (folder / "tiny.toml").write_text(
        'objective = "tiny:train"\nmetric = "training_loss"\ndirection = "minimize"\n'
        "[search_space]\nrate = { low = 1e-3, high = 1.0, log = true }\n"
        '[round]\ntrials = 12\nsampler = "random"\n'
    )
    hpo("run", "tiny.toml", "--inline")
    hpo("confirm", "tiny.toml", "--inline", "--top", 3)
    capsys.readouterr()
    hpo("show", "tiny", "--json")
    best = json.loads(capsys.readouterr().out)["best"]["value"]
    assert 1e-6 < best < 2e-6
    hpo("list")
    assert f"best training_loss {wording.number(best)}" in capsys.readouterr().out
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    for command in (
        ["run", "tiny.toml", "--inline"], ["show", "tiny"], ["narrow", "tiny.toml"],
        ["confirm", "tiny.toml", "--inline", "--top", "3"],
    ):
        hpo(*command)
        piped = capsys.readouterr().out
        narrow = Terminal()
        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(sys, "stdout", narrow)
            hpo(*command)
        for output in (piped, narrow.getvalue()):
            assert "0.0000" not in output
            assert "…" not in output
            assert command[0] == "narrow" or re.search(r"1\.\d{3}e-06", output)
    client = client_of(f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name("tiny").experiment_id
    (run,) = client.search_runs([experiment], "tags.kind = 'confirmation'")
    note = run.data.tags["mlflow.note.content"]
    assert wording.number(best) in note
    assert "0.0000" not in note


def test_a_study_whose_budget_is_used_says_so(make_study: Make, capsys: Capture) -> None:
    file = make_study(rounds=3, budget={"target": 0.1234567})
    hpo("run", file, "--inline")
    assert "the target 0.1234567 is reached: the study ends" in capsys.readouterr().out
    hpo("run", file, "--inline")
    output = capsys.readouterr().out
    assert "toy: the target 0.1234567 is reached: nothing to run" in output
    assert "one more round" not in output
    hpo("run", make_study("hour", budget={"hours": 1e-6}), "--inline")
    assert "its budget of 1e-06 hours is over: the study ends" in capsys.readouterr().out
