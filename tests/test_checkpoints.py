"""Trials whose folder is kept lose a worker, or the service, and few epochs with it."""

import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from hpo.workers.ray_local import fewer_processes
from tests.fixtures import Command, Make, hpo, leave_ray, table
from tests.processes import start, wait_for
from tests.test_steering import recorded

# It draws from all that hpo seeds; what it trains is marked, and it dies where a file says so.
TRAIN = """
import json, os, random, signal, time
import numpy as np

def train(rate: float, *, seed, folder, epochs: int = 20, sleep: float = 0.0):
    done, total = 0, 0.0
    if (folder / "state").exists():
        done, total = json.loads((folder / "state").read_text())
    for epoch in range(done + 1, epochs + 1):
        with open("trained", "a") as marks:
            marks.write(f"{seed} {epoch}\\n")
        time.sleep(sleep)
        total += random.random() + float(np.random.rand()) + rate
        for death in sorted(os.listdir("deaths")):
            if death.startswith(f"{epoch}-"):
                try:
                    os.unlink(f"deaths/{death}")
                except FileNotFoundError:
                    continue
                os.kill(os.getpid(), signal.SIGKILL)
        (folder / "part").write_text(json.dumps([epoch, total]))
        os.replace(folder / "part", folder / "state")
        yield {"loss": total}
"""
PROGRAM = """
import json, os, random, sys
state = os.path.join(os.environ["HPO_FOLDER"], "state")
done, total = 0, 0.0
if os.path.exists(state):
    done, total = json.load(open(state))
if os.path.exists("confused") and done:
    done -= 1
for epoch in range(done + 1, 11):
    with open("trained", "a") as marks:
        marks.write(f"{os.environ['HPO_SEED']} {epoch}\\n")
    total += epoch * float(sys.argv[1])
    json.dump([epoch, total], open(state + ".part", "w"))
    os.replace(state + ".part", state)
    print(json.dumps({"epoch": epoch, "loss": total}), flush=True)
    if os.path.exists(f"deaths/{epoch}"):
        os.unlink(f"deaths/{epoch}")
        import signal, time
        time.sleep(1)  # until what was told is kept
        for process in filter(str.isdigit, os.listdir("/proc")):
            try:  # the worker is in the folder of the study, and no other worker is
                with open(f"/proc/{process}/cmdline") as line:
                    found = line.read().startswith("ray::_attempt")
                if found and os.readlink(f"/proc/{process}/cwd") == os.getcwd():
                    os.kill(int(process), signal.SIGKILL)
            except OSError:
                pass
        time.sleep(60)
"""


@pytest.fixture
def study(make_study: Make, folder: Path) -> Make:
    sys.modules.pop("kept", None)  # that of another test
    (folder / "kept.py").write_text(TRAIN)
    (folder / "deaths").mkdir()

    def make(**changes: Any) -> Path:
        settings: dict[str, Any] = {
            "objective": "kept:train", "metric": "loss", "direction": "minimize",
            "checkpoints": {"every": 0, "storage": "storage", "keep": 0},
            "search_space": {"rate": {"low": 0.0, "high": 1.0}},
            "round": {"trials": 4, "sampler": "tpe", "parallel": 2}, **changes,
        }
        return make_study(**settings)

    return make


def trained() -> Counter[str]:
    """Return how often each epoch of each seed was trained, and forget it."""
    marks = Path("trained")
    counts = Counter(marks.read_text().splitlines())
    marks.unlink()
    return counts


def undisturbed(file: Path) -> list[dict[str, str]]:
    hpo("run", file, "--inline", "--set", "name=undisturbed")
    rows = table("undisturbed")
    assert set(trained().values()) == {1}
    return rows


def test_a_killed_worker_costs_the_epochs_since_the_last_copy(
    study: Make, folder: Path, ray_address: str
) -> None:
    file = study()
    before = undisturbed(file)
    for death in ("1-a", "5-a", "5-b", "6-a", "11-a", "12-a", "13-a", "19-a", "20-a", "20-b"):
        (folder / "deaths" / death).touch()
    hpo("run", file, "--ray-address", ray_address)
    assert table() == before
    counts = trained()
    assert len(counts) == 4 * 20
    # Each death costs the epoch that it was in: what was yielded before is kept.
    assert sum(counts.values()) == 4 * 20 + 10
    assert os.listdir(folder / "deaths") == []
    assert not any(path.is_file() for path in (folder / "storage").rglob("*"))


@pytest.mark.parametrize("storage", ["file", "carried"])
def test_copies_come_from_an_object_store_or_from_the_service(
    study: Make, folder: Path, ray_address: str, storage: str
) -> None:
    address = f"file://{folder}/store" if storage == "file" else ""
    before = undisturbed(study())
    file = study(
        checkpoints={"every": 0, "keep": 1, "storage": address}, fixed={"sleep": 0.1}
    )
    for death in ("5-a", "11-a", "19-a", "20-a", "20-b"):
        (folder / "deaths" / death).touch()
    hpo("run", file, "--ray-address", ray_address)
    rows = [{name: cell for name, cell in row.items() if name != "sleep"} for row in table()]
    assert rows == before
    # Each death costs the epoch that it was in, and where the copy was on its way one more.
    assert 85 <= trained().total() <= 85 + 5
    kept = folder / ("store" if address else ".hpo/checkpoints")
    (copy,) = kept.rglob("*.json")
    best = min(before, key=lambda row: float(row["loss"]))
    assert (copy.parent.name, copy.stem) == (f"1-{best['number']}", "20")
    hpo("extend", file, "--top", 1, "--epochs", 25, "--ray-address", ray_address)
    assert trained().total() == 5
    assert {path.parent.name for path in kept.rglob("*.json")} == {
        f"1-{best['number']}", f"1-{best['number']}-extended-to-25"
    }


def test_a_store_that_goes_away_stops_no_trial_and_is_said_once(
    study: Make, folder: Path, command: Command
) -> None:
    (folder / "kept.py").write_text(TRAIN.replace("        time.sleep(sleep)\n", (
        "        time.sleep(sleep)\n"
        "        if epoch == 5 and not os.path.isfile('store'):\n"
        "            import shutil\n"
        "            while os.path.isdir('store'):\n"  # a copy may be on its way
        "                shutil.rmtree('store', ignore_errors=True)\n"
        "            open('store', 'w').close()\n"
    )))
    for every in (0, 60):  # within the trials, or at their ends alone
        Path("store").unlink(missing_ok=True)
        address = f"file://{folder}/store"
        file = study(
            name=f"every_{every}", fixed={"sleep": 0.01},
            checkpoints={"every": every, "keep": 3, "storage": address},
        )
        outcome = command("run", file, "--inline")
        assert outcome.code == 0, outcome.err
        assert outcome.out.count("saving the checkpoint of epoch") == 1
        assert [row["state"] for row in table(f"every_{every}")] == ["complete"] * 4
        assert set(trained().values()) == {1}


@fewer_processes()
def test_a_machine_that_is_called_back_costs_no_epoch(study: Make, folder: Path) -> None:
    from ray.cluster_utils import Cluster

    one = {"trials": 1, "parallel": 1}
    before = undisturbed(study(round=one))
    file = study(
        checkpoints={"every": 1000, "storage": "storage"}, fixed={"sleep": 0.4}, round=one
    )
    leave_ray()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        spot = cluster.add_node(num_cpus=1)
        process = start("run", file, "--ray-address", cluster.address)
        wait_for(lambda: Path("trained").exists() and len(Path("trained").read_text()) > 60, 60)
        assert kept_epochs() == 0
        drained = subprocess.run(
            [str(Path(sys.executable).with_name("ray")), "drain-node", "--address", cluster.address,
             "--node-id", spot.node_id, "--reason", "DRAIN_NODE_REASON_PREEMPTION",
             "--reason-message", "called back", "--deadline-remaining-seconds", "30"],
            capture_output=True, text=True, check=False,
        )
        assert drained.returncode == 0, drained.stderr
        wait_for(lambda: kept_epochs() > 0, 20)
        kept = kept_epochs()
        cluster.remove_node(spot, allow_graceful=False)
        cluster.add_node(num_cpus=1)
        output, _ = process.communicate(timeout=120)
    finally:
        cluster.shutdown()
    assert process.returncode == 0, output
    (row,) = table()
    assert {name: cell for name, cell in row.items() if name != "sleep"} == before[0]
    counts = trained()
    assert kept > 2
    assert max(counts.values()) == 2
    assert sum(counts.values()) - 20 < 12  # what came between the copy and the end of the machine


def test_a_killed_service_costs_no_more(study: Make, folder: Path) -> None:
    file = study(fixed={"sleep": 0.1}, rounds=1)
    before = undisturbed(study(rounds=1))
    process = start("run", study(fixed={"sleep": 0.1}), "--inline")
    wait_for(lambda: len(recorded().results) == 1 and kept_epochs() > 4, 60)
    process.kill()
    process.communicate()
    assert trained().total() > 24
    hpo("run", file, "--inline")
    rows = [{name: cell for name, cell in row.items() if name != "sleep"} for row in table()]
    assert rows == before
    assert trained().total() < 60 - 4
    assert not any(path.is_file() for path in (folder / "storage").rglob("*"))


def kept_epochs() -> int:
    return max((int(p.stem) for p in Path("storage").rglob("*.json")), default=0)


def test_copies_go_with_a_new_name_and_with_their_study(study: Make, folder: Path) -> None:
    kept = folder / ".hpo" / "checkpoints"
    file = study(fixed={"sleep": 0.1}, checkpoints={"every": 0, "storage": ""})
    process = start("run", file, "--inline")
    wait_for(lambda: any(int(p.stem) > 4 for p in kept.rglob("*.json")), 60)
    process.kill()
    process.communicate()
    before = trained()
    hpo("rename", "toy", "other")
    (named,) = kept.iterdir()
    assert named.name.startswith("other-")
    shutil.copytree(kept, folder / "kept")
    hpo("run", file, "--inline", "--set", "name=other")
    assert sum((before + trained()).values()) <= 4 * 20 + 2  # it went on from them
    shutil.copytree(folder / "kept", kept, dirs_exist_ok=True)  # as if it had been killed again
    hpo("delete", "other", "--purge", "--yes")
    assert not any(kept.iterdir())


def test_other_code_or_values_begin_anew(study: Make, folder: Path) -> None:
    process = start("run", study(fixed={"sleep": 0.1}), "--inline")
    wait_for(lambda: kept_epochs() > 4, 60)
    process.kill()
    process.communicate()
    trained()
    (folder / "kept.py").write_text(TRAIN.replace("+ rate", "- rate"))
    hpo("run", study(fixed={"sleep": 0.0}), "--inline")  # no trial has succeeded yet
    assert set(trained().values()) == {1}
    assert all(float(row["loss"]) < 40 for row in table())


def test_a_program_goes_on_from_its_folder(
    study: Make, folder: Path, near_ray: str, command: Command
) -> None:
    (folder / "train.py").write_text(PROGRAM)
    program = {"objective": None, "command": ["python", "train.py", "{rate}"],
               "round": {"trials": 2, "parallel": 1, "sampler": "random"}}
    file = study(**program)
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(line for line in lines if not line.startswith("objective")))
    before = undisturbed(file)
    for death in ("3", "4"):
        (folder / "deaths" / death).touch()
    hpo("run", file, "--ray-address", near_ray)
    assert table() == before
    assert trained().total() == 20
    # One that has no epoch left to tell may have been further than its copy: it begins anew.
    (folder / "deaths" / "10").touch()
    hpo("run", file, "--ray-address", near_ray, "--set", "name=ended")
    assert table("ended") == before
    assert trained().total() == 30
    # One that begins with another epoch than it should is started anew.
    (folder / "confused").touch()
    (folder / "deaths" / "7").touch()
    hpo("run", file, "--ray-address", near_ray, "--set", "name=confused")
    assert table("confused") == before
    counts = trained()
    assert set(counts.values()) == {1, 2, 3}  # 1 to 6 again, and 7, which came first both times
    (folder / "train.py").write_text(PROGRAM.replace('"epoch": epoch, ', ""))
    hpo("run", file, "--inline", "--set", "name=nameless", "--set", "round.max_failures=2")
    assert "each line needs one, counting from 1" in table("nameless")[0]["message"]


def test_a_check_of_a_program_tells_one_that_begins_anew_from_one_that_is_fast(
    study: Make, folder: Path, command: Command
) -> None:
    file = study(objective=None, command=["python", "train.py", "{rate}"])
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(line for line in lines if not line.startswith("objective")))
    # As one whose epochs are all done before the copy is.
    (folder / "train.py").write_text(PROGRAM.replace("json.dump([epoch,", "json.dump([10,"))
    outcome = command("check", file, "--try")
    assert outcome.code == 0, outcome.err
    assert "its epochs are shorter than the copying of its folder" in outcome.out
    slow = PROGRAM.replace("    total +=", "    import time; time.sleep(0.5)\n    total +=")
    (folder / "train.py").write_text(slow)
    assert "it resumes with the same epoch 2" in command("check", file, "--try").out
    (folder / "train.py").write_text(slow.replace("if os.path.exists(state)", "if False"))
    assert "resumes with a different epoch 2" in command("check", file, "--try").err


def test_what_cannot_be_kept_is_said(
    study: Make, make_study: Make, folder: Path, command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without = make_study(checkpoints={"every": 1})
    outcome = command("check", without)
    assert (outcome.code, outcome.err) == (
        2, f"hpo: {without}: checkpoints: toy:quadratic does not use a folder, so there is "
        "nothing to keep; give the function a parameter `folder`\n"
    )
    remote = study(checkpoints={"storage": "abfs://bucket/here"})
    assert "checkpoints.storage: is not a supported address; use a folder, or an address that " \
        "starts with s3://, gs:// or file://" in command("check", remote).err
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "nobody")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")  # nothing listens there
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")  # or Amazon would be asked for it
    away = study(checkpoints={"storage": "s3://bucket/here"})
    outcome = command("run", away, "--inline")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "checkpoints.storage: s3://bucket/here does not answer (" in outcome.err
    # No room: the trials go on, and say so.
    (folder / "storage").write_text("a file")
    outcome = command("run", study(), "--inline")
    assert outcome.out.count("saving the checkpoint of epoch 1 failed: ") == 1
    assert len(table()) == 4
    assert "saving the checkpoint" in command("logs", "toy", "1/1").out




@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (("", ""), "checkpoints: stopped after epoch 1, it resumes with the same epoch 2"),
        (("[epoch, total]", "[epoch, 0.0]"), "resumes with a different epoch 2 (loss "),
        (('if (folder / "state").exists()', "if False"), "resumes with a different epoch 2 (loss "),
        (('os.replace(folder / "part", folder / "state")', "(folder / 'part').unlink()"),
         "kept:train leaves its folder empty after an epoch; before it yields"),
        (("(1, epochs + 1)".replace("1, ", "done + 1, "), "(1, 2)"),
         "checkpoints: a trial has only one epoch, so there is nothing to resume"),
    ],
)
def test_a_check_tries_to_go_on(
    study: Make, folder: Path, command: Command, changed: tuple[str, str], said: str
) -> None:
    assert changed[0] in TRAIN
    (folder / "kept.py").write_text(TRAIN.replace(*changed))
    outcome = command("check", study(), "--try")
    assert said in " ".join((outcome.out + outcome.err).split())
    assert outcome.code == (0 if said.startswith("checkpoints: ") else 2)
    assert not (folder / "storage").exists()
