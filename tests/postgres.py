"""A PostgreSQL of a test's own, on 127.0.0.1, with its files in a folder of the test."""

import os
import shutil
import subprocess
from pathlib import Path

INITDB = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)), None)


def prepare(folder: Path, password: str) -> str | None:
    """Make an empty database with a user "mlflow" in `folder`; return the user to run it as."""
    assert INITDB
    data, file = folder / "postgres", folder / "password"
    data.mkdir()
    file.write_text(password)
    user = None
    if os.geteuid() == 0:  # which PostgreSQL refuses
        user = "nobody"
        folder.chmod(0o755)
        shutil.chown(data, user)
        shutil.chown(file, user)
    subprocess.run(
        [INITDB, "-D", data, "-U", "mlflow", "-A", "scram-sha-256", "--no-sync",
         f"--pwfile={file}", "--locale=C.UTF-8"],
        user=user, check=True, capture_output=True, cwd="/",
    )  # fmt: skip
    file.unlink()
    return user


def command(folder: Path, port: int) -> list[str]:
    """Return the command that serves the database in `folder`."""
    assert INITDB
    return [
        str(INITDB.with_name("postgres")), "-D", str(folder / "postgres"), "-p", str(port),
        "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off",
    ]  # fmt: skip
