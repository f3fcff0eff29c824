"""docker-compose.yml takes the secrets that make writes, and goes without none."""

import functools
import os
import shutil
import subprocess
from pathlib import Path

import pytest

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
