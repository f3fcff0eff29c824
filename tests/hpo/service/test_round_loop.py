"""A round ends as its budget says, where trials are hopeless, and takes points that are added."""

import math
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from hpo.errors import HPOError
from hpo.record.values import Added, Asked, Recorded, Round
from hpo.search.best_so_far import Point
from hpo.service.comparability import settings_of
from hpo.service.round_loop import RoundLoop, budget_reached
from hpo.study import StudyFile, read
from hpo.trial import State, Trial, TrialId, TrialResult
from tests.fixtures import TOY, write_study


@pytest.fixture(autouse=True)
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "toy.py").write_text(TOY.read_text())
    monkeypatch.syspath_prepend(tmp_path)


def results(*values: float | None) -> list[TrialResult]:
    """Return trials with these values; None for one that diverged."""
    return [
        TrialResult(Trial(1, n, {}, 0), State.DIVERGED if v is None else State.COMPLETE, v, 1)
        for n, v in enumerate(values, start=1)
    ]


@pytest.mark.parametrize(
    ("budget", "values", "reached"),
    [
        ({}, (0.5, 0.1, 0.1), ""),
        ({"target": 0.9}, (0.5, 0.89, None), ""),
        ({"target": 0.9}, (0.5, 0.9), "the target 0.9 is reached"),
        ({"target": 0.9}, (None, 0.95), "the target 0.9 is reached"),
        ({"patience": 2}, (0.5, 0.6, 0.6), ""),
        ({"patience": 2}, (0.5, 0.6, 0.6, 0.5), "the last 2 trials were no better"),
        ({"patience": 2}, (0.5, 0.6, None, 0.5), "the last 2 trials were no better"),
        ({"patience": 2}, (0.5, 0.6, None, None), ""),  # only a value shows that it is no better
        ({"patience": 2}, (0.5, 0.4, 0.6, 0.5), ""),
        ({"patience": 1}, (0.5, 0.5), "the last trial was no better"),
    ],
)
def test_a_budget_is_reached_by_results_in_order(
    tmp_path: Path, budget: dict[str, Any], values: tuple[float | None, ...], reached: str
) -> None:
    study = read(write_study(tmp_path, budget=budget))
    assert budget_reached(study, results(*values)) == reached
    negative = read(write_study(tmp_path, direction="minimize", budget={
        key: -value if key == "target" else value for key, value in budget.items()
    }))
    turned = results(*(v if v is None else -v for v in values))
    assert budget_reached(negative, turned) == reached.replace("target 0.9", "target -0.9")


class Ends:
    """Stands for workers: each trial ends at once, in a state by its number."""

    def __init__(self, states: dict[int, State], message: str = "x\nbroken") -> None:
        self._states, self._message = states, message
        self.trained: list[Trial] = []
        self._waiting: list[Trial] = []
        self.shown: list[Point] = []
        self.listener: Any = None
        self.asked = Asked()
        self.begun = ()

    def begun_with(self, trial: TrialId) -> None:
        """No trial has parts."""

    def look(self) -> Asked:
        return self.asked

    @property
    def running(self) -> int:
        return len(self._waiting)

    def submit(self, trial: Trial) -> None:
        self._waiting.append(trial)
        self.trained.append(trial)

    def show_best(self, run_id: str, points: Sequence[Point]) -> None:
        self.shown += points

    def next_result(self) -> TrialResult:
        trial = self._waiting.pop(0)
        state = self._states.get(trial.number, State.COMPLETE)
        if state is State.FAILED:
            return TrialResult(trial, state, message=self._message)
        metrics = [{"accuracy": 1.0 / trial.number}]
        return TrialResult(trial, state, 1.0 / trial.number, 1, metrics, output="said")


class Hears:
    """A listener that keeps the numbers of what ended."""

    def __init__(self) -> None:
        self.ended: list[int] = []
        self.noted: list[str] = []

    def trial_ended(self, result: TrialResult) -> None:
        self.ended.append(result.trial.number)

    def note(self, text: str) -> None:
        self.noted.append(text)


def loop_of(
    study: StudyFile,
    ends: Ends,
    known: Recorded | None = None,
    until: float = math.inf,
    placed: dict[int, Added] | None = None,
) -> tuple[RoundLoop, Hears]:
    """Return a loop for round 1; what it places goes into `placed`."""
    placed = {} if placed is None else placed
    round_ = Round(
        1, "run", study.search_space, settings_of(study, None), "", False, placed=dict(placed)
    )
    ends.listener = hears = Hears()
    loop = RoundLoop(
        study, round_, study.round.trials, until, known or Recorded("1"), ends,  # type: ignore[arg-type]
        placed.__setitem__,
    )
    return loop, hears


FAILED = State.FAILED


@pytest.mark.parametrize(
    ("failing", "settings", "said"),
    [
        ({1, 2, 3, 4, 5}, {}, "5 of 5 trials failed, the last with: broken; fix the objective, "
         "or raise max_failures"),
        ({1, 2, 3, 4}, {}, ""),
        ({2, 3, 4, 5, 6, 7, 8}, {}, "7 of 8 trials failed, the last with: broken; fix the "
         "objective and give the study another name, or raise max_failures"),
        ({2, 3, 4, 5, 6, 7}, {}, ""),
        ({2, 4}, {"max_failures": 1}, "2 of 4 trials failed"),
        ({2}, {"max_failures": 1}, ""),
        ({1, 2, 3, 4, 5, 6}, {"max_failures": 6}, ""),
        ({1, 2}, {"trials": 2}, "2 of 2 trials failed"),
        ({1}, {"trials": 1}, "1 of 1 trial failed"),
    ],
)
def test_a_round_stops_when_too_many_trials_failed(
    tmp_path: Path, failing: set[int], settings: dict[str, Any], said: str
) -> None:
    study = read(write_study(tmp_path, round={"parallel": 1, **settings}))
    ends = Ends(dict.fromkeys(failing, FAILED))
    loop, _ = loop_of(study, ends)
    if not said:
        assert len(loop.run()) == study.round.trials
        return
    with pytest.raises(HPOError) as caught:
        loop.run()
    assert str(caught.value).startswith(said)
    assert len(ends.trained) == int(said.split(" of ")[1].split()[0])


def test_a_failure_without_a_word_is_said_too(tmp_path: Path) -> None:
    study = read(write_study(tmp_path, round={"trials": 1}))
    with pytest.raises(HPOError, match="the last with: unknown reason; fix"):
        loop_of(study, Ends({1: FAILED}, ""))[0].run()


def test_what_was_deleted_does_not_count_as_failed(tmp_path: Path) -> None:
    study = read(write_study(tmp_path, round={"trials": 6}))
    deleted = [TrialResult(Trial(1, n, {"learning_rate": 0.1, "weight_decay": 1e-6}, 0), FAILED)
               for n in range(1, 6)]
    loop, hears = loop_of(study, ends := Ends({}), Recorded("1", deleted=deleted))
    assert len(loop.run()) == 6
    assert [trial.number for trial in ends.trained] == [6]
    assert hears.ended == [1, 2, 3, 4, 5]


def test_a_budget_ends_a_round_before_its_last_trial(tmp_path: Path) -> None:
    study = read(write_study(tmp_path, budget={"target": 0.9}, round={"parallel": 2}))
    loop, _ = loop_of(study, ends := Ends({}))
    assert [r.trial.number for r in loop.run()] == [1, 2]
    assert loop.stopped == "the target 0.9 is reached"
    assert len(ends.trained) == 2
    over = read(write_study(tmp_path, budget={"hours": 0.5}))
    loop, _ = loop_of(over, ends := Ends({}), until=time.monotonic() - 1)
    assert (loop.run(), ends.trained) == ([], [])
    assert loop.stopped == "the budget of 0.5 hours is used up"


def test_of_results_only_what_is_needed_is_kept(tmp_path: Path) -> None:
    study = read(write_study(tmp_path, round={"trials": 2, "parallel": 2}))
    kept = loop_of(study, Ends({}))[0].run()
    assert [r.output for r in kept] == ["", ""]
    assert [r.curve("accuracy") for r in kept] == [[1.0], [0.5]]


def test_points_to_start_with_come_first_and_the_rest_of_them_is_drawn(tmp_path: Path) -> None:
    file = write_study(tmp_path, round={"trials": 3, "parallel": 1})
    file.write_text(file.read_text() + "[[start]]\nlearning_rate = 0.5\n")
    loop, _ = loop_of(read(file), ends := Ends({}))
    loop.run()
    plain, _ = loop_of(read(write_study(tmp_path, round={"trials": 3, "parallel": 1})),
                       drawn := Ends({}))
    plain.run()
    first, *others = (trial.hyperparameters for trial in ends.trained)
    assert first == {**drawn.trained[0].hyperparameters, "learning_rate": 0.5}
    assert others == [trial.hyperparameters for trial in drawn.trained[1:]]
    assert [t.seed for t in ends.trained] == [t.seed for t in drawn.trained]


def test_cut_offs_go_out_with_a_trial_where_there_is_a_pruner(tmp_path: Path) -> None:
    pruner = {"name": "median", "startup_trials": 1, "warmup_epochs": 0}
    study = read(write_study(tmp_path, round={"trials": 3, "parallel": 1, "pruner": pruner}))
    loop_of(study, ends := Ends({}))[0].run()
    assert [trial.cut_offs is None for trial in ends.trained] == [True, False, False]
    third = ends.trained[2].cut_offs
    assert third is not None
    assert third.by_epoch[0] == 0.75  # the median of 1 and 1/2


class Adds(Ends):
    """Stands for workers whose trials end in any order, while people add points."""

    def __init__(self, seed: int, points: dict[int, Added]) -> None:
        super().__init__({})
        self._random, self._points, self._count = random.Random(seed), points, 0

    def next_result(self) -> TrialResult:
        self._count += 1
        if self._count in self._points:
            self.asked = Asked((*self.asked.added, self._points[self._count]))
        self._random.shuffle(self._waiting)
        return super().next_result()


POINT = Added("1-a", {"learning_rate": 3e-2, "weight_decay": 0.0})  # outside a range
PARTIAL = Added("2-b", {"learning_rate": 1e-3})


@pytest.mark.parametrize("sampler", ["random", "tpe", "grid", "qmc"])
def test_points_that_are_added_take_the_next_number_and_all_the_others_stay_their_own(
    tmp_path: Path, sampler: str
) -> None:
    study = read(write_study(tmp_path, round={"sampler": sampler, "trials": 12, "parallel": 3}))
    plain = loop_of(study, Ends({}))[0].run()
    placed: dict[int, Added] = {}
    ends = Adds(0, {3: POINT, 7: PARTIAL})
    loop, hears = loop_of(study, ends, placed=placed)
    results = loop.run()
    assert [r.trial.number for r in results] == list(range(1, 15))
    assert list(placed.values()) == [POINT, PARTIAL]
    first, second = placed
    assert 3 < first < second
    assert hears.noted == [f"trial {n} is a point added by hand" for n in placed]
    by_number = {r.trial.number: r.trial for r in results}
    assert {n for n, trial in by_number.items() if trial.added} == set(placed)
    assert by_number[first].hyperparameters == POINT.hyperparameters
    assert by_number[second].hyperparameters["learning_rate"] == 1e-3
    assert study.search_space["weight_decay"].contains(
        by_number[second].hyperparameters["weight_decay"]
    )
    if sampler in ("grid", "qmc"):  # they skip no point of their own
        own = [trial.hyperparameters for trial in by_number.values() if not trial.added]
        assert own == [r.trial.hyperparameters for r in plain]


@pytest.mark.parametrize("sampler", ["random", "tpe", "grid", "qmc"])
@pytest.mark.parametrize("seed", range(4))
def test_a_round_with_added_points_is_rebuilt_from_any_part_of_its_record(
    tmp_path: Path, sampler: str, seed: int
) -> None:
    study = read(write_study(tmp_path, round={"sampler": sampler, "trials": 12, "parallel": 3}))
    placed: dict[int, Added] = {}
    results = loop_of(study, Adds(seed, {3: POINT, 7: PARTIAL}), placed=placed)[0].run()
    generator = random.Random(seed)
    kept = [r for r in results if generator.random() < 0.5]
    again, ends = dict(placed), Adds(seed + 1, {})
    rebuilt = loop_of(study, ends, Recorded("1", results=kept), placed=again)[0].run()
    assert [r.trial for r in rebuilt] == [r.trial for r in results]
    assert again == placed


def test_an_added_point_fills_no_gap_of_a_round_that_goes_on(tmp_path: Path) -> None:
    study = read(write_study(tmp_path, round={"trials": 6, "parallel": 3}))
    full = loop_of(study, Ends({}))[0].run()
    ends = Ends({})
    ends.asked = Asked((POINT,))
    placed: dict[int, Added] = {}
    known = Recorded("1", results=[full[0], full[3]])  # 2 and 3 were running
    results = loop_of(study, ends, known, placed=placed)[0].run()
    assert list(placed) == [5]
    assert [r.trial for r in results][:4] == [r.trial for r in full][:4]


def test_an_added_point_that_cannot_be_trained_with_is_left_out(tmp_path: Path) -> None:
    file = write_study(
        tmp_path, round={"trials": 2}, constraints=["learning_rate < 0.02"]
    )
    ends = Ends({})
    ends.asked = Asked((POINT,))
    loop, hears = loop_of(read(file), ends)
    assert len(loop.run()) == 2
    assert hears.noted == [
        "a point added by hand is ignored: the constraint 'learning_rate < 0.02' does "
        "not hold"
    ]
