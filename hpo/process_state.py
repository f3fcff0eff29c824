"""Set up the process the same way for every trial, and clean up after it."""

import base64
import contextlib
import importlib.abc
import importlib.util
import os
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np

from hpo.resources import Demand
from hpo.threads import limit_threads

HASH_SEED = "0"  # PYTHONHASHSEED: the order of a set of strings depends on it
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def fix_hash_seed() -> None:
    """Restart this program, unless PYTHONHASHSEED is already what all trials use."""
    if os.environ.get("PYTHONHASHSEED") != HASH_SEED:
        os.environ["PYTHONHASHSEED"] = HASH_SEED  # Python reads it once, when it starts
        os.execv(sys.executable, sys.orig_argv)


class TrialProcess:
    """The state of the process while a trial runs: a context for the code of its objective.

    On first entry, the process changes to `folder`, if any, keeps its environment, and gets no
    arguments, one thread per CPU that the trial demands, and no visible GPU unless it demands one.
    The global generators of `random`, NumPy and PyTorch are seeded, PyTorch's even if the trial is
    what imports it. On exit, all of that is restored.
    """

    _current: "TrialProcess | None" = None

    def __init__(self, objective: str, seed: int, folder: str | None, demand: Demand) -> None:
        self._program = objective.partition(":")[0]
        self._seed, self._folder, self._threads = seed, folder, demand.cpus
        self._without_gpu = not demand.gpus
        self._resumed: Mapping[str, Any] = {}
        self._outside: _State | None = None
        self._inside: _State | None = None

    def __enter__(self) -> "TrialProcess":
        self._outside = _State.now()
        TrialProcess._current = self
        if self._inside is not None:
            self._inside.restore()
        else:
            self._begin()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._outside is not None
        TrialProcess._current = None
        self._inside = _State.now()
        self._outside.restore()

    def resume(self, generators: Mapping[str, Any]) -> None:
        """Set the trial's random generators to the states that `generators` returned.

        Raises ValueError, TypeError or LookupError if the states are invalid.
        """
        version, numbers, gauss = generators["random"]
        random.setstate((version, tuple(numbers), gauss))
        kind, keys, *rest = generators["numpy"]
        np.random.set_state((kind, np.array(keys, np.uint32), *rest))  # noqa: NPY002
        self._resumed = generators
        if "torch" in sys.modules:
            self._resume_torch(sys.modules["torch"])

    def begin_anew(self) -> None:
        """Set the trial's random generators back to their first states."""
        self._resumed = {}
        self._seed_all()
        if "torch" in sys.modules:
            sys.modules["torch"].manual_seed(self._seed)

    def generators(self) -> dict[str, Any]:
        """Return the states of the trial's random generators, as plain values."""
        state = self._inside or _State.now()
        kind, keys, *rest = state.numpy
        states: dict[str, Any] = {
            "random": [state.random[0], list(state.random[1]), state.random[2]],
            "numpy": [kind, keys.tolist(), *rest],
        }
        if state.torch is not None:
            states["torch"] = base64.b64encode(state.torch.numpy().tobytes()).decode()
        return states

    def _resume_torch(self, torch: ModuleType) -> None:
        if "torch" in self._resumed:
            content = bytearray(base64.b64decode(self._resumed["torch"]))
            torch.set_rng_state(torch.frombuffer(content, dtype=torch.uint8))

    @contextlib.contextmanager
    def suspended(self) -> Iterator[None]:
        """Restore the outer state of the process for a while."""
        self.__exit__()
        try:
            yield
        finally:
            self.__enter__()

    def _begin(self) -> None:
        if self._folder is not None:
            with contextlib.suppress(OSError):  # of another machine: there is none here
                os.chdir(self._folder)
        os.environ.update(dict.fromkeys(_THREADS, str(self._threads)))
        if self._without_gpu:  # or it would see all of them
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        sys.argv[:] = [self._program]  # objectives must not see the arguments of hpo or Ray
        limit_threads(self._threads)
        self._seed_all()
        if "torch" in sys.modules:
            self._prepare(sys.modules["torch"])
        elif not any(isinstance(finder, _WatchForTorch) for finder in sys.meta_path):
            sys.meta_path.insert(0, _WatchForTorch())

    def _seed_all(self) -> None:
        random.seed(self._seed)
        np.random.seed(self._seed)  # noqa: NPY002  # the global state that objectives use

    def _prepare(self, torch: ModuleType) -> None:
        torch.manual_seed(self._seed)
        torch.set_num_threads(self._threads)
        self._resume_torch(torch)


@dataclass(frozen=True)
class _State:
    """The parts of a process that an objective may change, at one moment."""

    folder: str | None  # None where it was deleted
    environment: dict[str, str]
    path: list[str]
    arguments: list[str]
    random: Any
    numpy: Any
    torch: Any

    @classmethod
    def now(cls) -> "_State":
        try:
            folder = os.getcwd()
        except FileNotFoundError:
            folder = None
        torch = sys.modules.get("torch")
        return cls(
            folder, dict(os.environ), [*sys.path], [*sys.argv], random.getstate(),
            np.random.get_state(),  # noqa: NPY002
            torch and torch.get_rng_state(),
        )

    def restore(self) -> None:
        if self.folder is not None:
            with contextlib.suppress(OSError):
                os.chdir(self.folder)
        for name in os.environ.keys() - self.environment.keys():
            del os.environ[name]
        for name, value in self.environment.items():
            if os.environ.get(name) != value:
                os.environ[name] = value
        sys.path[:], sys.argv[:] = self.path, self.arguments
        random.setstate(self.random)
        np.random.set_state(self.numpy)  # noqa: NPY002
        if self.torch is not None:
            sys.modules["torch"].set_rng_state(self.torch)


class _WatchForTorch(importlib.abc.MetaPathFinder):
    """Prepares PyTorch for the running trial when it is imported."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "torch":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_prepare(module: ModuleType) -> None:
                execute(module)
                if TrialProcess._current is not None:
                    TrialProcess._current._prepare(module)

            spec.loader.exec_module = execute_and_prepare  # type: ignore[method-assign]
        return spec
