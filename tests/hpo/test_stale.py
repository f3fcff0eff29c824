"""A module that a process imported is compared with its file, which may have been edited since."""

import importlib
import os
import py_compile
import sys
from pathlib import Path
from types import ModuleType

import pytest

from hpo import forms
from hpo.errors import InputError
from hpo.stale import is_stale

TEXT = """
import functools
K = 1
SEEN = 0
def half(x):
    global SEEN
    SEEN += 1
    return x / 2
@functools.cache
def cached(x):
    return half(x)
def train(x: float):
    return half(x) * K
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    (tmp_path / "edited_later.py").write_text(TEXT)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "edited_later", ModuleType(""))  # absent again afterwards
    del sys.modules["edited_later"]
    return importlib.import_module("edited_later")


@pytest.mark.parametrize(("before", "after", "stale"), [
    ("K = 1", "K = 2", True),
    ("return x / 2", "return x / 3", True),
    ("K = 1", "K = 1  # as it was", False),
    ("half(x) * K", "(half(x)) * K", False),
    ("SEEN = 0", "SEEN = 1", False),  # it counts, so nothing is known
], ids=["a constant", "a function", "a comment", "brackets", "a counter"])
def test_an_edit_is_seen(module: ModuleType, before: str, after: str, stale: bool) -> None:
    file = Path(str(module.__file__))
    module.train(3.0)
    module.cached(2.0)
    assert not is_stale(module, file)
    file.write_text(TEXT.replace(before, after))
    assert is_stale(module, file) == stale


def test_an_objective_is_refused_that_this_process_has_otherwise(module: ModuleType) -> None:
    file = Path(str(module.__file__))
    file.write_text(TEXT.replace("K = 1", "K = 10"))  # bytecode is told by size and second
    with pytest.raises(InputError, match=r"call importlib\.reload\(edited_later\)"):
        forms.find("edited_later:train")
    importlib.reload(module)
    assert forms.find("edited_later:train").parameters.keys() == {"x"}


@pytest.mark.parametrize("edited", ["own_code", "own_code_helper"])
def test_bytecode_from_before_an_edit_is_not_run(
    edited: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_code_helper.py").write_text("K = 1\n")
    (tmp_path / "own_code.py").write_text(
        "from own_code_helper import K\nL = 1\ndef train(x: float):\n    return K * L * x\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / f"{edited}.py"
    second = file.stat().st_mtime_ns // 10**9 * 10**9
    os.utime(file, ns=(second, second))
    bytecode = Path(py_compile.compile(str(file), doraise=True) or "")
    os.utime(bytecode, ns=(second + 1000, second + 1000))
    file.write_text(file.read_text().replace(" = 1", " = 2"))
    os.utime(file, ns=(second + 2000, second + 2000))
    for name in ("own_code", "own_code_helper"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    try:
        forms.find("own_code:train")
        assert sys.modules["own_code"].train(3.0) == 6.0
    finally:
        for name in ("own_code", "own_code_helper"):
            sys.modules.pop(name, None)


def test_a_file_that_cannot_be_read_says_nothing(module: ModuleType) -> None:
    file = Path(str(module.__file__))
    file.write_text("def train(")
    assert not is_stale(module, file)
    file.unlink()
    assert not is_stale(module, file)
