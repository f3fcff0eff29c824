"""How many examples a fuzzing test tries: few in the suite, many with FUZZ=full in front of it."""

import os

from hypothesis import settings

FULL = os.environ.get("FUZZ") == "full"


def examples(quick: int, full: int) -> int:
    """Return how many examples to try."""
    return full if FULL else quick


# Of tests that name no number themselves.
settings.register_profile("suite", max_examples=examples(30, 100), deadline=None)
settings.load_profile("suite")
