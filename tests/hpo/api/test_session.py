"""What commands work with: the record that is named, the file of a study, its data."""

import gc
import os
import signal
import threading
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import hpo
from hpo.api import lookup, pictures, session, site
from hpo.api.places import outbox_path
from hpo.display.quiet import Quiet
from hpo.errors import HPOError, InputError, RecordUnavailable
from hpo.record.study import StudyRecord
from hpo.record.values import Recorded
from hpo.service.job import job_of
from hpo.study import read
from tests.fixtures import TOY, Make, write_study


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "toy.py").write_text(TOY.read_text())
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_record_that_is_not_there_is_named(home: Path) -> None:
    lookup.require_file("http://nowhere")
    with pytest.raises(InputError) as caught:
        lookup.require_file("sqlite:///none.db")
    assert str(caught.value) == (
        "there is no record at none.db; run a study first, or choose another record with "
        "--tracking-uri (in Python: tracking_uri); a record is in the folder where its study ran"
    )
    Path("some.db").touch()
    lookup.require_file("sqlite:///some.db")


def test_a_study_is_named_by_itself_or_by_its_file(home: Path) -> None:
    assert lookup.study_name("some study") == "some study"
    assert lookup.study_name(str(write_study(home, "mine"))) == "mine"
    with pytest.raises(InputError) as caught:
        lookup.read_study_file("toy", "confirm", ())
    assert str(caught.value) == (
        "toy: confirm needs the study file (.toml), not the name, because the file defines the "
        "data and how it is split"
    )
    file = str(write_study(home))
    assert lookup.read_study_file(file, "confirm", ("round.trials=3",)).round.trials == 3


@pytest.mark.parametrize(("known", "listed"), [([], "none yet"), (["a", "b"], "a, b")])
def test_a_study_that_is_not_on_record_is_said_with_those_that_are(
    known: list[str], listed: str
) -> None:
    record: Any = SimpleNamespace(
        study=lambda name: SimpleNamespace(read=lambda: None),
        studies=lambda: [(name, "1") for name in known],
    )
    with pytest.raises(InputError) as caught:
        lookup.find(record, "x")
    assert str(caught.value) == f"no study named 'x' is recorded; studies: {listed}"


def test_a_study_that_is_misspelled_is_told_its_name() -> None:
    record: Any = SimpleNamespace(studies=lambda: [("digits", {}), ("shop", {})])
    assert str(lookup.unknown(record, "digts")) == (
        "no study named 'digts' is recorded; did you mean 'digits'?"
    )


def test_data_are_read_beside_the_study_file_and_fit_its_metric(home: Path) -> None:
    assert session.load_data(read(write_study(home))) is None
    study = read(write_study(home, data={"source": "none.csv"}))
    with pytest.raises(InputError, match=rf"^{study.path}: \[data\] source: 'none.csv' is not"):
        session.load_data(study)
    (home / "some.csv").write_text("x,y\n" + "1.5,a\n2.5,b\n" * 50)
    study = read(write_study(home, data={"source": "some.csv", "target": "y"}))
    first, again, other = (session.load_data(study, repeat) for repeat in (0, 0, 1))
    assert first is not None
    assert again is not None
    assert other is not None
    assert first.description == again.description != other.description
    study = study.model_copy(update={"objective": SimpleNamespace(
        name="a:b", metrics={"classification": ("accuracy_2", "loss"), "regression": ("accuracy",)}
    )})
    with pytest.raises(InputError) as caught:
        session.load_data(study)
    assert str(caught.value) == (
        f"{study.path}: metric: for classification, a:b does not report 'accuracy'; choose "
        "one of accuracy_2, loss"
    )


def test_workers_hold_the_data_and_the_service_does_not(
    folder: Path, make_study: Make, near_ray: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = folder / "some.csv"
    table.write_text("x,y\n" + "1.5,a\n2.5,b\n" * 50)
    study = read(make_study(data={"source": "some.csv", "target": "y"}))
    real, loaded = session.load_data, []

    def noting(*given: Any) -> Any:
        split = real(*given)
        assert split is not None
        loaded.append(weakref.ref(split.data))
        return split

    monkeypatch.setattr(session, "load_data", noting)
    where = site.Site(
        f"sqlite:///{folder}/mlflow.db", site.Placement(ray_address=near_ray), Quiet(), str
    )
    with session.open_session(study, where) as opened:
        for starts in (1, 2):  # the second time, they are read again
            workers = opened.running.start_workers(0)
            gc.collect()
            assert [data() for data in loaded] == [None] * starts
            workers.close()
        table.write_text("x,y\n" + "1.5,a\n2.5,b\n" * 51)
        for repeat in (0, 1):
            with pytest.raises(InputError, match=r"toy.toml: data.source: some.csv changed while"):
                opened.running.start_workers(repeat)


def test_an_outbox_has_a_name_of_its_own_for_each_record_and_study(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HPO_OUTBOX", raising=False)
    first = outbox_path("sqlite:////x/a.db", "my / study")
    assert first.parent == Path(".hpo")
    assert first.name.startswith("my-study-")
    assert first.suffix == ".jsonl"
    assert len(first.stem) == len("my-study-") + 12
    assert first == outbox_path("sqlite:////x/a.db?timeout=3", "my / study")
    others = {
        outbox_path("sqlite:////x/b.db", "my / study"),
        outbox_path("sqlite:////x/a.db", "my - study"),
        outbox_path("http://x", "my / study"),
    }
    assert len(others | {first}) == 4
    assert len(outbox_path("x", "n" * 90).stem) == 40 + 13
    monkeypatch.setenv("HPO_OUTBOX", "/elsewhere")
    assert outbox_path("x", "y").parent == Path("/elsewhere")


def test_the_outbox_is_compared_with_the_record() -> None:
    taken: list[Any] = []
    outbox: Any = SimpleNamespace(take_up=lambda *given: taken.append(given) or 3)
    assert session.take_up(outbox, None) == 3
    rounds: Any = [SimpleNamespace(number=2, fingerprint="f")]
    assert session.take_up(outbox, Recorded("1", rounds=rounds)) == 3
    assert taken == [((), {}), (set(), {2: "f"})]


def test_a_process_of_its_own_cannot_be_had_inline(home: Path) -> None:
    study = read(write_study(home, round={"fresh_process": True}))
    with pytest.raises(InputError) as caught:
        site.Placement(inline=True).start(study, job_of(study), None, print, lambda _: None)
    assert str(caught.value) == (
        f"{study.path}: round.fresh_process: cannot be combined with --inline (in Python: "
        "inline=True), which trains all trials in this process; drop one of the two"
    )


def test_a_record_that_cannot_be_written_is_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "a.db").touch()
    for denied in (home / "a.db", home):
        monkeypatch.setattr(os, "access", lambda place, mode, denied=denied: place != denied)
        with pytest.raises(InputError) as caught:
            session._open_record(f"sqlite:///{home}/a.db", None, True, None)  # type: ignore[arg-type]
        assert str(caught.value) == (
            f"{denied} is not writable, and the record is there; choose another place with "
            "--tracking-uri (in Python: tracking_uri)"
        )


def test_a_cluster_that_terminates_a_command_interrupts_it() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with site.stopping_on_termination() as set_up_once_more:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as a library might
        set_up_once_more()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_thread_of_its_own_leaves_the_signals_of_its_process_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    within: list[object] = []

    def run() -> None:
        with site.stopping_on_termination():
            within.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert within == [before]


def test_a_page_that_cannot_be_renewed_is_said_and_stops_nothing() -> None:
    def read() -> None:
        raise HPOError("the record is unavailable")

    record: Any = SimpleNamespace(read=read)
    said: list[str] = []
    pictures.renew_page(record, said.append)
    assert said == ["could not update report.html: HPOError: the record is unavailable"]
    record.read = lambda: None
    pictures.renew_page(record, said.append)
    assert len(said) == 1


def test_figures_are_kept_with_a_run() -> None:
    kept: list[Any] = []
    record: Any = SimpleNamespace(add_files=lambda run, folder: kept.append(
        (run, {str(p.relative_to(folder)) for p in folder.rglob("*")})
    ))
    with pictures.figures_of(record, "run-1") as folder:
        (folder / "a.png").touch()
    assert kept == [("run-1", {"figures", "figures/a.png"})]
    assert not folder.exists()


@pytest.mark.slow
def test_a_record_that_is_away_at_the_end_is_waited_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, reads = StudyRecord.read, [0]

    def read(record: StudyRecord) -> Recorded | None:
        found = original(record)
        if found is not None and found.rounds and found.rounds[-1].ended:
            reads[0] += 1
            if reads[0] in (2, 3):  # the first is that of the round, which waited before as well
                raise RecordUnavailable("it is restarted")
        return found

    monkeypatch.setattr(StudyRecord, "read", read)
    said = hpo.Study.read(write_study(folder)).run(placement=site.Placement(inline=True))
    assert len(said.trials()) == 12
    assert reads == [4]
