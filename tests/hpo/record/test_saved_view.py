"""What `hpo ui` counts on in the MLflow UI is there in the MLflow that is installed."""

import importlib.util
import json
import re
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from hpo.record.format import count_tag
from hpo.record.saved_view import best_of, charts_page, page, run_page, view_tags
from hpo.record.values import Shown
from hpo.trial import Direction, State

SHARED = "mlflow.sharedViewState."


@pytest.fixture(scope="module")
def ui() -> str:
    """Return the scripts of the installed MLflow that open a saved view."""
    mlflow = importlib.util.find_spec("mlflow")  # which takes long to import
    assert mlflow is not None
    assert mlflow.origin is not None
    folder = Path(mlflow.origin).parent / "server" / "js" / "build" / "static" / "js"
    scripts = [file.read_text(encoding="utf-8") for file in folder.glob("*.js")]
    return "".join(text for text in scripts if "viewStateShareKey" in text)


def check(ui: str, *words: str) -> None:
    """Fail where the UI does not have these as names or strings."""
    __tracebackhide__ = True
    unknown = [word for word in words if not re.search(rf"(?<![\w$]){re.escape(word)}(?!\w)", ui)]
    assert not unknown, (
        "MLflow's UI has these no more, so that `hpo ui STUDY` and a click on a study show its "
        f"runs without hyperparameters and metrics, or traces instead: {unknown}"
    )


SHOWN = Shown(("momentum", "rate"), "loss", "minimize", ("rate.low", "momentum.choices"))


def views() -> dict[str, dict[str, Any]]:
    """Return the state of each view, by its name."""
    tags = {n: json.loads(t) for n, t in view_tags(SHOWN).items() if n.startswith(SHARED)}
    return {view["name"]: json.loads(view["state"]) for view in tags.values()}


def test_the_ui_opens_a_study_on_its_runs(ui: str) -> None:
    tags = view_tags(SHOWN)
    others = {name: value for name, value in tags.items() if not name.startswith(SHARED)}
    assert len(others) == len(tags) - 3
    words = [SHARED, *others.keys(), *others.values()]
    check(ui, *(f'"{word}"' for word in words))


def test_the_ui_has_each_part_of_the_saved_views(ui: str) -> None:
    found = views()
    assert list(found) == ["Trials, best first", "Rounds", "Charts"]
    for state in found.values():
        named = ("runsHiddenMode", "startTime", "lifecycleFilter")
        check(ui, *state, *(f'"{state[name]}"' for name in named))
    for card in found["Charts"]["compareRunCharts"]:
        check(ui, *card, f'"{card["type"]}"')


@pytest.mark.parametrize(("direction", "ascending"), [("minimize", True), ("maximize", False)])
def test_trials_are_sorted_by_their_value_best_first(
    direction: Direction, ascending: bool
) -> None:
    tags = view_tags(Shown(("rate",), "loss", direction))
    state = json.loads(json.loads(tags[f"{SHARED}trials"])["state"])
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`value`", ascending)
    assert state["searchFilter"] == "tags.kind = 'trial'"
    assert {"metrics.`value`", "params.`rate`"} < set(state["selectedColumns"])


def test_a_view_of_many_hyperparameters_fits_into_a_tag() -> None:
    names = [f"hyperparameter_{number}" for number in range(1000)]
    tags = view_tags(Shown(names, "loss", "minimize"))
    assert max(map(len, tags.values())) <= 20_000
    columns = json.loads(json.loads(tags[f"{SHARED}trials"])["state"])["selectedColumns"]
    assert 100 < len(columns) < 1000


def test_the_address_of_a_study_names_its_saved_view(ui: str) -> None:
    for address, mode in (
        (page("http://127.0.0.1:5000", "3"), None),
        (charts_page("http://127.0.0.1:5000", "3"), ["CHART"]),
    ):
        parts = urlsplit(address)
        route = urlsplit(parts.fragment)
        assert (parts.netloc, route.path) == ("127.0.0.1:5000", "/experiments/3/runs")
        query = parse_qs(route.query)
        assert f"{SHARED}{query['viewStateShareKey'][0]}" in view_tags(SHOWN)
        assert query.get("compareRunsMode") == mode
        check(ui, *query, f'"{query["workflowType"][0]}"')
    assert page("http://127.0.0.1:5000").startswith("http://127.0.0.1:5000/#/experiments?")


def test_addresses_are_those_of_the_ui() -> None:
    server, training = "http://127.0.0.1:5000", "workflowType=machine_learning"
    assert page(server) == f"{server}/#/experiments?{training}"
    runs = f"{server}/#/experiments/3/runs?{training}"
    assert page(server, "3") == f"{runs}&viewStateShareKey=trials"
    assert charts_page(server, "3") == f"{runs}&compareRunsMode=CHART&viewStateShareKey=charts"
    assert run_page("3", "abc") == f"#/experiments/3/runs/abc?{training}"
    assert run_page("3", "abc", server) == f"{server}/#/experiments/3/runs/abc?{training}"
    assert best_of("loss") == "best_loss"


def test_the_views_show_trials_rounds_and_charts() -> None:
    trials, rounds, charts = views().values()
    widths = {
        "attributes.`Run Name`": 130, "metrics.`value`": 215, "params.`momentum`": 215,
        "params.`rate`": 215, "tags.`round`": 80, "tags.`state`": 100,
    }
    states = dict.fromkeys((f"tags.`{count_tag(state)}`" for state in State), 100)
    of_rounds = {
        "attributes.`Run Name`": 130, "metrics.`best_loss`": 215, "params.`rate.low`": 110,
        "params.`momentum.choices`": 168, **states,
    }
    assert trials == {
        "searchFilter": "tags.kind = 'trial'", "orderByKey": "metrics.`value`",
        "orderByAsc": True, "startTime": "ALL", "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "selectedColumns": ["tags.`round`", "metrics.`value`", "params.`momentum`",
                            "params.`rate`", "tags.`state`"],
        "runsExpanded": {}, "runsPinned": [], "runsHidden": [], "runsHiddenMode": "FIRST_20_RUNS",
        "runListHidden": False, "groupBy": None, "groupsExpanded": {},
        "columnOrder": list(widths), "columnWidths": widths,
    }
    assert rounds == trials | {
        "searchFilter": "tags.kind = 'round'", "orderByKey": "attributes.start_time",
        "selectedColumns": ["metrics.`best_loss`", "params.`rate.low`",
                            "params.`momentum.choices`", "tags.`complete`", "tags.`pruned`",
                            "tags.`stopped_by_hand`",
                            "tags.`diverged`", "tags.`infeasible`", "tags.`failed`"],
        "columnOrder": list(of_rounds), "columnWidths": of_rounds,
    }
    cards, (section,) = charts["compareRunCharts"], charts["compareRunSections"]
    # The rounds come first: they have the best so far.
    assert charts["searchFilter"] == (
        "tags.kind != 'repeat' and tags.kind != 'part' and "
        "tags.kind != 'confirmation' and tags.kind != 'extension' and tags.kind != 'evaluation'"
    )
    assert charts["orderByKey"] == "metrics.`best_loss`"
    names = ("compareRunCharts", "compareRunSections", "runsHiddenMode", "searchFilter",
             "orderByKey")
    assert {**charts, **dict.fromkeys(names)} == {**trials, **dict.fromkeys(names)}
    assert charts["runsHiddenMode"] == "SHOW_ALL"
    assert section == {"uuid": "hpo", "name": "Trials", "display": True, "isReordered": False,
                       "deleted": False, "isGenerated": False}
    common = {"metricSectionId": "hpo", "deleted": False, "isGenerated": False,
              "runsCountToCompare": 500}
    momentum, rate = ({"key": name, "type": "PARAM"} for name in ("momentum", "rate"))
    value = {"key": "value", "type": "METRIC"}
    assert cards == [
        {"type": "PARALLEL", "uuid": "hpo-0", "selectedParams": ["momentum", "rate"],
         "selectedMetrics": ["value"], "showAllRuns": True, **common},
        {"type": "LINE", "uuid": "hpo-1", "metricKey": "best_loss",
         "selectedMetricKeys": ["best_loss"], "xAxisKey": "step", "selectedXAxisMetricKey": "",
         "xAxisScaleType": "linear", "scaleType": "linear", "lineSmoothness": 0, **common},
        {"type": "LINE", "uuid": "hpo-2", "metricKey": "loss",
         "selectedMetricKeys": ["loss"], "xAxisKey": "step", "selectedXAxisMetricKey": "",
         "xAxisScaleType": "linear", "scaleType": "linear", "lineSmoothness": 0, **common,
         "runsCountToCompare": 100},
        {"type": "CONTOUR", "uuid": "hpo-3", "xaxis": momentum, "yaxis": rate, "zaxis": value,
         **common},
        {"type": "SCATTER", "uuid": "hpo-4", "xaxis": momentum, "yaxis": value, **common},
        {"type": "SCATTER", "uuid": "hpo-5", "xaxis": rate, "yaxis": value, **common},
    ]


@pytest.mark.parametrize(("count", "kinds"), [
    (1, ["PARALLEL", "LINE", "LINE", "SCATTER"]),
    (6, ["PARALLEL", "LINE", "LINE", "CONTOUR", *["SCATTER"] * 4]),
])
def test_only_the_first_hyperparameters_have_charts_of_their_own(
    count: int, kinds: list[str]
) -> None:
    tags = view_tags(Shown([f"h{i}" for i in range(count)], "loss", "minimize"))
    state = json.loads(json.loads(tags[f"{SHARED}charts"])["state"])
    assert [card["type"] for card in state["compareRunCharts"]] == kinds


def test_the_first_view_of_the_menu_is_that_of_the_trials() -> None:
    tags = [json.loads(t) for n, t in view_tags(SHOWN).items() if n.startswith(SHARED)]
    assert [tag["name"] for tag in sorted(tags, key=lambda tag: -tag["createdAt"])] == [
        "Trials, best first", "Rounds", "Charts"
    ]
    assert all(tag["updatedAt"] == tag["createdAt"] for tag in tags)
    assert abs(tags[0]["createdAt"] / 1000 - time.time()) < 60
