"""What is written of a trial and a round is short enough, comes back, and is refused if edited."""

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from hpo.distributions import CategoricalDistribution, FloatDistribution, to_text
from hpo.errors import InputError
from hpo.moves import Decision, Move
from hpo.record import format as form
from hpo.record.values import AcceptedCode, Round
from hpo.trial import State, Trial, TrialId, TrialResult
from tests.fixtures import round_settings

RATE = FloatDistribution(0.1, 1.0)
DONE = TrialResult(
    Trial(2, 7, {"rate": 0.5, "kind": "x"}, 3), State.COMPLETE, 0.25, 2,
    [{"loss": 0.5}, {"loss": 0.25, "more": 1.0}], 1, 1e9 + 0.5, 2.5, "here", "",
)
TAGS = {"round": "2", "number": "7", "seed": "3", "attempt": "1", "kind": "trial"}


def run_of(tags: dict[str, str], **params: str) -> Any:
    """Return a run as MLflow has it."""
    from mlflow.entities import Metric, Param, Run, RunData, RunInfo, RunTag  # it takes a second

    metrics = {"loss": 0.25, "more": 1.0, "value": 0.25}
    info = RunInfo("abc", "1", "me", "FINISHED", 0, 1, "active", run_name="r2 t7")
    return Run(info, RunData(
        [Metric(name, value, 0, 0) for name, value in metrics.items()],
        [Param(name, text) for name, text in params.items()],
        [RunTag(name, text) for name, text in tags.items()],
    ))


def written(result: TrialResult = DONE, /, **changes: str | None) -> Any:
    tags: dict[str, Any] = {**form.result_tags(result, "loss"), **TAGS, **changes}
    params = {name: to_text(value) for name, value in result.trial.hyperparameters.items()}
    return run_of({name: text for name, text in tags.items() if text is not None}, **params)


@pytest.mark.parametrize(
    "result",
    [
        DONE, replace(DONE, state=State.PRUNED, message="why\nnot"),
        replace(DONE, state=State.DIVERGED, value=None, epoch=None),
        replace(DONE, state=State.FAILED, value=None, epoch=None, metrics=[], message="x"),
        replace(DONE, metrics=[{"loss": i / 7} for i in range(2000)]),
    ],
)
def test_a_result_comes_back(result: TrialResult) -> None:
    back = form.read_result(written(result), "loss")
    assert replace(back, metrics=()) == replace(result, metrics=())
    assert back.curve("loss") == result.curve("loss")
    if result is DONE:
        assert back.metrics[-1] == {"loss": 0.25, "more": 1.0}


def test_a_result_is_written_in_tags() -> None:
    assert form.result_tags(replace(DONE, message="m"), "loss", form.Pages("#/page")) == {
        "state": "complete", "seconds": "2.5", "started": "2001-09-09 01:46:40.500000+00:00",
        "place": "here", "value": "0.25", "epoch": "2", "ranked_by": "value", "message": "m",
        "curve": "[0.5, 0.25]",
        "mlflow.note.content": "Trial 7 of [round 2](#/page): `loss` **0.25**, at epoch 2 of 2."
        "\n\n```\nm\n```",
    }
    own = replace(DONE, metrics=[{"loss": 1.0, "value": 3.0}], value=None, started=1e300)
    tags = form.result_tags(own, "loss")
    assert "ranked_by" not in tags
    assert "value" not in tags
    assert tags["started"] == "1e+300"
    ranked = form.result_tags(replace(DONE, metrics=[{"loss": 1.0, "value": 3.0}]), "loss")
    assert "ranked_by" not in ranked
    assert form.read_result(written(started="1000.5"), "loss").started == 1000.5


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("state", "done"), ("state", None), ("curve", "{}"), ("curve", "[]"), ("epoch", "3"),
        ("epoch", "0"), ("value", "inf"), ("value", None), ("seed", "-1"), ("seed", str(2**64)),
        ("round", "x"), ("number", str(10**9)), ("attempt", "0"), ("started", "today"),
        ("seconds", "nan"),
    ],
)
def test_a_tag_that_was_edited_is_named(name: str, text: str | None) -> None:
    with pytest.raises(InputError) as caught:
        form.read_result(written(**{name: text}), "loss")
    said = str(caught.value)
    assert said.startswith(f"the tag '{name}' of the run 'r2 t7' (abc) ")
    assert said.endswith(
        "; restore it in MLflow, or delete the run there so that it no longer counts"
    )
    assert (" is missing;" in said) == (text is None)


def test_why_it_cannot_be_read_is_said() -> None:
    for changes, why in (
        ({"epoch": "3"}, "'3' (the trial has 2 epochs)"),
        ({"curve": "[]"}, "'[]' (it has no value)"),
        ({"epoch": "0"}, "'0' (it must be at least 1 and below 1000000000)"),
        ({"value": "inf"}, "'inf' (it is not a finite number)"),
        ({"curve": "{}"}, "'{}' (it is not JSON of type list)"),
        ({"state": "x" * 90}, f"'{'x' * 59}…' ("),
    ):
        with pytest.raises(InputError) as caught:
            form.read_result(written(**changes), "loss")
        assert f" cannot be read: {why}" in str(caught.value)
    with pytest.raises(InputError) as caught:
        form.read_result(run_of({**form.result_tags(DONE, "loss"), **TAGS}, rate="None"), "loss")
    assert "the param 'rate' of the run" in str(caught.value)
    assert str(caught.value).endswith(
        "; delete the run in MLflow so that it no longer counts"
    )
    with pytest.raises(InputError, match="it is not a hyperparameter value"):
        form.read_result(run_of({**form.result_tags(DONE, "loss"), **TAGS}, rate="null"), "loss")


def test_a_repeat_is_told_from_its_trial() -> None:
    tags = {**TAGS, "kind": "repeat", "repeat": "3", "resplit": "true"}
    assert form.read_id(run_of(tags)) == TrialId(2, 7, 3, True)
    assert form.read_id(run_of({**tags, "resplit": "false"})) == TrialId(2, 7, 3, False)
    assert form.read_id(run_of({**tags, "kind": "trial"})) == TrialId(2, 7)
    with pytest.raises(InputError, match="tag 'resplit'"):
        form.read_id(run_of({**tags, "resplit": "yes"}))


def test_a_long_text_is_cut_into_tags_and_joined() -> None:
    assert form.chunks("curve", "") == {}
    text = "".join(map(str, range(5000)))
    tags = form.chunks("curve", text)
    assert list(tags) == ["curve", "curve.2", "curve.3"]
    assert max(map(len, tags.values())) == 7500
    assert form.joined("curve", tags) == text
    assert form.joined("curve", {"curve": "a", "curve.3": "c"}) == "a"


@pytest.mark.parametrize(
    ("changes", "pages", "said"),
    [
        ({}, (), "Trial 7 of round 2: `loss` **0.25**, at epoch 2 of 2."),
        ({"value": 1 / 3}, ("p",), "Trial 7 of [round 2](p): `loss` **0.3333**, at epoch 2 of 2."),
        ({"state": State.PRUNED}, (),
         "Trial 7 of round 2: stopped after epoch 2, with `loss` 0.25."),
        ({"state": State.DIVERGED, "value": None}, (), "Trial 7 of round 2: diverged."),
        ({"state": State.FAILED, "value": None, "message": "no"}, (),
         "Trial 7 of round 2: failed.\n\n```\nno\n```"),
        ({"trial": replace(DONE.trial, repeat=3)}, (),
         "Trial 7 of round 2, repeat 3: `loss` **0.25**, at epoch 2 of 2."),
        ({"trial": replace(DONE.trial, extended_to=9)}, ("p", "t"),
         "[Trial 7](t) of [round 2](p), extended to epoch 9: `loss` **0.25**, at epoch 2 of 2."),
    ],
)
def test_the_description_of_a_trial(
    changes: dict[str, Any], pages: tuple[str, ...], said: str
) -> None:
    assert form.trial_note(replace(DONE, **changes), "loss", form.Pages(*pages)) == said


def test_the_description_of_a_round() -> None:
    space = {"a|b": RATE, "kind": CategoricalDistribution(("x", "y"))}
    move = Move("a|b", RATE, RATE, "kept", 1.0, "no\nfit", math.nan)
    head = "| hyperparameter | range | why |\n|---|---|---|\n"
    assert form.round_note(space, [Decision(move, RATE)]) == (
        f"{head}| a\\|b | 0.1 to 1 | no fit |\n| kind | x, y | as set |"
    )
    assert form.round_note({"r": RATE}, (), ("first", "second")) == (
        f"{head}| r | 0.1 to 1 | as set |\n\nfirst\n\nsecond"
    )
    many = form.round_note({f"h{i}": RATE for i in range(900)}, ())
    *lines, last = many.splitlines()
    assert len(many) < 7500
    assert last == (
        f"{900 - len(lines) + 3} more do not fit; `hpo show` and the params have all of them."
    )


def round_run(**changes: str) -> Any:
    settings = round_settings(search_space={"rate": RATE})
    tags = {"round": "3", "settings": json.dumps(settings.to_table()),
            "search_space": json.dumps({"rate": {"low": 0.2, "high": 0.5}}), **changes}
    return run_of(tags)


def test_a_round_comes_back() -> None:
    round_ = form.read_round(round_run(stopped="enough"))
    assert (round_.number, round_.run_id, round_.ended) == (3, "abc", True)
    assert round_.search_space == {"rate": FloatDistribution(0.2, 0.5)}
    assert (round_.stopped, round_.accepted, round_.decisions) == ("enough", None, ())
    assert len(round_.fingerprint) == 16
    move = Move("rate", RATE, RATE, "kept", 1.0, "no fit", 0.5)
    proposal = json.dumps([Decision(move, RATE).to_table()])
    accepted = AcceptedCode("c", "s", 2)
    whole = form.read_round(round_run(proposal=proposal, **form.accepted_tags(accepted)))
    assert (whole.decisions, whole.accepted) == ((Decision(move, RATE),), accepted)
    assert form.accepted_tags(None) == {}
    early = proposal.replace('"kind"', '"direction"').replace('"p_value"', '"evidence"')
    assert form.read_round(round_run(proposal=early)).decisions == (Decision(move, RATE),)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"search_space": "{}"}, "it is empty"),
        ({"search_space": '{"other": {"low": 1, "high": 2}}'},
         "the tag 'settings' has different names"),
        ({"proposal": "{}"}, "it is not JSON of type list"),
        ({"proposal": "[1]"}, "it is not JSON of type dict"),
        ({"accepted_code": '{"code": 1, "syntax": "s", "since": 1}'}, "of type str"),
        ({"accepted_code": '{"code": "c", "syntax": "s", "since": "1"}'}, "of type int"),
        ({"settings": "[]"}, "it is not JSON of type dict"),
    ],
)
def test_a_tag_of_a_round_that_was_edited_is_named(changes: dict[str, str], why: str) -> None:
    (name,) = changes
    with pytest.raises(InputError) as caught:
        form.read_round(round_run(**changes))
    assert str(caught.value).startswith(f"the tag '{name}' of the run 'r2 t7' (abc) cannot be read")
    assert why in str(caught.value)


def test_a_trial_belongs_to_its_round() -> None:
    round_ = Round(2, "run", {"rate": RATE, "kind": CategoricalDistribution(("x",))},
                   round_settings(), "", True)
    form.check_trial(written(), DONE.trial, round_)
    with pytest.raises(InputError, match="it is under round 3"):
        form.check_trial(written(), DONE.trial, replace(round_, number=3))
    other = replace(DONE.trial, hyperparameters={"rate": "fast"})
    assert form.missing(other, round_.search_space) == ["rate", "kind"]
    assert form.missing(DONE.trial, round_.search_space) == []
    with pytest.raises(InputError, match=r"the param 'rate' of .* \(its range is numeric\)"):
        form.check_trial(run_of({**TAGS}, rate='"fast"', kind='"x"'),
                         replace(other, hyperparameters={"rate": "fast", "kind": "x"}), round_)
    with pytest.raises(InputError, match=r"the param 'kind' of .* is missing"):
        form.check_trial(run_of({**TAGS}, rate="0.5"),
                         replace(other, hyperparameters={"rate": 0.5}), round_)
