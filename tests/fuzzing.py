"""How many examples a fuzzing test tries: few in the suite, many with FUZZ=full in front of it."""

import os

FULL = os.environ.get("FUZZ") == "full"


def examples(quick: int, full: int) -> int:
    """Return how many examples to try."""
    return full if FULL else quick
