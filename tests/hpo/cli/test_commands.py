"""The commands, from a study file to the table of its trials."""

import csv
import json
import os
import platform
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from hpo.api.places import outbox_path
from hpo.cli import commands as cli
from hpo.errors import HPOError, InputError
from hpo.record.outbox import Outbox
from hpo.record.tracking import Tracking
from hpo.service.job import job_of
from hpo.study import read
from hpo.workers.attempt import attempt_trial
from tests.fixtures import Command, Make, client_of, hpo, show, table


def trained(folder: Path) -> int:
    return len((folder / "trained").read_text().splitlines())


def test_two_rounds_from_file_to_table(
    make_study: Make, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = make_study(rounds=2, round={"trials": 20, "sampler": "tpe"})
    hpo("run", file, "--inline")
    printed = capsys.readouterr().out
    assert "best trials" in printed
    for following in (f"narrow {file} ", f"run {file} --rounds 3 ", f"ui {file} "):
        assert f"hpo {following}" in printed
    assert "narrowed" in printed  # and why
    shown = show(capsys, "toy")
    assert set(shown) == {
        "study", "metric", "direction", "state", "run_by", "last", "rounds", "best",
        "recommended",
    }
    assert (shown["study"], shown["metric"], shown["direction"]) == ("toy", "accuracy", "maximize")
    first, second = shown["rounds"]
    assert set(first) == {
        "round", "ranges", "trials", "complete", "pruned", "stopped", "diverged", "infeasible",
        "failed",
        "best",
    }
    assert first["ranges"]["learning_rate"] == {"low": 1e-4, "high": 1e1}
    low, high = (second["ranges"]["learning_rate"][k] for k in ("low", "high"))
    assert 1e-4 < low < 0.1 < high < 1e1  # the best is at 0.1
    assert second["ranges"]["weight_decay"] == {"low": 1e-8, "high": 1e-4}  # it does nothing
    assert (first["trials"], first["complete"]) == (20, 20)
    rows = table()
    best = max(rows, key=lambda row: float(row["value"]))
    assert shown["best"] == {
        "round": int(best["round"]),
        "number": int(best["number"]),
        "value": float(best["value"]),
        "hyperparameters": {
            name: float(best[name]) for name in ("learning_rate", "weight_decay")
        },
    }
    assert show(capsys, file, "--round", 1)["best"] == first["best"]


def test_a_command_is_a_target(
    make_study: Make, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = make_study(fixed={"folder": str(folder)})
    hpo("run", file, "--inline")
    hpo("run", file, "--inline", "--rounds", 1)
    assert "toy: 1 round is done, nothing to run" in capsys.readouterr().out
    assert trained(folder) == 12
    hpo("run", file, "--inline", "--range", "learning_rate=0.1:1")
    hpo("run", file, "--inline", "--keep-ranges")
    said = capsys.readouterr().out
    for option in ("--range", "--keep-ranges"):
        assert f"{option}: no round is left to start with it; add --rounds 2\n" in said
    with pytest.raises(InputError, match=r"^--range: round 1 has already started with its ranges"):
        hpo("run", file, "--inline", "--range", "learning_rate=0.1:1", "--trials", 14)
    assert show(capsys, "toy")["state"] == "ended"
    hpo("run", file, "--inline", "--rounds", 3, "--trials", 4)
    assert trained(folder) == 20
    assert "resuming" not in capsys.readouterr().out
    hpo("run", file, "--inline", "--rounds", 3, "--trials", 6)
    assert "resuming with 4 of 6 trials done\n" in capsys.readouterr().out
    assert [row["round"] for row in table()].count("3") == 6


def test_ranges_are_overruled_or_kept(
    make_study: Make, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = make_study(round={"trials": 20})
    hpo("run", file, "--inline")
    hpo("run", file, "--inline", "--rounds", 2, "--range", "learning_rate=1e-3:1e-1")
    hpo("run", file, "--inline", "--rounds", 3, "--keep-ranges")
    rounds = show(capsys, "toy")["rounds"]
    assert rounds[1]["ranges"]["learning_rate"] == {"low": 1e-3, "high": 1e-1}
    assert rounds[2]["ranges"] == rounds[1]["ranges"]
    rates = [float(row["learning_rate"]) for row in table() if row["round"] == "2"]
    assert min(rates) >= 1e-3
    assert max(rates) <= 1e-1
    make_study(round={"trials": 20}, search_space={
        "learning_rate": {"low": 1e-2, "high": 1.0, "log": True},
        "weight_decay": {"low": 1e-8, "high": 1e-4, "log": True},
    })
    hpo("run", file, "--inline", "--rounds", 4)
    rounds = show(capsys, "toy")["rounds"]
    assert rounds[3]["ranges"]["learning_rate"] == {"low": 1e-2, "high": 1.0}  # from the file
    client = client_of(f"sqlite:///{folder}/mlflow.db")
    runs = client.search_runs(
        [client.get_experiment_by_name("toy").experiment_id], "tags.kind = 'round'",
        order_by=["attribute.start_time"],
    )
    notes = [run.data.tags["mlflow.note.content"] for run in runs]
    assert "| learning_rate | 0.0001 to 10 | as set |" in notes[0]
    assert "| learning_rate | 0.001 to 0.1 | overridden by --range |" in notes[1]
    assert "| learning_rate | 0.001 to 0.1 | kept by --keep-ranges |" in notes[2]
    assert "| learning_rate | 0.01 to 1 | changed in the study file |" in notes[3]
    capsys.readouterr()
    hpo("show", "toy")
    shown = capsys.readouterr().out
    assert "\nround 2: learning_rate overridden by --range\n" in shown
    assert "\nround 3: learning_rate, weight_decay kept by --keep-ranges\n" in shown
    assert "\nround 4: learning_rate changed in the study file\n" in shown
    assert "round 1:" not in shown
    hpo("show", "toy", "--round", 3)
    assert "round 2:" not in capsys.readouterr().out


def test_a_study_without_a_round_is_told_what_to_do(
    make_study: Make, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = make_study()
    hpo("run", file, "--inline", "--trials", 1)
    client = client_of(f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name("toy")
    for run in client.search_runs([experiment.experiment_id], "tags.kind = 'round'"):
        client.delete_run(run.info.run_id)
    for arguments in (["narrow", "toy"], ["evaluate", file], ["confirm", file, "--inline"]):
        with pytest.raises(InputError, match=r"^the study 'toy' has no rounds yet; start .*run"):
            hpo(*arguments)
    capsys.readouterr()
    hpo("show", "toy")
    assert capsys.readouterr().out == "toy: no round yet\n"


def test_a_study_stops_when_its_trials_fail(make_study: Make, folder: Path) -> None:
    with pytest.raises(HPOError, match="5 of 5 trials failed, the last with: RuntimeError: broken"):
        hpo("run", make_study(objective="toy:failing"), "--inline")
    assert len(table()) == 5
    with pytest.raises(HPOError, match="3 of 3 trials failed"):
        hpo("run", make_study("b", objective="toy:failing", round={"max_failures": 2}), "--inline")


def test_budgets_end_a_study_with_the_reason(
    make_study: Make, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mark = {"folder": str(folder)}
    file = make_study(rounds=3, budget={"target": 0.95}, fixed=mark)
    hpo("run", file, "--inline")
    assert "the target 0.95 is reached: the study ends" in capsys.readouterr().out
    count = trained(folder)
    assert count < 12
    experiment = client_of(f"sqlite:///{folder}/mlflow.db").get_experiment_by_name("toy")
    runs = client_of(f"sqlite:///{folder}/mlflow.db").search_runs(
        [experiment.experiment_id], "tags.kind = 'round'"
    )
    assert runs[0].data.tags["stopped"] == "the target 0.95 is reached"
    hpo("run", file, "--inline")
    assert trained(folder) == count  # the same command finds all done
    hpo("run", make_study("patient", budget={"patience": 3}, round={"trials": 100}), "--inline")
    rows = table("patient")
    assert len(rows) < 50
    values = [float(row["value"]) for row in rows]
    best = values.index(max(values[: len(rows) - 4]))
    assert len(rows) - (best + 1) >= 3
    hpo("run", make_study("hours", budget={"hours": 1e-6}, round={"trials": 100}), "--inline")
    assert len(table("hours")) < 100


def test_start_points_come_first(make_study: Make, folder: Path) -> None:
    file = make_study(round={"sampler": "tpe"})
    file.write_text(file.read_text() + "[[start]]\nlearning_rate = 0.25\n")
    hpo("run", file, "--inline")
    rows = table()
    assert float(rows[0]["learning_rate"]) == 0.25
    assert 1e-8 <= float(rows[0]["weight_decay"]) <= 1e-4
    assert float(rows[1]["learning_rate"]) != 0.25


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"seed": 1}, "seed"),
        ({"metric": "loss"}, "metric"),
        ({"fixed": {"epochs": 6}}, r"\[fixed\]"),
        ({"value": "best"}, "value"),
        ({"objective": "toy:cliff"}, "the objective"),
        ({"data": {"source": "digits"}}, "the data or its split"),
        ({"search_space": {"learning_rate": {"low": 0.1, "high": 0.2}}},
         "the set of searched hyperparameters"),
    ],
)
def test_what_makes_trials_incomparable_is_refused(
    make_study: Make, changes: dict[str, object], what: str
) -> None:
    hpo("run", make_study(round={"trials": 2}), "--inline")
    with pytest.raises(InputError, match=f"{what}.* changed since round 1, .*another name"):
        hpo("run", make_study(round={"trials": 2}, **changes), "--inline", "--rounds", 2)


def test_changed_code_is_refused(make_study: Make, folder: Path) -> None:
    file = make_study(round={"trials": 2})
    hpo("run", file, "--inline")
    toy = folder / "toy.py"
    toy.write_text(toy.read_text().replace("normal(0, 0.02)", "normal(0, 0.03)"))
    sys.modules.pop("toy")  # as in a new process
    with pytest.raises(InputError, match="the code of the objective changed"):
        hpo("run", file, "--inline", "--rounds", 2)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("        return leaf", "        # leaf\n        return leaf"),
        ('"""Do as quadratic, ', '"""Do as quadratic '),
        ('"""Objectives that cost nothing', '"""Objectives that cost little'),
        ('"""Hyperparameters of the toy', '"""What the toy'),
        ("normal(0, 0.02)", "normal(\n        0, 2e-2,  # small\n    )"),
    ],
    ids=["comment", "docstring", "of the module", "of a class", "formatting"],
)
def test_code_that_does_the_same_goes_on(
    make_study: Make, folder: Path, capsys: pytest.CaptureFixture[str], before: str, after: str
) -> None:
    toy = folder / "toy.py"
    toy.write_text(toy.read_text() + "\ndef last(leaf):\n    if leaf:\n        return leaf\n")
    file = make_study(round={"trials": 2})
    hpo("run", file, "--inline")
    assert before in toy.read_text()
    toy.write_text(toy.read_text().replace(before, after))
    sys.modules.pop("toy")  # as in a new process
    hpo("run", file, "--inline", "--rounds", 2)
    assert "changed" not in capsys.readouterr().out
    assert len(table()) == 4


def test_deleted_trials_are_not_run_again_and_deleted_rounds_are(
    make_study: Make, folder: Path
) -> None:
    file = make_study(fixed={"folder": str(folder)}, rounds=2, round={"trials": 4})
    hpo("run", file, "--inline")
    client = client_of(f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name("toy").experiment_id
    query = "tags.kind = 'trial' and tags.round = '2' and tags.number = '3'"
    (trial,) = client.search_runs([experiment], query)
    client.delete_run(trial.info.run_id)
    hpo("run", file, "--inline")
    assert trained(folder) == 8
    before = table()
    assert [row["number"] for row in before if row["round"] == "2"] == ["1", "2", "4"]
    (second,) = client.search_runs([experiment], "tags.kind = 'round' and tags.round = '2'")
    client.delete_run(second.info.run_id)
    assert len(table()) == 4
    hpo("run", file, "--inline")
    assert trained(folder) == 12
    assert len(table()) == 8


def run(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("hpo")), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_results_on_disk_count_where_the_record_has_lost_their_round(
    make_study: Make, folder: Path, empty_database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = make_study(fixed={"folder": str(folder)})
    hpo("run", file, "--inline")
    before, uri = table(), f"sqlite:///{folder}/mlflow.db"
    with closing(Tracking(uri)) as record:
        recorded = record.study("toy").read()
    assert recorded is not None
    assert "wait in" not in capsys.readouterr().out
    shutil.copy(empty_database, folder / "mlflow.db")
    with closing(Outbox(outbox_path(uri, "toy"))) as outbox:
        for known in recorded.results[:5]:
            *_, result = attempt_trial(job_of(read(file)), None, known.trial, 1)
            outbox.add(result, recorded.rounds[0].fingerprint)
    assert trained(folder) == 12 + 5
    hpo("run", file, "--inline")
    said = " ".join(capsys.readouterr().out.split())
    assert "keeping 5 results in" in said
    assert trained(folder) == 12 + 5 + 7
    assert table() == before


def test_exit_codes_and_streams(make_study: Make, folder: Path, command: Command) -> None:
    good = run("check", make_study(), cwd=folder)
    assert (good.returncode, good.stderr) == (0, "")
    nothing = run("show", "nobody", cwd=folder)
    assert (nothing.returncode, nothing.stdout) == (2, "")
    assert nothing.stderr.count("\n") == 1
    assert "no study named 'nobody' is recorded" in nothing.stderr
    usage = run("run", cwd=folder)
    assert usage.returncode == 2
    failing = command("run", make_study(objective="toy:failing"), "--inline")
    assert failing.code == 1
    assert "trials failed" in failing.err
    assert "\x1b[" not in failing.out  # no colors in a pipe
    away = command("list", "--tracking-uri", "http://127.0.0.1:9")
    assert away.code == 1
    assert "Traceback" not in away.err
    missing = command("list", "--tracking-uri", "sqlite:///none.db")
    assert (missing.code, (folder / "none.db").exists()) == (2, False)


def test_names_in_any_script_are_found_and_printed_in_any_locale(
    make_study: Make, folder: Path
) -> None:
    file = make_study("연구", round={"trials": 1})
    hpo("run", file, "--inline")
    locale = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    for environment, commands in (
        (locale, ["show 연구", "check 연구.toml"]),
        ({"PYTHONIOENCODING": "ascii"}, ["list"]),
    ):
        for command in commands:
            done = subprocess.run(
                [Path(sys.executable).with_name("hpo"), *command.split()], cwd=folder,
                env={**os.environ, **environment}, capture_output=True, text=True, check=False,
                encoding="utf-8",
            )
            assert (done.returncode, done.stderr) == (0, "")
            escaped = done.stdout.encode("ascii", "backslashreplace").decode()
            assert r"\uc5f0\uad6c" in escaped


def test_a_stream_that_is_closed_or_full_ends_in_no_traceback(
    make_study: Make, folder: Path
) -> None:
    command = f"{Path(sys.executable).with_name('hpo')} run {make_study(round={'trials': 2})}"
    closed = subprocess.run(
        ["sh", "-c", f"{command} --inline <&- >&- 2>&-"], cwd=folder, check=False
    )
    assert closed.returncode == 0
    assert len(table()) == 2  # and nothing was printed into the record
    full = subprocess.run(
        ["sh", "-c", f"{command} --inline >/dev/full"], cwd=folder, capture_output=True,
        text=True, check=False,
    )
    assert (full.returncode, full.stderr) == (
        1, "hpo: No space left on device; fix it, then run the same command to resume\n"
    )


def test_check_reads_the_data_only_when_asked(
    make_study: Make, folder: Path, command: Command
) -> None:
    file = make_study(data={"source": "nowhere.csv", "target": "y"})
    assert command("check", file).code == 0
    read = command("check", file, "--data")
    assert read.code == 2
    assert read.err.startswith(f"hpo: {file}: [data] source")
    ran = command("run", file, "--inline")
    assert (ran.code, ran.err) == (2, read.err)
    with (folder / "some.csv").open("w", newline="") as rows:
        csv.writer(rows).writerows([["x", "y"], *([i % 7, "ab"[i % 2]] for i in range(40))])
    file = make_study(data={"source": "some.csv", "target": "y"})
    whole = command("check", file, "--data", "--json")
    assert json.loads(whole.out)["data"]["rows"] == {
        "training": 25, "validation": 7, "test": 8
    }
    assert command("check", file, "--data").out.splitlines() == [
        f"{file}: OK. maximize accuracy of toy:quadratic, 1 round of 12 trials (random)",
        "  learning_rate: 0.0001 to 10",
        "  weight_decay: 1e-08 to 0.0001",
        "  data: some.csv, classification, rows: 25 training, 7 validation, 8 test, inputs 1",
    ]


def test_help_names_every_command_and_imports_nothing_heavy() -> None:
    heavy = ("mlflow", "ray", "optuna", "pandas", "numpy", "sklearn", "scipy", "rich", "pydantic")
    code = (
        "import sys\nfrom hpo.cli import commands as cli\n"
        "try: cli.hpo.main(['--help'], prog_name='hpo')\nexcept SystemExit: pass\n"
        f"print('loaded:', [m for m in {heavy!r} if m in sys.modules])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert "loaded: []" in printed
    for name, command in cli.hpo.commands.items():
        assert f"  {name} " in printed
        assert command.help


@pytest.mark.skipif(platform.machine() != "x86_64", reason="names of x86 CPUs")
def test_going_on_with_another_kind_of_cpu_is_said(make_study: Make, folder: Path) -> None:
    file = make_study(round={"trials": 2})

    def run(cpu: str, rounds: int) -> str:
        return subprocess.run(
            [Path(sys.executable).with_name("hpo"), "run", file, "--inline",
             "--rounds", str(rounds)],
            env={**os.environ, "OPENBLAS_CORETYPE": cpu}, check=True, capture_output=True,
            text=True,
        ).stdout

    assert "last digits" not in run("Nehalem", 1)
    printed = run("Sandybridge", 2)
    assert " for Sandybridge, but was OpenBLAS " in printed
    assert " for Nehalem in round 1; results may differ in the last digits" in printed
