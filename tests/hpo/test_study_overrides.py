"""`--set KEY=VALUE` replaces a value of a study file, for every command, and is on record."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from hpo.errors import InputError
from hpo.study import read
from hpo.study_overrides import override
from tests.fixtures import Outcome, hpo, table

Make = Callable[..., Path]
FILE = {"name": "a", "round": {"trials": 5}, "search_space": {"rate": {"low": 1, "high": 2}}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("round.trials=20", {"round": {"trials": 20}}),
        ("round.sampler=tpe", {"round": {"trials": 5, "sampler": "tpe"}}),
        (" round . trials = 20 ", {"round": {"trials": 20}}),
        ('round={ parallel = 2 }', {"round": {"parallel": 2}}),
        ("search_space.rate.low=1e-3", {"search_space": {"rate": {"low": 1e-3, "high": 2}}}),
        ("search_space.rate={low=3}", {"search_space": {"rate": {"low": 3}}}),
        ('fixed."a.b"=[1, 2]', {"fixed": {"a.b": [1, 2]}}),
        ("data.source=../../shared/data/mnist", {"data": {"source": "../../shared/data/mnist"}}),
        ("data.source=openml:mnist_784", {"data": {"source": "openml:mnist_784"}}),
        ("data.source=a=b", {"data": {"source": "a=b"}}),
        ('name="5"', {"name": "5"}),
        ('name=""', {"name": ""}),
        ("name=two words", {"name": "two words"}),
        ("seed=true", {"seed": True}),
        ("start=[{rate = 1}]", {"start": [{"rate": 1}]}),
    ],
)
def test_a_value_takes_its_place(text: str, expected: dict[str, Any]) -> None:
    changed: dict[str, Any] = {k: dict(v) if isinstance(v, dict) else v for k, v in FILE.items()}
    changed["search_space"] = {"rate": {"low": 1, "high": 2}}
    override(changed, [text])
    assert changed == {**FILE, **expected}


def test_the_last_of_many_counts() -> None:
    changed: dict[str, Any] = {}
    override(changed, ["round.trials=2", "round.parallel=1", "round.trials=3"])
    assert changed == {"round": {"trials": 3, "parallel": 1}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seed", "--set seed: no '=' found; use the form KEY=VALUE"),
        ("=1", "--set =1: no key before"),
        (" =1", "no key before"),
        ("a b=1", "a b is not a valid TOML key"),
        ("a..b=1", '"a..b" is not a valid TOML key'),
        ("#a=1", "#a is not a valid TOML key"),
        ("seed=", "no value after '='"),
        ("fixed.sizes=[1, 2", "the value is not valid TOML"),
        ("name='x", "the value is not valid TOML"),
        ("seed=1\nrounds = 2", "the value is not valid TOML"),
        ("metric.first=x", "metric is not a table in the file; set metric as a whole"),
        ("search_space.learning_rate.low.x=1", "search_space.learning_rate.low is not a table"),
        ("name=\x00", "cannot be recorded"),
        ("seed=" + "9" * 5000, None),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    make_study: Make, command: Callable[..., Outcome], text: str, said: str | None
) -> None:
    file = make_study()
    result = command("check", file, "--set", text)
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert result.err.startswith(f"hpo: {file}: {'--set' if said else 'seed'}")
    assert said is None or said in result.err


@pytest.mark.parametrize("name", ["run", "check", "confirm", "evaluate", "submit"])
def test_every_command_that_reads_a_study_file_takes_it(
    make_study: Make, command: Callable[..., Outcome], name: str
) -> None:
    file = make_study()
    assert command(name, file, "--set", "seed") == Outcome(
        2, "", f"hpo: {file}: --set seed: no '=' found; use the form KEY=VALUE, for example "
        "round.trials=20\n",
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("round.trials=many", "round.trials: expected an integer, got 'many'"),
        ("round.trails=3", "round.trails: unknown key; did you mean 'trials'?"),
        ("fixed.epoch=3", "fixed.epoch: unknown hyperparameter"),
        ("overrides=[]", "overrides: unknown key"),
        ("metric=acuracy", "metric: "),
    ],
)
def test_a_wrong_value_is_named_as_in_the_file(make_study: Make, text: str, said: str) -> None:
    with pytest.raises(InputError, match=f"toy.toml: {said.replace('?', '.')}"):
        read(make_study(), [text])


def test_it_holds_for_all_commands_and_is_on_record(
    make_study: Make, folder: Path, command: Callable[..., Outcome]
) -> None:
    file = make_study()
    given = ("--set", "name=two words", "--set", "round.trials=3", "--set", "fixed.epochs=2")
    assert "1 round of 3 trials" in command("check", file, *given).out
    ran = command("run", file, "--inline", *given)
    assert f"hpo run {file} --set 'name=two words' --set round.trials=3 --set" in ran.out
    assert "hpo narrow 'two words' " in ran.out
    assert [row["epoch"] for row in table("two words")] == ["2"] * 3
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name("two words").experiment_id
    (round_,) = client.search_runs([experiment], "tags.kind = 'round'")
    tags = round_.data.tags
    assert tags["overrides"] == "name=two words\nround.trials=3\nfixed.epochs=2"
    values = "`name=two words`, `round.trials=3`, `fixed.epochs=2`"
    assert f"`--set` replaced values of the study file: {values}." in (
        tags["mlflow.note.content"]
    )
    kept = client.download_artifacts(round_.info.run_id, "study/toy.toml", folder)
    assert Path(kept).read_text() == file.read_text()

    ran = command("run", file, "--inline", *given[:4], "--rounds", 2)
    assert "[fixed] changed since round 1" in ran.err
    confirmed = command("confirm", file, "--inline", "--json", "--repeats", 1, *given)
    assert '"study": "two words"' in confirmed.out
    evaluated = command("evaluate", file, *given)
    assert "evaluate` needs a table [data]" in evaluated.err


def test_without_it_nothing_is_said_of_it(make_study: Make, folder: Path) -> None:
    hpo("run", make_study(round={"trials": 1}), "--inline")
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name("toy").experiment_id
    (round_,) = client.search_runs([experiment], "tags.kind = 'round'")
    assert "overrides" not in round_.data.tags
    assert "--set" not in round_.data.tags["mlflow.note.content"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seed", "--set seed: no '=' found; use the form KEY=VALUE, for example round.trials=20"),
        (" =1",
         "--set  =1: no key before '='; use the form KEY=VALUE, for example round.trials=20"),
        ("a b=1", "--set a b=1: a b is not a valid TOML key; use one like round.trials"),
        ("seed= ", "--set seed= : no value after '='; write \"\" for an empty string"),
        ("a=[1", "--set a=[1: the value is not valid TOML; fix it, and quote it for the shell"),
        ("a={1", "--set a={1: the value is not valid TOML; fix it, and quote it for the shell"),
        ("name.x=1", "--set name.x=1: name is not a table in the file; set name as a whole"),
        ("a=\x00", "--set a=\x00: the character '\\x00' cannot be recorded; remove it"),
        ("s" * 101, f"--set {'s' * 50}…{'s' * 49}: no '=' found; use the form KEY=VALUE, for "
         "example round.trials=20"),
    ],
)
def test_a_text_that_cannot_be_read_is_said_to_the_letter(text: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        override({"name": "a"}, [text])
    assert str(caught.value) == said
