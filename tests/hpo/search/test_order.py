"""What a trial knows follows from its number alone, in whatever order results come."""

from hypothesis import given
from hypothesis import strategies as st

from hpo.search.order import ResultsInOrder
from hpo.trial import State, Trial, TrialResult


def result(number: int) -> TrialResult:
    return TrialResult(Trial(1, number, {}, seed=number), State.COMPLETE, float(number), 1)


@given(st.permutations(range(1, 13)), st.integers(1, 14), st.integers(0, 12))
def test_a_trial_knows_all_up_to_its_number_minus_parallel(
    order: list[int], parallel: int, before: int
) -> None:
    results = ResultsInOrder(parallel, map(result, order[:before]))
    ended = set(order[:before])
    for latest in [0, *order[before:]]:
        if latest:
            results.add(result(latest))
            ended.add(latest)
        for number in range(1, 14):
            known = range(1, number - parallel + 1)
            assert results.are_ready_for(number) == ended.issuperset(known)
            if ended.issuperset(known):
                assert [r.trial.number for r in results.known_to(number)] == list(known)
                assert [r.trial.number for r in results.known_to(number, 3)] == list(known)[3:]
        assert [r.trial.number for r in results.all()] == sorted(ended)
        whole = next(n for n in range(1, 14) if n not in ended)
        assert [r.trial.number for r in results.in_order(2)] == list(range(3, whole))
        assert all((results.get(n) is not None) == (n in ended) for n in range(1, 13))


def test_the_first_trials_know_nothing_and_wait_for_nothing() -> None:
    results = ResultsInOrder(4)
    assert all(results.are_ready_for(number) for number in (1, 2, 3, 4))
    assert not results.are_ready_for(5)
    results.add(result(2))
    assert not results.are_ready_for(5)  # 1 may end after 2 and counts before it
    results.add(result(1))
    assert results.are_ready_for(5)
    assert results.are_ready_for(6)
    assert results.known_to(5) == [result(1)]
