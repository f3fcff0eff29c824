"""A browser draws the page of any study; brushes, sorting and hovering do what they say."""

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from hpo import wording
from hpo.record.values import Recorded
from hpo.report.page import write
from hpo.trial import State
from tests.hpo.report.drawn import MIXED, study
from tests.hpo.report.pages import EVIL, data_of, evil, many, timed
from tests.processes import wait_for

pytest_plugins = ["tests.browser"]
Open = Callable[[Recorded], dict[str, Any]]
CHARTS = "return document.querySelectorAll('.chart:not([data-drawn])').length"


@pytest.fixture
def look(browser: Chrome, tmp_path: Path) -> Iterator[Open]:
    """Return a function that opens the page of a study; in the end nothing may have complained."""
    browser.get("about:blank")
    browser.get_log("browser")

    def opened(recorded: Recorded) -> dict[str, Any]:
        data = data_of(recorded)
        path = tmp_path / "report.html"
        write(data, path)
        size(browser, 1000)
        browser.get(path.as_uri())
        wait_for(lambda: script(browser, "return document.documentElement.dataset.ready"))
        return data

    yield opened
    complaints = browser.get_log("browser")
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert complaints == []


def script(browser: Chrome, code: str, *arguments: object) -> Any:
    return browser.execute_script(code, *arguments)


def size(browser: Chrome, width: int, height: int = 900) -> None:
    """Give the page so many pixels, as on a device of that size."""
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500,
    })


def draw_all(browser: Chrome) -> None:
    """Scroll through the page until each of its charts is drawn."""

    def is_drawn() -> bool:
        script(browser, "document.getElementById('spread').open = true;"
                        "document.querySelector('.chart:not([data-drawn])')?.scrollIntoView()")
        return script(browser, CHARTS) == 0

    wait_for(is_drawn, seconds=60)


def kept(browser: Chrome) -> int:
    """Return how many trials are shown, as the page says it."""
    return int(browser.find_element(By.ID, "count").text.split()[0])


def rows(browser: Chrome) -> list[list[str]]:
    """Return the table of trials, without the buttons."""
    found: list[list[str]] = script(
        browser, "return [...document.querySelectorAll('#trials tbody tr')]"
        ".map(row => [...row.cells].slice(0, -1).map(cell => cell.textContent))",
    )
    return found


def grip(browser: Chrome, index: int) -> WebElement:
    """Return the axis of this index of the parallel coordinates, in view."""
    found = browser.find_element(By.CSS_SELECTOR, f"#parallel .grip[data-axis='{index}']")
    script(browser, "arguments[0].scrollIntoView({block: 'center'})", found)
    return found


def drag(browser: Chrome, index: int, low: float, high: float) -> None:
    """Drag along an axis, between two shares of its way from the middle."""
    axis = grip(browser, index)
    tall = axis.size["height"]
    ActionChains(browser, duration=50).move_to_element_with_offset(
        axis, 0, int(-low * tall)
    ).click_and_hold().move_by_offset(0, int((low - high) * tall)).release().perform()


def point(browser: Chrome, x: float, y: float) -> None:
    """Move the pointer to a place of the window, from beside it."""
    for aside in (3, 0):
        move = ActionChains(browser, duration=20)
        move.w3c_actions.pointer_action.move_to_location(round(x) + aside, round(y))
        move.perform()


@pytest.mark.parametrize("trials", [5, 80, 1000])
@pytest.mark.parametrize("hyperparameters", [1, 2, 8, 30])
def test_every_study_is_drawn(
    browser: Chrome, look: Open, trials: int, hyperparameters: int
) -> None:
    look(many(trials, hyperparameters))
    draw_all(browser)
    assert kept(browser) == trials
    assert len(rows(browser)) == min(trials, 200)
    slices = browser.find_elements(By.CSS_SELECTOR, "#slices .chart")
    assert len(slices) == hyperparameters
    for width in (800, 390):
        size(browser, width)
        fits = f"return document.documentElement.scrollWidth <= {width}"
        wait_for(lambda fits=fits: script(browser, fits))  # charts follow a moment later


def test_a_thousand_trials_open_and_are_brushed_without_lag(browser: Chrome, look: Open) -> None:
    look(many(1000, 8))
    opened = script(browser, "return performance.timing.domContentLoadedEventEnd"
                             " - performance.timing.navigationStart")
    assert opened < 6000  # a fifth of that where nothing else runs
    assert len(rows(browser)) == 200
    longest = script(browser, """
        let longest = 0;
        for (let i = 1; i <= 20; i++) {
          const begun = performance.now();
          selection.brush(axes[1], between(0.1, 0.1 + i / 30));
          for (const listener of selection.listeners) listener();
          longest = Math.max(longest, performance.now() - begun);
        }
        return longest""")
    assert longest < 300  # a tenth of that where nothing else runs
    draw_all(browser)
    assert 0 < kept(browser) < 1000


def test_a_brush_keeps_what_lies_under_it(browser: Chrome, look: Open) -> None:
    data = look(timed(study([MIXED, MIXED], 40, states=(*State, State.COMPLETE))))
    draw_all(browser)
    drag(browser, 1, 0.0, 0.3)
    wait_for(lambda: kept(browser) < 80)
    named = data["hyperparameters"][0]
    low, high = script(browser, """const brush = selection.brushes.get(axes[1]);
        return [axes[1].value(brush.low), axes[1].value(brush.high)]""")
    inside = {
        f"{r}/{n}" for r, n, value in
        zip(data["trials"]["round"], data["trials"]["number"], named["values"], strict=True)
        if low <= value <= high
    }
    assert kept(browser) == len(inside)
    wait_for(lambda: {row[0] for row in rows(browser)} == inside)
    curves = browser.find_element(By.ID, "curves").get_attribute("data-curves")
    trained = {
        f"{r}/{n}" for r, n, epochs in
        zip(*(data["trials"][key] for key in ("round", "number", "epochs")), strict=True) if epochs
    }
    assert int(curves or 0) == len(inside & trained)
    selected = script(browser, """return [...charts.values()].map(chart =>
        chart.figure.renderers.map(r => r.data_source?.selected?.indices.length ?? 0))""")
    assert any(len(inside) in chart for chart in selected)
    grip(browser, 1).click()  # lets it go
    wait_for(lambda: kept(browser) == 80)


def test_brushes_and_states_work_by_keyboard(browser: Chrome, look: Open) -> None:
    data = look(timed(study([MIXED], 40, states=(*State, State.COMPLETE))))
    browser.find_element(By.CSS_SELECTOR, "#limits summary").send_keys(Keys.ENTER)
    name = data["hyperparameters"][0]["name"]
    field = browser.find_element(By.CSS_SELECTOR, f"[aria-label='{name} from']")
    field.send_keys("0.01", Keys.TAB)
    values = data["hyperparameters"][0]["values"]
    expected = sum(value >= 0.01 for value in values)
    wait_for(lambda: kept(browser) == expected)
    field.send_keys(Keys.CONTROL, "a", Keys.NULL, Keys.DELETE, Keys.TAB)
    wait_for(lambda: kept(browser) == 40)
    for box in browser.find_elements(By.CSS_SELECTOR, "#states input")[1:]:
        box.send_keys(Keys.SPACE)
    wait_for(lambda: kept(browser) == data["summary"]["states"]["complete"])
    sgd = browser.find_element(By.XPATH, "//fieldset//label[contains(., 'sgd')]/input")
    sgd.send_keys(Keys.SPACE)
    wait_for(lambda: kept(browser) < data["summary"]["states"]["complete"])
    browser.find_element(By.ID, "clear").send_keys(Keys.ENTER)
    wait_for(lambda: kept(browser) == 40)
    assert sgd.is_selected()


def test_the_table_sorts_by_any_column_and_empty_cells_come_last(
    browser: Chrome, look: Open
) -> None:
    data = look(timed(study([MIXED], 40, states=tuple(State))))
    values = [value for value in data["trials"]["value"] if value is not None]

    def column(index: int) -> list[str]:
        return [row[index] for row in rows(browser)]

    best_first = wording.column(sorted(values, reverse=True))
    assert column(2) == best_first + [""] * (40 - len(values))
    button = browser.find_element(By.XPATH, "//th/button[contains(., 'validation_accuracy')]")
    button.send_keys(Keys.ENTER)
    assert column(2) == best_first[::-1] + [""] * (40 - len(values))
    head = button.find_element(By.XPATH, "..")
    assert head.get_attribute("aria-sort") == "ascending"
    browser.find_element(By.XPATH, "//th/button[contains(., 'optimizer')]").click()
    at = column_of(browser, "optimizer")
    assert column(at) == sorted(column(at))
    assert head.get_attribute("aria-sort") is None


def column_of(browser: Chrome, name: str) -> int:
    heads = browser.find_elements(By.CSS_SELECTOR, "#trials th")
    return next(i for i, head in enumerate(heads) if head.text.startswith(name))


def test_a_row_is_copied_as_a_point_to_start_with(browser: Chrome, look: Open) -> None:
    recorded = timed(study([MIXED], 40))
    look(recorded)
    first = rows(browser)[0][0]
    browser.find_element(By.CSS_SELECTOR, "#trials tbody button").click()
    area = browser.find_element(By.ID, "copied-text")
    (point,) = tomllib.loads(area.get_attribute("value") or "")["start"]
    trial = next(r.trial for r in recorded.results if f"1/{r.trial.number}" == first)
    for name, value in trial.hyperparameters.items():
        given = tuple(point[name]) if isinstance(point[name], list) else point[name]
        assert given == value
        assert type(given) is type(value)
    selected = script(browser, "return getSelection().toString() || document.activeElement.value")
    assert selected.startswith("[[start]]")
    ActionChains(browser).send_keys(Keys.ESCAPE).perform()
    assert not area.is_displayed()


def test_a_line_under_the_pointer_says_which_trial_it_is(browser: Chrome, look: Open) -> None:
    recorded = many(5, 2)
    data = look(recorded)
    place = """
        parallel.host.scrollIntoView({block: "center"});
        const box = parallel.svg.getBoundingClientRect();
        const middle = (axes[0].places[2] + axes[1].places[2]) / 2;
        return [box.left + (parallel.x(0) + parallel.x(1)) / 2, box.top + parallel.y(middle)]"""
    tip = browser.find_element(By.ID, "tip")
    (value,) = wording.column([data["trials"]["value"][2]])

    def is_named() -> bool:
        point(browser, *script(browser, place))
        return tip.text.startswith(f"trial 1/3: pruned at {value}")

    wait_for(is_named)
    ActionChains(browser).click().perform()
    wait_for(lambda: browser.find_element(By.ID, "picked").text.startswith("trial 1/3"))
    wait_for(lambda: browser.find_elements(By.CSS_SELECTOR, "tr.picked"))


def test_a_mark_of_a_chart_says_which_trial_it_is(browser: Chrome, look: Open) -> None:
    look(many(5, 2))
    history = browser.find_element(By.ID, "history")
    script(browser, "arguments[0].scrollIntoView({block: 'center'})", history)
    wait_for(lambda: history.get_attribute("data-drawn"))
    place = """
        const view = Bokeh.index.get_one_by_id(charts.get(arguments[0]).figure.id);
        const box = view.canvas_view.el.getBoundingClientRect();
        return [box.left + view.frame.x_scale.compute(3),
                box.top + view.frame.y_scale.compute(valueAxis.values[2])]"""
    texts = """const all = (root) => [...root.querySelectorAll("*")].flatMap((element) =>
        [element, ...(element.shadowRoot ? all(element.shadowRoot) : [])]);
        return all(document).filter((element) => element.tagName === "SPAN")
          .map((element) => element.textContent)"""

    def is_named() -> bool:
        point(browser, *script(browser, place, history))
        return "1/3" in script(browser, texts)

    wait_for(is_named)
    ActionChains(browser).click().perform()
    wait_for(lambda: browser.find_element(By.ID, "picked").text.startswith("trial 1/3"))


def test_the_plane_is_of_any_two(browser: Chrome, look: Open) -> None:
    look(timed(study([MIXED], 40, states=(*State, State.COMPLETE))))
    element = browser.find_element(By.ID, "plane")
    script(browser, "arguments[0].scrollIntoView()", element)
    wait_for(lambda: element.get_attribute("data-drawn"))
    before = script(browser, "return plane.banded")
    choice = browser.find_element(By.ID, "plane-y")
    names = [option.text for option in choice.find_elements(By.TAG_NAME, "option")]
    assert set(names) == set(MIXED)
    other = {"optimizer", "hidden_sizes"} - {names[1]}  # which is what it begins with
    choice.send_keys(min(other))
    wait_for(lambda: script(browser, "return plane.banded.length") == 3)
    assert script(browser, "return plane.banded") != before
    # At the recommended trial it is as high as the slice through that.
    height, mean = script(browser, """
        const { surface } = study, trial = recommended;
        plane.x = 0; plane.y = 1;
        const at = [0, 1].map((i) => Number(plane.axes[i].values[trial]));
        const slice = plane.axes[0].described.slice;
        const near = slice.at.map((v) => Math.abs(Math.log(v / at[0])));
        const index = near.indexOf(Math.min(...near));
        return [plane.metric(plane.heights([slice.at[index]], [at[1]])[0][0]), slice.mean[index]]
        """)
    assert abs(height - mean) < 1e-3


def test_names_from_anywhere_are_only_shown(browser: Chrome, look: Open) -> None:
    look(evil())
    draw_all(browser)
    assert script(browser, "return window.evil ?? null") is None
    assert not browser.find_elements(By.CSS_SELECTOR, "img")
    assert browser.find_element(By.ID, "name").text.startswith("</script><script>")
    assert EVIL[:20] in browser.find_element(By.ID, "trials").text


def test_dark_mode_has_its_own_colors(browser: Chrome, look: Open) -> None:
    look(many(80, 2))
    draw_all(browser)
    ground = "return getComputedStyle(document.body).backgroundColor"
    light, drawn = script(browser, ground), script(browser, "return shade(1)")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {
        "features": [{"name": "prefers-color-scheme", "value": "dark"}],
    })
    wait_for(lambda: script(browser, ground) != light)
    wait_for(lambda: script(browser, "return shade(1)") != drawn)
    color = "return charts.get(document.getElementById('history')).figure.background_fill_color"
    wait_for(lambda: script(browser, color) == "#16181b")


def test_numbers_read_as_in_the_other_reports(browser: Chrome, look: Open) -> None:
    look(many(5, 1))
    values = [0.98611, 1.0, 0.0, 12345.678, 999999.4, 1e6, 1.23449e-6, 0.00012345, -0.5, 3e300, 7.0]
    said = script(browser, "return arguments[0].map(fourDigits)", values)
    assert said == [wording.four_digits(value) for value in values]
    said = script(browser, "return arguments[0].map(plain)", [0.5, 0.98, 1.5e-7, 12345.678])
    assert said == [wording.number(value) for value in (0.5, 0.98, 1.5e-7, 12345.678)]


def test_all_that_is_used_has_a_name(browser: Chrome, look: Open) -> None:
    look(timed(study([MIXED], 12)))
    unnamed = script(browser, """
        return [...document.querySelectorAll("button, input, select, textarea, [role=img]")]
          .filter(e => !(e.textContent.trim() || e.getAttribute("aria-label") || e.labels?.length))
          .map(e => e.outerHTML)""")
    assert unnamed == []
    assert not re.search(r"undefined|NaN|\[object", browser.find_element(By.TAG_NAME, "body").text)


def test_the_data_is_there_to_be_read(browser: Chrome, look: Open) -> None:
    data = look(many(5, 1))
    held = script(browser, "return document.getElementById('data').textContent")
    assert json.loads(held) == data
