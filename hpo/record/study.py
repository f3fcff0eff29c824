"""The record of one study in MLflow: its experiment, its rounds, and reading it all back."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hpo.distributions import to_table
from hpo.errors import HPOError, InputError, RecordRefused, RecordUnavailable
from hpo.record import sources, writing
from hpo.record.claim import AT_THE_SAME_MOMENT, Claim, service_of
from hpo.record.connection import (
    Connection,
    translated,
    translation,
    uncollected,
    writers_of,
)
from hpo.record.evaluations import Evaluations, looks_that_ended
from hpo.record.format import (
    accepted_tags,
    check_trial,
    chunks,
    looks_taken,
    range_params,
    read_attempt,
    read_id,
    read_result,
    read_round,
    remarked,
    round_note,
)
from hpo.record.owner import Owner
from hpo.record.reading import (
    NO_ATTEMPT,
    WARM_START,
    Followed,
    RecordedParts,
    deleted_trial,
    filled,
    read_sources,
)
from hpo.record.requests import Requests
from hpo.record.saved_view import best_of, view_tags
from hpo.record.trials import Parents, Trials
from hpo.record.values import AcceptedCode, Attempt, Look, Recorded, Round, RoundStart, Shown
from hpo.search.best_so_far import Point
from hpo.settings import fingerprint
from hpo.text import VALUE_CHARACTERS, shortened
from hpo.trial import State, TrialId, TrialResult

if TYPE_CHECKING:  # MLflow takes a second to import
    from mlflow.entities import Metric, Run

T = TypeVar("T")


class StudyRecord:
    """The record of one study; a `Record`, so every call may raise RecordUnavailable."""

    def __init__(self, connection: Connection, name: str, owner: Owner) -> None:
        self.name, self.writers = name, writers_of(connection.uri)
        self.uri = connection.uri
        self._connection, self._client = connection, connection.client
        self._parents = Parents(connection, name)
        self._claim = Claim(connection, owner)
        self._trials = Trials(connection, self._parents)
        self._requests = Requests(connection, self._parents)
        self.evaluations = Evaluations(connection, self._parents, self._claim)
        # The rest of what a `Record` can do is done by its parts.
        self.deliver, self.show, self.abandon = (
            self._trials.deliver, self._trials.show, self._trials.abandon
        )
        self.discard, self.history, self.output = (
            connection.discard, connection.history, connection.output
        )
        self.has_file, self.fetch, self.add_files = (
            connection.has_file, connection.fetch, connection.add_files
        )
        self.verify, self.confirm = connection.verify, connection.confirm
        self.add, self.stop, self.asked, self.place = (
            self._requests.add, self._requests.stop, self._requests.asked, self._requests.place
        )

    def experiment(self) -> str | None:
        """Return the id of the study's experiment; None if there is none.

        Raises InputError if it was deleted, or is not an hpo study.
        """
        return self._parents.experiment()

    def round_runs(self) -> list[str]:
        """Return the runs of the rounds, even unreadable ones."""
        runs = self._connection.runs(self._parents.experiment_id, "tags.kind = 'round'")
        return [run.info.run_id for run in runs]

    def create(
        self,
        description: str,
        tags: Mapping[str, str],
        shown: Shown,
        *,
        again: bool = False,
    ) -> str:
        """Create the study's experiment and return its id; with `again`, reuse an existing one.

        `shown` is what the UI shows of each trial. A name can be given only once, so one of several
        processes wins. The others get an InputError.
        """
        from mlflow.exceptions import MlflowException

        experiment_id = self._parents.experiment()
        if experiment_id is not None and not again:
            raise InputError(AT_THE_SAME_MOMENT)
        all_tags = {
            "hpo": "study",
            "mlflow.note.content": description,
            **view_tags(shown),
            **tags,
        }
        if experiment_id is not None:
            for name, value in all_tags.items():
                self._client.set_experiment_tag(experiment_id, name, value)
        else:
            try:
                self._client.create_experiment(
                    self.name, self._connection.artifact_location(), tags=all_tags
                )
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise translation(error) from error
                if not again:
                    raise InputError(AT_THE_SAME_MOMENT) from error
            experiment_id = self._parents.experiment()
        if experiment_id is None:
            raise RecordUnavailable(f"the new experiment {self.name!r} no longer exists")
        return experiment_id

    def start_round(self, start: RoundStart, *, again: bool = False) -> Round:
        """Record that a round begins: its ranges, where they come from, and what it runs on.

        With `again`, reuse what an earlier try left.
        """
        from mlflow.entities import Dataset as MlflowDataset
        from mlflow.entities import DatasetInput, InputTag, Param

        experiment_id = self._parents.experiment_id
        table, proposal = start.settings.to_table(), [each.to_table() for each in start.decisions]
        tags = {
            "kind": "round",
            "round": str(start.number),
            "mlflow.note.content": round_note(
                start.search_space, start.decisions, start.remarks
            ),
            **chunks(
                "search_space", json.dumps({n: to_table(d) for n, d in start.search_space.items()})
            ),
            **chunks("settings", json.dumps(table)),
            **chunks("proposal", json.dumps(proposal) if proposal else ""),
            **accepted_tags(start.accepted),
            **chunks("overrides", "\n".join(start.overrides)),
        }
        files = dict(start.files)
        if start.sources:
            files[sources.FILE] = sources.to_text(start.sources, start.settings.metric)
            tags[WARM_START] = sources.digest(files[sources.FILE])

        def write() -> str:
            query = f"tags.kind = 'round' and tags.round = '{start.number}'"
            run = next(self._connection.runs(experiment_id, query), None) if again else None
            if run is None:
                run = self._client.create_run(
                    experiment_id, run_name=f"round {start.number}", tags=tags
                )
            run_id: str = run.info.run_id
            params = {**start.params, **range_params(start.search_space)}.items()
            self._client.log_batch(
                run_id, params=[Param(k, shortened(v, VALUE_CHARACTERS)) for k, v in params]
            )
            if (data := start.data) is not None:
                entity = MlflowDataset(
                    name=Path(data.source).name[-500:], digest=data.digest[:36],
                    source_type="local", source=json.dumps({"source": data.source}),
                    profile=json.dumps(asdict(data), default=list)[:16_000],
                )
                context = [InputTag("mlflow.data.context", "training and validation")]
                self._client.log_inputs(run_id, [DatasetInput(entity, context)])
            for path, text in files.items():
                self._client.log_text(run_id, text, path)
            return run_id

        run_id = translated(write)
        self._parents.rounds[start.number] = run_id
        self._parents.spaces[start.number] = start.search_space
        return Round(
            number=start.number, run_id=run_id, search_space=start.search_space,
            settings=start.settings, fingerprint=fingerprint(table), ended=False,
            decisions=tuple(start.decisions), accepted=start.accepted,
        )

    def show_best(self, run_id: str, metric: str, points: Sequence[Point]) -> None:
        """Write the best values so far of a running round; repeated ones are kept once."""
        metrics = _best_metrics(metric, points)

        def write() -> None:
            self._client.log_batch(run_id, metrics)

        self._written(write)

    def end_round(
        self, run_id: str, metric: str, points: Sequence[Point], tags: Mapping[str, str]
    ) -> None:
        """Record that a round ended, with its best so far of the searched metric."""
        from mlflow.entities import RunTag

        metrics = _best_metrics(metric, points)

        def write() -> None:
            self._client.log_batch(run_id, metrics, tags=[RunTag(k, v) for k, v in tags.items()])
            self._client.set_terminated(run_id, "FINISHED")

        self._written(write)

    def write(self, metric: str, lanes: writing.Lanes) -> writing.Outcomes:
        """Write results and the progress of running trials; return the outcome of each."""
        return writing.write(self, metric, lanes)

    def reopen_round(self, run_id: str) -> None:
        """Record that a round that had ended continues."""
        self._written(lambda: self._client.update_run(run_id, status="RUNNING"))

    def accept_code(self, run_id: str, accepted: AcceptedCode, remark: str) -> None:
        """Record that a round continues with different code, and say so in its description."""
        from mlflow.entities import RunTag

        def write() -> None:
            tags = self._client.get_run(run_id).data.tags
            now = accepted_tags(accepted)
            if now.items() <= tags.items():
                return  # by an earlier try
            now["mlflow.note.content"] = remarked(tags.get("mlflow.note.content", ""), [remark])
            self._client.log_batch(run_id, tags=[RunTag(k, v) for k, v in now.items()])

        self._written(write)

    def is_run(self) -> bool:
        """Return whether a process may be running the study; one elsewhere may be gone."""
        return self._claim.is_taken(self._parents.experiment_id)

    def claim(self, note: Callable[[str], None]) -> None:
        """Become the one process that runs the study; see `Claim.take`."""
        self._claim.take(self._parents.experiment_id, self._parents.rounds, note)

    def keep(self, waiting: int = 0, aside: int = 0) -> None:
        """Update the heartbeat of the claim; raise HPOError if another process took over.

        Also raises HPOError if the last round, or the confirmation or extension, was deleted: what
        is running no longer counts.
        """
        self.verify()
        if not self._claim.is_held:
            return
        self._refuse_deleted()
        if not self._claim.keep(waiting, aside):  # it was deleted with an earlier round
            self.claim(lambda _: None)

    def release(self) -> None:
        """Give up the claim, so that the next process does not have to wait."""
        if self._claim.is_held:
            self.verify()
            self._claim.release()

    def read(self) -> Recorded | None:
        """Return everything recorded about the study; None if there is nothing."""
        experiment_id = self._parents.experiment()
        if experiment_id is None:
            return None
        with uncollected():
            try:
                return self._read(experiment_id)
            except InputError as error:  # of a tag that somebody edited
                raise InputError(f"the study {self.name!r} cannot be read: {error}") from error

    def _read(self, experiment_id: str) -> Recorded:
        rounds: dict[str, Round] = {}
        looks: dict[int, Look] = {}
        warm: Run | None = None
        first: Run | None = None
        for run in self._connection.runs(experiment_id, "tags.kind = 'round'"):
            rounds[run.info.run_id] = read_round(run)
            looks |= looks_taken(run)
            if rounds[run.info.run_id].number == min(r.number for r in rounds.values()):
                first = run
            warm = run if WARM_START in run.data.tags else warm
        looks |= looks_that_ended(self._connection, experiment_id)
        metric = next((r.settings.metric for r in rounds.values()), "")
        results: dict[TrialId, TrialResult] = {}
        runs: dict[TrialId, str] = {}
        attempts: dict[TrialId, Attempt] = {}
        in_parts = RecordedParts(rounds, metric)
        for run in self._connection.runs(experiment_id, "tags.kind = 'trial'"):
            tags = run.data.tags
            round_ = rounds.get(tags.get("mlflow.parentRunId", ""))
            if round_ is None:
                continue  # its round was deleted, and took it along
            identity = read_id(run)
            if round_.settings.parts > 1:
                in_parts.add_trial(run, identity, round_)
            elif run.info.status != "RUNNING" and "superseded" not in tags:
                results[identity] = read_result(run, metric)
                check_trial(run, results[identity].trial, round_)
                runs[identity] = run.info.run_id
            elif attempts.get(identity, NO_ATTEMPT).number < read_attempt(run):
                attempts[identity] = Attempt(read_attempt(run), run.info.run_id)
        if in_parts.runs:
            for run in self._connection.runs(experiment_id, "tags.kind = 'part'"):
                in_parts.add_part(run)
            derived = in_parts.results()
            results |= derived
            runs |= {**{i: in_parts.runs[i] for i in derived}, **in_parts.part_runs}
            attempts |= in_parts.attempts
        self._parents.trials, self._parents.searched = in_parts.runs, runs
        deleted = in_parts.deleted()
        for run in self._connection.runs(experiment_id, "tags.kind = 'trial'", deleted=True):
            tags = run.data.tags
            parent = rounds.get(tags.get("mlflow.parentRunId", ""))
            if parent is not None and "superseded" not in tags:
                trial = deleted_trial(run, parent)
                if trial.number and trial.id not in results:
                    deleted[trial.id] = TrialResult(trial, State.FAILED, message="deleted")
        results = {
            identity: filled(result, rounds.values()) for identity, result in results.items()
        }
        for round_ in rounds.values():
            self._parents.rounds[round_.number] = round_.run_id
            self._parents.spaces[round_.number] = round_.search_space
        followed = Followed(self._connection, experiment_id, metric, rounds.values())
        followed.read(results, runs)
        self._parents.groups = followed.groups
        runs |= followed.runs
        later = _in_order(followed.results)
        copied, is_half_begun = read_sources(
            self._connection, warm, metric, has_trials=bool(results or attempts or deleted)
        )
        return Recorded(
            experiment_id=experiment_id,
            service=service_of(first) if first is not None else None,
            rounds=tuple(sorted(rounds.values(), key=lambda r: r.number)),
            results=_in_order(results),
            deleted=_in_order(deleted),
            runs=runs,
            attempts=attempts,
            looks=_in_order(looks),
            repeats=[r for r in later if r.trial.repeat],
            extensions=[r for r in later if r.trial.extended_to],
            followed_attempts=followed.attempts,
            name=self.name,
            added=self._requests.added(),
            parts=_in_order(in_parts.ended),
            unwritten=tuple(in_parts.unwritten),
            sources=copied,
            is_half_begun=is_half_begun,
        )

    def start_group(self, kind: str) -> None:
        """Record that trials are about to be repeated, or extended, unless some were already."""
        if kind in self._parents.groups:
            return
        experiment_id = self._parents.experiment_id

        def write() -> str:
            run = next(self._connection.runs(experiment_id, f"tags.kind = '{kind}'"), None)
            run = run or self._client.create_run(experiment_id, run_name=kind, tags={"kind": kind})
            run_id: str = run.info.run_id
            return run_id

        self._parents.groups[kind] = translated(write)

    def end_group(self, kind: str, note: str, metrics: Mapping[str, float]) -> None:
        """Record the outcome of that, in Markdown and as numbers."""
        from mlflow.entities import Metric, RunTag

        run_id, now = self._parents.groups[kind], int(time.time() * 1000)

        def write() -> None:
            self._client.log_batch(
                run_id, [Metric(name, value, now, 0) for name, value in metrics.items()],
                tags=[RunTag("mlflow.note.content", note)],
            )
            self._client.set_terminated(run_id, "FINISHED")

        self._written(write)

    def _written(self, write: Callable[[], None]) -> None:
        """Write the end of a round or of what follows; raise HPOError if that was deleted."""
        try:
            translated(write)
        except RecordRefused:
            self._refuse_deleted()
            raise

    def _refuse_deleted(self) -> None:
        """Raise HPOError if the last round, or what follows the search, was deleted."""
        rounds = self._parents.rounds
        parents = {f"round {last}": rounds[last] for last in sorted(rounds)[-1:]}
        parents |= {f"the {kind}": run_id for kind, run_id in self._parents.groups.items()}
        for name, run_id in parents.items():
            run = translated(lambda run_id=run_id: self._client.get_run(run_id))  # type: ignore[misc]
            if run.info.lifecycle_stage == "deleted":
                raise HPOError(
                    f"{name} was deleted in MLflow while it ran, so it no longer counts; "
                    "run the same command to start it again"
                )


def _best_metrics(metric: str, points: Sequence[Point]) -> "list[Metric]":
    """Return the best values of a round; the same points make the same metrics, kept once."""
    from mlflow.entities import Metric

    return [
        Metric(best_of(metric), point.value, int(point.when * 1000), point.step)
        for point in points
    ]


def _in_order(known: Mapping[Any, T]) -> tuple[T, ...]:
    return tuple(known[key] for key in sorted(known))
