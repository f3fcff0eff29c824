"""Retrain the best trials on all training rows, and score them on the test set once.

Inputs stay scaled by the statistics of the training part, without the validation rows: in other
units the same hyperparameters would mean something else.
"""

import contextlib
import json
import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hpo import wording
from hpo.checkpoints.trials import Checkpoints
from hpo.data.loading import Split
from hpo.data.predictor import Predictor
from hpo.errors import HPOError, InputError, RecordUnavailable
from hpo.framework_models import LOADERS
from hpo.objective import Model
from hpo.record.models import log_model
from hpo.record.study import StudyRecord
from hpo.record.values import Look, Recorded
from hpo.report import figures
from hpo.report.drawing import save
from hpo.retraining import CHECKED_ROWS, Listener, joined, recall, retrain
from hpo.scores import (
    Score,
    score,
    summary,
)
from hpo.search import confirmation, extension
from hpo.service.proposals import best_trials
from hpo.study import StudyFile
from hpo.text import VALUE_CHARACTERS, shortened
from hpo.threads import limit_threads
from hpo.trial import Trial, TrialResult, rank


@dataclass(frozen=True)
class Member:
    """A retrained trial: its number of epochs, and its own score."""

    trial: Trial
    value: float  # that it was chosen by: the searched metric on validation rows, or its mean
    epochs: int
    score: Score


@dataclass(frozen=True)
class Evaluation:
    """The outcome of scoring on the test set; `model` is an address in MLflow."""

    study: str
    look: Look
    rows: int
    score: Score
    members: tuple[Member, ...]
    run_id: str
    model: str
    kept: bool = False  # whether the models are the validated ones, not retrained

    @property
    def mean_of_members(self) -> float:
        """The mean of the members' own results in the main metric."""
        metric = self.score.metric
        return float(np.mean([m.score.metrics[metric].value for m in self.members]))

    @property
    def beats_members(self) -> bool | None:
        """Whether the ensemble is better than its members on average; None for one model."""
        if len(self.members) == 1:
            return None
        return self.score.metrics[self.score.metric].value > self.mean_of_members

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
            "rows": self.rows,
            "metrics": {name: vars(interval) for name, interval in self.score.metrics.items()},
            "classes": [vars(result) for result in self.score.classes],
            "confusion": self.score.confusion.tolist(),
            "members": [
                {
                    "round": member.trial.round,
                    "number": member.trial.number,
                    "extended_to": member.trial.extended_to or None,
                    "hyperparameters": dict(member.trial.hyperparameters),
                    "value": member.value,
                    "epochs": member.epochs,
                    **{name: i.value for name, i in member.score.metrics.items()},
                }
                for member in self.members
            ],
            "kept": self.kept,
            "mean_of_members": self.mean_of_members,
            "beats_members": self.beats_members,
            "run": self.run_id,
            "model": self.model,
        }


@dataclass(frozen=True)
class Request:
    """What to evaluate: the `top` trials, and whether to score on a spent test set `again`.

    With `kept` checkpoints, the models are loaded from there and nothing is trained.
    """

    top: int = 1
    again: bool = False
    kept: Checkpoints | None = None


def evaluate(
    study: StudyFile,
    split: Split,
    recorded: Recorded,
    record: StudyRecord,
    listener: Listener,
    request: Request = Request(),  # it is frozen
) -> Evaluation:
    """Retrain the best trials, or load their checkpoints, and score the mean of their predictions.

    The study must be unchanged since it was recorded (`comparability.refuse_changes`). The test
    set is used last, after training and saving the model.

    Raises InputError if the test set is spent and `again` is not set, if there are too few trials,
    or if the objective returns no model that can be saved; HPOError if training fails.
    """
    kept = request.kept
    refuse_repetition(study, recorded, request.again)
    chosen = best(study, recorded, request.top)
    if study.objective.evaluate is not None:
        listener.note(
            f"{study.objective.name}.evaluate is not called, because the study has a test set"
        )
    for name in ("example", "classes"):
        if getattr(study.objective, name):
            listener.note(
                f"{study.objective.name}.{name} is ignored, because the table [data] defines it"
            )
    data = joined(split.data)
    limit_threads(study.resources.cpus)
    with tempfile.TemporaryDirectory() as folder:
        trained = []
        for result in chosen:
            if kept is not None:
                model, epochs = recall(study, result, split.data, kept, Path(folder))
            else:
                model, epochs = retrain(study, result, data, listener, Path(folder))
            if model is not None:
                trained.append((result, model, epochs))
        if not trained:
            raise HPOError("every trial diverged when retrained; the test set is not spent")
        return _look(study, split, recorded, record, listener, trained, kept is not None)


def _look(
    study: StudyFile,
    split: Split,
    recorded: Recorded,
    record: StudyRecord,
    listener: Listener,
    trained: Sequence[tuple[TrialResult, Model, int]],
    is_kept: bool,
) -> Evaluation:
    """Save trained models, and score them and the mean of their predictions on the test set."""
    data = joined(split.data)
    models, evaluations = tuple(model for _, model, _ in trained), record.evaluations
    ensemble = Predictor(split.preprocessing, models)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kept, files, outcome = (folder / part for part in ("predictor", "files", "outcome"))
        for part in (kept, files, outcome):
            part.mkdir()
        keep(study, ensemble, data.training.inputs[:CHECKED_ROWS], kept)
        run_id = begin(
            study, record, recorded, [result for result, _, _ in trained], files, from_copy=is_kept
        )
        look = next_look(recorded)
        address = ""
        try:
            address = log_model(
                study, evaluations.uri, run_id, split.preprocessing, models, folder
            )
            evaluations.take_look(look)
        except BaseException:
            with contextlib.suppress(HPOError):
                record.discard(run_id)
                if address:
                    evaluations.discard_model(address)
            raise
        judged = _judge(trained, ensemble, split, study.seed)
        rows = len(split.test.targets)
        look = replace(look, result=summary(judged[0], rows))
        evaluation = Evaluation(study.name, look, rows, *judged, run_id, address, is_kept)
        _write_outcome(evaluation, outcome, listener)
        try:
            evaluations.end(run_id, look, _metrics(evaluation), _tags(evaluation), outcome)
        except RecordUnavailable as error:  # the result must not be lost with it
            raise HPOError(
                f"{look.result}; but the record is unreachable, and knows only that the test set "
                f"is spent: {error}"
            ) from error
    return evaluation


def begin(
    study: StudyFile,
    record: StudyRecord,
    recorded: Recorded,
    results: Sequence[TrialResult],
    files: Path,
    *,
    from_copy: bool = False,
) -> str:
    """Record that trials are about to be evaluated; return the id of the run.

    `files` is an empty folder. With `from_copy`, the models come from checkpoints instead of being
    retrained.
    """
    (files / "study").mkdir()
    (files / "study" / study.path.name).write_text(study.text, encoding="utf-8")
    params = {
        "trials": str(len(results)), "of": _names(results),
        "chosen": chosen_as(results[0], study, recorded),
        "kept": str(from_copy).lower(),
    }
    return record.evaluations.start(params, files)


def next_look(recorded: Recorded) -> Look:
    """Return a new look at the test set, starting now."""
    number = max((look.number for look in recorded.looks), default=0) + 1
    return Look(number, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time())))


def refuse_repetition(study: StudyFile, recorded: Recorded, again: bool) -> None:
    """Raise InputError if the test set is spent, unless it may be used `again`."""
    if recorded.looks and not again:
        last = recorded.looks[-1]
        raise InputError(
            f"the test set of {study.name!r} was spent on {shown_time(last.when)}: "
            f"{last.result or 'that evaluation was interrupted'}; a second score is too "
            "optimistic if the first influenced any decision; to score again and mark the result "
            "as repeated, pass --again"
        )


def best(study: StudyFile, recorded: Recorded, top: int) -> list[TrialResult]:
    """Return the recommended trial, then the best others, `top` in total.

    A trial that was extended and improved is returned as extended.

    Raises InputError if there are not that many.
    """
    chosen = best_trials(recorded, study.direction, top, extended=True)
    counted = extension.better(recorded.results, recorded.extensions, study.direction)
    return [counted[r.trial.id].longer if r.trial.id in counted else r for r in chosen]


def chosen_as(
    result: TrialResult, study: StudyFile, recorded: Recorded
) -> Literal["observed", "recommended", "confirmed", "extended"]:
    """Return why a trial was chosen: extended, confirmed, best observed value, or recommended."""
    if result.trial.extended_to:
        return "extended"
    if result.trial.id in confirmation.confirmed(recorded.results, recorded.repeats):
        return "confirmed"
    best = rank(recorded.results, study.direction)[0]
    return "observed" if result.trial.id == best.trial.id else "recommended"


def shown_time(when: str) -> str:
    """Return an ISO 8601 time in a readable form."""
    return f"{when[:10]} {when[11:16]} UTC"


def _judge(
    trained: Sequence[tuple[TrialResult, Model, int]], ensemble: Predictor, split: Split, seed: int
) -> tuple[Score, tuple[Member, ...]]:
    """Return the score of the ensemble, and each member with its own score."""
    members = []
    for result, model, epochs in trained:
        own = Predictor(ensemble.preprocessing, (model,)).outputs(split.test.inputs)
        value = math.nan if result.value is None else result.value
        members.append(Member(result.trial, value, epochs, score(own, split, seed)))
    return score(ensemble.outputs(split.test.inputs), split, seed), tuple(members)


def keep(study: StudyFile, ensemble: Predictor, inputs: NDArray[np.float32], folder: Path) -> None:
    """Save the models, and check that they predict the same once loaded."""
    try:
        ensemble.save(folder)
        same = np.allclose(Predictor.load(folder).outputs(inputs), ensemble.outputs(inputs))
    except Exception as error:  # of the objective's own save and load
        known = any(getattr(m, "loader", "") in LOADERS for m in ensemble.members)
        why = "" if known and isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise InputError(
            f"the model of {study.objective.name} cannot be saved and loaded: {why}{error}"
        ) from error
    if not same:
        raise InputError(
            f"the model of {study.objective.name} predicts differently once saved and loaded; "
            "make `save` write its whole state"
        )


def _write_outcome(evaluation: Evaluation, folder: Path, listener: Listener) -> None:
    """Write the result as JSON and, for classification, the confusion matrix as an image."""
    text = json.dumps(evaluation.to_table(), indent=2, ensure_ascii=False)
    (folder / "evaluation.json").write_text(text, encoding="utf-8")
    if not evaluation.score.classes:
        return
    try:
        draw(evaluation.score, folder / "figures")
    except Exception as error:  # a result without its figure is a result
        listener.note(f"drawing the confusion matrix failed: {type(error).__name__}: {error}")


def draw(score: Score, folder: Path) -> Path:
    """Write the confusion matrix of a classification to a folder; return the file."""
    labels = [result.label for result in score.classes]
    return save(figures.confusion_matrix(score.confusion, labels), folder / "confusion_matrix.png")


def _metrics(evaluation: Evaluation) -> dict[str, float]:
    metrics = {}
    for name, interval in evaluation.score.metrics.items():
        metrics[f"test_{name}"] = interval.value
        metrics[f"test_{name}_low"], metrics[f"test_{name}_high"] = interval.low, interval.high
    if len(evaluation.members) > 1:
        metrics[f"test_{evaluation.score.metric}_members_mean"] = evaluation.mean_of_members
    return metrics


def _tags(evaluation: Evaluation) -> dict[str, str]:
    look, metric = evaluation.look, evaluation.score.metric
    note = f"{look.result}\n\n"
    if look.number > 1:
        note += (
            f"**Repeated**: this is evaluation {look.number} on the test set. If an earlier "
            "result influenced anything, this one is too optimistic.\n\n"
        )
    if evaluation.kept:
        note += "The models are the validated ones, loaded from checkpoints.\n\n"
    note += f"| round | trial | epochs | test {metric} |\n|---|---|---|---|\n"
    values = wording.column([member.score.metrics[metric].value for member in evaluation.members])
    for member, value in zip(evaluation.members, values, strict=True):
        note += (
            f"| {member.trial.round} | {member.trial.number} | {member.epochs} | {value} |\n"
        )
    return {
        "model": evaluation.model,
        "when": look.when,
        "repeated": str(look.number > 1).lower(),
        "mlflow.note.content": note,
    }


def _names(results: Sequence[TrialResult]) -> str:
    return shortened("; ".join(str(r.trial.id) for r in results), VALUE_CHARACTERS)
