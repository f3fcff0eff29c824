"""Help is whole in a narrow terminal, and a shell completes what is typed."""

import os
import subprocess

import click
import pytest

from hpo.cli.commands import hpo
from tests.processes import HPO


@pytest.mark.parametrize("group", [hpo, hpo.commands["submit"]], ids=["hpo", "submit"])
def test_no_summary_of_a_command_is_cut_at_80_columns(group: click.Group) -> None:
    context = click.Context(
        group, info_name="hpo", terminal_width=80,
        help_option_names=["-h", "--help"],  # which the first context decides for good
    )
    lines = group.get_help(context).splitlines()
    summaries = [line for line in lines if line.split()[:1] and line.split()[0] in group.commands]
    assert len(summaries) == len(group.commands)
    assert all(line.endswith(".") and not line.endswith("...") for line in summaries)


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("hpo exp", "export"), ("hpo show --js", "--json"), ("hpo conf", "confirm")],
)
def test_bash_completes_commands_and_options(typed: str, offered: str) -> None:
    environment = {
        **os.environ, "_HPO_COMPLETE": "bash_complete", "COMP_WORDS": typed,
        "COMP_CWORD": str(len(typed.split()) - 1),
    }
    ended = subprocess.run([HPO], env=environment, capture_output=True, text=True, check=False)
    assert ended.stdout.split() == [f"plain,{offered}"]
