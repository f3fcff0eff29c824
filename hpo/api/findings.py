"""Results that a notebook can display: the best trial, the next ranges, a report."""

import html
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo import wording
from hpo.api import asked_for
from hpo.distributions import describe
from hpo.moves import Move, of_wholes
from hpo.text import one_line
from hpo.trial import TrialId

# What takes long to import is imported where it is used.
if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hpo.record.values import Recorded
    from hpo.search.recommendation import Recommendation


@dataclass(frozen=True)
class Best:
    """The best trial of a study.

    `value` is the value of the trial, the mean of its `repeats` if there are any, or the value of
    its extended training. `recommended` says why this trial was chosen; it is None if the best
    observed trial was asked for.
    """

    study: str
    metric: str
    trial: TrialId
    value: float
    hyperparameters: Mapping[str, Any]
    repeats: int = 0
    recommended: "Recommendation | None" = None

    def to_table(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        told = self.recommended.to_table() if self.recommended is not None else {}
        return {
            **told,  # with the mean where there is one
            "study": self.study, "round": self.trial.round, "number": self.trial.number,
            "value": self.value, "metric": self.metric, "hyperparameters": self.hyperparameters,
        }

    def __str__(self) -> str:
        """Return the trial and its value in one line."""
        mean = f" (the mean of {wording.count(self.repeats, 'repeat')})" if self.repeats else ""
        return f"{self.trial}: {one_line(self.metric)} {wording.four_digits(self.value)}{mean}"


@dataclass(frozen=True)
class Proposal:
    """The ranges proposed for the next `round` of a study, each with a reason."""

    round: int
    moves: Sequence[Move]
    recorded: "Recorded"

    def figure(self) -> "Figure":
        """Draw the current and the next ranges over the trials."""
        from hpo.report.proposing import proposal

        return shown(proposal(self.recorded, self.moves))

    def to_table(self) -> list[dict[str, Any]]:
        """Return plain values for JSON."""
        return [move.to_table() for move in self.moves]

    def _rows(self) -> list[tuple[str, str, str, str, str]]:
        return [
            (
                one_line(move.name), one_line(describe(move.old)), one_line(describe(move.new)),
                move.kind, one_line(move.reason),
            )
            for move in of_wholes(self.moves)
        ]

    def __str__(self) -> str:
        """Return one line per hyperparameter."""
        return "\n".join(
            f"{name}: {now if now == then else f'{now} → {then}'} ({kind}: {why})"
            for name, now, then, kind, why in self._rows()
        )

    def _repr_html_(self) -> str:
        heads = ("hyperparameter", "range", "next range", "", "why")
        rows = [heads, *self._rows()]
        return "<table>" + "".join(
            "<tr>" + "".join(
                f'<{tag} style="text-align: left">{html.escape(cell)}</{tag}>' for cell in row
            ) + "</tr>"
            for row, tag in zip(rows, ["th"] + ["td"] * len(rows), strict=False)
        ) + "</table>"


@dataclass(frozen=True)
class Report:
    """A self-contained report of a study; a notebook shows it below the cell."""

    data: Mapping[str, Any]

    def write(self, path: Path | str) -> Path:
        """Write the report to an .html file, or its data to a .json file; return the path."""
        from hpo.report.page import write

        file = asked_for.path(path, "path")
        write(self.data, file)
        return file

    def _repr_html_(self) -> str:
        from hpo.report.page import page

        text = html.escape(page(self.data), quote=True)
        return (
            f'<iframe srcdoc="{text}" sandbox="allow-scripts" '
            'style="width: 100%; height: 900px; border: 0"></iframe>'
        )


def shown(figure: "Figure") -> "Figure":
    """Return a figure that a notebook shows as `Results.figures` would write it."""
    from hpo.report.drawing import save

    def picture() -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            return save(figure, Path(folder) / "figure.png").read_bytes()

    figure._repr_png_ = picture  # type: ignore[attr-defined]  # for IPython
    return figure
