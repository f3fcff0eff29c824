"""Get the model of a trial: retrain it, or load the checkpoint of its validated model."""

import contextlib
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from hpo import failures, frameworks, wording
from hpo.checkpoints.trials import Checkpoints
from hpo.errors import HPOError, InputError, NotResumed
from hpo.objective import Data, Given, Model, Part
from hpo.output import Output
from hpo.process_state import TrialProcess
from hpo.program import TEST
from hpo.study import StudyFile
from hpo.trial import Trial, TrialResult, is_finite

CHECKED_ROWS = 100  # that a model must predict the same once saved and loaded


class Listener(Protocol):
    """Receives the progress of the training."""

    def note(self, text: str) -> None:
        """Show a line to the user."""
        ...

    def trained(self, trial: Trial, epoch: int, epochs: int) -> None:
        """Receive an epoch, counted from 1, out of `epochs`."""
        ...


def joined(data: Data) -> Data:
    """Return the training rows followed by the validation rows, all as training rows."""
    if data.validation is None:
        return data
    parts = (data.training, data.validation)
    training = Part(
        np.concatenate([part.inputs for part in parts]),
        np.concatenate([part.targets for part in parts]),
    )
    return replace(data, training=training, validation=None)


def retrain(
    study: StudyFile,
    result: TrialResult,
    data: Data | None,
    listener: Listener,
    folder: Path | None = None,
) -> tuple[Any, int]:
    """Retrain a trial; return its model, None if it diverged, and the number of epochs.

    It gets the recorded seed, the number of epochs that led to its value, and a directory in
    `folder`. Without data, the model is whatever the objective returned, and a program is asked to
    report test metrics, too. Raises InputError if the objective returns no model, HPOError if it
    fails.
    """
    trial = result.trial
    hyperparameters = study.objective.taken(trial.values(study.fixed))
    epochs = result.epoch if study.value == "best" and result.epoch else result.epochs
    who = str(trial.id)
    parameters = study.objective.parameters
    if "epochs" in parameters:
        before = hyperparameters.get("epochs", parameters["epochs"].default)
        if before != epochs:
            hyperparameters["epochs"] = epochs
            listener.note(
                f"{who}: epochs = {epochs} instead of {before}, because its value is that of "
                f"epoch {epochs}; a schedule over all epochs is compressed into these"
            )
    elif epochs != result.epochs:
        listener.note(
            f"{who}: {wording.count(result.epochs, 'epoch')}, although its value is that of epoch "
            f"{epochs}, because the objective has no hyperparameter epochs"
        )
        epochs = result.epochs
    count, model = 0, None
    own = None
    if folder is not None and study.objective.needs_folder:
        own = Path(tempfile.mkdtemp(dir=folder))
    given = Given(study.metric, trial.seed, data, own, trial.id, evaluates=data is None)
    output = Output()
    try:
        with trial_process(study, trial.seed):
            generator = quiet(lambda: study.objective.start(hyperparameters, given), output)
            while True:
                try:
                    metrics = quiet(lambda: next(generator), output)
                except StopIteration as stop:
                    model = stop.value
                    break
                count += 1
                if not is_finite(metrics):
                    generator.close()
                    listener.note(f"{who} diverged in epoch {count} and is ignored")
                    return None, count
                listener.trained(trial, count, epochs)
    except (Exception, SystemExit) as error:  # whatever an objective raises
        raise HPOError(
            f"{who} failed when retrained on all training rows: {reason(study, error, output)}; "
            "the objective must also train with data.validation = None"
            if data is not None
            else f"{who} failed when retrained: {reason(study, error, output)}"
        ) from error
    if model is None:
        raise InputError(_no_model(study, data))
    return (adapted(study, model, data) if data is not None else model), count


def recall(
    study: StudyFile, result: TrialResult, data: Data | None, copies: Checkpoints, folder: Path
) -> tuple[Any, int]:
    """Return the validated model of a trial, and its number of epochs; nothing is trained.

    The checkpoint is restored to a new directory in `folder`, and the objective is called with it:
    it finds all its epochs done, and returns the model.

    Raises InputError if there is no such checkpoint, or if the objective trains anyway.
    """
    trial = result.trial
    who, remedy = str(trial.id), "drop --kept to retrain it"
    epochs = result.epoch or result.epochs
    own = Path(tempfile.mkdtemp(dir=folder))
    snapshot = copies.of(trial, study.fixed).restore(own)
    if snapshot is None:
        raise InputError(
            f"--kept: there is no checkpoint of {who} made with this code and data; {remedy}"
        )
    if len(snapshot.metrics) != epochs:
        raise InputError(
            f"--kept: the value of {who} is that of epoch {epochs}, but the last complete "
            f"checkpoint is of epoch {len(snapshot.metrics)}; {remedy}"
        )
    given = Given(
        study.metric, trial.seed, data, own, trial.id, evaluates=data is None, done=epochs,
        is_kept=True, had_ended=snapshot.has_ended,
    )
    hyperparameters, output = study.objective.taken(trial.values(study.fixed)), Output()
    try:
        with trial_process(study, trial.seed) as process:
            process.resume(snapshot.generators)
            generator = quiet(lambda: study.objective.start(hyperparameters, given), output)
            try:
                quiet(lambda: next(generator), output)
            except StopIteration as stop:
                model = stop.value
            else:
                raise NotResumed
    except NotResumed:
        raise InputError(
            f"--kept: {study.objective.name} trains {who} although all its epochs are done; make "
            "it return the model then"
        ) from None
    except (Exception, SystemExit) as error:  # whatever an objective raises
        raise HPOError(
            f"{who} failed when called with its checkpoint: {reason(study, error, output)}"
        ) from error
    if model is None:
        raise InputError(_no_model(study, data))
    return (adapted(study, model, data) if data is not None else model), epochs


def _no_model(study: StudyFile, data: Data | None) -> str:
    if data is None:
        return _nothing_to_judge(study)
    return (
        f"{study.objective.name} returned no model, so there is nothing to evaluate; "
        f"return a model: {frameworks.ANY_MODEL}"
    )


def _nothing_to_judge(study: StudyFile) -> str:
    """Return the error for an objective without a model, or a program without test metrics."""
    if study.program is None:
        return (
            f"{study.objective.name} returned no model for its `evaluate`; yield the metrics, "
            "then return the model"
        )
    missing = f"{study.path}: the program reports no metric that starts with {TEST}"
    if study.program.metrics_pattern is None:
        return (
            f"{missing}; when HPO_EVALUATE=1 is set, it must print one, for example "
            f"{{\"{TEST}accuracy\": 0.9}}"
        )
    groups = [name for name in study.program.metrics if name.startswith(TEST)]
    if groups:
        return (
            f"{missing}; when HPO_EVALUATE=1 is set, it must print a line from which "
            f"metrics_pattern takes {' or '.join(groups)}"
        )
    return (
        f"{missing}; this study has a metrics_pattern, so add a group to it, for example "
        rf"|test loss (?P<{TEST}loss>\S+), and print such a line when HPO_EVALUATE=1 is set"
    )


def trial_process(study: StudyFile, seed: int) -> TrialProcess:
    """Return the context that sets up this process for a trial of a study."""
    folder = str(study.path.absolute().parent)
    return TrialProcess(study.objective.name, seed, folder, study.resources.demand())


def adapted(study: StudyFile, model: Any, data: Data) -> Model:
    """Return what an objective returned as a `Model`; raise InputError if it is not one."""
    inputs = data.training.inputs[:CHECKED_ROWS]
    try:
        fitting: Model = frameworks.adapted(model, len(data.classes), inputs)
    except ValueError as error:
        raise InputError(f"the model of {study.objective.name}: {error}") from error
    lacking = [name for name in ("predict", "save", "loader") if not hasattr(fitting, name)]
    if lacking:
        raise InputError(
            f"{study.objective.name} returned a value of type {type(model).__name__}, which has "
            f"no `{lacking[0]}`; return a model: {frameworks.ANY_MODEL}"
        )
    return fitting


def reason(study: StudyFile, error: BaseException, output: Output | None = None) -> str:
    """Return the error of a study's objective and its place, or a program's last `output`."""
    return failures.reason(
        error, study.objective.files(), output if study.program is not None else None
    )


def quiet(call: Callable[[], Any], output: Output | None = None) -> Any:
    """Return the result of `call`; its output goes to `output`, or is discarded."""
    file = output if output is not None else Output()
    with contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        return call()
