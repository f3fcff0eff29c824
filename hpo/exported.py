"""Names of the columns of an exported table."""

from collections.abc import Collection

# What may differ between two runs of the same study: at the end, so it is easy to cut off.
CIRCUMSTANCES = ("attempt", "started", "seconds", "place")
_OF_EVERY_TRIAL = {
    "round", "number", "repeat", "resplit", "part", "extended_to", "added", "state", "value",
    "standard_error", "epoch", "epochs", "seed", "message", *CIRCUMSTANCES,
}


def param_column(name: str) -> str:
    """Return the column of a hyperparameter: its name, unless a standard column has that name."""
    return f"params.{name}" if name in _OF_EVERY_TRIAL else name


def metric_column(name: str, hyperparameters: Collection[str]) -> str:
    """Return the column of a metric: its name, unless another column has that name."""
    return f"metrics.{name}" if name in _OF_EVERY_TRIAL or name in hyperparameters else name
