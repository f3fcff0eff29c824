"""What commands work with: a study on record, and where trials run, its data and its workers."""

import atexit
import contextlib
import difflib
import os
import shlex
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from hpo import wording
from hpo.cli.places import checkpoints_of, outbox_path
from hpo.errors import INTERRUPTED, HPOError, InputError
from hpo.passwords import without_password
from hpo.record.file import absolute, path_of

# What takes long to import is imported where it is used: `hpo --help` is instant.
if TYPE_CHECKING:
    from hpo.checkpoints.trials import Checkpoints
    from hpo.cli.progress import Display
    from hpo.data.folds import Held
    from hpo.data.loading import Description, Split
    from hpo.moves import Move
    from hpo.record.interface import Record
    from hpo.record.outbox import Outbox
    from hpo.record.process import RecordProcess
    from hpo.record.tracking import Tracking
    from hpo.record.values import Recorded
    from hpo.service.following import Following
    from hpo.service.rounds import Rounds
    from hpo.study import Study
    from hpo.trial import Progress
    from hpo.workers.attempt import Job, Stops, Workers


PAGE = "report.html"  # among the files of a round's run


@dataclass(frozen=True)
class Placement:
    """Where trials run: in this process, on a Ray that is there, or on one with so many CPUs."""

    inline: bool = False
    ray_address: str | None = None
    workers: int | None = None


@dataclass(frozen=True)
class Session:
    """What a command that trains works with: a study on record, and the service that runs it.

    `whole` is the record of all studies, `recorded` what it knows of this one.
    """

    whole: "Tracking | RecordProcess"
    record: "Record"
    recorded: "Recorded | None"
    rounds: "Rounds"
    following: "Following"
    display: "Display"
    data: "Description | None" = None


@contextlib.contextmanager
def open_session(
    study: "Study", tracking_uri: str, placement: Placement, file: TextIO
) -> Iterator[Session]:
    """Open what a command that trains works with; close it in the end, however that comes."""
    from hpo.cli.progress import Display
    from hpo.record.delivery import Delivery
    from hpo.record.outbox import Outbox
    from hpo.service.comparability import file_digests
    from hpo.service.following import Following
    from hpo.service.retention import Retention
    from hpo.service.rounds import Rounds
    from hpo.service.running import PATIENCE_SECONDS, Running

    uri = absolute(tracking_uri)
    path = outbox_path(uri, study.name)
    first_time = not path.exists()
    stop_on_termination()
    with (
        closing(Outbox(path)) as outbox,
        Display(study, file) as display,
        ThreadPoolExecutor(1) as beside,
        ExitStack() as at_the_end,
    ):
        if outbox.damage:
            display.note(outbox.damage)
        display.waiting("opening the record")
        whole = _open_record(uri, outbox, placement.inline, at_the_end)
        record = whole.study(study.name)
        opening = beside.submit(record.read)  # MLflow takes a while to import
        if study.data_files:
            display.waiting("reading the files of [data]")
            file_digests(study)
        split = load_data(study)
        for note in split.description.notes if split is not None else ():
            display.note(note)
        checkpoints = checkpoints_of(study, split, path, placement.ray_address is not None)
        ready: list[Workers] = []

        def close_idle() -> None:
            while ready:
                ready.pop().close()

        def start_workers(repeat: int = 0) -> "Workers":
            if ready and not repeat:
                return ready.pop()
            close_idle()  # of two Rays in one process the second would be refused
            display.waiting("starting workers")
            held = load_data(study, repeat) if repeat else split
            data = (held.folds or held.data) if held is not None else None
            started = _start_workers(
                study, data, placement, lambda told: delivery.show(told),
                lambda trial: delivery.stop_asked(trial), checkpoints,
            )
            display.workers_started(lambda: started.slots)
            return started

        # A study that is new has something to run, and Ray takes a while to start, too.
        if first_time and not placement.inline:
            ready.append(start_workers())
            at_the_end.callback(close_idle)
        try:
            recorded = opening.result()
            if checkpoints is not None and recorded is not None:
                retention = Retention(checkpoints, study.direction)
                retention.know((*recorded.results, *recorded.extensions))
                retention.forget_others([trial for trial, _ in recorded.ended_attempts()])
            others = take_up(outbox, recorded)
            if others:
                display.note(f"{others} results on disk belong to an earlier round of the same "
                             f"number with other settings: set aside beside {outbox.path}")
            delivery = Delivery(outbox, record, study.metric, display.note)
            at_the_end.callback(_release, record)
            at_the_end.callback(delivery.close)
            delivery.start()
            if outbox.waiting():
                waiting = wording.count(len(outbox.waiting()), "result")
                display.note(f"delivering {waiting} that waited on disk")
                delivery.finish(PATIENCE_SECONDS)
                recorded = record.read()
            if delivery.held:
                display.note(
                    f"{len(delivery.held)} results wait in {outbox.path} for a round that the "
                    "record does not have: it is not the record they were written to; "
                    "where the same trial comes up again, its result counts"
                )
            description = split.description if split is not None else None
            running = Running(study, record, delivery, description, start_workers, display)
            rounds = Rounds(running, lambda *known: illustrate(record, *known))
            yield Session(
                whole, record, recorded, rounds, Following(running), display, description
            )
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))  # twice: at once
            display.note(f"stopped; what is finished is kept. Go on with: {_command_line()}")
            raise


def existing_record(tracking_uri: str) -> "Tracking":
    """Return the record; raise InputError where there is none yet."""
    from hpo.record.tracking import Tracking

    uri = absolute(tracking_uri)
    require_file(uri)
    record = Tracking(uri)
    atexit.register(record.close)
    return record


def read_recorded(study: str, tracking_uri: str) -> "tuple[str, Recorded]":
    """Return the name of a study, given as that or as its file, and its record."""
    record, name = existing_record(tracking_uri), study_name(study)
    return name, find(record, name)


def find(record: "Tracking | RecordProcess", name: str) -> "Recorded":
    """Return what is on record of a study; raise InputError where that is nothing."""
    recorded = record.study(name).read()
    if recorded is None:
        raise unknown(record, name)
    return recorded


def unknown(record: "Tracking | RecordProcess", name: str) -> InputError:
    """Return the error of a study that is not on record: it names the nearest one, or all."""
    known = [known for known, _ in record.studies()]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known) or 'none yet'}"
    return InputError(f"no study {name!r} on record; {hint}")


def read_study_file(study: str, command: str, overrides: Sequence[str]) -> "Study":
    """Read a study file; raise InputError where a name was given."""
    from hpo.study import read

    if not study.endswith(".toml"):
        raise InputError(
            f"{study}: {command} needs the study file (.toml), which says what the data is and "
            "how it is split"
        )
    return read(Path(study), overrides)


def study_name(study: str) -> str:
    """Return the name of a study, given as that or as its file."""
    if not study.endswith(".toml"):
        return study
    from hpo.study import read

    return read(Path(study)).name


def load_data(study: "Study", repeat: int = 0) -> "Split | None":
    """Return the split data of a study, or another split of them for a repeat; None without [data].

    Raises InputError where the objective does not yield the study's metric for such data.
    """
    if study.data is None:
        return None
    from hpo.data.loading import load

    folder = study.path.absolute().parent
    try:
        split = load(
            study.data, seed=study.seed, folder=folder, repeat=repeat,
            folds=study.trial.folds or 0,
        )
    except InputError as error:
        raise InputError(f"{study.path}: {error}") from error
    yielded = (study.objective.metrics or {}).get(split.data.task)
    if yielded is not None and study.metric not in yielded:
        raise InputError(
            f"{study.path}: metric: for {split.data.task}, {study.objective.name} yields no "
            f"{study.metric!r}, but {', '.join(yielded)}; name one of them"
        )
    return split


def draw(record: "Record", recorded: "Recorded", folder: Path) -> list[Path]:
    """Write all figures of the rounds of `recorded` to a folder; return the files."""
    from hpo.report import figures
    from hpo.service import proposals

    last = recorded.rounds[-1]
    known = [r for r in recorded.results if r.trial.round <= last.number]
    moves = proposals.moves_after(replace(recorded, results=known))
    return figures.write(recorded, moves, record.history, folder)


def illustrate(record: "Record", recorded: "Recorded", moves: "Sequence[Move]") -> None:
    """Add the page and all figures, as of now, to the run of the last round."""
    from hpo.report import figures

    keep_page(record, recorded, moves)
    with figures_of(record, recorded.rounds[-1].run_id) as folder:
        figures.write(recorded, moves, record.history, folder)


def keep_page(record: "Record", recorded: "Recorded", moves: "Sequence[Move]") -> None:
    """Add the page of a study, as of now, to the run of the last round."""
    from hpo.report.page import write
    from hpo.report.page_data import page_data

    with tempfile.TemporaryDirectory() as folder:
        write(page_data(recorded, moves), Path(folder) / PAGE)
        record.add_files(recorded.rounds[-1].run_id, Path(folder))


def renew_page(record: "Record", note: Callable[[str], None]) -> None:
    """Write the page anew after what is no round: repeats, or an evaluation.

    What these came to is on record already, so where the page fails, a note says so.
    """
    from hpo.service.proposals import moves_after

    try:
        recorded = record.read()
        if recorded is not None and recorded.rounds:
            keep_page(record, recorded, moves_after(recorded))
    except Exception as error:
        note(f"{PAGE} is as it was before: {type(error).__name__}: {error}")


def draw_proposal(recorded: "Recorded", moves: "Sequence[Move]", folder: Path) -> Path:
    """Write the figure of the proposed ranges to a folder; return the file."""
    from hpo.report.drawing import save
    from hpo.report.proposing import proposal

    return save(proposal(recorded, moves), folder / "proposal.png")


@contextlib.contextmanager
def figures_of(record: "Record", run_id: str) -> Iterator[Path]:
    """Give a folder whose files become the figures of a run."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "figures"
        folder.mkdir()
        yield folder
        record.add_files(run_id, Path(name))


def require_file(uri: str) -> None:
    """Raise InputError where the address is that of an SQLite file that is not there."""
    path = path_of(uri)
    if path and not path.exists():
        raise InputError(
            f"there is no record at {path}; run a study first, or name it by --tracking-uri"
        )


def stop_on_termination() -> None:
    """Let SIGTERM, which cluster services send, stop the study as Ctrl-C does."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)


def _open_record(
    uri: str, outbox: "Outbox", inline: bool, at_the_end: ExitStack
) -> "Tracking | RecordProcess":
    """Return the record; but for `inline` in a process of its own, which ends at the end."""
    path = path_of(uri)
    for place in (path, path.parent) if path and path.exists() else ():
        if not os.access(place, os.W_OK):
            raise InputError(
                f"{place} cannot be written, and the record is kept there; "
                "name another place by --tracking-uri"
            )
    if inline:
        from hpo.record.tracking import Tracking

        record = Tracking(uri)
        at_the_end.callback(record.close)
        return record
    from hpo.record.process import RecordProcess

    process = RecordProcess(uri, [outbox.fileno()])
    at_the_end.callback(process.close)
    return process


def _start_workers(
    study: "Study",
    data: "Held",
    placement: Placement,
    show: "Callable[[Progress], None]",
    stops: "Stops",
    checkpoints: "Checkpoints | None" = None,
) -> "Workers":
    from hpo.resources import NotHere
    from hpo.service.job import job_of

    try:
        return _workers(study, job_of(study, checkpoints), data, placement, show, stops)
    except NotHere as error:
        raise InputError(f"{study.path}: {error}") from error


def _workers(
    study: "Study",
    job: "Job",
    data: "Held",
    placement: Placement,
    show: "Callable[[Progress], None]",
    stops: "Stops",
) -> "Workers":
    if placement.inline:
        from hpo.workers.inline import InlineWorkers

        if study.round.fresh_process:
            raise InputError(
                f"{study.path}: round.fresh_process: --inline trains all trials in this process; "
                "drop one of the two"
            )
        return InlineWorkers(job, data, show, stops)
    from hpo.workers.ray import RayWorkers

    started = RayWorkers(
        job, data, address=placement.ray_address, workers=placement.workers, stops=stops
    )
    stop_on_termination()  # once more: Ray sets a handler of its own
    return started


def take_up(outbox: "Outbox", recorded: "Recorded | None") -> int:
    """Compare the outbox with the record; return how many results belong to other rounds."""
    if recorded is None:
        return outbox.take_up((), {})
    rounds = {round_.number: round_.fingerprint for round_ in recorded.rounds}
    return outbox.take_up(recorded.ended_attempts(), rounds)


def _release(record: "Record") -> None:
    with contextlib.suppress(HPOError):
        record.release()


def _command_line() -> str:
    return shlex.join(["hpo", *map(without_password, sys.argv[1:])])
