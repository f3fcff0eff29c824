"""The contents of the record of a study, as values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from hpo.data.loading import Description
from hpo.distributions import Value
from hpo.errors import InputError
from hpo.moves import Decision
from hpo.record.owner import Owner
from hpo.record.sources import Source
from hpo.search_space import SearchSpace
from hpo.settings import Settings
from hpo.trial import Direction, TrialId, TrialResult


@dataclass(frozen=True)
class AcceptedCode:
    """Changed code of the objective that a person accepted.

    `code` and `syntax` are its digests, as in Settings; `since` is the round after which, or
    during which, it changed.
    """

    code: str
    syntax: str
    since: int


@dataclass(frozen=True)
class Added:
    """A point that a person added to a running study; ids are in order of time.

    Missing hyperparameters are sampled at random once the point has a number.
    """

    id: str
    hyperparameters: Mapping[str, Value]


@dataclass(frozen=True)
class Asked:
    """What people ask of a study while it runs.

    `added` are all points that were added, oldest first. `stops` are the requests to stop trials of
    the running round, by number, as recorded.
    """

    added: Sequence[Added] = ()
    stops: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Round:
    """A recorded round.

    `settings` are those it began with; `fingerprint` identifies them among those of other rounds.
    `decisions` say how its ranges follow from those before. `accepted` is the code that it runs
    with, if a person accepted a change. `placed` are the points that people added, by the numbers
    of their trials.
    """

    number: int
    run_id: str
    search_space: SearchSpace
    settings: Settings
    fingerprint: str
    ended: bool
    decisions: Sequence[Decision] = ()
    stopped: str = ""  # why it ended before its last trial
    accepted: AcceptedCode | None = None
    placed: Mapping[int, Added] = field(default_factory=dict)

    @property
    def code(self) -> tuple[str, str]:
        """The digests of the code that its trials run now: of its bytes, and of its syntax."""
        now = self.accepted or self.settings
        return now.code, now.syntax


@dataclass(frozen=True)
class RoundStart:
    """What is recorded about a round when it begins.

    `decisions` say how its ranges came about, `params` is what the UI shows beside them, `data`
    describes what it runs on, and `files` are kept with it, as text by name. `accepted` is its code
    if a person accepted a change, `overrides` replaced values of its study file, and `remarks` are
    for readers of its description. `sources` are trials of other studies that are copied to the
    first round.
    """

    number: int
    search_space: SearchSpace
    settings: Settings
    decisions: Sequence[Decision] = ()
    params: Mapping[str, str] = field(default_factory=dict)
    data: Description | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    accepted: AcceptedCode | None = None
    overrides: Sequence[str] = ()
    remarks: Sequence[str] = ()
    sources: Sequence[Source] = ()


class Service(NamedTuple):
    """The process that runs a study now, as far as the record knows.

    `beat` is the time of its last heartbeat, in seconds since 1970; at that time, `waiting` results
    were waiting for the record, and `aside` had been set aside.
    """

    owner: Owner
    beat: float | None = None
    waiting: int = 0
    aside: int = 0


class Attempt(NamedTuple):
    """An attempt at a trial that was started, and its run."""

    number: int
    run_id: str


@dataclass(frozen=True)
class Look:
    """One use of the test set: the time in ISO 8601, UTC; no result if it was interrupted."""

    number: int
    when: str
    result: str = ""


@dataclass(frozen=True)
class Recorded:
    """Everything recorded about a study.

    `results` are in order of round and number, with every epoch of the searched metric and the last
    epoch of all metrics. `deleted` are those whose runs were deleted, as failed. `runs` maps
    results to their runs, `attempts` maps trials that have not ended to their last attempt. `parts`
    are the parts of results, and those of trials with more to come; `unwritten` are the results
    whose runs do not show yet what their parts amount to. `sources` are trials of other studies
    that inform the search. `repeats` and `extensions` are those of trials in `results`, in order of
    their ids; they are not results. `followed_attempts` are attempts at them that have not ended,
    or whose trial is gone.
    """

    experiment_id: str
    rounds: Sequence[Round] = ()
    results: Sequence[TrialResult] = ()
    deleted: Sequence[TrialResult] = ()
    runs: Mapping[TrialId, str] = field(default_factory=dict)
    attempts: Mapping[TrialId, Attempt] = field(default_factory=dict)
    looks: Sequence[Look] = ()  # at the test set
    repeats: Sequence[TrialResult] = ()
    extensions: Sequence[TrialResult] = ()
    followed_attempts: Mapping[TrialId, Attempt] = field(default_factory=dict)
    name: str = ""  # of the study
    service: Service | None = None  # None where no process runs it
    added: Sequence[Added] = ()  # points that people added, oldest first
    parts: Sequence[TrialResult] = ()
    unwritten: Sequence[TrialResult] = ()
    sources: Sequence[Source] = ()
    is_half_begun: bool = False  # the first round, which lacks what is copied to it

    @property
    def on_one_scale(self) -> list[TrialResult]:
        """The trials of sources and of the study that have comparable values."""
        comparable = [r for s in self.sources if s.is_comparable for r in s.results]
        return [*comparable, *self.results]

    @property
    def on_other_scales(self) -> list[Sequence[TrialResult]]:
        """The trials of each source of which only the order counts."""
        return [s.results for s in self.sources if not s.is_comparable]

    @property
    def waiting(self) -> list[Added]:
        """The added points that have no number yet."""
        placed = {added.id for round_ in self.rounds for added in round_.placed.values()}
        return [added for added in self.added if added.id not in placed]

    def proposed(self, round_: Round) -> int:
        """Return how many trials a round has, not counting points that people added."""
        return len(self.numbers(round_.number) - round_.placed.keys())

    def numbers(self, round_number: int) -> set[int]:
        """Return the numbers of the trials of a round, including those deleted since."""
        results = (*self.results, *self.deleted)
        return {r.trial.number for r in results if r.trial.round == round_number}

    def ended_attempts(self) -> set[tuple[TrialId, int]]:
        """Return the attempts at trials, repeats and parts that led to recorded results."""
        results = (
            *self.results, *self.deleted, *self.repeats, *self.extensions, *self.parts
        )
        return {(result.trial.id, result.attempt) for result in results}


def last_round(study: str, recorded: Recorded) -> Round:
    """Return the last round of a study; raise InputError if it has none yet."""
    if not recorded.rounds:
        raise InputError(f"the study {study!r} has no rounds yet; start one with `hpo run`")
    return recorded.rounds[-1]


@dataclass(frozen=True)
class Shown:
    """What the views of a study show: its hyperparameters, its metric, and the direction.

    `ranges` are the params that hold the ranges of each round. `in_parts` says that a trial
    consists of several trainings.
    """

    hyperparameters: Sequence[str]
    metric: str
    direction: Direction
    ranges: Sequence[str] = ()
    in_parts: bool = False


@dataclass(frozen=True)
class Contents:
    """How much a study holds; `runs` has the number of runs of each kind, for example trial.

    `is_study` is False for an incomplete copy.
    """

    experiment_id: str
    is_deleted: bool
    is_study: bool
    runs: Mapping[str, int]
    models: int
