"""Checks of a study before it runs: its ranges, its data, and whether it trains."""

from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple

from hpo.api.session import load_data
from hpo.errors import InputError

# What takes long to import is imported where it is used.
if TYPE_CHECKING:
    from hpo.data.loading import Split
    from hpo.study import StudyFile


class Checked(NamedTuple):
    """The result of a check: a summary of plain values, and text to show.

    `reasons` say why parts of the search space are infeasible; `sources` describe what a warm
    start reads from files.
    """

    summary: dict[str, Any]
    split: "Split | None"
    reasons: Collection[str]
    sources: Sequence[str]


def check(study: "StudyFile", *, data: bool = False, split: bool = False) -> Checked:
    """Check a study without training anything; with `data`, describe the data that is read.

    With `split`, the split data is returned as well. Raises InputError if any of that fails.
    """
    from hpo.distributions import describe
    from hpo.search_space import wholes

    feasible, reasons = study.feasibility().share()
    summary: dict[str, Any] = {
        "study": study.name,
        "objective": study.objective.name,
        "metric": study.metric,
        "direction": study.direction,
        "rounds": study.rounds,
        "trials": study.round.trials,
        "search_space": {n: describe(d) for n, d in wholes(study.search_space).items()},
        "feasible_share": feasible,
    }
    sources = _sources(study)
    found = load_data(study) if data or split else None
    if data:
        if found is None:
            raise InputError(f"{study.path}: data: there is no table [data] to read; "
                "drop --data (in Python: data=True)")
        summary["data"] = asdict(found.description)
    return Checked(summary, found, list(reasons), sources)


def _sources(study: "StudyFile") -> list[str]:
    """Return what [warm_start] reads from files; for studies, it is shown at the start."""
    if study.warm_start is None:
        return []
    from hpo.service import warm_start
    from hpo.service.remarks import told_of_source

    return [told_of_source(source) for source in warm_start.of_tables(study)]
