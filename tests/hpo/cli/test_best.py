"""The best trial is printed ready to paste, with all digits."""

import json
import math
import tomllib

from hypothesis import given
from hypothesis import strategies as st

from hpo import evaluation, wording
from hpo.study import read
from hpo.toml_text import to_toml
from tests.fixtures import Command, Make, hpo
from tests.hpo.evaluating import record_of

SCALARS = st.one_of(
    st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.text()
)


@given(st.dictionaries(st.text(), st.one_of(SCALARS, st.lists(SCALARS, max_size=3)), max_size=4))
def test_all_values_come_back_from_toml(values: dict[str, object]) -> None:
    text = to_toml(values)
    assert tomllib.loads(text) == values
    assert len(text.splitlines()) == len(values)
    assert not any(ord(c) < 32 and c != "\n" for c in text)


def test_the_best_is_that_of_show(make_study: Make, command: Command) -> None:
    file = make_study()
    hpo("run", file, "--inline")
    shown = json.loads(command("show", "toy", "--json").out)["best"]
    best = json.loads(command("best", "toy", "--observed", "--json").out)
    assert best == {"study": "toy", "metric": "accuracy", **shown}
    toml = command("best", file, "--toml", "--observed").out
    assert tomllib.loads(toml) == shown["hyperparameters"]
    first, *lines = command("best", "toy", "--observed").out.splitlines()
    number = shown["number"]
    assert first.startswith(f"trial {number} of round 1: accuracy ")
    assert math.isclose(float(first.split()[-1]), shown["value"], rel_tol=5e-4)
    assert [line.split(" = ") for line in lines] == [
        [name, repr(value)] for name, value in shown["hyperparameters"].items()
    ]
    both = command("best", "toy", "--toml", "--json")
    assert (both.code, both.out, both.err.count("\n")) == (2, "", 1)


def test_the_best_is_the_recommended_one(make_study: Make, command: Command) -> None:
    rates = {"learning_rate": {"low": 1e-4, "high": 10.0, "log": True}}  # the toy is noisy
    file = make_study(round={"trials": 40, "sampler": "qmc"}, seed=1, search_space=rates)
    ran = " ".join(command("run", file, "--inline").out.split())
    shown = json.loads(command("show", "toy", "--json").out)
    recommended, observed = shown["recommended"], shown["best"]
    assert recommended["number"] != observed["number"] == recommended["observed"]["number"]
    assert recommended["estimate"] < observed["value"]
    mine, theirs = (
        abs(math.log10(t["hyperparameters"]["learning_rate"]) + 1) for t in (recommended, observed)
    )
    assert mine < theirs  # the best is at 0.1
    assert recommended["reason"].startswith(f"trial {recommended['number']} of round 1, with the ")
    line = f"recommended: {recommended['reason']}"
    assert line in " ".join(command("show", "toy").out.split())
    assert line in ran
    assert "recommended" not in json.loads(command("show", "toy", "--round", 1, "--json").out)
    best = command("best", "toy")
    assert best.out.startswith(f"trial {recommended['number']} of round 1: accuracy ")
    assert best.err == f"recommended: {recommended['reason']}\n"
    assert json.loads(command("best", "toy", "--json").out) == {
        "study": "toy", "metric": "accuracy", **recommended
    }
    toml = command("best", "toy", "--toml")
    assert tomllib.loads(toml.out) == recommended["hyperparameters"]
    assert command("best", "toy", "--observed").err == ""
    study, recorded = read(file), record_of(file).study("toy").read()
    assert recorded is not None
    first, second = evaluation.best(study, recorded, 2)  # what `hpo evaluate` scores
    numbers = (first.trial.number, second.trial.number)
    assert numbers == (recommended["number"], observed["number"])
    chosen = [evaluation.chosen_as(result, study, recorded) for result in (first, second)]
    assert chosen == ["recommended", "observed"]


def test_the_best_goes_by_the_means_of_repeats(make_study: Make, command: Command) -> None:
    file = make_study()
    hpo("run", file, "--inline")
    hpo("confirm", file, "--inline", "--top", 3, "--repeats", 2)
    shown = json.loads(command("show", "toy", "--json").out)["best"]
    best = json.loads(command("best", "toy", "--observed", "--json").out)
    assert {key: best[key] for key in shown} == shown
    first = command("best", "toy", "--observed").out.splitlines()[0]
    assert first.startswith(f"trial {shown['number']} of round 1: accuracy ")
    assert first.endswith(" (the mean of 2 repeats)")
    recommended = command("best", "toy").out.splitlines()[0]
    told = json.loads(command("best", "toy", "--json").out)  # the same trial and value as the text
    assert recommended.startswith(f"trial {told['number']} of round {told['round']}: accuracy ")
    assert wording.four_digits(told["value"]) in recommended
    means = {t["number"]: t["mean"] for t in json.loads(
        command("confirm", file, "--inline", "--top", 3, "--repeats", 2, "--json").out
    )["trials"]}
    assert told["value"] == means.get(told["number"], told["value"])
    assert told["number"] in means


def test_a_study_without_a_complete_trial_has_no_best(make_study: Make, command: Command) -> None:
    assert command("run", make_study(objective="toy:failing"), "--inline").code == 1
    for options in ([], ["--toml"], ["--json"]):
        outcome = command("best", "toy", *options)
        assert (outcome.code, outcome.out) == (2, "")
        assert outcome.err == "hpo: the study 'toy' has no complete trial yet; run more trials\n"
    assert command("best", "nobody").code == 2
