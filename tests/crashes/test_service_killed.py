"""The service is killed or stopped, and the same command completes the study."""

import os
import random
import signal
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from hpo.api import session
from tests.crashes.conftest import Tally
from tests.deaths import die_at, die_making
from tests.fixtures import Make, hpo, table, trainings, undisturbed
from tests.processes import draw_nothing, start, start_anew, wait_for


@pytest.mark.figures
def test_a_service_killed_again_and_again_ends_with_the_same_table(
    make_study: Make, folder: Path, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"rounds": 2, "round": {"trials": 13, "sampler": "tpe"}}
    with monkeypatch.context() as patch:
        patch.setattr(session, "illustrate", draw_nothing)
        expected = undisturbed(make_study, **settings)
    file = make_study(**settings, fixed={"sleep": 0.2, "folder": str(folder)})
    generator = random.Random(7)
    kills = 0
    for _ in range(40):
        before = sum(trainings(folder).values())
        process = start("run", file, "--inline")
        more = generator.randrange(2, 6)
        while process.poll() is None and sum(trainings(folder).values()) < before + more:
            time.sleep(0.005)
        time.sleep(generator.random() * 0.15)
        if process.poll() is None:
            kills += 1
            process.kill()
        output, _ = process.communicate()
        if process.returncode == 0:
            break
    assert process.returncode == 0, output
    assert kills >= 5
    tally("service killed (SIGKILL) at random moments", kills, expected, table())
    # Inline one trial runs at a time: only that one can be trained again.
    assert sum(trainings(folder).values()) <= 26 + kills
    assert len(trainings(folder)) == 26


@pytest.mark.parametrize(
    ("method", "moment"),
    [
        ("create_experiment", "before"), ("create_experiment", "after"),
        ("create_run", "before"), ("create_run", "after"),
        ("log_batch", "before"), ("log_batch", "after"),
        ("set_terminated", "before"), ("set_terminated", "after"),
    ],
)
def test_a_service_killed_inside_a_write_loses_and_repeats_nothing(
    make_study: Make, folder: Path, tally: Tally, method: str, moment: str
) -> None:
    expected = undisturbed(make_study, round={"trials": 6})
    file = make_study(fixed={"folder": str(folder)}, round={"trials": 6})
    left = 1 if method == "create_experiment" else 4
    dying = partial(die_at, method, left, after=moment == "after")
    process = start("run", file, "--inline", first=dying)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, output
    hpo("run", file, "--inline")
    tally(f"service killed {moment} MLflow's `{method}`", 1, expected, table())
    # What was on disk was not trained again; the process may have died during one training.
    assert sum(trainings(folder).values()) <= 7


def test_the_process_of_the_record_killed(
    make_study: Make, folder: Path, tally: Tally, ray_address: str
) -> None:
    expected = undisturbed(make_study)
    file = make_study(fixed={"sleep": 0.3, "folder": str(folder)}, resources={"cpus": 2})
    process = start("run", file, "--ray-address", ray_address)
    wait_for(lambda: sum(trainings(folder).values()) >= 5)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    lines = {child: Path(f"/proc/{child}/cmdline").read_bytes() for child in children}
    [record] = [child for child, line in lines.items() if b"hpo.record.process" in line]
    os.kill(int(record), signal.SIGKILL)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1, output
    assert "run the same command to resume" in output
    hpo("run", file, "--inline")
    tally("process that writes the record killed", 1, expected, table())


def test_interrupted_it_stops_at_once_and_says_how_to_go_on(
    make_study: Make, folder: Path
) -> None:
    file = make_study(
        objective="toy:hanging", fixed={"folder": str(folder)},
        search_space={"learning_rate": {"low": 0.1, "high": 1.0}},
    )
    process = start_anew("run", file, "--workers", 2, start_new_session=True)
    wait_for(lambda: len(trainings(folder)) >= 2)
    began = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does: the whole group
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130, output
    assert time.monotonic() - began < 10
    assert f"Resume with: hpo run {file} --workers 2" in output
    assert "Traceback" not in output


@pytest.mark.parametrize("seconds", [0.0, 0.2, 0.4])
def test_interrupted_while_ray_starts_it_ends_without_a_crash(
    make_study: Make, folder: Path, seconds: float
) -> None:
    file = make_study(
        objective="toy:hanging", fixed={"folder": str(folder)},
        search_space={"learning_rate": {"low": 0.1, "high": 1.0}},
    )
    process = start_anew("run", file, "--workers", 2, start_new_session=True)

    def begun() -> bool:
        below = psutil.Process(process.pid).children(recursive=True)
        return any("gcs_server" in " ".join(each.cmdline()[:1]) for each in below)

    wait_for(begun)
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert "Error" not in output


def test_terminated_it_stops_cleanly_and_goes_on(
    make_study: Make, folder: Path, tally: Tally
) -> None:
    expected = undisturbed(make_study)
    file = make_study(fixed={"sleep": 0.4, "steady": True, "folder": str(folder)})
    process = start("run", file, "--inline")
    wait_for(lambda: len(trainings(folder)) >= 4)
    process.terminate()
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130, output
    hpo("run", file, "--inline")
    tally("service terminated (SIGTERM)", 1, expected, table())
    assert sum(trainings(folder).values()) == 13


def test_a_second_service_is_refused(make_study: Make, folder: Path, tmp_path: Path) -> None:
    file = make_study(fixed={"sleep": 4.0, "steady": True, "folder": str(folder)})
    process = start("run", file, "--inline")
    try:
        wait_for(lambda: len(trainings(folder)) >= 2)
        same_folder = start("run", file, "--inline")
        output, _ = same_folder.communicate(timeout=60)
        refused = "another process is running this study" in output
        assert (same_folder.returncode, refused) == (2, True)
        elsewhere = folder / "elsewhere"
        elsewhere.mkdir()
        other = start(
            "run", file, "--inline", "--tracking-uri", f"sqlite:///{folder}/mlflow.db",
            cwd=elsewhere,
        )
        output, _ = other.communicate(timeout=60)
        assert other.returncode == 2
        assert f"process {process.pid} on" in output
        assert "is running this study; wait for it to end, or stop it" in output
    finally:
        process.kill()
        process.communicate()


def test_services_that_make_the_record_at_the_same_moment(
    make_study: Make, folder: Path, tally: Tally
) -> None:
    expected = undisturbed(make_study, round={"trials": 4})
    options = ("--inline", "--tracking-uri", f"sqlite:///{folder}/new.db")
    names = ["first", "second", "third"]
    files = [make_study(name, round={"trials": 4}) for name in names]
    for process in [start("run", file, *options) for file in files]:
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output
    actual = [row for name in names for row in table(name, *options[1:])]
    tally("3 services begun at the same moment, on a record that is not there yet", 1,
          3 * expected, actual)


def test_a_service_killed_while_it_makes_the_record(
    make_study: Make, folder: Path, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HPO_CACHE", str(folder / "cache"))  # which has no empty record to copy
    expected = undisturbed(make_study, round={"trials": 4})
    options = ("--inline", "--tracking-uri", f"sqlite:///{folder}/new.db")
    file = make_study(round={"trials": 4})
    process = start("run", file, *options, first=die_making)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, output
    hpo("run", file, *options)
    tally("service killed while it makes the record", 1, expected, table("toy", *options[1:]))
