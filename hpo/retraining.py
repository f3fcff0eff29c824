"""A trial returns its model: trained once more, or as it was kept when it had been validated."""

import contextlib
import io
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from hpo import frameworks, wording
from hpo.checkpoints.trials import Checkpoints
from hpo.errors import HPOError, InputError, NotResumed
from hpo.objective import Data, Given, Model, Part
from hpo.process_state import TrialProcess
from hpo.program import TEST
from hpo.study import StudyFile
from hpo.trial import Trial, TrialResult, is_finite

CHECKED_ROWS = 100  # that a model has to predict the same when it was saved and loaded


class Listener(Protocol):
    """Is told how far the training is, for those who watch."""

    def note(self, text: str) -> None:
        """Show a line to the user."""
        ...

    def trained(self, trial: Trial, epoch: int, epochs: int) -> None:
        """Take note of an epoch, from 1, of so many."""
        ...


def joined(data: Data) -> Data:
    """Return training and validation rows as training rows, in this order."""
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
    """Train a trial once more; return its model, None where it diverged, and the epochs.

    It gets the recorded seed, as many epochs as led to its value, and a directory in `folder`.
    Without data, what the objective returned is the model, and a program is asked to judge, too.
    Raises InputError where the objective returns no model, HPOError where it fails.
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
                f"{who}: epochs = {epochs} instead of {before}, as its value was reached then; "
                "a schedule over all epochs is squeezed into these"
            )
    elif epochs != result.epochs:
        listener.note(
            f"{who}: {wording.count(result.epochs, 'epoch')}, though its value is that of epoch "
            f"{epochs}: the objective has no hyperparameter epochs"
        )
        epochs = result.epochs
    count, model = 0, None
    own = None
    if folder is not None and study.objective.needs_folder:
        own = Path(tempfile.mkdtemp(dir=folder))
    given = Given(study.metric, trial.seed, data, own, trial.id, evaluates=data is None)
    try:
        with trial_process(study, trial.seed):
            generator = quiet(lambda: study.objective.start(hyperparameters, given))
            while True:
                try:
                    metrics = quiet(lambda: next(generator))
                except StopIteration as stop:
                    model = stop.value
                    break
                count += 1
                if not is_finite(metrics):
                    generator.close()
                    listener.note(f"{who} diverged in epoch {count} and is left out")
                    return None, count
                listener.trained(trial, count, epochs)
    except (Exception, SystemExit) as error:  # whatever an objective raises
        raise HPOError(
            f"{who} failed when trained on all training rows: {type(error).__name__}: {error}; "
            "with data.validation = None the objective has to train, too"
            if data is not None
            else f"{who} failed when trained once more: {type(error).__name__}: {error}"
        ) from error
    if model is None:
        raise InputError(_no_model(study, data))
    return (adapted(study, model, data) if data is not None else model), count


def recall(
    study: StudyFile, result: TrialResult, data: Data | None, copies: Checkpoints, folder: Path
) -> tuple[Any, int]:
    """Return the model of a trial as it was validated, and its epochs; nothing is trained.

    Its kept copy goes to a new directory in `folder`, with which the objective is called: it finds
    all its epochs done, and returns the model.

    Raises InputError where there is no such copy, or where the objective trains all the same.
    """
    trial = result.trial
    who, remedy = str(trial.id), "leave --kept out"
    epochs = result.epoch or result.epochs
    own = Path(tempfile.mkdtemp(dir=folder))
    snapshot = copies.of(trial, study.fixed).restore(own)
    if snapshot is None:
        raise InputError(
            f"--kept: no copy is kept of {who} that was made with this code and data; {remedy}"
        )
    if len(snapshot.metrics) != epochs:
        raise InputError(
            f"--kept: the value of {who} is that of epoch {epochs}, and the last whole copy is of "
            f"epoch {len(snapshot.metrics)}; {remedy}"
        )
    given = Given(
        study.metric, trial.seed, data, own, trial.id, evaluates=data is None, done=epochs,
        is_kept=True, had_ended=snapshot.has_ended,
    )
    hyperparameters = study.objective.taken(trial.values(study.fixed))
    try:
        with trial_process(study, trial.seed) as process:
            process.resume(snapshot.generators)
            generator = quiet(lambda: study.objective.start(hyperparameters, given))
            try:
                quiet(lambda: next(generator))
            except StopIteration as stop:
                model = stop.value
            else:
                raise NotResumed
    except NotResumed:
        raise InputError(
            f"--kept: {study.objective.name} trains {who} though all its epochs are done; let it "
            "return the model then"
        ) from None
    except (Exception, SystemExit) as error:  # whatever an objective raises
        raise HPOError(
            f"{who} failed when called with its kept copy: {type(error).__name__}: {error}"
        ) from error
    if model is None:
        raise InputError(_no_model(study, data))
    return (adapted(study, model, data) if data is not None else model), epochs


def _no_model(study: StudyFile, data: Data | None) -> str:
    if data is None:
        return _nothing_to_judge(study)
    return (
        f"{study.objective.name} returns no model, so there is nothing to judge; let it "
        f"return {frameworks.ANY_MODEL}"
    )


def _nothing_to_judge(study: StudyFile) -> str:
    """Return what is said where there is no model to judge, or where a program tells nothing."""
    if study.program is None:
        return (
            f"{study.objective.name} returns no model for its `evaluate`; let it yield its metrics "
            "and return the model in the end"
        )
    return (
        f"{study.path}: the program tells no metric that begins with {TEST}; with HPO_EVALUATE=1 "
        f"in its environment it has to judge what it trained, such as {{\"{TEST}accuracy\": 0.9}}"
    )


def trial_process(study: StudyFile, seed: int) -> TrialProcess:
    """Return the process as a trial of a study finds it."""
    folder = str(study.path.absolute().parent)
    return TrialProcess(study.objective.name, seed, folder, study.resources.demand())


def adapted(study: StudyFile, model: Any, data: Data) -> Model:
    """Return what an objective returned as a model."""
    inputs = data.training.inputs[:CHECKED_ROWS]
    try:
        fitting: Model = frameworks.adapted(model, len(data.classes), inputs)
    except ValueError as error:
        raise InputError(f"the model of {study.objective.name}: {error}") from error
    lacking = [name for name in ("predict", "save", "loader") if not hasattr(fitting, name)]
    if lacking:
        raise InputError(
            f"{study.objective.name} returns a {type(model).__name__}, a model without "
            f"`{lacking[0]}`; let it return {frameworks.ANY_MODEL}"
        )
    return fitting


def quiet(call: Callable[[], Any]) -> Any:
    """Return what `call` returns, and drop what it prints meanwhile."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return call()
