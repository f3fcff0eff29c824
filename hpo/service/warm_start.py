"""A warm start: trials of other studies, or of exported tables, inform the search of a new one."""

import csv
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hpo.data.loading import Description
from hpo.distributions import (
    CategoricalDistribution,
    Distribution,
    IntegerDistribution,
    OrderedDistribution,
    Value,
)
from hpo.errors import InputError
from hpo.exported import metric_column, param_column
from hpo.record.sources import Source
from hpo.record.values import Recorded
from hpo.search_space import active, contains, is_absent
from hpo.service.comparability import is_comparable
from hpo.study import StudyFile
from hpo.text import spreadsheet_cell
from hpo.trial import State, Trial, TrialResult, compact

TABLES = (".csv", ".json")
_TAKEN = (State.COMPLETE, State.PRUNED, State.STOPPED, State.DIVERGED)
_SAY_NOTHING = "without a value"
_OUTSIDE = "outside the ranges"
_NO_CURVE = "that ended early, because a table has no curves"


def is_table(name: str) -> bool:
    """Return whether a source is a table file rather than a study."""
    return name.endswith(TABLES)


def gather(
    study: StudyFile, find: Callable[[str], Recorded | None], data: Description | None
) -> tuple[Source, ...]:
    """Return the sources in [warm_start], with the trials that are useful in this search space.

    `find` reads a study of the record, and `data` describes what this one trains on. Raises
    InputError, which names the key, if there is no such study or table, if it has a different
    metric, or if none of its trials can be used.
    """
    return _each(
        study, lambda name: _of_table(study, name) if is_table(name)
        else _of_study(study, name, find(name), data)
    )


def of_tables(study: StudyFile) -> tuple[Source, ...]:
    """Return the sources that are tables, which can be read without the record; see `gather`."""
    return _each(study, lambda name: _of_table(study, name) if is_table(name) else None)


def _each(study: StudyFile, read: Callable[[str], Source | None]) -> tuple[Source, ...]:
    """Return the source read for each name; an error says which name it is about."""
    sources = []
    for index, name in enumerate(study.warm_start.sources if study.warm_start is not None else ()):
        key = f"{study.path}: warm_start.from[{index}]"
        try:
            source = read(name)
        except InputError as error:
            raise InputError(f"{key}: {error}") from None
        if source is None:
            continue
        if not source.results:
            reasons = " and ".join(f"{count} {reason}" for reason, count in source.left_out)
            raise InputError(
                f"{key}: {name!r} has no trial that is useful in these ranges"
                f"{f' ({reasons})' if reasons else ''}; remove it, or choose another"
            )
        sources.append(source)
    return tuple(sources)


def _of_table(study: StudyFile, name: str) -> Source:
    """Return the trials of a table that `hpo export` wrote."""
    path = study.path.absolute().parent / name
    rows = _rows(path)
    metric = metric_column(study.metric, study.search_space)
    for column in ("state", "value", metric):
        if rows and column not in rows[0]:
            raise InputError(
                f"{name} has no column {column!r}; use a table that `hpo export` wrote for a study "
                f"with the metric {study.metric}"
            )
    left_out: Counter[str] = Counter()
    results = []
    for row in rows:
        if any(str(row.get(name) or 0) != "0" for name in ("repeat", "part", "extended_to")):
            continue
        values = {
            n: read for n, d in study.search_space.items()
            if (read := _value(d, row.get(param_column(n)))) is not None
        }
        state, value = str(row.get("state")), _number(row.get("value"))
        if state in (State.PRUNED, State.STOPPED):
            left_out[_NO_CURVE] += 1
        elif state not in _TAKEN or (state == State.COMPLETE and value is None):
            left_out[_SAY_NOTHING] += 1
        else:
            values = _completed(study, values, {}, name)
            metrics = ({study.metric: value},) if value is not None else ()
            results.append(
                TrialResult(Trial(0, 1, values, 0), State(state), value, 1, metrics)
                if value is not None else TrialResult(Trial(0, 1, values, 0), State(state))
            )
    return _source(study, name, False, results, left_out)


def _of_study(
    study: StudyFile, name: str, recorded: Recorded | None, data: Description | None
) -> Source:
    if name == study.name:
        raise InputError(f"{name!r} is this study itself; choose another")
    if recorded is None or not recorded.rounds:
        raise InputError(
            f"this record has no study {name!r} with a round; choose one that `hpo list` shows, "
            "or a table (.csv, .json)"
        )
    theirs = recorded.rounds[-1].settings
    if (theirs.metric, theirs.direction) != (study.metric, study.direction):
        raise InputError(
            f"{name!r} {theirs.direction}s {theirs.metric}, but this study "
            f"{study.direction}s {study.metric}; choose one with the same goal"
        )
    fixed = {r.number: r.settings.fixed for r in recorded.rounds}
    left_out: Counter[str] = Counter()
    results = []
    for result in recorded.results:
        if result.says_nothing or result.state not in _TAKEN:
            left_out[_SAY_NOTHING] += 1
            continue
        had = {**fixed[result.trial.round], **result.trial.hyperparameters}
        values = _completed(study, result.trial.hyperparameters, had, name)
        kept = compact(result, study.metric)
        results.append(TrialResult(
            Trial(0, 1, values, 0), result.state, result.value, result.epoch, kept.metrics
        ))
    comparable = is_comparable(study, recorded.rounds[-1], data)
    return _source(study, name, comparable, results, left_out)


def _completed(
    study: StudyFile,
    values: Mapping[str, Value],
    had: Mapping[str, Value],
    source: str,
) -> dict[str, Value]:
    """Return the searched values of a trial, including those it `had` without searching them."""
    space = study.search_space
    found = {name: values[name] for name in space if name in values}
    for name, d in space.items():
        if name not in found:
            value = had.get(name, d.backfill)
            if value is not None:
                found[name] = value
    found = active(space, found)
    for name, d in space.items():
        if name not in found and not is_absent(name, d, found):
            raise InputError(
                f"{source!r} does not have the value of {name} for its trials; set "
                f"search_space.{name}.backfill, or choose another source"
            )
    return found


def _source(
    study: StudyFile,
    name: str,
    comparable: bool,
    results: Sequence[TrialResult],
    left_out: Counter[str],
) -> Source:
    inside = [r for r in results if contains(study.search_space, r.trial.hyperparameters)]
    left_out[_OUTSIDE] += len(results) - len(inside)
    counted = tuple((reason, count) for reason, count in left_out.items() if count)
    return Source(name, comparable, tuple(inside), counted)


def _rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a table by column."""
    try:
        if path.suffix == ".json":
            rows = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
                raise ValueError("it is not a list of objects")
            return rows
        with path.open(newline="", encoding="utf-8-sig") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError:
        raise InputError(f"there is no file {path.name}; use one beside the study file") from None
    except (OSError, ValueError, csv.Error, RecursionError) as error:
        raise InputError(
            f"{path.name} cannot be read ({error}); use a table that `hpo export` wrote"
        ) from None


def _number(cell: Any) -> float | None:
    try:
        number = float(cell)
    except (TypeError, ValueError):
        return None
    return number if abs(number) < float("inf") else None


def _value(distribution: Distribution, cell: Any) -> Value | None:
    """Return the value in a cell of a table; None if it is empty or not such a value."""
    if cell is None or cell == "":
        return None
    if isinstance(distribution, CategoricalDistribution | OrderedDistribution):
        for choice in distribution.choices:
            text = json.dumps(choice) if isinstance(choice, tuple) else str(choice)
            if cell == choice or str(cell) in (text, spreadsheet_cell(text)):
                return choice
        return str(cell)  # one that this study does not have
    number = _number(cell)
    if number is None:
        return None
    is_whole = isinstance(distribution, IntegerDistribution) and number.is_integer()
    return int(number) if is_whole else number
