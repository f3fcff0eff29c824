"""Run the benchmarks, and write their table into docs/performance.md.

What was measured is kept in benchmarks/results.json, each script with its date, machine and
versions, so that one script can be run again without the others.

    python -m benchmarks.table [NAME …] [--list] [--json]
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
PAGE = HERE.parent / "docs" / "performance.md"
BEGIN, END = "<!-- begin: python -m benchmarks.table -->", "<!-- end -->"
PACKAGES = ("numpy", "optuna", "mlflow", "ray", "torch", "scikit-learn")

Row = tuple[str, str, str]  # what was measured, of hpo, of what it is compared with


@dataclass(frozen=True)
class Run:
    """A script with its arguments, and how its results are told."""

    script: str
    arguments: tuple[str, ...]
    rows: Callable[[Any], Iterator[Row]]


CASES = {
    "64-50-10, Adam": "64-50-10 with Adam",
    "64-50-10, all": "64-50-10 with batch normalization, dropout, and Adam",
    "CNN": "a network of three convolutions",
}
PEERS = {
    "torch": "PyTorch", "torch, channels last": "PyTorch with channels last",
    "sklearn": "scikit-learn",
}


def training(found: Any) -> Iterator[Row]:
    for net in found["nets"]:
        name = net["net"]
        peers = [f"{PEERS[peer]} {value:.1f}x" for peer, value in net["ratio"].items()]
        ours = net["microseconds"]["ours"]
        yield (
            f"a training step of {CASES.get(name, name)}, batch of {net['batch']}, one thread, "
            f"code for {found['blas']}",
            f"{ours:,.0f} µs, {net['share_of_sgemm_peak']:.0%} of the peak of its BLAS",
            ", ".join(peers),
        )


def start(found: Any) -> Iterator[Row]:
    for name, value in found["medians"].items():
        command, _, rest = name.partition(", ")
        yield f"`{command}`{', ' if rest else ''}{rest}", f"{value:.2f} s", ""


def reading(found: Any) -> Iterator[Row]:
    for column, rows in found["medians"].items():
        for name, value in rows.items():
            if name.startswith("hpo "):
                floor = rows["import mlflow"]
                done = ", all done" if name == "hpo run" else ""
                yield (f"`{name}`{done}, {column}", f"{value:.2f} s",
                       f"`import mlflow` alone: {floor:.2f} s")


def overhead(found: Any) -> Iterator[Row]:
    systems = {name: row["milliseconds"] for name, row in found["systems"].items()}
    ours = systems.pop("hpo")
    peers = [f"{name}: {value:,.0f} ms ({value / ours:.1f}x)" for name, value in systems.items()]
    yield "a trial besides its training: search and record", f"{ours:.0f} ms", ", ".join(peers)


def growth(found: Any) -> Iterator[Row]:
    systems = {name: row["milliseconds"] for name, row in found["systems"].items()}
    first = next(iter(systems.values()))
    for name, value in systems.items():
        after = name.removeprefix("hpo, ").removesuffix(" before")
        yield f"the same after {after}", f"{value:.0f} ms ({value / first:.1f}x)", ""
    name, last = list(found["systems"].items())[-1]
    after = name.removeprefix("hpo, ").removesuffix(" before")
    yield (
        f"memory of search and record at their highest, after {after}",
        f"{last['search_megabytes']:.0f} and {last['record_megabytes']:.0f} MB", "",
    )


def memory(found: Any) -> Iterator[Row]:
    yield (
        f"memory of a study with {found['arrays_megabytes']:.0f} MB of data on "
        f"{found['workers']} workers of one machine",
        f"{found['all_megabytes']:,.0f} MB: the data once, {found['worker_megabytes']:.0f} MB for "
        f"each worker, {found['service_megabytes']:.0f} and {found['record_megabytes']:.0f} MB "
        "for search and record, and Ray", "",
    )


def program(found: Any) -> Iterator[Row]:
    for name, (plain, supervised) in found.items():
        yield f"starting {name} for a trial", f"{supervised:.1f} ms", f"by itself: {plain:.1f} ms"


def waiting(found: Any) -> Iterator[Row]:
    for name, shares in found["idle_share"].items():
        yield (
            f"worker time spent waiting, lengths of trials: {name}",
            f"{shares['2x']:.1%} with twice as many trials in flight as workers",
            f"with as many as workers: {shares['1x']:.1%}",
        )


def scale(found: Any) -> Iterator[Row]:
    for row in found:
        yield (
            f"{row['workers']} workers, `parallel = {row['parallel']}`, {row['sampler']}, "
            "trials of 0.5 to 1.5 s",
            f"{row['share_of_ideal']:.0%} of the ideal", "",
        )


def book(found: Any) -> Iterator[Row]:
    times = dict(found["medians"])
    ours = next(iter(times.values()))
    for name, value in times.items():
        yield f"the search of the book chapter, {name}", f"{value:.1f} s", f"{value / ours:.2f}x"


RUNS = {
    "start": Run("start.py", (), start),
    "reading": Run("reading.py", (), reading),
    "overhead": Run("overhead.py", ("--trials", "100"), overhead),
    "growth": Run("overhead.py", ("--growth",), growth),
    "memory": Run("memory.py", (), memory),
    "program": Run("program.py", (), program),
    "waiting": Run("waiting.py", (), waiting),
    "scale": Run("scale.py", (), scale),
    "training": Run("training.py", (), training),
    "haswell": Run("training.py", ("--kernel", "Haswell"), training),
    "book": Run("book.py", (), book),
}


def measure(name: str) -> dict[str, Any] | None:
    """Run a script; return what it found, with where and when; None if it lacks its data."""
    run = RUNS[name]
    load = os.getloadavg()[0]
    done = subprocess.run(
        [sys.executable, HERE / run.script, *run.arguments, "--json"], stdout=subprocess.PIPE,
        text=True, check=True, env={**os.environ, "PYTHONPATH": str(HERE.parent)},
    )
    if done.stdout.startswith("skipped"):
        print(done.stdout.strip(), file=sys.stderr)
        return None
    return {
        "date": datetime.date.today().isoformat(), "machine": machine(), "load": round(load, 2),
        "versions": versions(), "results": json.loads(done.stdout),
    }


def machine() -> str:
    """Return the CPU, cores and memory of this machine."""
    model = platform.processor()
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{model}, {os.cpu_count()} cores, {size:.0f} GB"


def versions() -> dict[str, str]:
    """Return the versions of Python and of what is measured, if it is installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def table(found: Mapping[str, Any]) -> str:
    """Return what was measured as a table in Markdown, and where it was."""
    lines = ["| | hpo | compared with | script |", "|---|---|---|---|"]
    for name, run in RUNS.items():
        if name in found:
            script = " ".join([run.script, *run.arguments])
            rows = run.rows(found[name]["results"])
            lines += [f"| {what} | {ours} | {theirs} | `{script}` |" for what, ours, theirs in rows]
    places: dict[str, list[str]] = {}
    for name in (name for name in RUNS if name in found):
        one = found[name]
        packages = ", ".join(f"{package} {version}" for package, version in one["versions"].items())
        places.setdefault(f"{one['date']}, {one['machine']}; {packages}", []).append(name)
    lines += [""] + [f"Measured {place}: {', '.join(names)}." for place, names in places.items()]
    return "\n".join(lines)


def page_with(text: str, found: Mapping[str, Any]) -> str:
    """Return the text of the page with the table in its place."""
    before, begin, rest = text.partition(BEGIN)
    assert begin, f"{PAGE} has no place for the table: {BEGIN}"
    return f"{before}{BEGIN}\n\n{table(found)}\n\n{END}{rest.partition(END)[2]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="which of them; all if left out")
    parser.add_argument("--list", action="store_true", help="list the names")
    parser.add_argument("--json", action="store_true", help="print what was measured as JSON")
    options = parser.parse_args()
    if options.list:
        print("\n".join(RUNS))
        return
    if unknown := set(options.names) - RUNS.keys():
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(RUNS)}")
    found = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    for name in options.names or RUNS:
        print(f"{name} …", file=sys.stderr)
        measured = measure(name)
        if measured is None:
            continue
        found[name] = measured
        RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page_with(PAGE.read_text(encoding="utf-8"), found), encoding="utf-8")
    print(json.dumps(found, indent=2) if options.json else table(found))


if __name__ == "__main__":
    main()
