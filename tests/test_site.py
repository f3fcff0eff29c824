"""The documentation builds as a site with links that lead somewhere, and needs no network."""

import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from docs import home
from tests.processes import ROOT

pytest_plugins = ["tests.browser"]

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the site, built as `make site` builds it."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [Path(sys.executable).with_name("mkdocs"), "build", "--strict", "--site-dir", folder],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert built.returncode == 0, built.stderr
    return folder


def test_every_page_is_in_the_site_and_nothing_else(site: Path) -> None:
    pages = {path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md")}
    built = {path.relative_to(site) for path in site.rglob("*.html")}
    top = {Path(name).with_suffix(".html") for name in home.PAGES.values()}
    assert built == pages | top | {Path("404.html")}
    assert not [*site.rglob("*.py"), *site.rglob("__pycache__")]


def test_a_page_loads_nothing_from_elsewhere(site: Path) -> None:
    loads = re.compile(r"<(?:script|img|link|iframe|source)\b[^>]*?\b(?:src|href)=\"?([^\"\s>]+)")
    for page in site.rglob("*.html"):
        for address in loads.findall(page.read_text(encoding="utf-8")):
            parts = urlsplit(address)
            assert not parts.netloc, f"{page.name} loads {address}"
            if page.name != "404.html" and parts.path and not parts.scheme:
                assert (page.parent / parts.path).is_file(), f"{page.name} loads {address}"
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(?:https?:)?//", sheet.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_out_of_the_site_have_the_form_of_an_address(page: Path) -> None:
    text = re.sub(r"^(`{3,}).*?^\1", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    for address in re.findall(r"\]\((\w+:[^)]*)\)", text):
        parts = urlsplit(address)
        assert parts.scheme == "https", address
        assert re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", parts.netloc), address


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_list_begins_after_a_blank_line(page: Path) -> None:
    # Without one it is a list where the repository is browsed, and part of the paragraph here.
    text = re.sub(r"^ *(`{3,}).*?^ *\1", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    before = ""
    for line in text.splitlines():
        if re.match(r"(?:[-*]|1\.) ", line):
            assert not before.strip() or re.match(r" |[-*] |\d+\. ", before), line
        before = line


def test_the_home_page_is_the_readme_with_its_links_moved() -> None:
    text = (
        "[a](docs/a.md#b) <img src=\"docs/c.png\"> docs/d.md\n"
        "```\n[a](docs/a.md)\n```\n![](docs/e.png)"
    )
    assert home.rewritten(text) == (
        "[a](a.md#b) <img src=\"c.png\"> docs/d.md\n```\n[a](docs/a.md)\n```\n![](e.png)"
    )


def test_the_search_finds_a_key_in_a_site_that_was_opened_as_a_file(
    site: Path, browser: Chrome
) -> None:
    browser.get((site / "index.html").as_uri())
    WebDriverWait(browser, 20).until(
        lambda b: b.execute_script("return document.readyState") == "complete"
    )
    field = browser.find_element(By.CSS_SELECTOR, ".md-search__input")
    field.click()
    field.send_keys("trial_timeout")
    WebDriverWait(browser, 20).until(
        lambda b: "study-file.html" in " ".join(
            str(link.get_attribute("href"))
            for link in b.find_elements(By.CSS_SELECTOR, ".md-search-result__link")
        )
    )


def test_no_page_is_wider_than_a_phone(site: Path, browser: Chrome) -> None:
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True,
    })
    try:
        for page in sorted(site.rglob("*.html")):
            browser.get(page.as_uri())
            width = browser.execute_script("return document.documentElement.scrollWidth")
            assert width == 390, page.name
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_copied_block_has_commands_without_prompts_and_output(
    site: Path, browser: Chrome
) -> None:
    browser.get((site / "tutorial.html").as_uri())
    copied = browser.execute_script("""
        const blocks = [...document.querySelectorAll(".highlight pre code")];
        return blocks.filter(code => code.querySelector(".gp")).map(code => {
            code.setAttribute("data-md-copying", "");  // as the copy button does
            return code.innerText;
        });
    """)
    assert any("hpo check forest.toml --data --try" in text for text in copied)
    for text in copied:
        assert "$ " not in text
        assert "recommended" not in text
