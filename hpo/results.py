"""The trials of a study as a table, one row each."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.errors import InputError
from hpo.search_space import Value
from hpo.trial import TrialResult

if TYPE_CHECKING:  # pandas takes a third of a second to import
    import pandas as pd

# What may differ between two runs of the same study: stands at the end, to be cut off with ease.
CIRCUMSTANCES = ("attempt", "started", "seconds", "place")


def table(results: Sequence[TrialResult]) -> "pd.DataFrame":
    """Return one row a trial, in order of round and number.

    Columns: round, number, state, value, epoch (that of the value), epochs (trained), the
    hyperparameters, the metrics of the last epoch, seed, message; then what may differ between
    two runs of the same study: attempt, started (seconds since 1970), seconds, place.
    """
    import pandas as pd

    hyperparameters = dict.fromkeys(name for r in results for name in r.trial.hyperparameters)
    metrics = dict.fromkeys(
        name for r in results if r.metrics for name in sorted(r.metrics[-1])
    )
    rows = []
    for result in sorted(results, key=lambda r: (r.trial.round, r.trial.number)):
        trial = result.trial
        last = result.metrics[-1] if result.metrics else {}
        rows.append(
            {
                "round": trial.round,
                "number": trial.number,
                "state": result.state.value,
                "value": result.value,
                "epoch": result.epoch,
                "epochs": result.epochs,
                **{name: _cell(trial.hyperparameters.get(name)) for name in hyperparameters},
                **{name: last.get(name) for name in metrics},
                "seed": trial.seed,
                "message": result.message.splitlines()[-1] if result.message else "",
                **{name: getattr(result, name) for name in CIRCUMSTANCES},
            }
        )
    columns = list(rows[0]) if rows else ["round", "number", "state", "value"]
    return pd.DataFrame(rows, columns=columns).astype({"epoch": "Int64"} if rows else {})


def write(results: Sequence[TrialResult], path: Path) -> None:
    """Write the table to a .csv, .parquet or .json file.

    Raises InputError where the name ends otherwise or the file cannot be written.
    """
    writers = {
        ".csv": lambda t: t.to_csv(path, index=False, lineterminator="\n"),
        ".parquet": lambda t: t.to_parquet(path, index=False),
        ".json": lambda t: t.to_json(
            path, orient="records", indent=2, double_precision=15, force_ascii=False
        ),
    }
    if path.suffix not in writers:
        raise InputError(f"{path}: name a file that ends in {', '.join(writers)}")
    try:
        writers[path.suffix](table(results))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}; name another file") from error


def _cell(value: Value | None) -> Value | None:
    return json.dumps(value) if isinstance(value, tuple) else value
