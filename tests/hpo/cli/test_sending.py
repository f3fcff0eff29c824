"""What a command that sends a study is told arrives on the cluster."""

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click
import pytest

from hpo import cluster
from hpo.cli import commands as cli
from hpo.cli.options import ConfirmOptions, EvaluateOptions, RunOptions
from hpo.errors import InputError
from tests.fixtures import Make, hpo


@pytest.mark.parametrize("name", ["run", "confirm", "evaluate"])
def test_submit_takes_the_options_of_a_command_but_for_where_it_runs(name: str) -> None:
    submit = cli.hpo.commands["submit"]
    assert isinstance(submit, click.Group)
    here, there = (
        {option.name for option in group.commands[name].params} for group in (cli.hpo, submit)
    )
    where = {"workers", "tracking_uri", "ray_address", "inline", "as_json", "file", "study"}
    assert here - where == there - {"also", "address", "env_file", "file"}


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["--rounds", "3"], RunOptions(rounds=3)),
        (["--trials", "7"], RunOptions(trials=7)),
        (["run", "--range", "learning_rate=.1:1"], RunOptions(ranges=("learning_rate=.1:1",))),
        (
            ["--range", "learning_rate=0.01:1", "--range", "weight_decay=1e-7:1e-5"],
            RunOptions(ranges=("learning_rate=0.01:1", "weight_decay=1e-7:1e-5")),
        ),
        (["--keep-ranges"], RunOptions(keep_ranges=True)),
        (["--accept-code"], RunOptions(accept_code=True)),
        (
            ["--set", "name=a b", "--set", "round.trials=3"],
            RunOptions(overrides=("name=a b", "round.trials=3")),
        ),
        (["confirm"], ConfirmOptions()),
        (["confirm", "--top", "2", "--repeats", "4"], ConfirmOptions(top=2, repeats=4)),
        (["confirm", "--resplit", "--accept-code"], ConfirmOptions(None, None, True, True)),
        (["confirm", "--set", "seed=1"], ConfirmOptions(overrides=("seed=1",))),
        (["evaluate"], EvaluateOptions()),
        (["evaluate", "--top", "2", "--again"], EvaluateOptions(top=2, again=True)),
        (["evaluate", "--accept-code"], EvaluateOptions(accept_code=True)),
        (["evaluate", "--set", "seed=1"], EvaluateOptions(overrides=("seed=1",))),
    ],
)
def test_what_submit_is_told_arrives_in_the_command_that_the_cluster_runs(
    make_study: Make, monkeypatch: pytest.MonkeyPatch, typed: list[str],
    meant: RunOptions | ConfirmOptions | EvaluateOptions,
) -> None:
    submitted: list[str] = []

    class Somewhere:
        """Stands for a cluster: keeps the line that it would run."""

        address = "http://there:1"

        def submit(self, study: str, parcel: cluster.Parcel, command: Sequence[str]) -> str:
            submitted.append(cluster.entry_point(parcel.study_file, command))
            return "job"

        def log_command(self, job: str) -> str:
            return f"logs of {job}"

    monkeypatch.setattr(cluster, "connect", lambda *_: Somewhere())
    named = typed[0] if typed and not typed[0].startswith("-") else "run"
    file = make_study(data={"source": "digits"})
    hpo("submit", *typed[: named in typed], file, *typed[named in typed :])
    *program, command = shlex.split(submitted[0])[:6]
    arguments = shlex.split(submitted[0])[6:]
    assert (program, command) == (["exec", "python", "-P", "-m", "hpo"], named)
    with cli.hpo.commands[command].make_context(command, arguments) as context:
        read = context.params
    assert Path(read.get("file") or read["study"]) == Path("toy.toml")
    assert read.get("ray_address") == (None if named == "evaluate" else "auto")
    assert {name: read[name] for name in asdict(meant)} == asdict(meant)


def test_help_of_submit_names_its_commands(capsys: pytest.CaptureFixture[str]) -> None:
    hpo("submit", "--help")
    told = capsys.readouterr().out
    assert all(f"  {name} " in told for name in ("run", "confirm", "evaluate"))


def test_nobody_there_is_one_line(folder: Path, make_study: Make) -> None:
    make_study()
    with pytest.raises(InputError, match=r"cannot send jobs to http://127\.0\.0\.1:9.*--cluster"):
        hpo("submit", "toy.toml", "--cluster", "http://127.0.0.1:9")
    with pytest.raises(InputError, match=r"127\.0\.0\.1:9.*RAY_AUTH_TOKEN"):
        hpo("cancel", "toy", "--cluster", "http://127.0.0.1:9")
