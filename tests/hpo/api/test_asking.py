"""A loop of one's own asks for trials and tells what came of them; the record is as always."""

import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import hpo
from hpo.api.asking import AskedTrial, Asking
from hpo.exported import CIRCUMSTANCES
from hpo.record.process import StudyElsewhere
from tests.fixtures import Make, undisturbed

pytestmark = pytest.mark.slow
SPACE = {
    "learning_rate": hpo.Range(1e-4, 1e1, log=True),
    "weight_decay": hpo.Range(1e-8, 1e-4, log=True),
}


def asked(**keys: Any) -> hpo.Study:
    """Return a study whose results are told."""
    return hpo.Study(**{  # type: ignore[arg-type]
        "name": "asked", "metric": "accuracy", "direction": "maximize", "search_space": SPACE,
        "round": {"trials": 12, "sampler": "random", "parallel": 4}, **keys,
    })


def told(trial: Mapping[str, Any] | AskedTrial) -> list[dict[str, float]]:
    """Return the epochs of a training that costs nothing."""
    rate = trial["learning_rate"]
    return [{"accuracy": 1 / (1 + rate) * epoch / 3, "loss": rate} for epoch in range(1, 4)]


def table(name: str) -> list[dict[str, Any]]:
    """Return the trials of a study without what may differ from run to run."""
    frame = hpo.load(name).trials()
    rows: list[dict[str, Any]] = frame.drop(columns=list(CIRCUMSTANCES)).to_dict("records")
    return rows


def test_the_trials_are_those_of_the_same_search_with_an_objective(
    make_study: Make, folder: Path
) -> None:
    expected = undisturbed(make_study)
    with hpo.open(asked()) as asking:
        for trial in asking:
            asking.tell(trial, told(trial))
    got = table("asked")
    assert [row["learning_rate"] for row in got] == [float(r["learning_rate"]) for r in expected]
    assert [row["seed"] for row in got] == [int(r["seed"]) for r in expected]
    assert {row["state"] for row in got} == {"complete"}
    assert [row["epochs"] for row in got] == [3] * 12
    with hpo.open(asked()) as asking:  # all is done
        assert asking.ask() is None


@pytest.mark.parametrize("sampler", ["random", "tpe", "qmc", "grid"])
def test_no_order_of_telling_changes_what_is_asked(folder: Path, sampler: str) -> None:
    rounds = {"trials": 9, "sampler": sampler, "parallel": 3}
    with hpo.open(asked(name="a", round=rounds), 2) as asking:
        for trial in asking:
            asking.tell(trial, told(trial))
    with hpo.open(asked(name="b", round=rounds), 2) as asking:
        while (trial_ := asking.ask()) is not None:
            open_trials = [trial_]
            while len(open_trials) < 3:
                try:
                    more = asking.ask()
                except hpo.InputError:  # one has to be told first
                    break
                if more is None:
                    break
                open_trials.append(more)
            for each in reversed(open_trials):
                asking.tell(each, told(each))
    assert table("a") == table("b")


def test_others_see_who_runs_it_and_how_it_fares(folder: Path, command: Any) -> None:
    with hpo.open(asked()) as asking:
        trial = asking.ask()
        assert trial is not None
        asking.tell(trial, 0.5)
        (summary,) = hpo.studies()
        assert summary["health"]["running"]
        assert summary["run_by"].endswith(f"on {socket.gethostname()}")
        assert "run by" in command("list").out
    (summary,) = hpo.studies()
    assert (summary["run_by"], summary["health"]["running"]) == (None, False)
    assert "run by" not in command("list").out


def test_more_than_parallel_are_refused_and_another_thread_may_be_waited_for(
    folder: Path,
) -> None:
    with hpo.open(asked(round={"trials": 4, "sampler": "random", "parallel": 2})) as asking:
        first, second = asking.ask(), asking.ask()
        assert first is not None
        assert second is not None
        with pytest.raises(hpo.InputError) as caught:
            asking.ask()
        assert str(caught.value) == (
            "2 trials asked for but not told yet, and the next one needs the result of an earlier "
            "one; tell one first, or raise round.parallel"
        )
        got: list[AskedTrial | None] = []
        waiting = threading.Thread(target=lambda: got.append(asking.ask(wait=True)))
        waiting.start()
        asking.tell(second, 0.5)
        waiting.join(30)
        assert got[0] is not None
        assert got[0].number == 3


def test_what_is_told_becomes_a_state(folder: Path) -> None:
    study = asked(
        round={"trials": 6, "sampler": "random", "parallel": 6},
        constraint_metrics={"size": {"at_most": 5}},
    )
    with hpo.open(study) as asking:
        trials = [asking.ask() for _ in range(6)]
        assert all(trials)
        first, second, third, fourth, fifth, sixth = (t for t in trials if t)
        asking.tell(first, {"accuracy": 0.5, "size": 3})
        asking.tell(second, {"accuracy": 0.9, "size": 9})
        asking.tell(third, {"accuracy": float("nan"), "size": 3})
        asking.fail(fourth, "the disk was full")
        asking.infeasible(fifth, "no such layer")
        assert not asking.report(sixth, {"accuracy": 0.1, "size": 1})
        asking.tell(sixth, {"accuracy": 0.2, "size": 1})
        with pytest.raises(hpo.InputError, match="trial 1 of round 1 was already told"):
            asking.tell(first, 0.5)
    got = table("asked")
    assert [row["state"] for row in got] == [
        "complete", "infeasible", "diverged", "failed", "infeasible", "complete",
    ]
    assert [row["message"] for row in got][1:5] == [
        "size must be at most 5, got 9", "", "the disk was full", "no such layer",
    ]
    assert got[5]["epochs"] == 2
    assert got[5]["value"] == 0.2


def test_outside_of_its_block_nothing_is_taken(folder: Path) -> None:
    asking = hpo.open(asked())
    with pytest.raises(hpo.InputError, match="the study is not open"):
        asking.ask()
    with asking:
        trial = asking.ask()
        assert trial is not None
    for late in (
        lambda: asking.tell(trial, 0.5), lambda: asking.report(trial, 0.5),
        lambda: asking.fail(trial, "no"), asking.ask,
    ):
        with pytest.raises(hpo.InputError, match="the study is closed"):
            late()
    with hpo.open(asked()) as again:
        first = again.ask()
        assert first is not None
        assert (first.number, first.hyperparameters) == (1, trial.hyperparameters)
        with pytest.raises(hpo.InputError, match="trial: expected a trial that `ask` returned"):
            again.tell("one", 0.5)  # type: ignore[arg-type]


def test_what_ends_the_study_at_its_end_comes_out_as_well(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end_round(*_: object) -> None:
        raise hpo.HPOError("somebody else has it")

    monkeypatch.setattr(StudyElsewhere, "end_round", end_round)
    with hpo.open(asked(round={"trials": 1, "sampler": "random"})) as asking:
        trial = asking.ask()
        assert trial is not None
        with pytest.raises(hpo.HPOError, match="somebody else has it"):
            asking.tell(trial, 0.5)  # it is heard once: the block ends without a word
    assert len(hpo.load("asked").trials()) == 1


def test_what_ended_the_study_meanwhile_comes_out_where_nobody_asked_again(folder: Path) -> None:
    asking = hpo.open(asked())
    asking.__enter__()
    assert asking._workers is not None
    asking._workers.end(hpo.HPOError("another process took over this study"))
    with pytest.raises(hpo.HPOError, match="took over this study"):
        asking.__exit__(None, None, None)


def test_what_is_trained_to_its_end_is_not_pruned(folder: Path) -> None:
    study = asked(round={
        "trials": 8, "sampler": "random", "parallel": 1,
        "pruner": {"name": "median", "startup_trials": 2, "warmup_epochs": 0},
    })
    with hpo.open(study) as asking:
        for trial in asking:
            asking.tell(trial, told(trial))
    assert {row["state"] for row in table("asked")} == {"complete"}


def test_what_cannot_be_counted_is_refused_and_can_be_told_once_more(folder: Path) -> None:
    with hpo.open(asked()) as asking:
        trial = asking.ask()
        assert trial is not None
        for wrong, said in (
            ({"loss": 1.0}, "'accuracy', the metric of the study, is required but missing; got"),
            ("good", "expected a number or a mapping such as {'accuracy': 0.5}, got 'good'"),
            ([{"accuracy": 0.9}, {"loss": 1.0}], "'accuracy', the metric of the study"),
            ([], "has no result yet; tell its accuracy"),
        ):
            with pytest.raises(hpo.InputError, match=said):
                asking.tell(trial, wrong)
        asking.tell(trial, 0.5)
    first = table("asked")[0]
    assert (first["value"], first["epochs"]) == (0.5, 1), "what was refused does not count"


def test_a_reported_trial_ends_where_the_pruner_says_so(folder: Path) -> None:
    study = asked(round={
        "trials": 8, "sampler": "random", "parallel": 1,
        "pruner": {"name": "median", "startup_trials": 2, "warmup_epochs": 0},
    })
    epochs: dict[int, int] = {}
    with hpo.open(study) as asking:
        for trial in asking:
            for metrics in told(trial):
                epochs[trial.number] = epochs.get(trial.number, 0) + 1
                if asking.report(trial, metrics):
                    break
            else:
                asking.tell(trial)
    got = table("asked")
    assert "pruned" in {row["state"] for row in got}
    assert [row["epochs"] for row in got] == list(epochs.values())
    assert all(row["epochs"] < 3 for row in got if row["state"] == "pruned")


def test_what_ends_the_study_comes_out_of_the_loop(folder: Path) -> None:
    with hpo.open(asked()) as asking:
        for _ in range(4):
            trial = asking.ask()
            assert trial is not None
            asking.fail(trial, "no")
        trial = asking.ask()
        assert trial is not None
        with pytest.raises(hpo.HPOError, match="5 of 5 trials failed, the last with: no"):
            asking.fail(trial, "no")
        with pytest.raises(hpo.HPOError, match="5 of 5 trials failed"):
            asking.ask()


def test_repeats_and_several_seeds_are_asked_for(folder: Path) -> None:
    study = asked(
        trial={"seeds": 2}, round={"trials": 3, "sampler": "tpe", "parallel": 1},
        confirm={"top": 1, "repeats": 2},
    )
    seen = []
    with hpo.open(study) as asking:
        for trial in asking:
            seen.append((trial.number, trial.part))
            asking.tell(trial, told(trial))
    assert seen[:6] == [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (3, 2)]
    assert len(hpo.load("asked").recorded.repeats) == 2
    assert len({*seen[6:]}) >= 1


def test_data_and_the_command_line_are_told_of(folder: Path, command: Any) -> None:
    path = asked().write()
    assert 'objective = "told"' in path.read_text()
    ended = command("run", path)
    assert ended.code == 2
    assert ended.err == (
        'hpo: asked.toml: objective: the results of "told" come from a program that asks for '
        "trials with `hpo.open` in Python; run that program, or name an objective\n"
    )
    study = hpo.Study(
        name="x", objective="toy:quadratic", metric="accuracy", direction="maximize",
        search_space=SPACE, data={"source": "digits"},
    )
    with pytest.raises(hpo.InputError, match="your own loop trains the trials"):
        Asking(study).__enter__()


LOOP = """
    import os, signal, sys
    sys.path.insert(0, {root!r})
    import hpo
    from tests.hpo.api.test_asking import asked, told

    ends = int(sys.argv[1])
    with hpo.open(asked(round={{"trials": 12, "sampler": "tpe", "parallel": 2}})) as asking:
        trials = [asking.ask()]
        while trials[0] is not None:
            with open("asked", "a") as file:
                print(trials[0].number, trials[0]["learning_rate"], file=file)
            if trials[0].number == ends:
                os.kill(os.getpid(), signal.SIGKILL)
            asking.tell(trials[0], told(trials[0]))
            trials = [asking.ask()]
"""


def test_a_loop_that_is_killed_goes_on_with_the_trial_it_had_asked_for(folder: Path) -> None:
    root = str(Path(__file__).parents[3])
    (folder / "loop.py").write_text(textwrap.dedent(LOOP.format(root=root)))
    codes = [
        subprocess.run([sys.executable, "loop.py", str(ends)], check=False).returncode
        for ends in (4, 9, 0)
    ]
    assert codes == [-signal.SIGKILL, -signal.SIGKILL, 0]
    lines = (folder / "asked").read_text().splitlines()
    assert [int(line.split()[0]) for line in lines] == [1, 2, 3, 4, 4, 5, 6, 7, 8, 9, 9, 10, 11, 12]
    assert lines[3] == lines[4]
    assert lines[9] == lines[10]
    killed = table("asked")
    with hpo.open(asked(
        name="whole", round={"trials": 12, "sampler": "tpe", "parallel": 2}
    )) as asking:
        for trial in asking:
            asking.tell(trial, told(trial))
    assert killed == table("whole")
