"""Run the first study of the README, and write the README's pictures from it, beside this file.

    python -m docs.pictures.draw

Takes Chromium and its driver, as Debian packs them.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from tests.browser import is_installed, open_browser
from tests.ports import free_ports

FOLDER = Path(__file__).resolve().parent
STUDY = FOLDER.parents[1] / "studies" / "digits.toml"
HPO = Path(sys.executable).parent / "hpo"
GOOD = 0.9  # validation accuracy of the trials that the page is to show
SECONDS = 60  # for a page to show the trials


def save(picture: Path, name: str, width: int) -> None:
    """Write a picture so many pixels wide, in 128 colors: a third of the size; none is missed."""
    with Image.open(picture) as image:
        height = round(image.height * width / image.width)
        small = image.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
        path = FOLDER / f"{name}.png"
        small.quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def _photograph(browser: Chrome, address: str, picture: Path) -> None:
    """Write what a page shows once its trials are there."""
    browser.get(address)
    end = time.monotonic() + SECONDS
    while "r2 t" not in browser.find_element(By.TAG_NAME, "body").text:
        if time.monotonic() > end:
            raise TimeoutError(f"{address} shows no trials")
        time.sleep(0.5)
    for label in ("Hide banner", "Close"):  # of the assistant
        for button in browser.find_elements(By.CSS_SELECTOR, f"button[aria-label='{label}']"):
            button.click()
    time.sleep(2)  # the last columns
    browser.save_screenshot(str(picture))


def _photograph_page(browser: Chrome, page: Path, picture: Path) -> None:
    """Write what the page of the study shows of its best trials."""
    browser.get(page.as_uri())
    browser.execute_script("""
        document.getElementById("bar").style.position = "static";
        document.getElementById("parallel").scrollIntoView();
        selection.brush(valueAxis, between(valueAxis.place(arguments[0]), 1))""", GOOD)
    time.sleep(2)  # the charts that come into view
    browser.save_screenshot(str(picture))


def main() -> None:
    """Run the study, draw it, and photograph the UI."""
    if not is_installed():
        sys.exit("chromium and chromedriver are not installed; with Debian: "
                 "apt-get install chromium chromium-driver")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def hpo(*arguments: object) -> None:
            subprocess.run([HPO, *map(str, arguments)], cwd=folder, check=True)

        hpo("run", STUDY)
        hpo("show", "digits", "--round", 1, "--figures", "first")
        save(folder / "first" / "proposal.png", "proposal", 1200)
        hpo("report", "digits", "report.html")
        with open_browser(folder / "pages", 820, 900) as browser:
            _photograph_page(browser, folder / "report.html", folder / "page.png")
        save(folder / "page.png", "page", 840)
        (port,) = free_ports(1)
        server = subprocess.Popen(
            [HPO, "ui", "digits", "--port", str(port)], cwd=folder, stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.stdout is not None
            lines = iter(server.stdout.readline, "")
            address = next(word for line in lines for word in line.split() if "viewState" in word)
            with open_browser(folder / "browser", 1400, 830) as browser:
                _photograph(browser, address, folder / "mlflow.png")
        finally:
            server.terminate()
            server.wait()
        save(folder / "mlflow.png", "mlflow", 1200)


if __name__ == "__main__":
    main()
