"""What `hpo ui` counts on in the MLflow UI is there in the MLflow that is installed."""

import importlib.util
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from hpo.record.saved_view import charts_page, page, view_tags
from hpo.record.values import Shown
from hpo.trial import Direction

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


SHOWN = Shown(("momentum", "rate"), "loss", "minimize")


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
