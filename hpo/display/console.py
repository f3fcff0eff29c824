"""Consoles: in color and as wide as the terminal, or plain text into a pipe."""

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from rich.cells import cell_len
from rich.console import Console as RichConsole
from rich.console import ConsoleOptions, RenderResult
from rich.markup import escape
from rich.segment import Segment
from rich.text import Text

from hpo import wording
from hpo.text import clean, one_line

if TYPE_CHECKING:  # it draws, which takes a while to import
    pass

PIPE_WIDTH = 100_000  # a pipe has no width: what is cut there is lost to whoever reads it


class Console(RichConsole):
    """Prints lines and tables in which only our own markup affects the terminal.

    Names, choices, and messages come from files, programs, and a shared record.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Render markup without control characters."""
        return super().render_str(clean(text), **options)

    def render(self, *arguments: Any, **options: Any) -> Iterator[Segment]:
        """Render anything without control characters, including text that is not markup."""
        for segment in super().render(*arguments, **options):
            yield segment if segment.control else segment._replace(text=clean(segment.text))


def is_notebook() -> bool:
    """Return whether this process is the kernel of a notebook."""
    interactive = sys.modules.get("IPython")
    shell = interactive.get_ipython() if interactive is not None else None
    return getattr(shell, "kernel", None) is not None


def open_console(file: TextIO | None = None) -> Console:
    """Return a console on a file, by default standard output; very wide if not a terminal."""
    is_terminal = (file or sys.stdout).isatty() and not is_notebook()  # whose output says it is one
    return Console(
        file=file, soft_wrap=not is_terminal, force_jupyter=False,
        force_terminal=False if is_notebook() else None,
        width=None if is_terminal else PIPE_WIDTH,
    )


class Hanging:
    """A text whose lines after the first are indented by two more columns."""

    def __init__(self, text: Text, indent: int = 0) -> None:
        self._text, self._indent = text, indent

    def __rich_console__(self, console: RichConsole, options: ConsoleOptions) -> RenderResult:
        """Wrap the text to the available width."""
        lines = self._text.wrap(console, max(options.max_width - self._indent - 2, 1))
        for number, line in enumerate(lines):
            line.rstrip()
            yield Text(" " * (self._indent + 2 * bool(number))) + line


def print_next(console: RichConsole, steps: Sequence[tuple[str, str]]) -> None:
    """Show commands to run next, each with what it does; a command is never wrapped."""
    console.print()
    for number, (command, what) in enumerate(steps):
        start = "      " if number else "next: "
        line = f"{start}{command}   {what}"
        if cell_len(line) > console.width:
            line = f"{start}{command}\n        {what}"
        console.print(escape(line), soft_wrap=True)


def duration(seconds: float) -> str:
    """Return an estimated duration: "about 12 s", "about 5 min"."""
    if seconds < 1:
        return "less than 1 s"
    if seconds < 100:
        return f"about {seconds:.0f} s"
    minutes = f"about {seconds / 60:.0f} min"
    return minutes if seconds < 6000 else f"about {seconds / 3600:.1f} h"


def took(seconds: float) -> str:
    """Return how long something took: "0.4 s", "12 s", "1 min 10 s", "2 h 5 min"."""
    if seconds < 1:
        return f"{seconds if seconds >= 1e-3 else 0:.1g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes else f"{rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def shown(value: object) -> str:
    """Return a hyperparameter to read: a float with four significant digits."""
    return wording.number(value) if isinstance(value, float) else one_line(str(value))
