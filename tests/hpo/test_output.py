"""What trials print is kept within bounds, on record while they run, and shown by `hpo logs`."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow import MlflowClient

from hpo import output
from hpo.output import FIRST, LAST, Output
from hpo.record.owner import SENT_BY
from hpo.workers import attempt
from tests.fixtures import Outcome, hpo
from tests.processes import start

STUDY = """
objective = "{module}:train"
metric = "loss"
direction = "minimize"
[search_space]
rate = {{ low = 0.1, high = 1.0 }}
[round]
trials = 2
parallel = 1
"""
Command = Callable[..., Outcome]


def write(folder: Path, module: str, body: str) -> Path:
    (folder / f"{module}.py").write_text(f"import sys, time\ndef train(rate: float):\n{body}")
    (folder / "toy.toml").write_text(STUDY.format(module=module))
    return folder / "toy.toml"


@given(st.lists(st.text(max_size=30), max_size=30), st.integers(1, 20), st.integers(1, 40))
@settings(max_examples=200)
def test_the_first_and_the_last_are_kept_and_what_is_left_out_is_counted(
    texts: list[str], first: int, last: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(output, "FIRST", first)
        patch.setattr(output, "LAST", last)
        kept = Output()
        for text in texts:
            assert kept.write(text) == len(text)
    whole = "".join(texts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(output, "LAST", last)
        found = kept.text()
    if len(whole) <= first + last:
        expected = whole
    else:
        between = f"\n… {len(whole) - first - last} characters left out …\n"
        expected = whole[:first] + between + whole[-last:]
    assert found == expected.encode("utf-8", "backslashreplace").decode()
    assert kept.written == len(whole)


def test_much_output_takes_no_more_memory_than_it_keeps() -> None:
    kept = Output()
    for _ in range(300):
        kept.write("x" * 10_000)
    kept.write("y" * 5_000_000)
    assert len(kept.text()) < FIRST + LAST + 100
    assert kept.text().startswith("x" * FIRST)
    assert kept.text().endswith("y" * LAST)
    assert kept.end(10) == "y" * 10 + "\n"


def test_it_can_be_read_by_another_thread_while_it_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "FIRST", 100)
    monkeypatch.setattr(output, "LAST", 500)
    kept, seen = Output(), list[str]()

    def read() -> None:
        while not seen or "end" not in seen[-1]:
            seen.append(kept.text())

    with ThreadPoolExecutor(1) as beside:
        reading = beside.submit(read)
        while len(seen) < 20:
            kept.write("x" * 7)
        kept.write("end")
        reading.result()
    assert max(map(len, seen)) < 100 + 500 + 100
    assert kept.written % 7 == 3


def test_half_of_a_surrogate_pair_can_be_recorded() -> None:
    kept = Output()
    kept.write("a\ud800b")
    assert kept.text() == "a\\ud800b"


@pytest.mark.parametrize("where", ["inline", "ray"])
def test_what_a_trial_printed_is_shown_without_commands_to_a_terminal(
    folder: Path, command: Command, request: pytest.FixtureRequest, where: str
) -> None:
    body = (
        "    print('rate', round(rate, 3)); print('naïve \\x1b[1m', file=sys.stderr)\n"
        "    yield rate\n    print(' 1%\\r100%\\nthe end')\n"
    )
    place = ("--inline",) if where == "inline" else (
        "--ray-address", request.getfixturevalue("ray_address")
    )
    hpo("run", write(folder, f"prints_{where}", body), *place)
    shown = command("logs", "toy", "1/2")
    assert shown.code == 0
    assert shown.out.startswith("rate 0.")
    assert shown.out.endswith("\nnaïve \n100%\nthe end\n")


def test_a_failed_trial_has_its_output_too_and_a_silent_one_none(
    folder: Path, command: Command
) -> None:
    body = "    print('before it')\n    raise ValueError('no')\n"
    command("run", write(folder, "fails_loudly", body), "--inline")
    assert command("logs", "toy", "1/1").out == "before it\n"
    command("run", write(folder, "fails_quietly", "    raise ValueError('no')\n"), "--inline")
    quiet = command("logs", "toy", "1/1")
    assert quiet.err == "trial 1/1 printed nothing; it failed: ValueError: no\n"
    hpo("run", write(folder, "says_nothing", "    return rate\n"), "--inline")
    silent = command("logs", "toy", "1/1")
    assert (silent.code, silent.out, silent.err) == (0, "", "trial 1/1 printed nothing\n")
    body = "    from hpo import Infeasible\n    raise Infeasible('too wide')\n"
    command("run", write(folder, "rejects", body), "--inline", "--set", "name=wide")
    assert command("logs", "wide", "1/1").err == "trial 1/1 printed nothing\n"


@pytest.mark.parametrize(("body", "is_advised"), [
    ("    return rate\n", True),
    ("    yield float('nan')\n", False),
    ("    train.calls = getattr(train, 'calls', 0) + 1\n"
     "    yield float('nan') / (train.calls == 1)\n", False),
])  # fmt: skip
def test_another_round_is_advised_only_if_a_trial_of_the_last_one_worked(
    folder: Path, command: Command, body: str, is_advised: bool
) -> None:
    ran = command("run", write(folder, f"advises_{len(body)}", body), "--inline")
    assert ("run another round" in ran.out) is is_advised
    assert "browse the trials in the MLflow UI" in ran.out


def test_what_was_sent_to_a_cluster_is_sent_again(
    folder: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(folder, "sent", "    return rate\n")
    assert "  hpo run " in command("run", file, "--inline").out
    monkeypatch.setenv(SENT_BY, "ann")
    printed = command("run", file, "--inline").out
    assert "  hpo submit " in printed
    assert "hpo run" not in printed
    assert "hpo narrow toy " in printed


@pytest.mark.parametrize("name", ["1", "a/b", "1/2/3/4", "-1/2", "1/x", "1/2x"])
def test_what_names_no_trial_is_one_line(folder: Path, command: Command, name: str) -> None:
    hpo("run", write(folder, "for_names", "    return rate\n"), "--inline")
    shown = command("logs", "toy", "--", name)
    assert (shown.code, shown.err.count("\n")) == (2, 1)
    assert "use the form ROUND/TRIAL, for example 2/17" in shown.err


def test_a_trial_that_is_not_there_is_one_line(folder: Path, command: Command) -> None:
    hpo("run", write(folder, "for_absent", "    return rate\n"), "--inline")
    shown = command("logs", "toy", "1/3")
    assert (shown.code, shown.err.count("\n")) == (2, 1)
    assert "toy has no trial 3 of round 1; to list all trials" in shown.err


def test_a_running_trial_is_followed_to_its_end(folder: Path, command: Command) -> None:
    seconds = attempt.FLUSH_SECONDS + 0.5
    body = f"""    for epoch in range(4):
        print("epoch", epoch, flush=True)
        time.sleep({seconds})
        yield rate
"""
    file = write(folder, "runs_long", body)
    running = start("run", file, "--inline", cwd=folder)
    end = time.monotonic() + 120
    followed = Outcome(2, "", "")
    while followed.code != 0:
        assert time.monotonic() < end, followed.err
        time.sleep(0.3)
        if (folder / "mlflow.db").exists():
            followed = command("logs", "toy", "1/1", "--follow")
    assert followed.out == "epoch 0\nepoch 1\nepoch 2\nepoch 3\n"
    running.communicate(timeout=120)


@pytest.mark.parametrize("place", [["--inline"], ["--workers", "1"]], ids=["inline", "ray"])
@pytest.mark.parametrize("kind", ["python", "program"])
def test_what_is_printed_inside_a_long_epoch_is_on_record_meanwhile(
    folder: Path, command: Command, place: list[str], kind: str
) -> None:
    body = """    print("begun", flush=True)
    end = time.monotonic() + 120
    while not {seen}.exists():
        time.sleep(0.1)
        assert time.monotonic() < end
    print("seen")
"""
    if kind == "python":
        module = f"is_long_{place[0].strip('-')}"
        file = write(folder, module, body.format(seen="__import__('pathlib').Path('seen')")
                     + "    return rate\n")
    else:
        lines = [line.removeprefix("    ") for line in body.splitlines()]
        text = "import pathlib, time\n" + "\n".join(lines).format(seen="pathlib.Path('seen')")
        (folder / "long.py").write_text(text + "\nprint('{\"loss\": 1}')\n")
        file = folder / "toy.toml"
        file.write_text('command = ["python", "long.py"]\n' + STUDY.partition("\n")[2].partition(
            "\n")[2].replace("{{", "{").replace("}}", "}"))
    running = start("run", file, *place, cwd=folder)
    end, shown = time.monotonic() + 100, Outcome(2, "", "")
    while not shown.out:
        assert time.monotonic() < end, shown.err
        assert running.poll() is None
        time.sleep(0.3)
        if (folder / "mlflow.db").exists():
            shown = command("logs", "toy", "1/1")
    assert shown.out == "begun\n"
    (folder / "seen").touch()
    running.communicate(timeout=120)
    rest = '{"loss": 1}\n' if kind == "program" else ""
    assert command("logs", "toy", "1/1").out == "begun\nseen\n" + rest
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("toy")
    assert experiment is not None
    trials = client.search_runs([experiment.experiment_id], "tags.kind = 'trial'")
    assert [run.data.tags["number"] for run in trials] == ["2", "1"]
