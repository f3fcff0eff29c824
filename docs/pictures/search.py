"""Draw what moving ranges and the recommended trial buy; print tables for docs/notes/narrowing.md.

It reads what `python -m benchmarks.narrowing --json` printed, a file for each sampler:

    python -m docs.pictures.search random.json tpe.json
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hpo.report import palette

WAYS = ("flat", "narrowed", "reduction", "plain box")
NAMES = {"random": "Random search", "tpe": "TPE"}
Row = Mapping[str, Any]


def main() -> None:
    """Read the results of `benchmarks.narrowing`, write the picture, and print the tables."""
    runs = [json.loads(Path(name).read_text()) for name in sys.argv[1:]]
    for run in runs:
        sampler = run["ranges"][0]["sampler"]
        print(f"{NAMES[sampler]}, {run['repetitions']} repetitions:\n")
        print(ranges_table(run["ranges"]), end="\n\n")
    print(recommended_table([row for run in runs for row in run["ranges"]]))
    for row in runs[0]["confirmation"]:
        ratio = f": {row['ratio']:.2f} ({_interval(row, '')})" if row["ratio"] else ""
        print(f"{row['ranges']}: {row['regret']:.3f}{ratio}, recommended {row['recommended']:.3f}")
    for run in runs:
        worst = max((r for r in run["ranges"] if r["ranges"] == "narrowed"),
                    key=lambda row: row["worst"])
        print(f"worst task: {worst['sampler']}, {worst['start']}, {worst['worst_task']}, "
              f"{worst['worst']:+.3f}")
    draw([row for run in runs for row in run["ranges"]], Path(__file__).with_name("search.png"))


def ranges_table(rows: Sequence[Row]) -> str:
    """Return the regrets of the best observed trial, a line a first range, in Markdown."""
    lines = ["| start | " + " | ".join(WAYS) + " |", "|---" * (len(WAYS) + 1) + "|"]
    for start in dict.fromkeys(row["start"] for row in rows):
        cells = [start]
        for way in WAYS:
            row = _found(rows, start, way)
            ratio = f": {row['ratio']:.2f} ({_interval(row, '')})" if row["ratio"] else ""
            cells.append(f"{row['regret']:.3f}".lstrip("0") + ratio)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def recommended_table(rows: Sequence[Row]) -> str:
    """Return the regret of the recommended trial over that of the best observed one."""
    kinds = [(sampler, way) for sampler in NAMES for way in ("flat", "narrowed")]
    kinds = [k for k in kinds if any(row["sampler"] == k[0] for row in rows)]
    lines = ["| start | " + " | ".join(f"{NAMES[s]}, {way}" for s, way in kinds) + " |",
             "|---" * (len(kinds) + 1) + "|"]
    for start in dict.fromkeys(row["start"] for row in rows):
        found = [
            _found([r for r in rows if r["sampler"] == sampler], start, way)
            for sampler, way in kinds
        ]
        cells = [f"{row['share']:.2f} ({_interval(row, 'share_')})" for row in found]
        lines.append("| " + " | ".join([start, *cells]) + " |")
    return "\n".join(lines)


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw the regrets as bars: flat, narrowed, and narrowed with the recommended trial."""
    from matplotlib.figure import Figure

    samplers = [name for name in NAMES if any(row["sampler"] == name for row in rows)]
    starts = list(dict.fromkeys(row["start"] for row in rows))
    figure = Figure(figsize=(8, 2.6), layout="constrained")
    axes = figure.subplots(1, len(samplers), sharex=True, squeeze=False)[0]
    bars = (
        ("flat", "regret", palette.PALE, "one round, best value"),
        ("narrowed", "regret", palette.GRAY, "ranges moved twice, best value"),
        ("narrowed", "recommended", palette.RANGE, "ranges moved twice, recommended trial"),
    )
    for axis, sampler in zip(axes, samplers, strict=True):
        own = [row for row in rows if row["sampler"] == sampler]
        for place, (way, name, color, label) in enumerate(bars):
            values = [_found(own, start, way)[name] for start in starts]
            at = [line + 0.27 * (place - 1) for line in range(len(starts))]
            axis.barh(at, values, 0.25, color=color, label=label)
            for y, value in zip(at, values, strict=True):
                axis.text(value, y, f" {value:.3f}", va="center", fontsize=8, color=palette.INK)
        axis.set_title(NAMES[sampler], fontsize=10, loc="left")
        axis.set_yticks(range(len(starts)), [f"first range: {start}" for start in starts])
        axis.invert_yaxis()
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(x=0.12)
    axes[0].set_xlabel("regret of the pick: 0 is the best of the grid, 1 its median")
    for axis in axes[1:]:
        axis.tick_params(labelleft=False)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3,
                  fontsize=8, frameon=False)
    figure.savefig(path, dpi=120)


def _found(rows: Sequence[Row], start: str, way: str) -> Row:
    return next(row for row in rows if (row["start"], row["ranges"]) == (start, way))


def _interval(row: Row, prefix: str) -> str:
    return f"{row[prefix + 'low']:.2f} to {row[prefix + 'high']:.2f}"


if __name__ == "__main__":
    main()
