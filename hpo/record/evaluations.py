"""Evaluations of a study: its uses of the test set, which are counted, and the models kept."""

import json
import time
from collections.abc import Mapping
from pathlib import Path

from hpo.errors import InputError
from hpo.record.claim import Claim
from hpo.record.connection import Connection, translated, translation
from hpo.record.format import LOOK, looks_told, read_tag
from hpo.record.trials import Parents
from hpo.record.values import Look

LOOKS_TOLD = 50  # at most, so that they fit into a tag


class Evaluations:
    """The runs of evaluations, and what the study's experiment says about them."""

    def __init__(self, connection: Connection, parents: Parents, claim: Claim) -> None:
        self.uri = connection.uri
        self._connection, self._client = connection, connection.client
        self._parents, self._claim = parents, claim

    def start(self, params: Mapping[str, str], files: Path) -> str:
        """Record that trained models are about to be evaluated; return the id of the run."""
        from mlflow.entities import Param

        def write() -> str:
            run = self._client.create_run(
                self._parents.experiment_id, run_name="evaluation", tags={"kind": "evaluation"}
            )
            run_id: str = run.info.run_id
            self._client.log_batch(run_id, params=[Param(k, v) for k, v in params.items()])
            self._client.log_artifacts(run_id, str(files))
            return run_id

        return translated(write)

    def take_look(self, look: Look) -> None:
        """Record that the test set is spent, before it is used.

        A param is written once, so one of several processes wins. The others get an InputError.
        """
        from mlflow.exceptions import MlflowException

        first = self._parents.rounds[min(self._parents.rounds)]
        value = f"{look.when} {self._claim.since_now()}"
        try:
            self._client.log_param(first, f"{LOOK}{look.number}", value)
        except MlflowException as error:
            if error.error_code != "INVALID_PARAMETER_VALUE":
                raise translation(error) from error
            raise InputError(
                "another process used the test set at the same moment; see `hpo show`"
            ) from error

    def end(
        self,
        run_id: str,
        look: Look,
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        files: Path,
    ) -> None:
        """Record the result of a use of the test set, on the study first."""
        from mlflow.entities import Metric, RunTag

        experiment_id = self._parents.experiment_id
        now = int(time.time() * 1000)

        def write() -> None:
            looks = {**looks_that_ended(self._connection, experiment_id), look.number: look}
            told = [vars(looks[number]) for number in sorted(looks)][-LOOKS_TOLD:]
            self._client.set_experiment_tag(experiment_id, "test_set_spent", json.dumps(told))
            all_tags = {"look": str(look.number), "result": look.result, **tags}
            self._client.log_batch(
                run_id, [Metric(name, value, now, 0) for name, value in metrics.items()],
                tags=[RunTag(k, v) for k, v in all_tags.items()],
            )
            self._client.log_artifacts(run_id, str(files))
            self._client.set_terminated(run_id, "FINISHED")

        translated(write)

    def discard_model(self, address: str) -> None:
        """Delete a model that is not needed after all."""
        translated(lambda: self._client.delete_logged_model(address.removeprefix("models:/")))

    def model(self) -> str:
        """Return the address of the last evaluation's model; raise InputError if there is none."""
        experiment_id = self._parents.experiment()
        evaluated = {}
        if experiment_id is not None:
            for run in self._connection.runs(experiment_id, "tags.kind = 'evaluation'"):
                if "look" in run.data.tags:
                    evaluated[read_tag(run, "look", int)] = run.data.tags
        who = f"the study {self._parents.study!r} has no model yet"
        if not evaluated:
            raise InputError(f"{who}; run `hpo evaluate` to keep one")
        last = evaluated[max(evaluated)]
        if not last.get("model"):
            why = last.get("not_kept") or "it had no table [data]"
            raise InputError(f"{who}; its last evaluation did not keep one: {why}")
        return str(last["model"])


def looks_that_ended(connection: Connection, experiment_id: str) -> dict[int, Look]:
    """Return the completed uses of the test set, by number."""
    experiment = translated(lambda: connection.client.get_experiment(experiment_id))
    try:
        return looks_told(experiment.tags.get("test_set_spent", "[]"))
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(
            f"the tag 'test_set_spent' of the experiment {experiment.name!r} cannot be read "
            f"({error}); restore it in MLflow, or remove it"
        ) from error
