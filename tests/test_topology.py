"""A whole cluster as plain processes: parts die, and the table is that of one process."""

import contextlib
import csv
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hpo.exported import CIRCUMSTANCES
from tests import postgres
from tests.fixtures import Make, hpo, table
from tests.ports import free_ports, listens
from tests.processes import ROOT, descendants, start

JUDGED = """
def train(x: float, *, seed):
    yield {"loss": x}
    return "a model"


train.evaluate = lambda model: {"test_loss": 2.5 if model == "a model" else 0.0}
"""


class Topology:
    """PostgreSQL, MLflow with passwords, a Ray head and two workers, all on 127.0.0.1."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        self.database, self.mlflow, self.gcs, self.dashboard = free_ports(4)
        self.secrets = {
            name: secrets.token_hex(16)
            for name in (
                "PGPASSWORD", "MLFLOW_AUTH_ADMIN_PASSWORD", "MLFLOW_FLASK_SERVER_SECRET_KEY",
                "MLFLOW_TRACKING_PASSWORD", "RAY_AUTH_TOKEN",
            )
        }  # fmt: skip
        self.base = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "RAY_TMPDIR": str(folder),  # so that nobody takes this Ray for theirs
            "RAY_AUTH_MODE": "token",
            "RAY_USAGE_STATS_ENABLED": "0",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        } | {name: value for name, value in os.environ.items() if name.startswith("OPENBLAS_")}
        # The one token that this process has, since Ray keeps the first that it has read.
        self.secrets["RAY_AUTH_TOKEN"] = os.environ["RAY_AUTH_TOKEN"]
        self.laptop = {
            "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{self.mlflow}",
            "MLFLOW_TRACKING_USERNAME": "hpo",
            "MLFLOW_TRACKING_PASSWORD": self.secrets["MLFLOW_TRACKING_PASSWORD"],
            "RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{self.dashboard}",
            "RAY_AUTH_TOKEN": self.secrets["RAY_AUTH_TOKEN"],
        }

    def start(self) -> None:
        self._start_database()
        self.start_mlflow()
        create = [sys.executable, str(ROOT / "docker" / "create_user.py")]
        admin = {"MLFLOW_AUTH_ADMIN_PASSWORD": self.secrets["MLFLOW_AUTH_ADMIN_PASSWORD"]}
        for _ in range(2):  # the second time there is nothing to do
            subprocess.run(create, env={**self.base, **self.laptop, **admin}, check=True)
        self.head = self._start_node(
            "head", ["--head", "--num-cpus=0", f"--port={self.gcs}",
                     f"--dashboard-port={self.dashboard}",
                     f"--ray-client-server-port={free_ports(1)[0]}"],
            {**self.laptop, "HPO_OUTBOX": str(self.folder / "outbox")},
        )  # fmt: skip
        self.workers = [
            self._start_node(
                f"worker {n}", [f"--address=127.0.0.1:{self.gcs}", "--num-cpus=2"],
                {"RAY_AUTH_TOKEN": self.secrets["RAY_AUTH_TOKEN"]},
            )
            for n in (1, 2)
        ]  # fmt: skip

    def hpo(self, *arguments: str, code: int = 0) -> str:
        """Run a command as on a laptop, and return what it printed."""
        process = start(*arguments, env={**self.base, **self.laptop})
        printed, _ = process.communicate()
        assert process.returncode == code, f"{printed}\n{self.log('head')}\n{self.job_logs()}"
        return printed

    def trials(self, kind: str = "trial") -> int:
        """Return how many runs of a kind have ended, from the database: a command takes seconds."""
        import psycopg

        password = self.secrets["PGPASSWORD"]
        with psycopg.connect(
            f"postgresql://mlflow:{password}@127.0.0.1:{self.database}/postgres"
        ) as database:
            found = database.execute(
                "SELECT count(*) FROM runs JOIN tags USING (run_uuid)"
                " WHERE key = 'kind' AND value = %s AND status <> 'RUNNING'",
                (kind,),
            ).fetchone()
        assert found is not None
        return int(found[0])

    def job(self, study: str) -> Any:
        """Return the status of the latest job of a study."""
        from ray.job_submission import JobSubmissionClient

        client = JobSubmissionClient(self.laptop["RAY_API_SERVER_ADDRESS"])
        jobs = [j for j in client.list_jobs() if (j.metadata or {}).get("study") == study]
        return max(jobs, key=lambda j: j.start_time).status

    def log(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace")[-3000:] if path.exists() else ""

    def job_logs(self) -> str:
        logs = self.folder.glob("ray/session_*/logs/job-driver-*.log")
        return "\n".join(path.read_text(errors="replace")[-3000:] for path in logs)

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """Kill a process and all that it started, at once."""
        for number in (process.pid, *descendants(process.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        process.wait()
        self.processes.remove(process)

    def end(self) -> None:
        for process in reversed(self.processes.copy()):
            self.kill(process)

    def _run(
        self, name: str, command: list[str], environment: dict[str, str], user: str | None = None
    ) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command, env={**self.base, **environment}, cwd=self.folder, user=user,
                stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self.processes.append(process)
        return process

    def _start_database(self) -> None:
        user = postgres.prepare(self.folder, self.secrets["PGPASSWORD"])
        self._run("postgres", postgres.command(self.folder, self.database), {}, user)
        wait(lambda: listens(self.database), lambda: self.log("postgres"))

    def start_mlflow(self) -> None:
        store = f"postgresql+psycopg://mlflow@127.0.0.1:{self.database}/postgres"
        written = (ROOT / "docker" / "mlflow_auth.ini").read_text()
        settings = self.folder / "auth.ini"
        settings.write_text(
            written.replace("postgresql+psycopg://mlflow@postgres/mlflow", store)
        )
        self.mlflow_server = self._run(
            "mlflow",
            [sys.executable, "-m", "mlflow", "server", "--host=127.0.0.1",
             f"--port={self.mlflow}", "--workers=1", f"--backend-store-uri={store}",
             f"--artifacts-destination={self.folder}/artifacts", "--app-name=basic-auth"],
            {**self.secrets, "MLFLOW_AUTH_CONFIG_PATH": str(settings)},
        )  # fmt: skip
        health = self.laptop["MLFLOW_TRACKING_URI"] + "/health"
        wait(lambda: status(health) == 200, lambda: self.log("mlflow"))

    def _start_node(
        self, name: str, arguments: list[str], environment: dict[str, str]
    ) -> subprocess.Popen[bytes]:
        """Start a node, and wait until it is there: two at a moment get into each other's way."""
        ray = str(Path(sys.executable).with_name("ray"))
        names = ("dashboard-agent-listen-port", "dashboard-agent-grpc-port", "metrics-export-port",
                 "runtime-env-agent-port", "node-manager-port", "object-manager-port")  # fmt: skip
        ports = dict(zip(names, free_ports(len(names)), strict=True))
        node = self._run(
            name,
            [ray, "start", "--block", *arguments, "--object-store-memory=100000000",
             *(f"--{option}={port}" for option, port in ports.items())],
            environment,
        )  # fmt: skip
        health = f"http://127.0.0.1:{ports['dashboard-agent-listen-port']}/api/local_raylet_healthz"
        wait(lambda: status(health) == 200 or node.poll() is not None, lambda: self.log(name))
        assert node.poll() is None, self.log(name)
        return node


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def wait(condition: Callable[[], bool], said: Callable[[], str], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds:g} s\n{said()}"
        time.sleep(0.2)


@pytest.fixture
def topology(monkeypatch: pytest.MonkeyPatch) -> Iterator[Topology]:
    if postgres.INITDB is None:
        pytest.skip("PostgreSQL is not installed")
    folder = Path(tempfile.mkdtemp(prefix="hpo", dir="/tmp"))  # short, for the sockets of Ray
    whole = Topology(folder)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", whole.secrets["RAY_AUTH_TOKEN"])
    try:
        whole.start()
        yield whole
    finally:
        whole.end()
        shutil.rmtree(folder, ignore_errors=True)


def test_a_study_on_a_cluster_whose_parts_die(
    topology: Topology, folder: Path, make_study: Make
) -> None:
    round_ = {"trials": 16, "sampler": "tpe", "pruner": "median", "parallel": 4}
    hpo("run", make_study("quick", rounds=2, round=round_), "--inline")
    alone = table("quick")

    file = str(make_study(rounds=1, round=round_, fixed={"sleep": 1.0}))
    assert "sent 2 files" in topology.hpo("submit", file, "--rounds", "2")
    assert "already running" in topology.hpo("submit", file, code=2)
    wait(lambda: topology.trials() >= 4, topology.job_logs)
    topology.kill(topology.workers[0])
    wait(lambda: topology.trials() >= 10, topology.job_logs)
    topology.kill(topology.mlflow_server)
    topology.start_mlflow()
    wait(lambda: topology.trials() >= 17, topology.job_logs)
    assert "stopped" in topology.hpo("cancel", "toy")
    topology.hpo("submit", file, "--rounds", "2")
    wait(lambda: topology.job("toy").is_terminal(), topology.job_logs)
    assert topology.job("toy") == "SUCCEEDED", topology.job_logs()

    shown = json.loads(topology.hpo("show", "toy", "--json"))
    assert [round_["trials"] for round_ in shown["rounds"]] == [16, 16]
    topology.hpo("export", "toy", "cluster.csv")
    shutil.copy("cluster.csv", "table.csv")
    assert rows_of("cluster.csv") == alone

    server = topology.laptop["MLFLOW_TRACKING_URI"]
    assert status(f"{server}/api/2.0/mlflow/experiments/search?max_results=1") == 401
    assert status(f"{topology.laptop['RAY_API_SERVER_ADDRESS']}/api/jobs/") == 401


    (folder / "judged.py").write_text(JUDGED)
    (folder / "judged.toml").write_text(
        'objective = "judged:train"\nmetric = "loss"\ndirection = "minimize"\n'
        "search_space = { x = { low = 0.0, high = 3.0 } }\nround = { trials = 4 }\n"
    )
    for command in (["run"], ["confirm", "--top", "2", "--repeats", "1"], ["evaluate"]):
        topology.hpo("submit", *command, "judged.toml")
        wait(lambda: topology.job("judged").is_terminal(), topology.job_logs)
        assert topology.job("judged") == "SUCCEEDED", topology.job_logs()
    assert topology.trials("repeat") == 2
    assert topology.trials("evaluation") == 1


def rows_of(path: str) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return [
            {k: v for k, v in row.items() if k not in CIRCUMSTANCES} for row in csv.DictReader(file)
        ]
