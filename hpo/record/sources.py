"""Trials of other studies that inform a search, as copied to the record of its study."""

import hashlib
import json
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hpo.distributions import as_tuples, is_value
from hpo.errors import InputError
from hpo.trial import Curve, State, Trial, TrialResult

FILE = "warm_start.json"  # of the run of the first round


@dataclass(frozen=True)
class Source:
    """Trials of another study or a table, as round 0: they are not trials of this study.

    If `is_comparable`, their values are on the same scale as those of the study; otherwise only
    their order counts. `left_out` says how many trials were ignored, by reason.
    """

    name: str
    is_comparable: bool
    results: Sequence[TrialResult]
    left_out: tuple[tuple[str, int], ...] = ()


def to_text(sources: Sequence[Source], metric: str) -> str:
    """Return sources as `from_text` reads them."""
    return json.dumps([
        {
            "name": source.name,
            "comparable": source.is_comparable,
            "left_out": source.left_out,
            "trials": [
                {
                    "hyperparameters": result.trial.hyperparameters,
                    "state": result.state.value,
                    "value": result.value,
                    "epoch": result.epoch,
                    "curve": result.curve(metric),
                }
                for result in source.results
            ],
        }
        for source in sources
    ])


def from_text(text: str, metric: str) -> tuple[Source, ...]:
    """Read sources back; raise InputError if the text is not one of `to_text`."""
    try:
        sources, number = [], 0
        for table in json.loads(text):
            results = []
            for trial in table["trials"]:
                number += 1
                results.append(_result(trial, number, metric))
            left_out = tuple((str(reason), int(count)) for reason, count in table["left_out"])
            sources.append(Source(table["name"], table["comparable"], tuple(results), left_out))
        return tuple(sources)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise InputError(
            f"{FILE} of round 1 cannot be read ({error}); restore the file, or give the study "
            "another name"
        ) from error


def digest(text: str) -> str:
    """Return a digest that identifies a copy of sources."""
    return hashlib.sha256(text.encode()).hexdigest()


def _result(table: dict[str, Any], number: int, metric: str) -> TrialResult:
    values = {name: as_tuples(value) for name, value in table["hyperparameters"].items()}
    if not all(map(is_value, values.values())):
        raise ValueError(f"{values} are not hyperparameters")
    curve = array("d", table["curve"])
    return TrialResult(
        Trial(0, number, values, 0), State(table["state"]), table["value"], table["epoch"],
        Curve(metric, curve, {metric: curve[-1]}) if curve else (),
    )
