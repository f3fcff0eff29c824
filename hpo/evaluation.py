"""The best trials are trained once more, on all training rows, and judged on the test set once.

The inputs stay scaled by the statistics of the training part, without the validation rows: in
other units the same hyperparameters would mean something else.
"""

import contextlib
import importlib.metadata
import inspect
import io
import json
import math
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hpo import objective_code, wording
from hpo.data import predictor
from hpo.data.predictor import Predictor, Preprocessing
from hpo.data.split import Split
from hpo.errors import HPOError, InputError, RecordUnavailable
from hpo.objective import Data, Model, Part
from hpo.process_state import TrialProcess
from hpo.record.study import StudyRecord
from hpo.record.values import Look, Recorded
from hpo.report import figures
from hpo.search import confirmation
from hpo.study import Study
from hpo.threads import limit_threads
from hpo.trial import Trial, TrialResult, is_finite

RESAMPLES = 1000  # of the test rows
_BARS = "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"
_CHECKED_ROWS = 100  # that a model has to predict the same when it was saved and loaded

# What MLflow runs to load a model: the code of hpo.predictor, and then this. INPUT is the type of
# rows, without which MLflow gives advice at each load.
_MODEL_CODE = '''

import mlflow
import pandas


class _PythonModel(mlflow.pyfunc.PythonModel):
    """Answers MLflow with the predictor that lies beside."""

    def load_context(self, context):
        self.predictor = Predictor.load(Path(context.artifacts["predictor"]))

    def predict(self, context, model_input: INPUT, params=None):
        return pandas.DataFrame(self.predictor.predict(model_input))


mlflow.models.set_model(_PythonModel())
'''


class Listener(Protocol):
    """Is told how far the training is, for those who watch."""

    def note(self, text: str) -> None:
        """Show a line to the user."""
        ...

    def trained(self, trial: Trial, epoch: int, epochs: int) -> None:
        """Take note of an epoch, from 1, of so many."""
        ...


@dataclass(frozen=True)
class Interval:
    """A result, and the bounds of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ClassResult:
    """How well one class is told; `precision` is None where it was never predicted."""

    label: str
    precision: float | None
    recall: float | None  # None where the test set has no row of the class
    rows: int


@dataclass(frozen=True)
class Score:
    """How good predictions of the test set are: the first metric is the one that counts.

    Metrics are "accuracy", or "r2" and "rmse" (in the units of the source). `confusion` counts
    rows by true class (first axis) and predicted class; it is empty for a regression.
    """

    metrics: Mapping[str, Interval]
    classes: tuple[ClassResult, ...] = ()
    confusion: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 0), np.int64))

    @property
    def metric(self) -> str:
        """The name of the metric that counts."""
        return next(iter(self.metrics))


@dataclass(frozen=True)
class Member:
    """A trial that was trained once more: for how many epochs, and its own score."""

    trial: Trial
    value: float  # what it was chosen by: the searched metric on validation rows, or its mean
    epochs: int
    score: Score


@dataclass(frozen=True)
class Evaluation:
    """What came of a look at the test set; `model` is an address in MLflow."""

    study: str
    look: Look
    rows: int
    score: Score
    members: tuple[Member, ...]
    run_id: str
    model: str

    @property
    def mean_of_members(self) -> float:
        """The mean of the members' own results in the metric that counts."""
        metric = self.score.metric
        return float(np.mean([m.score.metrics[metric].value for m in self.members]))

    @property
    def beats_members(self) -> bool | None:
        """Whether the ensemble is better than its members on average; None for one model."""
        if len(self.members) == 1:
            return None
        return self.score.metrics[self.score.metric].value > self.mean_of_members

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
                    "hyperparameters": dict(member.trial.hyperparameters),
                    "value": member.value,
                    "epochs": member.epochs,
                    **{name: i.value for name, i in member.score.metrics.items()},
                }
                for member in self.members
            ],
            "mean_of_members": self.mean_of_members,
            "beats_members": self.beats_members,
            "run": self.run_id,
            "model": self.model,
        }


def evaluate(
    study: Study,
    split: Split,
    recorded: Recorded,
    record: StudyRecord,
    listener: Listener,
    *,
    top: int = 1,
    again: bool = False,
) -> Evaluation:
    """Train the best `top` trials once more, and judge them, or their mean, on the test set.

    The study must be unchanged since it was recorded (`comparability.refuse_changes`). The test
    set is touched when all else is done: training, and keeping the model.

    Raises InputError where the test set is spent and not `again`, where there are too few trials,
    or where the objective gives no model that can be kept; HPOError where training fails.
    """
    refuse_repetition(study, recorded, again)
    chosen = best(study, recorded, top)
    data = joined(split.data)
    limit_threads(study.resources.cpus)
    trained = []
    for result in chosen:
        model, epochs = retrain(study, result, data, listener)
        if model is not None:
            trained.append((result, model, epochs))
    if not trained:
        raise HPOError("every trial diverged when trained once more; the test set is untouched")
    models, evaluations = tuple(model for _, model, _ in trained), record.evaluations
    ensemble = Predictor(split.preprocessing, models)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kept, files, outcome = (folder / part for part in ("predictor", "files", "outcome"))
        for part in (kept, files, outcome):
            part.mkdir()
        _keep(study, ensemble, data.training.inputs[:_CHECKED_ROWS], kept)
        (files / "study").mkdir()
        (files / "study" / study.path.name).write_text(study.text, encoding="utf-8")
        params = {"trials": str(len(trained)), "of": _names([r for r, _, _ in trained])}
        run_id = evaluations.start(params, files)
        number = max((look.number for look in recorded.looks), default=0) + 1
        look = Look(number, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
        address = ""
        try:
            address = _log_model(
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
        evaluation = Evaluation(study.name, look, rows, *judged, run_id, address)
        _write_outcome(evaluation, outcome, listener)
        try:
            evaluations.end(run_id, look, _metrics(evaluation), _tags(evaluation), outcome)
        except RecordUnavailable as error:  # what was seen must not be lost with it
            raise HPOError(
                f"{look.result}; but the record is away, and knows only that the test set is "
                f"spent: {error}"
            ) from error
    return evaluation


def refuse_repetition(study: Study, recorded: Recorded, again: bool) -> None:
    """Raise InputError where the test set is spent, unless it is to be used `again`."""
    if recorded.looks and not again:
        last = recorded.looks[-1]
        raise InputError(
            f"the test set of {study.name!r} was spent on {shown_time(last.when)}: "
            f"{last.result or 'that look broke off'}; what a second look finds is too good where "
            "the first had any influence; --again looks, and marks the result as repeated"
        )


def best(study: Study, recorded: Recorded, top: int) -> list[TrialResult]:
    """Return the best `top` trials, by the mean of their repeats where they were confirmed.

    Raises InputError where there are not so many.
    """
    ranked = confirmation.ranked(recorded.results, recorded.repeats, study.direction)
    if len(ranked) < top:
        raise InputError(
            f"{study.name} has {wording.count(len(ranked), 'complete trial')}, fewer than {top}; "
            "run more, or lower --top"
        )
    return ranked[:top]


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
    study: Study, result: TrialResult, data: Data, listener: Listener
) -> tuple[Model | None, int]:
    """Train a trial once more; return its model, None where it diverged, and the epochs.

    It gets the recorded seed, and as many epochs as led to its value. Raises InputError where the
    objective returns no model, HPOError where it fails.
    """
    trial = result.trial
    hyperparameters = {**study.fixed, **trial.hyperparameters}
    epochs = result.epoch if study.value == "best" and result.epoch else result.epochs
    who = str(trial.id)
    parameters = inspect.signature(study.objective.hyperparameters).parameters
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
    count = 0
    folder = str(study.path.absolute().parent)
    try:
        with TrialProcess(study.objective.name, trial.seed, folder, study.resources.cpus):
            generator = _quiet(
                lambda: study.objective.start(hyperparameters, data, trial.seed)
            )
            while True:
                try:
                    metrics = _quiet(lambda: next(generator))
                except StopIteration as stop:
                    model: Model | None = stop.value
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
        ) from error
    if model is None:
        raise InputError(
            f"{study.objective.name} returns no model, so there is nothing to judge; "
            "let it return one with `predict`, `save` and `loader`"
        )
    return model, count


def score(outputs: NDArray[Any], split: Split, seed: int) -> Score:
    """Return how good outputs (rows, classes) or (rows, 1) for the test set are."""
    targets = split.test.targets
    if split.data.task == "classification":
        return score_classes(outputs.argmax(axis=1), targets, split.data.classes)
    return score_values(outputs[:, 0], targets, split.data.target_scale, seed)


def score_classes(
    predicted: NDArray[np.intp], targets: NDArray[np.int64], classes: Sequence[str]
) -> Score:
    """Return the accuracy, with Wilson's interval, and the results of each class, by index."""
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    indices = np.arange(len(classes))
    confusion = confusion_matrix(targets, predicted, labels=indices)
    precision, recall, _, rows = precision_recall_fscore_support(
        targets, predicted, labels=indices, zero_division=np.nan
    )
    results = tuple(
        ClassResult(name, _known(precision[i]), _known(recall[i]), int(rows[i]))
        for i, name in enumerate(classes)
    )
    return Score({"accuracy": wilson(int(confusion.trace()), len(targets))}, results, confusion)


def wilson(hits: int, rows: int) -> Interval:
    """Return a share and its 95 % interval by the score test, which never leaves [0, 1].

    Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the
    American Statistical Association 22 (1927).
    """
    from scipy.stats import binomtest

    bounds = binomtest(hits, rows).proportion_ci(confidence_level=0.95, method="wilson")
    return Interval(hits / rows, float(bounds.low), float(bounds.high))


def score_values(
    predicted: NDArray[Any], targets: NDArray[Any], target_scale: float, seed: int
) -> Score:
    """Return R2 and RMSE (times `target_scale`), with percentile intervals of the bootstrap.

    Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7 (1979).
    """
    errors = (predicted.astype(np.float64) - targets) ** 2
    targets = targets.astype(np.float64)
    random = np.random.default_rng(np.random.SeedSequence((seed, len(targets))))

    def measured(rows: Any) -> tuple[float, float]:
        error, variance = float(errors[rows].mean()), float(targets[rows].var())
        return (1 - error / variance if variance else 0.0), target_scale * math.sqrt(error)

    values = measured(slice(None))
    resampled = [
        measured(random.integers(len(targets), size=len(targets))) for _ in range(RESAMPLES)
    ]
    bounds = np.percentile(resampled, [2.5, 97.5], axis=0)
    return Score(
        {
            name: Interval(values[i], float(bounds[0, i]), float(bounds[1, i]))
            for i, name in enumerate(("r2", "rmse"))
        }
    )


def summary(score: Score, rows: int) -> str:
    """Return a score in one line."""
    parts = []
    for name, interval in score.metrics.items():
        value, low, high = wording.column([interval.value, interval.low, interval.high])
        parts.append(f"{name} {value} (95 % interval {low} to {high})")
    return f"{', '.join(parts)} on {wording.count(rows, 'row')}"


def shown_time(when: str) -> str:
    """Return a time in ISO 8601 as a person reads it."""
    return f"{when[:10]} {when[11:16]} UTC"


def last_model(record: StudyRecord) -> Predictor:
    """Return the model of the study's last evaluation; this runs the code that lies with it.

    Raises InputError where there is none, HPOError where it cannot be loaded.
    """
    import mlflow

    address = record.evaluations.model()
    try:
        with _mlflow_on(record.evaluations.uri):
            loaded = mlflow.pyfunc.load_model(address)
        model: Predictor = loaded.unwrap_python_model().predictor
    except Exception as error:  # of the record, or of somebody's code
        raise HPOError(
            f"the model {address} of {record.name!r} cannot be loaded: {error}; "
            "`hpo evaluate` again"
        ) from error
    return model


def _quiet(call: Callable[[], Any]) -> Any:
    """Return what `call` returns, and drop what it prints."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return call()


@contextlib.contextmanager
def _mlflow_on(uri: str) -> Iterator[None]:
    """Let MLflow's own functions use a record; the process is as it was afterwards.

    They show no bars for a few files, and no advice to whoever writes a model.
    """
    import mlflow

    before = {name: os.environ.get(name) for name in (_BARS, "MLFLOW_TRACKING_URI")}
    os.environ[_BARS] = "false"
    mlflow.set_tracking_uri(uri)  # which sets the variable, too
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _judge(
    trained: Sequence[tuple[TrialResult, Model, int]], ensemble: Predictor, split: Split, seed: int
) -> tuple[Score, tuple[Member, ...]]:
    """Return the score of the ensemble, and each member with its own."""
    members = []
    for result, model, epochs in trained:
        own = Predictor(ensemble.preprocessing, (model,)).outputs(split.test.inputs)
        value = math.nan if result.value is None else result.value
        members.append(Member(result.trial, value, epochs, score(own, split, seed)))
    return score(ensemble.outputs(split.test.inputs), split, seed), tuple(members)


def _keep(study: Study, ensemble: Predictor, inputs: NDArray[np.float32], folder: Path) -> None:
    """Save the models, and make sure that they come back as they were."""
    try:
        ensemble.save(folder)
        same = np.allclose(Predictor.load(folder).outputs(inputs), ensemble.outputs(inputs))
    except Exception as error:  # of the objective's own save and load
        raise InputError(
            f"the model of {study.objective.name} cannot be saved and loaded: "
            f"{type(error).__name__}: {error}"
        ) from error
    if not same:
        raise InputError(
            f"the model of {study.objective.name} predicts otherwise once saved and loaded; "
            "save all that it knows"
        )


def _log_model(
    study: Study,
    uri: str,
    run_id: str,
    preprocessing: Preprocessing,
    models: Sequence[Model],
    folder: Path,
) -> str:
    """Give the model in folder/predictor to MLflow; return its address there."""
    import mlflow

    code = folder / "model.py"
    rows = "pandas.DataFrame" if preprocessing.columns else "np.ndarray"
    text = Path(predictor.__file__).read_text(encoding="utf-8")
    text += _MODEL_CODE.replace("INPUT", rows)
    code.write_text(text, encoding="utf-8")
    names = {study.objective.name, *(model.loader for model in models)}
    paths, requirements = _code(sorted(names), folder / "code")
    try:
        with _mlflow_on(uri), mlflow.start_run(run_id=run_id):
            logged = mlflow.pyfunc.log_model(
                name=_model_name(study.name),
                python_model=str(code),
                artifacts={"predictor": str(folder / "predictor")},
                code_paths=paths,
                signature=_signature(preprocessing),
                pip_requirements=[*(_pinned(name) for name in ("numpy", "pandas")), *requirements],
            )
    except Exception as error:
        raise HPOError(
            f"MLflow does not take the model: {error}; the test set is untouched"
        ) from error
    return str(logged.model_uri)


def _model_name(study: str) -> str:
    """Return the name of a study as MLflow allows it for a model."""
    return "".join("-" if c in "/:.%\"'" else c for c in study)


def _code(names: Sequence[str], folder: Path) -> tuple[list[str], list[str]]:
    """Copy the Python files that objective and loaders come from; return paths and requirements.

    What is installed from elsewhere is required instead.
    """
    paths, requirements = set(), {}
    for name in names:
        top = name.partition(":")[0].partition(".")[0]
        file = Path(sys.modules[top].__file__ or "")
        distribution = next(iter(importlib.metadata.packages_distributions().get(top, ())), "hpo")
        if objective_code.is_installed(file) and distribution != "hpo":
            requirements[top] = _pinned(distribution)
            continue
        for place, source in objective_code.files(name).items():
            _copy(source, folder / place)
            paths.add(str(folder / place.partition("/")[0]))
    return sorted(paths), sorted(requirements.values())


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(source.read_bytes())


def _pinned(distribution: str) -> str:
    return f"{distribution}=={importlib.metadata.version(distribution)}"


def _signature(preprocessing: Preprocessing) -> Any:
    """Return what MLflow tells of the model's input and output."""
    from mlflow.models import ModelSignature
    from mlflow.types.schema import AnyType, ColSpec, DataType, Schema, TensorSpec

    # A column of numbers is "any": as "double" MLflow would refuse whole numbers.
    anything: Any = AnyType()  # type: ignore[no-untyped-call]
    types = {"number": anything, "text": DataType.string, "boolean": anything}
    inputs: list[Any] = [ColSpec(types[c.type], c.name) for c in preprocessing.columns]
    if not inputs:
        inputs = [TensorSpec(np.dtype(np.float64), (-1, *preprocessing.shape))]
    kinds = preprocessing.predictions(np.zeros((1, max(1, len(preprocessing.classes)))))
    outputs: list[Any] = [
        ColSpec(DataType.string if name == "label" else DataType.double, name) for name in kinds
    ]
    return ModelSignature(Schema(inputs), Schema(outputs))


def _write_outcome(evaluation: Evaluation, folder: Path, listener: Listener) -> None:
    """Write the result as JSON, and of a classification the confusion matrix as a picture."""
    text = json.dumps(evaluation.to_table(), indent=2, ensure_ascii=False)
    (folder / "evaluation.json").write_text(text, encoding="utf-8")
    if not evaluation.score.classes:
        return
    try:
        draw(evaluation.score, folder / "figures")
    except Exception as error:  # a result without its figure is a result
        listener.note(f"no figure of the evaluation: {type(error).__name__}: {error}")


def draw(score: Score, folder: Path) -> Path:
    """Write the confusion matrix of a classification to a folder; return the file."""
    labels = [result.label for result in score.classes]
    return figures.save(
        figures.confusion_matrix(score.confusion, labels), folder / "confusion_matrix.png"
    )


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
            f"**Repeated**: this is look {look.number} at the test set. Where an earlier one had "
            "any influence, the result is too good.\n\n"
        )
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
    return ", ".join(f"{r.trial.round}.{r.trial.number}" for r in results)[:1000]
