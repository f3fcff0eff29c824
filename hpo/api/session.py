"""What training needs: a recorded study, its data, its workers, and its service."""

import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpo import wording
from hpo.api.pictures import illustrate
from hpo.api.places import checkpoints_of, outbox_path
from hpo.api.site import Site, stopping_on_termination
from hpo.errors import HPOError, InputError
from hpo.record.file import absolute, path_of

# What takes long to import is imported where it is used: `hpo --help` is instant.
if TYPE_CHECKING:
    from hpo.data.folds import Held
    from hpo.data.loading import Description, Split
    from hpo.display.watching import Watching
    from hpo.record.interface import Record
    from hpo.record.outbox import Outbox
    from hpo.record.process import RecordProcess
    from hpo.record.tracking import Tracking
    from hpo.record.values import Recorded
    from hpo.service.following import Following
    from hpo.service.listening import Listener
    from hpo.service.notifying import Notifying
    from hpo.service.rounds import Rounds
    from hpo.service.running import Running
    from hpo.study import StudyFile
    from hpo.workers.attempt import Workers


@dataclass(frozen=True)
class Session:
    """What a training command needs: a recorded study, and the service that runs it.

    `whole` is the record of all studies, `recorded` what it has of this one.
    """

    whole: "Tracking | RecordProcess"
    record: "Record"
    recorded: "Recorded | None"
    running: "Running"
    rounds: "Rounds"
    following: "Following"
    display: "Watching"
    data: "Description | None" = None
    notifying: "Notifying | None" = None

    def read(self) -> "Recorded":
        """Return what is recorded so far; wait if the record cannot be reached."""
        return self.running.read()


@contextlib.contextmanager
def open_session(study: "StudyFile", site: Site) -> Iterator[Session]:
    """Open what training needs; close it at the end, however that comes."""
    from hpo.record.delivery import Delivery
    from hpo.record.outbox import Outbox
    from hpo.search.samplers import refuse_absent
    from hpo.service.comparability import file_digests
    from hpo.service.following import Following
    from hpo.service.job import job_of
    from hpo.service.listening import Listeners
    from hpo.service.notifying import Notifying
    from hpo.service.retention import Retention
    from hpo.service.rounds import Rounds
    from hpo.service.running import PATIENCE_SECONDS, Running

    refuse_absent(study.round.sampler, study.path)
    uri, placement = absolute(site.tracking_uri), site.placement
    path = outbox_path(uri, study.name)
    first_time = not path.exists()
    with (
        stopping_on_termination() as set_up_once_more,
        closing(Outbox(path)) as outbox,
        site.display as display,
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
            display.waiting("reading the files in [data]")
            file_digests(study)
        split = load_data(study)
        for note in split.description.notes if split is not None else ():
            display.note(note)
        checkpoints = checkpoints_of(study, split, path, placement.ray_address is not None)
        description = split.description if split is not None else None
        arrays: list[Held] = [] if split is None else [split.folds or split.data]
        del split  # the workers will hold the arrays, this process will not
        ready: list[Workers] = []

        def close_idle() -> None:
            while ready:
                ready.pop().close()

        def start_workers(repeat: int = 0) -> "Workers":
            if ready and not repeat:
                return ready.pop()
            close_idle()  # of two Rays in one process the second would be refused
            display.waiting("starting workers")
            whole.prepare()
            if description is not None and (repeat or not arrays):
                arrays[:] = [_loaded_again(study, repeat, description)]
            started = placement.start(
                study, job_of(study, checkpoints), arrays.pop() if arrays else None,
                lambda told: delivery.show(told), lambda trial: delivery.stop_asked(trial),
            )
            set_up_once_more()  # Ray sets a handler of its own
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
                display.note(wrong_round(others, outbox))
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
                    f"keeping {wording.count(len(delivery.held), 'result')} in {outbox.path}: "
                    "this record does not have their round, so it is not the record they were "
                    "written for; if the same trial comes up again, its result is used"
                )
            listener: Listener = display
            notifying = None
            if study.notify is not None:
                notifying = Notifying(study, display.note)
                notifying.know(recorded)
                at_the_end.callback(notifying.close)
                listener = Listeners(display, notifying)
            running = Running(study, record, delivery, description, start_workers, listener)
            rounds = Rounds(running, lambda *known: illustrate(record, *known))
            session = Session(
                whole, record, recorded, running, rounds, Following(running), display, description,
                notifying,
            )
            try:
                yield session
            except Exception as error:
                if notifying is not None:
                    kind = "" if isinstance(error, HPOError) else f"{type(error).__name__}: "
                    notifying.failed(f"{kind}{error}")
                raise
        except KeyboardInterrupt:
            display.note(f"stopped; finished trials are kept. {site.interrupted()}")
            raise


def load_data(study: "StudyFile", repeat: int = 0) -> "Split | None":
    """Return the split data of a study, or a different split for a repeat; None without [data].

    Raises InputError if the objective does not report the study's metric for such data.
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
            f"{study.path}: metric: for {split.data.task}, {study.objective.name} does not report "
            f"{study.metric!r}; choose one of {', '.join(yielded)}"
        )
    return split


def _loaded_again(study: "StudyFile", repeat: int, description: "Description") -> "Held":
    """Return the data for other workers; raise InputError if they changed in the meantime."""
    split = load_data(study)
    assert split is not None
    assert study.data is not None
    if split.description.digest != description.digest:
        raise InputError(
            f"{study.path}: data.source: {study.data.source} changed while the study ran; restore "
            "it, then run the same command to resume"
        )
    if repeat:
        split = load_data(study, repeat)
        assert split is not None
    return split.folds or split.data


def _open_record(
    uri: str, outbox: "Outbox", inline: bool, at_the_end: ExitStack
) -> "Tracking | RecordProcess":
    """Return the record; unless `inline`, in a process of its own that ends at the end."""
    path = path_of(uri)
    for place in (path, path.parent) if path and path.exists() else ():
        if not os.access(place, os.W_OK):
            raise InputError(
                f"{place} is not writable, and the record is there; choose another place with "
                "--tracking-uri (in Python: tracking_uri)"
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


def take_up(outbox: "Outbox", recorded: "Recorded | None") -> int:
    """Compare the outbox with the record; return how many results belong to other rounds."""
    if recorded is None:
        return outbox.take_up((), {})
    rounds = {round_.number: round_.fingerprint for round_ in recorded.rounds}
    return outbox.take_up(recorded.ended_attempts(), rounds)


def wrong_round(others: int, outbox: "Outbox") -> str:
    """Return what to say of results on disk that belong to other rounds."""
    return (
        f"set aside {wording.count(others, 'result')} next to {outbox.path}: they are from an "
        "earlier round of this number, which had different settings"
    )


def _release(record: "Record") -> None:
    with contextlib.suppress(HPOError):
        record.release()
