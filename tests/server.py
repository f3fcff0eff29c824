"""An MLflow server of a test's own, on 127.0.0.1, with its files in a folder of the test."""

import os
import urllib.request
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests.ports import free_ports
from tests.processes import fork, wait_for


def serve(folder: Path, port: int, store: str) -> None:
    """Be an MLflow server: what `mlflow server` starts, with the settings that it hands on."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    os.chdir(folder)
    os.environ.update({
        "_MLFLOW_SERVER_FILE_STORE": store,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": "./mlartifacts",
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "_MLFLOW_SGI_NAME": "uvicorn",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    })
    import uvicorn

    uvicorn.run("mlflow.server.fastapi_app:app", host="127.0.0.1", port=port)


class Server:
    """An MLflow server on this machine, which can be killed and started again.

    Its one process is what `mlflow server --workers 1` starts. Its store is by default an SQLite
    file in the folder.
    """

    def __init__(self, folder: Path, store: str = "") -> None:
        (self.port,) = free_ports(1)
        self.uri = f"http://127.0.0.1:{self.port}"
        self._folder, self._store = folder, store or f"sqlite:///{folder}/mlflow.db"
        self._process: BaseProcess | None = None

    def start(self) -> None:
        self._process = fork(serve, self._folder, self.port, self._store)
        wait_for(self._answers)

    @property
    def number(self) -> int:
        """The id of its process, while it runs."""
        assert self._process is not None
        assert self._process.pid is not None
        return self._process.pid

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=1):
                return True
        except OSError:
            return False
