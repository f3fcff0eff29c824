"""Measure how fast results are recorded through an MLflow server backed by PostgreSQL.

Results of trials of ten epochs of three metrics wait in the outbox, and are delivered as a service
does it: by its delivery, through the process that writes the record. With one and more writers, in
turns, all in one run; and with latency, which a small proxy adds to each round trip. The server
is one process, as `mlflow server --workers 1` starts it. Where more results than that come in a
second, they wait: the backlog grows.

    python benchmarks/server.py [--trials 100] [--turns 5] [--writers 1 2 …] [--json]
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from overhead import EPOCHS, SPACE, metrics

from hpo.distributions import FloatDistribution
from hpo.record.delivery import Delivery
from hpo.record.outbox import Outbox
from hpo.record.process import RecordProcess
from hpo.record.values import RoundStart, Shown
from hpo.settings import Settings
from hpo.trial import State, Trial, TrialResult, trial_seed
from tests import postgres
from tests.ports import free_ports, listens
from tests.processes import descendants, fork, wait_for
from tests.server import Server

METRIC = "accuracy"
CPU = ("server", "postgresql", "writing", "service")  # whose time of a processor is looked at


def proxy(port: int, target: int, milliseconds: float) -> None:
    """Pass bytes on between `port` and `target`, each way after half of so many milliseconds."""
    delay = milliseconds / 2000

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        later = asyncio.get_running_loop().call_later
        while data := await reader.read(65_536):
            later(delay, writer.write, data)
        later(delay, writer.close)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", target)
        with contextlib.suppress(OSError):
            await asyncio.gather(pump(reader, back), pump(there, writer))

    async def serve() -> None:
        async with await asyncio.start_server(connected, "127.0.0.1", port) as server:
            await server.serve_forever()

    asyncio.run(serve())


@contextlib.contextmanager
def servers(folder: Path) -> Iterator[tuple[Server, int]]:
    """Start PostgreSQL and an MLflow server on it; give that, and the process of the database."""
    (port,) = free_ports(1)
    user = postgres.prepare(folder, "secret")
    database = subprocess.Popen(
        postgres.command(folder, port), user=user, cwd="/",
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    server = Server(folder, f"postgresql+psycopg://mlflow:secret@127.0.0.1:{port}/postgres")
    try:
        wait_for(lambda: listens(port))
        server.start()
        yield server, database.pid
    finally:
        server.kill()
        database.send_signal(signal.SIGINT)  # it does not wait for connections
        database.wait()


def processor_seconds(process: int) -> float:
    """Return what a process has used of a processor; of another one than this with children."""
    ticks, is_other = 0, process != os.getpid()
    for number in (process, *(descendants(process) if is_other else ())):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
            if number == process and is_other:  # and what children used that are gone
                ticks += int(fields[13]) + int(fields[14])
    return ticks / os.sysconf("SC_CLK_TCK")


def results(count: int) -> Iterator[TrialResult]:
    """Yield results of trials that are complete."""
    generator = random.Random(0)
    for number in range(1, count + 1):
        values = {name: FloatDistribution(low, high, log=True).from_unit(generator.random())
                  for name, (low, high) in SPACE.items()}
        epochs = [metrics(*values.values(), epoch) for epoch in range(1, EPOCHS + 1)]
        trial = Trial(1, number, values, trial_seed(0, 1, number))
        yield TrialResult(trial, State.COMPLETE, epochs[-1][METRIC], EPOCHS, epochs, 1,
                          time.time(), 0.001, "here")


def deliver(
    process: RecordProcess, study: str, writers: int, trials: int, watched: dict[str, int]
) -> dict[str, float]:
    """Deliver results of a new study; return milliseconds a trial, in all and of processors."""
    record = process.study(study)
    record.writers = writers
    space = {name: FloatDistribution(low, high, log=True) for name, (low, high) in SPACE.items()}
    settings = Settings(
        objective="overhead:nothing", code="", data="", fixed={}, metric=METRIC,
        direction="maximize", value="last", seed=0, sampler="random", pruner=None,
        parallel=1, trials=trials, search_space=space, start=(),
    )
    record.create("", {}, Shown(tuple(SPACE), METRIC, "maximize"))
    record.start_round(RoundStart(1, space, settings))
    with tempfile.TemporaryDirectory() as folder:
        delivery = Delivery(Outbox(Path(folder) / "outbox.jsonl"), record, METRIC, print)
        for result in results(trials):
            delivery.add(result)
        used = {name: processor_seconds(number) for name, number in watched.items()}
        began = time.perf_counter()
        delivery.start()
        if not delivery.finish(600):
            raise SystemExit("the record is away")
        seconds = time.perf_counter() - began
        spent = {
            name: 1000 * (processor_seconds(number) - used[name]) / trials
            for name, number in watched.items()
        }
        delivery.close()
    return {"milliseconds": 1000 * seconds / trials, **spent}


def measure(options: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Return the rows of the table."""
    found: dict[tuple[float, int], list[dict[str, float]]] = {}
    with servers(folder) as (server, database), contextlib.ExitStack() as stack:
        writing: dict[float, RecordProcess] = {}
        for latency in options.latencies:
            port = server.port
            if latency:
                (port,) = free_ports(1)
                between = fork(proxy, port, server.port, latency)
                stack.callback(between.kill)
                wait_for(lambda port=port: listens(port))
            writing[latency] = RecordProcess(f"http://127.0.0.1:{port}")
            stack.callback(writing[latency].close)
        for turn in range(options.turns + 1):
            for latency, process in writing.items():
                for writers in options.writers:
                    watched = dict(zip(CPU, (
                        server.number, database, process.number, os.getpid(),
                    ), strict=True))
                    trials = options.trials if turn else 10  # the first turn warms all of it up
                    study = f"{turn}, {latency} ms, {writers} writers"
                    row = deliver(process, study, writers, trials, watched)
                    if turn:
                        found.setdefault((latency, writers), []).append(row)
                        print(f"{study}: {row['milliseconds']:.1f} ms", file=sys.stderr)
    rows: list[dict[str, Any]] = []
    for (latency, writers), turns in found.items():
        row = {key: statistics.median(turn[key] for turn in turns) for key in turns[0]}
        alone = found[latency, options.writers[0]]
        row["ratio"] = statistics.median(
            one["milliseconds"] / turn["milliseconds"]
            for one, turn in zip(alone, turns, strict=True)
        )
        rows.append({"latency": latency, "writers": writers, **row})
    return rows


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--writers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--latencies", type=float, nargs="+", default=[0, 1, 20])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if postgres.INITDB is None:
        print("not measured: PostgreSQL is not installed")
        return
    folder = Path(tempfile.mkdtemp(prefix="hpo", dir="/tmp"))  # where its user may go
    try:
        rows = measure(options, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        table = {"trials": options.trials, "turns": options.turns, "rows": rows}
        print(json.dumps(table, indent=2))
        return
    print(f"{options.trials} trials, medians of {options.turns} turns; CPU in ms a trial")
    print(f"{'latency ms':>10}{'writers':>9}{'ms a trial':>12}{'trials/s':>10}{'ratio':>7}"
          + "".join(f"{name + ' CPU':>16}" for name in CPU))
    for row in rows:
        print(f"{row['latency']:10g}{row['writers']:9}{row['milliseconds']:12.1f}"
              f"{1000 / row['milliseconds']:10.1f}{row['ratio']:7.2f}"
              + "".join(f"{row[name]:16.1f}" for name in CPU))


if __name__ == "__main__":
    main()
