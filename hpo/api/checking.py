"""What can be known of a study before it runs: its ranges, its data, and whether it trains."""

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
    """What was found: plain values, and what the lines for a person are made of.

    `reasons` are why parts of the space cannot be trained with, `sources` what a warm start takes
    from files.
    """

    summary: dict[str, Any]
    split: "Split | None"
    reasons: Collection[str]
    sources: Sequence[str]


def check(study: "StudyFile", *, data: bool = False, split: bool = False) -> Checked:
    """Look at a study without training anything; with `data`, describe what is read and split.

    The data are split, too, where `split` asks for them. Raises InputError where that fails.
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
            raise InputError(f"{study.path}: data: there is no table [data]; leave --data out")
        summary["data"] = asdict(found.description)
    return Checked(summary, found, list(reasons), sources)


def _sources(study: "StudyFile") -> list[str]:
    """Return what [warm_start] takes from files; of studies that shows when the study begins."""
    if study.warm_start is None:
        return []
    from hpo.service import warm_start
    from hpo.service.remarks import told_of_source

    return [told_of_source(source) for source in warm_start.of_tables(study)]
