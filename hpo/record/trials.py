"""The runs of trials: delivering results, and showing epochs while they run."""

import contextlib
import time
from collections.abc import Mapping
from dataclasses import replace

from hpo.distributions import to_text
from hpo.errors import HPOError, InputError, RecordRefused, RecordUnavailable, RoundAbsent
from hpo.record.connection import OUTPUT_FILE, Connection, is_about_content, translated
from hpo.record.experiments import of_study
from hpo.record.format import (
    ADDED,
    CONFIRMATION,
    EXTENDED,
    EXTENDED_TO,
    EXTENSION,
    OF,
    RANKED_BY,
    Pages,
    missing,
    read_id,
    result_tags,
)
from hpo.record.saved_view import run_page
from hpo.search_space import SearchSpace
from hpo.text import VALUE_CHARACTERS
from hpo.trial import STANDARD_ERROR, VALUE, Progress, State, Trial, TrialId, TrialResult

REFUSED_TRIES = 3  # that fail before, and then while, another write is tried and goes through
_STATUS = {
    State.COMPLETE: "FINISHED",
    State.DIVERGED: "FINISHED",  # a result, if a bad one
    State.INFEASIBLE: "FINISHED",
    State.PRUNED: "KILLED",
    State.STOPPED: "KILLED",
    State.FAILED: "FAILED",
}


class Parents:
    """The runs of a study that have runs below them, as far as this process knows them."""

    def __init__(self, connection: Connection, study: str) -> None:
        self.study = study
        self.rounds: dict[int, str] = {}
        self.spaces: dict[int, SearchSpace] = {}
        self.trials: dict[TrialId, str] = {}  # those that have parts
        self.searched: Mapping[TrialId, str] = {}  # all that were on record when it was read
        self.groups: dict[str, str] = {}  # of trials that follow the search, by kind
        self._connection = connection
        self._experiment_id = ""

    def experiment(self) -> str | None:
        """Return the id of the study's experiment; None if there is none.

        Raises InputError if it was deleted, or is not an hpo study.
        """
        if self._experiment_id:
            return self._experiment_id
        found = of_study(self._connection, self.study)
        if found is None:
            return None
        self._experiment_id = found.experiment_id
        return self._experiment_id

    @property
    def experiment_id(self) -> str:
        """The id of the experiment, which must exist."""
        experiment_id = self.experiment()
        if experiment_id is None:
            raise RecordRefused(f"the experiment {self.study!r} no longer exists")
        return experiment_id


class Trials:
    """The runs of the trials of one study, and of their repeats."""

    def __init__(self, connection: Connection, parents: Parents) -> None:
        self._connection, self._client, self._parents = connection, connection.client, parents
        # Of attempts that are shown: their runs, and how many epochs those have.
        self._shown: dict[tuple[TrialId, int], tuple[str, int]] = {}
        # How often deliveries failed, and how often in a row though another write went through.
        self._failures: dict[tuple[TrialId, int], tuple[int, int]] = {}

    def deliver(self, metric: str, result: TrialResult, *, again: bool) -> None:
        """Record a result, with the whole curve of `metric` in tags that are read in pages.

        With `again`, first look for what an earlier try left.

        Raises RecordRefused if the run, its round or the experiment was deleted, or if MLflow has
        no room for the contents of the result.
        """
        trial = result.trial
        key = (trial.id, result.attempt)
        self._parent(trial)
        fault = self._fault(metric, result)
        if fault:
            raise RecordRefused(f"{trial.id} has {fault}")
        run_id, told = self._shown.get(key, (None, 0))
        experiment_id, original = self._parents.experiment_id, self._parents.searched.get(
            trial.original, ""
        )
        pages = Pages(
            run_page(experiment_id, self._parents.rounds[trial.round]),
            run_page(experiment_id, original) if original and not trial.id.is_searched else "",
        )
        tags = result_tags(result, metric, pages)
        ended = int((result.started + result.seconds) * 1000)
        if result.parts is not None:  # whose seconds are those of all, side by side or not
            ended = int(time.time() * 1000)

        def write() -> None:
            nonlocal run_id
            if result.parts is not None:
                run_id = self._of_parts(trial)
            elif run_id is None and again:
                run_id = self._find(trial, result.attempt)
            if run_id is None:
                run_id = self._create_trial(trial, result.attempt, result.started, tags)
                added = {}
            else:
                added = tags
            self._log_epochs(run_id, result, told, added, ranked=RANKED_BY in tags)
            if result.output:
                self._client.log_text(run_id, result.output, OUTPUT_FILE)
            self._client.set_terminated(run_id, _STATUS[result.state], ended)

        try:
            translated(write)
        except HPOError as error:
            refused = self._refusal(result, error)
            if isinstance(refused, RecordRefused):
                self._failures.pop(key, None)
                self._shown.pop(key, None)
                if run_id and refused is not error:  # something was written before the refusal
                    with contextlib.suppress(HPOError):
                        self._connection.discard(run_id)
            raise refused from error
        self._failures.pop(key, None)
        self._shown.pop(key, None)
        if run_id is not None:
            self._connection.has_written(run_id, ended)

    def _fault(self, metric: str, result: TrialResult) -> str:
        """Return which part of a result could not be read back as it is, or ""."""
        trial = result.trial
        without = missing(trial, self._parents.spaces.get(trial.round, {}))
        if without:
            return f"no {without[0]}"
        if result.epoch is not None and result.epoch > len(result.curve(metric)):
            return f"no {metric} at epoch {result.epoch}"
        for name, value in trial.hyperparameters.items():
            if len(to_text(value)) > VALUE_CHARACTERS:
                return f"a {name} with more than {VALUE_CHARACTERS} characters"
        return ""

    def _refusal(self, result: TrialResult, error: HPOError) -> HPOError:
        """Return the error to raise for a failed delivery, so that no result blocks later ones.

        The error alone does not always tell a rejection from an outage. But if one result fails
        again and again, and another write right after it does not, the result is the problem.
        """
        if isinstance(error, RecordRefused):
            return error
        cause = error.__cause__
        code = getattr(cause, "error_code", "")
        if code == "INVALID_PARAMETER_VALUE" or is_about_content(cause):
            return RecordRefused(str(error))
        if isinstance(error, InputError) and code != "BAD_REQUEST":
            return error  # of the password: true of every result
        key = (result.trial.id, result.attempt)
        failures, despite = self._failures.get(key, (0, 0))
        failures += 1
        if failures >= REFUSED_TRIES and code != "TEMPORARILY_UNAVAILABLE":
            try:
                run_id = self._parent(result.trial)
                self._client.set_tag(run_id, "heartbeat", repr(time.time()))
                despite += 1
            except Exception:  # it is away, or came back and went again
                despite = 0
            if despite >= REFUSED_TRIES:
                return RecordRefused(str(error))
        self._failures[key] = failures, despite
        return RecordUnavailable(str(error))

    def show(self, progress: Progress) -> None:
        """Record the epochs of a running trial, for people who are watching."""
        trial = progress.trial
        key = (trial.id, progress.attempt)

        def write() -> None:
            run_id, told = self._shown.get(key, (None, 0))
            if run_id is None:
                run_id = self._create_trial(trial, progress.attempt, progress.started, {})
            partial = TrialResult(
                trial, State.COMPLETE, metrics=progress.metrics, started=progress.started,
                seconds=time.time() - progress.started,
            )
            self._log_epochs(run_id, partial, told, {})
            if progress.output:
                self._client.log_text(run_id, progress.output, OUTPUT_FILE)
            self._shown[key] = run_id, len(progress.metrics)

        translated(write)

    def abandon(self, trial: Trial, attempt: int) -> None:
        """Delete what was shown of a lost attempt."""
        run_id, _ = self._shown.pop((trial.id, attempt), ("", 0))
        if run_id:
            self._connection.discard(run_id)

    def _create_trial(
        self, trial: Trial, attempt: int, started: float, tags: Mapping[str, str]
    ) -> str:
        name, own = f"r{trial.round} t{trial.number}", {"kind": "trial"}
        if trial.part:
            name += f", part {trial.part}"
            own = {"kind": "part", "part": str(trial.part)}
        elif trial.extended_to:
            name += f", to epoch {trial.extended_to}"
            own = {"kind": EXTENDED, EXTENDED_TO: str(trial.extended_to)}
        elif trial.repeat:
            name += f", repeat {trial.repeat}"
            name += ", fresh split" if trial.resplit else ""
            own = {
                "kind": "repeat", "repeat": str(trial.repeat), "resplit": str(trial.resplit).lower()
            }
        if not trial.id.is_searched and trial.original in self._parents.searched:
            own |= {OF: self._parents.searched[trial.original]}
        if trial.added and trial.id.is_searched:
            own |= {ADDED: "true"}
        run = self._client.create_run(
            self._parents.experiment_id,
            start_time=int(started * 1000),
            run_name=name,
            tags={
                "mlflow.parentRunId": self._parent(trial),
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

    def _parent(self, trial: Trial) -> str:
        """Return the parent run of a trial, a part, a repeat or an extension.

        Raises RecordRefused if that was deleted, RoundAbsent if it never existed.
        """
        if trial.round not in self._parents.rounds:
            query = f"tags.kind = 'round' and tags.round = '{trial.round}'"
            raise self._absent(f"round {trial.round}", query)
        if trial.part:
            return self._of_parts(replace(trial, part=0))
        if trial.id.is_searched:
            return self._parents.rounds[trial.round]
        group = CONFIRMATION if trial.repeat else EXTENSION
        if group not in self._parents.groups:
            raise self._absent(group, f"tags.kind = '{group}'")
        return self._parents.groups[group]

    def _of_parts(self, trial: Trial) -> str:
        """Return the run of a trial with parts, which is created with the first of them.

        Raises RecordRefused if it was deleted.
        """
        from mlflow.entities import Param

        def write() -> str:
            run_id = self._find(trial, 1) or self._create_trial(trial, 1, time.time(), {})
            params = [Param(n, to_text(v)) for n, v in trial.hyperparameters.items()]
            self._client.log_batch(run_id, params=params)
            return run_id

        if trial.id not in self._parents.trials:
            self._parents.trials[trial.id] = translated(write)
        return self._parents.trials[trial.id]

    def _absent(self, what: str, query: str) -> HPOError:
        """Return the error for a run that the record of a study does not have."""
        experiment_id = self._parents.experiment()
        if experiment_id and any(self._connection.runs(experiment_id, query, deleted=True)):
            return RecordRefused(f"{what} was deleted")
        return RoundAbsent(f"the record has no {what} of the study {self._parents.study!r}")

    def _log_epochs(
        self, run_id: str, result: TrialResult, told: int, tags: Mapping[str, str],
        ranked: bool = False,
    ) -> None:
        """Log hyperparameters and the epochs after the first `told`, all in one batch.

        If `ranked`, the value is also logged as a metric, by which MLflow's tables sort.
        """
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
        if ranked and result.value is not None:
            moment = int((result.started + result.seconds) * 1000)
            metrics.append(Metric(VALUE, result.value, moment, 0))
        error = result.standard_error
        if error is not None and not any(STANDARD_ERROR in epoch for epoch in result.metrics):
            moment = int((result.started + result.seconds) * 1000)
            metrics.append(Metric(STANDARD_ERROR, error, moment, result.epoch or 0))
        params = [Param(n, to_text(v)) for n, v in result.trial.hyperparameters.items()]
        self._client.log_batch(
            run_id, metrics, [] if told else params, [RunTag(k, v) for k, v in tags.items()]
        )

    def _find(self, trial: Trial, attempt: int) -> str | None:
        """Return the run of an attempt, if an earlier delivery created one."""
        from mlflow.entities import ViewType

        kind = (
            "part" if trial.part else EXTENDED if trial.extended_to
            else "repeat" if trial.repeat else "trial"
        )
        found = self._client.search_runs(
            [self._parents.experiment_id],
            f"tags.kind = '{kind}' and "
            f"tags.round = '{trial.round}' and tags.number = '{trial.number}' and "
            f"tags.attempt = '{attempt}'",
            ViewType.ALL,
        )
        parent = self._parent(trial)
        ours = [
            run for run in found
            if read_id(run) == trial.id and "superseded" not in run.data.tags
            and run.data.tags.get("mlflow.parentRunId") == parent
        ]
        if any(run.info.lifecycle_stage == "deleted" for run in ours):
            raise RecordRefused(f"{trial.id} was deleted")
        return ours[0].info.run_id if ours else None
