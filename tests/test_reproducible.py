"""The same study file and seed give the same table, wherever and however trials run."""

import random
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hpo.objective import Data
from hpo.search import gp
from hpo.trial import Lost, Trial
from hpo.workers.attempt import Event, Job, attempt_trial
from tests.fixtures import hpo, table, undisturbed

Make = Callable[..., Path]
Table = list[dict[str, str]]

CASES = {
    "random": {"sampler": "random"},
    "qmc": {"sampler": "qmc"},
    "grid": {"sampler": "grid"},
    "tpe": {"sampler": "tpe"},
    **({"gp": {"sampler": "gp"}} if gp.is_installed() else {}),
    "median": {
        "sampler": "tpe",
        "pruner": {"name": "median", "startup_trials": 3, "warmup_epochs": 0},
    },
    "percentile": {
        "sampler": "random",
        "pruner": {"name": "percentile", "startup_trials": 3, "warmup_epochs": 0},
    },
    "halving": {"sampler": "tpe", "pruner": {"name": "successive_halving", "min_resource": 1}},
    "parts": {
        "sampler": "tpe",
        "pruner": {"name": "median", "startup_trials": 3, "warmup_epochs": 0},
    },
}


class OutOfOrder:
    """So many workers, whose trials end in any order, now and then by the death of one.

    What runs at the same time is decided by chance alone, as no machine would, in this process.
    """

    def __init__(
        self, job: Job, data: Data | None, show: object, stops: object, *, slots: int
    ) -> None:
        self.slots, self.checkpoints = slots, None
        self._job, self._data = job, data
        self._waiting: list[tuple[Trial, int]] = []
        self._chance = random.Random(slots)

    def submit(self, trial: Trial, attempt: int) -> None:
        self._waiting.append((trial, attempt))

    def next_event(self, timeout: float) -> Event | None:
        if not self._waiting:
            return None
        running = len(self._waiting[: self.slots])
        trial, attempt = self._waiting.pop(self._chance.randrange(running))
        if attempt == 1 and self._chance.random() < 0.2:
            return Lost(trial, attempt, "its worker died")
        *_, result = attempt_trial(self._job, self._data, trial, attempt)
        return result

    def close(self) -> None:
        self._waiting.clear()


def changes_of(case: str) -> dict[str, Any]:
    settings = {"trials": 14, "parallel": 6, **CASES[case]}
    parts = {"trial": {"seeds": 3}} if case == "parts" else {}
    return {"objective": "toy:cliff", "rounds": 2, "round": settings, **parts}


def run(case: str, make_study: Make, name: str, *options: str, **changes: Any) -> Table:
    hpo("run", make_study(name, **changes_of(case), **changes), *options)
    return table(name)


def inline(case: str, make_study: Make) -> Table:
    """Return what one worker after the other gives: there is no order to disturb."""
    found = undisturbed(make_study, **changes_of(case))
    assert len(found) == 28
    assert {row["state"] for row in found} > {"complete"}
    assert len({row["learning_rate"] for row in found}) > 7
    return found


@pytest.mark.parametrize(
    ("case", "numbers"),
    [(case, (2, 5) if settings["sampler"] == "tpe" else (5,)) for case, settings in CASES.items()],
)
def test_any_order_in_which_trials_end_gives_the_same_table(
    case: str, numbers: tuple[int, ...], make_study: Make, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    expected = inline(case, make_study)
    for slots in numbers:
        monkeypatch.setattr("hpo.workers.inline.InlineWorkers", partial(OutOfOrder, slots=slots))
        capsys.readouterr()
        assert run(case, make_study, f"with{slots}", "--inline") == expected
        assert "its worker died; running it again" in capsys.readouterr().out


@pytest.mark.parametrize(("case", "number"), [("tpe", 4), ("halving", 2)])
def test_any_number_of_workers_gives_the_same_table(
    case: str, number: int, make_study: Make, near_ray: str
) -> None:
    expected = inline(case, make_study)
    actual = run(
        case, make_study, f"with{number}", "--ray-address", near_ray,
        # Trials of different lengths end out of order; Ray has four CPUs.
        fixed={"sleep": 0.15}, resources={"cpus": 4 // number},
    )
    assert actual == expected


def test_another_seed_gives_another_table(make_study: Callable[..., Path]) -> None:
    hpo("run", make_study("one", seed=1), "--inline")
    hpo("run", make_study("two", seed=2), "--inline")
    assert table("one") != table("two")


def test_a_study_file_alone_decides_the_table(
    make_study: Callable[..., Path], empty_database: Path
) -> None:
    file = make_study(round={"sampler": "tpe"})
    shutil.copy(empty_database, "second.db")
    hpo("run", file, "--inline")
    hpo("run", file, "--inline", "--tracking-uri", "sqlite:///second.db")
    assert table() == table("toy", "--tracking-uri", "sqlite:///second.db")
