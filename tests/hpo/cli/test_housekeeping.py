"""Studies are renamed, copied and deleted by commands, which say what is to be known."""

import os
import pty
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from hpo.api.places import outbox_path
from hpo.record.outbox import Outbox
from hpo.record.tracking import Tracking
from hpo.trial import TrialResult
from tests.fixtures import Command, Make, begin, client_of, hpo, result, table
from tests.server import Server


@pytest.fixture
def uri(folder: Path) -> str:
    return f"sqlite:///{folder / 'mlflow.db'}"


@pytest.fixture
def toy(uri: str) -> Iterator[Tracking]:
    """Put a study with an open round and two trials on record."""
    with closing(Tracking(uri)) as record:
        fill(record)
        yield record


def fill(record: Tracking, study: str = "toy") -> None:
    begin(record, study)
    for number in (1, 2):
        record.study(study).deliver("loss", result(number), again=False)


def test_every_command_takes_a_copy_and_a_renamed_study_for_the_study(
    shop: Callable[..., Path], command: Command
) -> None:
    file = shop()
    hpo("confirm", file, "--inline", "--top", 1, "--repeats", 1)
    hpo("evaluate", file)
    hpo("report", "shop", "before.json")
    expected, rows = table("shop", "--repeats"), ["shop.csv", "--output", "said.csv"]
    hpo("predict", "shop", *rows)
    said = Path("said.csv").read_text()
    copied = command("copy", "shop", "twin")
    assert (copied.code, copied.err) == (0, "")
    assert (
        "copied shop to twin: 1 round, 6 trials, 1 repeat, 1 evaluation, 1 model\n" in copied.out
    )
    hpo("delete", "shop", "--yes", "--purge")
    renamed = command("rename", "twin", "new name")
    assert (renamed.code, renamed.err) == (0, "")
    assert 'name = "new name"\n' in renamed.out
    assert table("new name", "--repeats") == expected
    hpo("predict", "new name", *rows)
    assert Path("said.csv").read_text() == said
    hpo("report", "new name", "after.json")
    assert Path("after.json").read_text() == (
        Path("before.json").read_text().replace('"study": "shop"', '"study": "new name"')
    )
    assert command("narrow", "new name").code == 0
    same = command("run", file, "--set", 'name="new name"', "--inline")
    assert "new name: 1 round is done, nothing to run" in same.out
    more = command("run", file, "--set", "name=new name", "--inline", "--rounds", 2)
    assert (more.code, more.err) == (0, "")
    assert len(table("new name")) == 12


def test_the_same_through_a_server(
    make_study: Make, server: Server, folder: Path, command: Command
) -> None:
    at = ("--tracking-uri", server.uri)
    fill(Tracking(server.uri))
    copied = command("copy", "toy", "twin", *at)
    assert "copied toy to twin: 1 round, 2 trials\n" in copied.out
    assert command("rename", "twin", "new", *at).code == 0
    assert table("new", *at) == table("toy", *at)
    run = client_of(server.uri).search_runs(["2"], "tags.kind = 'round'")[0].info
    assert run.artifact_uri.startswith("mlflow-artifacts:/2/")
    fetched = client_of(server.uri).download_artifacts(run.run_id, "note.txt", str(folder))
    assert Path(fetched).read_text() == "text"
    refused = command("delete", "new", "--purge", "--yes", *at)
    assert (refused.code, refused.out) == (2, "")
    assert "nothing can be deleted permanently through an MLflow server" in refused.err
    deleted = command("delete", "new", "--yes", *at).out
    assert deleted.startswith("deleted new: 1 round, 2")
    assert "--purge" not in deleted
    assert [name for name, _ in Tracking(server.uri).studies()] == ["toy"]


@pytest.mark.parametrize("arguments", [("rename", "toy", "new"), ("copy", "toy", "new"),
                                       ("delete", "toy", "--yes")])
def test_a_study_that_runs_is_left_alone(
    toy: Tracking, command: Command, arguments: tuple[str, ...]
) -> None:
    toy.study("toy").read()
    toy.study("toy").claim(print)
    refused = command(*arguments)
    assert (refused.code, refused.out) == (2, "")
    assert f"process {os.getpid()} on " in refused.err
    assert "is running this study; wait for it to end, or stop it" in refused.err
    assert [name for name, _ in toy.studies()] == ["toy"]
    toy.study("toy").release()
    assert command(*arguments).code == 0


def test_what_cannot_be_done_is_said_in_one_line(toy: Tracking, command: Command) -> None:
    client_of(toy.uri).create_experiment("theirs")
    for arguments, said in (
        (("rename", "tyo", "new"), "no study named 'tyo' is recorded; did you mean 'toy'?"),
        (("copy", "tyo", "new"), "no study named 'tyo' is recorded; did you mean 'toy'?"),
        (("delete", "tyo", "--yes"), "no study named 'tyo' is recorded; did you mean 'toy'?"),
        (("rename", "theirs", "new"), "'theirs' is not an hpo study; change it in MLflow"),
        (("copy", "theirs", "new"), "'theirs' is not an hpo study; change it in MLflow"),
        (("delete", "theirs", "--yes"), "'theirs' is not an hpo study; change it in MLflow"),
        (("rename", "toy", "theirs"), "'theirs' already exists; choose another name"),
        (("copy", "toy", "toy"), "a study 'toy' already exists; choose another name"),
        (("rename", "toy", " new"), "new name: ' new' starts or ends with a space; choose"),
        (("copy", "toy", "new.toml"), "new name: new.toml looks like a study file; choose"),
        (("delete", "toy"), "standard input is not a terminal; add --yes"),
    ):
        told = command(*arguments)
        assert (told.code, told.out, told.err.count("\n")) == (2, "", 1), told
        assert said in told.err
    assert [name for name, _ in toy.studies()] == ["toy"]


def test_a_deleted_study_is_brought_back_or_deleted_for_good(
    toy: Tracking, make_study: Make, command: Command
) -> None:
    deleted = command("delete", "toy", "--yes")
    assert deleted.out.startswith("deleted toy: 1 round, 2 trials\n")
    restore = f"MLFLOW_TRACKING_URI={toy.uri} mlflow experiments restore --experiment-id 1"
    assert f"next: {restore}" in deleted.out
    again = command("delete", "toy", "--yes")
    assert (again.code, again.out, again.err.count("\n")) == (2, "", 1)
    assert f"toy is already deleted; restore it with `{restore}`" in again.err
    run = command("run", make_study(), "--inline")
    assert (run.code, run.err.count("\n")) == (2, 1)
    assert "delete it permanently with `hpo delete --purge toy`, or give the study" in run.err
    client_of(toy.uri).restore_experiment("1")
    assert len(table()) == 2
    for _ in range(2):  # as it is, and once it was deleted
        assert command("delete", "toy", "--purge", "--yes").out == (
            "permanently deleted toy: 1 round, 2 trials\n"
        )
        fill(Tracking(toy.uri))
        hpo("delete", "toy", "--yes")


def test_it_is_asked_at_a_terminal_before_anything_is_deleted(
    toy: Tracking, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "w") as typed, os.fdopen(theirs) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        typed.write("n\n")
        typed.flush()
        no = command("delete", "toy")
        assert (no.code, no.out) == (1, "")
        assert "toy has 1 round, 2 trials. Delete it (MLflow can restore it)? [y/N]" in no.err
        assert "hpo: nothing was deleted" in no.err
        assert [name for name, _ in toy.studies()] == ["toy"]
        typed.write("y\n")
        typed.flush()
        yes = command("delete", "toy", "--purge")
        assert "toy has 1 round, 2 trials. Delete it permanently? [y/N]" in yes.err
        assert yes.out == "permanently deleted toy: 1 round, 2 trials\n"
    assert toy.studies() == []


def waiting(uri: str, study: str, *results: TrialResult) -> Path:
    """Put results on disk as a process that was killed leaves them; return the file."""
    path = outbox_path(uri, study)
    with closing(Outbox(path)) as outbox:
        for each in results:
            outbox.add(each)
    return path


@pytest.mark.parametrize("verb", ["rename", "copy"])
def test_results_that_wait_on_disk_go_along_and_to_no_other_study(
    toy: Tracking, uri: str, command: Command, verb: str
) -> None:
    old, new = waiting(uri, "toy", result(3), result(4)), waiting(uri, "new", result(9))
    told = command(verb, "toy", "new")
    assert told.code == 0
    assert "delivering 2 results that waited on disk" in told.err
    assert "set aside 1 result of a former study new, next to" in told.err
    assert [row["number"] for row in table("new")] == ["1", "2", "3", "4"]
    assert old.exists() == (verb == "copy")
    assert new.read_bytes() == b""
    refused = new.with_suffix(".refused.jsonl").read_text()
    assert refused.count("\n") == 1
    assert '"number": 9' in refused


def test_results_of_a_study_that_is_deleted_for_good_wait_for_no_other(
    toy: Tracking, uri: str, command: Command
) -> None:
    path = waiting(uri, "toy", result(3))
    assert command("delete", "toy", "--yes").code == 0
    assert path.stat().st_size > 0  # brought back, it has them
    told = command("delete", "toy", "--purge", "--yes")
    assert "set aside 1 result of a former study toy, next to" in told.err
    assert path.read_bytes() == b""
    assert '"number": 3' in path.with_suffix(".refused.jsonl").read_text()


def test_a_result_whose_round_the_record_lacks_waits_under_the_new_name(
    toy: Tracking, uri: str, command: Command
) -> None:
    later = replace(result(3), trial=replace(result(3).trial, round=2))
    old, new = waiting(uri, "toy", later), outbox_path(uri, "new")
    assert command("rename", "toy", "new").code == 0
    assert not old.exists()
    with closing(Outbox(new)) as outbox:
        assert [r.trial.id for r in outbox.waiting()] == [later.trial.id]
