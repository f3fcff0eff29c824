"""The home page of the site is the README, with its links rewritten for the place it gets."""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

README = Path(__file__).resolve().parents[1] / "README.md"
# ](docs/x.md), src="docs/pictures/x.png" and [name]: docs/x.md
_LINK = re.compile(r'(\]\(|\b(?:src|href)="|^\[[^\]]+\]: )docs/', re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the home page; mkdocs calls this."""
    text = README.read_text(encoding="utf-8")
    files.append(File.generated(config, "index.md", content=rewritten(text)))
    return files


def rewritten(text: str) -> str:
    """Return the text of the README as a page of the folder docs; code blocks stay."""
    fence = re.compile(r"^(`{3,}).*?^\1 *$", re.MULTILINE | re.DOTALL)
    parts, place = [], 0
    for block in fence.finditer(text):
        parts += [_LINK.sub(r"\1", text[place : block.start()]), block[0]]
        place = block.end()
    return "".join([*parts, _LINK.sub(r"\1", text[place:])])
