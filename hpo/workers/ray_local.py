"""A Ray of this machine alone, started without the processes that only a cluster needs."""

import contextlib
import logging
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hpo.errors import HPOError
from hpo.workers import ray_agents
from hpo.workers.ray_folder import RayFolder

OBJECT_STORE_BYTES = 100_000_000  # Ray's own default is 30 % of the memory
_TOKEN, _TOKEN_PATH = "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
_KNOWN = "2.60."  # the versions of Ray whose agents can be replaced
# The agents of a node, each with the ports whose numbers Ray waits for.
_AGENTS = {
    "--dashboard_agent_command=":
        ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port"),
    "--runtime_env_agent_command=": ("runtime_env_agent_port",),
}


def start(workers: int, data_bytes: int, folder: RayFolder) -> None:
    """Start Ray on this machine; raise HPOError if it does not start."""
    os.environ.pop("RAY_ADDRESS", None)  # the caller has read it, and asks for a local Ray
    if not (os.environ.get(_TOKEN) or os.environ.get(_TOKEN_PATH)):
        # It exists only in the environment of this process and its children: Ray would write one
        # to the home directory, readable by all and used by every later Ray.
        os.environ[_TOKEN] = secrets.token_hex(32)
    import ray

    try:
        with uninterrupted(), fewer_processes(), _without_agents():
            ray.init(
                "local",
                num_cpus=workers,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                object_store_memory=OBJECT_STORE_BYTES + data_bytes,
                _temp_dir=str(folder.path),
            )
    except Exception as error:  # of many kinds, whatever Ray meets
        raise HPOError(
            f"Ray cannot be started on this machine ({first_line(error)}); free some memory and "
            "disk space, or use --inline"
        ) from error


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold a signal to stop back while Ray starts or ends, about a second: it would crash later.

    A second one is not held back. Only the main thread can do this; others do nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def hold(number: int, _: object) -> None:
        came.append(number)
        if len(came) > 1:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, hold) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        if len(came) == 1:
            signal.raise_signal(came[0])


@contextlib.contextmanager
def fewer_processes() -> Iterator[None]:
    """Start Ray without what only large clusters and dashboards need.

    Its autoscaler, the dashboard server (started even without a dashboard) and the log monitor are
    Python processes; the agent of a dashboard on each node loads all its modules, and Ray waits for
    it. Ray has no option for this; if it no longer has these names, everything is started.
    """
    try:
        from ray._private import utils
        from ray._private.node import Node
    except ImportError:
        yield
        return

    def nothing(*_: object, **__: object) -> None:
        pass

    def not_installed() -> ImportError:  # so that the agent loads no more than it has to
        return ImportError("no dashboard is wanted")

    with (
        _replaced(Node, "start_monitor", nothing),
        _replaced(Node, "start_api_server", nothing),
        _replaced(Node, "start_log_monitor", nothing),
        _replaced(utils, "get_dashboard_dependency_error", not_installed),
    ):
        yield


@contextlib.contextmanager
def _without_agents() -> Iterator[None]:
    """Start Ray with stand-ins for its two agents, which take a second to start.

    The agent of the dashboard shows the state of a node to people; that of runtime environments
    prepares what tasks ask for, and here none asks. How Ray learns their ports is private: other
    versions than those tried start the agents.
    """
    import ray

    try:
        from ray._private import services
    except ImportError:
        yield
        return
    if not ray.__version__.startswith(_KNOWN):
        yield
        return
    start_process: Callable[..., Any] = services.start_ray_process

    def start_other(command: list[str], *rest: Any, **named: Any) -> Any:
        return start_process(_with_stand_ins(command), *rest, **named)

    with _replaced(services, "start_ray_process", start_other):
        yield


def _with_stand_ins(command: list[str]) -> list[str]:
    """Return the command of a process of Ray, with other agents if it has any."""
    given = dict(part.split("=", 1) for part in command if part.startswith("--") and "=" in part)
    if not {"--session_dir", "--node_id"} <= given.keys():
        return command
    stand_in = [
        sys.executable, "-I", "-S", str(Path(ray_agents.__file__)), given["--session_dir"],
        given["--node_id"],
    ]
    commands: Mapping[str, str] = {
        option: option + subprocess.list2cmdline([*stand_in, *ports])
        for option, ports in _AGENTS.items()
    }
    return [
        next((new for option, new in commands.items() if part.startswith(option)), part)
        for part in command
    ]


@contextlib.contextmanager
def _replaced(place: Any, name: str, value: object) -> Iterator[None]:
    """Give a name another value for a while, if there is such a name."""
    before = getattr(place, name, None)
    if before is None:
        yield
        return
    setattr(place, name, value)
    try:
        yield
    finally:
        setattr(place, name, before)


def first_line(error: BaseException) -> str:
    """Return the first line of an error, or its type if it has none."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
