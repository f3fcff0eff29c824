"""Ray in surroundings that it does not like: one line, or it works all the same."""

import os
import re
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from hpo.errors import InputError
from hpo.workers import ray as ray_workers
from hpo.workers import ray_folder
from hpo.workers.ray_folder import RayFolder
from hpo.workers.ray_local import fewer_processes
from tests.ports import free_ports
from tests.processes import descendants, set_seconds, start

Make = Callable[..., Path]
HPO = str(Path(sys.executable).with_name("hpo"))


HELD = """
import time
from pathlib import Path
from toy import Toy, quadratic

def train(hyperparameters: Toy, data=None, *, seed):
    while Path(hyperparameters.folder, "hold").exists():
        time.sleep(0.02)
    yield from quadratic(hyperparameters, data, seed=seed)

train.metrics = ("accuracy", "loss")
"""


def run(folder: Path, file: Path, **environment: str) -> "subprocess.Popen[str]":
    """Start a study as a user without any setting of Ray's would."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    return subprocess.Popen(
        [HPO, "run", file, "--workers", "1"], cwd=folder, env={**kept, **environment},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_each_ray_has_a_token_of_its_own_and_a_folder_that_suits_it(
    make_study: Make, folder: Path
) -> None:
    temporary = folder / ("임시" * 30)
    temporary.mkdir()
    home = folder / "home"
    home.mkdir()
    hold = folder / "hold"
    hold.touch()
    (folder / "held.py").write_text(HELD)
    changes = {
        "objective": "held:train", "fixed": {"folder": str(folder)},
        "round": {"trials": 1, "parallel": 1},
    }
    file = make_study("one", **changes)
    processes = [run(folder, file, TMPDIR=str(temporary), HOME=str(home))]
    tokens = [_token(processes[0])]  # one after the other: a busy machine starts no two in time
    processes += [run(folder, make_study("two", **changes), HOME="/proc")]  # nobody can write it
    tokens += [_token(processes[1])]
    assert all(re.fullmatch(r"[0-9a-f]{64}", token) for token in tokens)
    assert tokens[0] != tokens[1]
    for process, token in zip(processes, tokens, strict=True):
        for number in [process.pid, *descendants(process.pid)]:
            assert token not in _read(number, "cmdline")
    folders = [_folder_of_ray(process) for process in processes]
    assert all(stat.S_IMODE(place.stat().st_mode) == 0o700 for place in folders)
    hold.unlink()
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert [errors for _, errors in outputs] == ["", ""]
    assert not (home / ".ray").exists()
    assert not [place for place in folders if place.exists()]


def _read(process: int, what: str) -> str:
    try:
        return Path(f"/proc/{process}/{what}").read_text(errors="replace")
    except OSError:
        return ""  # it has ended


def _raylet(process: "subprocess.Popen[str]") -> int:
    """Wait for the raylet of a command, and return its number."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert process.poll() is None, process.communicate()
        for number in descendants(process.pid):
            if _read(number, "cmdline").partition("\0")[0].endswith("/raylet"):
                return number
        time.sleep(0.1)
    raise AssertionError("no raylet")


def _token(process: "subprocess.Popen[str]") -> str:
    environment = _read(_raylet(process), "environ").split("\0")
    return dict(entry.partition("=")[::2] for entry in environment)["RAY_AUTH_TOKEN"]


def _folder_of_ray(process: "subprocess.Popen[str]") -> Path:
    command = _read(_raylet(process), "cmdline")
    found = re.search(r"--temp_dir=([^\0]+)", command)
    assert found, command
    return Path(found[1]).parent


def test_what_a_killed_process_left_is_removed_and_what_is_in_use_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_folder, "_places", lambda: iter([str(tmp_path)]))
    monkeypatch.setattr(ray_folder, "_SOCKET_BYTES", 1000)
    killed = f"""
import os
from hpo.workers import ray_folder
from hpo.workers import ray as ray_workers
ray_folder._places = lambda: iter([{str(tmp_path)!r}])
ray_folder._SOCKET_BYTES = 1000
folder = ray_folder.RayFolder()
(folder.path / "log").touch()
os._exit(1)
"""
    subprocess.run([sys.executable, "-c", killed], check=False)
    assert len(list(tmp_path.glob("hpo-ray-*/r/log"))) == 1
    used = RayFolder()
    other = RayFolder()
    assert sorted(tmp_path.iterdir()) == sorted([used.path.parent, other.path.parent])
    assert used.path.parent.stat().st_mode & 0o777 == 0o700
    used.close()
    other.close()
    assert not list(tmp_path.iterdir())


def test_no_place_for_sockets_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_folder, "_places", lambda: iter(["/임시", "/tmp" * 40]))
    with pytest.raises(InputError, match=r"no usable folder .* among '/임시'.*TMPDIR"):
        RayFolder()


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Yield the address of a server that takes connections, and never says a word."""
    (port,) = free_ports(1)
    with socket.create_server(("", port)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_a_dead_address_is_one_line_that_names_what_gave_it(
    make_study: Make, folder: Path, silent_server: str
) -> None:
    (port,) = free_ports(1)
    environment = {**os.environ, "RAY_ADDRESS": f"127.0.0.1:{port}"}
    began = time.monotonic()
    sooner = partial(set_seconds, ray_workers.__name__, REACH_SECONDS=3)
    processes = [
        start("run", make_study(name), *options, env=environment, first=sooner)
        for name, options in (("one", ()), ("two", ("--ray-address", silent_server)))
    ]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert time.monotonic() - began < 120  # Ray by itself: 827 s
    assert [process.returncode for process in processes] == [2, 2]
    assert outputs[0] == (
        f"hpo: no Ray cluster answers at 127.0.0.1:{port}, set by RAY_ADDRESS (Connection "
        "refused); check RAY_ADDRESS and RAY_AUTH_TOKEN, or use --inline\n"
    )
    assert outputs[1] == (
        f"hpo: no Ray cluster answers at {silent_server}, set by --ray-address (no answer "
        "within 3 s); check --ray-address and RAY_AUTH_TOKEN, or use --inline\n"
    )


def reach(address: str, hidden: str) -> str:
    """Return what is said of an address where Ray has no module of this name."""
    script = f"import ray, sys\nsys.modules[{hidden!r}] = None\n{ray_workers._REACH}"
    return subprocess.run(
        [sys.executable, "-P", "-c", script, address, "10"], capture_output=True, text=True,
        check=True,
    ).stdout.strip()


def test_a_ray_without_its_private_parts_is_still_asked_whether_it_is_there() -> None:
    (port,) = free_ports(1)
    assert reach(f"127.0.0.1:{port}", hidden="ray._private.services") == "Connection refused"
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert reach(address, hidden="ray._private.services") == "ok"


def test_a_ray_without_its_private_parts_starts_all_its_processes(
    ray_environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray._private.node import Node

    before = vars(Node).copy()
    monkeypatch.setitem(sys.modules, "ray._private.node", None)
    with fewer_processes():
        assert vars(Node) == before
