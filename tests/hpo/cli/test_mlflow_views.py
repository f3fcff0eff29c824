"""A browser shows a study in MLflow as its saved views say."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from hpo.api import lookup, pictures
from tests.fixtures import hpo, preparing, table, write_study
from tests.ports import free_ports
from tests.processes import start_anew, wait_for

NUMBERS = ".ag-cell[col-id^='metrics.'], .ag-cell[col-id^='params.']"
pytest_plugins = ["tests.browser"]


@dataclass
class Pages:
    """A study in the UI: the addresses that the command prints, and its trials, best first."""

    study: str
    trials: str
    rounds: str
    charts: str
    best: str
    order: list[str]


@pytest.fixture(scope="module")
def pages(
    tmp_path_factory: pytest.TempPathFactory, empty_database: Path, browser: Chrome
) -> Iterator[Pages]:
    folder = tmp_path_factory.mktemp("views")
    with preparing(folder, empty_database):
        round_ = {"trials": 6, "pruner": {"name": "median", "startup_trials": 2}}
        file = write_study(folder, rounds=2, round=round_, objective="toy:cliff", seed=3)
        hpo("run", file, "--inline")
        record = lookup.existing_record("sqlite:///mlflow.db").study("toy")
        pictures.renew_page(record, print)  # else no round of a toy is drawn
        rows = [row for row in table() if row["state"] == "complete"]
        rows.sort(key=lambda row: -float(row["value"]))
        (port,) = free_ports(1)
        process = start_anew("ui", "toy", "--port", port)
        try:
            assert process.stdout is not None
            printed = [process.stdout.readline() for _ in range(7)]
            addresses = [line.split()[0] for line in printed[1:]]
            assert all(a.startswith(f"http://127.0.0.1:{port}/#/exp") for a in addresses), printed
            order = [f"r{row['round']} t{row['number']}" for row in rows]
            yield Pages(*addresses[1:], order)
        finally:
            process.terminate()
            process.communicate(timeout=60)


def text_of(browser: Chrome) -> str:
    """Return what is to be read on a page that may still be made."""
    try:
        return browser.find_element(By.TAG_NAME, "body").text
    except WebDriverException:
        return ""


def see(browser: Chrome, *words: str) -> None:
    """Wait until a page says all of these."""
    try:
        wait_for(lambda: all(word in text_of(browser) for word in words), seconds=60)
    except AssertionError:
        raise AssertionError(f"{words} are not all in:\n{text_of(browser)}") from None


def go(browser: Chrome, address: str) -> None:
    """Open a page from nothing, as a click in a terminal does."""
    browser.get("about:blank")
    browser.get(address)


def names(browser: Chrome) -> list[str]:
    """Return the trials of a table in the order that they are shown in."""
    return re.findall(r"^r\d+ t\d+$", text_of(browser), re.MULTILINE)


def headings(browser: Chrome) -> set[str]:
    return set(browser.execute_script(  # at once, since the page may be made anew meanwhile
        "return [...document.querySelectorAll('[role=columnheader]')]"
        ".map(cell => cell.innerText.trim())"
    ))


def test_a_study_is_on_one_page_among_the_files_of_its_last_round(
    browser: Chrome, pages: Pages
) -> None:
    go(browser, pages.study)
    see(browser, "round 2", "report.html")
    wait_for(lambda: browser.find_elements(By.CSS_SELECTOR, "iframe"))
    browser.get_log("browser")
    browser.switch_to.frame(browser.find_element(By.CSS_SELECTOR, "iframe"))
    try:
        trials = [name.removeprefix("r").replace(" t", "/") for name in pages.order]
        see(browser, "12 of 12 trials", "Parallel coordinates", *trials)
        chart = browser.find_element(By.ID, "history")
        wait_for(lambda: chart.get_attribute("data-drawn"))
        browser.find_element(By.CSS_SELECTOR, "#states input").click()
        wait_for(lambda: "12 of 12 trials" not in text_of(browser))
        browser.find_element(By.ID, "clear").click()
        browser.find_element(By.CSS_SELECTOR, "#trials tbody button").click()
        copied = browser.find_element(By.ID, "copied-text").get_attribute("value") or ""
        assert copied.startswith("[[start]]\n")
    finally:
        browser.switch_to.default_content()
    complaints = [line for line in browser.get_log("browser") if "blob:" in line["message"]]
    assert complaints == []


def test_a_study_opens_on_its_trials_best_first(browser: Chrome, pages: Pages) -> None:
    go(browser, pages.trials)
    see(browser, "Trials, best first", "12 matching runs")
    wait_for(lambda: {"value", "learning_rate", "weight_decay"} <= headings(browser))
    assert len(set(pages.order)) > 4
    assert names(browser)[: len(pages.order)] == pages.order  # the order of `hpo show`


def test_no_number_is_cut(browser: Chrome, pages: Pages) -> None:
    for address, known in ((pages.trials, "12 matching runs"), (pages.rounds, "2 matching runs")):
        go(browser, address)
        see(browser, known)
        wait_for(lambda: len(browser.find_elements(By.CSS_SELECTOR, NUMBERS)) >= 2)
        # The pixels that a text takes, beyond those of its cell.
        beyond = browser.execute_script(
            "return [...document.querySelectorAll(arguments[0])]"
            ".map(cell => [cell.innerText, cell.scrollWidth - cell.clientWidth])", NUMBERS,
        )
        assert any(len(text) > 15 for text, _ in beyond), beyond
        assert all(pixels <= 0 for _, pixels in beyond), beyond


def test_after_back_and_reload_the_view_is_in_the_menu(browser: Chrome, pages: Pages) -> None:
    go(browser, pages.trials)
    see(browser, *pages.order)
    browser.find_element(By.LINK_TEXT, pages.order[0]).click()
    see(browser, "About this run")
    browser.back()
    see(browser, "12 matching runs", *pages.order)
    browser.refresh()
    see(browser, "12 matching runs", *pages.order)
    assert names(browser)[: len(pages.order)] == pages.order
    browser.find_element(By.XPATH, "//button[contains(., 'Trials, best first')]").click()
    see(browser, "Rounds", "Charts")
    for item in browser.find_elements(By.CSS_SELECTOR, "[role^=menuitem]"):
        if "Trials, best first" in item.text:
            item.click()
            break
    wait_for(lambda: {"value", "learning_rate", "weight_decay"} <= headings(browser))


def test_the_page_of_a_run_stays_where_training_is(browser: Chrome, pages: Pages) -> None:
    go(browser, pages.best)
    see(browser, pages.order[0], "Description", "round", "accuracy", "learning_rate")
    assert "Evaluation runs" not in text_of(browser)  # a part of the side for language models
    link = browser.find_element(By.PARTIAL_LINK_TEXT, "round ").get_attribute("href")
    assert link is not None
    go(browser, link)  # a click opens it beside this page
    see(browser, "best_accuracy")
    assert "Evaluation runs" not in text_of(browser)


def test_charts_are_there(browser: Chrome, pages: Pages) -> None:
    go(browser, pages.charts)
    see(browser, "Charts", *pages.order)
    # Best so far, curves, the contour, and the value over each hyperparameter.
    wait_for(lambda: len(browser.find_elements(By.CSS_SELECTOR, ".js-plotly-plot")) == 5)
    see(browser, "round 1 (best_accuracy)")  # a line of its own


def test_rounds_have_their_ranges(browser: Chrome, pages: Pages) -> None:
    go(browser, pages.rounds)
    see(browser, "2 matching runs")
    edges = {f"{name}.{edge}" for name in ("learning_rate", "weight_decay")
             for edge in ("low", "high")}
    wait_for(lambda: edges <= headings(browser))
