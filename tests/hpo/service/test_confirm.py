"""The best trials are trained again, counted apart from the search, and ranked by mean."""

import json
import math
import signal
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from hpo import evaluation, study, wording
from hpo.data import loading as data
from hpo.data.settings import DataSettings
from hpo.errors import InputError
from hpo.record.tracking import Tracking
from hpo.search import confirmation
from hpo.trial import trial_seed
from tests.deaths import die_at
from tests.fixtures import Make, client_of, hpo, table, trainings
from tests.processes import start, wait_for

if TYPE_CHECKING:
    from mlflow.entities import Run


Capture = pytest.CaptureFixture[str]


def confirm(capsys: Capture, file: Path, *options: object) -> dict[str, Any]:
    capsys.readouterr()
    hpo("confirm", file, "--inline", "--json", *options)
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    return report


def printed(capsys: Capture, *arguments: object) -> str:
    capsys.readouterr()
    hpo(*arguments)
    return capsys.readouterr().out


def runs(folder: Path, kind: str, study: str = "toy") -> "list[Run]":
    client = client_of(f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name(study)
    found: list[Run] = client.search_runs([experiment.experiment_id], f"tags.kind = '{kind}'")
    return found


def best(study: str = "toy", count: int = 5) -> list[tuple[int, int]]:
    rows = sorted(table(study), key=lambda row: -float(row["value"] or "-inf"))
    return [(int(row["round"]), int(row["number"])) for row in rows[:count]]


def test_the_best_are_trained_again_with_seeds_of_their_own(
    make_study: Make, folder: Path, capsys: Capture
) -> None:
    file = make_study(fixed={"folder": str(folder)}, round={"pruner": "median"})
    hpo("run", file, "--inline")
    before = table()
    chosen = best(count=4)
    report = confirm(capsys, file, "--top", 4, "--repeats", 3)
    assert {(t["round"], t["number"]) for t in report["trials"]} == set(chosen)
    assert sum(trainings(folder).values()) == 12 + 4 * 3
    assert set(trainings(folder).values()) == {1}  # no seed twice
    nested = runs(folder, "repeat")
    assert len(nested) == 12
    (above,) = runs(folder, "confirmation")
    by_identity = {(row["round"], row["number"]): row for row in before}
    for run in nested:
        tags = run.data.tags
        assert tags["mlflow.parentRunId"] == above.info.run_id
        identity = int(tags["round"]), int(tags["number"]), int(tags["repeat"])
        assert int(tags["seed"]) == trial_seed(0, *identity)
        assert tags["state"] == "complete"
        searched = by_identity[tags["round"], tags["number"]]
        assert float(run.data.params["learning_rate"]) == float(searched["learning_rate"])
    for trial in report["trials"]:
        values = [
            float(r.data.tags["value"]) for r in nested
            if (int(r.data.tags["round"]), int(r.data.tags["number"]))
            == (trial["round"], trial["number"])
        ]
        assert trial["mean"] == pytest.approx(np.mean(values))
        assert trial["standard_error"] == pytest.approx(np.std(values, ddof=1) / math.sqrt(3))
        found = by_identity[str(trial["round"]), str(trial["number"])]
        assert trial["value"] == float(found["value"])
    means = [trial["mean"] for trial in report["trials"]]
    assert means == sorted(means, reverse=True)
    assert table() == before  # the repeats are no trials
    assert "| place | round | trial |" in above.data.tags["mlflow.note.content"]
    assert (above.info.status, above.info.run_name) == ("FINISHED", "confirmation")
    first = report["trials"][0]
    confirmed = {key: first[key] for key in ("mean", "standard_error")}
    assert above.data.metrics == pytest.approx(confirmed)


def test_the_same_again_does_nothing_and_more_adds_what_is_missing(
    make_study: Make, folder: Path, capsys: Capture
) -> None:
    file = make_study(fixed={"folder": str(folder)})
    hpo("run", file, "--inline")
    first = confirm(capsys, file, "--top", 2, "--repeats", 2)
    assert sum(trainings(folder).values()) == 12 + 4
    assert confirm(capsys, file, "--top", 2, "--repeats", 2) == first
    assert "nothing to run" in printed(
        capsys, "confirm", file, "--inline", "--top", 2, "--repeats", 2
    )
    assert sum(trainings(folder).values()) == 12 + 4
    confirm(capsys, file, "--top", 3, "--repeats", 3)
    assert sum(trainings(folder).values()) == 12 + 9
    assert set(trainings(folder).values()) == {1}
    client = client_of(f"sqlite:///{folder}/mlflow.db")
    client.delete_run(runs(folder, "repeat")[0].info.run_id)  # counts no more: it is trained again
    confirm(capsys, file, "--top", 3, "--repeats", 3)
    assert sum(trainings(folder).values()) == 12 + 10
    assert len(runs(folder, "confirmation")) == 1
    client.delete_run(runs(folder, "confirmation")[0].info.run_id)
    assert "mean" not in printed(capsys, "show", "toy")


def test_killed_it_goes_on_with_what_is_missing(
    make_study: Make, folder: Path, capsys: Capture
) -> None:
    changes = {"fixed": {"folder": str(folder), "sleep": 0.3, "steady": True},
               "round": {"trials": 5}}
    hpo("run", make_study("undisturbed", round={"trials": 5}), "--inline")
    expected = confirm(capsys, folder / "undisturbed.toml", "--top", 3)
    file = make_study(**changes)
    hpo("run", file, "--inline")
    process = start("confirm", file, "--inline", "--top", 3)
    wait_for(lambda: len(trainings(folder)) >= 5 + 3)
    process.kill()
    process.communicate()
    killed_after = sum(trainings(folder).values())
    assert killed_after < 5 + 9
    report = confirm(capsys, file, "--top", 3)
    assert report["trials"] == expected["trials"]
    again = Counter(trainings(folder).values())
    assert again[1] >= 13  # only the one that ran can be trained twice
    assert sum(trainings(folder).values()) <= 15
    assert len(runs(folder, "repeat")) == 9


@pytest.mark.parametrize(
    ("method", "left", "moment"),
    [("create_run", 1, "after"), ("create_run", 3, "after"), ("log_batch", 2, "before"),
     ("set_terminated", 2, "after")],
)
def test_killed_inside_a_write_it_loses_and_repeats_nothing(
    make_study: Make, folder: Path, capsys: Capture, method: str, left: int, moment: str
) -> None:
    file = make_study(fixed={"folder": str(folder)}, round={"trials": 3})
    hpo("run", file, "--inline")
    options = ["confirm", str(file), "--inline", "--top", "2", "--repeats", "2"]
    process = start(*options, first=partial(die_at, method, left, after=moment == "after"))
    output, _ = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, output
    report = confirm(capsys, file, "--top", 2, "--repeats", 2)
    assert [len(trial["values"]) for trial in report["trials"]] == [2, 2]
    assert len(runs(folder, "repeat")) == 4
    assert len(runs(folder, "confirmation")) == 1
    assert 7 <= sum(trainings(folder).values()) <= 8


def test_it_claims_the_study(make_study: Make, folder: Path) -> None:
    (folder / "held.py").write_text(
        "import time\nfrom pathlib import Path\nfrom toy import Toy, quadratic\n\n"
        "def train(hyperparameters: Toy, data=None, *, seed):\n"
        "    yield from quadratic(hyperparameters, data, seed=seed)\n"
        "    while Path('hold').exists():\n"
        "        time.sleep(0.01)\n\n"
        "train.metrics = ('accuracy', 'loss')\n"
    )
    file = make_study(
        objective="held:train", fixed={"folder": str(folder)}, round={"trials": 2}
    )
    hpo("run", file, "--inline")
    (folder / "hold").touch()
    process = start("confirm", file, "--inline")
    try:
        wait_for(lambda: len(trainings(folder)) >= 3)
        (folder / "elsewhere").mkdir()
        other = start(
            "run", file, "--inline", "--rounds", 2, "--tracking-uri",
            f"sqlite:///{folder}/mlflow.db", cwd=folder / "elsewhere",
        )
        output, _ = other.communicate(timeout=60)
        refused = "is running this study; wait for it" in output
        assert (other.returncode, refused) == (2, True), output
    finally:
        process.kill()
        process.communicate()
    (folder / "hold").unlink()
    hpo("confirm", file, "--inline")  # the one that had it is gone
    (above,) = runs(folder, "round")
    claims = [int(name.split()[1]) for name in above.data.params if name.startswith("owner ")]
    assert above.data.tags["released"] == str(max(claims))


def test_the_sampler_does_not_see_it_and_rounds_do_not_count_it(
    make_study: Make, folder: Path, capsys: Capture
) -> None:
    rounds = {"rounds": 1, "round": {"trials": 10, "sampler": "tpe"}}
    for name in ("with", "without"):
        file = make_study(name, **rounds)
        hpo("run", file, "--inline")
        if name == "with":
            confirm(capsys, file)
        assert len(runs(folder, "round", name)) == 1
        hpo("run", file, "--inline", "--rounds", 2, "--keep-ranges")
    assert table("with") == table("without")
    assert len(table("with")) == 20


def test_show_narrow_and_evaluate_use_the_means(
    make_study: Make, folder: Path, capsys: Capture
) -> None:
    file = make_study(seed=3)
    hpo("run", file, "--inline")
    searched = json.loads(printed(capsys, "show", "toy", "--json"))
    before = json.loads(printed(capsys, "narrow", "toy", "--json"))
    report = confirm(capsys, file, "--repeats", 2)
    shown = json.loads(printed(capsys, "show", "toy", "--json"))
    top = report["trials"][0]
    assert shown["best"] == {
        "round": top["round"], "number": top["number"], "value": top["mean"],
        "hyperparameters": top["hyperparameters"],
    }
    assert shown["rounds"] == searched["rounds"]
    lines = [line.split() for line in printed(capsys, "show", "toy").splitlines()]
    heading = next(i for i, line in enumerate(lines) if "mean" in line)
    assert lines[heading][:6] == ["round", "trial", "accuracy", "mean", "std", "error"]
    pairs = wording.column([t[key] for t in report["trials"] for key in ("mean", "standard_error")])
    for i, (line, trial) in enumerate(zip(lines[heading + 1 :][:5], report["trials"], strict=True)):
        assert line[:2] == [str(trial["round"]), str(trial["number"])]
        assert float(line[2]) == pytest.approx(trial["value"], rel=5e-4)
        assert line[3:5] == pairs[2 * i : 2 * i + 2]
    assert (len(lines[heading + 5]), len(lines[heading + 6])) == (8, 6)  # no mean
    after = json.loads(printed(capsys, "narrow", "toy", "--json"))
    assert before["moves"] != after["moves"]
    recorded = Tracking(f"sqlite:///{folder}/mlflow.db").study("toy").read()
    assert recorded is not None
    assert len(recorded.results) == 12
    assert len(recorded.repeats) == 10
    ranked = confirmation.ranked(recorded.results, recorded.repeats, "maximize")
    assert [r.trial.number for r in ranked[:5]] == [t["number"] for t in report["trials"]]
    assert [r.value for r in ranked[:5]] == [t["mean"] for t in report["trials"]]
    assert len(ranked) == 12
    chosen = evaluation.best(study.read(file), recorded, 2)
    assert [r.trial.number for r in chosen] == [t["number"] for t in report["trials"][:2]]
    assert [r.epochs for r in chosen] == [5, 5]


def test_a_table_in_the_study_file_confirms_after_the_last_round(
    make_study: Make, folder: Path, capsys: Capture
) -> None:
    file = make_study(rounds=2, confirm={"top": 2, "repeats": 2}, fixed={"folder": str(folder)})
    output = printed(capsys, "run", file, "--inline")
    assert "confirmation: 4 of 4 repeats" in output
    assert "mean" in output
    assert sum(trainings(folder).values()) == 24 + 4
    assert len(runs(folder, "round")) == 2
    assert "nothing to run" in printed(capsys, "run", file, "--inline")
    assert sum(trainings(folder).values()) == 24 + 4
    report = confirm(capsys, file)  # the table has the defaults
    assert (report["top"], report["repeats"], report["resplit"]) == (2, 2, False)
    assert sum(trainings(folder).values()) == 24 + 4
    with pytest.raises(InputError, match=r"confirm.repeat: unknown key; did you mean 'repeats'"):
        hpo("check", make_study("wrong", confirm={"repeat": 2}))


def test_a_new_best_is_named_until_it_is_confirmed(
    make_study: Make, folder: Path, capsys: Capture
) -> None:
    file = make_study(
        search_space={"learning_rate": {"low": 1e-4, "high": 1e-3, "log": True}}
    )
    hpo("run", file, "--inline")
    confirm(capsys, file, "--top", 2)
    assert "not confirmed yet" not in printed(capsys, "show", "toy")
    hpo("run", file, "--inline", "--rounds", 2, "--range", "learning_rate=5e-2:2e-1")
    ((_, number),) = best(count=1)
    assert f"from trial {number} of round 2, which is not confirmed yet" in printed(
        capsys, "show", "toy"
    )
    assert confirm(capsys, file, "--top", 2)["trials"][0]["round"] == 2
    assert "not confirmed yet" not in printed(capsys, "show", "toy")


def test_workers_of_ray_give_the_same(
    make_study: Make, folder: Path, capsys: Capture, near_ray: str
) -> None:
    (folder / "seen.py").write_text(SEEN, encoding="utf-8")
    reports = []
    for name, how, kinds in (
        ("inline", ["--inline"], ([], ["--resplit"])),
        ("ray", ["--ray-address", near_ray], (["--resplit"],)),
    ):
        file = make_study(name, objective="seen:train", metric="validation_sum",
                          round={"trials": 4}, data={"source": "digits", "rows": 200},
                          resources={"cpus": 4})
        hpo("run", file, "--inline")
        capsys.readouterr()
        for options in kinds:
            hpo("confirm", file, *how, "--json", "--top", 2, "--repeats", 2, *options)
            report = json.loads(capsys.readouterr().out)
            assert report.pop("study") == name
            reports.append(report)
    same_split, resplit, by_ray = reports
    assert by_ray == resplit
    # The same rows on the study's own split, for every trial the same others on a fresh one.
    for trial in same_split["trials"]:
        assert trial["values"] == [trial["value"]] * 2
    first, second = (trial["values"] for trial in resplit["trials"])
    assert first == second
    assert len({same_split["trials"][0]["value"], *first}) == 3


# An objective whose value says which rows it was given.
SEEN = """
from dataclasses import dataclass

@dataclass(frozen=True)
class Hyperparameters:
    learning_rate: float = 0.1
    weight_decay: float = 0.0

def train(hyperparameters: Hyperparameters, data=None, *, seed):
    rows = data.validation.inputs.reshape(len(data.validation.targets), -1).sum(axis=1)
    yield {"validation_sum": float(sum(float(row) ** 2 for row in rows))}

train.metrics = ("validation_sum",)
"""


@pytest.mark.parametrize(("source", "rows"), [("digits", None), ("digits", 300), ("t.csv", None)])
def test_a_fresh_split_has_other_validation_rows_and_the_same_test_rows(
    folder: Path, source: str, rows: int | None
) -> None:
    lines = (f"{i},{i * 0.5 + i % 7}" for i in range(120))
    (folder / "t.csv").write_text("\n".join(["x,y", *lines]), encoding="utf-8")
    settings = DataSettings(
        source=source, rows=rows, scale="none", target=None if source == "digits" else "y",
    )
    splits = [data.load(settings, seed=5, folder=folder, repeat=n) for n in (0, 1, 2, 1)]

    def ids(part: data.Part) -> set[bytes]:
        return {row.tobytes() for row in part.inputs}

    test = ids(splits[0].test)
    everything = ids(splits[0].data.training) | ids(splits[0].data.validation or splits[0].test)
    for split in splits:
        assert split.data.validation is not None
        assert ids(split.test) == test
        validation = ids(split.data.validation)
        assert ids(split.data.training) | validation == everything
        assert split.description.rows == splits[0].description.rows
    digests = [split.description.digest for split in splits]
    assert digests[1] == digests[3]
    assert len(set(digests)) == 3
    validations = [ids(split.data.validation) for split in splits[:3] if split.data.validation]
    assert all(len(a - b) > len(a) / 2 for a in validations for b in validations if a is not b)


def test_of_both_kinds_the_fresh_splits_count(
    make_study: Make, folder: Path, capsys: Capture
) -> None:
    file = make_study(round={"trials": 4}, data={"source": "digits"})
    hpo("run", file, "--inline")
    confirm(capsys, file, "--top", 3, "--repeats", 2)
    report = confirm(capsys, file, "--top", 2, "--repeats", 2, "--resplit")
    assert len(runs(folder, "repeat")) == 10
    shown = json.loads(printed(capsys, "show", "toy", "--json"))
    assert shown["best"]["value"] == report["trials"][0]["mean"]
    assert "use the repeats with new validation rows" in printed(
        capsys, "confirm", file, "--inline", "--top", 3, "--repeats", 2
    )


def test_diverged_and_failed_repeats_rank_last_and_are_named(
    make_study: Make, folder: Path, capsys: Capture
) -> None:
    (folder / "fragile.py").write_text(
        "from toy import Toy, quadratic\n\n"
        "def train(hyperparameters: Toy, data=None, *, seed):\n"
        "    if seed in map(int, open('bad').read().split()):\n"
        "        raise RuntimeError('an unlucky seed')\n"
        "    for metrics in quadratic(hyperparameters, data, seed=seed):\n"
        "        nan = seed in map(int, open('worse').read().split())\n"
        "        yield {'accuracy': float('nan')} if nan else metrics\n\n"
        "train.metrics = ('accuracy',)\n"
    )
    (folder / "bad").touch()
    (folder / "worse").touch()
    file = make_study(objective="fragile:train")
    hpo("run", file, "--inline")
    first, second, third = best(count=3)
    (folder / "bad").write_text(str(trial_seed(0, *first, 2)))
    (folder / "worse").write_text(" ".join(str(trial_seed(0, *second, n)) for n in (1, 2)))
    report = confirm(capsys, file, "--top", 3, "--repeats", 2)
    assert [(t["round"], t["number"]) for t in report["trials"]] == [third, first, second]
    assert [(t["diverged"], t["failed"]) for t in report["trials"]] == [(0, 0), (0, 1), (2, 0)]
    assert report["trials"][2]["mean"] is None
    assert report["trials"][1]["standard_error"] is None  # of one value
    output = printed(capsys, "confirm", file, "--inline", "--top", 3, "--repeats", 2)
    last = "of round 1 ranks among the last 2"
    assert f"trial {first[1]} {last}: 1 of its 2 repeats failed" in output
    assert f"trial {second[1]} {last}: 2 of its 2 repeats diverged" in output
    assert "1 of 2" in output
    shown = printed(capsys, "show", "toy")
    assert json.loads(printed(capsys, "show", "toy", "--json"))["best"]["number"] == third[1]
    assert "mean" in shown


def test_what_cannot_be_confirmed_is_refused(make_study: Make, capsys: Capture) -> None:
    file = make_study(round={"trials": 3})
    with pytest.raises(InputError, match="no study named 'toy' is recorded"):
        hpo("confirm", file, "--inline")
    hpo("run", file, "--inline")
    with pytest.raises(InputError, match="confirm needs the study file"):
        hpo("confirm", "toy", "--inline")
    with pytest.raises(InputError, match="seed changed since round 1"):
        hpo("confirm", make_study(round={"trials": 3}, seed=1), "--inline")
    space = {"learning_rate": {"low": 1e-7, "high": 1e-6, "log": True}}
    lost = make_study("lost", objective="toy:cliff", search_space=space,
                      round={"trials": 3, "max_failures": 3}, confirm={"top": 1})
    hpo("run", lost, "--inline")  # nothing to confirm is no error here
    with pytest.raises(InputError, match="no complete trial to confirm"):
        hpo("confirm", lost, "--inline")
