"""A study without data of its own: its objective judges the best trial, and that is recorded.

What hpo does not hold back it cannot guard: the record says so.
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
from hpo.retraining import Listener, quiet, recall, retrain, trial_process
from hpo.study import StudyFile
from hpo.text import one_line
from hpo.threads import limit_threads
from hpo.trial import Trial, TrialResult

UNGUARDED = (
    "judged by the objective, on data of its own: hpo cannot know whether trials have seen them"
)


@dataclass(frozen=True)
class OwnEvaluation:
    """What an objective says of its best trial, which was trained once more for `epochs`.

    `model` is an address in MLflow, "" where none was kept, and then `not_kept` says why.
    """

    study: str
    look: Look
    metrics: Mapping[str, float]
    trial: Trial
    epochs: int
    run_id: str
    model: str = ""
    not_kept: str = ""
    kept: bool = False  # as it was validated, not trained once more

    def __str__(self) -> str:
        """Return the result in a line."""
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
    """Train the best trial once more, or take it from its kept copy, and let its objective judge.

    The look is recorded before anybody sees what came of it: one that fails spends nothing.

    Raises InputError where a look is on record and it is not asked for again, where there is no
    trial, or where the objective does not judge; HPOError where training fails.
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
            listener.note(f"the model is not kept: {not_kept}")
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
        except RecordUnavailable as error:  # what was seen must not be lost with it
            raise HPOError(
                f"{look.result}; but the record is away, and knows only of the look: {error}"
            ) from error
    return evaluation


def tried_to_keep(study: StudyFile, model: Any, folder: Path) -> Predictor:
    """Save a model in a folder, and make sure that it comes back as it was.

    Raises ValueError, one line with the remedy, where it cannot be kept.
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
        return None, "it was trained by a program, which keeps its own"
    (folder / "predictor").mkdir()
    try:
        return tried_to_keep(study, model, folder / "predictor"), ""
    except ValueError as error:
        return None, one_line(str(error))


def refuse_without_evaluate(study: StudyFile, top: int = 1) -> None:
    """Raise InputError where there is nothing to judge by, or more than one model to judge."""
    if study.objective.evaluate is None:
        function = study.objective.name.partition(":")[2]
        raise InputError(
            f"{study.path}: evaluate needs a table [data], of which hpo keeps a test set back, or "
            f"a function `{function}.evaluate` that takes the model and returns metrics of a test "
            "(docs/objectives.md)"
        )
    if top > 1:
        raise InputError("--top: the objective judges one model; leave it out")


def _judged(
    study: StudyFile,
    result: TrialResult,
    listener: Listener,
    folder: Path,
    kept: Checkpoints | None,
) -> tuple[Any, dict[str, float], int]:
    """Return the model of a trial, what its objective says of it, and the epochs.

    It is trained once more, unless there are copies of those that were `kept`.
    """
    objective, evaluate = study.objective, study.objective.evaluate
    assert evaluate is not None
    if kept is not None:
        model, epochs = recall(study, result, None, kept, folder)
    else:
        model, epochs = retrain(study, result, None, listener, folder)
    if model is None:
        raise HPOError(f"{result.trial.id} diverged when trained once more; nothing is judged")
    try:
        with trial_process(study, result.trial.seed):
            found = quiet(lambda: as_metrics(evaluate(model), f"{TEST}{study.metric}"))
    except (Exception, SystemExit) as error:  # whatever it raises
        raise InputError(
            f"{objective.name}.evaluate failed: {type(error).__name__}: {error}; correct it: "
            "nothing was recorded"
        ) from error
    unknown = [name for name, value in found.items() if not math.isfinite(value)]
    if unknown or not found:
        what = f"{unknown[0]} = {found[unknown[0]]}" if unknown else "no metric"
        raise InputError(
            f"{objective.name}.evaluate gives {what}; let it give finite numbers: nothing was "
            "recorded"
        )
    return model, found, epochs


def _summary(metrics: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {wording.number(value)}" for name, value in metrics.items())


def _tags(evaluation: OwnEvaluation) -> dict[str, str]:
    look, trial = evaluation.look, evaluation.trial
    note = f"{look.result}\n\n"
    if look.number > 1:
        note += (
            f"**Repeated**: this is look {look.number}. Where an earlier one had any influence, "
            "the result is too good.\n\n"
        )
    note += "As it was validated, from a kept copy" if evaluation.kept else "Trained once more"
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
