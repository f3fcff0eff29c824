"""Jobs of toys, and what workers make of them."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpo.objective import Data, Part
from hpo.resources import Demand
from hpo.trial import Progress, Trial, TrialResult
from hpo.workers.attempt import (
    Event,
    Job,
    Workers,
)

if TYPE_CHECKING:
    pass


Make = Callable[..., Workers]
EMPTY = Part(np.zeros((1, 1), np.float32), np.zeros(1, np.int64))
DATA = Data(EMPTY, EMPTY, "classification", ("0", "1"))


def job_of(name: str, folder: Path, **changes: Any) -> Job:
    # All four CPUs for a trial: each process of Ray that trains takes a second to start.
    job = Job(f"toy:{name}", "accuracy", "maximize", "last", {}, (str(folder),),
              demand=Demand(4))
    return replace(job, **changes)


def trial(number: int = 1, learning_rate: float = 0.1, **changes: Any) -> Trial:
    hyperparameters = {"learning_rate": learning_rate, "weight_decay": 1e-6}
    return replace(Trial(1, number, hyperparameters, seed=number), **changes)


def drain(workers: Workers, count: int, seconds: float = 30) -> list[Event]:
    """Return all events until `count` trials have ended."""
    events: list[Event] = []
    end = time.monotonic() + seconds
    while sum(not isinstance(e, Progress) for e in events) < count:
        assert time.monotonic() < end, events
        event = workers.next_event(0.2)
        if event is not None:
            events.append(event)
    return events


def results(workers: Workers, count: int, seconds: float = 30) -> dict[int, TrialResult]:
    ended = [e for e in drain(workers, count, seconds) if isinstance(e, TrialResult)]
    return {r.trial.number: r for r in ended}
