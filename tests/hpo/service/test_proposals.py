"""The next ranges are those proposed, unless a person, the file or the objective says otherwise."""

from dataclasses import replace
from pathlib import Path

import pytest

from hpo.distributions import CategoricalDistribution, FloatDistribution
from hpo.moves import Move
from hpo.record.values import Recorded, Round
from hpo.search_space import SearchSpace
from hpo.service import proposals
from hpo.service.comparability import settings_of
from hpo.study import StudyFile, read
from hpo.trial import State, Trial, TrialResult
from tests.fixtures import TOY, write_study

RATE = FloatDistribution(1e-4, 1e1, log=True)
DECAY = FloatDistribution(1e-8, 1e-4, log=True)
NEW = FloatDistribution(1e-2, 1.0, log=True)
MOVES = (
    Move("learning_rate", RATE, NEW, "narrowed", 0.4, "fit", 0.01),
    Move("weight_decay", DECAY, DECAY, "kept", 1.0, "no fit", 0.5),
)


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StudyFile:
    (tmp_path / "toy.py").write_text(TOY.read_text())
    monkeypatch.syspath_prepend(tmp_path)
    return read(write_study(tmp_path))


def round_of(study: StudyFile) -> Round:
    return Round(1, "run", study.search_space, settings_of(study, None), "", True)


def test_a_first_round_has_the_ranges_of_the_file_or_of_the_command_line(study: StudyFile) -> None:
    space, decisions = proposals.next_ranges(study, Recorded("1"), None, {}, False)
    assert (space, decisions) == ({"learning_rate": RATE, "weight_decay": DECAY}, ())
    space, _ = proposals.next_ranges(study, Recorded("1"), None, {"learning_rate": NEW}, False)
    assert space == {"learning_rate": NEW, "weight_decay": DECAY}


def test_a_move_is_taken_kept_changed_or_overruled(study: StudyFile) -> None:
    recorded = Recorded("1", rounds=(round_of(study),))
    other, third = replace(RATE, low=1e-3), replace(RATE, low=0.5)
    edited = study.model_copy(update={"search_space": {**study.search_space,
                                                       "learning_rate": other}})
    for now, overruled, keep, used, why in (
        (study, {}, False, NEW, "taken"),
        (study, {}, True, RATE, "kept by --keep-ranges"),
        (edited, {}, True, other, "changed in the study file"),
        (edited, {"learning_rate": third}, True, third, "overridden by --range"),
    ):
        space, decisions = proposals.next_ranges(now, recorded, MOVES, overruled, keep)
        assert space == {"learning_rate": used, "weight_decay": DECAY}
        assert (decisions[0].used, decisions[0].why) == (used, why)
        assert decisions[0].move is MOVES[0]
        assert decisions[1].why == ("kept by --keep-ranges" if keep else "taken")


def test_a_choice_of_the_file_comes_back_to_a_round_without_it(study: StudyFile) -> None:
    kinds: SearchSpace = {"kind": CategoricalDistribution(("good", "bad", "worse"))}
    round_ = replace(
        round_of(study), search_space={"kind": CategoricalDistribution(("bad", "worse"))},
        settings=replace(settings_of(study, None), search_space=kinds, objective="./train"),
    )
    values = {"good": 0.5, "bad": 0.1, "worse": 0.0}
    results = [
        TrialResult(Trial(1, i, {"kind": kind}, 0), State.COMPLETE, value + i / 1000)
        for i, (kind, value) in enumerate([*values.items()] * 5, start=1)
    ]
    (move,) = proposals.propose(round_, results, (), proposals.feasibility_of(round_))
    assert move.new == CategoricalDistribution(("good",))


def test_an_edge_that_is_not_accepted_stays_where_it_was() -> None:
    wide = Move("rate", FloatDistribution(0.1, 1.0), FloatDistribution(0.01, 10.0), "widened",
                2.0, "best at an edge", 0.01)
    accepted = proposals._accepted(wide, lambda name, value: True)
    assert accepted is wide
    low = proposals._accepted(wide, lambda name, value: value != 0.01)
    assert low.new == FloatDistribution(0.1, 10.0)
    assert low.reason == "best at an edge; the objective does not accept values outside this range"
    assert (low.kind, low.factor) == ("widened", pytest.approx(11.0))
    high = proposals._accepted(wide, lambda name, value: value != 10.0)
    assert high.new == FloatDistribution(0.01, 1.0)
    neither = proposals._accepted(wide, lambda name, value: 0.1 <= value <= 1.0)
    assert (neither.new, neither.kind, neither.factor) == (wide.old, "kept", 1.0)
    choices = CategoricalDistribution(("a", "b"))
    fewer = replace(wide, old=choices, new=CategoricalDistribution(("a",)))
    assert proposals._accepted(fewer, lambda name, value: False) is fewer


def test_the_objective_is_asked_where_it_is_found(study: StudyFile) -> None:
    round_ = round_of(study)
    assert proposals.is_found(round_)
    accepts = proposals.feasibility_of(round_).allows
    assert [accepts("learning_rate", rate) for rate in (0.5, 999.0, 1000.0, 0.0)] == [
        True, True, False, False
    ]
    for name, found in (("not_there_at_all:train", False), ("python train.py {rate}", True)):
        other = replace(round_, settings=replace(round_.settings, objective=name))
        assert proposals.is_found(other) == found
        assert proposals.feasibility_of(other).allows("learning_rate", 1e9)


def test_what_matters_most_comes_first(study: StudyFile) -> None:
    results = []
    for number in range(1, 41):
        value = 1e-8 * 1.2 ** (number * 7 % 41)
        point = {"learning_rate": 1e-4 * 1.3**number, "weight_decay": value}
        results.append(TrialResult(Trial(1, number, point, 0), State.COMPLETE, value, 1))
    recorded = Recorded("1", rounds=(round_of(study),), results=results)
    assert proposals.influential(recorded) == ["weight_decay", "learning_rate"]
    moves = proposals.moves_after(recorded)
    assert [move.name for move in moves] == ["learning_rate", "weight_decay"]
