"""Figures and reports of a study, drawn from its record and stored with it."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

# What takes long to import is imported where it is used.
if TYPE_CHECKING:
    from hpo.moves import Move
    from hpo.record.interface import Record
    from hpo.record.values import Recorded

PAGE = "report.html"  # among the files of a round's run


def draw(record: "Record", recorded: "Recorded", folder: Path) -> list[Path]:
    """Write all figures of the rounds of `recorded` to a folder; return the files."""
    from hpo.report import figures
    from hpo.service import proposals

    last = recorded.rounds[-1]
    known = [r for r in recorded.results if r.trial.round <= last.number]
    moves = proposals.moves_after(replace(recorded, results=known))
    return figures.write(recorded, moves, record.history, folder)


def illustrate(record: "Record", recorded: "Recorded", moves: "Sequence[Move]") -> None:
    """Add the current report and all figures to the run of the last round."""
    from hpo.report import figures

    keep_page(record, recorded, moves)
    with figures_of(record, recorded.rounds[-1].run_id) as folder:
        figures.write(recorded, moves, record.history, folder)


def keep_page(record: "Record", recorded: "Recorded", moves: "Sequence[Move]") -> None:
    """Add the current report of a study to the run of the last round."""
    from hpo.report.page import write
    from hpo.report.page_data import page_data

    with tempfile.TemporaryDirectory() as folder:
        write(page_data(recorded, moves), Path(folder) / PAGE)
        record.add_files(recorded.rounds[-1].run_id, Path(folder))


def renew_page(record: "Record", note: Callable[[str], None]) -> None:
    """Rewrite the report after something other than a round: repeats, or an evaluation.

    Their results are already recorded, so if the report fails, a note says so.
    """
    from hpo.service.proposals import moves_after

    try:
        recorded = record.read()
        if recorded is not None and recorded.rounds:
            keep_page(record, recorded, moves_after(recorded))
    except Exception as error:
        note(f"could not update {PAGE}: {type(error).__name__}: {error}")


def draw_proposal(recorded: "Recorded", moves: "Sequence[Move]", folder: Path) -> Path:
    """Write the figure of the proposed ranges to a folder; return the file."""
    from hpo.report.drawing import save
    from hpo.report.proposing import proposal

    return save(proposal(recorded, moves), folder / "proposal.png")


@contextlib.contextmanager
def figures_of(record: "Record", run_id: str) -> Iterator[Path]:
    """Yield a folder whose files become the figures of a run."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "figures"
        folder.mkdir()
        yield folder
        record.add_files(run_id, Path(name))


