"""Workers run trials and tell what happens, event by event: one attempt at a trial, anywhere."""

import contextlib
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from hpo import forms, program, program_process, wording
from hpo.checkpoints.trials import Checkpoints
from hpo.data.folds import Held, data_of
from hpo.distributions import Value
from hpo.errors import Infeasible, NotResumed
from hpo.objective import Epochs, Given, Objective
from hpo.objective_code import Code
from hpo.output import Output
from hpo.process_state import TrialProcess
from hpo.program import Program
from hpo.resources import Demand
from hpo.text import clean, shortened
from hpo.trial import (
    MESSAGE_CHARACTERS,
    CutOffs,
    Direction,
    EpochMetrics,
    Limit,
    Lost,
    Progress,
    State,
    Trial,
    TrialId,
    TrialResult,
    is_finite,
    read_value,
    worse,
)
from hpo.workers.lengths import described, is_too_long
from hpo.workers.live import Tell, Watched, watching
from hpo.workers.trial_folder import TrialFolder

FLUSH_SECONDS = 2.0  # a trial longer than this tells its epochs while it runs
MESSAGE_LINES = 15
REASON_CHARACTERS = 500  # of why a trial is infeasible
_OURS = (__file__, forms.__file__, program.__file__, program_process.__file__)


@dataclass(frozen=True)
class Job:
    """What all trials of a study have in common: names and numbers, no live objects.

    `search_path` holds the folders, besides Python's own, where the objective's module may lie;
    trials start in the first of them. `code` is that of the process which asks for the trials:
    where a worker has imported another one, none is trained. `program` is the objective where it
    is one.
    """

    objective: str
    metric: str
    direction: Direction
    value: Literal["last", "best"]
    fixed: Mapping[str, Value]
    search_path: tuple[str, ...] = ()
    trial_timeout: float | None = None  # seconds
    fresh_process: bool = False  # for each trial
    code: Code | None = None
    program: Program | None = None
    demand: Demand = field(default_factory=Demand)
    limits: Mapping[str, Limit] = field(default_factory=dict)  # of other metrics, by name
    checkpoints: Checkpoints | None = None

    @property
    def threads(self) -> int:
        """The threads of the linear algebra libraries."""
        return self.demand.cpus

    def timeout_of(self, trial: Trial) -> float | None:
        """Return how many seconds a trial may take; one that is extended takes what it takes."""
        return None if trial.extended_to else self.trial_timeout

    @property
    def folder(self) -> str | None:
        """The folder that trials start in."""
        return self.search_path[0] if self.search_path else None


@dataclass(frozen=True)
class Stalled:
    """No trial can run now, and why; said once, until one can again."""

    reason: str


@dataclass(frozen=True)
class Remark:
    """Something to tell a person, who need not do anything now."""

    text: str


@dataclass(frozen=True)
class CodeChanged:
    """A worker at `place` has other code of the objective; `files` are those that differ."""

    trial: Trial
    files: tuple[str, ...]
    place: str


@dataclass(frozen=True)
class Kept:
    """A copy of the folder of a trial that runs, which is carried to where copies are kept."""

    trial: Trial
    attempt: int
    packed: bytes = field(repr=False)


@dataclass(frozen=True)
class NoMetric:
    """A trial failed since its objective, which declares nothing, does not yield the `metric`.

    `yielded` names what it yields instead.
    """

    result: TrialResult
    metric: str
    yielded: tuple[str, ...]


# Says why a person asked for a trial to end, or returns None.
Stops: TypeAlias = Callable[[TrialId], str | None]
Event: TypeAlias = Progress | Lost | Stalled | Remark | CodeChanged | NoMetric | TrialResult


class Workers(Protocol):
    """Runs trials somewhere; every submitted attempt ends in one TrialResult or Lost."""

    slots: int  # trials that run at the same time
    checkpoints: Checkpoints | None  # what they keep of those

    def submit(self, trial: Trial, attempt: int) -> None:
        """Take a trial; it may wait for a free slot."""
        ...

    def next_event(self, timeout: float) -> Event | None:
        """Wait for the next event, at most `timeout` seconds."""
        ...

    def close(self) -> None:
        """Stop whatever runs, by force if need be."""
        ...


def attempt_trial(
    job: Job,
    data: Held,
    trial: Trial,
    attempt: int,
    tell: Tell | None = None,
    stops: Stops | None = None,
    last: bytes | None = None,
) -> Iterator[Progress | CodeChanged | Kept | Remark | NoMetric | TrialResult]:
    """Run one trial: yield its progress every few seconds, and its result at the end.

    It goes on from the `last` copy of its folder, where copies are carried.
    What is printed inside a long epoch is told meanwhile, by another thread. Whatever goes wrong,
    even a call of sys.exit, is a failed result that says why. A worker that has other code than
    the job trains nothing and yields that.
    """
    started, clock, place = time.time(), time.perf_counter(), place_of()
    metrics: list[EpochMetrics] = []
    is_leaving = tell.is_leaving if tell is not None else _is_staying
    told = clock
    asked = stops(trial.id) if stops is not None else None
    if asked is not None:  # before it began
        yield stopped(job, trial, attempt, None, asked)
        return
    output, shown = Output(), 0
    watched = Watched(
        output, lambda text: Progress(trial, attempt, started, place, tuple(metrics), text), tell
    ) if tell is not None else None
    if job.timeout_of(trial) is not None:
        yield Progress(trial, attempt, started, place, ())  # the time counts from here
    changed: CodeChanged | None = None
    unnamed = False
    state, message = State.COMPLETE, ""
    _search(job.search_path)
    with (
        watching(watched),
        TrialProcess(job.objective, trial.seed, job.folder, job.demand) as process,
        contextlib.ExitStack() as leaving,
    ):
        try:
            with _captured(output):
                objective = _objective(job)
                folder = _folder(job, objective, trial, last)
                if folder is not None:
                    leaving.enter_context(folder)
                    folder.resume(process)
                    metrics += folder.epochs
                epochs = _epochs(job, objective, _given(job, data, trial, folder), trial)
            while True:
                with _captured(output):
                    try:
                        yielded = next(epochs, None)
                    except NotResumed as found:
                        assert folder is not None
                        print(f"{found} instead of {len(metrics) + 1}, and is started anew")
                        folder.begin_anew()
                        process.begin_anew()
                        metrics.clear()
                        epochs = _epochs(job, objective, _given(job, data, trial, folder), trial)
                        continue
                    if yielded is None:
                        break
                    if folder is not None and folder.epochs and is_too_long(
                        objective, job.fixed, trial, len(metrics) + 1
                    ):
                        print(f"it goes on to epoch {len(metrics) + 1}, so it has not gone on from "
                              "its folder, and is started anew")
                        folder.begin_anew()
                        process.begin_anew()
                        metrics.clear()
                        epochs = _epochs(job, objective, _given(job, data, trial, folder), trial)
                        continue
                    metrics.append(yielded)
                if job.metric not in metrics[-1]:
                    unnamed = objective.metrics is None and len(metrics) == 1
                    known = ", ".join(metrics[-1]) or "nothing"
                    raise KeyError(f"the objective yields no {job.metric!r}, but {known}")
                if (ended := ended_by(metrics, job, trial)) is not None:
                    state = ended
                    break
                asked = stops(trial.id) if stops is not None else None
                if asked is not None:
                    state, message = State.STOPPED, asked
                    break
                if folder is not None and folder.is_due(is_leaving):
                    for event in _keep(folder, trial, attempt, metrics, process, output):
                        with process.suspended():
                            yield event
                if time.perf_counter() - told > FLUSH_SECONDS:
                    told = time.perf_counter()
                    text = output.text() if output.written > shown else ""
                    shown = output.written
                    if watched is not None:
                        watched.told, watched.shown = told, shown
                    with process.suspended():
                        yield Progress(trial, attempt, started, place, tuple(metrics), text)
            with _captured(output):
                epochs.close()
            if not metrics:
                raise ValueError("the objective yielded no epoch")
            if state is State.COMPLETE and trial.extended_to:
                begun = folder.begun if folder is not None else 0
                message = described(objective, job.fixed, trial, begun)
            if state is State.COMPLETE:
                passed = passed_limit(job.limits, metrics[value_of(job, metrics)[1] - 1])
                if passed:
                    state, message = State.INFEASIBLE, passed
                elif folder is not None and folder.is_due_at_the_end(len(metrics)):
                    for event in _keep(
                        folder, trial, attempt, metrics, process, output, ends=True
                    ):
                        with process.suspended():
                            yield event
        except _OtherCodeError as other:
            changed = CodeChanged(trial, other.files, place)
        except Infeasible as found:
            reason = shortened(str(found), REASON_CHARACTERS)
            state, message = State.INFEASIBLE, reason or "no reason given"
        except (KeyboardInterrupt, GeneratorExit):  # of whoever runs the trial
            raise
        except BaseException as error:  # whatever else an objective raises is this trial's result
            if hasattr(error, "ray_terminate_msg"):  # Ray ends this worker
                raise
            state = State.FAILED
            message = _last_lines(output.end(MESSAGE_CHARACTERS) + _traceback(error))
    if changed is not None:
        yield changed
        return
    value = epoch = None
    if state in (State.COMPLETE, State.PRUNED, State.STOPPED):
        value, epoch = value_of(job, metrics)
    result = TrialResult(
        trial, state, value, epoch, tuple(metrics), attempt, started,
        time.perf_counter() - clock, place, message, output.text(),
    )
    yield NoMetric(result, job.metric, tuple(metrics[-1])) if unnamed else result


def stopped(
    job: Job, trial: Trial, attempt: int, told: Progress | None, reason: str
) -> TrialResult:
    """Return the result of a trial that a person stopped, from what it `told` last, if anything."""
    metrics = tuple(told.metrics) if told is not None else ()
    value, epoch = value_of(job, metrics) if metrics else (None, None)
    if told is None:
        return TrialResult(
            trial, State.STOPPED, attempt=attempt, started=time.time(), message=reason
        )
    return TrialResult(
        trial, State.STOPPED, value, epoch, metrics, attempt, told.started,
        max(time.time() - told.started, 0.0), told.place, reason, told.output,
    )


def value_of(job: Job, metrics: Sequence[EpochMetrics]) -> tuple[float, int]:
    """Return the value of a trial with these epochs, and the epoch that it is of."""
    curve = [epoch_metrics[job.metric] for epoch_metrics in metrics]
    return read_value(curve, job.value, job.direction)


def ended_by(metrics: Sequence[EpochMetrics], job: Job, trial: Trial) -> State | None:
    """Return the state in which the last of these epochs ends a trial; None where it goes on."""
    if not is_finite(metrics[-1]):
        return State.DIVERGED
    if trial.cut_offs and falls_behind(metrics, job, trial.cut_offs):
        return State.PRUNED
    return None


def passed_limit(limits: Mapping[str, Limit], metrics: EpochMetrics) -> str:
    """Return which limit of another metric is passed, and by what value, or ""."""
    for name, limit in limits.items():
        if name not in metrics:
            known = ", ".join(metrics)
            raise KeyError(f"the objective yields {known}, and no {name!r}, which has a limit")
        if not limit.allows(metrics[name]):
            return f"{name} is {wording.whole(metrics[name])}, which has to be {limit}"
    return ""


def falls_behind(metrics: Sequence[EpochMetrics], job: Job, cut_offs: CutOffs) -> bool:
    """Say whether a trial with these epochs stops at the last of them."""
    epoch = len(metrics)
    if epoch > len(cut_offs.by_epoch):
        return False
    compared = metrics[-1][job.metric]
    if cut_offs.compare == "best":
        curve = [epoch_metrics[job.metric] for epoch_metrics in metrics]
        compared, _ = read_value(curve, "best", job.direction)
    return worse(compared, cut_offs.by_epoch[epoch - 1], job.direction)


def timed_out(seconds: float) -> str:
    """Return what is said of a trial that took longer than it may."""
    return f"took longer than trial_timeout = {wording.whole(seconds)} s"


class _OtherCodeError(Exception):
    """The process imported other code of the objective than the job is about."""

    def __init__(self, files: tuple[str, ...]) -> None:
        super().__init__(f"{', '.join(files)} changed")
        self.files = files


def _search(folders: Sequence[str]) -> None:
    for folder in reversed(folders):
        if folder not in sys.path:
            sys.path.insert(0, folder)


def _objective(job: Job) -> Objective:
    if job.program is None:
        return forms.find(job.objective)
    return job.program.objective({}, Path(job.folder or "."))


def _folder(
    job: Job, objective: Objective, trial: Trial, last: bytes | None
) -> TrialFolder | None:
    """Return the folder of a trial, where its objective asks for one that there is."""
    if "folder" not in objective.asks or not (objective.needs_folder or job.checkpoints):
        return None
    folder = TrialFolder(job.checkpoints, trial, job.fixed, last)
    if job.program is not None:
        folder.goes_ahead()
    return folder


def _is_staying() -> bool:
    return False


def _keep(
    folder: TrialFolder,
    trial: Trial,
    attempt: int,
    metrics: Sequence[EpochMetrics],
    process: TrialProcess,
    output: Output,
    ends: bool = False,
) -> list[Kept | Remark]:
    """Keep the folder of a trial; return what is to be told, also that it failed."""
    with process.suspended():
        fault = folder.keep(metrics, process, has_ended=ends)
        if ends:
            fault = fault or folder.finish(len(metrics))
    events: list[Kept | Remark] = []
    if fault:
        with _captured(output):
            print(fault)
        events.append(Remark(f"[checkpoints] {trial.id}: {fault}"))
    if packed := folder.taken():
        events.append(Kept(trial, attempt, packed))
    return events


def _given(job: Job, data: Held, trial: Trial, folder: TrialFolder | None) -> Given:
    path, done = (None, 0) if folder is None else (folder.path, len(folder.epochs))
    return Given(
        job.metric, trial.seed, data_of(data, trial), path, trial.id, done=done,
        is_kept=job.checkpoints is not None, had_ended=folder is not None and folder.has_ended,
    )


def _epochs(job: Job, objective: Objective, given: Given, trial: Trial) -> Epochs:
    changed = objective.code.differing(job.code) if job.code is not None else ()
    if changed:
        raise _OtherCodeError(changed)
    return objective.start(objective.taken(trial.values(job.fixed)), given)


@contextlib.contextmanager
def _captured(output: Output) -> Iterator[None]:
    """Keep what an objective prints off the terminal."""
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        yield


def place_of() -> str:
    """Return where trials of this process run: the host, and the id of the process."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _traceback(error: BaseException) -> str:
    """Return the traceback without the frames of this package, which say nothing to a user."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if frame.filename not in _OURS]
    lines = traceback.format_list(theirs) + traceback.format_exception_only(error)
    if isinstance(error, SystemExit):
        lines[-1] = f"SystemExit: sys.exit({error.code!r}) was called; return or raise instead\n"
    return "".join(lines)


def _last_lines(text: str) -> str:
    lines = text.splitlines()[-MESSAGE_LINES:]
    return "\n".join(map(clean, lines))[-MESSAGE_CHARACTERS:]
