"""Progress in a notebook: a bar that is updated in place, below the lines printed so far."""

import html
import logging
import sys
import time
import warnings
from typing import Any

from hpo.display.console import is_notebook
from hpo.display.progress import SHOWN, Display
from hpo.study import StudyFile

SECONDS = 0.2  # between two pictures of the bar


def open_display(study: StudyFile) -> Display:
    """Return the display for this process: a notebook, or a terminal or pipe."""
    return NotebookDisplay(study) if is_notebook() else Display(study, sys.stdout)


class NotebookDisplay(Display):
    """Shows a running study below a cell."""

    def __init__(self, study: StudyFile) -> None:
        super().__init__(study, sys.stdout)
        self._handle: Any = None
        self._warnings: Any = warnings.catch_warnings()
        self._pictured = 0.0

    def __enter__(self) -> "NotebookDisplay":
        import IPython.display

        # Ray and tqdm would advise to install widgets, which nothing here needs.
        logging.getLogger("ray.widgets").setLevel(logging.ERROR)
        self._warnings.__enter__()
        warnings.filterwarnings("ignore", "IProgress not found")
        show: Any = IPython.display.display
        self._handle = show({"text/html": ""}, raw=True, display_id=True)
        return self

    def __exit__(self, *error: object) -> None:
        self._show("")
        self._warnings.__exit__(*error)

    def waiting(self, what: str) -> None:
        """Show what is being waited for, before the first round."""
        self._show(html.escape(what))

    @property
    def _is_plain(self) -> bool:
        return False  # a bar shows it

    def _update(self) -> None:
        now = time.monotonic()
        if now - self._pictured < SECONDS and self._done < self._trials:
            return
        self._pictured = now
        status = ", ".join(self._parts(SHOWN))
        self._show(
            f"<b>{html.escape(self._title)}</b> "
            f'<progress value="{self._done}" max="{self._trials}"></progress> '
            f"{self._done}/{self._trials}&ensp;{html.escape(status)}"
        )

    def _show(self, text: str) -> None:
        shown = f'<div style="font-size: 0.9em">{text}</div>'
        self._handle.update({"text/html": shown, "text/plain": ""}, raw=True)
