"""The trials of a study as a table, one row each, and the study as a summary of its rounds."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo import wording
from hpo.distributions import Value, to_table
from hpo.errors import InputError
from hpo.exported import CIRCUMSTANCES, metric_column, param_column
from hpo.record.values import Recorded
from hpo.search import confirmation
from hpo.text import spreadsheet_cell
from hpo.trial import State, TrialResult, rank

if TYPE_CHECKING:  # pandas takes a third of a second to import
    import pandas as pd


def table(results: Sequence[TrialResult]) -> "pd.DataFrame":
    """Return one row a trial, in order of round and number; its repeats and parts follow it.

    Columns: round, number (where there are repeats: repeat, 0 for the trial itself, and resplit,
    whether it had rows drawn anew; where there are parts: part, 0 for the trial itself; where
    trials were trained longer: extended_to, an epoch; where people added points: added), state,
    value, (where it is the mean of parts: standard_error), epoch (that of the value), epochs
    (trained), the hyperparameters, the metrics of the last epoch, seed, message; then what may
    differ between two runs of the same study: attempt, started (a time in UTC), seconds, place. A
    hyperparameter or metric of such a name has the column params.NAME or metrics.NAME, and so has
    a metric with the name of a hyperparameter.
    """
    import pandas as pd

    hyperparameters = _names(results)
    metrics = dict.fromkeys(
        name for r in results if r.metrics for name in sorted(r.metrics[-1])
    )
    repeated = any(r.trial.repeat for r in results)
    parts = any(r.trial.part for r in results)
    extended = any(r.trial.extended_to for r in results)
    added = any(r.trial.added for r in results)
    means = any(r.parts is not None for r in results)
    rows = []
    for result in sorted(results, key=lambda r: r.trial.id):
        trial = result.trial
        last = result.metrics[-1] if result.metrics else {}
        rows.append(
            {
                "round": trial.round,
                "number": trial.number,
                **({"repeat": trial.repeat, "resplit": trial.resplit} if repeated else {}),
                **({"part": trial.part} if parts else {}),
                **({"extended_to": trial.extended_to} if extended else {}),
                **({"added": trial.added} if added else {}),
                "state": result.state.value,
                "value": result.value,
                **({"standard_error": result.standard_error} if means else {}),
                "epoch": result.epoch,
                "epochs": result.epochs,
                **{
                    param_column(name): _cell(trial.hyperparameters.get(name))
                    for name in hyperparameters
                },
                **{
                    metric_column(name, hyperparameters): last.get(name) for name in metrics
                },
                "seed": trial.seed,
                "message": result.reason,
                **{name: getattr(result, name) for name in CIRCUMSTANCES},
            }
        )
    columns = list(rows[0]) if rows else ["round", "number", "state", "value"]
    frame = pd.DataFrame(rows, columns=columns)
    if rows:  # whole numbers stay whole ones beside empty cells
        frame = frame.astype({
            name: "Int64" for name in ("epoch", *map(param_column, hyperparameters))
            if all(type(row[name]) in (int, type(None)) for row in rows)
        })
    if rows:
        started = pd.to_datetime(frame["started"], unit="s", utc=True, errors="coerce")
        frame["started"] = started.dt.round("us")
    return frame


def _names(results: Sequence[TrialResult]) -> list[str]:
    """Return the hyperparameters of all trials, each before the one it comes before in a trial."""
    names: list[str] = []
    for result in results:
        place = len(names)
        for name in reversed([*result.trial.hyperparameters]):
            if name in names:
                place = names.index(name)
            else:
                names.insert(place, name)
    return names


def write(results: Sequence[TrialResult], path: Path) -> None:
    """Write the table to a .csv, .parquet or .json file.

    The .csv file has no text that a spreadsheet would run or a terminal would obey.

    Raises InputError if the name ends in anything else, or the file cannot be written.
    """
    writers: dict[str, Callable[[pd.DataFrame], object]] = {
        ".csv": lambda t: _harmless(t).to_csv(path, index=False, lineterminator="\n"),
        ".parquet": lambda t: t.to_parquet(path, index=False),
        ".json": lambda t: t.to_json(
            path, orient="records", indent=2, double_precision=15, force_ascii=False,
            date_format="iso",
        ),
    }
    if path.suffix not in writers:
        raise InputError(f"{path}: must end in .csv, .parquet, or .json")
    try:
        writers[path.suffix](table(results))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}; choose another file") from error


def _harmless(table: "pd.DataFrame") -> "pd.DataFrame":
    """Return the table with its texts, those of the heading too, as spreadsheets may have them."""
    harmless = table.copy()
    for name in table.columns:
        cells = table[name].tolist()
        if any(isinstance(cell, str) for cell in cells):
            harmless[name] = [spreadsheet_cell(c) if isinstance(c, str) else c for c in cells]
    harmless.columns = [spreadsheet_cell(name) for name in table.columns]
    return harmless


def _cell(value: Value | None) -> Value | None:
    return json.dumps(value) if isinstance(value, tuple) else value


def summarize(name: str, recorded: Recorded, only: int | None = None) -> dict[str, Any]:
    """Return a study, or `only` one of its rounds, as plain values that JSON holds."""
    if not recorded.rounds:
        return {
            "study": name, "metric": None, "direction": None, "state": "no round yet",
            "run_by": None, "last": None, "rounds": [], "best": None,
        }
    settings = recorded.rounds[0].settings
    rounds = []
    for round_ in recorded.rounds:
        if only not in (None, round_.number):
            continue
        results = [r for r in recorded.results if r.trial.round == round_.number]
        tables = {n: to_table(d) for n, d in round_.search_space.items()}
        rounds.append(
            {
                "round": round_.number,
                "ranges": {
                    n: {k: t[k] for k in ("low", "high", "choices") if k in t}
                    for n, t in tables.items()
                },
                "trials": len(results),
                **{s.value: sum(r.state is s for r in results) for s in State},
                "best": _best(rank(results, settings.direction)),
            }
        )
    shown = [r for r in recorded.results if only in (None, r.trial.round)]
    return {
        "study": name,
        "metric": settings.metric,
        "direction": settings.direction,
        "state": _state(recorded),
        "run_by": recorded.service.owner.by if recorded.service is not None else None,
        "last": _last(recorded),
        "rounds": rounds,
        "best": _best(confirmation.ranked(shown, recorded.repeats, settings.direction)),
    }


def _state(recorded: Recorded) -> str:
    """Return how far a study is: what of its last round is missing, or what followed it."""
    last, waiting = recorded.rounds[-1], len(recorded.waiting)
    if waiting and last.ended:
        waits = f"{wording.count(waiting, 'added point')} waiting"
        return f"ended, {waits}"
    if not last.ended:
        ended = sum(r.trial.round == last.number for r in recorded.results)
        trials = last.settings.trials + len(last.placed)
        return f"round {last.number} open, {ended} of {trials}"
    if recorded.looks:
        return "evaluated"
    return "extended" if recorded.extensions else "confirmed" if recorded.repeats else "ended"


def _last(recorded: Recorded) -> str | None:
    """Return when the last trial ended or the test set was used, in ISO 8601, UTC."""
    known = (*recorded.results, *recorded.repeats, *recorded.extensions)
    ends = [r.started + r.seconds for r in known if r.started]
    times = [datetime.fromtimestamp(max(ends), UTC).isoformat(timespec="seconds")] if ends else []
    return max([*times, *(look.when for look in recorded.looks)], default=None)


def _best(ranked: Sequence[TrialResult]) -> dict[str, Any] | None:
    if not ranked:
        return None
    best = ranked[0]
    return {
        "round": best.trial.round,
        "number": best.trial.number,
        "value": best.value,
        "hyperparameters": dict(best.trial.hyperparameters),
    }
