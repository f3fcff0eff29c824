"""What `hpo ui` counts on in the MLflow UI is there in the MLflow that is installed."""

import importlib.util
import json
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from hpo.record.saved_view import page, view_tags

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


def test_the_ui_opens_a_study_on_its_runs(ui: str) -> None:
    tags = view_tags([])
    others = {name: value for name, value in tags.items() if not name.startswith(SHARED)}
    assert len(others) == len(tags) - 1
    words = [SHARED, *others.keys(), *others.values()]
    check(ui, *(f'"{word}"' for word in words))


def test_the_ui_has_each_part_of_the_saved_view(ui: str) -> None:
    tags = view_tags(["params.`momentum`"])
    (state,) = [json.loads(text) for name, text in tags.items() if name.startswith(SHARED)]
    assert state["selectedColumns"] == ["params.`momentum`"]
    named = ("runsHiddenMode", "startTime", "lifecycleFilter", "orderByKey")
    check(ui, *state, *(f'"{state[name]}"' for name in named))


def test_the_address_of_a_study_names_its_saved_view(ui: str) -> None:
    parts = urlsplit(page("http://127.0.0.1:5000", "3"))
    route = urlsplit(parts.fragment)
    assert (parts.netloc, route.path) == ("127.0.0.1:5000", "/experiments/3/runs")
    query = parse_qs(route.query)
    assert f"{SHARED}{query['viewStateShareKey'][0]}" in view_tags([])
    check(ui, *query, f'"{query["workflowType"][0]}"')
    assert page("http://127.0.0.1:5000").startswith("http://127.0.0.1:5000/#/experiments?")
