"""Objectives of each form train the same, and say the same of what is wrong."""

import hashlib
import math
import re
import sys
import textwrap
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpo.errors import InputError
from hpo.forms import as_metrics, find
from hpo.objective import Data, Given, Objective, Part
from hpo.trial import State, Trial, TrialResult
from hpo.workers.attempt import Job, NoMetric, attempt_trial
from tests.fixtures import Outcome, hpo, table
from tests.fuzzing import examples

DATA = Data(Part(np.zeros((1, 1), np.float32), np.zeros(1)), None, "regression")
Find = Callable[[str], Objective]


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Find:
    """Return a function that finds `train` in the text of a module."""
    monkeypatch.syspath_prepend(tmp_path)
    name = module_of(tmp_path)

    def find_in(text: str) -> Objective:
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
        return find(f"{name}:train")

    return find_in


def epochs(
    objective: Objective, hyperparameters: dict[str, Any], **given: Any
) -> tuple[list[dict[str, float]], object]:
    """Train; return the metrics of each epoch, and the model."""
    training = objective.start(hyperparameters, Given(**{"metric": "loss", "seed": 7, **given}))
    metrics = []
    while True:
        try:
            metrics.append(next(training))
        except StopIteration as end:
            return metrics, end.value


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return rate", [{"loss": 0.5}]),
        ("return {'loss': rate, 'more': 1}", [{"loss": 0.5, "more": 1.0}]),
        ("yield rate", [{"loss": 0.5}]),
        ("yield rate\n    yield 2", [{"loss": 0.5}, {"loss": 2.0}]),
        ("yield {'loss': rate}\n    yield {'loss': 2}", [{"loss": 0.5}, {"loss": 2.0}]),
        ("return (x for x in (rate, 2))", [{"loss": 0.5}, {"loss": 2.0}]),
        ("import numpy as np; return np.float32(rate)", [{"loss": 0.5}]),
        ("import numpy as np; return np.array(rate)", [{"loss": 0.5}]),
        ("from fractions import Fraction; return Fraction(1, 2)", [{"loss": 0.5}]),
        ("return True", [{"loss": 1.0}]),
        ("return 10**400", [{"loss": math.inf}]),
    ],
)
@pytest.mark.parametrize(
    "head", ["def train(rate: float):", "def train(h: H):", "def train(h: H, data=None, *, seed):"]
)
def test_what_a_form_gives(
    found: Find, head: str, body: str, expected: list[dict[str, float]]
) -> None:
    text = "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass H:\n    rate: float\n"
    if "H" in head:
        body = f"rate = h.rate\n    {body}"
    assert epochs(found(f"{text}{head}\n    {body}\n"), {"rate": 0.5}) == (expected, None)


def test_a_model_comes_in_the_end(found: Find) -> None:
    objective = found("def train(rate: float):\n    yield rate\n    return 'the model'")
    assert epochs(objective, {"rate": 1.0}) == ([{"loss": 1.0}], "the model")


def test_parameters_have_the_type_they_are_annotated_with_or_that_of_their_default(
    found: Find,
) -> None:
    objective = found("""
        from typing import Literal, Optional
        def train(rate: float, layers: int = 2, units=10, deep=False, name="sgd", sizes=(1, 2.0),
                  kind: Literal["a", "b"] = "a", bound: Optional[float] = None,
                  pair: "tuple[int, ...]" = (), *, data, seed, folder=None): ...
        """)
    assert objective.types() == {
        "rate": float, "layers": int, "units": int, "deep": bool, "name": str,
        "sizes": tuple[int, float], "kind": Literal["a", "b"], "bound": float | None,
        "pair": tuple[int, ...],
    }  # fmt: skip
    assert objective.required() == ("rate",)
    assert (objective.asks, objective.needs_data) == ({"data", "seed", "folder"}, True)


@pytest.mark.parametrize(
    "signature",
    [
        "rate: float, data=None, seed=0, folder=None",
        "*, folder=None, seed=0, data=None, rate: float",
        "rate: float, /, *, seed=0, data=None, folder=None",
    ],
)
def test_what_is_asked_for_is_given(found: Find, tmp_path: Path, signature: str) -> None:
    objective = found(f"""
        seen = []
        def train({signature}):
            seen.append((rate, data, seed, folder))
            return rate
        train.seen = seen
        """)
    seen = __import__(objective.name.partition(":")[0]).seen
    epochs(objective, {"rate": 0.5}, data=DATA, folder=tmp_path)
    epochs(objective, {"rate": 0.5})
    assert seen == [(0.5, DATA, 7, tmp_path), (0.5, None, 7, None)]


@pytest.mark.parametrize(
    ("signature", "named", "needs"),
    [
        ("h: H, data=None, *, seed=0, folder=None", "data", False),
        ("h: H, *, folder=None, seed=0, data=None", "data", False),
        ("h: H, rows=None, seed=0, folder=None", "rows", False),
        ("h: H, rows=None, /, *others, seed=0, folder=None, **more", "rows", False),
        ("h: H, data, seed, folder=None, more=1", "data", True),
        ("h: H, rows, *, seed, folder", "rows", True),
        ("h: H, *, data, seed, folder", "data", True),
    ],
)
def test_beside_a_dataclass_it_is_given_as_well(
    found: Find, tmp_path: Path, signature: str, named: str, needs: bool
) -> None:
    objective = found(f"""
        from dataclasses import dataclass
        seen = []
        @dataclass(frozen=True)
        class H:
            rate: float
        def train({signature}):
            seen.append((h.rate, {named}, seed, folder))
            return h.rate
        """)
    seen = __import__(objective.name.partition(":")[0]).seen
    assert (objective.asks, objective.needs_data) == ({"data", "seed", "folder"}, needs)
    epochs(objective, {"rate": 0.5}, data=DATA, folder=tmp_path)
    assert seen == [(0.5, DATA, 7, tmp_path)]
    if not needs:
        epochs(objective, {"rate": 0.5})
        assert seen[1:] == [(0.5, None, 7, None)]
    with pytest.raises(TypeError):
        objective.check({"rat": 0.5})


@pytest.mark.parametrize(
    ("attribute", "said"),
    [
        ("metrics = ('loss', 'MAP@5')", "declares the metric name 'MAP@5', which cannot be"),
        ("metrics = ('a' * 300,)", f"declares the metric name '{'a' * 60}', which cannot be"),
        ("metrics = ('a\\nb',)", "declares the metric name 'a b', which cannot be"),
        ("evaluate = 3", "`evaluate` of form_"),
    ],
)
def test_attributes_of_a_function_are_looked_at(found: Find, attribute: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        found(f"def train(rate: float): return rate\ntrain.{attribute}\n")
    assert said in str(caught.value)


def test_what_is_not_asked_for_is_not_given(found: Find, tmp_path: Path) -> None:
    objective = found("def train(rate: float): return rate")
    assert not objective.asks
    assert epochs(objective, {"rate": 0.5}, data=DATA, folder=tmp_path)[0] == [{"loss": 0.5}]


def test_a_training_that_is_stopped_is_closed(found: Find) -> None:
    objective = found("""
        closed = []
        def train(rate: float):
            try:
                while True:
                    yield rate
            finally:
                closed.append(True)
        """)
    training = objective.start({"rate": 1.0}, Given(metric="loss", seed=0))
    next(training)
    training.close()
    assert __import__(objective.name.partition(":")[0]).closed == [True]


def test_something_that_can_be_called_is_a_function(found: Find) -> None:
    objective = found("""
        from functools import partial
        class Trainer:
            def __call__(self, rate: float, seed): return rate + seed
        train = Trainer()
        """)
    assert epochs(objective, {"rate": 0.5})[0] == [{"loss": 7.5}]


def test_any_mapping_names_metrics(found: Find) -> None:
    objective = found("""
        from collections import ChainMap
        from types import MappingProxyType
        def train(rate: float):
            yield MappingProxyType({"loss": rate})
            yield ChainMap({"loss": rate}, {"accuracy": 1})
        """)
    metrics = [{"loss": 0.5}, {"loss": 0.5, "accuracy": 1.0}]
    assert epochs(objective, {"rate": 0.5})[0] == metrics


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("None", "expected a number or a mapping such as {'loss': 0.5}, got None"),
        ("'0.5'", ", got '0.5'"),
        ("b'0.5'", ", got b'0.5'"),
        ("{(1, 2) * 30: 0.5}", "must be a string, got (1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, "
         "1, 2, 1, 2, 1, 2…"),
        ("[0.5]", ", got [0.5]"),
        ("(0.5, 'model')", ", got (0.5, 'model')"),
        ("np.zeros(3)", "must be a number, got array([0., 0., 0.]) ("),
        ("object()", "<object"),
        ("{'loss': 'low'}", "'loss' must be a number, got 'low'"),
        ("{1: 0.5}", "the name of a metric must be a string, got 1"),
        ("{'a\\n': 0.5}", "cannot be recorded"),
    ],
)
def test_what_is_no_metric_is_said(found: Find, given: str, said: str) -> None:
    objective = found(f"import numpy as np\ndef train(rate: float): return {given}")
    with pytest.raises((TypeError, ValueError)) as caught:
        epochs(objective, {"rate": 0.5})
    assert said in str(caught.value)


@given(st.one_of(st.integers(), st.floats(), st.booleans(), st.none(), st.text(), st.binary(),
                 st.lists(st.floats(), max_size=3), st.dictionaries(st.text(), st.floats())))
def test_anything_given_is_metrics_or_one_line(value: Any) -> None:
    try:
        metrics = as_metrics(value, "loss")
    except (TypeError, ValueError) as error:
        said = str(error)
    else:
        said = ""
    assert "\n" not in said
    if said:
        return
    assert all(type(name) is str and type(number) is float for name, number in metrics.items())


PARAMETERS = [
    "rate", "rate: float", "rate: int = 1", "rate=0.5", "rate: 'float'", "rate: 'Rate'",
    "rate: list", "rate: dict[str, float]", "rate: None", "rate: float | None = None",
    "rate: Literal['a', 1]", "rate: Literal[b'x']", "rate: tuple[int, ...] = (1,)",
    "rate: tuple[list, ...]", "rate=[]", "rate: Annotated[float, 'per step']", "rate: Any",
    "rate: type", "rate: 3", "rate: 'x y'", "h: H", "h: H = None", "h: Broken", "data",
    "data=None", "data: float", "seed", "seed: str", "folder", "folder=1", "*rates",
    "*, more: bool = True", "**more", "/", "rate: float, /", "self", "class_: str = 'x'",
    "ünïcode: float = 1", "rate: float = object()", "rate: complex = 1j",
]  # fmt: skip
RETURNS = [
    "return 1", "return None", "return {}", "return {'loss': 1}", "return {1: 2}", "yield 1",
    "yield", "yield from ()", "return (1, 2)", "return [1]", "return {'loss': [1]}",
    "return 'x'", "return b''", "return 10**5000", "return float('nan')", "return -float('inf')",
    "return object()", "raise Stop", "return lambda: 1", "return iter([])",
    "return iter([1, 'x'])", "return {'loss': {}}", "yield {'loss': 1}; yield 'x'",
    "return type", "return {'x' * 500: 1.0}", "return {'loss': 1j}", "raise StopIteration",
    "yield 1; raise StopIteration", "raise GeneratorExit", "return ...",
    "import sys; sys.exit('no')", "raise BaseException", "assert False", "return float",
]  # fmt: skip
MODULE = """
from dataclasses import dataclass
from typing import Annotated, Any, Literal
@dataclass(frozen=True)
class H:
    rate: float = 0.1
@dataclass
class Broken:
    rate: "Nowhere"
def train({parameters}):
    {body}
"""


@given(st.lists(st.sampled_from(PARAMETERS), max_size=3), st.sampled_from(RETURNS), st.integers())
@settings(
    max_examples=examples(300, 2_000), deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_function_gives_a_result_or_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parameters: list[str], body: str, number: int
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    name = f"any_{uuid.uuid4().hex}"
    (tmp_path / f"{name}.py").write_text(
        MODULE.format(parameters=", ".join(parameters), body=body), encoding="utf-8"
    )
    job = Job(f"{name}:train", "loss", "minimize", "last", {}, (str(tmp_path),))
    try:
        objective = find(job.objective)
    except InputError as error:
        said, objective = str(error), None
    finally:
        sys.modules.pop(name, None)
    if objective is None:
        assert "\n" not in said
        assert re.search(r"; \w", said), said
        return
    values: dict[str, Any] = dict.fromkeys(objective.required(), 0.5)
    given_data = DATA if objective.needs_data else None
    (event,) = attempt_trial(job, given_data, Trial(1, 1, values, number % 2**32), 1)
    result = event.result if isinstance(event, NoMetric) else event
    assert isinstance(result, TrialResult)
    if result.state is State.FAILED:
        assert result.message.splitlines()[-1].strip()
    else:
        assert result.metrics


# In a study.

STUDY = """
objective = "{module}:train"
metric = "{metric}"
direction = "minimize"
[search_space]
rate = {{ low = 0.1, high = 1.0 }}
[round]
trials = 6
parallel = 3
"""


def module_of(folder: Path) -> str:
    """Return a name that no other test has: a process imports each once."""
    return f"form_{hashlib.sha256(bytes(folder)).hexdigest()[:8]}"


def write(folder: Path, text: str, metric: str = "loss") -> Path:
    module = module_of(folder)
    (folder / f"{module}.py").write_text(textwrap.dedent(text))
    (folder / "toy.toml").write_text(STUDY.format(metric=metric, module=module))
    return folder / "toy.toml"


def test_branin_takes_three_lines_and_a_study_file_of_nine(folder: Path) -> None:
    program = """from math import cos, pi
def branin(x: float, y: float) -> float:
    return (y - 5.1*x*x/(4*pi*pi) + 5*x/pi - 6)**2 + 10*(1 - 1/(8*pi))*cos(x) + 10
"""
    study = """objective = "branin_function:branin"
metric = "height"
direction = "minimize"
[search_space]
x = { low = -5, high = 10 }
y = { low = 0, high = 15 }
[round]
trials = 40
sampler = "tpe"
"""
    assert (program.count("\n"), study.count("\n")) == (3, 9)
    (folder / "branin_function.py").write_text(program)
    (folder / "branin.toml").write_text(study)
    hpo("run", folder / "branin.toml", "--inline")
    heights = [float(row["height"]) for row in table("branin")]
    assert len(heights) == 40
    assert 0.397887 < min(heights) < 5  # the lowest there is, to six places, and near it


def test_the_first_trial_without_the_metric_ends_the_study_and_another_name_begins_it_anew(
    folder: Path, command: Callable[..., Outcome]
) -> None:
    file = write(folder, "def train(rate: float): return {'lost': rate}")
    ran = command("run", file, "--inline")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert f"{file}: metric: the objective does not report 'loss'; it reports lost;" in ran.err
    file.write_text(STUDY.format(metric="lost", module=module_of(folder)))
    ran = command("run", file, "--inline")
    assert ran.code == 0, ran.err
    assert "metric changed since round 1, in which no trial has succeeded" in ran.out + ran.err
    assert [row["state"] for row in table()] == ["complete"] * 6


def test_a_later_trial_without_the_metric_is_a_failed_one(folder: Path) -> None:
    file = write(folder, """
        def train(rate: float):
            return {"loss": rate} if rate > 0.3 else {"lost": rate}
        """)
    file.write_text(file.read_text() + "[[start]]\nrate = 0.9\n[[start]]\nrate = 0.2\n")
    hpo("run", file, "--inline")
    assert {float(row["rate"]) > 0.3: row["state"] for row in table()} == {
        True: "complete", False: "failed",
    }


def test_each_trial_that_asks_has_an_empty_folder_of_its_own(folder: Path) -> None:
    file = write(folder, f"""
        from pathlib import Path
        def train(rate: float, folder):
            assert not list(folder.iterdir())
            (folder / "left.txt").write_text("x")
            with open({str(folder / "folders.txt")!r}, "a") as file:
                print(folder, file=file)
            return rate
        """)
    hpo("run", file, "--inline")
    folders = (folder / "folders.txt").read_text().split()
    assert len(set(folders)) == 6
    assert not any(Path(name).exists() for name in folders)


@pytest.mark.parametrize("places", [("--inline",), ("--workers", "2")])
def test_a_study_of_parameters_is_reproducible(
    folder: Path, ray_address: str, places: tuple[str, ...]
) -> None:
    text = """
        def train(rate: float, *, seed):
            for epoch in range(3):
                yield {"loss": (rate - 0.5) ** 2 + seed % 7 / (epoch + 1)}
        """
    arguments = ("--inline",) if places == ("--inline",) else ("--ray-address", ray_address)
    hpo("run", write(folder, text), *arguments)
    rows = table()
    assert len(rows) == 6
    assert all(float(row["loss"]) == (float(row["rate"]) - 0.5) ** 2
               + int(row["seed"]) % 7 / 3 for row in rows)


def test_a_wrong_form_is_one_line(folder: Path, command: Callable[..., Outcome]) -> None:
    file = write(folder, "def train(rate): return rate")
    ran = command("check", file)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "objective: the parameter 'rate'" in ran.err
