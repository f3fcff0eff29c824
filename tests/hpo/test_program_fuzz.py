"""Whatever a program prints, and however it ends, is a result, or a failure told in one line.

FUZZ=full in front of it tries many more.
"""

import json
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hpo import program_process
from hpo.output import FIRST, LAST
from hpo.program import Program
from hpo.program_process import LONGEST_LINE
from hpo.record.outbox import Outbox
from hpo.trial import State, Trial, TrialResult, check
from hpo.workers.attempt import Job, attempt_trial
from tests.fuzzing import examples

PATTERN = r"loss (?P<loss>\S+)(?: epoch (?P<epoch>\S+))?"
NUMBERS = [
    "0.5", "-0.0", "1e-320", "1e400", "-1e400", "NaN", "Infinity", "-Infinity", "1" * 400,
    "1" * 5000, "true", "null", '"0.5"', "[1]", "{}", "", "0x10", "1_0", "\u0661", "nan", "1e",
    "--1",
]  # fmt: skip
EPOCHS = [
    "0", "1", "2", "3", "-1", "1.0", "1.5", "1e300", "9" * 30, "9" * 400, "NaN", "null", '"1"',
]  # fmt: skip
NAMES = [
    '"loss"', '"accuracy"', '"a b/c"', '"a\\nb"', '"\\ud800"', '"\\u0000"', '""', f'"{"n" * 300}"',
]  # fmt: skip
ENDINGS = ["", "exit 0", "exit 1", "exit 255", "kill -9 $$", "kill -15 $$"]
SAID = re.compile(
    r"(ValueError|RuntimeError): (the program|metrics_pattern|the metric name .* of the program) "
)
ENDS = [b"\n", b"\r\n", b"\r", b"", b"\n\n", b"\x0c", b"\x00", "\u2028".encode(), b"\x1b[2K\r"]


def as_json(epoch: str, name: str, number: str, other: str) -> bytes:
    return f'{{"epoch": {epoch}, {name}: {number}, {other}: 1}}'.encode()


def as_text(epoch: str, number: str) -> bytes:
    return f"loss {number} epoch {epoch}".encode()


LINES = st.one_of(
    st.builds(as_json, st.sampled_from(EPOCHS), st.sampled_from(NAMES), st.sampled_from(NUMBERS),
              st.sampled_from(NAMES)),
    st.builds(as_text, st.sampled_from(EPOCHS), st.sampled_from(NUMBERS)),
    st.integers(1, 4).map(lambda n: b'{"epoch": %d, "loss": 0.5}' % n),
    st.integers(1, 4).map(lambda n: b"loss 0.5 epoch %d" % n),
    st.binary(max_size=60),
    st.integers(-2, 2).map(lambda n: b"x" * (LONGEST_LINE + n)),
    st.sampled_from([
        b'{"loss": 1, "x": "' + b"x" * 3_000_000 + b'"}', b'{"a":' * 100_000, b"[" * 100_000,
        json.dumps({f"metric {n}": n for n in range(5000)}).encode(),
        b"\xff\xfe\x00\xd8loss 0.5", b"\xef\xbb\xbf" + b'{"loss": 1}', b"loss " + b"9" * 100_000,
    ]),
)  # fmt: skip


@st.composite
def outputs(draw: st.DrawFn) -> list[tuple[int, bytes]]:
    """Draw pieces of output, each for one of two streams, with bytes changed here and there."""
    pieces = []
    for _ in range(draw(st.integers(0, 6))):
        text = draw(LINES) + draw(st.sampled_from(ENDS))
        if len(text) < 200 and draw(st.booleans()):
            at = draw(st.integers(0, max(len(text) - 1, 0)))
            text = text[:at] + draw(st.binary(max_size=2)) + text[at + draw(st.integers(0, 3)) :]
        pieces.append((draw(st.sampled_from([1, 1, 2])), text))
    return pieces


def run(
    folder: Path, pieces: list[tuple[int, bytes]], end: str, pattern: str | None
) -> TrialResult:
    script = []
    for number, (stream, text) in enumerate(pieces):
        (folder / f"piece-{number}").write_bytes(text)
        script.append(f"cat piece-{number} >&{stream}")
    (folder / "program.sh").write_text("\n".join([*script, end]) + "\n")
    program = Program(("sh", "program.sh"), pattern)
    job = Job(program.name, "loss", "minimize", "last", {}, (str(folder),), program=program)
    *_, last = attempt_trial(job, None, Trial(1, 1, {}, 0), 1)
    assert isinstance(last, TrialResult)
    return last


def assert_said(result: TrialResult, folder: Path) -> None:
    """See that a result is one that can be kept, and that a failure says why in its last line."""
    check(result)
    assert len(result.output) <= FIRST + LAST + 100
    if result.state is State.FAILED:
        lines = result.message.splitlines()
        assert SAID.match(lines[-1]), lines
        assert len(lines[-1]) < 1000
        assert "hpo/" not in result.message
    else:
        assert result.state in (State.COMPLETE, State.DIVERGED)
        assert (result.value is None) == (result.state is State.DIVERGED)
        assert all(epoch.keys() >= {"loss"} for epoch in result.metrics)
    file = folder / "outbox.jsonl"
    outbox = Outbox(file)
    outbox.add(result, "settings")
    outbox.close()
    again = Outbox(file)
    (waiting,) = again.waiting()
    assert repr(waiting) == repr(result)
    again.close()
    file.unlink()


@given(outputs(), st.sampled_from(ENDINGS), st.sampled_from([None, PATTERN]))
@example([], "", None)
@example([], "exit 3", PATTERN)
@example([], "head -c 100000000 /dev/zero", None)
@example([(1, b'{"loss": 0.5}\n')], "head -c 100000000 /dev/zero | tr '\\0' 'x'", None)
@example([(1, b"loss 0.5 epoch 1\n")], "yes loss 0.5 epoch 1 | head -n 20000", PATTERN)
@example([(1, b'{"a\\nb": 1, "c": 2}\n')], "", None)
@example([(1, json.dumps({f"metric {n}": n for n in range(5000)}).encode())], "", None)
@settings(
    max_examples=examples(20, 500), deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow,
                           HealthCheck.data_too_large],
)  # fmt: skip
def test_any_output_is_a_result_or_a_line(
    folder: Path, pieces: list[tuple[int, bytes]], end: str, pattern: str | None
) -> None:
    try:
        assert_said(run(folder, pieces, end, pattern), folder)
    except BaseException:
        program_process._Connection.drop()
        raise


@pytest.mark.parametrize(("end", "said"), [
    ("exit 7", "RuntimeError: the program exited with code 7"),
    ("kill -9 $$", "RuntimeError: the program was killed by SIGKILL"),
])  # fmt: skip
def test_how_it_ended_counts_more_than_what_it_told(folder: Path, end: str, said: str) -> None:
    result = run(folder, [(1, b'{"loss": 0.5}\n'), (2, b"last words")], end, None)
    assert (result.state, result.message) == (State.FAILED, f'{{"loss": 0.5}}\nlast words\n{said}')
