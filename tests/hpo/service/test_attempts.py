"""Attempts go to the workers, again where one dies, and what comes of them goes to the outbox."""

from collections import deque
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hpo.errors import HPOError, InputError
from hpo.record.values import Attempt
from hpo.service.attempts import Attempts
from hpo.trial import Lost, Progress, State, Trial, TrialId, TrialResult
from hpo.workers.attempt import CodeChanged, NoMetric, Stalled


def trial(number: int = 1) -> Trial:
    return Trial(1, number, {}, 0)


class Everybody:
    """Stands for workers, delivery and listener: keeps what it is told, gives events."""

    checkpoints = None

    def __init__(self, *events: object, on_disk: tuple[TrialResult, ...] = ()) -> None:
        self.events, self.on_disk = deque(events), {r.trial.id: r for r in on_disk}
        self.told: list[tuple[Any, ...]] = []
        self.running: set[TrialId] = set()
        self.stops: dict[TrialId, str] = {}

    def stop_asked(self, trial: TrialId) -> str | None:
        return self.stops.get(trial)

    def submit(self, trial: Trial, attempt: int) -> None:
        self.told.append(("submit", trial.number, attempt))

    def next_event(self, timeout: float) -> Any:
        return self.events.popleft()

    def reclaim(self, trial: Trial) -> TrialResult | None:
        return self.on_disk.pop(trial.id, None)

    def __getattr__(self, name: str) -> Any:
        return lambda *values: self.told.append((name, *values))


def attempts_of(all_: Everybody, begun: Any = None, yielded: bool = False) -> Attempts:
    some: Any = all_
    study: Any = SimpleNamespace(path=Path("a.toml"), direction="maximize")
    known = [TrialResult(trial(9), State.COMPLETE, 0.5, 1, ({"accuracy": 0.5},))] * yielded
    return Attempts(study, begun or {}, known, some, some, some)


def test_a_result_is_on_disk_before_it_is_told() -> None:
    result = TrialResult(trial(), State.COMPLETE, 0.5, 1)
    progress = Progress(trial(), 1, 0.0, "here", ())
    everybody = Everybody(None, progress, Stalled("no room"), result)
    attempts = attempts_of(everybody, begun={trial().id: Attempt(4, "run")})
    attempts.submit(trial())
    assert attempts.running == 1
    assert [attempts.next_result() for _ in range(4)] == [None, None, None, result]
    assert attempts.running == 0
    assert everybody.told == [
        ("submit", 1, 5), ("trial_started", trial()), ("show", progress),
        ("trial_progressed", progress), ("note", "a.toml: no room"), ("add", result),
        ("trial_ended", result),
    ]


def test_a_result_that_waited_on_disk_is_not_trained_again() -> None:
    result = TrialResult(trial(), State.COMPLETE, 0.5, 1)
    everybody = Everybody(on_disk=(result,))
    attempts = attempts_of(everybody)
    attempts.submit(trial())
    assert (attempts.running, attempts.next_result(), attempts.running) == (1, result, 0)
    assert everybody.told == [("trial_ended", result)]


def test_a_lost_attempt_is_made_three_times() -> None:
    lost = [Lost(trial(), attempt, "killed") for attempt in (1, 2, 3)]
    everybody = Everybody(*lost)
    attempts = attempts_of(everybody)
    attempts.submit(trial())
    assert [attempts.next_result(), attempts.next_result()] == [None, None]
    failed = TrialResult(trial(), State.FAILED, attempt=3, message="killed (attempt 3 of 3)")
    assert attempts.next_result() == failed
    assert [t for t in everybody.told if t[0] in ("submit", "note", "abandon")] == [
        ("submit", 1, 1), ("abandon", lost[0]), ("note", "trial 1: killed; running it again"),
        ("submit", 1, 2), ("abandon", lost[1]), ("note", "trial 1: killed; running it again"),
        ("submit", 1, 3), ("abandon", lost[2]),
    ]
    assert everybody.told[-2:] == [("add", failed), ("trial_ended", failed)]


def test_an_attempt_that_others_go_on_from_does_not_count() -> None:
    all_ = Everybody(*(Lost(trial(), attempt, "killed") for attempt in range(1, 8)))
    kept = deque([2, 5, 5, 6, 6, 6, 6])  # epochs, when each is lost
    all_.checkpoints = SimpleNamespace(epochs=lambda _: kept.popleft(), forget=lambda _: None)
    attempts = attempts_of(all_)
    attempts.submit(trial())
    ended = [attempts.next_result() for _ in range(7)]
    assert ended[:6] == [None] * 6
    assert ended[6] is not None
    assert (ended[6].state, ended[6].attempt) == (State.FAILED, 7)
    assert ended[6].message == "killed (attempt 7 of 7)"  # the fourth was the last of use


def test_other_code_at_a_worker_ends_the_study() -> None:
    attempts = attempts_of(Everybody(CodeChanged(trial(), ("a.py", "b.py"), "there:7")))
    with pytest.raises(HPOError) as caught:
        attempts.next_result()
    assert str(caught.value) == (
        "a.py and b.py changed while the study was running: the worker at there:7 imported "
        "different code than the trials started with; change it back, or give the study another "
        "name"
    )


def test_a_metric_that_nobody_yields_ends_the_study_unless_a_trial_has_yielded_it() -> None:
    failed = TrialResult(trial(2), State.FAILED)
    without = NoMetric(failed, "loss", ("lost", "more"))
    for yielded, named in ((("lost", "more"), "lost, more"), ((), "nothing")):
        attempts = attempts_of(Everybody(failed, NoMetric(failed, "loss", yielded)))
        assert attempts.next_result() == failed
        with pytest.raises(InputError) as caught:
            attempts.next_result()
        assert str(caught.value) == (
            f"a.toml: metric: the objective does not report 'loss'; it reports {named}; "
            "choose a metric that it reports"
        )
    assert attempts_of(Everybody(without), yielded=True).next_result() == failed
    after = attempts_of(Everybody(TrialResult(trial(), State.PRUNED, 0.5, 1), without))
    after.next_result()
    assert after.next_result() == failed


def test_a_trial_that_ended_before_it_could_be_stopped_is_told() -> None:
    results = [TrialResult(trial(n), state, 0.5, 1) for n, state in
               ((1, State.COMPLETE), (2, State.STOPPED), (3, State.COMPLETE))]
    everybody = Everybody(*results)
    everybody.stops = {trial(n).id: "stopped by hand" for n in (1, 2)}
    attempts = attempts_of(everybody)
    for result in results:
        attempts.submit(result.trial)
    assert everybody.running == {trial(n).id for n in (1, 2, 3)}
    for _ in results:
        attempts.next_result()
    assert everybody.running == set()
    notes = [told for told in everybody.told if told[0] == "note"]
    assert notes == [("note", "trial 1 ended before it could be stopped")]
