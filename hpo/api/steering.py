"""Steer a running study: add points to try next, stop trials."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hpo.api.points import parse_point
from hpo.distributions import CategoricalDistribution, Distribution, Value
from hpo.errors import InputError
from hpo.record.values import Recorded, Round, last_round
from hpo.text import clean

if TYPE_CHECKING:
    from hpo.record.study import StudyRecord


def add(
    record: "StudyRecord", recorded: Recorded, texts: Sequence[str]
) -> tuple[Mapping[str, Value], bool]:
    """Add a point, given like "learning_rate=0.01"; return it, and whether the study is running."""
    from hpo.service.proposals import feasibility_of

    last = last_round(record.name, recorded)
    point = parse_point(texts, {**last.search_space, **_with_all_choices(last)})
    reason = feasibility_of(last).reason_against_start(point)
    if reason is not None:
        raise InputError(f"the point is infeasible: {clean(reason)}; choose another")
    record.add([point])
    return point, record.is_run()


def stop(record: "StudyRecord", recorded: Recorded, trial: str, reason: str = "") -> None:
    """Ask one running trial to stop, e.g. "2/17"; raise InputError if it is not running."""
    round_, number = _running_trial(trial, recorded)
    if not record.is_run():
        raise InputError(f"{record.name} is not running, so neither is trial {trial}")
    record.stop(round_.run_id, number, clean(reason))


def _with_all_choices(last: Round) -> dict[str, Distribution]:
    """Return the distributions with all choices of the study file, also those left out since."""
    return {
        name: first for name, first in last.settings.search_space.items()
        if isinstance(first, CategoricalDistribution)
    }


def _running_trial(text: str, recorded: Recorded) -> tuple[Round, int]:
    """Return the round and number of "2/17"; raise InputError if it cannot be running."""
    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
    if not found:
        raise InputError(f"not a trial: {text!r}; use the form ROUND/TRIAL, for example 2/17")
    number = int(found[2])
    last = recorded.rounds[-1] if recorded.rounds else None
    if last is None or last.number != int(found[1]) or last.ended:
        which = f"round {last.number}" if last is not None and not last.ended else "no round"
        raise InputError(f"{text}: round {int(found[1])} is not running; {which} is")
    if number in recorded.numbers(last.number):
        raise InputError(f"{text}: this trial has already ended; choose a running one")
    # Some that run have no run on record yet.
    seen = [trial.number for trial in recorded.attempts if trial.round == last.number]
    most = max([0, *recorded.numbers(last.number), *seen]) + last.settings.parallel
    if not 1 <= number <= most:
        raise InputError(f"{text}: round {last.number} has no such trial yet; choose a running one")
    return last, number
