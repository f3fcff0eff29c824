"""What travels to a cluster and under which name; and a whole cluster as plain processes."""

import contextlib
import csv
import functools
import json
import os
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from hpo import cluster
from hpo.cli import commands as cli
from hpo.cluster import find_address, pack
from hpo.errors import InputError
from hpo.report.results import CIRCUMSTANCES
from hpo.study import read
from tests import postgres
from tests.fixtures import hpo, table, write_study
from tests.ports import free_ports, listens
from tests.processes import ROOT, descendants, start

Make = Callable[..., Path]

# what travels


def test_the_study_file_and_its_objective_travel_and_nothing_beside_them(
    folder: Path, make_study: Make
) -> None:
    for name in (".env", "other.toml", "notes.txt", "data.csv"):
        (folder / name).write_text("secret")
    parcel = pack(read(make_study()))
    assert sorted(parcel.files) == ["toy.py", "toy.toml"]
    assert parcel.study_file == "toy.toml"


def test_what_the_image_has_stays_here(folder: Path, make_study: Make) -> None:
    file = make_study(
        objective="trainer.objectives:perceptron", metric="validation_accuracy",
        data={"source": "digits"},
    )
    assert list(pack(read(file)).files) == ["toy.toml"]


def test_a_package_travels_with_its_modules_alone(folder: Path, make_study: Make) -> None:
    package = folder / "toys_of_mine"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "inner" / "__init__.py").touch()
    shutil.copy(folder / "toy.py", package / "inner" / "objectives.py")
    (package / "weights.bin").touch()
    parcel = pack(read(make_study(objective="toys_of_mine.inner.objectives:quadratic")))
    assert sorted(parcel.files) == [
        "toy.toml",
        "toys_of_mine/__init__.py",
        "toys_of_mine/inner/__init__.py",
        "toys_of_mine/inner/objectives.py",
    ]
    for name in [name for name in sys.modules if name.startswith("toys_of_mine")]:
        del sys.modules[name]


def test_a_module_found_elsewhere_is_put_beside_the_study(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere, studies = folder / "elsewhere", folder / "studies"
    elsewhere.mkdir()
    studies.mkdir()
    shutil.move(folder / "toy.py", elsewhere / "toy.py")
    monkeypatch.syspath_prepend(elsewhere)
    parcel = pack(read(write_study(studies)))
    assert parcel.files == {"toy.toml": studies / "toy.toml", "toy.py": elsewhere / "toy.py"}


def test_data_keeps_its_place_relative_to_the_study_file(folder: Path) -> None:
    studies = folder / "project" / "studies"
    studies.mkdir(parents=True)
    shutil.copy(folder / "toy.py", studies)
    (folder / "data").mkdir()
    (folder / "data" / "wine.csv").write_text("a,b\n1,2\n")
    study = read(write_study(studies, data={"source": "../../data/wine.csv", "target": "b"}))
    parcel = pack(study)
    assert sorted(parcel.files) == [
        "data/wine.csv", "project/studies/toy.py", "project/studies/toy.toml"
    ]
    assert parcel.study_file == "project/studies/toy.toml"


def test_of_a_folder_of_images_its_four_files_travel(folder: Path, make_study: Make) -> None:
    names = ["train-images-idx3-ubyte.gz", "train-labels.idx1-ubyte", "t10k-images-idx3-ubyte"]
    (folder / "mnist").mkdir()
    for name in [*names, ".env", "train.py", "train-images-idx3-ubyte.gz.old"]:
        (folder / "mnist" / name).touch()
    parcel = pack(read(make_study(data={"source": "mnist"})))
    assert sorted(parcel.files) == sorted(["toy.py", "toy.toml", *(f"mnist/{n}" for n in names)])


@pytest.mark.parametrize("source", ["digits", "openml:iris", "/there/data.csv"])
def test_data_of_the_cluster_does_not_travel(folder: Path, make_study: Make, source: str) -> None:
    assert len(pack(read(make_study(data={"source": source}))).files) == 2


def test_more_files_travel_when_they_are_named(folder: Path, make_study: Make) -> None:
    (folder / "helpers.py").touch()
    study = read(make_study())
    assert "helpers.py" in pack(study, [Path("helpers.py")]).files
    for wrong in (Path("none.py"), Path(".")):
        with pytest.raises(InputError, match=r"--with .*no such file; name each"):
            pack(study, [wrong])


def test_missing_data_is_told_before_anything_travels(folder: Path, make_study: Make) -> None:
    with pytest.raises(InputError, match=r"toy\.toml: \[data\] source: .*none\.csv"):
        pack(read(make_study(data={"source": "none.csv"})))


def test_too_much_is_refused_with_a_remedy(
    folder: Path, make_study: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "large.npz").write_bytes(bytes(2_000_000))
    monkeypatch.setattr(cluster, "MOST_BYTES", 1_000_000)
    with pytest.raises(InputError, match=r"2(\.\d+)? MB.*1 MB is the most.*large\.npz.*\[data\]"):
        pack(read(make_study(data={"source": "large.npz"})))


# where to, and as which job


def test_a_shell_reads_the_entry_point_as_it_was_meant(tmp_path: Path) -> None:
    printing = tmp_path / "hpo"
    printing.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    printing.chmod(0o755)
    name = "it's a; touch x && $(study).toml"
    line = cluster.entry_point(name, ["--range", "learning_rate=1e-3:1 x"])
    printed = subprocess.run(
        ["sh", "-c", line], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, cwd=tmp_path,
        capture_output=True, text=True, check=True,
    ).stdout
    assert printed.splitlines() == [
        "run", "--range", "learning_rate=1e-3:1 x", "--ray-address", "auto", "--", name
    ]
    assert list(tmp_path.iterdir()) == [printing]


def test_submit_takes_the_options_of_run_but_for_where_it_runs() -> None:
    options = {name: {o.name for o in cli.hpo.commands[name].params} for name in ("run", "submit")}
    place = {"workers", "tracking_uri", "ray_address", "inline"}
    assert options["run"] - place == options["submit"] - {"also", "address", "env_file"}


@pytest.mark.parametrize(
    ("typed", "name", "meant"),
    [
        (["--rounds", "3"], "rounds", 3),
        (["--trials", "7"], "trials", 7),
        (["--range", "learning_rate=1e-3:1e-1"], "ranges", ("learning_rate=1e-3:1e-1",)),
        (
            ["--range", "learning_rate=0.01:1", "--range", "weight_decay=1e-7:1e-5"],
            "ranges", ("learning_rate=0.01:1", "weight_decay=1e-7:1e-5"),
        ),
        (["--keep-ranges"], "keep_ranges", True),
        (["--accept-code"], "accept_code", True),
        (
            ["--set", "name=a b", "--set", "round.trials=3"],
            "overrides", ("name=a b", "round.trials=3"),
        ),
    ],
)  # fmt: skip
def test_what_submit_is_told_arrives_in_the_command_that_the_cluster_runs(
    make_study: Make, monkeypatch: pytest.MonkeyPatch, typed: list[str], name: str, meant: object
) -> None:
    submitted: list[str] = []

    class Somewhere:
        """Stands for a cluster: keeps the line that it would run."""

        address = "http://there:1"

        def submit(self, study: str, parcel: cluster.Parcel, options: Sequence[str]) -> str:
            submitted.append(cluster.entry_point(parcel.study_file, options))
            return "job"

        def log_command(self, job: str) -> str:
            return f"logs of {job}"

    monkeypatch.setattr(cluster, "connect", lambda *_: Somewhere())
    hpo("submit", make_study(), *typed)
    program, command, *arguments = shlex.split(submitted[0].removeprefix("exec "))
    assert (program, command) == ("hpo", "run")
    with cli.hpo.commands["run"].make_context("run", arguments) as context:
        read = context.params
    assert read["file"] == Path("toy.toml")
    assert read["ray_address"] == "auto"
    asked = {"rounds": None, "trials": None, "ranges": (), "keep_ranges": False, name: meant}
    assert {option: read[option] for option in asked} == asked


def test_studies_of_similar_names_have_jobs_of_their_own() -> None:
    names = ["a b", "a-b", "a/b", "ä b", "a" * 60, "a" * 61, "a", "a-1"]
    ids = {cluster._job_id(name, 1) for name in names}
    assert len(ids) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9-]+", job) for job in ids)


def test_only_address_and_token_are_read_from_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RAY_AUTH_TOKEN", "POSTGRES_PASSWORD"):
        monkeypatch.setenv(name, "")  # so that what is read here is taken back afterwards
        monkeypatch.delenv(name)
    file = folder / ".env"
    with pytest.raises(InputError, match=r"--cluster URL.*RAY_API_SERVER_ADDRESS.*\.env"):
        find_address(None, file)
    file.write_text(
        "# of the cluster\nPOSTGRES_PASSWORD=p\nRAY_AUTH_TOKEN=t\n"
        "RAY_API_SERVER_ADDRESS=http://there:1\n"
    )
    assert find_address(None, file) == "http://there:1"
    assert os.environ["RAY_AUTH_TOKEN"] == "t"
    assert "POSTGRES_PASSWORD" not in os.environ
    assert find_address("http://here", file) == "http://here"
    monkeypatch.setenv("RAY_AUTH_TOKEN", "mine")
    find_address(None, file)
    assert os.environ["RAY_AUTH_TOKEN"] == "mine"


@pytest.mark.parametrize(("line", "token"), [
    ("RAY_AUTH_TOKEN=abc", "abc"),
    ("export RAY_AUTH_TOKEN = abc  # of the cluster", "abc"),
    ("RAY_AUTH_TOKEN='a $b #c'", "a $b #c"),
    ('RAY_AUTH_TOKEN="abc"', "abc"),
    ("RAY_AUTH_TOKEN=a$b", "a$b"),
    ("RAY_AUTH_TOKEN=a=b", "a=b"),
    ("RAY_AUTH_TOKEN=", ""),
    ("RAY_AUTH_TOKEN", None),
    ("# RAY_AUTH_TOKEN=abc", None),
])  # fmt: skip
def test_the_token_is_read_from_its_file_as_docker_compose_reads_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, line: str, token: str | None
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "")  # so that what is read here is taken back afterwards
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    (folder / ".env").write_text(f"no pair\n{line}\nRAY_API_SERVER_ADDRESS=http://there:1\n")
    assert find_address(None, folder / ".env") == "http://there:1"
    assert os.environ.get("RAY_AUTH_TOKEN") == token


def test_a_file_of_variables_that_cannot_be_read_is_one_line(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = folder / ".env"
    file.write_text("no pair\nRAY_AUTH_TOKEN='secret\nRAY_API_SERVER_ADDRESS=http://there:1\n")
    with pytest.raises(InputError, match=r"\.env: the value of RAY_AUTH_TOKEN cannot be") as error:
        find_address(None, file)
    assert "secret" not in str(error.value)
    file.write_bytes(b"RAY_AUTH_TOKEN=\xff\n")
    with pytest.raises(InputError, match=r"\.env: cannot be read: .*utf-8"):
        find_address(None, file)
    with pytest.raises(InputError, match=r"cannot be read: .*directory"):
        find_address(None, folder)
    assert not caplog.records  # of the library, about lines that are not read here


def test_nobody_there_is_one_line(folder: Path, make_study: Make) -> None:
    make_study()
    with pytest.raises(InputError, match=r"no job can be sent to http://127\.0\.0\.1:9.*--cluster"):
        hpo("submit", "toy.toml", "--cluster", "http://127.0.0.1:9")
    with pytest.raises(InputError, match=r"127\.0\.0\.1:9.*RAY_AUTH_TOKEN"):
        hpo("cancel", "toy", "--cluster", "http://127.0.0.1:9")


# docker-compose.yml


@functools.cache
def compose() -> list[str]:
    """Return the command docker compose, old or new; skip the test where there is none."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if (
            shutil.which(command[0])
            and subprocess.run([*command, "version"], capture_output=True).returncode == 0
        ):
            return command
    pytest.skip("docker-compose is not installed")


def compose_takes(file: Path, lines: list[str]) -> subprocess.CompletedProcess[str]:
    file.write_text("\n".join(lines))
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    command = [*compose(), "--project-name", "hpo", "--env-file", str(file), "config", "--quiet"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_compose_takes_the_file_and_refuses_to_go_without_any_secret(tmp_path: Path) -> None:
    subprocess.run(
        ["make", "-s", "cluster-secrets", f"ENV_FILE={tmp_path}/.env"], cwd=ROOT, check=True
    )
    lines = (tmp_path / ".env").read_text().splitlines()
    file = tmp_path / "some.env"
    assert compose_takes(file, lines).returncode == 0
    made = [line for line in lines if len(line.partition("=")[2]) == 48]
    assert len(made) == 5
    for secret in made:
        refused = compose_takes(file, [line for line in lines if line != secret])
        assert refused.returncode != 0
        name = secret.partition("=")[0]
        assert f"{name} is not set, run make cluster-secrets" in refused.stderr


def test_secrets_are_random_private_and_made_once(tmp_path: Path) -> None:
    files = [tmp_path / "first", tmp_path / "second"]
    for file in (*files, files[0]):
        subprocess.run(
            ["make", "-s", "cluster-secrets", f"ENV_FILE={file}"], cwd=ROOT, check=True
        )
        assert file.stat().st_mode & 0o777 == 0o600
    first, second = (dict(x.split("=", 1) for x in f.read_text().splitlines()) for f in files)
    random = {name for name in first if first[name] != second[name]}
    assert random == {
        "POSTGRES_PASSWORD", "MLFLOW_AUTH_ADMIN_PASSWORD", "MLFLOW_FLASK_SERVER_SECRET_KEY",
        "MLFLOW_TRACKING_PASSWORD", "RAY_AUTH_TOKEN",
    }  # fmt: skip
    assert len({first[name] for name in random}) == 5


# the same topology as plain processes


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

    def trials(self) -> int:
        """Return how many trials have ended, from the database: a command takes seconds."""
        import psycopg

        password = self.secrets["PGPASSWORD"]
        with psycopg.connect(
            f"postgresql://mlflow:{password}@127.0.0.1:{self.database}/postgres"
        ) as database:
            found = database.execute(
                "SELECT count(*) FROM runs JOIN tags USING (run_uuid)"
                " WHERE key = 'kind' AND value = 'trial' AND status <> 'RUNNING'"
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
    assert "runs already" in topology.hpo("submit", file, code=2)
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


def rows_of(path: str) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return [
            {k: v for k, v in row.items() if k not in CIRCUMSTANCES} for row in csv.DictReader(file)
        ]
