"""What a command that sends a study is told arrives on the cluster."""

import shlex
from collections.abc import Sequence
from pathlib import Path

import pytest

from hpo import cluster
from hpo.cli import commands as cli
from hpo.errors import InputError
from tests.fixtures import Make, hpo


def test_submit_takes_the_options_of_run_but_for_where_it_runs() -> None:
    options = {name: {o.name for o in cli.hpo.commands[name].params} for name in ("run", "submit")}
    place = {"workers", "tracking_uri", "ray_address", "inline"}
    assert options["run"] - place == options["submit"] - {"also", "address", "env_file"}


@pytest.mark.parametrize(
    ("typed", "name", "meant"),
    [
        (["--rounds", "3"], "rounds", 3),
        (["--trials", "7"], "trials", 7),
        (["--range", "learning_rate=1e-3:1e-1"], "ranges", ("learning_rate=1e-3:1e-1",)),
        (
            ["--range", "learning_rate=0.01:1", "--range", "weight_decay=1e-7:1e-5"],
            "ranges", ("learning_rate=0.01:1", "weight_decay=1e-7:1e-5"),
        ),
        (["--keep-ranges"], "keep_ranges", True),
        (["--accept-code"], "accept_code", True),
        (
            ["--set", "name=a b", "--set", "round.trials=3"],
            "overrides", ("name=a b", "round.trials=3"),
        ),
    ],
)  # fmt: skip
def test_what_submit_is_told_arrives_in_the_command_that_the_cluster_runs(
    make_study: Make, monkeypatch: pytest.MonkeyPatch, typed: list[str], name: str, meant: object
) -> None:
    submitted: list[str] = []

    class Somewhere:
        """Stands for a cluster: keeps the line that it would run."""

        address = "http://there:1"

        def submit(self, study: str, parcel: cluster.Parcel, options: Sequence[str]) -> str:
            submitted.append(cluster.entry_point(parcel.study_file, options))
            return "job"

        def log_command(self, job: str) -> str:
            return f"logs of {job}"

    monkeypatch.setattr(cluster, "connect", lambda *_: Somewhere())
    hpo("submit", make_study(), *typed)
    program, command, *arguments = shlex.split(submitted[0].removeprefix("exec "))
    assert (program, command) == ("hpo", "run")
    with cli.hpo.commands["run"].make_context("run", arguments) as context:
        read = context.params
    assert read["file"] == Path("toy.toml")
    assert read["ray_address"] == "auto"
    asked = {"rounds": None, "trials": None, "ranges": (), "keep_ranges": False, name: meant}
    assert {option: read[option] for option in asked} == asked


def test_nobody_there_is_one_line(folder: Path, make_study: Make) -> None:
    make_study()
    with pytest.raises(InputError, match=r"no job can be sent to http://127\.0\.0\.1:9.*--cluster"):
        hpo("submit", "toy.toml", "--cluster", "http://127.0.0.1:9")
    with pytest.raises(InputError, match=r"127\.0\.0\.1:9.*RAY_AUTH_TOKEN"):
        hpo("cancel", "toy", "--cluster", "http://127.0.0.1:9")
