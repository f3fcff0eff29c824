"""The record: studies, rounds and trials as MLflow runs, written and read by this module only."""

import contextlib
import gc
import json
import logging
import os
import re
import socket
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hpo.data.split import Description
from hpo.errors import HPOError, InputError, RecordRefused, RecordUnavailable, RoundAbsent
from hpo.moves import Decision
from hpo.passwords import without_password
from hpo.record.file import RecordFile, artifacts_beside, path_of
from hpo.record.format import (
    LOOK,
    check_trial,
    chunks,
    claims,
    corners,
    looks_taken,
    looks_told,
    missing,
    read_attempt,
    read_id,
    read_result,
    read_round,
    read_tag,
    read_trial,
    result_tags,
    round_note,
)
from hpo.record.owner import Owner
from hpo.record.saved_view import view_tags
from hpo.record.values import Attempt, Look, Recorded, Round
from hpo.search_space import (
    CategoricalDistribution,
    SearchSpace,
    describe,
    to_table,
    to_text,
)
from hpo.settings import Settings, fingerprint
from hpo.text import VALUE_CHARACTERS, shortened
from hpo.trial import State, Trial, TrialId, TrialResult
from hpo.workers.attempt import Progress

if TYPE_CHECKING:  # MLflow takes a second to import
    from mlflow import MlflowClient
    from mlflow.entities import Run

PAGE = 500  # runs read by one request
REFUSED_TRIES = 3  # that fail before, and then while, another write is tried and goes through
DATABASE_TRIES = 2  # at opening a database; MLflow's 10 take two minutes
HEARTBEAT_STANDS = 30.0  # seconds after which a process elsewhere counts as gone
_STATUS = {
    State.COMPLETE: "FINISHED",
    State.DIVERGED: "FINISHED",  # a result, if a bad one
    State.PRUNED: "KILLED",
    State.FAILED: "FAILED",
}
_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # the outbox tries again by itself
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "GIT_PYTHON_REFRESH": "quiet",
    "PGCONNECT_TIMEOUT": "4",  # seconds, of each try and each address of a host
}
_AT_THE_SAME_MOMENT = (
    "another process began this study at the same moment; run the same command again once it ended"
)
_NO_ATTEMPT = Attempt(0, "")
LOOKS_TOLD = 50  # at most, so that they fit into a tag
T = TypeVar("T")


class Tracking:
    """A connection to an MLflow store or server; every call may raise RecordUnavailable.

    Claims are made for `owner`, by default this process.
    """

    def __init__(self, uri: str, owner: Owner | None = None) -> None:
        self.uri = uri
        self._owner = owner or Owner.this_process()
        _check_reachable(uri)
        for name, value in _SETTINGS.items():
            os.environ.setdefault(name, value)
        for name in ("alembic", "mlflow"):
            logging.getLogger(name).setLevel(logging.ERROR)
        path = path_of(uri)
        self._file = RecordFile(path) if path else None
        if self._file:
            self._client = self._file.open(lambda: _open(uri))
        else:
            self._client = _open(uri)
        self._written: dict[str, int] = {}  # runs since the last `confirm`, and when they ended
        self._experiments: dict[str, str] = {}
        self._rounds: dict[tuple[str, int], str] = {}
        self._spaces: dict[tuple[str, int], SearchSpace] = {}
        self._confirmations: dict[str, str] = {}
        self._running: dict[tuple[str, TrialId, int], tuple[str, int]] = {}
        self._claims: dict[str, tuple[str, int]] = {}  # study -> run with the claim, its number
        self._failures = 0  # of the delivery that is tried now
        self._despite = 0  # how many of them in a row though another write went through

    # studies

    def studies(self) -> list[tuple[str, Mapping[str, str]]]:
        """Return the names and tags of all studies, latest first."""
        experiments = _pages(
            lambda token: self._client.search_experiments(
                filter_string="tags.hpo = 'study'", max_results=PAGE, page_token=token
            )
        )
        return [(experiment.name, experiment.tags) for experiment in experiments]

    def experiment(self, study: str) -> str | None:
        """Return the id of the study's experiment; None where there is none.

        Raises InputError where it was deleted, or where it is not one of ours.
        """
        known = self._experiments.get(study)
        if known is not None:
            return known
        found = _translated(lambda: self._client.get_experiment_by_name(study))
        if found is None:
            return None
        if found.lifecycle_stage == "deleted":
            raise InputError(
                f"the experiment {study!r} was deleted; restore it with "
                f"`mlflow experiments restore --experiment-id {found.experiment_id}`, "
                "or give the study another name"
            )
        if found.tags.get("hpo") != "study":
            raise InputError(
                f"the experiment {study!r} is not a study of hpo; give the study another name"
            )
        self._experiments[study] = found.experiment_id
        return self._experiments[study]

    def create(
        self,
        study: str,
        description: str,
        tags: Mapping[str, str],
        columns: Sequence[str],
        again: bool = False,
    ) -> str:
        """Create the study's experiment and return its id; with `again` take one that is there.

        `columns` are what the UI shows of each run, such as "params.`momentum`". A name is given
        once: of several processes one wins. Raises InputError for the others.
        """
        from mlflow.exceptions import MlflowException

        experiment_id = self.experiment(study)
        if experiment_id is not None and not again:
            raise InputError(_AT_THE_SAME_MOMENT)
        if experiment_id is None:
            all_tags = {
                "hpo": "study",
                "mlflow.note.content": description,
                **view_tags(columns),
                **tags,
            }
            try:
                self._client.create_experiment(study, self._artifact_location(), tags=all_tags)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise _translation(error) from error
                if not again:
                    raise InputError(_AT_THE_SAME_MOMENT) from error
            experiment_id = self.experiment(study)
        if experiment_id is None:
            raise RecordUnavailable(f"the experiment {study!r} was created and is gone")
        return experiment_id

    # rounds

    def start_round(
        self,
        study: str,
        number: int,
        search_space: SearchSpace,
        settings: Settings,
        *,
        decisions: Sequence[Decision],
        params: Mapping[str, str],
        data: Description | None,
        files: Mapping[str, str],
        again: bool = False,
    ) -> Round:
        """Record that a round begins: its ranges, what it came from, and what it runs on.

        With `again` take what an earlier try left.
        """
        from mlflow.entities import Dataset as MlflowDataset
        from mlflow.entities import DatasetInput, InputTag, Param

        experiment_id = self._experiments[study]
        table, proposal = settings.to_table(), [decision.to_table() for decision in decisions]
        tags = {
            "kind": "round",
            "round": str(number),
            "mlflow.note.content": round_note(search_space, decisions),
            **chunks(
                "search_space", json.dumps({n: to_table(d) for n, d in search_space.items()})
            ),
            **chunks("settings", json.dumps(table)),
            **chunks("proposal", json.dumps(proposal) if proposal else ""),
        }
        edges = {}
        for name, distribution in search_space.items():
            if isinstance(distribution, CategoricalDistribution):
                edges[f"{name}.choices"] = describe(distribution)
            else:
                edges[f"{name}.low"] = repr(distribution.low)
                edges[f"{name}.high"] = repr(distribution.high)

        def write() -> str:
            query = f"tags.kind = 'round' and tags.round = '{number}'"
            run = next(self._runs(experiment_id, query), None) if again else None
            if run is None:
                run = self._client.create_run(
                    experiment_id, run_name=f"round {number}", tags=tags
                )
            run_id: str = run.info.run_id
            all_params = [
                Param(k, shortened(v, VALUE_CHARACTERS)) for k, v in {**params, **edges}.items()
            ]
            self._client.log_batch(run_id, params=all_params)
            if data is not None:
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

        run_id = _translated(write)
        self._rounds[study, number], self._spaces[study, number] = run_id, search_space
        return Round(
            number=number, run_id=run_id, search_space=search_space, settings=settings,
            fingerprint=fingerprint(table), ended=False, decisions=tuple(decisions),
        )

    def end_round(
        self, run_id: str, best_so_far: Mapping[str, Sequence[float]], tags: Mapping[str, str]
    ) -> None:
        """Record that a round ended, with its best so far by trial number."""
        from mlflow.entities import Metric, RunTag

        now = int(time.time() * 1000)
        metrics = [
            Metric(name, value, now, step)
            for name, values in best_so_far.items()
            for step, value in corners(values)
        ]

        def write() -> None:
            self._client.log_batch(run_id, metrics, tags=[RunTag(k, v) for k, v in tags.items()])
            self._client.set_terminated(run_id, "FINISHED")

        try:
            _translated(write)
        except RecordRefused:
            self._refuse_deleted(next(name for (name, _), r in self._rounds.items() if r == run_id))
            raise

    def history(self, run_id: str, metric: str) -> list[float]:
        """Return a metric of a run by epoch; for few runs, since each takes a request."""
        points = _translated(lambda: self._client.get_metric_history(run_id, metric))
        return [point.value for point in sorted(points, key=lambda point: point.step)]

    def add_files(self, run_id: str, folder: Path) -> None:
        """Add the files of a folder to a run."""
        _translated(lambda: self._client.log_artifacts(run_id, str(folder)))

    def claim(self, study: str, note: Callable[[str], None]) -> None:
        """Become the one process that runs the study.

        The claim is a param of the first round's run, since a param is written once: of several
        processes one wins. Raises InputError where another process has it and lives. One on this
        machine is seen to be gone at once, one elsewhere when its heartbeat stands still.
        """
        from mlflow.exceptions import MlflowException

        if study in self._claims:
            return
        experiment_id = self._experiments[study]
        rounds = list(self._runs(experiment_id, "tags.kind = 'round'"))
        first = min(rounds, key=lambda run: (int(run.data.tags["round"]), run.info.start_time))
        same = [r for r in rounds if r.data.tags["round"] == first.data.tags["round"]]
        if len(same) > 1:
            mine = self._rounds.get((study, int(first.data.tags["round"])), "")
            if any(claims(r) for r in same if r.info.run_id != mine) and mine:
                self.discard(mine)
            raise InputError(_AT_THE_SAME_MOMENT)
        number, owner = max(claims(first).items(), default=(0, None))
        if owner is not None and first.data.tags.get("released") != str(number):
            self._wait_until_gone(first.info.run_id, owner, note)
        me = self._since_now()
        try:
            self._client.log_param(first.info.run_id, f"owner {number + 1}", me)
        except MlflowException as error:
            if error.error_code != "INVALID_PARAMETER_VALUE":
                raise _translation(error) from error
            raise InputError(
                "another process took this study over at the same moment; it goes on there"
            ) from error
        self._claims[study] = first.info.run_id, number + 1

    def keep(self, study: str) -> None:
        """Move the heartbeat of the claim; raise HPOError where another process took over.

        Raises HPOError as well where the last round, or the confirmation, was deleted: what runs
        no longer counts.
        """
        self.verify()
        if study not in self._claims:
            return
        self._refuse_deleted(study)
        run_id, number = self._claims[study]

        def write() -> None:
            self._client.set_tag(run_id, "heartbeat", repr(time.time()))
            latest, owner = max(claims(self._client.get_run(run_id)).items())
            if latest > number:
                raise HPOError(f"{owner} took this study over; it goes on there")

        try:
            _translated(write)
        except RecordRefused:  # an earlier round was deleted, and the claim with it
            del self._claims[study]
            self.claim(study, lambda _: None)

    def release(self, study: str) -> None:
        """Give the claim up, so that the next process need not wait."""
        if study in self._claims:
            self.verify()
            run_id, number = self._claims.pop(study)
            _translated(lambda: self._client.set_tag(run_id, "released", str(number)))

    def _refuse_deleted(self, study: str) -> None:
        """Raise HPOError where the last round or the confirmation of a study was deleted."""
        rounds = {n: run_id for (name, n), run_id in self._rounds.items() if name == study}
        last = max(rounds)
        parents = {f"round {last}": rounds[last]}
        if study in self._confirmations:
            parents["the confirmation"] = self._confirmations[study]
        for name, run_id in parents.items():
            run = _translated(lambda run_id=run_id: self._client.get_run(run_id))  # type: ignore[misc]
            if run.info.lifecycle_stage == "deleted":
                raise HPOError(
                    f"{name} was deleted in MLflow while it ran, and no longer counts; "
                    "the same command begins it anew"
                )

    def _since_now(self) -> str:
        return replace(self._owner, since=time.time()).to_text()

    def _wait_until_gone(self, run_id: str, owner: Owner, note: Callable[[str], None]) -> None:
        if owner.is_gone():
            return
        refusal = f"{owner} runs this study; wait for it, or stop it"
        if owner.host == self._owner.host:
            raise InputError(refusal)
        note(f"{owner} ran this study; waiting {HEARTBEAT_STANDS:.0f} s for a sign of life")
        before = self._client.get_run(run_id).data.tags.get("heartbeat")
        waited = 0.0
        while waited < HEARTBEAT_STANDS:
            time.sleep(1.0)
            waited += 1.0
            if self._client.get_run(run_id).data.tags.get("heartbeat") != before:
                raise InputError(refusal)

    # what was written

    def verify(self) -> None:
        """Look whether the newest results are in the file at the path of the record.

        Raises RecordReplaced where they are not. Of a server its answers are all there is.
        """
        if self._file:
            self._file.check(self._written)

    def confirm(self) -> None:
        """Read back every result that was delivered since the last time, as `verify` does."""
        if self._file:
            written = dict(self._written)
            self._file.check(written, thorough=True)
            for run_id in written:
                self._written.pop(run_id, None)

    def close(self) -> None:
        """Leave a record whose file alone is complete."""
        if self._file:
            self._file.checkpoint()

    # trials

    def deliver(self, study: str, metric: str, result: TrialResult, *, again: bool) -> None:
        """Record a result, with the whole curve of `metric` where it is read back in pages.

        With `again` look first for what an earlier try left.

        Raises RecordRefused where the run, its round or the experiment was deleted, or where
        MLflow has no room for what is in the result.
        """
        trial = result.trial
        key = (study, trial.id, result.attempt)
        self._parent(study, trial)
        fault = self._fault(study, metric, result)
        if fault:
            raise RecordRefused(f"{trial.id} has {fault}")
        run_id, told = self._running.get(key, (None, 0))
        tags = result_tags(result, metric)
        ended = int((result.started + result.seconds) * 1000)

        def write() -> None:
            nonlocal run_id
            if run_id is None and again:
                run_id = self._find(study, trial, result.attempt)
            if run_id is None:
                run_id = self._create_trial(study, trial, result.attempt, result.started, tags)
                missing = {}
            else:
                missing = tags
            self._log(run_id, result, told, missing)
            self._client.set_terminated(run_id, _STATUS[result.state], ended)

        try:
            _translated(write)
        except HPOError as error:
            refused = self._refusal(study, trial, error)
            if isinstance(refused, RecordRefused):
                self._failures = self._despite = 0
                self._running.pop(key, None)
                if run_id and refused is not error:  # something was written before the refusal
                    with contextlib.suppress(HPOError):
                        self.discard(run_id)
            raise refused from error
        self._failures = self._despite = 0
        self._running.pop(key, None)
        if run_id is not None and self._file:
            self._written[run_id] = ended

    def _fault(self, study: str, metric: str, result: TrialResult) -> str:
        """Return what of a result would not be read back as it is, or ""."""
        trial = result.trial
        without = missing(trial, self._spaces.get((study, trial.round), {}))
        if without:
            return f"no {without[0]}"
        if result.epoch is not None and result.epoch > len(result.curve(metric)):
            return f"no {metric} at epoch {result.epoch}"
        for name, value in trial.hyperparameters.items():
            if len(to_text(value)) > VALUE_CHARACTERS:
                return f"a {name} of more than {VALUE_CHARACTERS} characters"
        return ""

    def _refusal(self, study: str, trial: Trial, error: HPOError) -> HPOError:
        """Return what a delivery that failed raises, so that no result blocks those after it.

        A refusal is not always told from an absence by its words. But where one result fails
        again and again, and another write right after it does not, it is the result.
        """
        if isinstance(error, RecordRefused):
            return error
        cause = error.__cause__
        code = getattr(cause, "error_code", "")
        if code == "INVALID_PARAMETER_VALUE" or _is_about_content(cause):
            return RecordRefused(str(error))
        if isinstance(error, InputError) and code != "BAD_REQUEST":
            return error  # of the password: true of every result
        self._failures += 1
        if self._failures >= REFUSED_TRIES and code != "TEMPORARILY_UNAVAILABLE":
            try:
                run_id = self._parent(study, trial)
                self._client.set_tag(run_id, "heartbeat", repr(time.time()))
                self._despite += 1
            except Exception:  # it is away, or came back and went again
                self._despite = 0
            if self._despite >= REFUSED_TRIES:
                return RecordRefused(str(error))
        return RecordUnavailable(str(error))

    def show(self, study: str, progress: Progress) -> None:
        """Record the epochs of a trial that still runs, for those who watch."""
        trial = progress.trial
        key = (study, trial.id, progress.attempt)

        def write() -> None:
            run_id, told = self._running.get(key, (None, 0))
            if run_id is None:
                run_id = self._create_trial(study, trial, progress.attempt, progress.started, {})
            partial = TrialResult(
                trial, State.COMPLETE, metrics=progress.metrics, started=progress.started,
                seconds=time.time() - progress.started,
            )
            self._log(run_id, partial, told, {})
            self._running[key] = run_id, len(progress.metrics)

        _translated(write)

    def abandon(self, study: str, trial: Trial, attempt: int) -> None:
        """Delete what was shown of an attempt that was lost."""
        run_id, _ = self._running.pop((study, trial.id, attempt), ("", 0))
        if run_id:
            self.discard(run_id)

    def discard(self, run_id: str) -> None:
        """End and delete the run of an attempt that has no result, and mark it as ours to lose."""

        def write() -> None:
            self._client.set_tag(run_id, "superseded", "true")
            self._client.set_terminated(run_id, "KILLED")
            self._client.delete_run(run_id)

        _translated(write)

    def read(self, study: str) -> Recorded | None:
        """Return all that the record knows of a study; None where it knows nothing."""
        experiment_id = self.experiment(study)
        if experiment_id is None:
            return None
        with _uncollected():
            try:
                return self._read(study, experiment_id)
            except InputError as error:  # of a tag that somebody edited
                raise InputError(f"the study {study!r} cannot be read: {error}") from error

    def _read(self, study: str, experiment_id: str) -> Recorded:
        rounds: dict[str, Round] = {}
        looks: dict[int, Look] = {}
        for run in self._runs(experiment_id, "tags.kind = 'round'"):
            rounds[run.info.run_id] = read_round(run)
            looks |= looks_taken(run)
        looks |= self._looks_told(experiment_id)
        metric = next((r.settings.metric for r in rounds.values()), "")
        results: dict[TrialId, TrialResult] = {}
        runs: dict[TrialId, str] = {}
        attempts: dict[TrialId, Attempt] = {}
        for run in self._runs(experiment_id, "tags.kind = 'trial'"):
            tags = run.data.tags
            if tags.get("mlflow.parentRunId") not in rounds:
                continue  # its round was deleted, and took it along
            identity = read_id(run)
            if run.info.status != "RUNNING" and "superseded" not in tags:
                results[identity] = read_result(run, metric)
                check_trial(run, results[identity].trial, rounds[tags["mlflow.parentRunId"]])
                runs[identity] = run.info.run_id
            elif attempts.get(identity, _NO_ATTEMPT).number < read_attempt(run):
                attempts[identity] = Attempt(read_attempt(run), run.info.run_id)
        spent = {}
        for run in self._runs(experiment_id, "tags.kind = 'trial'", deleted=True):
            tags = run.data.tags
            parent = rounds.get(tags.get("mlflow.parentRunId", ""))
            if parent is not None and "superseded" not in tags:
                trial = _deleted_trial(run, parent)
                if trial.number and trial.id not in results:
                    spent[trial.id] = TrialResult(trial, State.FAILED, message="deleted")
        for round_ in rounds.values():
            self._rounds[study, round_.number] = round_.run_id
            self._spaces[study, round_.number] = round_.search_space
        repeats, repeat_attempts = self._repeats(study, metric, results)
        return Recorded(
            experiment_id=experiment_id,
            rounds=tuple(sorted(rounds.values(), key=lambda r: r.number)),
            results=_in_order(results),
            spent=_in_order(spent),
            runs=runs,
            attempts=attempts,
            looks=_in_order(looks),
            repeats=repeats,
            repeat_attempts=repeat_attempts,
        )

    # the end of a study

    def start_confirmation(self, study: str) -> None:
        """Record that trials are about to be repeated, unless some were already."""
        if study in self._confirmations:
            return
        experiment_id = self._experiments[study]

        def write() -> str:
            run = next(self._runs(experiment_id, "tags.kind = 'confirmation'"), None)
            run = run or self._client.create_run(
                experiment_id, run_name="confirmation", tags={"kind": "confirmation"}
            )
            run_id: str = run.info.run_id
            return run_id

        self._confirmations[study] = _translated(write)

    def end_confirmation(self, study: str, note: str) -> None:
        """Record what came of the repeats, in Markdown."""
        run_id = self._confirmations[study]

        def write() -> None:
            self._client.set_tag(run_id, "mlflow.note.content", note)
            self._client.set_terminated(run_id, "FINISHED")

        try:
            _translated(write)
        except RecordRefused:
            self._refuse_deleted(study)
            raise

    def _repeats(
        self, study: str, metric: str, results: Mapping[TrialId, TrialResult]
    ) -> tuple[Sequence[TrialResult], Mapping[TrialId, Attempt]]:
        """Return the repeats of trials in `results`, and attempts that lead to none."""
        experiment_id = self._experiments[study]
        parents = [
            run.info.run_id for run in self._runs(experiment_id, "tags.kind = 'confirmation'")
        ]
        self._confirmations.pop(study, None)
        if not parents:
            return (), {}
        self._confirmations[study] = parents[0]
        repeats: dict[TrialId, TrialResult] = {}
        attempts: dict[TrialId, Attempt] = {}
        for run in self._runs(experiment_id, "tags.kind = 'repeat'"):
            tags, trial = run.data.tags, read_trial(run)
            if tags.get("mlflow.parentRunId") not in parents:
                continue  # its confirmation was deleted, and took it along
            found = results.get(trial.original)
            same = found is not None and found.trial.hyperparameters == trial.hyperparameters
            if same and run.info.status != "RUNNING" and "superseded" not in tags:
                repeats[trial.id] = read_result(run, metric)
            elif attempts.get(trial.id, _NO_ATTEMPT).number < read_attempt(run):
                attempts[trial.id] = Attempt(read_attempt(run), run.info.run_id)
        return _in_order(repeats), attempts

    def start_evaluation(self, study: str, params: Mapping[str, str], files: Path) -> str:
        """Record that trained models are about to be judged; return the id of the run."""
        from mlflow.entities import Param

        def write() -> str:
            run = self._client.create_run(
                self._experiments[study], run_name="evaluation", tags={"kind": "evaluation"}
            )
            run_id: str = run.info.run_id
            self._client.log_batch(run_id, params=[Param(k, v) for k, v in params.items()])
            self._client.log_artifacts(run_id, str(files))
            return run_id

        return _translated(write)

    def take_look(self, study: str, look: Look) -> None:
        """Record that the test set is spent, before it is used.

        A param is written once: of several processes one wins. Raises InputError for the others.
        """
        from mlflow.exceptions import MlflowException

        _, first = min((n, run_id) for (name, n), run_id in self._rounds.items() if name == study)
        value = f"{look.when} {self._since_now()}"
        try:
            self._client.log_param(first, f"{LOOK}{look.number}", value)
        except MlflowException as error:
            if error.error_code != "INVALID_PARAMETER_VALUE":
                raise _translation(error) from error
            raise InputError(
                "another process used the test set at the same moment; see `hpo show`"
            ) from error

    def end_evaluation(
        self,
        study: str,
        run_id: str,
        look: Look,
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        files: Path,
    ) -> None:
        """Record what came of a look at the test set, on the study first."""
        from mlflow.entities import Metric, RunTag

        experiment_id = self._experiments[study]
        now = int(time.time() * 1000)

        def write() -> None:
            looks = {**self._looks_told(experiment_id), look.number: look}
            told = [vars(looks[number]) for number in sorted(looks)][-LOOKS_TOLD:]
            self._client.set_experiment_tag(experiment_id, "test_set_spent", json.dumps(told))
            all_tags = {"look": str(look.number), "result": look.result, **tags}
            self._client.log_batch(
                run_id, [Metric(name, value, now, 0) for name, value in metrics.items()],
                tags=[RunTag(k, v) for k, v in all_tags.items()],
            )
            self._client.log_artifacts(run_id, str(files))
            self._client.set_terminated(run_id, "FINISHED")

        _translated(write)

    def discard_model(self, address: str) -> None:
        """Delete a model that was kept for nothing."""
        _translated(lambda: self._client.delete_logged_model(address.removeprefix("models:/")))

    def model(self, study: str) -> str:
        """Return the address of the model of the last evaluation; raise InputError without one."""
        experiment_id = self.experiment(study)
        evaluated = {}
        if experiment_id is not None:
            for run in self._runs(experiment_id, "tags.kind = 'evaluation'"):
                if {"look", "model"} <= run.data.tags.keys():
                    evaluated[read_tag(run, "look", int)] = run.data.tags["model"]
        if not evaluated:
            raise InputError(f"the study {study!r} has no model yet; `hpo evaluate` makes one")
        return evaluated[max(evaluated)]

    def _looks_told(self, experiment_id: str) -> dict[int, Look]:
        """Return the looks at the test set that ended, by number."""
        experiment = _translated(lambda: self._client.get_experiment(experiment_id))
        try:
            return looks_told(experiment.tags.get("test_set_spent", "[]"))
        except (ValueError, TypeError, RecursionError) as error:
            raise InputError(
                f"the tag 'test_set_spent' of the experiment {experiment.name!r} cannot be read "
                f"({error}); set it back in MLflow, or take it out"
            ) from error

    def _create_trial(
        self, study: str, trial: Trial, attempt: int, started: float, tags: Mapping[str, str]
    ) -> str:
        name, own = f"trial {trial.number}", {"kind": "trial"}
        if trial.repeat:
            name += f" of round {trial.round}, repeat {trial.repeat}"
            name += ", fresh split" if trial.resplit else ""
            own = {
                "kind": "repeat", "repeat": str(trial.repeat), "resplit": str(trial.resplit).lower()
            }
        run = self._client.create_run(
            self._experiments[study],
            start_time=int(started * 1000),
            run_name=name,
            tags={
                "mlflow.parentRunId": self._parent(study, trial),
                "round": str(trial.round),
                "number": str(trial.number),
                "attempt": str(attempt),
                "seed": str(trial.seed),
                **own,
                **tags,
            },
        )
        run_id: str = run.info.run_id
        return run_id

    def _parent(self, study: str, trial: Trial) -> str:
        """Return the run that a trial or its repeat belongs under.

        Raises RecordRefused where that was deleted, RoundAbsent where it never was.
        """
        if (study, trial.round) not in self._rounds:
            query = f"tags.kind = 'round' and tags.round = '{trial.round}'"
            raise self._absent(study, f"round {trial.round}", query)
        if trial.repeat and study not in self._confirmations:
            raise self._absent(study, "confirmation", "tags.kind = 'confirmation'")
        return self._confirmations[study] if trial.repeat else self._rounds[study, trial.round]

    def _absent(self, study: str, what: str, query: str) -> HPOError:
        """Return what it means that the record has no such run of a study."""
        experiment_id = self.experiment(study)
        if experiment_id and any(self._runs(experiment_id, query, deleted=True)):
            return RecordRefused(f"{what} was deleted")
        return RoundAbsent(f"the record has no {what} of the study {study!r}")

    def _log(
        self, run_id: str, result: TrialResult, told: int, tags: Mapping[str, str]
    ) -> None:
        """Log hyperparameters and the epochs after the first `told`, all in one batch."""
        from mlflow.entities import Metric, Param, RunTag

        epochs = len(result.metrics)
        metrics = []
        for epoch in range(told + 1, epochs + 1):
            # Spread over the trial, and the same again for the same result.
            moment = int((result.started + result.seconds * epoch / epochs) * 1000)
            for name, value in result.metrics[epoch - 1].items():
                # MLflow turns infinity into a large number, which is worse than no number.
                shown = value if abs(value) < float("inf") else float("nan")
                metrics.append(Metric(name, shown, moment, epoch))
        params = [Param(n, to_text(v)) for n, v in result.trial.hyperparameters.items()]
        self._client.log_batch(
            run_id, metrics, [] if told else params, [RunTag(k, v) for k, v in tags.items()]
        )

    def _find(self, study: str, trial: Trial, attempt: int) -> str | None:
        """Return the run of an attempt, where an earlier delivery began one."""
        from mlflow.entities import ViewType

        found = self._client.search_runs(
            [self._experiments[study]],
            f"tags.kind = '{'repeat' if trial.repeat else 'trial'}' and "
            f"tags.round = '{trial.round}' and tags.number = '{trial.number}' and "
            f"tags.attempt = '{attempt}'",
            ViewType.ALL,
        )
        parent = self._parent(study, trial)
        ours = [
            run for run in found
            if read_id(run) == trial.id and "superseded" not in run.data.tags
            and run.data.tags.get("mlflow.parentRunId") == parent
        ]
        if any(run.info.lifecycle_stage == "deleted" for run in ours):
            raise RecordRefused(f"{trial.id} was deleted")
        return ours[0].info.run_id if ours else None

    def _runs(self, experiment_id: str, query: str, deleted: bool = False) -> "Iterator[Run]":
        from mlflow.entities import ViewType

        view = ViewType.DELETED_ONLY if deleted else ViewType.ACTIVE_ONLY
        return _pages(
            lambda token: self._client.search_runs(
                [experiment_id], query, view, PAGE, ["attributes.start_time ASC"], token
            )
        )

    def _artifact_location(self) -> str | None:
        """Return a folder beside the database of a local store; None where a server decides."""
        return artifacts_beside(self._file.path).as_uri() if self._file else None


def _in_order(known: Mapping[Any, T]) -> tuple[T, ...]:
    return tuple(known[key] for key in sorted(known))


def _deleted_trial(run: "Run", round_: Round) -> Trial:
    """Return the trial of a deleted run, with number 0 where it does not say which one it was.

    To delete the run is the remedy for whatever cannot be read of it, so this never fails.
    """
    with contextlib.suppress(InputError):
        trial = read_trial(run)
        check_trial(run, trial, round_)
        return trial
    number = 0
    with contextlib.suppress(InputError):
        number = read_id(run).number
    middle = {name: d.from_unit(0.5) for name, d in round_.search_space.items()}
    return Trial(round_.number, number, middle, 0)


def _check_reachable(uri: str) -> None:
    """Raise RecordUnavailable at once where no server answers: MLflow would try for minutes."""
    if uri.startswith("postgresql"):
        _check_database(uri)
    if not uri.startswith(("http://", "https://")):
        return
    address = re.sub(r"//[^/@]*@", "//", uri).rstrip("/") + "/health"
    try:
        with urllib.request.urlopen(address, timeout=5):
            pass
    except (OSError, ValueError) as error:
        if getattr(error, "code", None) in (401, 403, 404):
            return  # it is there; what it allows is seen when it is used
        raise RecordUnavailable(
            f"no MLflow server answers at {without_password(uri)}: {error}; "
            "start it, or check --tracking-uri"
        ) from error


def _check_database(uri: str) -> None:
    """Raise RecordUnavailable where nobody listens at the address of a PostgreSQL database."""
    try:
        parts = urllib.parse.urlsplit(uri)
        host, port = parts.hostname, parts.port or 5432
    except ValueError:
        return  # libpq knows more forms of an address
    if not host:
        return
    try:
        with socket.create_connection((host, port), timeout=5):
            pass
    except OSError as error:
        raise RecordUnavailable(_no_database(uri, error)) from error


def _no_database(uri: str, reason: Exception) -> str:
    return (
        f"no database can be opened at {without_password(uri)}: {reason}; "
        "start it, or check --tracking-uri"
    )


def _open(uri: str) -> "MlflowClient":
    """Let MLflow open a record; of a database it makes or upgrades the tables."""
    from mlflow import MlflowClient

    if uri.startswith(("http://", "https://")):
        return _translated(lambda: MlflowClient(uri))
    from mlflow.store.db import utils as databases

    databases.MAX_RETRY_COUNT = DATABASE_TRIES
    try:
        return _translated(lambda: MlflowClient(uri))
    except RecordUnavailable as error:
        if uri.startswith("sqlite"):
            raise
        raise RecordUnavailable(_no_database(uri, error)) from error


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Stop the collector of cycles, which would go over thousands of runs again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _translated(call: Callable[[], T]) -> T:
    """Run `call`; whatever MLflow or its database raise becomes an error of ours."""
    try:
        return call()
    except HPOError:
        raise
    except Exception as error:
        raise _translation(error) from error


def _translation(error: Exception) -> HPOError:
    lines = str(error).splitlines() or [type(error).__name__]
    text = without_password(lines[0])
    code = getattr(error, "error_code", "")
    deleted = "lifecycle" in text or "Current state is deleted" in text
    if code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_STATE") or deleted:
        return RecordRefused(text)
    if code in ("INVALID_PARAMETER_VALUE", "BAD_REQUEST"):
        return InputError(f"MLflow refuses: {text}")
    if code in ("UNAUTHENTICATED", "PERMISSION_DENIED"):
        return InputError(
            f"MLflow refuses: {text}; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        )
    return RecordUnavailable(text)


def _is_about_content(error: BaseException | None) -> bool:
    """Say whether a text or number itself was in the way, by what a database raises then."""
    while error is not None:
        if isinstance(error, UnicodeError) or type(error).__name__ == "DataError":
            return True
        error = error.__cause__ or error.__context__
    return False


def _pages(fetch: Callable[[str | None], Any]) -> Iterator[Any]:
    token: str | None = None
    while True:
        page = _translated(lambda token=token: fetch(token))  # type: ignore[misc]
        yield from page
        token = page.token
        if not token:
            return
