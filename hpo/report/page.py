"""The page of a study: one file that needs no server and no network."""

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from hpo.errors import InputError
from hpo.report import palette
from hpo.text import clean

# Scripts of ours, in the order in which they use each other.
SCRIPTS = ("numbers", "study", "colors", "parallel", "charts", "plane", "tables", "page")
NAMES = {"ground": "GROUND", "ink": "INK", "gray": "GRAY", "pale": "PALE", "band": "BAND"}


def page(data: Mapping[str, Any]) -> str:
    """Return the page that shows the data of `page_data`; the same data, the same page."""
    library, interface = _library()
    script = '"use strict";\n' + "\n".join(_own(f"{name}.js") for name in SCRIPTS)
    return Template(_own("template.html")).substitute(
        title=html.escape(data["study"]),
        policy=_policy(library, interface, script),
        style=_colors() + _own("page.css"),
        data=_embedded(data),
        library=library,
        interface=interface,
        script=script,
    )


def write(data: Mapping[str, Any], path: Path) -> None:
    """Write the page to a .html file, or its data to a .json file.

    Raises InputError where the name ends otherwise or the file cannot be written.
    """
    if path.suffix not in (".html", ".json"):
        raise InputError(f"{path}: must end in .html, or in .json for the data alone")
    text = page(data) if path.suffix == ".html" else json.dumps(data, indent=1) + "\n"
    try:
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}; choose another file") from error


def retitled(page: str, study: str) -> str:
    """Return a page, of any version, that shows its study under another name."""
    title = html.escape(clean(study))
    for before, after in (("<title>", "</title>"), ('<h1 id="name">', "</h1>")):
        page = re.sub(
            f"({before}).*?({after})", lambda found: found[1] + title + found[2], page, count=1
        )
    named = f'"study":{_embedded(clean(study))}'
    return re.sub(r'"study":"(?:[^"\\]|\\.)*"', lambda _: named, page, count=1)


def _library() -> tuple[str, str]:
    """Return the scripts of Bokeh: the library, and what makes figures in a browser."""
    folder = files("bokeh") / "server" / "static" / "js"
    library, interface = (
        (folder / name).read_text(encoding="utf-8") for name in ("bokeh.min.js", "bokeh-api.min.js")
    )
    return library, interface


def _own(name: str) -> str:
    return (files("hpo.report") / "browser" / name).read_text(encoding="utf-8")


def _embedded(data: Mapping[str, Any] | str) -> str:
    """Return JSON that ends no script and begins no comment, whatever its texts say."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)  # all of it in ASCII
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _policy(*scripts: str) -> str:
    """Return a policy under which these scripts run, nothing else does, and nothing is fetched.

    Bokeh writes styles as it draws, and keeps pictures for its buttons in them.
    """
    digests = (base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _colors() -> str:
    """Return the palette of all figures as properties of a style, for light and for dark."""
    meanings = {"range": palette.RANGE, "validation": palette.VALIDATION,
                "diverged": palette.DIVERGED}
    light = {name: getattr(palette, constant) for name, constant in NAMES.items()} | meanings
    dark = {name: palette.DARK[constant] for name, constant in NAMES.items()}
    dark |= {"range": palette.DARK["BLUE"]}

    def block(colors: Mapping[str, str]) -> str:
        return ":root { " + " ".join(f"--{name}: {c};" for name, c in colors.items()) + " }"

    return f"{block(light)}\n@media (prefers-color-scheme: dark) {{ {block(dark)} }}\n"
