"""Models in MLflow: how those of an evaluation are kept, and loaded to predict."""

import contextlib
import importlib.metadata
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hpo import framework_models, objective_code
from hpo.data import predictor
from hpo.data.predictor import Predictor, Preprocessing
from hpo.errors import HPOError
from hpo.framework_models import LOADERS
from hpo.objective import Model
from hpo.record.study import StudyRecord
from hpo.study import StudyFile

_BARS = "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"

# What MLflow runs to load a model: the code of the predictor and, where a model is one of a
# framework, of what adapts it, and then this. INPUT is the type of rows, without which MLflow
# gives advice at each load.
_MODEL_CODE = '''

import mlflow
import pandas


class _PythonModel(mlflow.pyfunc.PythonModel):
    """Serves the predictor stored beside it to MLflow."""

    def load_context(self, context):
        self.predictor = Predictor.load(Path(context.artifacts["predictor"]), LOADERS)

    def predict(self, context, model_input: INPUT, params=None):
        return pandas.DataFrame(self.predictor.predict(model_input))


mlflow.models.set_model(_PythonModel())
'''


def last_model(record: StudyRecord) -> Predictor:
    """Return the model of the study's last evaluation; this runs the code stored with it.

    Raises InputError if there is none, HPOError if it cannot be loaded.
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
            "run `hpo evaluate` again"
        ) from error
    return model


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


def log_model(
    study: StudyFile,
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
    adapted: list[Any] = [model for model in models if model.loader in LOADERS]
    text = Path(predictor.__file__).read_text(encoding="utf-8")
    if adapted:
        text += Path(framework_models.__file__).read_text(encoding="utf-8")
    else:
        text += "\n\nLOADERS = {}"
    text += _MODEL_CODE.replace("INPUT", rows)
    code.write_text(text, encoding="utf-8")
    names = {study.objective.name, *(m.loader for m in models if m.loader not in LOADERS)}
    paths, requirements = _code(sorted(names), folder / "code")
    requirements |= _distributions(top for model in adapted for top in model.packages)
    pinned = [_pinned(name) for name in sorted(requirements | {"numpy", "pandas"})]
    try:
        with _mlflow_on(uri), mlflow.start_run(run_id=run_id):
            logged = mlflow.pyfunc.log_model(
                name=_model_name(study.name),
                python_model=str(code),
                artifacts={"predictor": str(folder / "predictor")},
                code_paths=paths,
                signature=_signature(preprocessing),
                pip_requirements=pinned,
            )
    except Exception as error:
        raise HPOError(
            f"MLflow rejected the model: {error}; the test set was not used"
        ) from error
    return str(logged.model_uri)


def _model_name(study: str) -> str:
    """Return the name of a study as MLflow allows it for a model."""
    return "".join("-" if c in "/:.%\"'" else c for c in study)


def _code(names: Sequence[str], folder: Path) -> tuple[list[str], set[str]]:
    """Copy the Python files that objective and loaders come from; return paths and requirements.

    What is installed from elsewhere is required instead.
    """
    paths, requirements = set(), set()
    for name in names:
        top = name.partition(":")[0].partition(".")[0]
        file = Path(sys.modules[top].__file__ or "")
        distributions = _distributions([top]) - {"hpo"}
        if objective_code.is_installed(file) and distributions:
            requirements |= distributions
            continue
        for path, source in objective_code.files(name).items():
            _copy(source, folder / path)
            paths.add(str(folder / path.partition("/")[0]))
    return sorted(paths), requirements


def _distributions(tops: Iterable[str]) -> set[str]:
    """Return the installed distributions that provide these packages."""
    known = importlib.metadata.packages_distributions()
    return {known[top][0] for top in tops if top in known}


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
