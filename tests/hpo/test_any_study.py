"""Any study file whatsoever gives a study or one line."""

import copy
import re
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpo.errors import InputError
from hpo.study import read
from tests.fuzzing import examples
from tests.hpo.study_files import GOOD, parse, quoted
from tests.processes import ROOT
from tests.study_mutants import WHOLE, mutant

pytestmark = pytest.mark.usefixtures("on_search_path")

SEED: dict[str, Any] = {
    "name": "fuzz",
    "objective": "objectives_of_test_study:train",
    "metric": "validation_loss",
    "direction": "minimize",
    "value": "best",
    "seed": 0,
    "rounds": 2,
    "data": {"source": "digits", "validation": 0.2, "drop": ["id"]},
    "fixed": {"rate_end": 0.1, "sizes": [1, 2], "deep": True},
    "search_space": {
        "rate": {"low": 1e-3, "high": 1.0, "log": True, "limits": [1e-4, 10.0]},
        "units": {"low": 1, "high": 9, "step": 2},
        "kind": {"choices": ["plain", "odd"]},
    },
    "round": {"trials": 5, "sampler": "tpe", "pruner": {"name": "median", "interval": 2}},
    "start": [{"rate": 0.1}, {"units": 3}],
    "resources": {"cpus": 1},
}
SCALARS = st.one_of(
    st.sampled_from([
        0, 1, -1, 2**53, 10**30, 0.0, -0.0, 0.5, 1e308, -1e308, 5e-324, float("inf"),
        float("nan"), True, False, "", "none", "tpe", "median", "os:path", "this is no module:f",
        "\x00", "\x1b[2J", "a\nb", "\u2028", "한국어", "x" * 999,
    ]),
    st.integers(), st.floats(), st.text(max_size=5),
)
NAMES = st.one_of(
    st.sampled_from([
        "low", "high", "log", "step", "limits", "choices", "rate", "units", "kind", "sizes",
        "label", "bound", "name", "path", "text", "seed", "interval", "percentile", "task",
    ]),
    st.text(max_size=5),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.slow
@settings(max_examples=examples(150, 700), deadline=None, derandomize=True,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.sampled_from(range(60)), st.sampled_from(range(60)), NAMES,
                                  VALUES, st.sampled_from(["set", "add", "drop", "swap"])),
                        min_size=1, max_size=2))
def test_any_change_of_a_good_file_gives_a_study_or_one_line(
    changes: list[Any], tmp_path: Path
) -> None:
    table = copy.deepcopy(SEED)
    for place, other_place, name, value, kind in changes:
        places = list(_places(table))
        holder, key = places[place % len(places)]
        if kind == "set":
            holder[key] = value
        elif kind == "add" and isinstance(holder, dict):
            holder[name] = value
        elif kind == "drop":
            del holder[key]
        else:
            other, other_key = places[other_place % len(places)]
            holder[key], other[other_key] = copy.deepcopy((other[other_key], holder[key]))
    _study_or_one_line(tmp_path, "".join(f"{quoted(k)} = {_toml(v)}\n" for k, v in table.items()))


@pytest.mark.slow
@settings(max_examples=examples(80, 300), deadline=None, derandomize=True,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.integers(0, len(GOOD)), length=st.integers(0, 10),
       text=st.text(max_size=10) | st.sampled_from(["[", "]", "{", "=", '"""', "\r", "#"]))
def test_any_text_gives_a_study_or_one_line(
    start: int, length: int, text: str, tmp_path: Path
) -> None:
    _study_or_one_line(tmp_path, GOOD[:start] + text + GOOD[start + length :])


@pytest.mark.slow
def test_many_changes_of_whole_files_give_a_study_or_one_line(tmp_path: Path) -> None:
    shipped = ROOT / "studies"
    texts = [WHOLE, *(path.read_text(encoding="utf-8") for path in sorted(shipped.glob("*.toml")))]
    for text in texts:
        _study_or_one_line(tmp_path, text)
        assert parse(tmp_path, text).metric == "validation_accuracy"
    random = Random(0)
    for _ in range(examples(100, 5_000)):
        _study_or_one_line(tmp_path, mutant(random.choice(texts), random))


def _study_or_one_line(folder: Path, text: str | bytes) -> None:
    path = folder / "study.toml"
    path.write_bytes(text.encode("utf-8", "replace") if isinstance(text, str) else text)
    before = time.process_time()
    try:
        study = read(path)
    except InputError as error:
        said = str(error)
        assert said.startswith(f"{path}: ")
        assert said.isprintable()
        assert len(said) < 600  # nothing was cut off its end
        key, _, remedy = said.removeprefix(f"{path}: ").partition(": ")
        assert key.strip()
        assert re.search(r"; \w|expected |must ", remedy or key), said
        return
    finally:
        assert time.process_time() - before < 5
    for unit in (0.0, 0.3, 1.0):
        for distribution in study.search_space.values():
            assert distribution.contains(distribution.from_unit(unit))
    assert not study.feasibility().is_empty()


def _places(value: Any) -> Any:
    """Yield where the values of a nest of tables and lists are: what holds each, and its key."""
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(inside):
        yield value, key
        if isinstance(inner, dict | list):
            yield from _places(inner)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{quoted(k)} = {_toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return quoted(value) if isinstance(value, str) else repr(value)
