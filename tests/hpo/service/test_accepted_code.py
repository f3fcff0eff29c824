"""`--accept-code`: a study goes on with other code of its objective, and the record says so."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

import hpo as api
from hpo.errors import InputError
from hpo.record.format import NOTE_CHARACTERS, remarked
from hpo.record.tracking import Tracking
from tests.fixtures import hpo, table
from tests.processes import start

Make = Callable[..., Path]
Capture = pytest.CaptureFixture[str]
OBJECTIVE = """
from pathlib import Path
import numpy as np

SCALE = 1


class Constant:
    loader = "own:load"

    def predict(self, inputs):
        return np.full((len(inputs), 10), np.float32(0.1))

    def save(self, path):
        np.savez(path)


def load(path):
    return Constant()


def train(rate: float, *, data, seed: int):
    stop = Path("stop")
    if stop.exists():
        left = int(stop.read_text())
        if left == 0:
            raise KeyboardInterrupt
        stop.write_text(str(left - 1))
    yield {"validation_accuracy": -(rate - 0.3) ** 2, "other": SCALE * rate}
    return Constant()
"""
REFUSED = "the code of the objective changed since round 1, .* accept it with --accept-code "


@pytest.fixture
def file(make_study: Make, folder: Path) -> Iterator[Path]:
    """Return a study whose objective can be edited, and can be stopped before a trial."""
    (folder / "own.py").write_text(OBJECTIVE)
    yield make_study(
        "own", objective="own:train", metric="validation_accuracy",
        data={"source": "digits", "rows": 50}, search_space={"rate": {"low": 0.0, "high": 1.0}},
        round={"trials": 5, "sampler": "tpe", "parallel": 1},
    )
    sys.modules.pop("own", None)


def edit(scale: int = 2) -> None:
    """Change what the objective says beside the metric that is searched."""
    Path("own.py").write_text(OBJECTIVE.replace("SCALE = 1", f"SCALE = {scale}"))
    sys.modules.pop("own", None)  # as in a new process


def rounds(folder: Path) -> list[Run]:
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name("own").experiment_id
    found: list[Run] = client.search_runs(
        [experiment], "tags.kind = 'round'", order_by=["attributes.start_time ASC"]
    )
    return found


def accepted(run: Run) -> int | None:
    """Return the round that the accepted code of a round changed in or after."""
    tag = run.data.tags.get("accepted_code")
    since: int | None = json.loads(tag)["since"] if tag else None
    return since


def rates(study: str = "own") -> list[str]:
    return [row["rate"] for row in table(study)]


def test_the_next_round_has_the_new_code_and_learns_from_the_trials_before(
    file: Path, folder: Path, capsys: Capture
) -> None:
    undisturbed = file.with_stem("undisturbed")
    undisturbed.write_text(file.read_text())
    hpo("run", undisturbed, "--inline", "--rounds", 3)
    expected = rates("undisturbed")
    hpo("run", file, "--inline")
    edit()
    with pytest.raises(InputError, match=REFUSED):
        hpo("run", file, "--inline", "--rounds", 2)
    capsys.readouterr()
    hpo("run", file, "--inline")
    assert (
        "the code of the objective changed since round 1, but nothing is left to run; add "
        "--rounds 2 --accept-code to run another round with it"
    ) in " ".join(capsys.readouterr().out.split())
    hpo("run", file, "--inline", "--rounds", 2, "--accept-code")
    assert capsys.readouterr().out.count("the code of the objective changed since round 1 and was "
                                         "accepted") == 1
    assert rates() == expected[:10]
    first, second = rounds(folder)
    assert (accepted(first), accepted(second)) == (None, 1)
    note = second.data.tags["mlflow.note.content"]
    assert note.startswith("| hyperparameter |")
    assert "changed after round 1 and was accepted (`--accept-code`)" in note

    capsys.readouterr()
    hpo("run", file, "--inline", "--rounds", 3)
    assert "accepted" not in capsys.readouterr().out
    assert rates() == expected
    assert [accepted(run) for run in rounds(folder)] == [None, 1, None]


def test_nothing_but_the_code_is_accepted(file: Path) -> None:
    hpo("run", file, "--inline")
    edit()
    file.write_text(file.read_text().replace("maximize", "minimize"))
    both = "the code of the objective and direction changed since round 1, .*; change it back, or"
    with pytest.raises(InputError, match=both):
        hpo("run", file, "--inline", "--rounds", 2)
    with pytest.raises(InputError, match="toml: direction changed since round 1"):
        hpo("run", file, "--inline", "--rounds", 2, "--accept-code")


def test_an_open_round_goes_on_with_the_new_code(
    file: Path, folder: Path, capsys: Capture
) -> None:
    (folder / "stop").write_text("3")
    start("run", file, "--inline", cwd=folder).communicate(timeout=60)
    (folder / "stop").unlink()
    edit()
    with pytest.raises(InputError, match=REFUSED):
        hpo("run", file, "--inline")
    hpo("run", file, "--inline", "--accept-code")
    (only,) = rounds(folder)
    assert accepted(only) == 1
    note = only.data.tags["mlflow.note.content"]
    assert "changed in this round, after 3 of its trials, and was accepted" in note
    others = [float(row["other"]) / float(row["rate"]) for row in table("own")]
    assert others == pytest.approx([1, 1, 1, 2, 2])

    capsys.readouterr()
    hpo("run", file, "--inline", "--rounds", 2)  # it is this code that counts from now on
    assert "accepted" not in capsys.readouterr().out
    edit(1)
    with pytest.raises(InputError, match="the code of the objective changed since round 2"):
        hpo("run", file, "--inline", "--rounds", 3)


def test_what_is_confirmed_with_new_code_is_evaluated_with_it(
    file: Path, folder: Path, capsys: Capture
) -> None:
    hpo("run", file, "--inline")
    edit()
    for command in (("confirm", "--inline"), ("evaluate",)):
        with pytest.raises(InputError, match=REFUSED):
            hpo(command[0], file, *command[1:])
    capsys.readouterr()
    hpo("confirm", file, "--inline", "--top", 1, "--repeats", 1, "--accept-code")
    assert "changed since round 1 and was accepted" in capsys.readouterr().out
    (only,) = rounds(folder)
    assert "changed after this round and was" in only.data.tags["mlflow.note.content"]
    hpo("confirm", file, "--inline", "--top", 1, "--repeats", 1)
    hpo("evaluate", file)


def test_what_is_evaluated_again_with_new_code_is_accepted(
    file: Path, folder: Path, capsys: Capture
) -> None:
    hpo("run", file, "--inline")
    hpo("evaluate", file)
    edit()
    with pytest.raises(InputError, match=REFUSED + r"\(run, confirm, extend, or evaluate\)"):
        hpo("evaluate", file, "--again")
    with pytest.raises(InputError, match="5 complete trials"):
        hpo("evaluate", file, "--again", "--accept-code", "--top", 9)
    assert accepted(rounds(folder)[0]) is None
    capsys.readouterr()
    hpo("evaluate", file, "--again", "--accept-code")
    assert "changed since round 1 and was accepted" in capsys.readouterr().out
    (only,) = rounds(folder)
    assert accepted(only) == 1
    assert "changed after this round and was" in only.data.tags["mlflow.note.content"]
    hpo("run", file, "--inline", "--rounds", 2)  # nobody holds the study
    edit(3)
    api.Study.read(file).evaluate(again=True, accept_code=True)
    assert accepted(rounds(folder)[1]) == 2


def test_code_is_not_accepted_while_a_study_runs_with_the_old(file: Path, folder: Path) -> None:
    hpo("run", file, "--inline")
    edit()
    elsewhere = Tracking(f"sqlite:///{folder}/mlflow.db").study("own")
    elsewhere.read()
    elsewhere.claim(print)
    with pytest.raises(InputError, match="is running this study; wait for it to end, or stop it"):
        hpo("evaluate", file, "--accept-code")
    elsewhere.release()
    assert accepted(rounds(folder)[0]) is None
    hpo("evaluate", file, "--accept-code")


def test_a_round_that_is_told_of_new_code_twice_says_the_last(file: Path, folder: Path) -> None:
    hpo("run", file, "--inline")
    for scale, repeats in ((2, 1), (3, 2)):
        edit(scale)
        hpo("confirm", file, "--inline", "--top", 1, "--repeats", repeats, "--accept-code")
    (only,) = rounds(folder)
    assert only.data.tags["mlflow.note.content"].count("was accepted") == 2
    hpo("run", file, "--inline", "--rounds", 2)


def test_a_remark_is_never_what_makes_a_description_too_long() -> None:
    assert remarked("x" * 7300, ["y" * 7300]).count("x") == 7300
    assert len(remarked("x" * 7300, ["y" * 7300])) == NOTE_CHARACTERS
