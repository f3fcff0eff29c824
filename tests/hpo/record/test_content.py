"""Whatever a study, a trial or a program says survives a record of either kind, or is refused."""

import contextlib
import json
import math
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from hpo.data.loading import Description
from hpo.distributions import (
    CategoricalDistribution,
    Distribution,
    FloatDistribution,
    IntegerDistribution,
    from_table,
    to_table,
)
from hpo.errors import RecordRefused, RecordUnavailable
from hpo.moves import Decision, Move
from hpo.record.delivery import Delivery
from hpo.record.outbox import Outbox
from hpo.record.tracking import Tracking
from hpo.record.values import Recorded, Round, RoundStart, Shown
from hpo.search.pruning import MedianPruner, Pruner, SuccessiveHalvingPruner
from hpo.search_space import SearchSpace
from hpo.study import StudyFile
from hpo.study_values import hyperparameter_fault, text_fault_of
from hpo.text import clean, name_fault
from hpo.trial import MESSAGE_CHARACTERS, State, Trial, TrialResult
from tests import postgres
from tests.fixtures import round_settings
from tests.fuzzing import examples
from tests.ports import free_ports, listens

DATA = Description(
    source="digits", task="classification", target=None, scale="range", rows={"training": 5},
    shape=(64,), features=(), classes={}, digest="0123456789abcdef",
)
NUMBERS = count(1)
# Of a real database each example takes a tenth of a second: to make one smaller takes minutes.
REAL = settings(deadline=None, derandomize=True, phases=[Phase.generate])


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def record(request: pytest.FixtureRequest, empty_database: Path) -> Iterator[Tracking]:
    """Make a record of each kind; each test begins a study of its own in it."""
    folder = Path(tempfile.mkdtemp(prefix="hpo", dir="/tmp"))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        if request.param == "sqlite":
            shutil.copy(empty_database, folder / "mlflow.db")
            yield Tracking(f"sqlite:///{folder / 'mlflow.db'}")
            return
        if postgres.INITDB is None:
            pytest.skip("PostgreSQL is not installed")
        (port,) = free_ports(1)
        user = postgres.prepare(folder, "secret")
        server = subprocess.Popen(
            postgres.command(folder, port), user=user, cwd="/",
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        stack.callback(server.wait)
        stack.callback(server.send_signal, signal.SIGINT)  # it does not wait for connections
        end = time.monotonic() + 60
        while not listens(port):
            assert time.monotonic() < end
            time.sleep(0.1)
        yield Tracking(f"postgresql+psycopg://mlflow:secret@127.0.0.1:{port}/postgres")


def begin(
    record: Tracking, study: str, space: SearchSpace, metric: str = "loss", **changes: Any
) -> Round:
    """Begin a study and its first round."""
    record.study(study).create("a study", {"objective": "a:b"}, Shown((), metric, "minimize"))
    arguments: dict[str, Any] = {
        "decisions": [], "params": {}, "data": DATA, "files": {},
        "settings": round_settings(metric=metric, search_space=space), **changes,
    }
    return record.study(study).start_round(RoundStart(1, space, **arguments))


def read(record: Tracking, study: str) -> Recorded:
    """Read a study as another process would."""
    recorded = Tracking(record.uri).study(study).read()
    assert recorded is not None
    return recorded


def result(number: int, **changes: Any) -> TrialResult:
    trial = Trial(1, number, changes.pop("hyperparameters", {"rate": 0.5}), seed=7)
    arguments: dict[str, Any] = {
        "state": State.COMPLETE, "value": 0.25, "epoch": 1, "metrics": ({"loss": 0.25},),
        "started": 1.7e9, "place": "here:1", **changes,
    }
    return TrialResult(trial, **arguments)


RATE = {"rate": FloatDistribution(0.0, 1.0)}

# text

CHARACTERS = st.characters(exclude_categories=()) | st.sampled_from(
    "\x00\x1b\x07\r\n\t\x9b\u2028\u202e\u2066\u200d\ufeff\uffff\ud800\udfff\U0001f600`|'\"\\한é"
)
TEXT = st.text(CHARACTERS, max_size=60)
LONG = st.builds(lambda text, times: (text * times)[:10_000], TEXT, st.sampled_from([1, 1, 9_999]))


def is_accepted(name: str) -> bool:
    try:
        return bool(StudyFile._recordable_name(name))
    except ValueError:
        return False


STUDY = st.text(min_size=1, max_size=12).filter(is_accepted)
CHOICE = LONG.filter(lambda text: not text_fault_of(text) and not hyperparameter_fault("x", text))
METRIC = st.text(CHARACTERS | st.sampled_from("ab_-. :/"), min_size=1, max_size=9) | LONG


@settings(REAL, max_examples=examples(8, 500))
@given(study=STUDY, choice=CHOICE, message=LONG, place=TEXT, metric=METRIC)
def test_any_text_comes_back_or_is_refused(
    record: Tracking, study: str, choice: str, message: str, place: str, metric: str
) -> None:
    study = f"{study}{next(NUMBERS)}"
    begin(record, study, {"prompt": CategoricalDistribution((choice, choice + "x"))})
    written = result(
        1, hyperparameters={"prompt": choice}, message=message, place=place,
        metrics=({"loss": 0.25, **({} if name_fault(metric) else {metric: 0.5})},),
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        with contextlib.closing(Outbox(Path(folder) / "outbox")) as outbox:
            outbox.add(written)
        with contextlib.closing(Outbox(Path(folder) / "outbox")) as outbox:
            assert outbox.damage == ""
            (waited,) = outbox.waiting()
    record.study(study).deliver("loss", waited, again=True)
    with contextlib.suppress(RecordRefused):
        bad = result(2, hyperparameters={"prompt": message}, metrics=({"loss": 1.0, metric: 2.0},))
        record.study(study).deliver("loss", bad, again=True)
    recorded = read(record, study)
    assert recorded.rounds[0].search_space["prompt"].contains(choice)
    (first,) = [r for r in recorded.results if r.trial.number == 1]
    assert first.trial == written.trial
    assert (first.place, first.message) == (clean(place), clean(message)[-MESSAGE_CHARACTERS:])
    assert first.metrics[-1] == written.metrics[-1]


@settings(REAL, max_examples=examples(6, 300))
@given(values=st.lists(st.floats(), min_size=1, max_size=6))
def test_any_number_comes_back(record: Tracking, values: list[float]) -> None:
    study = f"numbers {next(NUMBERS)}"
    begin(record, study, RATE)
    finite = [v for v in values if math.isfinite(v)]
    state = State.COMPLETE if len(finite) == len(values) else State.DIVERGED
    written = result(
        1, state=state, metrics=[{"loss": v} for v in values],
        value=values[-1] if state is State.COMPLETE else None,
        epoch=len(values) if state is State.COMPLETE else None,
    )  # fmt: skip
    record.study(study).deliver("loss", written, again=False)
    (found,) = read(record, study).results
    assert repr((found.value, found.epoch)) == repr((written.value, written.epoch))
    assert repr(found.curve("loss")) == repr(values)


# ranges, settings and proposals

FINITE = st.floats(allow_nan=False, allow_infinity=False)
WHOLE = st.integers(-(2**53), 2**53)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.booleans() | WHOLE | FINITE | st.just(math.inf) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3).map(tuple),
    max_leaves=5,
)


@st.composite
def ranges(draw: st.DrawFn) -> Distribution:
    """Draw any range that a study file can hold."""
    log = draw(st.booleans())
    if draw(st.booleans()):
        numbers = WHOLE.filter(lambda n: n > 0) if log else WHOLE
        edges = sorted(draw(st.sets(numbers, min_size=4, max_size=4)))
        step = 1 if log else draw(st.integers(1, 9))
        limits = draw(st.sampled_from([None, (edges[0], edges[3])]))
        return IntegerDistribution(edges[1], edges[2], log, step, limits)
    floats = FINITE.filter(lambda x: x > 0) if log else FINITE
    low, start, end, high = sorted(draw(st.sets(floats, min_size=4, max_size=4)))
    some_step = None if log else draw(st.none() | st.floats(1e-9, 1e9))
    return FloatDistribution(
        start, end, log, some_step, draw(st.sampled_from([None, (low, high)]))
    )


CHOICES = st.lists(VALUES, min_size=1, max_size=5).map(tuple).map(CategoricalDistribution)
DISTRIBUTIONS = ranges() | CHOICES


@given(DISTRIBUTIONS)
def test_a_range_survives_json_as_it_was(distribution: Distribution) -> None:
    again = from_table(json.loads(json.dumps(to_table(distribution))))
    assert again == distribution
    assert repr(again) == repr(distribution)  # 1, 1.0 and true are equal, and not the same


MOVES = st.builds(
    Move, name=st.just("x0"), old=DISTRIBUTIONS, new=DISTRIBUTIONS,
    kind=st.sampled_from(["narrowed", "widened", "moved", "kept"]), factor=FINITE,
    reason=st.text(max_size=20), p_value=st.floats(0, 1) | st.just(math.nan),
)  # fmt: skip


@settings(REAL, max_examples=examples(8, 400))
@given(
    spaces=st.lists(DISTRIBUTIONS, min_size=1, max_size=4), moves=st.lists(MOVES, max_size=3),
    fixed=st.dictionaries(st.sampled_from("abc"), VALUES), many=st.sampled_from([1, 1, 30]),
    pruner=st.sampled_from([None, MedianPruner(2, 3), SuccessiveHalvingPruner(5)]),
)  # fmt: skip
def test_a_round_survives_the_record_as_it_was(
    record: Tracking, spaces: list[Distribution], moves: list[Move], fixed: dict[str, Any],
    many: int, pruner: Pruner | None,
) -> None:
    study = f"round {next(NUMBERS)}"
    space = {f"x{i}": d for i, d in enumerate(spaces * many)}
    given_settings = round_settings(
        fixed=fixed, search_space=space, seed=2**70, sampler="tpe", pruner=pruner,
        start=(fixed,), environment={"python": "3.11"},
    )
    decisions = [Decision(move, move.old, "overridden by --range") for move in moves]
    begun = begin(record, study, space, settings=given_settings, decisions=decisions)
    (found,) = read(record, study).rounds
    assert repr(found.search_space) == repr(space)
    assert repr(found.settings) == repr(given_settings)
    assert repr(found.decisions) == repr(tuple(decisions))
    assert repr(found) == repr(begun)  # as the next process has it


def test_a_round_with_many_long_choices_is_read_back(record: Tracking) -> None:
    study = f"long {next(NUMBERS)}"
    texts = tuple(f"{i} " + "Answer with care, 한국어로. " * 150 for i in range(5))
    space = {f"hyperparameter_{i}_{'x' * 200}": CategoricalDistribution(texts) for i in range(120)}
    fixed = {"prompt": "Be brief. " * 500}
    fixed_too = round_settings(fixed=fixed, search_space=space)
    begin(record, study, space, settings=fixed_too, params=fixed)
    point = dict.fromkeys(space, texts[0])
    record.study(study).deliver("loss", result(1, hyperparameters=point), again=False)
    recorded = read(record, study)
    assert recorded.rounds[0].search_space == space
    assert recorded.rounds[0].settings.fixed == fixed
    assert recorded.results[0].trial.hyperparameters == point
    run = record._connection.client.get_run(recorded.rounds[0].run_id)
    assert "`hpo show` and the params have all of them" in run.data.tags["mlflow.note.content"]
    assert run.data.params[f"{next(iter(space))}.choices"].endswith("…")


# what is refused all the same


def test_what_is_refused_for_its_content_is_set_aside_and_the_rest_delivered(
    record: Tracking, tmp_path: Path
) -> None:
    study = f"refused {next(NUMBERS)}"
    begin(record, study, RATE)
    bad = [
        {"metrics": ({"loss": 0.25, "MAP@5": 0.5},)},
        {"metrics": ({"loss": 0.25, "x" * 300: 0.5},)},
        {"metrics": ({"loss": 0.25, "../../x": 0.5},)},
        {"metrics": ({"loss": 0.25, "\ud800": 0.5},)},
        {"metrics": ({"accuracy": 0.25},)},
        {"hyperparameters": {"rate": 0.5, "prompt": "\ud800"}},
        {"hyperparameters": {"rate": 0.5, "a@b": 1}},
        {"hyperparameters": {}},
    ]
    notes: list[str] = []
    with contextlib.closing(Outbox(tmp_path / "o.jsonl")) as outbox:
        delivery = Delivery(outbox, record.study(study), "loss", notes.append)
        delivery.start()
        for number, changes in enumerate(bad, start=1):
            delivery.add(result(2 * number - 1, **changes))
            delivery.add(result(2 * number))
        assert delivery.finish(60)
        delivery.close()
        assert outbox.waiting() == []
    refused = (tmp_path / "o.refused.jsonl").read_text().splitlines()
    assert [json.loads(line)["result"]["trial"]["number"] for line in refused] == [
        2 * number - 1 for number in range(1, len(bad) + 1)
    ]
    assert len(notes) == len(bad)
    assert all("rejected a result" in note for note in notes)
    recorded = read(record, study)
    assert [r.trial.number for r in recorded.results] == [2 * n for n in range(1, len(bad) + 1)]
    assert recorded.attempts == {}  # nor is half of one left


def test_what_fails_again_and_again_while_other_writes_do_not_is_refused(record: Tracking) -> None:
    study = f"strange {next(NUMBERS)}"
    begin(record, study, RATE)
    own = Tracking(record.uri)
    own.study(study).read()
    own._connection.client.log_batch = lambda *_, **__: 1 / 0
    for _ in range(4):
        with pytest.raises(RecordUnavailable, match="division by zero"):
            own.study(study).deliver("loss", result(1), again=True)
    with pytest.raises(RecordRefused, match="division by zero"):
        own.study(study).deliver("loss", result(1), again=True)
    assert read(record, study).attempts == {}
    set_tag = own._connection.client.set_tag
    for tries in range(12):  # it takes no other write either: it is away, and back now and then
        back = tries % 4 == 3
        own._connection.client.set_tag = set_tag if back else own._connection.client.log_batch
        with pytest.raises(RecordUnavailable):
            own.study(study).deliver("loss", result(2), again=True)
