"""What a cluster is to do with a study is sent as it would be typed there."""

from pathlib import Path
from typing import Any

import pytest

import hpo
from hpo.api.sending import OPTIONS, typed
from hpo.cli.options import (
    ConfirmOptions,
    EvaluateOptions,
    ExtendOptions,
    RunOptions,
    given,
)
from hpo.study import read
from tests.fixtures import write_study


@pytest.mark.parametrize(("command", "options", "said"), [
    ("run", RunOptions(), []),
    ("run", RunOptions(2, 3, ("learning_rate=1:2", "weight_decay=1e-7:1e-5"), True, True),
     ["--rounds", "2", "--trials", "3", "--range", "learning_rate=1:2",
      "--range", "weight_decay=1e-7:1e-5", "--keep-ranges", "--accept-code"]),
    ("confirm", ConfirmOptions(), []),
    ("confirm", ConfirmOptions(2, 3, True, True),
     ["--top", "2", "--repeats", "3", "--resplit", "--accept-code"]),
    ("evaluate", EvaluateOptions(), ["--top", "1"]),
    ("evaluate", EvaluateOptions(3, True, True, True),
     ["--top", "3", "--again", "--kept", "--accept-code"]),
    ("extend", ExtendOptions(3, 200), ["--top", "3", "--epochs", "200"]),
    ("extend", ExtendOptions(1, 9, True), ["--top", "1", "--epochs", "9", "--accept-code"]),
])
def test_options_are_typed_as_they_were(
    command: str, options: Any, said: list[str], folder: Path
) -> None:
    study = read(write_study(folder), ("round.trials=4", "seed=1"))
    overrides = ["--set", "round.trials=4", "--set", "seed=1"]
    assert typed(study, command, given(options)) == [command, *said, *overrides]
    assert set(given(options)) == set(OPTIONS[command])


def test_options_of_python_are_typed_as_well(folder: Path) -> None:
    study = read(write_study(folder))
    given_: dict[str, Any] = {
        "rounds": 2, "ranges": {"learning_rate": hpo.Range(0.01, 0.1)}, "keep_ranges": False,
    }
    assert typed(study, "run", given_) == ["run", "--rounds", "2", "--range",
                                           "learning_rate=0.01:0.1"]


@pytest.mark.parametrize(("command", "options", "said"), [
    ("runs", {}, "command: 'runs' cannot be submitted; did you mean 'run'?"),
    ("run", {"round": 2}, "run: unknown option 'round'; did you mean 'rounds'?"),
    ("run", {"ranges": {"rate": (1, 2)}}, "ranges: rate=1:2: 'rate' is not searched"),
    ("extend", {"top": 2}, "extend: epochs: required but missing; set the total"),
])
def test_what_a_cluster_does_not_do_is_refused(
    command: str, options: dict[str, Any], said: str, folder: Path
) -> None:
    with pytest.raises(hpo.InputError) as caught:
        typed(read(write_study(folder)), command, options)
    assert str(caught.value).startswith(said)


@pytest.mark.slow
def test_a_study_is_renamed_copied_and_deleted(folder: Path) -> None:
    study = hpo.Study.read(write_study(folder))
    results = study.run(placement=hpo.Placement(inline=True))
    renamed = results.rename("other")
    copied = renamed.copy("third")
    assert [s["study"] for s in hpo.studies()] == ["third", "other"]
    assert renamed.trials().equals(copied.trials())
    copied.delete(purge=True)
    renamed.delete()
    assert hpo.studies() == []


@pytest.mark.slow
def test_a_study_is_checked_and_tried(folder: Path) -> None:
    study = hpo.Study.read(write_study(folder))
    assert study.check()["search_space"]["learning_rate"] == "0.0001 to 10"
    tried = study.check(try_=True)["try"]
    assert tried
    with pytest.raises(hpo.InputError, match="data: there is no table"):
        study.check(data=True)
