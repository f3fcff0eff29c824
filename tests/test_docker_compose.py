"""docker-compose.yml takes the secrets that make writes, and goes without none."""

import functools
import itertools
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.processes import ROOT


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


ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
SECRETS = (
    "POSTGRES_PASSWORD", "MLFLOW_AUTH_ADMIN_PASSWORD", "MLFLOW_FLASK_SERVER_SECRET_KEY",
    "MLFLOW_TRACKING_PASSWORD", "RAY_AUTH_TOKEN",
)  # fmt: skip


def config(file: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [*compose(), "--project-name", "hpo", "--env-file", str(file), "config", *options]
    return subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)


def compose_takes(file: Path, lines: list[str]) -> subprocess.CompletedProcess[str]:
    file.write_text("\n".join(lines))
    return config(file, "--quiet")


def services(file: Path) -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load(config(file).stdout)["services"]
    return services


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    """Return a file of variables as make writes it."""
    subprocess.run(
        ["make", "-s", "cluster-secrets", f"ENV_FILE={tmp_path}/.env"], cwd=ROOT, check=True
    )
    return tmp_path / ".env"


@pytest.mark.slow
def test_compose_takes_the_file_and_refuses_to_go_without_any_secret(
    env_file: Path, tmp_path: Path
) -> None:
    lines = env_file.read_text().splitlines()
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
    assert random == set(SECRETS)
    assert len({first[name] for name in random}) == 5


@pytest.mark.slow
def test_secrets_may_come_from_files_that_each_container_sees_its_own_of(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    make = ["make", "-s", "cluster-secrets", f"ENV_FILE={tmp_path}/.env", f"SECRETS={folder}"]
    subprocess.run(make, cwd=ROOT, check=True)
    assert folder.stat().st_mode & 0o777 == 0o700
    values = {file.name: file.read_text() for file in folder.iterdir()}
    assert set(values) == {name.lower() for name in SECRETS}
    assert all(len(value) == 48 for value in values.values())
    assert len(set(values.values())) == 5
    (tmp_path / ".env").rename(tmp_path / "first")
    subprocess.run(make, cwd=ROOT, check=True)
    assert {file.name: file.read_text() for file in folder.iterdir()} == values  # made once
    for service in services(tmp_path / ".env").values():
        mounted = {secret["source"] for secret in service["secrets"]}
        variables = service["environment"]
        assert not set(values.values()) & set(variables.values())
        read = {n: v for n, v in variables.items() if n.endswith("_FILE")}
        assert {Path(path).name for path in read.values()} == mounted
        assert all(not variables[name.removesuffix("_FILE")] for name in read)


@pytest.mark.slow
def test_each_container_is_confined_and_rotates_its_log(env_file: Path) -> None:
    every = services(env_file)
    assert set(every) == {"postgres", "mlflow", "mlflow-user", "ray-head", "ray-worker"}
    for name, service in every.items():
        assert service["cap_drop"] == ["ALL"]
        assert ("cap_add" in service) == (name == "postgres")
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["pids_limit"] > 0
        assert service["logging"]["driver"] == "json-file"
        assert set(service["logging"]["options"]) == {"max-size", "max-file"}
        assert set(service.get("networks", ["default"])) == {
            "postgres": {"database"}, "mlflow": {"database", "default"},
        }.get(name, {"default"})  # fmt: skip
    networks = yaml.safe_load(config(env_file).stdout)["networks"]
    assert networks["database"]["internal"] is True


@pytest.mark.slow
def test_what_others_need_is_stopped_after_them(env_file: Path) -> None:
    every = services(env_file)
    order = ["ray-worker", "ray-head", "mlflow", "postgres"]
    for above, below in itertools.pairwise(order):
        # Itself and not by way of mlflow-user, which has ended and is in no order of stopping.
        assert below in every[above]["depends_on"]
    assert every["postgres"]["stop_signal"] == "SIGINT"
    head = every["ray-head"]
    ray_waits = float(head["environment"]["RAY_JOB_STOP_WAIT_TIME_S"])
    minutes, seconds = re.fullmatch(r"(?:(\d+)m)?(?:(\d+)s)?", head["stop_grace_period"]).groups()
    assert 60 * int(minutes or 0) + int(seconds or 0) >= ray_waits + 20


def test_the_base_image_has_one_default() -> None:
    default = re.search(r"^ARG PYTHON_IMAGE=(\S+)$", (ROOT / "Dockerfile").read_text(), re.M)
    assert default is not None
    compose_file = (ROOT / "docker-compose.yml").read_text()
    assert f"PYTHON_IMAGE=${{PYTHON_IMAGE:-{default[1]}}}" in compose_file


def entrypoint(variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "docker" / "entrypoint.sh", "env"], env={"PATH": os.environ["PATH"], **variables},
        capture_output=True, text=True,
    )  # fmt: skip


def test_a_container_reads_its_secrets_from_files_and_takes_no_empty_one(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("a $b 'c\n")
    from_file = entrypoint({"RAY_AUTH_TOKEN": "", "RAY_AUTH_TOKEN_FILE": str(file)})
    assert "RAY_AUTH_TOKEN=a $b 'c" in from_file.stdout.splitlines()
    assert "RAY_AUTH_TOKEN_FILE" not in from_file.stdout
    assert "PGPASSWORD=p" in entrypoint({"PGPASSWORD": "p"}).stdout.splitlines()
    assert "RAY_AUTH_TOKEN" not in entrypoint({}).stdout
    file.with_name("empty").touch()
    for variables, said in (
        ({"RAY_AUTH_TOKEN": ""}, "RAY_AUTH_TOKEN is empty"),
        ({"RAY_AUTH_TOKEN_FILE": f"{tmp_path}/none"}, f"cannot read {tmp_path}/none"),
        ({"RAY_AUTH_TOKEN_FILE": f"{tmp_path}/empty"}, f"{tmp_path}/empty is empty"),
        ({"RAY_AUTH_TOKEN": "t", "RAY_AUTH_TOKEN_FILE": str(file)}, "are both set"),
    ):
        refused = entrypoint(variables)
        assert refused.returncode == 1
        assert said in refused.stderr
        assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize(("arguments", "said"), [
    (["cluster-restore"], "BACKUP is not set; run make"),
    (["cluster-restore", "BACKUP={}/none"], "{}/none: no such folder"),
    (["cluster-restore", "BACKUP={}"], "{} is not a complete backup"),
    (["cluster-backup", "BACKUP={}"], "{} already exists"),
])  # fmt: skip
def test_a_backup_that_cannot_be_is_one_line(
    env_file: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    make = ["make", "-s", f"ENV_FILE={env_file}", *(a.format(tmp_path) for a in arguments)]
    refused = subprocess.run(make, cwd=ROOT, capture_output=True, text=True)
    assert refused.returncode != 0
    first, *more = refused.stderr.splitlines()
    assert said.format(tmp_path) in first
    assert all(line.startswith("make") for line in more)
