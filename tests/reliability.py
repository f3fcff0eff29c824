"""Put what the tests that kill things measured into docs/notes/crashes.md.

python -m pytest tests/crashes --junitxml=crashes.xml
python tests/reliability.py crashes.xml

Only the table between the two marks is replaced.
"""

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

PAGE = Path(__file__).resolve().parents[1] / "docs" / "notes" / "crashes.md"
TABLE = re.compile(
    r"(?<=<!-- measured by tests/reliability.py -->\n).*(?=<!-- end of the measured table -->)",
    re.DOTALL,
)
HEAD = """| fault | times | trials | lost | trained twice | differences |
|---|---|---|---|---|---|"""
KEYS = ("fault", "times", "trials", "lost", "twice", "differences")


def measured(results: Path) -> str:
    """Return the table of a run of these tests, from its JUnit file."""
    lines = [HEAD]
    for case in ElementTree.parse(results).iter("testcase"):
        row = {p.attrib["name"]: p.attrib["value"] for p in case.iter("property")}
        if row and case.find("failure") is None:
            lines.append("| " + " | ".join(row[key] for key in KEYS) + " |")
    return "\n".join(lines)


def main() -> None:
    """Replace the table of the page."""
    table = f"\n{measured(Path(sys.argv[1]))}\n\n"
    page, count = TABLE.subn(lambda _: table, PAGE.read_text(encoding="utf-8"))
    if count != 1:
        sys.exit(f"{PAGE} lacks the marks around its table")
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
