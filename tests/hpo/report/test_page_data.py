"""The data of the page says what the record says, in JSON, and the same every time."""

import json
import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hpo.distributions import CategoricalDistribution, IntegerDistribution
from hpo.record.values import Look, Recorded
from hpo.report.page_data import CURVE_POINTS, page_data
from hpo.report.timeline import lanes
from hpo.search.landscape import Landscape
from hpo.service.proposals import moves_after, recommendation
from hpo.trial import State, TrialResult
from tests.hpo.report.drawn import MIXED, study
from tests.hpo.report.pages import data_of, evil, many, timed
from tests.processes import ROOT


@pytest.fixture(scope="module")
def recorded() -> Recorded:
    return timed(study([MIXED, MIXED], 40, states=(*State, State.COMPLETE, State.COMPLETE)))


@pytest.fixture(scope="module")
def data(recorded: Recorded) -> dict[str, Any]:
    return data_of(recorded)


def test_it_is_json_and_the_same_every_time(recorded: Recorded, data: dict[str, Any]) -> None:
    text = json.dumps(data, allow_nan=False)
    assert json.loads(text) == data
    turned = replace(recorded, results=list(reversed(recorded.results)))
    assert json.dumps(data_of(turned), allow_nan=False) == text


def test_every_key_is_described(data: dict[str, Any]) -> None:
    text = (ROOT / "docs" / "record.md").read_text(encoding="utf-8")
    described = set(re.findall(r"`(\w+)`", text))

    def keys(value: Any) -> set[str]:
        if isinstance(value, dict):
            return set(value).union(*map(keys, value.values()))
        return set().union(*map(keys, value)) if isinstance(value, list) else set()

    states = {state.value for state in State}
    assert keys(data) - states <= described
    assert f"`format` is {data['format']}" in text


def test_trials_have_every_digit(recorded: Recorded, data: dict[str, Any]) -> None:
    results = sorted(recorded.results, key=lambda result: result.trial.id)
    columns = data["trials"]
    assert columns["value"] == [result.value for result in results]
    assert columns["state"] == [result.state.value for result in results]
    assert {len(column) for column in columns.values()} == {len(results)}
    for described in data["hyperparameters"]:
        of = [result.trial.hyperparameters[described["name"]] for result in results]
        if described["kind"] == "choice":
            distribution = MIXED[described["name"]]
            assert isinstance(distribution, CategoricalDistribution)
            assert [distribution.choices[i] for i in described["values"]] == of
        else:
            assert described["values"] == of


def test_the_last_line_of_a_message_is_enough(data: dict[str, Any]) -> None:
    failed = [
        message for message, state in
        zip(data["trials"]["message"], data["trials"]["state"], strict=True) if state == "failed"
    ]
    assert all(message.startswith("ValueError: ") for message in failed)
    assert any(failed)


def test_the_summary_is_that_of_the_other_reports(
    recorded: Recorded, data: dict[str, Any]
) -> None:
    summary = data["summary"]
    assert sum(summary["states"].values()) == summary["trials"] == len(recorded.results)
    assert summary["epochs"] == sum(result.epochs for result in recorded.results)
    assert math.isclose(summary["seconds"], sum(r.seconds for r in recorded.results))
    advised = recommendation(recorded)
    assert advised is not None
    identity = advised.trial.trial.id
    assert (summary["recommended"]["round"], summary["recommended"]["number"]) == identity[:2]
    assert summary["recommended"]["reason"] == advised.reason
    assert (summary["confirmed"], summary["test"]) == (None, None)
    best = max(r.value or 0.0 for r in recorded.results if r.state is State.COMPLETE)
    assert summary["best"]["value"] == best
    assert data["best_so_far"]["value"][-1] == best


def test_repeats_and_the_test_set_are_in_the_summary(recorded: Recorded) -> None:
    best = max(
        (r for r in recorded.results if r.state is State.COMPLETE), key=lambda r: r.value or 0.0
    )
    repeats = [
        replace(best, trial=replace(best.trial, repeat=number), value=value)
        for number, value in ((1, 0.5), (2, 0.7))
    ]
    looked = Look(1, "2026-01-02T03:04:05Z", "accuracy 0.6")
    summary = data_of(replace(recorded, repeats=repeats, looks=[looked]))["summary"]
    assert isinstance(summary, dict)
    confirmed = summary["confirmed"]
    assert (confirmed["number"], confirmed["values"]) == (best.trial.number, 2)
    assert math.isclose(confirmed["mean"], 0.6)
    assert math.isclose(confirmed["standard_error"], 0.1)
    assert summary["test"] == {"look": 1, "when": looked.when, "result": looked.result}


def test_the_moves_stand_with_their_hyperparameters(
    recorded: Recorded, data: dict[str, Any]
) -> None:
    moves = {move.name: move for move in moves_after(recorded)}
    described = data["hyperparameters"]
    assert {each["name"] for each in described} == set(moves)
    p_values = [each["move"]["p_value"] for each in described]
    assert p_values == sorted(p_values)
    for each in described:
        move = moves[each["name"]]
        assert (each["move"]["kind"], each["move"]["p_value"]) == (move.kind, move.p_value)
        assert each["move"]["reason"] == " ".join(move.reason.split())
    assert math.isclose(sum(each["ped_anova"] for each in described), 1.0)


def test_a_slice_goes_through_the_recommended_trial(
    recorded: Recorded, data: dict[str, Any]
) -> None:
    advised = recommendation(recorded)
    assert advised is not None
    space = recorded.rounds[-1].search_space
    landscape = Landscape.of(space, recorded.results, (), "maximize")
    assert landscape is not None
    for each in data["hyperparameters"]:
        line = each["slice"]
        assert all(
            low <= mean <= high for low, mean, high in
            zip(line["low"], line["mean"], line["high"], strict=True)
        )
        value = advised.trial.trial.hyperparameters[each["name"]]
        expected = landscape.along(each["name"], [value], advised.trial.trial.id)
        if each["kind"] != "choice":  # which is at its own place, whatever the others are
            near = int(np.argmin([abs(math.log1p(at) - math.log1p(value)) for at in line["at"]]))
            assert abs(line["mean"][near] - expected.mean[0]) < 0.1


def test_a_plane_of_the_surface_follows_from_what_the_page_holds(
    recorded: Recorded, data: dict[str, Any]
) -> None:
    surface = data["surface"]
    space = recorded.rounds[-1].search_space
    landscape = Landscape.of(space, recorded.results, (), "maximize")
    assert landscape is not None
    choice = np.array([unit is None for unit in surface["units"]])
    position = np.array(surface["through"]["position"])
    away = np.array(surface["positions"]) - position
    away = np.where(choice, away != 0, away) / np.array(surface["lengths"])
    weights = np.array(surface["weights"])
    near = np.exp(-(away**2).sum(axis=1) / 2)
    height = float(weights @ (surface["height"] * near + 1.0))
    assert math.isclose(
        height, float(landscape.surface.expected(position[None])[0][0]), abs_tol=1e-3
    )
    units = dict(zip(surface["names"], surface["units"], strict=True))
    zero, one = units["learning_rate"]
    assert math.isclose(zero, -4, abs_tol=1e-9)
    assert math.isclose(one, 0, abs_tol=1e-9)
    layers = space["layers"]
    assert isinstance(layers, IntegerDistribution)
    zero, one = units["layers"]
    assert math.isclose((3 - zero) / (one - zero), layers.to_unit(3))


def test_long_curves_are_thinned_and_keep_their_ends() -> None:
    recorded = many(400, 1, states=(State.COMPLETE,), epochs=301)
    curves = data_of(recorded)["curves"]
    assert isinstance(curves, dict)
    assert curves["stride"] == 3
    assert sum(map(len, curves["values"])) <= CURVE_POINTS + len(recorded.results)
    for result, curve in zip(recorded.results, curves["values"], strict=True):
        full = result.curve("validation_accuracy")
        assert len(curve) == 101
        assert math.isclose(curve[-1], full[-1], rel_tol=1e-4)
        assert math.isclose(curve[1], full[3], rel_tol=1e-4)


def test_numbers_that_json_or_a_browser_lacks() -> None:
    large = 2**60 + 1
    recorded = study([{"seed": IntegerDistribution(1, 2**61)}], 12)
    first = recorded.results[0]
    trial = replace(first.trial, hyperparameters={"seed": large})
    results = [
        replace(
            first, trial=trial,
            metrics=[{"validation_accuracy": math.inf}, {"validation_accuracy": 0.5}],
        ),
        *recorded.results[1:],
    ]
    data: Any = data_of(replace(recorded, results=results))
    assert data["hyperparameters"][0]["values"][0] == str(large)
    assert json.dumps(data, allow_nan=False)


@pytest.mark.parametrize("states", [(State.FAILED,), (State.DIVERGED,), (State.PRUNED,)])
def test_a_study_without_a_complete_trial_has_its_data(states: tuple[State, ...]) -> None:
    data: Any = data_of(many(6, 2, states=states))
    assert data["summary"]["best"] is None
    assert data["surface"] is None
    assert data["best_so_far"] == {"place": [], "value": []}
    assert json.dumps(data, allow_nan=False)


def test_a_round_without_a_trial_has_its_data() -> None:
    recorded = many(5, 1)
    data: Any = page_data(replace(recorded, results=[]), ())
    assert (data["summary"]["trials"], data["hyperparameters"][0]["move"]) == (0, None)


def test_no_text_holds_what_turns_lines_or_directions() -> None:
    assert "\u2028" not in json.dumps(data_of(evil()), ensure_ascii=False)


def test_trials_that_overlap_in_one_place_have_lanes_of_their_own() -> None:
    (first, *_), times = many(5, 1).results, [(0, 10), (2, 3), (5, 1), (6, 9), (0, 1)]
    results: list[TrialResult] = [
        replace(first, started=float(started), seconds=float(seconds), place=place)
        for (started, seconds), place in zip(times, "aaaab", strict=True)
    ]
    assert lanes(results, ["a", "b"]) == [0, 1, 1, 1, 2]
