"""Pages of the site that are files at the top, with their links rewritten for their new place."""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    "README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md",
}
# ](docs/x.md), src="docs/pictures/x.png" and [name]: docs/x.md
_LINK = re.compile(r'(\]\(|\b(?:src|href)="|^\[[^\]]+\]: )docs/', re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages; mkdocs calls this."""
    for name, page in PAGES.items():
        text = rewritten((ROOT / name).read_text(encoding="utf-8"))
        files.append(File.generated(config, page, content=text))
    return files


def rewritten(text: str) -> str:
    """Return the text of a file at the top as a page of the folder docs; code blocks stay."""
    fence = re.compile(r"^(`{3,}).*?^\1 *$", re.MULTILINE | re.DOTALL)
    parts, place = [], 0
    for block in fence.finditer(text):
        parts += [_moved(text[place : block.start()]), block[0]]
        place = block.end()
    return "".join([*parts, _moved(text[place:])])


def _moved(text: str) -> str:
    text = _LINK.sub(r"\1", text)
    for name, page in PAGES.items():
        text = text.replace(f"]({name}", f"]({page}")
    return text
