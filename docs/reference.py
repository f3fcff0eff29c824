"""Write the pages of the reference that are made from the code, or say which are stale.

python -m docs.reference [--check]
"""

import sys
from collections.abc import Callable
from pathlib import Path

from docs import commands_page, messages_page, study_page

FOLDER = Path(__file__).resolve().parent
COMMAND = "make reference"
PAGES: dict[str, Callable[[], str]] = {
    "study-file.md": study_page.page,
    "commands.md": commands_page.page,
    "messages.md": messages_page.page,
}


def text_of(name: str) -> str:
    """Return what a page has to be."""
    return f"<!-- Made by {COMMAND}. -->\n\n{PAGES[name]().rstrip()}\n"


def stale() -> list[str]:
    """Return the pages that are not what they have to be."""
    return [
        name for name in PAGES
        if not (file := FOLDER / name).is_file()
        or file.read_text(encoding="utf-8") != text_of(name)
    ]


def main() -> None:
    """Write the pages that are stale; with --check only name them, and exit with 1."""
    names = stale()
    for name in names:
        if "--check" in sys.argv:
            print(f"docs/{name} is stale: {COMMAND}")
        else:
            (FOLDER / name).write_text(text_of(name), encoding="utf-8")
            print(f"docs/{name}")
    sys.exit(1 if names and "--check" in sys.argv else 0)


if __name__ == "__main__":
    main()
