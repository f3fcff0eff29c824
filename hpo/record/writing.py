"""Entries waiting for the record are written in lanes: side by side, each in order."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from hpo.errors import HPOError, RecordRefused, RoundAbsent
from hpo.search.best_so_far import Point
from hpo.trial import Lost, Progress, Trial, TrialId, TrialResult


@dataclass(frozen=True)
class Finished:
    """A result to deliver; `again` says that an earlier try may have begun to."""

    result: TrialResult
    again: bool = False


@dataclass(frozen=True)
class Best:
    """Best values so far of a running round."""

    run_id: str
    points: Sequence[Point]


Entry: TypeAlias = Finished | Progress | Lost | Best
Lanes: TypeAlias = Sequence[Sequence[Entry]]
Outcomes: TypeAlias = list[list[HPOError | None]]


class Writer(Protocol):
    """Writes one entry after another to the record of a study."""

    def deliver(self, metric: str, result: TrialResult, *, again: bool) -> None:
        """Write a result, with the whole curve of `metric`; with `again`, first check what exists.

        Raises RecordUnavailable: try again; RecordRefused: never try again; RoundAbsent: not before
        its round is recorded.
        """
        ...

    def show(self, progress: Progress) -> None:
        """Write the epochs of a running trial, for people who are watching."""
        ...

    def show_best(self, run_id: str, metric: str, points: Sequence[Point]) -> None:
        """Write the best values so far of a running round; repeated ones are kept once."""
        ...

    def abandon(self, trial: Trial, attempt: int) -> None:
        """Delete what was shown of a lost attempt."""
        ...


def in_lanes(entries: Sequence[Entry], count: int) -> Lanes:
    """Distribute entries over at most `count` lanes; entries about one trial stay in order.

    So do its parts and what follows it: the run of a trial is created with its first part.
    """
    lanes: list[list[Entry]] = [[] for _ in range(min(count, len(entries)))]
    taken: dict[TrialId | str, list[Entry]] = {}
    for entry in entries:
        about = _about(entry)
        if about not in taken:
            taken[about] = min(lanes, key=len)
        taken[about].append(entry)
    return [lane for lane in lanes if lane]


def write(writer: Writer, metric: str, lanes: Lanes) -> Outcomes:
    """Write the lanes side by side; return the outcome of each entry, None if it was written.

    If the record is away, nothing more is started: what was not tried has no outcome.
    """
    stop = threading.Event()

    def one_lane(lane: Sequence[Entry]) -> list[HPOError | None]:
        outcomes: list[HPOError | None] = []
        for entry in lane:
            if stop.is_set():
                break
            outcomes.append(_outcome(writer, metric, entry))
            if not isinstance(outcomes[-1], RecordRefused | RoundAbsent | None):
                stop.set()
        return outcomes

    if len(lanes) == 1:
        return [one_lane(lanes[0])]
    with ThreadPoolExecutor(len(lanes)) as pool:
        return list(pool.map(one_lane, lanes))


def _outcome(writer: Writer, metric: str, entry: Entry) -> HPOError | None:
    try:
        if isinstance(entry, Finished):
            writer.deliver(metric, entry.result, again=entry.again)
        elif isinstance(entry, Progress):
            writer.show(entry)
        elif isinstance(entry, Lost):
            writer.abandon(entry.trial, entry.attempt)
        else:
            writer.show_best(entry.run_id, metric, entry.points)
    except HPOError as error:
        return error
    return None


def _about(entry: Entry) -> TrialId | str:
    if isinstance(entry, Best):
        return entry.run_id
    return (entry.result if isinstance(entry, Finished) else entry).trial.original
