"""Copies stay of the best trials and of what was trained longest, in whatever order these end."""

import numpy as np

from hpo.checkpoints.folders import FolderStore
from hpo.checkpoints.trials import Checkpoints
from hpo.service.retention import Retention
from hpo.trial import State, Trial, TrialId, TrialResult, rank


class Forgotten(Checkpoints):
    """Takes note of what is removed."""

    gone: set[TrialId]

    def forget(self, trial: TrialId) -> None:
        """Note it; nothing is removed twice, and nothing that is still of use."""
        assert trial not in self.gone
        self.gone.add(trial)


def forgotten(keep: int) -> Forgotten:
    copies = Forgotten(FolderStore("nowhere"), "", 0.0, keep)
    object.__setattr__(copies, "gone", set())
    return copies


def random_results(random: np.random.Generator) -> list[TrialResult]:
    """Return results of trials and of longer ones, each once, in any order."""
    results: dict[TrialId, TrialResult] = {}
    for number in range(1, int(random.integers(1, 13))):
        extended_to = int(random.choice([0, 0, 0, 5, 9]))
        trial = Trial(1, 1 + number % 3 if extended_to else number, {}, 1, extended_to=extended_to)
        state = [State.COMPLETE, State.PRUNED, State.FAILED][random.choice(3, p=[0.6, 0.2, 0.2])]
        value = float(random.integers(5)) if state is State.COMPLETE else None  # some are equal
        results[trial.id] = TrialResult(trial, state, value)
    return [list(results.values())[i] for i in random.permutation(len(results))]


def test_the_best_stay_and_all_else_is_removed_once() -> None:
    random = np.random.default_rng(0)
    for _ in range(300):
        results, keep = random_results(random), int(random.integers(0, 5))
        searched = [r for r in results if not r.trial.extended_to]
        expected = {r.trial.id for r in rank(searched, "minimize")[:keep]}
        longest: dict[int, TrialId] = {}
        for result in results:
            identity = result.trial.id
            if identity.extended_to and keep and result.state is State.COMPLETE:
                longest[identity.number] = max(longest.get(identity.number, identity), identity)
        expected |= set(longest.values())
        copies = forgotten(keep)
        retention = Retention(copies, "minimize")
        for result in results:
            retention.ended(result)
        assert retention.kept == expected
        assert copies.gone == {r.trial.id for r in results} - expected
        again = Retention(copies, "minimize")
        again.know(results)
        assert again.kept == expected


def test_repeats_and_parts_are_not_kept() -> None:
    retention = Retention(forgotten(3), "maximize")
    for trial in (Trial(1, 1, {}, 1, repeat=1), Trial(1, 1, {}, 1, part=1)):
        retention.ended(TrialResult(trial, State.COMPLETE, 0.5, 1))
    assert retention.kept == set()
