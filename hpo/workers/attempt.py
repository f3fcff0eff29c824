"""One attempt at a trial, on any worker, and the events it produces."""

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

FLUSH_SECONDS = 2.0  # a trial longer than this reports its epochs while it runs
MESSAGE_LINES = 15
REASON_CHARACTERS = 500  # of the reason why a trial is infeasible
_OURS = (__file__, forms.__file__, program.__file__, program_process.__file__)


@dataclass(frozen=True)
class Job:
    """What all trials of a study have in common: names and numbers, no live objects.

    `search_path` holds the folders, besides Python's own, where the objective's module may be;
    trials start in the first of them. `code` is the code in the process that asks for the trials:
    a worker that imported different code trains nothing. `program` is set if the objective is a
    program.
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
    limits: Mapping[str, Limit] = field(default_factory=dict)  # on other metrics, by name
    checkpoints: Checkpoints | None = None

    @property
    def threads(self) -> int:
        """The number of threads of the linear algebra libraries."""
        return self.demand.cpus

    def timeout_of(self, trial: Trial) -> float | None:
        """Return how many seconds a trial may take; there is no limit for one that is extended."""
        return None if trial.extended_to else self.trial_timeout

    @property
    def folder(self) -> str | None:
        """The folder that trials start in."""
        return self.search_path[0] if self.search_path else None


@dataclass(frozen=True)
class Stalled:
    """No trial can run now, and why; reported once, until one can again."""

    reason: str


@dataclass(frozen=True)
class Remark:
    """A note for the user that needs no action now."""

    text: str


@dataclass(frozen=True)
class CodeChanged:
    """A worker at `place` has different code of the objective; `files` are those that differ."""

    trial: Trial
    files: tuple[str, ...]
    place: str


@dataclass(frozen=True)
class Kept:
    """A copy of the folder of a running trial, on its way to where copies are stored."""

    trial: Trial
    attempt: int
    packed: bytes = field(repr=False)


@dataclass(frozen=True)
class NoMetric:
    """A trial failed because its objective, which declares no metrics, does not report `metric`.

    `yielded` names the metrics it reports instead.
    """

    result: TrialResult
    metric: str
    yielded: tuple[str, ...]


# Returns the reason why the user asked for a trial to end, or None.
Stops: TypeAlias = Callable[[TrialId], str | None]
Event: TypeAlias = Progress | Lost | Stalled | Remark | CodeChanged | NoMetric | TrialResult


class Workers(Protocol):
    """Runs trials somewhere; every submitted attempt ends in one TrialResult or Lost."""

    slots: int  # trials that run at the same time
    checkpoints: Checkpoints | None  # of those trials, if they keep any

    def submit(self, trial: Trial, attempt: int) -> None:
        """Queue a trial; it may wait for a free slot."""
        ...

    def next_event(self, timeout: float) -> Event | None:
        """Wait for the next event, at most `timeout` seconds."""
        ...

    def close(self) -> None:
        """Stop all running trials, by force if necessary."""
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

    If copies of its folder are carried by events, it resumes from the `last` one. Output inside a
    long epoch is reported meanwhile, by another thread. Anything that goes wrong, even a call of
    sys.exit, is a failed result with the reason. A worker whose code differs from the job's trains
    nothing and yields CodeChanged.
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
                        print(f"{found} instead of {len(metrics) + 1}; restarted from scratch")
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
                        print(f"it continues to epoch {len(metrics) + 1}, so it did not resume "
                              "from its folder; restarted from scratch")
                        folder.begin_anew()
                        process.begin_anew()
                        metrics.clear()
                        epochs = _epochs(job, objective, _given(job, data, trial, folder), trial)
                        continue
                    metrics.append(yielded)
                if job.metric not in metrics[-1]:
                    unnamed = objective.metrics is None and len(metrics) == 1
                    raise ValueError(_unreported(job.metric, metrics[-1]))
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
                raise ValueError("the objective did not report any epoch")
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
    """Return the result of a trial that the user stopped, from its last progress, if any."""
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
    """Return the value of a trial with these epochs, and the epoch it comes from."""
    curve = [epoch_metrics[job.metric] for epoch_metrics in metrics]
    return read_value(curve, job.value, job.direction)


def ended_by(metrics: Sequence[EpochMetrics], job: Job, trial: Trial) -> State | None:
    """Return the final state if the last of these epochs ends the trial, None if it continues."""
    if not is_finite(metrics[-1]):
        return State.DIVERGED
    if trial.cut_offs and falls_behind(metrics, job, trial.cut_offs):
        return State.PRUNED
    return None


def passed_limit(limits: Mapping[str, Limit], metrics: EpochMetrics) -> str:
    """Return which limit on another metric is violated, and by what value, or ""."""
    for name, limit in limits.items():
        if name not in metrics:
            raise ValueError(f"{_unreported(name, metrics)}, but {name!r} has a limit")
        if not limit.allows(metrics[name]):
            return f"{name} must be {limit}, got {wording.whole(metrics[name])}"
    return ""


def _unreported(name: str, metrics: EpochMetrics) -> str:
    """Return the error for a metric that is not among those of an epoch."""
    known = ", ".join(metrics) or "no metrics"
    return f"the objective does not report {name!r}; it reports {known}"


def falls_behind(metrics: Sequence[EpochMetrics], job: Job, cut_offs: CutOffs) -> bool:
    """Return whether a trial with these epochs is pruned at the last of them."""
    epoch = len(metrics)
    if epoch > len(cut_offs.by_epoch):
        return False
    compared = metrics[-1][job.metric]
    if cut_offs.compare == "best":
        curve = [epoch_metrics[job.metric] for epoch_metrics in metrics]
        compared, _ = read_value(curve, "best", job.direction)
    return worse(compared, cut_offs.by_epoch[epoch - 1], job.direction)


def timed_out(seconds: float) -> str:
    """Return the message for a trial that exceeded its timeout."""
    return f"took longer than trial_timeout = {wording.whole(seconds)} s"


class _OtherCodeError(Exception):
    """The process imported code of the objective that differs from the job's."""

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
    """Return the folder of a trial, if its objective asks for one and there is one."""
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
    """Keep the folder of a trial; return the events about it, including a failure."""
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
    """Capture the output of an objective, instead of showing it in the terminal."""
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        yield


def place_of() -> str:
    """Return where trials of this process run: the host and the process id."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _traceback(error: BaseException) -> str:
    """Return the traceback without the frames of hpo, which mean nothing to a user."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if frame.filename not in _OURS]
    lines = traceback.format_list(theirs) + traceback.format_exception_only(error)
    if isinstance(error, SystemExit):
        lines[-1] = f"SystemExit: sys.exit({error.code!r}) was called; return or raise instead\n"
    return "".join(lines)


def _last_lines(text: str) -> str:
    lines = text.splitlines()[-MESSAGE_LINES:]
    return "\n".join(map(clean, lines))[-MESSAGE_CHARACTERS:]
