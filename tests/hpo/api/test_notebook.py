"""The notebook that is a tour, run from top to bottom, and a kernel that dies in mid-study."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

import hpo
from tests.processes import ROOT

pytestmark = pytest.mark.slow
TOUR = ROOT / "studies" / "notebooks" / "tour.ipynb"


def test_the_tour_has_no_outputs() -> None:
    tour = nbformat.read(TOUR, 4)  # type: ignore[no-untyped-call]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in tour.cells)


def test_the_tour_runs_from_top_to_bottom(folder: Path) -> None:
    tour = nbformat.read(TOUR, 4)  # type: ignore[no-untyped-call]
    for cell in tour.cells:  # the machine that tests has two CPUs, and other tests have them too
        cell.source = cell.source.replace('"trials": 20', '"trials": 10, "parallel": 2')
    client = NotebookClient(tour, timeout=300, resources={"metadata": {"path": str(folder)}})
    client.execute()
    outputs = {
        str(cell.source): [output.get("data", output) for output in cell.outputs]
        for cell in tour.cells if cell.cell_type == "code"
    }

    def shown(text: str) -> str:
        return repr(next(value for source, value in outputs.items() if text in source))

    assert "<progress" not in shown("run(rounds=1)")  # once it is done
    assert "round 1: 10 of 10 trials" in shown("run(rounds=1)")
    assert "image/png" in shown('figure("map")')
    assert "learning_rate" in shown("narrow()")
    assert "<iframe" in shown("report()")
    assert "loss" in shown("own loop")
    assert 'name = "tour"' in shown("to_toml")
    results = hpo.load("tour")
    assert len(results.trials(repeats=True)) == 20 + 4
    again = hpo.Study.read("tour.toml").run(2, placement=hpo.Placement(inline=True))
    assert len(again.trials()) == 20, "the command line goes on with it, and finds all done"
    assert len(results.recorded.looks) == 1
    assert "accuracy" in shown("evaluate()")


CELLS = (
    "import time\nimport hpo",
    "PAUSE = 0.15",
    """
def train(learning_rate: float, seed: int):
    for epoch in range(2):
        time.sleep(PAUSE)
        yield {"loss": (learning_rate - 0.3) ** 2 + seed % 7 / 100 + 1 / (epoch + 1)}
""",
    """
study = hpo.Study(
    name=NAME, objective=train, metric="loss", direction="minimize",
    search_space={"learning_rate": hpo.Range(0.0, 1.0)},
    round={"trials": 12, "sampler": "tpe", "parallel": 2},
)
table = study.run(2, placement=hpo.Placement(inline=True)).trials()
""",
)


@contextmanager
def kernel(folder: Path, name: str) -> Iterator[tuple[KernelManager, BlockingKernelClient]]:
    """Start a kernel in which all cells but the last have run."""
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(cwd=str(folder))
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        for cell in (f"NAME = {name!r}", *CELLS[:-1]):
            run(client, cell)
        yield manager, client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def run(client: BlockingKernelClient, cell: str) -> None:
    """Run a cell to its end; fail where it fails."""
    reply: dict[str, Any] = client.execute_interactive(
        cell, timeout=120, output_hook=lambda message: None
    )
    assert reply["content"]["status"] == "ok", "\n".join(reply["content"].get("traceback", ()))


def without_circumstances(name: str) -> list[dict[str, Any]]:
    frame = hpo.load(name).trials().drop(columns=["attempt", "started", "seconds", "place"])
    rows: list[dict[str, Any]] = frame.to_dict("records")
    return rows


def test_a_kernel_that_dies_in_mid_study_goes_on_with_the_same_cells(folder: Path) -> None:
    with kernel(folder, "killed") as (manager, client):
        client.execute(CELLS[-1])
        ends = time.monotonic() + 60
        while time.monotonic() < ends:  # until some trials are on record
            time.sleep(0.2)
            known = {study["study"]: study for study in hpo.studies()} if (
                folder / "mlflow.db").exists() else {}
            if known.get("killed", {}).get("best"):
                break
        provisioner: Any = manager.provisioner
        os.kill(provisioner.pid, signal.SIGKILL)
    begun = len(hpo.load("killed").trials())
    assert 0 < begun < 24
    with kernel(folder, "killed") as (_, client):
        run(client, CELLS[-1])
    with kernel(folder, "whole") as (_, client):
        run(client, CELLS[-1])
    assert without_circumstances("killed") == without_circumstances("whole")
    assert len(list((folder / ".hpo" / "code").glob("*.py"))) == 1


def test_an_error_is_a_sentence(folder: Path) -> None:
    with kernel(folder, "wrong") as (_, client):
        reply = client.execute_interactive(
            'hpo.load("nothing")', timeout=60, output_hook=lambda message: None
        )
    assert reply["content"]["ename"] == "InputError"
    (line,) = reply["content"]["traceback"]
    said = ("InputError: there is no record at ", "InputError: no study named 'nothing'")
    assert line.startswith(said)
