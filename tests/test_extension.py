"""The best trials of a study are trained for more epochs, from where they ended."""

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from hpo.api import lookup
from hpo.data.loading import load
from hpo.record.models import last_model
from hpo.study import read
from tests.fixtures import Command, Make, client_of, hpo, table
from tests.processes import start, wait_for
from tests.test_checkpoints import TRAIN, kept_epochs, study, trained
from tests.test_steering import recorded

__all__ = ["study"]  # a fixture
KEPT = {"every": 0, "storage": "storage", "keep": 2}


def extended() -> list[dict[str, str]]:
    """Return the rows of an exported table that are about longer training."""
    return [row for row in table("toy", "--extensions") if row["extended_to"] != "0"]


def shown(command: Command) -> dict[str, Any]:
    """Return what `hpo show --json` says."""
    told: dict[str, Any] = json.loads(command("show", "toy", "--json").out)
    return told


def copies() -> set[str]:
    """Return what copies there are of whole trials."""
    return {path.parent.name for path in Path("storage").rglob("*.json")}


def test_only_added_epochs_are_trained_and_they_are_those_of_a_longer_search(
    study: Make, folder: Path, command: Command
) -> None:
    hpo("run", study(fixed={"epochs": 30}), "--inline", "--set", "name=longer")
    longer = {row["number"]: row for row in table("longer")}
    trained()
    file = study(checkpoints=KEPT)
    hpo("run", file, "--inline")
    before = table()
    best = sorted(before, key=lambda row: float(row["loss"]))[:2]
    assert copies() == {f"1-{row['number']}" for row in best}
    trained()
    outcome = command("extend", file, "--top", "2", "--epochs", "30", "--inline")
    assert outcome.code == 0
    assert trained().total() == 2 * 10
    assert table() == before  # the search knows nothing of it
    rows = {row["number"]: row for row in extended()}
    assert rows.keys() == {row["number"] for row in best}
    for number, row in rows.items():
        assert (row["epochs"], row["epoch"], row["extended_to"]) == ("30", "30", "30")
        assert row["loss"] == longer[number]["loss"]
        assert "resumed after epoch 20" in row["message"]
    # The same command has nothing to do, and a longer one goes on from there.
    outcome = command("extend", file, "--top", "2", "--epochs", "30", "--inline")
    assert "all extensions are done, nothing to run" in outcome.out
    assert not Path("trained").exists()
    hpo("extend", file, "--top", 1, "--epochs", 34, "--inline")
    assert trained().total() == 4
    assert sorted(int(row["extended_to"]) for row in extended()) == [30, 30, 34]
    # Of each trial the longest copy stays, and those of the search.
    first, second = (row["number"] for row in best)
    assert copies() == {
        f"1-{first}", f"1-{second}", f"1-{first}-extended-to-34", f"1-{second}-extended-to-30"
    }
    # A sum grows, so what is longer is worse here, and nothing goes by it.
    assert shown(command)["recommended"]["number"] == int(first)
    assert "extended_to" not in shown(command)["recommended"]


def test_what_is_better_for_more_epochs_is_what_commands_go_by(
    study: Make, folder: Path, command: Command
) -> None:
    file = study(checkpoints=KEPT, direction="maximize")
    hpo("run", file, "--inline")
    best = max(table(), key=lambda row: float(row["loss"]))
    hpo("extend", file, "--top", 2, "--epochs", 25, "--inline")
    rows = sorted(extended(), key=lambda row: float(row["loss"]), reverse=True)
    told = shown(command)
    assert len(told["extensions"]) == 2
    assert all(each["is_better"] and each["epochs"] == 20 for each in told["extensions"])
    recommended = told["recommended"]
    assert str(recommended["number"]) == rows[0]["number"]
    assert (recommended["extended_to"], recommended["extended_value"]) == (
        25, float(rows[0]["loss"])
    )
    said = f"trial {rows[0]['number']} of round 1, extended to epoch 25"
    assert said in command("show", "toy").out
    lines = command("best", "toy", "--toml").out.splitlines()
    assert lines[-1] == "epochs = 25"
    assert command("best", "toy").out.startswith(f"{said}: loss ")
    assert str(json.loads(command("best", "toy", "--observed", "--json").out)["number"]) == (
        best["number"]
    )
    (listed,) = json.loads(command("list", "--json").out)
    assert listed["state"] == "extended"
    # Each leads to the trial that it continues.
    client = client_of(f"sqlite:///{folder}/mlflow.db")
    for result in recorded().extensions:
        (run,) = client.search_runs(
            [recorded().experiment_id], f"tags.kind = 'extended' and tags.number = "
            f"'{result.trial.number}'"
        )
        trial = recorded().runs[result.trial.original]
        assert f"/runs/{trial}" in run.data.tags["mlflow.note.content"]
        assert run.data.metrics["loss"] == result.value
        assert len(client.get_metric_history(run.info.run_id, "loss")) == 25
    # A copy of the study has them, too.
    hpo("copy", "toy", "again")
    again = [r for r in table("again", "--extensions") if r["extended_to"] != "0"]
    assert again == sorted(rows, key=lambda row: int(row["number"]))


def test_lost_workers_and_a_lost_service_cost_no_more_than_in_the_search(
    study: Make, folder: Path, ray_address: str
) -> None:
    file = study(checkpoints=KEPT, fixed={"sleep": 0.05})
    hpo("run", file, "--inline")
    trained()
    (folder / "deaths" / "24-a").touch()
    process = start("extend", file, "--top", "1", "--epochs", "60", "--inline")
    process.communicate(timeout=60)  # it has killed itself
    assert trained().total() == 4
    process = start("extend", file, "--top", "1", "--epochs", "60", "--inline")
    wait_for(lambda: kept_epochs() > 27, 60)
    process.kill()
    process.communicate()
    for death in ("50-a", "50-b", "55-a"):
        (folder / "deaths" / death).touch()
    hpo("extend", file, "--top", 1, "--epochs", 60, "--ray-address", ray_address)
    (row,) = extended()
    assert (row["state"], row["epochs"]) == ("complete", "60")
    assert row["message"].startswith("resumed after epoch 20;")  # whatever died meanwhile
    assert trained().total() <= 37 + 1 + 3
    hpo("run", study(fixed={"epochs": 60}), "--inline", "--set", "name=longer")
    longer = {each["number"]: each["loss"] for each in table("longer")}
    assert row["loss"] == longer[row["number"]]


def test_what_was_not_kept_is_trained_anew_and_that_is_said(
    study: Make, folder: Path, command: Command
) -> None:
    file = study(checkpoints={**KEPT, "keep": 1})
    hpo("run", file, "--inline")
    assert len(copies()) == 1
    trained()
    outcome = command("extend", file, "--top", "2", "--epochs", "22", "--inline")
    assert "is trained again from epoch 1: no copy of its folder made with this" in outcome.out
    assert trained().total() == 2 + 22
    assert {row["message"].split(";")[0] for row in extended()} == {
        "resumed after epoch 20", "trained from scratch"
    }
    shutil.rmtree("storage")
    file.write_text(re.sub(r"\[checkpoints\]\n(\w+ = .*\n)*", "", file.read_text()))
    hpo("run", file, "--inline", "--set", "name=bare")
    trained()
    outcome = command(
        "extend", file, "--set", "name=bare", "--top", "1", "--epochs", "22", "--inline"
    )
    assert "without a table [checkpoints], no copy of it is kept" in outcome.out
    assert trained().total() == 22
    assert not Path("storage").exists()


def test_no_copy_stays_that_is_of_no_use(study: Make, folder: Path) -> None:
    file = study(checkpoints=KEPT, fixed={"sleep": 0.05})
    process = start("run", file, "--inline")
    wait_for(lambda: len(recorded().results) == 3, 60)
    process.kill()
    process.communicate()
    left = Path("storage") / os.listdir("storage")[0]
    shutil.copytree(left / "1-1", left / "1-2", dirs_exist_ok=True)  # as if killed before removal
    shutil.copytree(left / "1-1", left / "1-3", dirs_exist_ok=True)
    shutil.copytree(left / "1-1", left / "9-9", dirs_exist_ok=True)
    hpo("run", file, "--inline")
    best = sorted(table(), key=lambda row: float(row["loss"]))[:2]
    assert copies() == {f"1-{row['number']}" for row in best}


def test_an_objective_that_does_not_go_on_from_its_folder_is_trained_anew(
    study: Make, folder: Path
) -> None:
    text = TRAIN.replace('if (folder / "state").exists()', "if False")
    (folder / "kept.py").write_text(text)
    file = study(checkpoints=KEPT)
    hpo("run", file, "--inline")
    trained()
    hpo("extend", file, "--top", 1, "--epochs", 30, "--inline")
    (row,) = extended()
    assert (row["epochs"], row["message"]) == ("30", "trained from scratch")
    hpo("run", study(fixed={"epochs": 30}), "--inline", "--set", "name=longer")
    longer = {each["number"]: each["loss"] for each in table("longer")}
    assert row["loss"] == longer[row["number"]]


def test_an_extension_that_failed_is_tried_again(
    study: Make, folder: Path, command: Command
) -> None:
    text = TRAIN.replace("        time.sleep(sleep)\n", "        time.sleep(sleep)\n"
                         "        if epoch == 23 and os.path.exists('broken'):\n"
                         "            print('about to break')\n"
                         "            raise OSError('the disk is gone')\n")
    (folder / "kept.py").write_text(text)
    file = study(checkpoints=KEPT)
    hpo("run", file, "--inline")
    (folder / "broken").touch()
    outcome = command("extend", file, "--top", "1", "--epochs", "25", "--inline")
    (row,) = extended()
    assert (outcome.code, row["state"]) == (0, "failed")
    assert f"trial {row['number']} of round 1, extended to epoch 25 failed:" in outcome.out
    assert "OSError: the disk is gone" in outcome.out
    assert "OSError: the disk is gone" in command("show", "toy").out
    assert command("logs", "toy", f"1/{row['number']}", "--epochs", "25").out == "about to break\n"
    (folder / "broken").unlink()
    trained()
    hpo("extend", file, "--top", 1, "--epochs", 25, "--inline")
    (row,) = extended()
    assert (row["state"], row["epochs"]) == ("complete", "25")
    assert trained().total() in (3, 5)  # from the copy of epoch 22, or of 20


def test_what_followed_trials_that_are_gone_is_gone(
    study: Make, folder: Path, command: Command
) -> None:
    file = study(checkpoints=KEPT)
    hpo("run", file, "--inline")
    hpo("extend", file, "--top", 1, "--epochs", 25, "--inline")
    hpo("confirm", file, "--top", 1, "--repeats", 1, "--inline")
    assert (len(recorded().extensions), len(recorded().repeats)) == (1, 1)
    client = client_of(f"sqlite:///{folder}/mlflow.db")
    client.delete_run(recorded().rounds[0].run_id)
    hpo("run", file, "--inline")  # the same trials, but others
    assert (len(recorded().extensions), len(recorded().repeats)) == (0, 0)
    hpo("extend", file, "--top", 1, "--epochs", 25, "--inline")
    assert len(recorded().extensions) == 1


def test_a_damaged_copy_is_said_before_it_costs_anything(
    study: Make, folder: Path, command: Command
) -> None:
    file = study(checkpoints={**KEPT, "keep": 1})
    hpo("run", file, "--inline")
    hpo("extend", file, "--top", 1, "--epochs", 25, "--inline")
    (longer,) = Path("storage").rglob("*-extended-to-25/25.*/state")
    longer.write_text("[25, 1.0]")
    outcome = command("evaluate", file, "--kept", "--again")
    assert outcome.code == 2  # without a table [data], and nothing that judges
    outcome = command("extend", file, "--top", "1", "--epochs", "30", "--inline")
    assert "continues after epoch 20: the copy of epoch 25 is damaged" in outcome.out
    for state in Path("storage").rglob("state"):
        state.write_text("[1, 1.0]")
    outcome = command("extend", file, "--top", "1", "--epochs", "40", "--inline")
    assert "is trained again from epoch 1: the copy of its folder is damaged" in outcome.out
    assert "extended to epoch" not in outcome.out


@pytest.mark.parametrize(
    ("changes", "options", "said"),
    [
        ({}, ("--epochs", "20"), "--epochs: the best 3 trials were trained for 20 epochs; "
                                 "choose more than that"),
        ({}, ("--epochs", "30", "--top", "9"), "toy has 4 complete trials, fewer than 9"),
        ({"trial": {"seeds": 2}}, ("--epochs", "30"),
         "trial.seeds: a trial consists of 2 trainings, but hpo extend can continue only one"),
    ],
)
def test_what_cannot_be_extended_is_said(
    study: Make, command: Command, changes: dict[str, Any], options: tuple[str, ...], said: str
) -> None:
    file = study(checkpoints=KEPT, **changes)
    hpo("run", file, "--inline")
    outcome = command("extend", file, *options, "--inline")
    assert outcome.code == 2
    assert said in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_an_objective_that_does_not_say_how_long_it_trains_is_not_extended(
    make_study: Make, folder: Path, command: Command
) -> None:
    (folder / "endless.py").write_text("def train(rate: float):\n    yield {'loss': rate}\n")
    file = make_study(objective="endless:train", metric="loss", direction="minimize",
                      search_space={"rate": {"low": 0.0, "high": 1.0}})
    hpo("run", file, "--inline")
    outcome = command("extend", file, "--epochs", "30", "--inline")
    assert outcome.code == 2
    assert outcome.err.endswith(
        "endless:train accepts no hyperparameter `epochs`, which sets how long it trains; add "
        "one\n"
    )


DIGITS = {
    "objective": "trainer.objectives:perceptron", "metric": "validation_accuracy",
    "direction": "maximize", "data": {"source": "digits"},
    "search_space": {"learning_rate": {"low": 1e-3, "high": 1e-1, "log": True}},
    "round": {"trials": 2, "sampler": "random", "parallel": 1},
    "checkpoints": {"every": 60, "storage": "storage"},
}


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_the_trainer_goes_on_to_the_bit_and_says_of_a_schedule_that_it_is_another(
    make_study: Make, schedule: str
) -> None:
    fixed = {"hidden_sizes": [20], "optimizer": "adam", "dropout_rate": 0.2, "schedule": schedule,
             "batch_normalization": "before"}
    hpo("run", make_study(**DIGITS, fixed={**fixed, "epochs": 9}), "--inline", "--set",
        "name=longer")
    file = make_study(**DIGITS, fixed={**fixed, "epochs": 4})
    hpo("run", file, "--inline")
    hpo("extend", file, "--top", 2, "--epochs", 9, "--inline")
    record = lookup.existing_record("sqlite:///mlflow.db")
    longer = record.study("longer").read()
    assert longer is not None
    scratch = {r.trial.number: r for r in longer.results}
    results = recorded().extensions
    assert len(results) == 2
    for result in results:
        same = scratch[result.trial.number].curve("validation_accuracy")
        assert len(same) == 9
        curve = result.curve("validation_accuracy")
        if schedule == "constant":
            assert curve == same
            assert result.message == "resumed after epoch 4"
        else:
            assert curve[1:4] != same[1:4]
            assert "its schedule spans all epochs, so the result differs" in result.message


def test_kept_weights_are_scored_as_they_were_validated(
    make_study: Make, folder: Path, command: Command
) -> None:
    file = make_study(**DIGITS, fixed={"hidden_sizes": [20], "epochs": 5})
    hpo("run", file, "--inline")
    hpo("extend", file, "--top", 1, "--epochs", 12, "--inline")
    outcome = command("evaluate", file, "--kept", "--json")
    assert outcome.code == 0, outcome.err
    told = json.loads(outcome.out)
    (member,) = told["members"]
    assert (told["kept"], member["extended_to"], member["epochs"]) == (True, 12, 12)
    (result,) = recorded().extensions
    assert member["value"] == result.value
    # The model that is kept has the very accuracy on the validation rows that was recorded.
    parsed = read(file)
    assert parsed.data is not None
    split = load(parsed.data, seed=parsed.seed, folder=folder)
    validation = split.data.validation
    assert validation is not None
    record = lookup.existing_record("sqlite:///mlflow.db")
    model = last_model(record.study("toy"))
    outputs = model.outputs(validation.inputs)
    assert (outputs.argmax(axis=1) == validation.targets).mean() == result.value
    again = json.loads(command("evaluate", file, "--again", "--json").out)
    assert (again["kept"], again["members"][0]["epochs"]) == (False, 12)
    shutil.rmtree("storage")
    outcome = command("evaluate", file, "--kept", "--again")
    assert (outcome.code, "--kept: there is no checkpoint of trial" in outcome.err) == (2, True)
    outcome = command("evaluate", file, "--again", "--kept", "--set", "checkpoints.every=60",
                      "--set", "value=\"best\"")
    assert outcome.code == 2


def test_a_value_of_an_earlier_epoch_is_not_that_of_kept_weights(
    make_study: Make, command: Command
) -> None:
    fixed = {"hidden_sizes": [20], "epochs": 60, "optimizer": "adam"}
    file = make_study(**DIGITS, value="best", fixed=fixed)
    hpo("run", file, "--inline")
    best = min(recorded().results, key=lambda r: -(r.value or 0.0))
    assert best.epoch is not None
    assert best.epoch < 60
    outcome = command("evaluate", file, "--kept")
    assert outcome.code == 2
    said = f"is that of epoch {best.epoch}, but the last complete checkpoint is of epoch 60; drop "
    assert f"{said}--kept to retrain it" in outcome.err


def test_an_objective_that_judges_is_given_what_was_kept(
    study: Make, folder: Path, command: Command
) -> None:
    text = TRAIN + "    return total\n\ntrain.evaluate = lambda total: {'test_total': total}\n"
    text = text.replace("if (folder", "if not os.path.exists('forgetful') and (folder")
    (folder / "kept.py").write_text(text)
    file = study(checkpoints=KEPT)
    hpo("run", file, "--inline")
    trained()
    told = json.loads(command("evaluate", file, "--kept", "--json").out)
    assert (told["kept"], told["epochs"]) == (True, 20)
    best = min(recorded().results, key=lambda r: r.value or 0.0)
    assert told["metrics"]["test_total"] == best.value
    assert not Path("trained").exists()
    # One that begins anew whatever lies in its folder is found out.
    (folder / "forgetful").touch()
    outcome = command("evaluate", file, "--kept", "--again")
    assert outcome.code == 2
    assert outcome.err.startswith(
        f"hpo: --kept: kept:train trains {best.trial.id} although all its epochs are "
    )
