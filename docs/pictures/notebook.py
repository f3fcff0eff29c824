"""Run the tour in JupyterLab, and write the picture of it in docs/python.md, beside this file.

    python -m docs.pictures.notebook

Takes Chromium and its driver, and JupyterLab: `pip install jupyterlab`, which no lock has.
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from docs.pictures.draw import FOLDER, save
from tests.browser import is_installed, open_browser
from tests.ports import free_ports

TOUR = FOLDER.parents[1] / "studies" / "notebooks" / "tour.ipynb"
SECONDS = 300  # for all cells
SHOWN = "The next ranges, and why"  # the heading at the top of the picture


def _until(what: str, browser: Chrome, selector: str, text: str) -> None:
    """Wait until the text of some element has what is expected."""
    end = time.monotonic() + SECONDS
    while not any(text in e.text for e in browser.find_elements(By.CSS_SELECTOR, selector)):
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(1)


def _run_all(browser: Chrome) -> None:
    """Choose Run All Cells, and wait until the kernel has done so."""
    _until("the kernel does not start", browser, ".jp-StatusBar-Widget", "| Idle")
    for label, inside in (("Run", "MenuBar"), ("Run All Cells", "Menu")):
        for item in browser.find_elements(By.CSS_SELECTOR, f".lm-{inside}-itemLabel"):
            if item.text == label:
                item.click()
                break
        time.sleep(1)
    _until("the kernel does nothing", browser, ".jp-StatusBar-Widget", "| Busy")
    _until("the cells take too long", browser, ".jp-StatusBar-Widget", "| Idle")


def main() -> None:
    """Run the tour from top to bottom, and photograph what it says of the next ranges."""
    jupyter = shutil.which("jupyter-lab")
    if not is_installed() or jupyter is None:
        sys.exit("this takes Chromium, its driver, and JupyterLab: apt-get install chromium "
                 "chromium-driver; pip install jupyterlab")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        work, kernel = folder / "work", folder / "kernels" / "python3"
        work.mkdir()
        kernel.mkdir(parents=True)
        shutil.copy(TOUR, work)
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        (kernel / "kernel.json").write_text(json.dumps(
            {"argv": command, "display_name": "Python 3", "language": "python"}
        ))
        (port,), token = free_ports(1), secrets.token_hex(16)
        server = subprocess.Popen(
            [jupyter, "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}",
             "--KernelSpecManager.ensure_native_kernel=False"],
            cwd=work, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "JUPYTER_PATH": str(folder), "JUPYTER_TOKEN": token},
        )
        try:
            time.sleep(8)
            with open_browser(folder / "browser", 1100, 860) as browser:
                browser.get(f"http://127.0.0.1:{port}/lab/tree/tour.ipynb?token={token}&reset")
                _run_all(browser)
                browser.execute_script("""
                    document.querySelectorAll(".Toastify").forEach(each => each.remove())""")
                outer = browser.find_element(By.CSS_SELECTOR, ".jp-WindowedPanel-outer")
                for place in range(0, 20_000, 400):
                    browser.execute_script("arguments[0].scrollTop = arguments[1]", outer, place)
                    time.sleep(0.5)
                    headings = browser.find_elements(By.XPATH, f"//h2[contains(., '{SHOWN}')]")
                    if headings:
                        browser.execute_script("arguments[0].scrollIntoView()", headings[0])
                        break
                time.sleep(2)
                browser.save_screenshot(str(folder / "notebook.png"))
        finally:
            server.terminate()
            server.wait()
        save(folder / "notebook.png", "notebook", 1000)


if __name__ == "__main__":
    main()
