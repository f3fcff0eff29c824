"""What counts the trials of a study that something died under."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fixtures import trainings

Tally = Callable[..., None]


@pytest.fixture
def tally(record_property: Callable[[str, object], None], folder: Path) -> Tally:
    """Return a function that checks a table against the undisturbed one, and notes the result.

    What it notes is the row of this fault in docs/notes/crashes.md, see tests/reliability.py.
    """

    def tally(fault: str, times: int, expected: list[dict[str, str]],
              actual: list[dict[str, str]]) -> None:
        marks = trainings(folder)
        found = {
            "fault": fault,
            "times": times,
            "trials": len(expected),
            "lost": len(expected) - len(actual),
            "twice": sum(count - 1 for count in marks.values()),
            "differences": sum(a != b for a, b in zip(expected, actual, strict=False)),
        }
        for name, value in found.items():
            record_property(name, value)
        assert (found["lost"], found["differences"]) == (0, 0), found

    return tally
