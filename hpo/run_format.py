"""How rounds and trials are written as tags and params of MLflow's runs, and read back.

Names that all trials of a study share are kept once, not once a trial.
"""

import json
import sys
from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hpo.ownership import Owner
from hpo.recorded import Look, Round
from hpo.search_space import SearchSpace, Value, as_tuples, describe, from_table
from hpo.trial import Curve, EpochMetrics, State, Trial, TrialResult

if TYPE_CHECKING:  # MLflow takes a second to import
    from mlflow.entities import Run

TAG_CHARACTERS = 7500  # MLflow cuts a tag at 8,000 without a word
LOOK = "test set look "


def chunks(name: str, text: str) -> dict[str, str]:
    """Return `text` as tags name, name.2, … that are short enough for MLflow."""
    parts = [text[i : i + TAG_CHARACTERS] for i in range(0, len(text), TAG_CHARACTERS)]
    return {name if i == 1 else f"{name}.{i}": part for i, part in enumerate(parts, start=1)}


def joined(name: str, tags: Mapping[str, str]) -> str:
    """Return the text that `chunks` cut up."""
    text, part = tags.get(name, ""), 2
    while f"{name}.{part}" in tags:
        text += tags[f"{name}.{part}"]
        part += 1
    return text


def result_tags(result: TrialResult, metric: str) -> dict[str, str]:
    """Return what is read back of a result without a request for each run."""
    tags = {
        "state": result.state.value,
        "seconds": repr(result.seconds),
        "started": repr(result.started),
        "place": result.place,
    }
    if result.value is not None:
        tags |= {"value": repr(result.value), "epoch": str(result.epoch)}
    if result.message:
        tags["message"] = result.message
        tags["mlflow.note.content"] = f"```\n{result.message}\n```"
    return {**tags, **chunks("curve", json.dumps(result.curve(metric)))}


def read_result(run: "Run", metric: str) -> TrialResult:
    """Read back what `result_tags` and the params of a trial's run say."""
    tags = run.data.tags
    curve = array("d", json.loads(joined("curve", tags) or "[]"))
    metrics: Sequence[EpochMetrics] = ()
    if curve:
        last = {sys.intern(name): value for name, value in run.data.metrics.items()}
        metrics = Curve(metric, curve, {**last, metric: curve[-1]})
    return TrialResult(
        read_trial(run),
        State(tags["state"]),
        float(tags["value"]) if "value" in tags else None,
        int(tags["epoch"]) if "epoch" in tags else None,
        metrics,
        int(tags["attempt"]),
        float(tags["started"]),
        float(tags["seconds"]),
        sys.intern(tags.get("place", "")),
        tags.get("message", ""),
    )


def read_trial(run: "Run") -> Trial:
    """Read back the trial of a run."""
    tags = run.data.tags
    return Trial(
        int(tags["round"]), int(tags["number"]), hyperparameters(run), int(tags["seed"]),
        repeat=int(tags.get("repeat", 0)), resplit=tags.get("resplit") == "true",
    )


def looks_taken(run: "Run") -> dict[int, Look]:
    """Return the looks at the test set that began, by number."""
    numbers = {
        int(name.removeprefix(LOOK)): value.partition(" ")[0]
        for name, value in run.data.params.items()
        if name.startswith(LOOK)
    }
    return {number: Look(number, when) for number, when in numbers.items()}


def claims(run: "Run") -> dict[int, Owner]:
    """Return the processes that ran the study, by the number of their claim."""
    return {
        int(name.removeprefix("owner ")): Owner.from_text(value)
        for name, value in run.data.params.items()
        if name.startswith("owner ")
    }


def hyperparameters(run: "Run") -> dict[str, Value]:
    """Read back the hyperparameters of a trial's run."""
    return {
        sys.intern(name): as_tuples(json.loads(text)) for name, text in run.data.params.items()
    }


def read_round(run: "Run") -> Round:
    """Read back the round of a run."""
    tags = run.data.tags
    return Round(
        int(tags["round"]),
        run.info.run_id,
        {name: from_table(t) for name, t in json.loads(tags["search_space"]).items()},
        json.loads(tags["settings"]),
        run.info.status == "FINISHED",
        json.loads(joined("proposal", tags) or "[]"),
        tags.get("stopped", ""),
    )


def view(columns: Sequence[str]) -> str:
    """Return a saved view for the UI, which of itself shows neither params nor metrics."""
    return json.dumps(
        {
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
    )


def round_note(search_space: SearchSpace, proposal: Sequence[Mapping[str, Any]]) -> str:
    """Return the description of a round in Markdown: its ranges, and why they are so."""
    reasons = {move["name"]: move["reason"] for move in proposal}
    lines = ["| hyperparameter | range | why |", "|---|---|---|"]
    for name, distribution in search_space.items():
        lines.append(f"| {name} | {describe(distribution)} | {reasons.get(name, 'as given')} |")
    return "\n".join(lines)


def corners(values: Sequence[float]) -> Iterator[tuple[int, float]]:
    """Yield what a line through `values`, by number from 1, needs: where it bends, and its ends.

    Values are NaN before the first one.
    """
    for step, value in enumerate(values, start=1):
        around = values[max(step - 2, 0) : step + 1]
        if value == value and (step in (1, len(values)) or any(v != value for v in around)):
            yield step, value
