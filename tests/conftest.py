"""What all tests share."""

import os
import signal
import sys
from pathlib import Path

import pytest

# Before NumPy is imported, which reads it then: on a machine whose cores are all taken by tests,
# threads that wait for each other take eight times as long.
assert "numpy" not in sys.modules
os.environ["OMP_NUM_THREADS"] = "1"

pytest_plugins = ["tests.fixtures", "tests.fuzzing"]
# What tests share: their asserts say what differs, too.
pytest.register_assert_rewrite("tests.hpo")

# A shell's background job ignores Ctrl-C, and so would every process that a test starts in one.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What `make quick` leaves out: Ray, servers, browsers, processes, records in MLflow, and figures.
SLOW_FIXTURES = {"ray_address", "start_ray", "topology", "empty_database", "browser"}
SLOW_MODULES = {
    "test_book", "test_drawing", "test_extremes", "test_figures", "test_learning_curves",
    "test_process", "test_page_in_browser", "test_ray_surroundings", "test_template",
}  # fmt: skip


# What takes longest, with the worker that begins with it: so that no worker ends with them, and
# that one Ray serves all but the tests that end theirs.
FIRST = {
    "test_workers": 0, "test_ray": 0, "test_reproducible": 0, "test_confirm": 0,
    "test_ray_surroundings": 0, "test_process": 0, "test_comparability": 0, "test_commands": 0,
    "test_looking": 0, "test_examples": 0,
    "test_topology": 1, "test_service_killed": 1, "test_walltime": 1, "test_record_lost": 1,
    "test_server_away": 1,
    "test_ray_killed": 1, "test_serving": 1, "test_evaluation": 1, "test_retraining": 1,
    "test_drawing": 1, "test_figures": 1, "test_learning_curves": 1, "test_content": 1,
    "test_edited_record": 1, "test_deleted": 1, "test_mlflow_views": 1, "test_reporting": 1,
    "test_page_in_browser": 1, "test_wheel": 1,
}  # fmt: skip


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out what `make quick` would import in vain."""
    quick = config.getoption("markexpr") == "not slow"
    return True if quick and collection_path.stem in SLOW_MODULES else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark tests as slow by what they use, and let the slowest begin."""
    for item in items:
        if (
            SLOW_FIXTURES & set(getattr(item, "fixturenames", ()))
            or item.path.stem in SLOW_MODULES
            or "ray" in item.name.rstrip("]").replace("[", "-").split("-")
        ):
            item.add_marker(pytest.mark.slow)
    if hasattr(config, "workerinput"):
        items[:] = _slowest_first(items)


def _slowest_first(items: list[pytest.Item]) -> list[pytest.Item]:
    """Return the tests in an order of which each of two workers is given one half at first."""
    place = {name: number for number, name in enumerate(FIRST)}
    halves: list[list[pytest.Item]] = [[], []]
    others = []
    for item in sorted(items, key=lambda item: place.get(item.path.stem, len(FIRST))):
        if "ray_address" in getattr(item, "fixturenames", ()):
            halves[0].append(item)
        elif item.path.stem in FIRST:
            halves[FIRST[item.path.stem]].append(item)
        else:
            others.append(item)
    middle = max(len(items) // 2 - len(halves[0]), 0)
    return [*halves[0], *others[:middle], *halves[1], *others[middle:]]
