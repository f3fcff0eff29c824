"""Try out a study without a record: one short trial, and everything that would follow it."""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hpo import frameworks, wording
from hpo.checkpoints.folders import FolderStore
from hpo.checkpoints.trials import Checkpoints
from hpo.data.loading import Split
from hpo.data.predictor import Predictor
from hpo.distributions import Value
from hpo.errors import Infeasible, InputError, NotResumed
from hpo.evaluation import keep
from hpo.objective import Data, Given
from hpo.output import Output
from hpo.own_evaluation import tried_to_keep
from hpo.retraining import CHECKED_ROWS, adapted, joined, quiet, reason, trial_process
from hpo.search.by_number import RandomSampler
from hpo.search.round_plan import RoundPlan
from hpo.search.samplers import SAMPLERS, refuse_absent
from hpo.service.job import job_of
from hpo.study import StudyFile, refused
from hpo.text import one_line, shortened
from hpo.trial import State, Trial, TrialId, TrialResult, is_finite, trial_seed
from hpo.workers.attempt import attempt_trial

REASON_CHARACTERS = 300
EPOCHS = 2  # enough to see whether it works


def rehearse(study: StudyFile, split: Split | None, say: Callable[[str], None]) -> None:
    """Run the first trial for two epochs, then train, save, load and predict as `evaluate` does.

    Each result is passed to `say` as one line. No test row is used, and nothing is recorded.
    Raises InputError, one line with the remedy, for the first thing that does not work.
    """
    trial, data = first_trial(study), split.data if split is not None else None
    try:
        with tempfile.TemporaryDirectory() as name:
            folders = [Path(name) / part for part in ("trial", "end", "kept")]
            for folder in folders:
                folder.mkdir()
            shown = split.folds.data(1) if split is not None and split.folds else data
            say(_short_trial(study, trial, shown, folders[0]))
            if study.checkpoints is not None:
                say(_resumed(study, trial, shown, Path(name) / "checkpoints"))
            if data is None and (study.program is not None or study.objective.evaluate is None):
                say(_without_model(study))
                return
            model, line = _trained(study, trial, data, folders[1])
            say(line)
            say(_kept(study, model, split, folders[2]))
    except Infeasible as found:
        why = one_line(shortened(str(found), REASON_CHARACTERS))
        say(f"trial: infeasible: {why}; nothing else was tried; to try more, add a feasible "
            "point to [[start]]")
    except InputError as error:
        raise InputError(one_line(f"{study.path}: {error}")) from error


def first_trial(study: StudyFile) -> Trial:
    """Return the first trial of the first round."""
    plan = RoundPlan(
        study.search_space, study.direction, study.seed, 1, study.round.trials,
        accepts=study.feasibility().accepts,
    )
    refuse_absent(study.round.sampler, study.path)
    seed = trial_seed(study.seed, 1, 1)
    if study.start:
        return Trial(1, 1, RandomSampler(plan).complete(study.start[0], seed), seed)
    return Trial(1, 1, SAMPLERS[study.round.sampler](plan).propose(1, seed), seed)


def _short_trial(study: StudyFile, trial: Trial, data: Data | None, folder: Path) -> str:
    """Train for two epochs; return the line that describes it."""
    hyperparameters = study.objective.taken({**study.fixed, **trial.hyperparameters})
    _, epochs = _run(study, trial, hyperparameters, Given(study.metric, trial.seed, data, folder),
                     EPOCHS)
    if not epochs:
        raise InputError(
            f"{study.objective.name} does not report any epoch; yield metrics, or return a number"
        )
    for metrics in epochs:
        if study.metric not in metrics:
            known = ", ".join(metrics) or "no metrics"
            remedy = "choose a metric that it reports" if metrics else "report it"
            raise InputError(
                f"metric: {study.objective.name} does not report {study.metric!r}; it reports "
                f"{known}; {remedy}"
            )
    for name in study.constraint_metrics:
        if not any(name in metrics for metrics in epochs):
            raise InputError(
                f"constraint_metrics.{name}: {study.objective.name} does not report {name!r}; it "
                f"reports {', '.join(epochs[-1])}; choose a metric that it reports"
            )
    seen = ", ".join(f"{name} {wording.number(value)}" for name, value in epochs[-1].items())
    line = f"trial: {wording.count(len(epochs), 'epoch')}; last: {seen}"
    if not all(map(is_finite, epochs)):
        line += " (diverged); narrow the range, or add a point to [[start]]"
    passed = [
        f"{name} must be {limit}" for name, limit in study.constraint_metrics.items()
        if name in epochs[-1] and not limit.allows(epochs[-1][name])
    ]
    return f"{line}; infeasible: {' and '.join(passed)}" if passed else line


def _resumed(study: StudyFile, trial: Trial, data: Data | None, directory: Path) -> str:
    """Stop a trial after two epochs, then resume it after the first; return the line about it."""
    job = job_of(study, Checkpoints(FolderStore(str(directory)), "", 0.0))

    def stopped(epochs: int) -> TrialResult:
        looks = iter(range(epochs + 1))  # before the first epoch, and after each

        def stops(_: TrialId) -> str | None:
            return "seen enough" if next(looks, epochs) >= epochs else None

        *_, result = attempt_trial(job, data, trial, 1, stops=stops)
        assert isinstance(result, TrialResult)
        if result.state is State.FAILED:
            raise InputError(f"checkpoints: {one_line(result.message)}")
        return result

    whole = stopped(EPOCHS)
    if whole.epochs < EPOCHS:
        return "checkpoints: a trial has only one epoch, so there is nothing to resume"
    if job.checkpoints is None or not job.checkpoints.epochs(trial.id):
        raise InputError(
            f"checkpoints: {study.objective.name} leaves its folder empty after an epoch; before "
            "it yields, save everything it needs to resume there"
        )
    if study.program is not None:
        ahead = _begins_with(study, trial, job.checkpoints, directory / "resumed")
        if ahead is None or ahead > EPOCHS:
            where = "at its end" if ahead is None else f"at epoch {ahead}"
            return (
                f"checkpoints: it resumes {where}, not at epoch 2, because its epochs are shorter "
                "than the copying of its folder; such a trial starts from scratch"
            )
    resumed = stopped(EPOCHS - 1)
    for name, value in whole.metrics[-1].items():
        found = resumed.metrics[-1].get(name)
        if resumed.epochs != whole.epochs or found != value:
            raise InputError(
                f"checkpoints: stopped after epoch 1, {study.objective.name} resumes with a "
                f"different epoch 2 ({name} {found} instead of {value}); before it yields, save "
                "everything it needs in its folder, and look there first when it starts"
            )
    return "checkpoints: stopped after epoch 1, it resumes with the same epoch 2"


def _begins_with(study: StudyFile, trial: Trial, copies: Checkpoints, folder: Path) -> int | None:
    """Return the epoch that a program starts with when resumed after the first, if any."""
    folder.mkdir()
    snapshot = copies.of(trial, study.fixed).restore(folder)
    given = Given(
        study.metric, trial.seed, None, folder, trial.id,
        done=len(snapshot.metrics) if snapshot is not None else 0, is_kept=True,
    )
    with trial_process(study, trial.seed):
        epochs = study.objective.start(study.objective.taken(trial.values(study.fixed)), given)
        try:
            quiet(lambda: next(epochs, None))
        except NotResumed as found:
            return found.epoch
        finally:
            epochs.close()
    return given.done + 1


def _trained(
    study: StudyFile, trial: Trial, data: Data | None, folder: Path
) -> tuple[Any, str]:
    """Train to the end, as for an evaluation; return the model, and the line about it."""
    hyperparameters = study.objective.taken({**study.fixed, **trial.hyperparameters})
    few = {**hyperparameters, "epochs": EPOCHS}
    if "epochs" in study.objective.parameters and refused(study.objective, few) is None:
        hyperparameters = few
    joint = joined(data) if data is not None else None
    given = Given(study.metric, trial.seed, joint, folder)
    try:
        model, epochs = _run(study, trial, hyperparameters, given)
    except InputError as error:
        if data is None:
            raise
        raise InputError(
            f"with data.validation = None, as in `hpo evaluate`: {error}"
        ) from error
    rows = " on training and validation rows (data.validation = None)" if data is not None else ""
    return model, f"trained to the end: {wording.count(len(epochs), 'epoch')}{rows}"


def _run(
    study: StudyFile,
    trial: Trial,
    hyperparameters: dict[str, Value],
    given: Given,
    most: int | None = None,
) -> tuple[Any, list[dict[str, float]]]:
    """Train, for at most `most` epochs; return the model, and the metrics of each epoch."""
    epochs: list[dict[str, float]] = []
    given, output = replace(given, trial=trial.id), Output()
    try:
        with trial_process(study, trial.seed):
            training = quiet(lambda: study.objective.start(hyperparameters, given), output)
            try:
                while most is None or len(epochs) < most:
                    epochs.append(quiet(lambda: next(training), output))
            except StopIteration as stop:
                return stop.value, epochs
            quiet(training.close, output)
    except Infeasible:
        raise
    except (Exception, SystemExit) as error:  # whatever an objective raises
        raise InputError(
            f"{study.objective.name} failed: {reason(study, error, output)}; fix it"
        ) from error
    return None, epochs


def _without_model(study: StudyFile) -> str:
    """Return what `hpo evaluate` would do without a table [data] and a model."""
    if study.program is not None:
        return (
            "evaluation: not tried; `hpo evaluate` runs the program with HPO_EVALUATE=1, and it "
            "must report a metric that starts with test_"
        )
    function = study.objective.name.partition(":")[2]
    return (
        "evaluation: not possible without a table [data] or a function "
        f"`{function}.evaluate`; add one to use `hpo evaluate`"
    )


def _kept_alone(study: StudyFile, model: Any, folder: Path) -> str:
    """Save and load a model of a study without [data]; return the line about it."""
    kind = type(model).__name__
    try:
        predictor = tried_to_keep(study, model, folder)
    except ValueError as error:
        return (
            f"warning: model: {kind}, which `hpo evaluate` could not save, so `hpo predict` would "
            f"not work: {one_line(str(error))}"
        )
    names = ", ".join(
        predictor.preprocessing.predictions(
            np.zeros((1, len(predictor.preprocessing.classes) or 1))
        )
    )
    return f"model: {kind}, saved and loaded, predicts the same: {names}"


def _kept(study: StudyFile, model: Any, split: Split | None, folder: Path) -> str:
    """Save a model, load it and predict some training rows; return the line about it."""
    if model is None and split is not None:
        return (
            "warning: model: none, so `hpo evaluate` has nothing to score; return one at the end "
            "(docs/models.md)"
        )
    if split is None:
        if model is None:
            raise InputError(
                f"{study.objective.name} returned no model for its `evaluate`; return it at the end"
            )
        seen = _kept_alone(study, model, folder)
        return f"{seen}; `evaluate` was not called, because that would count as an evaluation"
    inputs = split.data.training.inputs[:CHECKED_ROWS]
    fitting, who = adapted(study, model, split.data), f"the model of {study.objective.name}"
    try:
        outputs = fitting.predict(inputs)
    except Exception as error:  # of the objective's own
        raise InputError(
            f"{who} cannot predict: {reason(study, error)}; fix it"
        ) from error
    if wrong := frameworks.fault(outputs, len(inputs), len(split.data.classes)):
        raise InputError(f"{who}: {wrong}")
    predictor = Predictor(split.preprocessing, (fitting,))
    keep(study, predictor, inputs, folder)
    predicted = predictor.preprocessing.predictions(predictor.outputs(inputs))
    return (
        f"model: {type(model).__name__}, saved and loaded, predicts the same for "
        f"{wording.count(len(inputs), 'training row')}: {', '.join(list(predicted)[:3])}"
    )
