"""Measure how often the arrays of a study are in memory: 8 workers on one machine, MNIST's size.

A trial reads all its data, then waits. While all workers have one, the kernel says what each
process has: of its own (USS), and its share of what several have (PSS).

    python benchmarks/memory.py [--workers 8] [--rows 70000] [--json]
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

HPO = Path(sys.executable).with_name("hpo")
PIXELS = 784
OBJECTIVE = """
import pathlib, time

def train(x: float, data, *, seed: int) -> float:
    total = float(data.training.inputs.sum() + data.validation.inputs.sum())
    pathlib.Path("{folder}", "ready", str(seed)).touch()
    while pathlib.Path("{folder}", "wait").exists():
        time.sleep(0.1)
    return total
"""
STUDY = """
objective = "waiting:train"
metric = "value"
direction = "maximize"
[data]
source = "arrays.npz"
[search_space]
x = {{ low = 0.0, high = 1.0 }}
[round]
trials = {workers}
parallel = {workers}
sampler = "random"
"""


def processes(root: int) -> Iterator[tuple[int, str]]:
    """Yield the processes below one, and itself, with their command lines."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(stat.parent.name)] = int(fields[1])
    for process in parents:
        ancestor = process
        while ancestor not in (root, 0):
            ancestor = parents.get(ancestor, 0)
        if ancestor == root:
            line = Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ")
            yield process, line.decode(errors="replace")


def memory(process: int) -> Mapping[str, float]:
    """Return the megabytes of a process: its share of all, and what it alone has."""
    text = Path(f"/proc/{process}/smaps_rollup").read_text()
    kilobytes = {name: int(size) for name, size in re.findall(r"(\w+):\s+(\d+) kB", text)}
    return {
        "share": kilobytes["Pss"] / 1000,
        "own": (kilobytes["Private_Clean"] + kilobytes["Private_Dirty"]) / 1000,
    }


def kind(line: str, process: int, root: int) -> str:
    if process == root:
        return "service"
    kinds = {"ray::": "worker", "record.process": "record", "raylet": "Ray", "gcs_server": "Ray"}
    return next((kind for part, kind in kinds.items() if part in line), "others")


def look(workers: int, rows: int) -> dict[str, object]:
    import numpy as np

    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inputs = generator.random((rows, PIXELS), np.float32)
        targets = np.arange(rows) % 10
        np.savez(folder / "arrays.npz", inputs=inputs, targets=targets)
        (folder / "waiting.py").write_text(OBJECTIVE.format(folder=folder))
        (folder / "study.toml").write_text(STUDY.format(workers=workers))
        (folder / "ready").mkdir()
        (folder / "wait").touch()
        run = subprocess.Popen(
            [HPO, "run", "study.toml", "--workers", str(workers)], cwd=folder,
            stdout=subprocess.DEVNULL,
        )
        try:
            end = time.monotonic() + 300
            while len(os.listdir(folder / "ready")) < workers:
                if run.poll() is not None or time.monotonic() > end:
                    raise SystemExit("the study did not get as far as all its trials")
                time.sleep(0.2)
            time.sleep(1)
            found: dict[str, list[Mapping[str, float]]] = {}
            for process, line in processes(run.pid):
                found.setdefault(kind(line, process, run.pid), []).append(memory(process))
        finally:
            (folder / "wait").unlink()
            run.wait(60)
    busy = sorted(found["worker"], key=lambda each: each["share"])[-workers:]
    return {
        "workers": workers,
        "arrays_megabytes": 0.8 * inputs.nbytes / 1e6,  # without the test rows
        "all_megabytes": sum(each["share"] for group in found.values() for each in group),
        "service_megabytes": found["service"][0]["own"],
        "record_megabytes": found["record"][0]["own"],
        "worker_megabytes": sum(each["own"] for each in busy) / workers,
    }


def main() -> None:
    """Measure and print what was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--rows", type=int, default=70_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = look(options.workers, options.rows)
    if options.json:
        print(json.dumps(found, indent=1))
        return
    for name, value in found.items():
        print(f"{name:20} {value:8.0f}")


if __name__ == "__main__":
    main()
