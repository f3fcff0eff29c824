"""What the record knows of a study, as values."""

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
    """Code of the objective that a person accepted, though it had changed.

    `code` and `syntax` are its digests, as in Settings; `since` is the round that it changed
    after, or within.
    """

    code: str
    syntax: str
    since: int


@dataclass(frozen=True)
class Added:
    """A point that a person added to a study that goes on; ids are in order of time.

    Hyperparameters that are left out are drawn at random once it has a number.
    """

    id: str
    hyperparameters: Mapping[str, Value]


@dataclass(frozen=True)
class Asked:
    """What people ask of a study while it runs.

    `added` are all points that were, oldest first. `stops` are the requests to end trials of the
    round that runs, by number, as they are on record.
    """

    added: Sequence[Added] = ()
    stops: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Round:
    """A round as the record has it.

    `settings` are those it began with, `fingerprint` tells them from those of other rounds.
    `decisions` say how its ranges came from those before. `accepted` is the code that it goes on
    with, or began with, where a person accepted that. `placed` are the points that people added,
    by the numbers of their trials.
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
        """The digests of the code that its trials have now: of its bytes, and of its syntax."""
        now = self.accepted or self.settings
        return now.code, now.syntax


@dataclass(frozen=True)
class RoundStart:
    """What is recorded of a round as it begins.

    `decisions` say how its ranges came about, `params` are what the UI shows beside them, `data`
    describes what it runs on, `files` are kept with it, as text by name. `accepted` is its code
    where a person accepted that, `overrides` are what replaced values of its study file, and
    `remarks` are for whoever reads its description. `sources` are trials of other studies that are
    copied to the first round.
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

    `beat` is when it last gave a sign of life, in seconds since 1970; then so many results were
    waiting for the record, and so many had been set aside.
    """

    owner: Owner
    beat: float | None = None
    waiting: int = 0
    aside: int = 0


class Attempt(NamedTuple):
    """An attempt at a trial that began, and its run."""

    number: int
    run_id: str


@dataclass(frozen=True)
class Look:
    """One use of the test set: the time in ISO 8601, UTC; no result where it broke off."""

    number: int
    when: str
    result: str = ""


@dataclass(frozen=True)
class Recorded:
    """All that the record knows of a study.

    `results` are in order of round and number, with every epoch of the searched metric and the
    last epoch of all. `deleted` are those whose runs were deleted, as failed. `runs` leads to
    the run of a result, `attempts` to the last attempt at a trial that began without an end.
    `parts` are what results came of, and those of trials that have more to come; `unwritten` are
    the results whose runs do not say yet what their parts came to. `sources` are trials of other
    studies that inform the search.
    `repeats` and `extensions` are those of trials in `results`, in order of their ids; they are no
    results. `followed_attempts` are such that began without an end, or whose trial is gone.
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
        """The trials of sources and of the study whose values can be compared."""
        comparable = [r for s in self.sources if s.is_comparable for r in s.results]
        return [*comparable, *self.results]

    @property
    def on_other_scales(self) -> list[Sequence[TrialResult]]:
        """The trials of each source of which only the order says something."""
        return [s.results for s in self.sources if not s.is_comparable]

    @property
    def waiting(self) -> list[Added]:
        """The added points that have no number yet."""
        placed = {added.id for round_ in self.rounds for added in round_.placed.values()}
        return [added for added in self.added if added.id not in placed]

    def proposed(self, round_: Round) -> int:
        """Return how many trials a round has without those whose points people added."""
        return len(self.numbers(round_.number) - round_.placed.keys())

    def numbers(self, round_number: int) -> set[int]:
        """Return the numbers of the trials that a round has, those deleted since among them."""
        results = (*self.results, *self.deleted)
        return {r.trial.number for r in results if r.trial.round == round_number}

    def ended_attempts(self) -> set[tuple[TrialId, int]]:
        """Return the attempts at trials, repeats and parts that led to what is on record."""
        results = (
            *self.results, *self.deleted, *self.repeats, *self.extensions, *self.parts
        )
        return {(result.trial.id, result.attempt) for result in results}


def last_round(study: str, recorded: Recorded) -> Round:
    """Return the last round of a study; raise InputError where it has none yet."""
    if not recorded.rounds:
        raise InputError(f"the study {study!r} has no round yet; start one with `hpo run`")
    return recorded.rounds[-1]


@dataclass(frozen=True)
class Shown:
    """What the views of a study show: its hyperparameters, and its metric, which way it goes.

    `ranges` are the params in which each round has its ranges. `in_parts` says that a trial
    consists of several trainings.
    """

    hyperparameters: Sequence[str]
    metric: str
    direction: Direction
    ranges: Sequence[str] = ()
    in_parts: bool = False


@dataclass(frozen=True)
class Contents:
    """How much a study holds; `runs` has the number of each kind, such as trial, 0 of any other.

    `is_study` is False of a copy that is not whole.
    """

    experiment_id: str
    is_deleted: bool
    is_study: bool
    runs: Mapping[str, int]
    models: int
