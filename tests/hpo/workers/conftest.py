"""Workers of each kind, for the tests that they must pass alike."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hpo.workers import ray as ray_workers
from hpo.workers.attempt import (
    Workers,
)
from hpo.workers.inline import InlineWorkers
from hpo.workers.ray import RayWorkers
from tests.fixtures import TOY, leave_ray
from tests.hpo.workers.jobs import DATA, Make, job_of

if TYPE_CHECKING:
    pass


@pytest.fixture(params=["inline", "ray"])
def make(request: pytest.FixtureRequest, folder: Path) -> Iterator[Make]:
    """Return a function that makes workers of each kind, closed at the end."""
    made: list[Workers] = []

    def make(name: str, **changes: Any) -> Workers:
        job = job_of(name, folder, **changes)
        if request.param == "inline":
            made.append(InlineWorkers(job, DATA))
        else:
            address = request.getfixturevalue("near_ray")
            made.append(RayWorkers(job, DATA, address=address))
        return made[-1]

    yield make
    for workers in made:
        workers.close()


@pytest.fixture(scope="module")
def same_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Make a folder with the toys that processes of Ray import but once for many tests."""
    folder = tmp_path_factory.mktemp("same")
    shutil.copy(TOY, folder)
    yield folder
    leave_ray()


@pytest.fixture(params=["inline", "ray"])
def again(
    request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Make]:
    """Return such a function for tests that leave the processes of Ray fit for the next one."""
    made: list[Workers] = []

    def again(objective: str, **changes: Any) -> Workers:
        if request.param == "inline":
            made.append(InlineWorkers(job_of(objective, folder, **changes), DATA))
            return made[-1]
        import ray

        address = request.getfixturevalue("ray_address")
        monkeypatch.setattr(ray_workers, "_REACH", "print('ok')")
        monkeypatch.setattr(ray, "shutdown", lambda: None)  # the next test need not join it anew
        if ray.is_initialized():
            monkeypatch.setattr(ray_workers, "_connect", lambda address: None)
        job = job_of(objective, request.getfixturevalue("same_folder"), **changes)
        made.append(RayWorkers(job, DATA, address=address))
        return made[-1]

    yield again
    for workers in made:
        workers.close()
