"""Functions of a notebook: what is kept of them, how it is found again, and what is refused."""

import functools
import hashlib
import linecache
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import hpo
from hpo import notebook_code
from hpo.errors import InputError
from hpo.objective_code import known_as, read_code

TRAIN = """
    def train(learning_rate: float):
        return learning_rate
"""


USES_A = """
    def train(learning_rate: float):
        return float(A.k)
"""


def run_cells(*sources: str) -> dict[str, Any]:
    """Run cells one after the other as the kernel of a notebook does; return their names."""
    names: dict[str, Any] = {"__name__": "__main__", "In": [""]}
    for source in map(textwrap.dedent, sources):
        names["In"].append(source)
        file = f"<cell {hashlib.sha256(source.encode()).hexdigest()}>"
        linecache.cache[file] = (len(source), None, source.splitlines(True), file)
        exec(compile(source, file, "exec", dont_inherit=True), names)
    return names


@pytest.fixture
def kept(tmp_path: Path) -> Callable[..., str]:
    """Return a function that keeps `train` of some cells, and returns the text of its module."""

    def keep(*sources: str) -> str:
        name = notebook_code.name_of(run_cells(*sources)["train"], tmp_path)
        module, _, function = name.partition(":")
        assert function == "train"
        return (tmp_path / ".hpo" / "code" / f"{module}.py").read_text()

    return keep


def imported(text: str) -> Any:
    """Return `train` of a module with this text, imported by a process that knows nothing else."""
    names: dict[str, Any] = {"__name__": "kept"}
    exec(compile(text, "kept", "exec"), names)
    return names["train"]


def test_a_function_alone_is_kept_as_it_stands(kept: Callable[..., str]) -> None:
    text = kept(TRAIN)
    assert textwrap.dedent(TRAIN).strip() in text
    assert imported(text)(0.5) == 0.5


def test_the_same_cells_have_the_same_module_and_others_another(tmp_path: Path) -> None:
    first, again, other = (
        notebook_code.name_of(run_cells(source)["train"], tmp_path)
        for source in (TRAIN, TRAIN, TRAIN.replace("return learning_rate", "return 1.0"))
    )
    assert first == again
    assert first != other
    assert known_as(first) == known_as(other) == "cell:train"
    assert known_as("cell_block:train") == "cell_block:train"


def test_what_comes_from_other_cells_comes_along(kept: Callable[..., str]) -> None:
    text = kept(
        "import numpy as np\nimport math, os.path\nfrom functools import reduce as fold",
        "EPOCHS = 3\nNAMES = ['a', 'b']\nUNUSED = object()",
        """
        from dataclasses import dataclass

        @dataclass(frozen=True)
        class Layer:
            width: int = 2
        """,
        """
        def scaled(value):
            return value * Layer().width
        """,
        """
        def train(learning_rate: float):
            assert os.path.basename("a/b") == "b"
            total = fold(lambda a, b: a + b, [scaled(learning_rate)] * EPOCHS)
            return float(np.sqrt(total)) + len(NAMES) + math.pi * 0
        """,
    )
    assert "UNUSED" not in text
    assert imported(text)(6.0) == 8.0


def test_two_functions_that_call_each_other_come_along(kept: Callable[..., str]) -> None:
    text = kept("""
        def even(n):
            return n == 0 or odd(n - 1)

        def odd(n):
            return n != 0 and even(n - 1)

        def train(learning_rate: float):
            return float(even(int(learning_rate)))
    """)
    assert imported(text)(4.0) == 1.0


def test_the_last_definition_of_a_class_counts(kept: Callable[..., str]) -> None:
    text = kept("class A:\n    n = 1", "class A:\n    n = 2", "class B(A):\n    pass", """
        def train(learning_rate: float):
            return float(B.n)
    """)
    assert imported(text)(1.0) == 2.0


def test_attributes_and_decorators_come_along(kept: Callable[..., str]) -> None:
    text = kept(
        """
        import functools

        def loud(function):
            @functools.wraps(function)
            def inside(*given, **named):
                return function(*given, **named) + 1
            return inside

        def judge(model):
            return {"score": model}

        @loud
        def train(learning_rate: float):
            return learning_rate
        """,
        'train.metrics = {"classification": ("loss",)}\ntrain.evaluate = judge',
    )
    train = imported(text)
    assert train(1.0) == 2.0
    assert train.metrics == {"classification": ("loss",)}
    assert train.evaluate(3) == {"score": 3}


def test_annotations_that_are_not_looked_up_stay_so(kept: Callable[..., str]) -> None:
    text = kept("""
        from __future__ import annotations

        def train(learning_rate: float) -> dict[str, float]:
            return {"loss": learning_rate}
    """)
    assert imported(text).__annotations__["learning_rate"] == "float"


def test_a_submodule_that_another_cell_imported_is_imported(kept: Callable[..., str]) -> None:
    text = kept("import xml.etree.ElementTree\nimport xml", """
        def train(learning_rate: float):
            return float(len(xml.etree.ElementTree.fromstring("<a><b/></a>")))
    """)
    assert "import xml.etree.ElementTree\n" in text
    assert imported(text)(1.0) == 1.0


@pytest.mark.parametrize(("before", "body", "said"), [
    ("rows = object()", "return rows",
     "train uses 'rows' from another cell, and a value of type object cannot be saved with the "
     "study; create it inside the function, or move both to a module"),
    ("numbers = list(range(5000))", "return numbers",
     "train uses 'numbers' from another cell, and a value of type list cannot be saved with "
     "the study; create it inside the function, or move both to a module"),
    ("", "return absent",
     "train uses 'absent', which is not defined in any cell that has run; define it"),
    ("double = lambda x: 2 * x", "return double(1)",
     "train uses 'double' from another cell, but it is defined there as <lambda>; define it as "
     "double"),
], ids=["an object", "much data", "undefined", "a lambda"])
def test_what_cannot_come_along_is_refused_by_name(
    before: str, body: str, said: str, tmp_path: Path
) -> None:
    names = run_cells(before, f"def train(learning_rate: float):\n    {body}")
    with pytest.raises(InputError) as caught:
        notebook_code.name_of(names["train"], tmp_path)
    assert str(caught.value) == f"objective: {said}"
    assert not (tmp_path / ".hpo").exists()


@pytest.mark.parametrize(("sources", "said"), [
    (("import functools", """
        def clip(function):
            @functools.wraps(function)
            def inner(learning_rate: float):
                return min(function(learning_rate), 0.1)
            return inner

        def train(learning_rate: float):
            return 10 * learning_rate

        train = clip(train)
     """), "train differs from its cell: the code differs"),
    (("class A:\n    k = 1", "N = 2", """
        class A:
            k = N
     """, "N = 3", USES_A), "A differs from its cell: k: 2 in memory, 3 in the cell"),
    (("class A:\n    k = 1", "A.k = 5", USES_A),
     "A differs from its cell: k: 5 in memory, 1 in the cell"),
    (("class A:\n    def k(self):\n        return 1", "A.k = lambda self: 2", USES_A),
     "A differs from its cell: k: the code differs"),
    (("class B:\n    k = 1", "class A(B):\n    pass", "class B:\n    k = 2", USES_A),
     "A differs from its cell: its base class B: k: 1 in memory, 2 in the cell"),
    (("from dataclasses import dataclass", "class A:\n    k: int = 3", "A = dataclass(A)", USES_A),
     "A differs from its cell: __dataclass_fields__ is not in the cell"),
    (("N = 2", "def train(x: float, n: int = N):\n    return x * n", "N = 30"),
     "train differs from its cell: a default differs: 2 in memory, 30 in the cell"),
    (("class C:\n    k = 2", "A = C", USES_A),
     "train uses 'A' from another cell, but it is defined there as C; define it as A"),
    (("A = [0]\nB = A", "def train(x: float):\n    A[0] = 7\n    return B[0]"),
     "train uses 'B' and 'A' from other cells, which are the same object there but would become "
     "two"),
    (("def train(x: float):\n    display(x)\n    return x",),
     "train uses 'display', which exists only in notebooks; remove it"),
    (("def \u00fcbung(x: float):\n    return x\ntrain = \u00fcbung",),
     "the name \u00fcbung must be ASCII; rename it"),
    (("R = []\nR.append(R)", "def train(x: float):\n    return R"),
     "train uses 'R' from another cell, and a value of type list cannot be saved"),
], ids=[
    "a decorator put around it later", "a value of the time of the class", "an attribute",
    "a method", "a base", "a decorator around a class", "a default", "an alias",
    "one list by two names", "of notebooks", "letters", "a list in itself",
])
def test_what_would_not_be_the_same_is_refused(
    sources: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as caught:
        notebook_code.name_of(run_cells(*sources)["train"], tmp_path)
    assert str(caught.value).startswith(f"objective: {said}")


@pytest.mark.parametrize(("sources", "value"), [
    (("class A:\n    k = 1\n\nclass A:\n    k = 2", USES_A), 2.0),
    (("get_ipython().run_cell_magic('time', '', 'class A:\\n    k = 4\\n')", USES_A), 4.0),
    (('N = float("inf")', "def train(x: float):\n    return x / N"), 0.0),
    (("__K = 4", "def train(x: float):\n    return float(__K)"), 4.0),
    (("from __future__ import annotations", "class A:\n    k = 3",
      "def train(x: 'A | float') -> 'dict[str, A]':\n    return float(A.k)"), 3.0),
    (("S = 'a\\x0cb\\x1cc'", "def train(x: float):\n    return float(len(S) + len('\x0c\u2028'))"),
     7.0),
    (("import enum", "class A(enum.Enum):\n    k = 6",
      "def train(x: float):\n    return A.k.value"), 6),
    (("import abc", "class B(abc.ABC):\n    @abc.abstractmethod\n    def k(self): ...",
      "class A(B):\n    def k(self):\n        return super().__class__.__name__",
      "def train(x: float):\n    return float(len(A().k()))"), 5.0),
    (("from typing import NamedTuple", "class A(NamedTuple):\n    k: int = 8",
      "def train(x: float):\n    return float(A().k)"), 8.0),
], ids=["the last in a cell", "timed", "infinity", "a name with underscores", "quoted annotations",
        "separators", "an enum", "abstract", "a named tuple"])
def test_what_is_the_same_is_kept(
    sources: tuple[str, ...], value: float, kept: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run_cell_magic(magic: str, line: str, cell: str) -> None:
        exec(cell, sys._getframe(1).f_globals)

    monkeypatch.setattr(
        "builtins.get_ipython", lambda: SimpleNamespace(run_cell_magic=run_cell_magic),
        raising=False,
    )
    assert imported(kept(*sources))(1.0) == value


def test_a_function_that_is_not_what_its_module_has_is_refused(tmp_path: Path) -> None:
    @functools.wraps(textwrap.dedent)
    def dedent(text: str) -> str:
        return text

    with pytest.raises(InputError, match=r"textwrap\.dedent is a different function from this"):
        notebook_code.name_of(dedent, tmp_path)


def test_what_has_no_name_to_import_is_refused(tmp_path: Path) -> None:
    def inside(learning_rate: float) -> float:
        return learning_rate

    @dataclass
    class Called:
        def __call__(self, learning_rate: float) -> float:
            return learning_rate

    for function in (inside, lambda x: x, Called(), len):
        with pytest.raises(InputError, match="cannot be imported by name; define it with def"):
            notebook_code.name_of(function, tmp_path)


def test_a_function_of_a_module_is_named_by_that(tmp_path: Path) -> None:
    assert notebook_code.name_of(textwrap.dedent, tmp_path) == "textwrap:dedent"
    assert not (tmp_path / ".hpo").exists()


def test_what_lies_beside_the_notebook_is_code_of_the_objective(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "beside_notebook.py").write_text("def half(x):\n    return x / 2\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / ".hpo" / "code")
    name = notebook_code.name_of(run_cells("import beside_notebook as helper", """
        def train(learning_rate: float):
            return helper.half(learning_rate)
    """)["train"], tmp_path)
    code = read_code(name)
    assert sorted(code.files) == ["beside_notebook.py", "cell.py"]


def test_a_comment_is_no_other_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path / ".hpo" / "code")
    commented = TRAIN.replace("return learning_rate", "return learning_rate  # as it is")
    other = TRAIN.replace("return learning_rate", "return 2 * learning_rate")
    first, second, third = (
        read_code(notebook_code.name_of(run_cells(source)["train"], tmp_path))
        for source in (TRAIN, commented, other)
    )
    assert first.digest != second.digest
    assert first.differing(second) == ()
    assert first.differing(third) == ("cell.py",)


def test_a_folder_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".hpo").write_text("a file")
    with pytest.raises(InputError, match="so work in a writable folder"):
        notebook_code.name_of(run_cells(TRAIN)["train"], tmp_path)


@pytest.mark.slow
def test_a_cell_that_is_edited_is_an_edited_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inline = hpo.Placement(inline=True)

    def study(source: str) -> hpo.Study:
        return hpo.Study(
            name="edited", objective=run_cells(source)["train"], metric="loss",
            direction="minimize", search_space={"learning_rate": hpo.Range(0.1, 1.0)},
            round={"trials": 3},
        )

    study(TRAIN).run(placement=inline)
    commented = TRAIN.replace("return learning_rate", "return learning_rate  # as it is")
    assert len(study(commented).run(2, placement=inline).trials()) == 6
    other = TRAIN.replace("return learning_rate", "return 2 * learning_rate")
    with pytest.raises(InputError, match="the code of the objective changed since round 2"):
        study(other).run(3, placement=inline)
    assert len(study(other).run(3, accept_code=True, placement=inline).trials()) == 9


SCRIPT = """
import hpo

def train(learning_rate: float):
    return learning_rate

study = hpo.Study(name="mine", objective=train, metric="loss", direction="minimize",
                  search_space={"learning_rate": hpo.Range(0.1, 1.0)}, round={"trials": 3})
"""


@pytest.mark.slow
@pytest.mark.parametrize("is_guarded", [True, False], ids=["guarded", "unguarded"])
def test_a_script_is_imported_under_its_own_name(tmp_path: Path, is_guarded: bool) -> None:
    guard = 'if __name__ == "__main__":\n    ' if is_guarded else ""
    run = "print(study.run(placement=hpo.Placement(inline=True)))"
    (tmp_path / "script.py").write_text(f"{SCRIPT}{guard}{run}\n")
    ended = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "MLFLOW_TRACKING_URI": ""},
    )
    if is_guarded:
        assert ended.returncode == 0, ended.stderr
        assert "<study mine: 1 round, 3 trials>" in ended.stdout
    else:
        assert ended.stderr.rstrip().endswith(
            "script calls run() while being imported for its objective; move the call under "
            'if __name__ == "__main__":'
        )


def test_a_script_whose_name_is_no_module_is_refused(tmp_path: Path) -> None:
    (tmp_path / "my-script.py").write_text(SCRIPT)
    ended = subprocess.run(
        [sys.executable, "my-script.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.stderr.rstrip().endswith(
        "objective: workers cannot import my-script.py; rename it, using only letters, digits, "
        "and _"
    )
