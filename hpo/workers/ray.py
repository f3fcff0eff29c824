"""Workers on a Ray cluster, local or remote, with the same events as the inline ones."""

import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hpo.checkpoints.carried import Carrier
from hpo.data.folds import Held, size
from hpo.errors import HPOError, InputError
from hpo.process_state import HASH_SEED
from hpo.resources import NotHere, cpus, refuse_absent, this_machine
from hpo.trial import Lost, Progress, State, Trial, TrialResult
from hpo.workers import ray_local, ray_settings
from hpo.workers.attempt import (
    Event,
    Job,
    Kept,
    Remark,
    Stalled,
    Stops,
    attempt_trial,
    stopped,
    timed_out,
)
from hpo.workers.live import LOOK_SECONDS, TELL_SECONDS
from hpo.workers.ray_folder import RayFolder
from hpo.workers.ray_live import Boxes, Letter, Sender
from hpo.workers.ray_local import first_line

CHECK_SECONDS = 5.0  # between checks that the cluster is still there
REACH_SECONDS = 10  # for a cluster to answer; Ray itself would try for minutes
POLITE_SECONDS = 0.5  # for a trial to end by itself

# Prints "ok", or why no cluster answers. It runs in its own process because Ray's client ends its
# process if there is no token, keeps trying for minutes, and writes to the terminal. The parts of
# Ray it uses are private: without them it only opens a connection to the address.
_REACH = """
import signal, socket, sys
address, seconds = sys.argv[1:]
try:
    from ray._private.authentication.authentication_token_setup import ensure_token_if_auth_enabled
    from ray._private.services import canonicalize_bootstrap_address
    from ray._raylet import GcsClient
    known = True
except ImportError:
    known = False
try:
    signal.alarm(int(seconds))
    found = address.removeprefix("ray://")
    ask = known and found == address
    if ask:
        found = canonicalize_bootstrap_address(address)
    host, _, port = found.rpartition(":")
    if host or known:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    if ask:
        ensure_token_if_auth_enabled(None, create_token_if_missing=False)
        GcsClient(address=found)
    print("ok")
except Exception as error:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    print(text.strip().splitlines()[0].split(". ")[0])
"""


@dataclass
class _Sent:
    """An attempt that was sent out, with the time, its box, and its last progress."""

    trial: Trial
    attempt: int
    box: str
    moment: float
    told: Progress | None = None

    @property
    def epochs(self) -> int:
        """The number of epochs it has reported."""
        return len(self.told.metrics) if self.told is not None else 0


def _attempt(
    job: Job, data: Held, trial: Trial, attempt: int, box: str, last: bytes | None
) -> Iterator[Event | Kept]:
    """Run one trial in a Ray worker."""
    yield from attempt_trial(job, data, trial, attempt, Sender(box), last=last)


def _warm(job: Job, data: Held) -> None:
    """Do nothing: to get this far, a worker has imported what a trial needs."""


class RayWorkers:
    """Runs each attempt at a trial as one Ray task that yields events.

    With `address` they run on an existing cluster; without, on a local Ray with `workers` CPUs,
    which `close` shuts down.
    """

    def __init__(
        self,
        job: Job,
        data: Held,
        *,
        address: str | None = None,
        workers: int | None = None,
        stops: Stops | None = None,
    ) -> None:
        ray_settings.apply(ray_settings.FOR_WORKERS)
        os.environ.setdefault("OMP_NUM_THREADS", str(job.threads))
        os.environ["PYTHONHASHSEED"] = HASH_SEED  # of the workers of a Ray that starts here
        local = address is None or address == "local"
        self._folder = RayFolder() if local else None
        try:
            if self._folder is None:
                _connect(str(address))
            else:
                count = workers or max(cpus(), job.threads)
                here = {**this_machine(), "CPU": float(count)}
                who = f"this machine with --workers {workers}" if workers else "this machine"
                refuse_absent(job.demand, here, who)
                ray_local.start(count, size(data), self._folder)
        except BaseException:
            self._remove_folder()
            raise
        import ray

        self._ray = ray
        self._demand = job.demand
        room = self._room(self._nodes())
        self.slots = max(1, room)
        self._running: dict[Any, _Sent] = {}  # by the generator of its events
        # Attempts are repeated by the service, under a new number: never silently by Ray.
        # Where each trial has a process of its own, it ends with the task.
        try:
            self._task = ray.remote(
                num_cpus=job.threads, num_gpus=job.demand.gpus,
                memory=job.demand.memory, resources=dict(job.demand.custom),
                max_retries=0, max_calls=1 if job.fresh_process else 0,
            )(_attempt)
        except ValueError as error:  # of some resources, such as TPU, Ray knows the amounts
            self.close()
            raise NotHere(
                f"resources: Ray does not accept {job.demand} ({first_line(error)}); choose "
                "another amount"
            ) from error
        self._common, self._stops, self.checkpoints = job, stops, job.checkpoints
        self._carrier: Carrier | None = None
        if job.checkpoints is not None and job.checkpoints.is_carried:
            self._carrier = Carrier(job.checkpoints, job.fixed)
        self._job = ray.put(job)
        self._data = ray.put(data)
        if local and not job.fresh_process:
            warm = ray.remote(num_cpus=job.threads, max_retries=0)(_warm)
            for _ in range(self.slots):
                warm.remote(self._job, self._data)
        self._boxes, self._next_look = Boxes(), 0.0
        self._letters: list[tuple[str, Letter]] = []  # not yet looked at
        self._timeout = job.trial_timeout
        self._deadlines: dict[Any, float] = {}
        self._head: str = ray.get_runtime_context().gcs_address
        self._next_check = time.monotonic() + (CHECK_SECONDS if room else 0)
        self._stalled = False

    def submit(self, trial: Trial, attempt: int) -> None:
        """Hand the trial to Ray, which waits for a free CPU."""
        box = self._boxes.new()
        last = self._carrier.last(trial) if self._carrier is not None else None
        events = self._task.remote(self._job, self._data, trial, attempt, box, last)
        self._running[events] = _Sent(trial, attempt, box, time.monotonic())

    def next_event(self, timeout: float) -> Event | None:
        """Wait for the next event of any trial, at most `timeout` seconds."""
        if not self._running:
            return None
        overdue = next((e for e, end in self._deadlines.items() if end < time.monotonic()), None)
        if overdue is not None:
            return self._time_out(overdue)
        if self._stops is not None:
            for events, sent in self._running.items():
                reason = self._stops(sent.trial.id)
                if reason is not None:
                    return self._stop(events, reason)
        told = self._told()
        if told is not None:
            return told
        waiting: list[Any] = list(self._running)
        ready: list[Any] = self._ray.wait(waiting, num_returns=1, timeout=timeout)[0]
        stalled = self._check_cluster()
        if stalled is not None or not ready:
            return stalled
        events = ready[0]
        sent = self._running[events]
        trial, attempt = sent.trial, sent.attempt
        event: Event | Kept
        try:
            event = self._ray.get(next(events))
        except self._ray.exceptions.OutOfMemoryError as error:
            event = TrialResult(trial, State.FAILED, attempt=attempt, message=first_line(error))
        except self._ray.exceptions.WorkerCrashedError:
            self._check_cluster(now=True)
            event = Lost(trial, attempt, "its worker died")
        except (self._ray.exceptions.RayError, StopIteration) as error:
            self._check_cluster(now=True)
            event = Lost(trial, attempt, f"its worker was lost ({first_line(error)})")
        if isinstance(event, Kept):
            return self._taken(event)
        if isinstance(event, Remark):
            return event
        if not isinstance(event, Progress):
            self._forget(events)
            return event
        sent.told = event if event.output or sent.told is None else replace(
            event, output=sent.told.output
        )
        seconds = self._common.timeout_of(event.trial)
        if seconds is not None and not event.metrics:
            self._deadlines[events] = time.monotonic() + seconds
        return event

    def _taken(self, kept: Kept) -> Remark | None:
        """Store a copy that came from a worker; return a remark if that fails."""
        assert self._carrier is not None
        fault = self._carrier.keep(kept.trial, kept.packed)
        if not fault:
            return None
        return Remark(f"[checkpoints] {kept.trial.id}: saving a checkpoint failed: {fault}")

    def _told(self) -> Progress | None:
        """Return the progress of a trial during an epoch, if one has run for long enough."""
        moment = time.monotonic()
        oldest = next(iter(self._running.values()))
        if moment < max(self._next_look, oldest.moment + TELL_SECONDS):
            return None
        if not self._letters:
            self._reach_head()  # if it is gone, the store would wait, then end this process
            self._letters += self._boxes.taken()
        self._next_look = moment + LOOK_SECONDS
        while self._letters:
            box, letter = self._letters.pop()
            sent = next((s for s in self._running.values() if s.box == box), None)
            if sent is not None and len(letter.metrics) >= sent.epochs:
                self._next_look = moment  # for the rest of them
                sent.told = letter.progress(sent.trial, sent.attempt)
                return sent.told
        return None

    def _check_cluster(self, now: bool = False) -> Stalled | None:
        """Raise HPOError if the head does not answer: Ray itself would wait forever.

        Return an event if there is a head but no worker, which Ray would wait for as well.
        """
        if not now and time.monotonic() < self._next_check:
            return None
        self._next_check = time.monotonic() + CHECK_SECONDS
        self._reach_head()
        nodes = self._nodes()
        room = self._room(nodes)
        self.slots = max(1, room)  # nodes come and go
        before, self._stalled = self._stalled, not room
        if self._stalled and not before and not now:
            key = self._demand.lacking(nodes) if nodes else ""
            return Stalled(
                f"{key and key + ': '}no node of the Ray cluster has the {self._demand} that a "
                "trial needs, so trials are waiting; start a node that does, or stop and request "
                "less"
            )
        return None

    def _reach_head(self) -> None:
        """Raise HPOError if the head of the cluster does not answer."""
        host, _, port = self._head.rpartition(":")
        for last in (False, True):
            try:
                socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
            except OSError as error:
                if last:
                    raise HPOError(
                        f"the Ray cluster is gone (no answer from {self._head}); "
                        "start it again, then run the same command to resume"
                    ) from error
                time.sleep(1.0)
            else:
                break

    def _nodes(self) -> list[dict[str, float]]:
        """Return the resources of each node of the cluster."""
        nodes: list[dict[str, Any]] = self._ray.nodes()  # type: ignore[no-untyped-call]
        return [node["Resources"] for node in nodes if node["Alive"]]

    def _room(self, nodes: Sequence[Mapping[str, float]]) -> int:
        """Return how many trials fit on these nodes at the same time."""
        return sum(map(self._demand.fits, nodes))

    def _time_out(self, events: Any) -> TrialResult:
        """Stop a trial that takes too long, by force, because C code ignores the polite way."""
        assert self._timeout is not None
        sent = self._running[events]
        self._ray.cancel(events, force=True)
        self._forget(events)
        return TrialResult(
            sent.trial, State.FAILED, attempt=sent.attempt, started=time.time() - self._timeout,
            seconds=self._timeout, message=timed_out(self._timeout),
        )

    def _stop(self, events: Any, reason: str) -> TrialResult:
        """End a trial that the user stopped; the epochs it has reported are kept."""
        sent = self._running[events]
        self._ray.cancel(events)
        self._ray.wait([events], timeout=POLITE_SECONDS)
        self._ray.cancel(events, force=True)
        self._forget(events)
        return stopped(self._common, sent.trial, sent.attempt, sent.told, reason)

    def _forget(self, events: Any) -> None:
        sent = self._running.pop(events)
        if time.monotonic() - sent.moment > TELL_SECONDS:
            self._boxes.empty(sent.box)
        self._deadlines.pop(events, None)

    def close(self) -> None:
        """Cancel running trials, by force after half a second, and disconnect or end Ray."""
        exceptions = self._ray.exceptions
        try:
            for events in self._running:
                self._ray.cancel(events)
            if self._running:
                self._ray.wait(
                    list(self._running), num_returns=len(self._running), timeout=POLITE_SECONDS
                )
            for events in self._running:
                self._ray.cancel(events, force=True)
        except (exceptions.RayError, ValueError, RuntimeError) as error:
            logging.getLogger(__name__).debug("cancelling: %s", error)
        self._running.clear()
        with ray_local.uninterrupted():
            self._ray.shutdown()
            self._remove_folder()

    def _remove_folder(self) -> None:
        if self._folder is not None:
            self._folder.close()
            self._folder = None


def _connect(address: str) -> None:
    """Connect to a cluster; raise InputError if none answers in time, or if it refuses."""
    command = [sys.executable, "-P", "-c", _REACH, address, str(REACH_SECONDS)]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True, encoding="utf-8", errors="replace",
    ) as reaching:
        import ray  # which takes as long as it does in that process

        try:
            answer = reaching.communicate()[0].strip()
        finally:
            reaching.kill()
    try:
        if answer != "ok":
            raise ConnectionError(answer or f"no answer within {REACH_SECONDS} s")
        ray.init(
            address, log_to_driver=False, logging_level=logging.ERROR,
            runtime_env={"env_vars": {"PYTHONHASHSEED": HASH_SEED}},
        )
    except Exception as error:  # of many kinds, whatever Ray meets
        given = "RAY_ADDRESS" if os.environ.get("RAY_ADDRESS") == address else "--ray-address"
        raise InputError(
            f"no Ray cluster answers at {address}, set by {given} ({first_line(error)}); "
            f"check {given} and RAY_AUTH_TOKEN, or use --inline"
        ) from error
