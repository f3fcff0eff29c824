import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from hpo.distributions import CategoricalDistribution, FloatDistribution, IntegerDistribution
from hpo.errors import InputError
from hpo.forms import find
from hpo.objective import Given, Objective
from hpo.objective_code import read_code
from hpo.study import read

HEAD = """
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Optional

if TYPE_CHECKING:
    from decimal import Decimal


@dataclass(frozen=True)
class Hyperparameters:
    rate: float = 0.1


"""
GOOD = """
def train(hyperparameters: Hyperparameters, data: Any = None, *, seed: int) -> Generator[dict]:
    yield {"loss": 1.0}


train.metrics = ("loss",)
"""
Write = Callable[..., str]
GIVEN = Given(metric="loss", seed=0)


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Return a function that writes modules, and tells the name of the objective in the last."""
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path.name  # modules are found once in a process: each test has its own

    def write(text: str = GOOD, module: str = "objectives", head: str = HEAD) -> str:
        path = tmp_path / package / f"{module.replace('.', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(head + textwrap.dedent(text))
        return f"{package}.{module}:train"

    return write


def complaint(name: str) -> str:
    with pytest.raises(InputError) as caught:
        find(name)
    return str(caught.value)


# Finding one.


@pytest.mark.parametrize(
    "name",
    ["", "train", "a.b.c", ":train", "a:", "a:b:c", "a b:c", "../a:b", "/tmp/a:b", "a..b:c",
     ".a:b", "a.:b", "1a:b", "a:1b", "a:b()", "a:b.c", "a;b:c", "a:b\n", "모듈:train", "-a:b"],
)
def test_the_form_is_checked_before_anything_is_imported(name: str) -> None:
    before = set(sys.modules)
    assert 'use the form "package.module:name"' in complaint(name)
    assert set(sys.modules) == before


def test_a_good_one_says_what_it_takes_and_yields(write: Write) -> None:
    objective = find(write())
    assert objective.types() == {"rate": float}
    assert objective.metrics == {"classification": ("loss",), "regression": ("loss",)}
    assert next(objective.start({"rate": 0.5}, GIVEN)) == {"loss": 1.0}


def test_metrics_by_task(write: Write) -> None:
    metrics = '{"classification": ["accuracy"], "regression": ("r2", "rmse")}'
    objective = find(write(GOOD.replace('("loss",)', metrics)))
    assert objective.metrics == {"classification": ("accuracy",), "regression": ("r2", "rmse")}


@pytest.mark.parametrize("metrics", ['"loss"', "()", "(1,)", "3", '{"regression": "loss"}'])
def test_metrics_that_are_no_names(write: Write, metrics: str) -> None:
    assert "`metrics`" in complaint(write(GOOD.replace('("loss",)', metrics)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("raise ValueError('no')", "ValueError: no"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise ModuleNotFoundError('half installed')", "no module 'half installed'"),
        ("import not_there.either", "no module 'not_there'"),
        ("def train(:", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError"),
        ("pass", "no function 'train'"),
        ("train = 3", "no function 'train'"),
        ("class train: pass", "no function 'train'"),
        ("async def train(rate: float): return 1.0", "plain def"),
        ("async def train(rate: float): yield 1.0", "plain def"),
        ("def train(): yield {}", "has no hyperparameters; declare each as a parameter"),
        ("def train(*, data, seed, folder): yield {}", "has no hyperparameters"),
        ("def train(hyperparameters): yield {}", "'hyperparameters' of test_"),
        ("def train(rate): yield {}", "has no type; annotate it, for example rate: float"),
        ("def train(rate=None): yield {}", "has no type; annotate it"),
        ("def train(hyperparameters: dict): yield {}", "has the type dict; a hyperparameter must"),
        ("def train(rate: list[int]): yield {}", "has the type list; a hyperparameter"),
        ("def train(rate: float | bytes): yield {}", "has the type float | bytes; a"),
        ("def train(rate: Literal['a', b'b']): yield {}", "has the type"),
        ("def train(rate: tuple[int, bytes]): yield {}", "has the type tuple; a hyperparameter"),
        ("def train(rate=b''): yield {}", "has the type bytes; a hyperparameter must be"),
        ("def train(*rates: float): yield {}", "*rates of"),
        ("def train(**rates: float): yield {}", "hides the names of its hyperparameters"),
        ("def train(hyperparameters: Hyperparameters, data, more): yield {}",
         "unknown parameter 'more'"),
        ("def train(hyperparameters: 'Hyperparameter'): yield {}", "NameError"),
        ("def train(hyperparameters: Hyperparameters, data: 'Decimal'): yield {}", "NameError"),
        (
            """
            @dataclass(frozen=True)
            class Unknown:
                rate: "Decimal"
            def train(hyperparameters: Unknown): yield {}
            """,
            "import the name at run time",
        ),
    ],
)
def test_what_is_no_objective_is_said_with_its_reason(write: Write, text: str, said: str) -> None:
    assert said in complaint(write(text))


def test_the_ones_a_module_has_are_named(write: Write) -> None:
    name = write(
        "from textwrap import dedent\nclass Other:\n    metrics = ('loss',)\n"
        "def _hidden(): pass\ndef another(rate: float): return rate\nnumber = 3\n" + GOOD
    )
    assert complaint(name.replace(":train", ":trian")).endswith("; it defines another, train")


# Its hyperparameters.

TYPES = '''
@dataclass(frozen=True)
class Base:
    needed: float
    rate: float = 0.1


@dataclass(frozen=True, kw_only=True)
class Everything(Base):
    kind_of: ClassVar[str] = "not one of them"
    made: float = field(default=0.0, init=False)
    units: int = 10
    deep: bool = False
    optimizer: Literal["sgd", "adam"] = "sgd"
    sizes: tuple[int, ...] = (100,)
    pair: tuple[int, float] = (1, 1.0)
    bound: Optional[float] = None
    most: int | None = None
    label: str = field(default_factory=str)


def train(hyperparameters: Everything, data: Any = None, *, seed: int) -> Generator[dict]:
    yield {"loss": 1.0}


train.metrics = ("loss",)
'''


def test_types_and_what_has_no_default(write: Write) -> None:
    objective = find(write(TYPES))
    assert objective.types() == {
        "needed": float, "rate": float, "units": int, "deep": bool,
        "optimizer": Literal["sgd", "adam"], "sizes": tuple[int, ...], "pair": tuple[int, float],
        "bound": float | None, "most": int | None, "label": str,
    }
    assert objective.required() == ("needed",)


def test_annotations_in_quotes_are_types_as_well(write: Write) -> None:
    head = "from __future__ import annotations\n" + HEAD
    assert find(write(TYPES, head=head)).types()["bound"] == float | None


def test_a_study_gives_each_its_type(write: Write, tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(f'''
        objective = "{write(TYPES)}"
        metric = "loss"
        direction = "minimize"
        [fixed]
        needed = 1
        deep = true
        sizes = [3, 4]
        pair = [1, 2]
        label = "x"
        [search_space]
        rate = {{ low = 1, high = 2 }}
        units = {{ low = 1, high = 2 }}
        bound = {{ low = 1, high = 2 }}
        most = {{ low = 1, high = 2 }}
        optimizer = {{ choices = ["adam", "sgd"] }}
    ''')
    study = read(path)
    assert repr(study.fixed) == repr(
        {"needed": 1.0, "deep": True, "sizes": (3, 4), "pair": (1, 2.0), "label": "x"}
    )
    assert study.search_space == {
        "rate": FloatDistribution(1.0, 2.0),
        "units": IntegerDistribution(1, 2),
        "bound": FloatDistribution(1.0, 2.0),
        "most": IntegerDistribution(1, 2),
        "optimizer": CategoricalDistribution(("adam", "sgd")),
    }


@pytest.mark.parametrize("name", ["made", "kind_of"])
def test_what_is_not_given_from_outside_is_no_hyperparameter(
    write: Write, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "study.toml"
    path.write_text(
        f'objective = "{write(TYPES)}"\nmetric = "loss"\ndirection = "minimize"\n'
        f"[fixed]\nneeded = 1\n{name} = 1\n[search_space]\nrate = {{ low = 1, high = 2 }}\n"
    )
    with pytest.raises(InputError, match=rf"fixed\.{name}: unknown hyperparameter"):
        read(path)


# Its digest.


def digest(objective: Objective) -> str:
    """Return the digest of the code of an objective as its files are now."""
    return read_code(objective.name).digest


def found(write: Write) -> Objective:
    return find(write(GOOD, "deep.objectives"))


def test_the_digest_is_that_of_the_code(write: Write, tmp_path: Path) -> None:
    objective = found(write)
    before = digest(objective)
    assert len(before) == 16
    assert int(before, 16) >= 0
    assert digest(objective) == before
    package = objective.name.partition(".")[0]
    for path in (tmp_path / package).rglob("*"):
        os.utime(path, (0, 0))
    (tmp_path / package / "notes.txt").write_text("not code")
    (tmp_path / "beside.py").write_text("another = 1")
    assert digest(objective) == before


@pytest.mark.parametrize(
    "change", ["edit", "edit another", "add", "remove", "rename", "move", "rename folder"]
)
def test_the_digest_changes_with_any_module_of_the_package(
    write: Write, tmp_path: Path, change: str
) -> None:
    write("one = 1", "layers")
    write("two = 2", "parts.networks")
    objective = found(write)
    folder = tmp_path / objective.name.partition(".")[0]
    before = digest(objective)
    match change:
        case "edit":
            write(GOOD.replace("1.0", "2.0"), "deep.objectives")
        case "edit another":
            write("one = 2", "layers")
        case "add":
            (folder / "empty.py").touch()
        case "remove":
            (folder / "layers.py").unlink()
        case "rename":
            (folder / "layers.py").rename(folder / "layer.py")
        case "move":
            (folder / "layers.py").rename(folder / "deep" / "layers.py")
        case "rename folder":
            (folder / "parts").rename(folder / "part")
    assert digest(objective) != before


def test_the_digest_of_one_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "alone_in_its_folder.py"
    file.write_text(HEAD + GOOD)
    objective = find("alone_in_its_folder:train")
    before = digest(objective)
    (tmp_path / "beside.py").write_text("another = 1")
    assert digest(objective) == before
    file.write_text(HEAD + GOOD + "# a word\n")
    assert digest(objective) != before


def test_the_digest_of_a_file_covers_those_beside_it_that_it_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "far_of_it.py").write_text("step = 1\n")
    (tmp_path / "near_to_it.py").write_text("import far_of_it\nimport leads_back\n")
    (tmp_path / "unrelated.py").write_text("step = 1\n")
    file = tmp_path / "leads_back.py"
    file.write_text("from near_to_it import far_of_it\n" + HEAD + GOOD)
    objective = find("leads_back:train")
    before = digest(objective)
    (tmp_path / "unrelated.py").write_text("step = 2\n")
    assert digest(objective) == before
    (tmp_path / "far_of_it.py").write_text("step = 2\n")
    assert digest(objective) != before


def test_the_digest_does_not_depend_on_where_the_package_lies(tmp_path: Path) -> None:
    script = "from hpo.forms import find; print(find('mine.own:train').code.digest)"
    digests = set()
    for place in ("here", "there/deeper"):
        folder = tmp_path / place / "mine"
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
        (folder / "own.py").write_text(HEAD + GOOD)
        digests.add(_output(script, folder.parent))
    assert len(digests) == 1


def _output(script: str, folder: Path) -> str:
    environment: dict[str, Any] = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True,
        check=True, timeout=60,
    ).stdout


# Beside the study file.

TRAINING = """
import sys
from hpo.trial import Trial
from hpo.workers.attempt import Job, attempt_trial

job = Job("own:train", "loss", "minimize", "last", {}, (sys.argv[1],))
*_, result = attempt_trial(job, None, Trial(1, 1, {"rate": 0.5}, seed=0), 1)
print(result.state, result.value, result.message)
"""


def test_a_module_beside_the_study_file_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "own.py").write_text(HEAD + "from own_layers import LOSS\n" + GOOD)
    (folder / "own_layers.py").write_text("LOSS = 1.0\n")
    (folder / "study.toml").write_text(
        'objective = "own:train"\nmetric = "loss"\ndirection = "minimize"\n'
        "[search_space]\nrate = { low = 0.1, high = 1 }\n"
    )
    # Another module of that name lies where the command is given: it must not be taken.
    (tmp_path / "own.py").write_text("raise RuntimeError('the wrong one')\n")
    command = [Path(sys.executable).with_name("hpo"), "check", "mine/study.toml"]
    worker = [sys.executable, "-P", "-c", TRAINING, str(folder)]
    outputs = [
        subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, timeout=60,
                       check=False)
        for arguments in (command, worker)
    ]
    assert [(o.returncode, o.stderr) for o in outputs] == [(0, ""), (0, "")]
    assert "own:train" in outputs[0].stdout
    assert outputs[1].stdout.strip() == "complete 1.0"


def test_the_code_of_an_objective_is_that_which_was_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "edited_later.py"
    file.write_text(HEAD + GOOD)
    (tmp_path / "near_the_edited.py").touch()
    before = find("edited_later:train").code
    file.write_text("import near_the_edited\n" + HEAD + GOOD)
    assert find("edited_later:train").code == before  # this process runs no other
    now = read_code("edited_later")
    assert now.differing(before) == ("edited_later.py", "near_the_edited.py")
    assert before.differing(before) == ()


@pytest.mark.parametrize(
    ("parameters", "takes", "needs"),
    [
        ("hyperparameters: Hyperparameters, data, *, seed", True, True),
        ("hyperparameters: Hyperparameters, arrays=None, *, seed", True, False),
        ("hyperparameters: Hyperparameters, *, seed", False, False),
        ("hyperparameters: Hyperparameters, seed", False, False),
        ("rate: float, data", True, True),
        ("rate: float, *, seed, data=None", True, False),
        ("rate: float = 0.1, *, seed", False, False),
    ],
)
def test_what_an_objective_takes(
    write: Write, parameters: str, takes: bool, needs: bool
) -> None:
    signature = "def train(hyperparameters: Hyperparameters, data: Any = None, *, seed: int)"
    assert signature in GOOD
    objective = find(write(GOOD.replace(signature, f"def train({parameters})")))
    assert ("data" in objective.asks, objective.needs_data) == (takes, needs)
    if not needs:
        assert next(objective.start({"rate": 0.5}, GIVEN)) == {"loss": 1.0}


@pytest.mark.parametrize(
    "name", ["", "random.py", "ray.py", "numpy/__init__.py", "hpo/__init__.py"]
)
def test_a_file_that_hides_what_hpo_needs_is_named(tmp_path: Path, name: str) -> None:
    study = tmp_path / "study.toml"
    study.write_text(
        'objective = "trainer.objectives:perceptron"\nmetric = "validation_accuracy"\n'
        'direction = "maximize"\n[data]\nsource = "digits"\n'
        '[search_space]\nlearning_rate = { low = 0.1, high = 1 }\n'
    )
    for harmless in ("test.py", "ray.toml", "numpy/data.txt", "time.py", "own.py"):
        (tmp_path / harmless).parent.mkdir(exist_ok=True)
        (tmp_path / harmless).touch()
    if name:
        hiding = tmp_path / name
        hiding.parent.mkdir(exist_ok=True)
        hiding.touch()
    check = [Path(sys.executable).with_name("hpo"), "check", study]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    if not name:
        assert (done.returncode, done.stderr) == (0, "")
        return
    hidden = name.partition("/")[0]
    assert (done.returncode, done.stderr) == (
        2,
        f"hpo: {study}: {tmp_path / hidden} hides the module {hidden.removesuffix('.py')!r}, which "
        "Python or hpo needs; rename it\n",
    )
