"""What all tests share."""

import os
import signal
import sys

import pytest

# Before NumPy is imported, which reads it then: on a machine whose cores are all taken by tests,
# threads that wait for each other take eight times as long.
assert "numpy" not in sys.modules
os.environ["OMP_NUM_THREADS"] = "1"

pytest_plugins = ["tests.fixtures", "tests.fuzzing"]

# A shell's background job ignores Ctrl-C, and so would every process that a test starts in one.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What `make quick` leaves out: Ray, servers, processes, records in MLflow, and most figures.
SLOW_FIXTURES = {"ray_address", "start_ray", "topology", "empty_database"}
SLOW_MODULES = {"test_book", "test_figures", "test_ray_surroundings", "test_process"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests as slow by what they use."""
    for item in items:
        if (
            SLOW_FIXTURES & set(getattr(item, "fixturenames", ()))
            or item.path.stem in SLOW_MODULES
            or "ray" in item.name.rstrip("]").replace("[", "-").split("-")
        ):
            item.add_marker(pytest.mark.slow)
