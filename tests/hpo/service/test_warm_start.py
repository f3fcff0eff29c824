"""Trials of other studies inform a search, and are no trials of it."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpo.record.sources import FILE, from_text, to_text
from hpo.record.tracking import Tracking
from hpo.record.values import Recorded
from hpo.service.warm_start import gather
from hpo.study import read
from tests.fixtures import Command, Make, client_of, hpo, table, trainings
from tests.processes import start, wait_for

SPACE = {
    "learning_rate": {"low": 1e-4, "high": 1.0, "log": True},
    "weight_decay": {"low": 1e-8, "high": 1e-4, "log": True},
}


def study(make_study: Make, name: str = "toy", *sources: str, **changes: Any) -> Path:
    settings = {"search_space": SPACE, "round": {"trials": 12, "sampler": "tpe", "parallel": 2}}
    if sources:
        settings["warm_start"] = {"from": list(sources)}
    return make_study(name, **(settings | changes))


def recorded(name: str) -> Recorded:
    with closing(Tracking(f"sqlite:///{Path('mlflow.db').absolute()}")) as record:
        return record.study(name).read() or Recorded("")


def test_the_search_begins_where_another_one_ended_whatever_becomes_of_that(
    make_study: Make, folder: Path, command: Command, ray_address: str
) -> None:
    slowly = {"rounds": 2, "fixed": {"sleep": 0.2, "steady": True, "folder": str(folder)}}
    hpo("run", study(make_study, "old", **slowly), "--inline")
    hpo("export", "old", "other.csv")
    file = study(make_study, "toy", "old", "other.csv", **slowly)
    outcome = command("run", file, "--inline")
    assert outcome.code == 0
    assert "the search starts with 24 trials of 'old'\n" in outcome.out
    assert "24 trials of 'other.csv', of which only the ranking counts\n" in outcome.out
    rows = table()
    assert len(rows) == 24  # none of the others is one of this study
    hpo("run", study(make_study, "cold", **slowly), "--inline")
    assert table("cold") != rows
    (folder / "trained").unlink()
    # It goes on from the copy: the sources are gone, and so is what was named by the file.
    second = study(make_study, "again", "old", "other.csv", **slowly)
    process = start("run", second, "--ray-address", ray_address)
    wait_for(lambda: len(recorded("again").results) > 2, 60)
    process.kill()
    process.communicate()
    hpo("delete", "old", "--yes")
    hpo("delete", "--purge", "old", "--yes")
    Path("other.csv").unlink()
    outcome = command("run", second, "--ray-address", ray_address)
    assert outcome.code == 0, outcome.err
    assert table("again") == rows
    assert max(trainings(folder).values()) <= 2
    hpo("copy", "again", "copy")
    moves = [json.loads(command("narrow", n, "--json").out)["moves"] for n in ("again", "copy")]
    assert moves[0] == moves[1] == json.loads(command("narrow", file, "--json").out)["moves"]
    shown = json.loads(command("show", "again", "--json").out)
    assert [r["trials"] for r in shown["rounds"]] == [12, 12]
    assert shown["recommended"]["round"] in (1, 2)
    note = client_of(f"sqlite:///{Path('mlflow.db').absolute()}").get_run(
        recorded("again").rounds[0].run_id).data.tags["mlflow.note.content"]
    assert "The search started with 24 trials of 'old'." in note
    # Named too late, it has no effect.
    study(make_study, "again", "copy", **slowly)
    outcome = command("run", "again.toml", "--inline")
    said = "[warm_start] was read when round 1 started; changing it now has no effect"
    assert said in outcome.out


def test_a_copy_that_is_not_what_it_was_is_refused(
    make_study: Make, command: Command, folder: Path
) -> None:
    hpo("run", study(make_study, "old"), "--inline")
    file = study(make_study, "toy", "old")
    hpo("run", file, "--inline")
    before = table()
    run = recorded("toy").rounds[0].run_id
    (kept,) = folder.rglob(f"{run}/artifacts/{FILE}")
    text = kept.read_text()
    kept.write_text(text.replace('"complete"', '"diverged"', 1))
    for arguments in (("show", "toy"), ("narrow", "toy"), ("run", file, "--inline")):
        outcome = command(*arguments)
        assert outcome.code == 2
        assert f"{FILE} of round 1 ({run}) is not the one that the study started" in outcome.err
    kept.unlink()
    gone = f"{FILE} of round 1 ({run}), with the trials the study started from, is missing"
    assert gone in command("show", "toy").err
    kept.write_text(text)
    assert table() == before
    # A process that died before it had copied them begins anew: there is no trial yet.
    client = client_of(f"sqlite:///{Path('mlflow.db').absolute()}")
    for trial in client.search_runs([recorded("toy").experiment_id], "tags.kind = 'trial'"):
        client.set_tag(trial.info.run_id, "superseded", "true")
        client.delete_run(trial.info.run_id)
    client.update_run(run, status="RUNNING")
    kept.unlink()
    assert recorded("toy").is_half_begun
    hpo("run", file, "--inline")
    assert table() == before
    assert len(recorded("toy").sources[0].results) == 12


def test_trials_come_back_from_tables_and_studies_as_they_were(
    make_study: Make, folder: Path
) -> None:
    space = {
        "learning_rate": {"low": 1e-4, "high": 10.0, "log": True},
        "epochs": {"low": 1, "high": 9},
        "steady": {"choices": [True, False]},
        "weight_decay": {"choices": [0.0, 1e-6, 1e-4], "ordered": True,
                         "when": {"steady": True}},
    }
    hpo("run", study(make_study, "old", objective="toy:cliff", metric="loss",
                     direction="minimize", search_space=space, fixed={"sleep": 0.0}), "--inline")
    for name in ("old.csv", "old.json"):
        hpo("export", "old", name)
    file = study(make_study, "toy", "old", "old.csv", "old.json", objective="toy:cliff",
                 metric="loss", direction="minimize", search_space=space, fixed={"sleep": 0.0})
    known = recorded("old")
    sources = gather(read(file), lambda name: known if name == "old" else None, None)
    results = [r for r in known.results if r.state in ("complete", "diverged")]
    assert {r.state for r in results} == {"complete", "diverged"}
    for source in sources:
        assert source.is_comparable is (source.name == "old")
        digits = 14 if source.name.endswith(".json") else 17  # as its numbers have
        for found, result in zip(source.results, results, strict=True):
            assert found.trial.hyperparameters == result.trial.hyperparameters
            assert found.state == result.state
            if result.value is not None:
                assert found.value == pytest.approx(result.value, rel=10.0**-digits, abs=0)
        assert {r.trial.round for r in source.results} == {0}
    text = to_text(sources, "loss")
    again = from_text(text, "loss")
    assert to_text(again, "loss") == text
    ids = [r.trial.id for source in again for r in source.results]
    assert len(set(ids)) == len(ids)


def test_what_is_taken_is_in_the_ranges_with_all_that_is_searched(
    make_study: Make, command: Command
) -> None:
    hpo("run", study(make_study, "old"), "--inline")
    known = recorded("old")

    def taken(**changes: Any) -> Any:
        file = study(make_study, "toy", "old", **changes)
        (source,) = gather(read(file), lambda _: known, None)
        return source

    narrow = {**SPACE, "learning_rate": {"low": 1e-2, "high": 1.0, "log": True}}
    source = taken(search_space=narrow)
    inside = [r for r in known.results if r.trial.hyperparameters["learning_rate"] >= 1e-2]
    assert len(source.results) == len(inside) < 12
    assert source.left_out == (("outside the ranges", 12 - len(inside)),)
    assert source.is_comparable
    more = {**SPACE, "epochs": {"low": 1, "high": 9, "backfill": 5}}
    assert {r.trial.hyperparameters["epochs"] for r in taken(search_space=more).results} == {5}
    less = {"learning_rate": SPACE["learning_rate"]}
    assert not taken(search_space=less, fixed={"weight_decay": 1e-6}).is_comparable
    assert not taken(fixed={"epochs": 7}).is_comparable
    assert not taken(value="best").is_comparable
    assert taken(seed=5).is_comparable
    # What the other study had fixed it says by itself.
    hpo("run", study(make_study, "fixed", fixed={"epochs": 3}), "--inline")
    known = recorded("fixed")
    source = taken(search_space={**SPACE, "epochs": {"low": 1, "high": 9}})
    assert {r.trial.hyperparameters["epochs"] for r in source.results} == {3}
    assert source.is_comparable


def test_a_sampler_that_does_not_learn_says_so(make_study: Make, command: Command) -> None:
    hpo("run", study(make_study, "old"), "--inline")
    file = study(make_study, "toy", "old", round={"trials": 2, "sampler": "random"})
    outcome = command("run", file, "--inline")
    assert "the sampler random does not learn from earlier trials, so only narrowing" in outcome.out
    moves = json.loads(command("narrow", "toy", "--json").out)["moves"]
    assert not any("only 2 trials" in move["reason"] for move in moves)


@pytest.mark.parametrize(
    ("sources", "changes", "said"),
    [
        (["toy"], {}, "'toy' is this study itself; choose another"),
        (["none"], {}, "this record has no study 'none' with a round; choose one that"),
        (["none.csv"], {}, "there is no file none.csv; use one beside the study file"),
        (["old", "bad.csv"], {}, "bad.csv has no column 'state'; use a table that `hpo export`"),
        (["bad.json"], {}, "bad.json cannot be read"),
        (["old"], {"metric": "loss", "direction": "minimize"}, "'old' maximizes accuracy, "
         "but this study minimizes loss; choose one with the same goal"),
        (["other.csv"], {}, "other.csv has no column 'accuracy'; use a table that"),
        (["old"], {"search_space": {**SPACE, "epochs": {"low": 1, "high": 9}}}, "'old' does not "
         "have the value of epochs for its trials; set search_space.epochs.backfill, or choose"),
        (["old"], {"search_space": {**SPACE, "learning_rate": {"low": 5.0, "high": 9.0}}},
         "'old' has no trial that is useful in these ranges (12 outside the ranges); "
         "remove it, or choose another"),
        (["uneven.json"], {}, "'uneven.json' has no trial that is useful in these ranges (1 "
         "without a value and 1 outside the ranges)"),
        (["empty.csv"], {}, "'empty.csv' has no trial that is useful in these ranges"),
    ],
)
def test_what_cannot_be_used_is_said_before_anything_is_recorded(
    make_study: Make, command: Command, folder: Path, sources: list[str],
    changes: dict[str, Any], said: str,
) -> None:
    hpo("run", study(make_study, "old"), "--inline")
    hpo("export", "old", "old.csv")
    Path("bad.csv").write_text("a,b\n1,2\n")
    Path("bad.json").write_text("{")
    Path("empty.csv").write_text("round,number,state,value,accuracy,learning_rate\n")
    Path("uneven.json").write_text(json.dumps([
        {"state": "complete", "value": 1, "accuracy": 1, "learning_rate": 9, "weight_decay": 1},
        {"learning_rate": 1},
    ]))
    Path("other.csv").write_text("round,number,state,value,loss,learning_rate\n1,1,complete,1,1,1")
    file = study(make_study, "toy", *sources, **changes)
    outcome = command("run", file, "--inline")
    assert outcome.code == 2
    index = len(sources) - 1
    assert outcome.err.startswith(f"hpo: {file}: warm_start.from[{index}]: {said}")
    assert len(outcome.err.splitlines()) == 1
    assert recorded("toy").rounds == ()
    if sources[-1].endswith((".csv", ".json")):
        assert command("check", file).err == outcome.err


@pytest.mark.parametrize("scale", [1.0, 50.0], ids=["one scale", "another scale"])
def test_the_first_trials_are_where_the_best_ones_were(make_study: Make, scale: float) -> None:
    """A hill whose top is at a learning rate of 0.1; on other data all its values are others."""
    rows = ["round,number,state,value,accuracy,learning_rate,weight_decay"]
    generator = np.random.default_rng(0)
    for number in range(1, 41):
        rate = float(10 ** generator.uniform(-4, 0))
        value = scale * (1 - 0.05 * (np.log10(rate) + 1) ** 2) - scale
        rows.append(f"1,{number},complete,{value},{value},{rate},1e-6")
    Path("old.csv").write_text("\n".join(rows) + "\n")
    hpo("run", study(make_study, "toy", "old.csv"), "--inline")
    hpo("run", study(make_study, "cold"), "--inline")
    away = {
        name: np.mean([abs(np.log10(float(row["learning_rate"])) + 1) for row in table(name)[::2]])
        for name in ("toy", "cold")  # every second trial is proposed without the others
    }
    assert away["toy"] < 0.6 * away["cold"]
