"""A real Chromium, without a window, for what people see in a page."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """Return a browser; skip where Debian's Chromium and its driver are not installed."""
    if not is_installed():
        pytest.skip("chromium and chromedriver are not installed")
    with open_browser(tmp_path_factory.mktemp("browser"), 1700, 1000) as chrome:
        yield chrome


def is_installed() -> bool:
    """Say whether Debian's Chromium and its driver are there."""
    return shutil.which("chromium") is not None and shutil.which("chromedriver") is not None


@contextmanager
def open_browser(home: Path, width: int, height: int) -> Iterator[Chrome]:
    """Give a browser with a window so large in pixels, whose profile lives in the folder `home`."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    assert program is not None
    options = Options()
    options.binary_location = program
    for argument in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        f"--window-size={width},{height}", f"--user-data-dir={home}", "--lang=en-US",
        # Nobody is asked but this machine.
        "--disable-background-networking", "--disable-component-update", "--no-first-run",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ):
        options.add_argument(argument)
    with Chrome(options=options, service=Service(driver)) as chrome:
        chrome.set_page_load_timeout(60)
        yield chrome
