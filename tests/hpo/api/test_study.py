"""A study made in Python is the one of a file, in its text and in what it comes to."""

import csv
import inspect
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hpo
from hpo.api.points import parse_point, point_texts
from hpo.api.ranges import parse_ranges, range_texts
from hpo.api.values import StudyKeys, plain
from hpo.exported import CIRCUMSTANCES
from hpo.study import StudyFile
from hpo.toml_text import document
from tests.fixtures import Command, Make
from tests.fixtures import hpo as typed
from tests.hpo.search.sampling import NAMES

SPACE = {
    "learning_rate": hpo.Range(1e-4, 1e1, log=True),
    "weight_decay": hpo.Range(1e-8, 1e-4, log=True),
}
KEYS: dict[str, Any] = {
    "name": "toy", "objective": "toy:quadratic", "metric": "accuracy", "direction": "maximize",
    "search_space": SPACE,
}


def study(**keys: Any) -> hpo.Study:
    return hpo.Study(**{**KEYS, **keys})  # type: ignore[arg-type]


def test_it_takes_the_keys_of_a_study_file() -> None:
    fields = set(StudyFile.model_fields) - {"path", "text", "overrides", "program", "data_files"}
    assert set(StudyKeys.__annotations__) == fields | {"command", "metrics_pattern"}


RECORDABLE = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
plain_values = st.recursive(
    st.booleans() | st.integers(-2**60, 2**60) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(RECORDABLE, max_size=8),
    lambda inside: st.lists(inside, max_size=3),
    max_leaves=6,
)
keys = st.text(RECORDABLE, max_size=6)
tables = st.dictionaries(keys, plain_values | st.dictionaries(keys, plain_values, max_size=3)
                         | st.lists(st.dictionaries(keys, plain_values, max_size=3), max_size=3),
                         max_size=5)


@given(tables)
def test_whatever_a_table_holds_is_read_back_from_its_text(table: dict[str, Any]) -> None:
    assert tomllib.loads(document(table)) == table


@given(tables)
def test_values_are_plain_already_or_made_so(table: dict[str, Any]) -> None:
    assert plain(table, "") == table
    given_: dict[str, Any] = {"a": np.float64(0.1), "b": np.int64(3), "c": (1, 2), "d": None,
                              "e": Path("x"), "f": np.bool_(True)}
    made = plain(given_, "")
    assert made == {"a": 0.1, "b": 3, "c": [1, 2], "e": "x", "f": True}
    assert [type(made[key]) for key in "abf"] == [float, int, bool]


def test_text_and_study_are_inverse(folder: Path) -> None:
    whole = study(
        seed=3, rounds=2, fixed={"epochs": 4, "folder": 'a "b"\\'},
        search_space={
            **SPACE, "steady": hpo.Choices([True, False]),
            "sleep": hpo.Range(0.0, 1.0, step=0.25, when={"steady": True}),
        },
        constraints=["sleep <= 0.5"], start=[{"learning_rate": 0.1}, {"weight_decay": 1e-5}],
        round={"trials": 8, "sampler": "tpe", "pruner": {"name": "median", "warmup_epochs": 2}},
        budget={"patience": 20}, confirm={"top": 2},
    )
    again = hpo.Study.read(whole.write("there/other.toml"))
    assert again == whole
    assert hash(again) == hash(whole)
    assert again.to_toml() == whole.to_toml()
    assert again != study()
    assert hpo.Study.read(again.write("third.toml")) == whole
    assert again.name == "toy"


def test_a_file_keeps_its_text_and_overrides_are_put_in_their_places(make_study: Make) -> None:
    path = make_study(name="nameless")
    path.write_text("# a comment\n" + path.read_text())
    read = hpo.Study.read(path)
    assert read.to_toml() == f'name = "nameless"\n{path.read_text()}'
    changed = hpo.Study.read(path, {"round.trials": 3, "name": "other"})
    assert changed.file.round.trials == 3
    assert changed == hpo.Study.read(path, ["round.trials=3", 'name="other"'])
    assert hpo.Study.read(changed.write("changed.toml")) == changed
    assert repr(changed) == "<study other: maximize accuracy of toy:quadratic>"


@pytest.mark.parametrize(("changes", "said"), [
    ({"search_space": {"learning_rate": hpo.Range(1.0, 0.1)}},
     "search_space.learning_rate.low: low = 1 must be below high = 0.1"),
    ({"metrik": "x"}, "metrik: unknown key; did you mean 'metric'?"),
    ({"fixed": {"epochs": pd.Series([1])}},
     "fixed.epochs: a Series cannot be written to a study file; use a number, a string, a list, "
      "or a mapping"),
    ({"name": None}, 'name: required but missing; add it, for example name="digits"'),
    ({"objective": "toy:nothing"}, None),
], ids=["a range", "a key", "a value", "a name", "an objective"])
def test_what_is_wrong_is_said_as_of_a_file(
    folder: Path, changes: dict[str, Any], said: str | None
) -> None:
    with pytest.raises(hpo.InputError) as caught:
        study(**changes)
    message = str(caught.value)
    assert message == said if said else message.startswith("objective: toy has no function")


@pytest.mark.parametrize(("call", "said"), [
    (lambda s: s.run(trials=2.5), "trials: expected an integer from 1 to 999999999, got 2.5"),
    (lambda s: s.run(trials=True), "trials: expected an integer from 1 to 999999999, got True"),
    (lambda s: s.run(trials=2_000_000), "toy.toml: --trials: must be at most 1000000"),
    (lambda s: s.run(rounds="2"), "rounds: expected an integer from 1 to 999999999, got '2'"),
    (lambda s: s.run(rounds=0), "rounds: expected an integer from 1 to 999999999, got 0"),
    (lambda s: s.run(ranges=3),
      'ranges: expected a mapping such as {"learning_rate": (1e-3, 0.1)}, got 3'),
    (lambda s: s.run(placement="inline"),
     "placement: expected one such as hpo.Placement(inline=True), got 'inline'"),
    (lambda s: s.run(tracking_uri=3), "tracking_uri: expected a string, got 3"),
    (lambda s: s.confirm(top=-1), "top: expected an integer from 1 to"),
    (lambda s: s.confirm(repeats=1.5), "repeats: expected an integer from 1 to"),
    (lambda s: s.extend("a"), "epochs: expected an integer from 1 to"),
    (lambda s: s.evaluate(top="a"), "top: expected an integer from 1 to"),
    (lambda s: s.write(3), "path: expected a path, got 3"),
    (lambda s: hpo.Study.read(3), "path: expected a path, got 3"),
    (lambda s: hpo.Study.read("toy.toml", "round.trials=3"),
     """overrides: expected a mapping such as {"round.trials": 20}, got 'round.trials=3'"""),
    (lambda s: hpo.Placement(workers=-1), "workers: expected an integer from 1 to"),
    (lambda s: hpo.Placement(inline="x"), "inline: expected True or False, got 'x'"),
    (lambda s: hpo.open(3), "study: expected an hpo.Study, got 3"),
    (lambda s: hpo.open(s, 1.5), "rounds: expected an integer from 1 to"),
    (lambda s: study(folder=3), "folder: expected a path, got 3"),
    (lambda s: study(name=3), "name: expected a string, got 3"),
    (lambda s: study(metric="\ud800"), "metric: the character '\\ud800' cannot be recorded"),
    (lambda s: study(metric="a=b", objective=None),
         "metric: MLflow does not accept the name 'a=b'"),
    (lambda s: study(metric="", objective=None), "metric: MLflow does not accept the name ''"),
])
def test_whatever_is_wrong_is_a_sentence(folder: Path, call: Any, said: str) -> None:
    made = study()
    made.write()
    with pytest.raises(hpo.InputError) as caught:
        call(made)
    assert str(caught.value).startswith(said)


def test_numbers_of_numpy_and_arrays_are_taken(folder: Path) -> None:
    made = study(
        search_space={"steady": hpo.Choices(np.array([True, False])), **SPACE},
        round={"trials": np.int64(3)},
    )
    assert made.file.round.trials == 3
    ran = made.run(np.int64(1), trials=np.int64(2), placement=hpo.Placement(inline=True))
    assert len(ran.trials()) == 2


def test_ranges_and_points_are_those_of_the_command_line(folder: Path) -> None:
    made = study(search_space={**SPACE, "steady": hpo.Choices([True, False]),
                               "folder": hpo.Choices(["a,b", "c"])})
    file = made.file
    given_ = {"learning_rate": hpo.Range(0.01, 0.1), "weight_decay": (1e-7, np.float64(1e-5)),
              "steady": [True], "folder": hpo.Choices(["a,b"])}
    moved = parse_ranges(range_texts(given_), file)
    assert moved["learning_rate"] == parse_ranges(["learning_rate=0.01:0.1"], file)["learning_rate"]
    assert [vars(moved[name])["choices"] for name in ("steady", "folder")] == [(True,), ("a,b",)]
    point = {"learning_rate": 50, "steady": False, "folder": "a,b"}
    assert parse_point(point_texts(point), file.search_space) == point


def test_all_options_of_a_command_can_be_given() -> None:
    from hpo.cli.commands import hpo as group  # here, where it is compared

    for name, others in {
        "run": {"file", "overrides", "inline", "ray_address", "workers"},
        "confirm": {"study", "overrides", "inline", "ray_address", "workers", "as_json"},
        "extend": {"study", "overrides", "inline", "ray_address", "workers", "as_json"},
        "evaluate": {"study", "overrides", "as_json"},
    }.items():
        options = {parameter.name for parameter in group.commands[name].params} - others
        taken = set(inspect.signature(getattr(hpo.Study, name)).parameters) - {"self", "placement"}
        assert taken == options, name


def table(path: Path) -> bytes:
    """Return an exported table without what may differ between two runs."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    kept = [[v for k, v in row.items() if k not in CIRCUMSTANCES] for row in rows]
    assert kept
    return repr(kept).encode()


@pytest.mark.slow
@pytest.mark.parametrize("sampler", NAMES)
def test_the_command_line_and_python_come_to_the_same_table(
    make_study: Make, sampler: str, command: Command
) -> None:
    rounds = {"trials": 11, "sampler": sampler, "parallel": 3}
    typed("run", make_study("typed", round=rounds), "--rounds", 2, "--inline")
    typed("export", "typed", "typed.csv")
    made = study(name="made", round=rounds, seed=0)
    results = made.run(2, placement=hpo.Placement(inline=True))
    made_table = results.export("made.csv")
    assert table(Path("typed.csv")) == table(made_table)
    written = made.write()  # and what one of them began, the other goes on with
    typed("run", written, "--rounds", 3, "--inline")
    hpo.Study.read("typed.toml").run(3, placement=hpo.Placement(inline=True))
    third = [hpo.load(name).export(f"{name}.csv") for name in ("typed", "made")]
    assert table(third[0]) == table(third[1])
    assert len(hpo.load("made").trials()) == 33


@pytest.mark.slow
def test_a_study_is_run_confirmed_and_looked_at(folder: Path) -> None:
    made = study(round={"trials": 12, "sampler": "random"})
    inline = hpo.Placement(inline=True)
    results = made.run(placement=inline)
    assert repr(results) == "<study toy: 1 round, 12 trials>"
    frame = results.trials()
    assert str(frame["started"].dtype) == "datetime64[ns, UTC]"
    assert str(frame["epoch"].dtype) == "Int64"
    curves = results.curves()
    assert len(curves) == 12 * 5
    last = curves[curves["epoch"] == 5]["value"].to_numpy()
    assert (last == frame["value"].to_numpy()).all()
    losses = results.curves("loss")
    assert losses["value"].tolist()[4] == frame["loss"].iloc[0]
    with pytest.raises(hpo.InputError, match="have no metric 'los'; their metrics: accuracy, loss"):
        results.curves("los")
    best = results.best(observed=True)
    assert best.value == frame["value"].max()
    assert str(best).startswith(f"trial {best.trial.number} of round 1: accuracy ")
    proposal = results.narrow()
    assert str(proposal).startswith("learning_rate: ")
    assert proposal._repr_html_().count("<tr>") == 3
    assert made.run(2, ranges={"learning_rate": (0.01, 1.0)}, placement=inline) is not None
    second = hpo.load("toy").trials().query("round == 2")["learning_rate"]
    assert second.between(0.01, 1.0).all()
    confirmed = made.confirm(top=2, repeats=2, placement=inline)
    assert len(confirmed.trials(repeats=True)) == 24 + 4
    assert confirmed.best().repeats in (0, 2)
    with pytest.raises(hpo.InputError, match="has no figure 'maps'; did you mean 'map'"):
        confirmed.figure("maps")
    assert confirmed.figure("map")._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]
    assert 'sandbox="allow-scripts"' in confirmed.report("toy.html")._repr_html_()
    assert Path("toy.html").read_text().startswith("<!DOCTYPE html>")
    assert [s["study"] for s in hpo.studies()] == ["toy"]
    assert confirmed.summary()["rounds"][0]["trials"] == 12
    assert confirmed.logs("1/1") == ""
    health = hpo.studies()[0]["health"]
    assert (health["running"], health["results_waiting"], health["results_set_aside"]) == (
        False, 0, 0,
    )
    assert 0 <= health["seconds_since_last_result"] < 600
    confirmed.add({"learning_rate": 0.1})
    assert len(hpo.load("toy").recorded.waiting) == 1
    with pytest.raises(hpo.InputError, match="round 1 is not running"):
        confirmed.stop("1/1")


def test_what_is_not_on_record_is_said(folder: Path) -> None:
    with pytest.raises(hpo.InputError, match="no study named 'digits' is recorded; studies: none"):
        hpo.load("digits")
    with pytest.raises(hpo.InputError, match=r"there is no record at .*absent\.db; run a study"):
        hpo.load("digits", "sqlite:///absent.db")


def test_hpo_gives_what_it_says() -> None:
    assert {name for name in hpo.__all__ if getattr(hpo, name, None) is None} == set()
    assert set(hpo.__all__) <= set(dir(hpo))
    with pytest.raises(AttributeError, match="no attribute 'study_'"):
        hpo.study_  # type: ignore[attr-defined]  # noqa: B018
