"""Trials as bars over time: those of one place that overlap lie beside each other."""

from collections.abc import Sequence

from hpo.trial import TrialResult


def lanes(results: Sequence[TrialResult], places: Sequence[str]) -> list[int]:
    """Return in which lane each trial lies, from 0; the lanes of a place are next to each other.

    A trial takes the first lane of its place that is free when it starts.
    """
    lane_of: dict[int, int] = {}
    first = 0
    for place in places:
        mine = [i for i, r in enumerate(results) if r.place == place]
        free_at: list[float] = []
        for i in sorted(mine, key=lambda i: (results[i].started, i)):
            start = results[i].started
            lane = next((k for k, end in enumerate(free_at) if end <= start), len(free_at))
            free_at[lane:lane + 1] = [start + results[i].seconds]
            lane_of[i] = first + lane
        first += len(free_at)
    return [lane_of[i] for i in range(len(results))]
