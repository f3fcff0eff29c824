"""Run the studies beside this file, and write the pictures and tables of docs/book.md from them.

    python studies/book/report.py [--data FOLDER] [--tracking-uri URI]

FOLDER has the four IDX files of MNIST. Trials that are already recorded are not run again. All
numbers come from the record, except for the ensemble: its five networks are trained again, because
the record keeps no models.
"""

import argparse
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from book_drawing import Ran, Section
from book_generalizing import dropout, ensemble, overfitting, weight_decay
from book_searching import cnn, grid_random, search
from book_training import activations, batch_normalization, bowl, initializers, optimizers
from matplotlib import rc_context, rcParamsDefault
from matplotlib.figure import Figure
from PIL import Image

from hpo.record.tracking import Tracking
from hpo.report.drawing import INKED
from hpo.study import read

FOLDER = Path(__file__).resolve().parent
DOCS = FOLDER.parent.parent / "docs"
DATA = FOLDER.parents[2] / "shared" / "data" / "mnist"
# Each with the further arguments of its command.
STUDIES: Mapping[Path, Sequence[str]] = {
    FOLDER / "bowl.toml": (),
    FOLDER / "optimizers.toml": (),
    FOLDER / "initializers.toml": (),
    FOLDER / "activations.toml": (),
    FOLDER / "batch_normalization.toml": (),
    FOLDER / "overfitting.toml": (),
    FOLDER / "weight_decay.toml": (),
    FOLDER / "dropout.toml": (),
    FOLDER / "ensemble.toml": (),
    FOLDER / "grid_search.toml": (),
    FOLDER / "random_search.toml": ("--keep-ranges",),
    FOLDER.parent / "mnist_book.toml": ("--rounds", "2"),
    FOLDER / "tpe_search.toml": (),
    FOLDER / "cnn.toml": (),
}
# In the order of the page.
SECTIONS: Sequence[Callable[[Mapping[str, Ran]], Section]] = (
    bowl, optimizers, initializers, activations, batch_normalization, overfitting, weight_decay,
    dropout, ensemble, grid_random, search, cnn,
)
STYLE = INKED | {
    "font.size": 9.5,
    "axes.titlesize": 10.0,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.5,
}


def write(section: str, table: Sequence[Sequence[str]], seen: str) -> None:
    """Replace the text between the marks of a section in docs/book.md."""
    lines = ["| " + " | ".join(row) + " |" for row in table]
    lines.insert(1, "|---" * len(table[0]) + "|")
    page = DOCS / "book.md"
    begin, end = f"<!-- {section} -->\n", "<!-- end -->"
    text, count = re.subn(
        re.escape(begin) + ".*?" + re.escape(end),
        lambda _: begin + "\n".join([*lines, "", seen]) + "\n" + end,
        page.read_text(encoding="utf-8"),
        flags=re.DOTALL,
    )
    if count != 1:
        raise ValueError(f"{page}: expected one place for {section}, got {count}")
    page.write_text(text, encoding="utf-8")


def _save(figure: Figure, picture: Path) -> None:
    """Write a figure at 125 dots per inch, in 64 colors: a third of the size, with no visible loss.

    Leaves out Matplotlib's version, so the file changes only if the picture does.
    """
    drawn = BytesIO()
    figure.savefig(drawn, dpi=125, metadata={"Software": None})
    with Image.open(drawn) as image:
        image.convert("RGB").quantize(64, dither=Image.Dither.NONE).save(picture, optimize=True)


def main() -> None:
    """Run what is missing, then draw and write everything."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--tracking-uri", metavar="URI",
                         default=os.environ.get("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db"))
    options.add_argument("--data", metavar="FOLDER", type=Path, default=DATA)
    given = options.parse_args()
    uri: str = given.tracking_uri
    source = f"data.source={given.data.resolve()}"
    studies = [read(file) for file in STUDIES]
    studies = [read(s.path, [source]) if s.data is not None else s for s in studies]
    for study, more in zip(studies, STUDIES.values(), strict=True):
        hpo = str(Path(sys.executable).parent / "hpo")
        overrides = [part for text in study.overrides for part in ("--set", text)]
        command = [hpo, "run", str(study.path), *more, *overrides, "--inline",
                   "--tracking-uri", uri]
        subprocess.run(command, check=True)
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # do not mention its font cache
    record = Tracking(uri)
    ran = {}
    for study in studies:
        of_study = record.study(study.name)
        recorded = of_study.read()
        assert recorded is not None
        ran[study.path.stem] = Ran(study, of_study, recorded)
    style: Any = {k: v for k, v in rcParamsDefault.items() if k != "backend"}
    for section in SECTIONS:
        with rc_context(style | STYLE):
            figure, table, seen = section(ran)
            picture = DOCS / "book" / f"{section.__name__}.png"
            picture.parent.mkdir(parents=True, exist_ok=True)
            _save(figure, picture)
        write(section.__name__, table, seen)
        print(f"{picture.name}: {picture.stat().st_size / 1000:.0f} kB. {seen}")


if __name__ == "__main__":
    main()
