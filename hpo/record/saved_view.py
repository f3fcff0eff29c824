"""The views of a study in the MLflow UI, saved with it: trials, rounds, and charts.

The names used for this are private to that UI, and appear in this file only.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hpo.record.format import CONFIRMATION, EXTENDED, EXTENSION, count_tag
from hpo.record.values import Shown
from hpo.trial import STANDARD_ERROR, VALUE, State

_SHARED = "mlflow.sharedViewState."  # what the tag of a saved view begins with
_TRIALS, _ROUNDS, _CHARTS, _PARTS = "trials", "rounds", "charts", "parts"  # their keys
_TRAINING = "workflowType=machine_learning"  # the side of the UI that knows of training
_ALL_TRIALS = "tags.kind = 'trial'"
# All that has a chart: the trials, also as far as they were trained longer, and the rounds, which
# have the best value so far.
_CHARTED = " and ".join(
    f"tags.kind != '{kind}'"
    for kind in ("repeat", "part", CONFIRMATION, EXTENSION, "evaluation")
)
_IN_PARTS = " and ".join(
    f"tags.kind != '{kind}'"
    for kind in ("round", "repeat", CONFIRMATION, EXTENSION, EXTENDED, "evaluation")
)
_SECTION = "hpo"
_DRAWN = 500  # trials
_CURVES = 100  # trials whose curves are drawn, each of which the UI asks for by itself
_DIGITS = 215  # pixels that a number with all its digits takes
_EDGE = 110  # and one with the few digits of an edge
_LONGEST = 20_000  # characters, of a tag of an experiment


def view_tags(shown: Shown) -> dict[str, str]:
    """Return tags of an experiment that make the UI open it on its trials, best first.

    By default the UI shows neither params nor metrics. Each view is in its menu, by name. With many
    hyperparameters, a view has the first ones, as many as fit in a tag.
    """
    tags = _view_tags(shown)
    while max(map(len, tags.values())) > _LONGEST:
        shown = replace(
            shown,
            hyperparameters=shown.hyperparameters[: len(shown.hyperparameters) * 9 // 10],
            ranges=shown.ranges[: len(shown.ranges) * 9 // 10],
        )
        tags = _view_tags(shown)
    return tags


def _view_tags(shown: Shown) -> dict[str, str]:
    params = [f"params.`{name}`" for name in shown.hyperparameters]
    best = f"metrics.`{best_of(shown.metric)}`"
    values = [f"metrics.`{name}`" for name in (VALUE, *([STANDARD_ERROR] * shown.in_parts))]
    states = [f"tags.`{count_tag(state)}`" for state in State]
    trials = _state(
        searchFilter=_ALL_TRIALS,
        orderByKey=f"metrics.`{VALUE}`",
        orderByAsc=shown.direction == "minimize",
        selectedColumns=["tags.`round`", *values, *params, "tags.`state`"],
        **_widths({
            "attributes.`Run Name`": 130, **dict.fromkeys(values, _DIGITS),
            **{f"params.`{n}`": _wide(n) for n in shown.hyperparameters},
            "tags.`round`": 80, "tags.`state`": 100,
        }),
    )
    rounds = _state(
        searchFilter="tags.kind = 'round'",
        orderByKey="attributes.start_time",
        orderByAsc=True,
        selectedColumns=[best, *(f"params.`{name}`" for name in shown.ranges), *states],
        **_widths({
            "attributes.`Run Name`": 130, best: _wide(best_of(shown.metric)),
            **{f"params.`{name}`": _wide(name, _EDGE) for name in shown.ranges},
            **dict.fromkeys(states, 100),
        }),
    )
    charts = {
        **trials,
        "searchFilter": _CHARTED,
        "orderByKey": best,  # only rounds have it: they are among the 100 runs loaded first
        "orderByAsc": shown.direction == "minimize",
        "compareRunCharts": _charts(shown),
        "compareRunSections": [_section()],
        "runsHiddenMode": "SHOW_ALL",
    }
    parts = {
        **trials, "searchFilter": _IN_PARTS, "orderByKey": "attributes.start_time",
        "orderByAsc": True,
    }
    views = {
        _TRIALS: ("Trials, best first", trials),
        **({_PARTS: ("Trials and their parts", parts)} if shown.in_parts else {}),
        _ROUNDS: ("Rounds", rounds),
        _CHARTS: ("Charts", charts),
    }
    now = int(time.time() * 1000)
    return {
        **{
            f"{_SHARED}{key}": json.dumps(
                {
                    "name": name, "createdAt": now - place, "updatedAt": now - place,
                    "state": json.dumps(state),
                }
            )
            for place, (key, (name, state)) in enumerate(views.items())
        },
        "mlflow.experimentKind": "custom_model_development",  # else it may open on traces
    }


def best_of(metric: str) -> str:
    """Return the name of the metric that holds a round's best value so far."""
    return f"best_{metric}"


def page(server: str, experiment_id: str | None = None) -> str:
    """Return the address of the UI on `server`, opened on the trials of an experiment."""
    if experiment_id is None:
        return f"{server}/#/experiments?{_TRAINING}"
    return f"{_runs_page(server, experiment_id)}&viewStateShareKey={_TRIALS}"


def rounds_page(server: str, experiment_id: str) -> str:
    """Return the address of the UI on `server`, opened on the rounds of an experiment."""
    return f"{_runs_page(server, experiment_id)}&viewStateShareKey={_ROUNDS}"


def _runs_page(server: str, experiment_id: str) -> str:
    return f"{server}/#/experiments/{experiment_id}/runs?{_TRAINING}"


def charts_page(server: str, experiment_id: str) -> str:
    """Return the address of the UI on `server`, opened on the charts of an experiment."""
    pages = _runs_page(server, experiment_id)
    return f"{pages}&compareRunsMode=CHART&viewStateShareKey={_CHARTS}"


def run_page(experiment_id: str, run_id: str, server: str = "") -> str:
    """Return the address of a run; without `server` it leads there from the UI itself.

    A click on a run in a table of the UI opens it among evaluations of language models; this
    address does not.
    """
    place = f"#/experiments/{experiment_id}/runs/{run_id}?{_TRAINING}"
    return f"{server}/{place}" if server else place


def file_page(server: str, experiment_id: str, run_id: str, name: str) -> str:
    """Return the address of the UI on `server`, opened on a file of a run."""
    return f"{server}/#/experiments/{experiment_id}/runs/{run_id}/artifacts/{name}?{_TRAINING}"


def _state(**changes: Any) -> dict[str, Any]:
    """Return the state of a view, as the UI has it."""
    return {
        "searchFilter": "",
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "selectedColumns": [],
        "runsExpanded": {},
        "runsPinned": [],
        "runsHidden": [],
        "runsHiddenMode": "FIRST_20_RUNS",
        "runListHidden": False,
        "groupBy": None,
        "groupsExpanded": {},
        **changes,
    }


def _widths(pixels: Mapping[str, int]) -> dict[str, Any]:
    """Return the part of a state that puts columns first, wide enough for their contents.

    The UI's own columns cut a number such as 2.3154221e-05 before its exponent.
    """
    return {"columnOrder": list(pixels), "columnWidths": dict(pixels)}


def _wide(name: str, numbers: int = _DIGITS) -> int:
    """Return how many pixels wide a column of numbers with this name is."""
    return max(numbers, 8 * len(name) + 40)


def _charts(shown: Shown) -> list[dict[str, Any]]:
    """Return the charts: parallel coordinates, best so far, curves, value over hyperparameters.

    Of many hyperparameters the first ones have a chart of their own.
    """
    value, best = {"key": VALUE, "type": "METRIC"}, best_of(shown.metric)
    params = [{"key": name, "type": "PARAM"} for name in shown.hyperparameters]
    cards = [
        _card("PARALLEL", selectedParams=list(shown.hyperparameters), selectedMetrics=[VALUE],
              showAllRuns=True),
        _line(best, _DRAWN),
        _line(shown.metric, _CURVES),
        *(_card("SCATTER", xaxis=param, yaxis=value) for param in params[:4]),
    ]
    if len(params) > 1:
        cards.insert(3, _card("CONTOUR", xaxis=params[0], yaxis=params[1], zaxis=value))
    return [{**card, "uuid": f"hpo-{number}"} for number, card in enumerate(cards)]


def _line(metric: str, runs: int) -> Mapping[str, Any]:
    """Return the chart of a metric by step, for at most this many runs."""
    return {
        **_card("LINE", metricKey=metric, selectedMetricKeys=[metric], xAxisKey="step",
                selectedXAxisMetricKey="", xAxisScaleType="linear", scaleType="linear",
                lineSmoothness=0),
        "runsCountToCompare": runs,
    }


def _card(kind: str, **settings: Any) -> Mapping[str, Any]:
    return {
        "type": kind, "metricSectionId": _SECTION, "deleted": False, "isGenerated": False,
        "runsCountToCompare": _DRAWN, **settings,
    }


def _section() -> dict[str, Any]:
    return {
        "uuid": _SECTION, "name": "Trials", "display": True, "isReordered": False,
        "deleted": False, "isGenerated": False,
    }
