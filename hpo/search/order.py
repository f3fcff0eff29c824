"""Which results a trial may know, so that proposals never depend on timing."""

from collections.abc import Iterable

from hpo.trial import TrialResult


class ResultsInOrder:
    """The results of a round, in the order in which its trials learn of them.

    Trial n knows exactly the results of the trials numbered up to n - `parallel`. Others may have
    ended as well, but for trial n they are still running. So trial n has to wait for the results it
    knows, and for no others.
    """

    def __init__(self, parallel: int, results: Iterable[TrialResult] = ()) -> None:
        self._parallel = parallel
        self._by_number = {result.trial.number: result for result in results}
        self._in_order: list[TrialResult] = []

    def add(self, result: TrialResult) -> None:
        """Add a result; they may come in any order."""
        self._by_number[result.trial.number] = result

    def get(self, number: int) -> TrialResult | None:
        """Return the result of a trial; None if it has not ended."""
        return self._by_number.get(number)

    def all(self) -> list[TrialResult]:
        """Return every result there is, in order of number."""
        return [self._by_number[number] for number in sorted(self._by_number)]

    def in_order(self, after: int = 0) -> list[TrialResult]:
        """Return the results up to the first trial still running, without the first `after`."""
        while (following := self._by_number.get(len(self._in_order) + 1)) is not None:
            self._in_order.append(following)
        return self._in_order[after:]

    def are_ready_for(self, number: int) -> bool:
        """Return whether all results that trial `number` knows are there."""
        self.in_order()
        return len(self._in_order) >= number - self._parallel

    def known_to(self, number: int, after: int = 0) -> list[TrialResult]:
        """Return the results that trial `number` knows, without the first `after` of them.

        They must be ready.
        """
        return self._in_order[after : max(number - self._parallel, 0)]
