"""A record that is away or refuses, and the results that it is given."""

from collections.abc import Sequence

from hpo.errors import (
    RecordRefused,
    RecordReplaced,
    RecordUnavailable,
    RoundAbsent,
)
from hpo.record import writing
from hpo.search.best_so_far import Point
from hpo.trial import Progress, State, Trial, TrialResult


def result(number: int = 1, attempt: int = 1) -> TrialResult:
    trial = Trial(1, number, {"hidden_sizes": (5, 3), "learning_rate": 0.1 + 0.2}, seed=7)
    metrics = ({"loss": 0.1 * number}, {"loss": float("nan")})
    return TrialResult(trial, State.DIVERGED, metrics=metrics, attempt=attempt, message="한\n'")


def same(left: list[TrialResult], right: list[TrialResult]) -> bool:
    return repr(left) == repr(right) and [str(r.metrics[1]) for r in left] == [
        str(r.metrics[1]) for r in right
    ]


class SomeRecord:
    """A record that is away, refuses, or takes what it is given."""

    def __init__(self, writers: int = 1) -> None:
        self.writers = writers
        self.taken: list[tuple[int, bool]] = []
        self.away = False
        self.refuses: set[int] = set()
        self.shown = self.kept = 0
        self.abandoned: list[tuple[int, int]] = []
        self.replaced = False
        self.is_new = False

    def write(self, metric: str, lanes: writing.Lanes) -> writing.Outcomes:
        return writing.write(self, metric, lanes)

    def deliver(self, metric: str, result: TrialResult, *, again: bool) -> None:
        if self.away:
            raise RecordUnavailable("nobody there")
        if self.is_new:
            raise RoundAbsent("no round 1")
        if result.trial.number in self.refuses:
            raise RecordRefused("deleted")
        self.taken.append((result.trial.number, again))

    def show(self, progress: Progress) -> None:
        self.shown += 1
        raise RecordUnavailable("nobody there")

    def show_best(self, run_id: str, metric: str, points: Sequence[Point]) -> None:
        pass

    def abandon(self, trial: Trial, attempt: int) -> None:
        self.abandoned.append((trial.number, attempt))
        raise RecordRefused("deleted")

    def keep(self, waiting: int = 0, aside: int = 0) -> None:
        self.kept += 1
        raise RecordUnavailable("nobody there")

    def verify(self) -> None:
        if self.replaced:
            raise RecordReplaced("the record was replaced")

    def confirm(self) -> None:
        self.verify()
