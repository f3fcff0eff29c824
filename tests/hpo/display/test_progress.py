"""What a person sees: no number is cut in a narrow terminal, and no sentence contradicts one."""

import io
import itertools
import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hpo import study, wording
from hpo.display import console, progress
from hpo.display.progress import Counting, Display, Retraining
from hpo.distributions import FloatDistribution
from hpo.moves import Decision, Move
from hpo.record.values import Round
from hpo.search_space import SearchSpace
from hpo.trial import State
from tests.fixtures import client_of, hpo, round_settings
from tests.hpo.display.shown import Terminal, trials


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
        display.workers_started(lambda: 2)
        display.waiting("opening it")
        display.round_started(begun(space), 14)
        for result in trials(2)[:9]:
            display.trial_started(result.trial)
        display._progress.refresh()
        assert ("2 running, 7 waiting" in output.getvalue()) == (width >= 40)
        often = [s for s in State if s not in (State.INFEASIBLE, State.STOPPED)]
        for state, result in zip(itertools.cycle(often), trials(2)[:7], strict=False):
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
    with Counting("copying", "run", output) as counting:
        counting.show(3, 1000)
        counting._progress.refresh()
    assert "…" not in output.getvalue()
    assert "   3/1000" in output.getvalue()


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


def test_a_pipe_gets_plain_lines_in_which_nothing_is_markup(
    make_study: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PLAIN_SECONDS", 1000.0)
    old, new = FloatDistribution(0.0, 1.0), FloatDistribution(0.25, 0.75)
    space = {"[b]rate": new, "decay": old, "free": old}
    decisions = [
        Decision(Move("[b]rate", old, new, "narrowed", 0.5, "[i]fit", 0.1), new),
        Decision(Move("decay", old, new, "narrowed", 0.5, "fit", 0.1), old, "kept"),
    ]
    display = Display(study.read(make_study(direction="minimize")), output := io.StringIO())
    with display:
        display.waiting("[b]opening")
        display.note("[b]said :smile:")
        display.round_started(replace(begun(space), number=2, decisions=decisions), 1)
        first, second, third = trials(2)[:3]
        display.trial_ended(first)  # that of an earlier service: nothing is new
        display.trial_started(second.trial)
        display.trial_ended(replace(second, state=State.FAILED, value=None))
        display.confirmation_started(3, 6)
        display.confirmation_started(1, 2)
        display.trial_started(third.trial)
        display.trial_ended(replace(third, trial=replace(third.trial, repeat=1)))
        display._shown -= 1001.0
        display.trial_ended(replace(third, trial=replace(third.trial, repeat=2)))
    lines = re.sub(r"0\.\d+ s\b", "0 s", output.getvalue()).splitlines()
    assert lines == [
        "[b]said :smile:",
        "round 2: 1 trial",
        "  [b]rate: 0.25 to 0.75 (narrowed: [i]fit)",
        "  decay: 0 to 1 (kept)",
        "  free: 0 to 1",
        "round 2: 2 of 2 trials, 1 failed, best 1.247e-07 (trial 101), 0 s",
        "confirmation: 6 repeats of the best 3 trials",
        "confirmation: 2 repeats of the best trial",
        "confirmation: 2 of 2 repeats, 1 running, 0 s",
    ]


def test_a_terminal_shows_what_is_waited_for_and_is_left_as_it_was(
    make_study: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    output = Terminal()
    with Display(study.read(make_study()), output) as display:
        display.waiting("opening [b]it[/b]")
        display._progress.refresh()
        print("as it is")
    assert "opening [b]it[/b]" in output.getvalue()
    assert "as it is" not in output.getvalue()
    assert output.getvalue().endswith("\n\x1b[?25h\r\x1b[1A\x1b[2K")  # the bar is gone


def test_training_once_more_is_shown_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PLAIN_SECONDS", 1000.0)
    trial, output = trials(2)[0].trial, io.StringIO()
    with Retraining(output) as listener:
        listener.note("[b]said")
        listener.trained(trial, 1, 100)
        listener._shown -= 1001.0
        listener.trained(trial, 2, 100)
        listener.trained(trial, 3, 100)
    assert output.getvalue() == "[b]said\ntraining trial 101 of round 1: 2 of 100 epochs\n"
    monkeypatch.setenv("TERM", "xterm")
    for width, named in ((80, "training trial 101 of round 1"), (40, "trial 101 ")):
        monkeypatch.setenv("COLUMNS", str(width))
        with Retraining(terminal := Terminal()) as listener:
            listener._shown -= 1001.0
            listener.trained(trial, 2, 100)
            listener._progress.refresh()
        assert named in terminal.getvalue()
        assert "training trial 101 of round 1: 2" not in terminal.getvalue()


def test_what_is_counted_is_shown_now_and_then() -> None:
    with Counting("copying", "run", output := io.StringIO()) as counting:
        counting.show(1, 302)
        counting._shown -= progress.PLAIN_SECONDS
        counting.show(2, 302)
        counting.show(302, 302)
    assert output.getvalue() == "copying: 2 of 302 runs\n"


def test_a_pipe_has_no_width_and_a_terminal_gets_no_colors_but_ours(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    console.open_console(pipe := io.StringIO()).print("long " * 30_000)
    assert pipe.getvalue() == "long " * 30_000 + "\n"
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "20")
    console.open_console(terminal := Terminal()).print("12 :smile: 'x' " * 2)
    assert terminal.getvalue() == "12 :smile: 'x' 12 \n:smile: 'x' \n"
    assert [console.shown(v) for v in (0.123456, 1_000_000, "a\n b\x1b[2J", (1, 2))] == [
        "0.1235", "1000000", "a b\\x1b[2J", "(1, 2)"
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "less than 1 s"), (1.2, "about 1 s"), (99, "about 99 s"), (101, "about 2 min"),
     (5400, "about 90 min"), (9000, "about 2.5 h")],
)
def test_durations(seconds: float, text: str) -> None:
    assert console.duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.04 s"), (1.2, "1 s"), (59.6, "1 min 0 s"), (70, "1 min 10 s"),
     (3599, "59 min 59 s"), (7500, "2 h 5 min")],
)
def test_how_long_something_took(seconds: float, text: str) -> None:
    assert console.took(seconds) == text


@pytest.mark.parametrize("terminal", [True, False])
def test_a_line_stays_of_each_round_that_ended(
    terminal: bool, make_study: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    parsed = study.read(make_study(direction="minimize"))
    output = Terminal() if terminal else io.StringIO()
    with Display(parsed, output) as display:
        display.round_started(begun({}), 4)
        results = trials(1)[:4]
        states = (State.COMPLETE, State.PRUNED, State.FAILED, State.COMPLETE)
        for result, state in zip(results, states, strict=True):
            display.trial_started(result.trial)
            if result is results[-1]:
                display._started -= 70.0
            display.trial_ended(replace(result, state=state))
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output.getvalue())
    (line,) = re.findall(r"round 1: 4 of 4 trials, .*", shown)
    assert re.fullmatch(
        r"round 1: 4 of 4 trials, 1 pruned, 1 failed, best \S+ \(trial \d+\), 1 min 1\d s\s*", line
    )


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
    assert re.findall(r"\b1 (?!has\b)\w+s\b", output.replace("1 repeats", "")) == []
    for text in (
        "1 round of 1 trial (random)", "round 1: 1 trial\n", "round 1: 1 of 1 trial, best",
        "toy: 1 round is done, nothing to run",
        "confirmation: 1 repeat of the best trial\n", "confirmation: 1 of 1 repeat, ",
        "only 1 trial has a result; at least 10 are needed",
        "wrote trials.csv: 1 trial; add --repeats to include 1 repeat\n",
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
    assert f"  {wording.four_digits(best)}  minimize training_loss" in capsys.readouterr().out
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
    assert "toy: the target 0.1234567 is reached, nothing to run" in output
    assert "run another round" not in output
    hpo("run", make_study("hour", budget={"hours": 1e-6}), "--inline")
    assert "the budget of 1e-06 hours is used up: the study ends" in capsys.readouterr().out
