"""The table of the performance page is what the benchmarks measured."""

import json

from benchmarks import table


def test_the_table_of_the_page_is_that_of_the_results() -> None:
    found = json.loads(table.RESULTS.read_text(encoding="utf-8"))
    assert found
    assert found.keys() <= table.RUNS.keys()
    page = table.PAGE.read_text(encoding="utf-8")
    assert table.page_with(page, found) == page, "run: python -m benchmarks.table NAME"


def test_every_script_is_there() -> None:
    for run in table.RUNS.values():
        assert (table.HERE / run.script).is_file()
