"""Whatever a trial yields is a metric, or the reason why it failed."""

import os
import socket
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hpo.distributions import Value
from hpo.errors import InputError
from hpo.program import Program
from hpo.resources import Demand
from hpo.trial import CutOffs, Limit, Progress, State, Trial, TrialResult
from hpo.workers import attempt, live
from hpo.workers.attempt import (
    Event,
    Job,
    NoMetric,
    attempt_trial,
    falls_behind,
    timed_out,
)
from hpo.workers.inline import InlineWorkers
from tests.hpo.workers.jobs import DATA

YIELDS = '''
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np


@dataclass(frozen=True)
class Hyperparameters:
    yielded: str = ""
    raised: str = ""


class Scalar:
    """Such as a tensor of one number."""

    def __float__(self):
        return 0.25


def yields(hyperparameters, data, *, seed):
    if hyperparameters.raised:
        print("\\x1b[32mgreen\\x1b[0m \\x1b[2J")
        raise ValueError(eval(hyperparameters.raised))
    yield eval(hyperparameters.yielded)


yields.__annotations__["hyperparameters"] = Hyperparameters
yields.metrics = ("accuracy",)
'''


def yielded(folder: Path, **hyperparameters: str) -> TrialResult:
    """Return the result of a trial that yields, or raises, what an expression gives."""
    (folder / "yields.py").write_text(YIELDS)
    job = Job("yields:yields", "accuracy", "maximize", "last", {}, (str(folder),))
    try:
        *_, last = attempt_trial(job, DATA, Trial(1, 1, hyperparameters, 0), 1)
    finally:
        sys.modules.pop("yields", None)
    assert isinstance(last, TrialResult)
    return last


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("True", 1.0), ("Scalar()", 0.25), ("np.float32(0.5)", 0.5), ("np.int64(3)", 3.0),
        ("np.array(0.5)", 0.5), ("Decimal('0.1')", 0.1), ("Fraction(1, 4)", 0.25), ("-0.0", -0.0),
        ("2**80", 2.0**80), ("5e-324", 5e-324), ("1.7976931348623157e308", sys.float_info.max),
    ],
)  # fmt: skip
def test_whatever_is_a_number_is_a_metric(folder: Path, expression: str, value: float) -> None:
    result = yielded(folder, yielded=f"{{'accuracy': {expression}}}")
    assert (result.state, repr(result.value)) == (State.COMPLETE, repr(value)), result.message
    assert type(result.metrics[0]["accuracy"]) is float


@pytest.mark.parametrize(
    ("expression", "sign"),
    [("1e400", 1), ("-10**400", -1), ("Fraction(10**400)", 1), ("Decimal('1e400')", 1)],
)  # fmt: skip
def test_a_number_too_large_for_a_float_diverges(folder: Path, expression: str, sign: int) -> None:
    result = yielded(folder, yielded=f"{{'accuracy': {expression}}}")
    assert (result.state, result.value) == (State.DIVERGED, None)
    assert result.metrics[0]["accuracy"] == sign * float("inf")


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("{'accuracy': 0.5, 'MAP@5': 0.5}", "the metric name 'MAP@5' cannot be recorded"),
        ("{'accuracy': 0.5, '../../x': 0.5}", "the metric name '../../x' cannot be recorded"),
        ("{'accuracy': 0.5, 'x' * 300: 0.5}", "it has 300 characters, but at most 240 are allowed"),
        ("{'accuracy': 0.5, chr(0xd800): 0.5}", "cannot be recorded"),
        ("{'accuracy': 0.5, 5: 0.5}", "the name of a metric must be a string, got 5"),
        ("{'accuracy': None}", "the metric 'accuracy' must be a number, got None"),
        ("{'accuracy': 1j}", "the metric 'accuracy' must be a number, got 1j"),
        ("{'accuracy': np.zeros(3)}", "must be a number, got array"),
        ("'0.5'", "expected a number or a mapping such as {'accuracy': 0.5}, got '0.5'"),
        ("{}", "the objective does not report 'accuracy'; it reports no metrics"),
    ],
)
def test_what_is_no_metric_fails_the_trial_with_the_reason(
    folder: Path, expression: str, reason: str
) -> None:
    result = yielded(folder, yielded=expression)
    assert result.state is State.FAILED
    assert reason in result.message.splitlines()[-1]


def test_a_message_holds_only_what_can_be_recorded_and_shown(folder: Path) -> None:
    result = yielded(folder, raised="'caf' + chr(0xdce9) + chr(0) + chr(0x202e) + chr(7) * 9000")
    assert result.message.isascii()
    assert len(result.message) == 3000
    assert r"\x07" in result.message
    result = yielded(folder, raised="'caf' + chr(0xdce9) + chr(0) + chr(0x202e) + '한'")
    assert result.message.splitlines()[0] == r"green \x1b[2J"
    assert result.message.endswith(r"ValueError: caf\udce9\x00\u202e한")
    lost = TrialResult(result.trial, State.FAILED, place="\x1b[2J", message="\x00" * 5000)
    assert (lost.place, len(lost.message)) == (r"\x1b[2J", 3000)


def test_of_a_trial_in_this_process_nothing_is_shown_once_it_has_ended(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(live, "TELL_SECONDS", 0.1)
    monkeypatch.setattr(live._Watch, "_only", None)  # one that looks as often as that
    (folder / "telling.py").write_text(
        "import time\ndef train(rate: float):\n    for number in range(int(rate)):\n"
        "        print(number)\n        time.sleep(0.02)\n    return rate\n"
    )
    shown: list[Progress] = []
    job = Job("telling:train", "loss", "minimize", "last", {}, (str(folder),))
    workers = InlineWorkers(job, None, shown.append)
    for number, rate in ((1, 30.0), (2, 30.0), (3, 1.0)):
        workers.submit(Trial(1, number, {"rate": rate}, 0), 1)
        before = len(shown)
        result = workers.next_event(0)
        assert isinstance(result, TrialResult)
        told, count = shown[before:], len(shown)
        assert {p.trial.number for p in told} == ({number} if rate > 1 else set())
        assert [p.output for p in told] == sorted({p.output for p in told}, key=len)
        assert all(result.output.startswith(p.output) for p in told)
        assert workers._teller is not None
        assert workers._teller(Progress(result.trial, 1, 0.0, "here", ()))  # it comes too late
        assert len(shown) == count


Attempted = Callable[..., list[Event]]


@pytest.fixture
def attempted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Attempted:
    """Return a function that attempts a trial of an objective, and returns all events."""
    monkeypatch.setattr(sys, "path", [*sys.path])

    def run(text: str, trial: Trial | None = None, **changes: Any) -> list[Event]:
        (tmp_path / "attempted.py").write_text(textwrap.dedent(text))
        job = Job("attempted:train", "loss", "minimize", **{
            "value": "last", "fixed": {}, "search_path": (str(tmp_path),), **changes})
        try:
            return list(attempt_trial(job, None, trial or Trial(1, 1, {"rate": 0.5}, 7), 3))
        finally:
            sys.modules.pop("attempted", None)

    return run


def test_a_result_says_where_and_when_it_was_trained(attempted: Attempted) -> None:
    before = time.time()
    (result,) = attempted("""
        import time
        def train(rate: float):
            print("said")
            time.sleep(0.05)
            return rate
        """)
    assert isinstance(result, TrialResult)
    assert result.place == f"{socket.gethostname()}:{os.getpid()}"
    assert before <= result.started <= time.time()
    assert 0.05 <= result.seconds <= time.time() - before
    assert (result.attempt, result.output, result.value, result.epoch) == (3, "said\n", 0.5, 1)


def test_an_objective_may_find_out_that_it_cannot_be_trained(attempted: Attempted) -> None:
    (result,) = attempted("""
        import hpo
        def train(rate: float):
            yield {"loss": 1.0}
            raise hpo.Infeasible(f"a rate of {rate} takes too much memory")
        """)
    assert isinstance(result, TrialResult)
    assert (result.state, result.value, result.epoch) == (State.INFEASIBLE, None, None)
    assert result.message == "a rate of 0.5 takes too much memory"
    assert result.metrics == ({"loss": 1.0},)


@pytest.mark.parametrize(("value", "limits", "message"), [
    ("last", {"size": Limit(at_most=3.0)}, ""),
    ("last", {"size": Limit(at_most=2.5)}, "size must be at most 2.5, got 3"),
    ("best", {"size": Limit(at_most=2.5)}, ""),  # the best loss is that of the second epoch
    ("last", {"size": Limit(at_least=3.5)}, "size must be at least 3.5, got 3"),
    ("last", {"size": Limit(1.0, 2.0)}, "size must be at least 1 and at most 2, got 3"),
    ("last", {"size": Limit(1.0, 4.0), "speed": Limit(at_least=9.0)}, "speed must be at least 9"),
])
def test_a_trial_that_passes_the_limit_of_another_metric_is_infeasible(
    attempted: Attempted, value: str, limits: dict[str, Limit], message: str
) -> None:
    (result,) = attempted("""
        def train(rate: float):
            for epoch, loss in enumerate([3.0, 1.0, 2.0], start=1):
                yield {"loss": loss, "size": float(epoch), "speed": 8.0}
        """, limits=limits, value=value)
    assert isinstance(result, TrialResult)
    assert result.state is (State.INFEASIBLE if message else State.COMPLETE)
    assert result.message.startswith(message)
    assert len(result.metrics) == 3


def test_without_the_metric_that_has_a_limit_a_trial_fails(attempted: Attempted) -> None:
    (result,) = attempted(
        "def train(rate: float):\n    return rate", limits={"size": Limit(at_most=1.0)}
    )
    assert isinstance(result, TrialResult)
    assert result.state is State.FAILED
    assert "does not report 'size'; it reports loss, but 'size' has a limit" in result.message


def test_a_program_gets_its_hyperparameters(tmp_path: Path) -> None:
    """Also where a worker, which has not read the study file, starts it."""
    (tmp_path / "told.py").write_text(
        "import json, os, sys\n"
        "print(json.dumps({'loss': float(sys.argv[1]), 'widths': len(json.loads(sys.argv[2]))}))\n"
        "assert os.environ['HPO_PARAM_RATE'] == '0.25' and 'warm' not in sys.argv[3:]\n"
    )
    command = ("python", "told.py", "{rate}", "{width}", "--warm", "{warm}")
    job = Job("told", "loss", "minimize", "last", {}, (str(tmp_path),), program=Program(command))
    values: dict[str, Value] = {"rate": 0.25, "width.1": 8, "width.2": 16, "layers": 2}
    *_, result = attempt_trial(job, None, Trial(1, 1, values, 7), 1)
    assert isinstance(result, TrialResult)
    assert (result.value, result.metrics[-1]["widths"]) == (0.25, 2), result.message


def test_a_folder_is_gone_once_its_trial_has_ended(attempted: Attempted) -> None:
    (result,) = attempted("""
        def train(rate: float, folder):
            (folder / "left").touch()
            print(folder)
            return rate
        """)
    assert isinstance(result, TrialResult)
    assert result.state is State.COMPLETE
    assert not Path(result.output.strip()).exists()


def test_progress_is_told_with_what_was_printed_since(
    attempted: Attempted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "FLUSH_SECONDS", 0.0)
    *told, result = attempted("""
        def train(rate: float):
            for epoch in range(3):
                if epoch != 1:
                    print("epoch", epoch)
                yield rate
        """, trial_timeout=60.0)
    assert isinstance(result, TrialResult)
    assert [(len(e.metrics), e.output) for e in told if isinstance(e, Progress)] == [
        (0, ""), (1, "epoch 0\n"), (2, ""), (3, "epoch 0\nepoch 2\n")
    ]
    assert {(e.attempt, e.place, e.started) for e in told if isinstance(e, Progress)} == {
        (3, result.place, result.started)
    }
    monkeypatch.setattr(attempt, "FLUSH_SECONDS", 60.0)
    assert len(attempted("def train(rate: float): return rate")) == 1


def test_an_objective_is_closed_where_its_trial_stops_early(attempted: Attempted) -> None:
    text = """
        def train(rate: float):
            try:
                yield rate
                yield {"loss": 1.0}
                yield {"loss": float("nan")}
            finally:
                print("closed")
        """
    stops = Trial(1, 1, {"rate": 0.5}, 7, CutOffs("current", (0.5, 0.9)))
    (pruned,) = attempted(text, stops)
    assert isinstance(pruned, TrialResult)
    assert (pruned.state, pruned.epochs, pruned.value) == (State.PRUNED, 2, 1.0)
    assert pruned.output == "closed\n"
    (diverged,) = attempted(text)
    assert isinstance(diverged, TrialResult)
    assert (diverged.state, diverged.value, diverged.epoch) == (State.DIVERGED, None, None)


def test_without_the_metric_it_says_what_it_yields_instead(attempted: Attempted) -> None:
    text = "def train(rate: float):\n    {}yield {{'lost': 1, 'more': 2}}\n"
    (event,) = attempted(text.format(""))
    assert isinstance(event, NoMetric)
    assert (event.metric, event.yielded) == ("loss", ("lost", "more"))
    promised = text.format("") + "train.metrics = ('loss',)"
    for other in (text.format("yield {'loss': 1}; "), promised):
        (event,) = attempted(other)  # it may be only this trial, or was promised
        assert isinstance(event, TrialResult)
        assert event.message.endswith("the objective does not report 'loss'; it reports lost, more")
    (event,) = attempted("def train(rate: float):\n    yield from ()\n")
    assert isinstance(event, TrialResult)
    assert event.message.endswith("ValueError: the objective did not report any epoch")


def test_a_message_is_the_last_lines_and_shows_no_frame_of_ours(attempted: Attempted) -> None:
    (result,) = attempted("""
        def train(rate: float):
            for line in range(40):
                print("line", line)
            raise ValueError("broken")
        """)
    assert isinstance(result, TrialResult)
    lines = result.message.splitlines()
    assert len(lines) == 15
    assert lines[-1] == "ValueError: broken"
    assert [line for line in lines if "File" in line and "attempted.py" not in line] == []
    assert "line 39" in lines
    assert result.output.count("\n") == 40


@pytest.mark.parametrize("raised", ["KeyboardInterrupt", "GeneratorExit"])
def test_an_interruption_is_no_result(attempted: Attempted, raised: str) -> None:
    text = f"def train(rate: float):\n    raise {raised}"
    if raised == "KeyboardInterrupt":
        with pytest.raises(KeyboardInterrupt):
            attempted(text)
    else:
        (result,) = attempted(text)
        assert isinstance(result, TrialResult)
        assert result.message.endswith("RuntimeError: the objective raised GeneratorExit")


def test_cut_offs_compare_the_best_or_the_current_epoch() -> None:
    job = Job("toy:x", "loss", "minimize", "last", {})
    epochs = [{"loss": 0.1}, {"loss": 0.9}]
    assert falls_behind(epochs, job, CutOffs("current", (9.0, 0.5)))
    assert not falls_behind(epochs, job, CutOffs("best", (9.0, 0.5)))
    assert falls_behind(epochs, job, CutOffs("best", (9.0, 0.05)))
    assert not falls_behind(epochs, job, CutOffs("current", (0.5,)))
    assert not falls_behind(epochs, job, CutOffs("current", (9.0, 0.9)))
    assert timed_out(2.0) == "took longer than trial_timeout = 2 s"


def test_what_this_machine_lacks_is_refused_inline_but_for_processors() -> None:
    job = Job("toy:x", "loss", "minimize", "last", {}, demand=Demand(cpus=10_000))
    InlineWorkers(job, None)
    many = Job("toy:x", "loss", "minimize", "last", {}, demand=Demand(gpus=99))
    with pytest.raises(InputError, match=r"^resources.gpus: a trial needs .* use --ray-address"):
        InlineWorkers(many, None)
