"""A trial finds its process prepared, and gives back all that it changed."""

import os
import random
import sys
from pathlib import Path

import numpy as np
import pytest
import threadpoolctl

from hpo import process_state
from hpo.process_state import TrialProcess, fix_hash_seed
from hpo.resources import Demand

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def drawn() -> tuple[float, float]:
    return random.random(), float(np.random.rand())  # noqa: NPY002


def test_a_trial_has_its_threads_folder_arguments_and_seeds(tmp_path: Path) -> None:
    before, arguments = dict(os.environ), [*sys.argv]
    place, state = Path.cwd(), random.getstate()
    with TrialProcess("toy:train", 7, str(tmp_path), Demand(2)):
        assert Path.cwd() == tmp_path
        assert sys.argv == ["toy"]
        assert [os.environ[name] for name in THREADS] == ["2"] * 3
        assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
        assert {pool["num_threads"] for pool in threadpoolctl.threadpool_info()} <= {1, 2}
        first = drawn()
        random.seed(7)
        np.random.seed(7)  # noqa: NPY002
        assert drawn() == first
        os.environ["LEFT"] = "x"
        os.environ.pop("PATH")
        sys.path.append("/left")
        sys.argv.append("left")
    assert (dict(os.environ), sys.argv, Path.cwd()) == (before, arguments, place)
    assert "/left" not in sys.path
    assert random.getstate() == state


def test_a_gpu_that_is_demanded_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    with TrialProcess("toy:train", 7, None, Demand(1, 1.0)):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"


def test_what_a_trial_changed_is_there_again_after_a_while(tmp_path: Path) -> None:
    place = Path.cwd()
    with TrialProcess("toy:train", 7, str(tmp_path / "not there"), Demand()) as process:
        assert Path.cwd() == place
        os.chdir(tmp_path)
        os.environ["MINE"] = "x"
        random.random()
        expected = random.Random(7)
        expected.random()
        with process.suspended():
            assert Path.cwd() == place
            assert "MINE" not in os.environ
            random.random()
        assert (Path.cwd(), os.environ["MINE"]) == (tmp_path, "x")
        assert random.random() == expected.random()
        with pytest.raises(KeyError), process.suspended():
            raise KeyError
        assert os.environ["MINE"] == "x"


def test_a_folder_that_is_gone_is_no_error(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    with TrialProcess("toy:train", 7, str(gone), Demand()) as process:
        gone.rmdir()
        with process.suspended():
            pass
    assert Path.cwd().exists()


def test_pytorch_is_prepared_where_it_is_imported_within_a_trial_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "torch" in sys.modules:
        pytest.skip("PyTorch is there already")
    (tmp_path / "torch.py").write_text(
        "told = []\ndef manual_seed(n): told.append(n)\n"
        "def set_num_threads(n): told.append(('threads', n))\n"
        "def get_rng_state(): return 0\ndef set_rng_state(n): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", [
        finder for finder in sys.meta_path
        if not isinstance(finder, process_state._WatchForTorch)
    ])
    watch = process_state._WatchForTorch
    try:
        with TrialProcess("toy:train", 7, None, Demand(3)):
            assert isinstance(sys.meta_path[0], watch)
            with TrialProcess("toy:train", 8, None, Demand(3)):
                assert sum(isinstance(finder, watch) for finder in sys.meta_path) == 1
            import json  # any other is found by others
            assert json is sys.modules["json"]
        import torch

        assert torch.told == []  # no trial runs
        assert not any(isinstance(finder, watch) for finder in sys.meta_path)
        with TrialProcess("toy:train", 7, None, Demand(3)):
            assert torch.told == [7, ("threads", 3)]
        del sys.modules["torch"]
        with TrialProcess("toy:train", 9, None, Demand(2)):
            import torch

            assert torch.told == [9, ("threads", 2)]
    finally:
        sys.modules.pop("torch", None)


def test_a_module_that_is_not_there_is_not_found_by_the_watch_either(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    if "torch" in sys.modules:
        pytest.skip("PyTorch is there already")
    watch = process_state._WatchForTorch()
    monkeypatch.setattr(sys, "meta_path", [watch])
    assert watch.find_spec("other") is None
    assert watch.find_spec("torch") is None


@pytest.mark.parametrize("now", [None, "1", "0"])
def test_hashes_are_those_of_trials_or_the_program_starts_anew(
    monkeypatch: pytest.MonkeyPatch, now: str | None
) -> None:
    started: list[object] = []
    monkeypatch.setattr(os, "execv", lambda *given: started.append(given))
    monkeypatch.setenv("PYTHONHASHSEED", now or "")
    if now is None:
        monkeypatch.delenv("PYTHONHASHSEED")
    fix_hash_seed()
    assert started == ([] if now == "0" else [(sys.executable, sys.orig_argv)])
    assert os.environ["PYTHONHASHSEED"] == "0"
