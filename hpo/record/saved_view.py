"""The MLflow UI opens a study on its runs, with their hyperparameters and metrics in view.

The names that bring this about are private to that UI: they stand in this file alone.
"""

import json
from collections.abc import Sequence

_VIEW = "trials"  # the key of the saved view


def view_tags(columns: Sequence[str]) -> dict[str, str]:
    """Return tags of an experiment that let the UI open it on its runs, with these columns.

    `columns` are such as "params.`momentum`"; of itself the UI shows neither params nor metrics.
    """
    state = {
        "searchFilter": "",
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "selectedColumns": list(columns),
        "runsExpanded": {},
        "runsPinned": [],
        "runsHidden": [],
        "runsHiddenMode": "FIRST_20_RUNS",
        "runListHidden": False,
        "groupBy": None,
        "groupsExpanded": {},
    }
    return {
        f"mlflow.sharedViewState.{_VIEW}": json.dumps(state),
        "mlflow.experimentKind": "custom_model_development",  # else it may open on traces
    }


def page(server: str, experiment_id: str | None = None) -> str:
    """Return the address of the UI on `server`, opened on the runs of an experiment."""
    if experiment_id is None:
        return f"{server}/#/experiments?workflowType=machine_learning"
    return (
        f"{server}/#/experiments/{experiment_id}/runs"
        f"?workflowType=machine_learning&viewStateShareKey={_VIEW}"
    )
