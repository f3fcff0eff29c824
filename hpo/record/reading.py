"""Reading trials back: from parts, from deleted runs, with names searched since."""

import contextlib
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.distributions import Value
from hpo.errors import InputError
from hpo.parts import Partition
from hpo.record import sources
from hpo.record.connection import Connection
from hpo.record.format import (
    CONFIRMATION,
    EXTENDED,
    EXTENSION,
    OF,
    check_trial,
    read_attempt,
    read_id,
    read_result,
    read_trial,
)
from hpo.record.values import Attempt, Round
from hpo.search_space import backfilled, middle
from hpo.trial import State, Trial, TrialId, TrialResult

if TYPE_CHECKING:  # MLflow takes a second to import
    from mlflow.entities import Run


NO_ATTEMPT = Attempt(0, "")
WARM_START = "warm_start"  # the tag of the first round with the digest of its sources


class RecordedParts:
    """Collects the runs of trials that consist of parts, and those of the parts.

    The result of a trial follows from its parts. Its own run only shows the result to people.
    """

    def __init__(self, rounds: Mapping[str, Round], metric: str) -> None:
        self._rounds, self._metric = rounds, metric
        self.runs: dict[TrialId, str] = {}  # of the trials
        self.ended: dict[TrialId, TrialResult] = {}  # parts
        self.part_runs: dict[TrialId, str] = {}
        self.attempts: dict[TrialId, Attempt] = {}  # the last one at each part that has no end
        self.unwritten: list[TrialResult] = []
        self._trials: dict[str, tuple[Round, Run]] = {}
        self._results: dict[TrialId, TrialResult] = {}

    def add_trial(self, run: "Run", identity: TrialId, round_: Round) -> None:
        """Take the run of a trial."""
        if "superseded" not in run.data.tags:
            self.runs[identity] = run.info.run_id
            self._trials[run.info.run_id] = round_, run

    def add_part(self, run: "Run") -> None:
        """Take the run of a part; one whose trial was deleted went with it."""
        tags = run.data.tags
        round_, _ = self._trials.get(tags.get("mlflow.parentRunId", ""), (None, None))
        if round_ is None:
            return
        identity = read_id(run)
        if run.info.status != "RUNNING" and "superseded" not in tags:
            self.ended[identity] = read_result(run, self._metric)
            self.part_runs[identity] = run.info.run_id
            check_trial(run, self.ended[identity].trial, round_)
        elif self.attempts.get(identity, NO_ATTEMPT).number < read_attempt(run):
            self.attempts[identity] = Attempt(read_attempt(run), run.info.run_id)

    def results(self) -> dict[TrialId, TrialResult]:
        """Return the results of the trials whose parts are all there."""
        parts: dict[TrialId, dict[int, TrialResult]] = {}
        for identity, result in self.ended.items():
            parts.setdefault(result.trial.original, {})[identity.part] = result
        for round_, run in self._trials.values():
            identity = read_id(run)
            whole = partition_of(round_).result(parts.get(identity, {}))
            if whole is not None:
                self._results[identity] = whole
                if run.info.status == "RUNNING":
                    self.unwritten.append(whole)
            elif identity not in parts and run.info.status == "RUNNING":
                # It had not got anywhere, and its number may be given to another point.
                self.attempts[identity] = Attempt(1, self.runs.pop(identity))
        return self._results

    def deleted(self) -> dict[TrialId, TrialResult]:
        """Return the trials that had ended but lack a part that was deleted since."""
        return {
            identity: TrialResult(read_trial(run), State.FAILED, message="deleted")
            for identity, run in ((read_id(run), run) for _, run in self._trials.values())
            if identity not in self._results and run.info.status != "RUNNING"
        }


class Followed:
    """The repeats and extensions of trials, which follow the search."""

    def __init__(
        self, connection: Connection, experiment_id: str, metric: str, rounds: Collection[Round]
    ) -> None:
        self._connection, self._experiment_id = connection, experiment_id
        self._metric, self._rounds = metric, rounds
        self.groups: dict[str, str] = {}  # the runs that they stand under, by kind
        self.results: dict[TrialId, TrialResult] = {}
        self.runs: dict[TrialId, str] = {}
        self.attempts: dict[TrialId, Attempt] = {}  # that lead to none

    def read(self, trials: Mapping[TrialId, TrialResult], runs: Mapping[TrialId, str]) -> None:
        """Read those of the given trials, which have these runs.

        Those of a trial that was deleted and replaced are ignored.
        """
        for group, kind in ((CONFIRMATION, "repeat"), (EXTENSION, EXTENDED)):
            above = [run.info.run_id for run in self._runs(group)]
            if not above:
                continue
            self.groups[group] = above[0]
            for run in self._runs(kind):
                tags, trial = run.data.tags, read_trial(run)
                if tags.get("mlflow.parentRunId") not in above:
                    continue  # its parent was deleted, and took it along
                found = trials.get(trial.original)
                values = with_backfill(trial, self._rounds)
                same = found is not None and found.trial.hyperparameters == values and (
                    tags.get(OF) in (None, runs.get(trial.original))
                )
                if same and run.info.status != "RUNNING" and "superseded" not in tags:
                    self.results[trial.id] = filled(read_result(run, self._metric), self._rounds)
                    self.runs[trial.id] = run.info.run_id
                elif self.attempts.get(trial.id, NO_ATTEMPT).number < read_attempt(run):
                    self.attempts[trial.id] = Attempt(read_attempt(run), run.info.run_id)

    def _runs(self, kind: str) -> "Iterator[Run]":
        return self._connection.runs(self._experiment_id, f"tags.kind = '{kind}'")


def partition_of(round_: Round) -> Partition:
    """Return how the trials of a round are divided into parts."""
    began = round_.settings
    return Partition(
        began.parts, began.seed, began.metric, began.direction, began.value, began.folds > 0
    )


def with_backfill(trial: Trial, rounds: Collection[Round]) -> Mapping[str, Value]:
    """Return the hyperparameters of a trial, including its values of those searched since."""
    before = next((r.search_space for r in rounds if r.number == trial.round), {})
    values = trial.hyperparameters
    for round_ in sorted(rounds, key=lambda r: r.number):
        if round_.number > trial.round and round_.search_space.keys() != before.keys():
            values = backfilled(values, before, round_.search_space)
    return values


def filled(result: TrialResult, rounds: Collection[Round]) -> TrialResult:
    """Return a result, including its values of the hyperparameters searched since."""
    values = with_backfill(result.trial, rounds)
    if values is result.trial.hyperparameters:
        return result
    return replace(result, trial=replace(result.trial, hyperparameters=values))


def deleted_trial(run: "Run", round_: Round) -> Trial:
    """Return the trial of a deleted run, with number 0 if the run does not say which it was.

    Deleting a run is the remedy for anything unreadable in it, so this never fails.
    """
    with contextlib.suppress(InputError):
        trial = read_trial(run)
        check_trial(run, trial, round_)
        return trial
    number = 0
    with contextlib.suppress(InputError):
        number = read_id(run).number
    return Trial(round_.number, number, middle(round_.search_space), 0)


def read_sources(
    connection: Connection, run: "Run | None", metric: str, *, has_trials: bool
) -> tuple[Sequence[sources.Source], bool]:
    """Return the trials of other studies that were copied to the first round.

    The second value is whether a process died before it had copied them, and before any trial.

    Raises InputError if they are not as they were copied.
    """
    if run is None:
        return (), False
    run_id = run.info.run_id
    if not connection.has_file(run_id, sources.FILE):
        if not has_trials:
            return (), True
        raise InputError(
            f"{sources.FILE} of round 1 ({run_id}), with the trials the study started from, is "
            "missing; restore the file, or give the study another name"
        )
    with tempfile.TemporaryDirectory() as folder:
        text = connection.fetch(run_id, sources.FILE, Path(folder)).read_text("utf-8")
    if sources.digest(text) != run.data.tags[WARM_START]:
        raise InputError(
            f"{sources.FILE} of round 1 ({run_id}) is not the one that the study started with; "
            "restore the original, or give the study another name"
        )
    return sources.from_text(text, metric), False
