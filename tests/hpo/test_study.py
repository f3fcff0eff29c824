"""A study file becomes values, whatever its names and its form."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hpo.distributions import (
    CategoricalDistribution,
    Distribution,
    FloatDistribution,
    IntegerDistribution,
)
from hpo.search.pruning import MedianPruner, PercentilePruner, SuccessiveHalvingPruner
from tests.fixtures import hpo, table
from tests.hpo.study_files import GOOD, OBJECTIVE, parse, quoted, searched

pytestmark = pytest.mark.usefixtures("on_search_path")


def test_an_objective_beside_the_study_file_is_found(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "mine", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    (folder / "very_own.py").write_text(OBJECTIVE, encoding="utf-8")
    (folder / "study.toml").write_text(GOOD.replace("objectives_of_test_study", "very_own"))
    ended = subprocess.run(
        [Path(sys.executable).with_name("hpo"), "check", "../mine/study.toml"],
        cwd=elsewhere, capture_output=True, text=True, timeout=60, check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "very_own:train" in ended.stdout


def test_a_full_file_becomes_values(tmp_path: Path) -> None:
    study = parse(tmp_path, '''
        name = "모두/all"
        objective = "objectives_of_test_study:train"
        metric = "validation_accuracy"
        direction = "maximize"
        value = "best"
        seed = 7
        rounds = 3
        [data]
        source = "table.csv"
        drop = ["id"]
        [fixed]
        rate_end = 1
        sizes = [3, 4]
        deep = true
        bound = 2
        [search_space]
        rate = { low = 1, high = 10, log = true, limits = [0.1, 100] }
        units = { low = 1, high = 9, step = 2 }
        kind = { choices = ["plain", "odd"] }
        [round]
        trials = 8
        sampler = "grid"
        pruner = { name = "percentile", percentile = 30, warmup_epochs = 2 }
        parallel = 2
        [[start]]
        rate = 2
        [[start]]
        units = 3
        kind = "odd"
        [budget]
        patience = 5
        [resources]
        cpus = 2
    ''')
    assert (study.name, study.seed, study.rounds, study.value) == ("모두/all", 7, 3, "best")
    assert (study.data.source, study.data.drop) == ("table.csv", ("id",))
    assert study.data.validation == 0.2
    assert study.fixed == {"rate_end": 1.0, "sizes": (3, 4), "deep": True, "bound": 2.0}
    assert [type(v) for v in study.fixed.values()] == [float, tuple, bool, float]
    assert study.search_space == {
        "rate": FloatDistribution(1.0, 10.0, log=True, limits=(0.1, 100.0)),
        "units": IntegerDistribution(1, 9, step=2),
        "kind": CategoricalDistribution(("plain", "odd")),
    }
    assert study.round.pruner == PercentilePruner(30.0, warmup_epochs=2)
    assert study.start == ({"rate": 2.0}, {"units": 3, "kind": "odd"})
    assert isinstance(study.start[0]["rate"], float)
    assert (study.round.trials, study.round.parallel, study.resources.cpus) == (8, 2, 2)
    assert study.budget.patience == 5
    assert study.with_trials(5).round.trials == 5
    assert study.round.trials == 8


def test_what_a_short_file_leaves_out(tmp_path: Path) -> None:
    study = parse(tmp_path, GOOD, "my study.toml")
    assert study.name == "my study"
    assert (study.seed, study.rounds, study.value) == (0, 1, "last")
    assert (study.data, study.fixed, study.start) == (None, {}, ())
    assert (study.round.trials, study.round.sampler) == (40, "tpe")
    assert study.round.pruner is None


@pytest.mark.parametrize(
    "name", ["a/b", "../a", "it's", "한국어 연구", "x" * 200, "[/bold]", "%s {0}", "a\u0301"]
)
def test_odd_names_are_kept_as_they_are(name: str, tmp_path: Path) -> None:
    assert parse(tmp_path, f'name = "{name}"\n{GOOD}').name == name


def test_odd_names_are_recorded_as_they_are(
    make_study: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["한국어/연구", "it's \"one\" \\ `two` % [/bold] {0}", "x" * 200]
    for index, name in enumerate(names):
        file = make_study(f"odd{index}", round={"trials": 1})
        file.write_text(f"name = {quoted(name)}\n{file.read_text()}", encoding="utf-8")
        hpo("run", file, "--inline")
        assert len(table(name)) == 1
    capsys.readouterr()
    hpo("list", "--json")
    listed = json.loads(capsys.readouterr().out)
    assert sorted(study["study"] for study in listed) == sorted(names)


def test_a_file_as_windows_writes_it(tmp_path: Path) -> None:
    assert parse(tmp_path, b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode()).seed == 0


@pytest.mark.parametrize(
    ("row", "distribution"),
    [
        ("rate = { low = 1, high = 2 }", FloatDistribution(1.0, 2.0)),
        ("rate = { low = 0.1, high = 0.7, step = 0.1 }", FloatDistribution(0.1, 0.7, step=0.1)),
        ("bound = { low = -1, high = 1 }", FloatDistribution(-1.0, 1.0)),
        ("rate = { choices = [1, 0.5] }", CategoricalDistribution((1.0, 0.5))),
        ("units = { low = 1, high = 9, log = true }", IntegerDistribution(1, 9, log=True)),
        ("units = { low = 1.0, high = 9.0 }", IntegerDistribution(1, 9)),
        ("units = { choices = [4, 2] }", CategoricalDistribution((4, 2))),
        ("deep = { choices = [false, true] }", CategoricalDistribution((False, True))),
        ("sizes = { choices = [[], [1], [1, 2]] }", CategoricalDistribution(((), (1,), (1, 2)))),
    ],
)
def test_a_range_takes_the_type_of_its_hyperparameter(
    row: str, distribution: Distribution, tmp_path: Path
) -> None:
    (parsed,) = parse(tmp_path, searched(row)).search_space.values()
    assert parsed == distribution
    assert repr(parsed) == repr(distribution)  # 1 is not 1.0 here


@pytest.mark.parametrize(
    ("text", "pruner"),
    [
        ("'none'", None),
        ("{ name = 'none' }", None),
        ("'median'", MedianPruner()),
        ("{ name = 'median', startup_trials = 0, interval = 3 }", MedianPruner(0, 5, 3)),
        ("'successive_halving'", SuccessiveHalvingPruner()),
        ("{ name = 'successive_halving', min_resource = 2 }", SuccessiveHalvingPruner(2)),
    ],
)
def test_pruners_by_name_or_table(text: str, pruner: object, tmp_path: Path) -> None:
    assert parse(tmp_path, GOOD + f"[round]\npruner = {text}").round.pruner == pruner


def test_parts_are_there_where_what_counts_them_is(tmp_path: Path) -> None:
    study = parse(tmp_path, searched(
        "kind = { choices = ['plain', 'odd'] }\n"
        "units = { low = 1, high = 3, when = { kind = 'odd' } }\n"
        "sizes = { low = 4, high = 9, repeat = 'units', when = { deep = true } }\n"
        "deep = { choices = [true, false] }"
    ))
    assert [n for n in study.search_space if n.startswith("sizes")] == [
        "sizes.1", "sizes.2", "sizes.3"
    ]
    assert study.search_space["sizes.1"].when == (("deep", (True,)), ("units", (1, 2, 3)))
    assert study.search_space["sizes.3"].when == (("deep", (True,)), ("units", (3,)))


def test_conditions_on_what_is_fixed_are_decided(tmp_path: Path) -> None:
    text = searched("rate = { low = 0, high = 1, when = { kind = ['odd', 'fancy'] } }\n"
                    "units = { low = 1, high = 3, when = { kind = 'plain' } }")
    odd = parse(tmp_path, text + "\n[fixed]\nkind = 'odd'")
    assert odd.search_space == {"rate": FloatDistribution(0.0, 1.0)}
    plain = parse(tmp_path, text + "\n[fixed]\nkind = 'plain'")
    assert list(plain.search_space) == ["units"]
