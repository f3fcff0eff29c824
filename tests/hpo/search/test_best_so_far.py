"""The line of the best value so far is the same, point by point or at once."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.search.best_so_far import BestSoFar, points_of
from hpo.trial import Direction, State, Trial, TrialResult

VALUES = st.one_of(st.none(), st.sampled_from([0.1, 0.5, 0.9]), st.floats(-1, 1))


def result(number: int, value: float | None, started: float) -> TrialResult:
    state = State.FAILED if value is None else State.COMPLETE
    return TrialResult(
        Trial(1, number, {}, number), state, value, None if value is None else 1,
        started=started, seconds=2.0,
    )


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
@given(st.lists(st.tuples(VALUES, st.floats(0, 100))))
def test_a_line_through_the_points_is_the_best_so_far(
    direction: Direction, seen: list[tuple[float | None, float]]
) -> None:
    results = [result(n, value, when) for n, (value, when) in enumerate(seen, start=1)]
    best = max if direction == "maximize" else min
    points = points_of(results, direction)
    assert [p.step for p in points] == sorted({p.step for p in points})
    known = {p.step: p.value for p in points}
    expected: list[float] = []
    for n, r in enumerate(results, start=1):
        if r.value is not None:
            expected = [*expected, r.value]
        now = best(expected, default=math.nan)
        before = max((step for step in known if step <= n), default=0)
        if expected:
            assert known[before] == now
            after = min(step for step in known if step >= n)  # flat as far as the next point
            assert before == n or known[after] == now
        else:
            assert not before
    assert [p.when for p in points] == [
        max(r.started + 2.0 for r in results[: p.step]) for p in points
    ]
    line = BestSoFar(direction)
    assert [p for r in results for p in line.add(r)] + line.end() == points


def test_pruned_and_diverged_trials_are_no_best() -> None:
    pruned = TrialResult(Trial(1, 1, {}, 1), State.PRUNED, 0.9, 1)
    diverged = TrialResult(Trial(1, 2, {}, 1), State.DIVERGED, None, None)
    assert points_of([pruned, diverged], "maximize") == []
