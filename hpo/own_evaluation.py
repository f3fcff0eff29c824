"""Evaluate a study without [data]: its objective scores the best trial, and that is recorded.

hpo cannot guard data that it does not hold back, and the record says so.
"""

import contextlib
import json
import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hpo import wording
from hpo.checkpoints.trials import Checkpoints
from hpo.data.predictor import Predictor
from hpo.errors import HPOError, InputError, RecordUnavailable
from hpo.evaluation import Request, begin, best, keep, next_look, refuse_repetition
from hpo.forms import as_metrics
from hpo.own_models import OwnModel, own_model
from hpo.program import TEST
from hpo.record.models import log_model
from hpo.record.study import StudyRecord
from hpo.record.values import Look, Recorded
from hpo.retraining import Listener, quiet, reason, recall, retrain, trial_process
from hpo.study import StudyFile
from hpo.text import one_line
from hpo.threads import limit_threads
from hpo.trial import Trial, TrialResult

UNGUARDED = (
    "scored by the objective on its own data: hpo cannot know whether trials have seen it"
)


@dataclass(frozen=True)
class OwnEvaluation:
    """The objective's own score of the best trial, which was retrained for `epochs`.

    `model` is an address in MLflow, "" if none was saved, in which case `not_kept` says why.
    """

    study: str
    look: Look
    metrics: Mapping[str, float]
    trial: Trial
    epochs: int
    run_id: str
    model: str = ""
    not_kept: str = ""
    kept: bool = False  # whether the model is the validated one, not retrained

    def __str__(self) -> str:
        """Return the result as one line."""
        return self.look.result

    def to_table(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "study": self.study,
            "look": self.look.number,
            "repeated": self.look.number > 1,
            "when": self.look.when,
            "guarded": False,
            "metrics": dict(self.metrics),
            "round": self.trial.round,
            "number": self.trial.number,
            "hyperparameters": dict(self.trial.hyperparameters),
            "epochs": self.epochs,
            "kept": self.kept,
            "run": self.run_id,
            "model": self.model or None,
        }


def evaluate(
    study: StudyFile,
    recorded: Recorded,
    record: StudyRecord,
    listener: Listener,
    request: Request = Request(),  # noqa: B008  # it is frozen
) -> OwnEvaluation:
    """Retrain the best trial, or load its checkpoint, and let its objective score it.

    The evaluation is recorded before its result is shown: one that fails spends nothing.

    Raises InputError if an evaluation is recorded and `again` is not set, if there is no trial, or
    if the objective cannot score a model; HPOError if training fails.
    """
    kept = request.kept
    refuse_without_evaluate(study, request.top)
    refuse_repetition(study, recorded, request.again)
    (result,) = best(study, recorded, 1)
    limit_threads(study.resources.cpus)
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / part for part in ("trial", "files", "outcome", "model")]
        for folder in folders:
            folder.mkdir()
        trial, files, outcome, saved = folders
        model, metrics, epochs = _judged(study, result, listener, trial, kept)
        predictor, not_kept = _kept(study, model, saved)
        if not_kept and study.program is None:
            listener.note(f"the model is not saved: {not_kept}")
        run_id = begin(study, record, recorded, [result], files, from_copy=kept is not None)
        look, address = next_look(recorded), ""
        try:
            if predictor is not None:
                address = log_model(
                    study, record.evaluations.uri, run_id, predictor.preprocessing,
                    predictor.members, saved,
                )
            record.evaluations.take_look(look)
        except BaseException:
            with contextlib.suppress(HPOError):
                record.discard(run_id)
                if address:
                    record.evaluations.discard_model(address)
            raise
        look = replace(look, result=f"{_summary(metrics)}, {UNGUARDED}")
        evaluation = OwnEvaluation(
            study.name, look, metrics, result.trial, epochs, run_id, address, not_kept,
            kept is not None,
        )
        text = json.dumps(evaluation.to_table(), indent=2, ensure_ascii=False)
        (outcome / "evaluation.json").write_text(text, encoding="utf-8")
        try:
            record.evaluations.end(run_id, look, metrics, _tags(evaluation), outcome)
        except RecordUnavailable as error:  # the result must not be lost with it
            raise HPOError(
                f"{look.result}; but the record is unreachable, and knows only that there was an "
                f"evaluation: {error}"
            ) from error
    return evaluation


def tried_to_keep(study: StudyFile, model: Any, folder: Path) -> Predictor:
    """Save a model in a folder, and check that it predicts the same once loaded.

    Raises ValueError, one line with the remedy, if it cannot be saved.
    """
    with trial_process(study, study.seed):
        own: OwnModel = quiet(lambda: own_model(study.objective, model))
        try:
            quiet(lambda: keep(study, own.predictor, own.inputs, folder))
        except InputError as error:
            raise ValueError(str(error)) from error
    return own.predictor


def _kept(study: StudyFile, model: Any, folder: Path) -> tuple[Predictor | None, str]:
    """Return a model as it was saved in a folder, or why it was not."""
    if study.program is not None:
        return None, "it was trained by a program, which saves its own models"
    (folder / "predictor").mkdir()
    try:
        return tried_to_keep(study, model, folder / "predictor"), ""
    except ValueError as error:
        return None, one_line(str(error))


def refuse_without_evaluate(study: StudyFile, top: int = 1) -> None:
    """Raise InputError if there is nothing to score with, or more than one model to score."""
    if study.objective.evaluate is None:
        function = study.objective.name.partition(":")[2]
        raise InputError(
            f"{study.path}: `hpo evaluate` needs a table [data], from which hpo holds back a test "
            f"set, or a function `{function}.evaluate` that accepts the model and returns test "
            "metrics (docs/models.md); add one"
        )
    if top > 1:
        raise InputError("--top: the objective scores a single model; drop --top")


def _judged(
    study: StudyFile,
    result: TrialResult,
    listener: Listener,
    folder: Path,
    kept: Checkpoints | None,
) -> tuple[Any, dict[str, float], int]:
    """Return the model of a trial, the metrics its objective reports for it, and the epochs.

    It is retrained, unless `kept` holds checkpoints.
    """
    objective, evaluate = study.objective, study.objective.evaluate
    assert evaluate is not None
    if kept is not None:
        model, epochs = recall(study, result, None, kept, folder)
    else:
        model, epochs = retrain(study, result, None, listener, folder)
    if model is None:
        raise HPOError(f"{result.trial.id} diverged when retrained; nothing was recorded")
    try:
        with trial_process(study, result.trial.seed):
            found = quiet(lambda: as_metrics(evaluate(model), f"{TEST}{study.metric}"))
    except (Exception, SystemExit) as error:  # whatever it raises
        raise InputError(
            f"{objective.name}.evaluate failed: {reason(study, error)}; nothing was "
            "recorded; fix it"
        ) from error
    unknown = [name for name, value in found.items() if not math.isfinite(value)]
    if unknown or not found:
        what = f"{unknown[0]} = {found[unknown[0]]}" if unknown else "no metric"
        raise InputError(
            f"{objective.name}.evaluate returned {what}; nothing was recorded; return finite "
            "numbers"
        )
    return model, found, epochs


def _summary(metrics: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {wording.number(value)}" for name, value in metrics.items())


def _tags(evaluation: OwnEvaluation) -> dict[str, str]:
    look, trial = evaluation.look, evaluation.trial
    note = f"{look.result}\n\n"
    if look.number > 1:
        note += (
            f"**Repeated**: this is evaluation {look.number}. If an earlier result influenced "
            "anything, this one is too optimistic.\n\n"
        )
    note += "As validated, loaded from a checkpoint" if evaluation.kept else "Retrained"
    note += f": {trial.id}"
    note += f", {wording.count(evaluation.epochs, 'epoch')}.\n"
    kept = {"model": evaluation.model} if evaluation.model else {"not_kept": evaluation.not_kept}
    return {
        **kept,
        "when": look.when,
        "repeated": str(look.number > 1).lower(),
        "guarded": "false",
        "mlflow.note.content": note,
    }
